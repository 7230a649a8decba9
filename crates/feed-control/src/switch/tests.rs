use jiff::civil::date;
use market_model::UnixNanos;
use subscription_store::{Wish, WishId, WishSpec};
use tokio::time::advance;

use super::*;
use crate::testing::{DoubleLink, SampleMarket, SetQuotes};
use crate::{AccountState, Assignments, LadderConfig, Resolver, plan};

struct Bench {
    catalog: Arc<market_model::InstrumentCatalog>,
    resolver: Resolver,
    quotes: SetQuotes,
    board: Switchboard,
    link: DoubleLink,
    before: Assignments,
}

impl Bench {
    fn new() -> Self {
        let day = (date(2026, 11, 24), UnixNanos::from_secs(1000));
        let market =
            SampleMarket { underlyings: 2, strikes: 41, expiries: vec![day], futures: false, shares: 4 };
        let quotes = SetQuotes::default();
        quotes.set(0, 1000.0, UnixNanos::from_secs(0));
        Self {
            catalog: Arc::new(market.catalog()),
            resolver: Resolver::new(LadderConfig::default()),
            quotes,
            board: Switchboard::new(SwitchConfig::default()),
            link: DoubleLink::new(Duration::from_millis(400)),
            before: Assignments::default(),
        }
    }

    /// Plans and tells; answers whom in which order.
    fn follow(&mut self, text: &str, accounts: &[AccountSlot]) -> Vec<String> {
        let wish = |(number, text): (u64, &str)| Wish {
            id: WishId::new(&format!("w{number}")).unwrap(),
            version: number,
            spec: WishSpec::parse("desk", text).unwrap(),
        };
        let wishes: Arc<[Wish]> = (0..).zip(text.split(',')).map(wish).collect();
        let now = UnixNanos::from_secs(0);
        let desired = Arc::new(self.resolver.resolve(&wishes, &self.catalog, &self.quotes, now));
        let plan = plan(&desired, accounts, &self.before);
        self.before = plan.assignments();
        let commands = self.board.follow(&plan, Instant::now());
        self.tell(commands)
    }

    fn look(&mut self) -> Vec<String> {
        let commands = self.board.look(&self.link, Instant::now());
        self.tell(commands)
    }

    fn tell(&self, commands: Vec<Command>) -> Vec<String> {
        let told = commands.iter().map(|command| command.account.to_string()).collect();
        commands.into_iter().for_each(|command| self.link.set_desired(&command.account, command.desired));
        told
    }

    fn told(&self) -> [usize; 2] {
        ["a", "b"].map(|account| self.link.told(account).len())
    }
}

fn two(a: AccountState, b: AccountState) -> [AccountSlot; 2] {
    [
        AccountSlot { state: a, ..AccountSlot::ready("a", 100) },
        AccountSlot { state: b, ..AccountSlot::ready("b", 100) },
    ]
}

use AccountState::{Draining, Lost, Ready};

#[tokio::test(start_paused = true)]
async fn a_move_between_healthy_accounts_overlaps_until_the_new_one_ticks() {
    let mut bench = Bench::new();
    assert_eq!(bench.follow("U0:1:5:full:nofutures", &two(Ready, Ready)), ["a"]);
    assert_eq!(bench.told(), [23, 0]);
    assert_eq!(bench.follow("U0:1:5:full:nofutures", &two(Draining, Ready)), ["b"], "a keeps its own");
    assert_eq!((bench.told(), bench.board.leaving()), ([23, 23], 23));
    advance(Duration::from_millis(399)).await;
    assert!(bench.look().is_empty());
    advance(Duration::from_millis(1)).await;
    assert_eq!(bench.look(), ["a"]);
    assert_eq!((bench.told(), bench.board.is_switching()), ([0, 23], false));
}

#[tokio::test(start_paused = true)]
async fn an_overlap_ends_after_three_seconds_and_for_a_lost_account_at_once() {
    let mut bench = Bench::new();
    bench.link.mute("b");
    bench.follow("NSE:S0,NSE:S1:full:only=b", &two(Ready, Ready));
    assert_eq!(bench.told(), [1, 1]);
    bench.follow("NSE:S0,NSE:S1:full:only=b", &two(Draining, Ready));
    advance(Duration::from_millis(2999)).await;
    assert!(bench.look().is_empty());
    advance(Duration::from_millis(1)).await;
    assert_eq!(bench.look(), ["a"]);
    let mut bench = Bench::new();
    bench.follow("NSE:S0", &two(Ready, Ready));
    assert_eq!(bench.follow("NSE:S0", &two(Lost("x".into()), Ready)), ["b", "a"], "who gains comes first");
    assert_eq!(bench.told(), [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_ladder_gains_before_it_drops() {
    let mut bench = Bench::new();
    bench.follow("U0:1:5:full:nofutures", &two(Ready, Ready));
    advance(Duration::from_secs(5)).await;
    bench.quotes.set(0, 1030.0, UnixNanos::from_secs(0));
    bench.follow("U0:1:5:full:nofutures", &two(Ready, Ready));
    assert_eq!((bench.told(), bench.board.leaving()), ([29, 0], 6), "three strikes more, none less");
    advance(Duration::from_millis(400)).await;
    bench.look();
    assert_eq!((bench.told(), bench.board.leaving()), ([23, 0], 0));
    // What is dropped for good waits for nobody.
    bench.follow("NSE:S0", &two(Ready, Ready));
    assert_eq!(bench.told(), [1, 0]);
}

#[tokio::test(start_paused = true)]
async fn the_old_gives_way_where_there_is_no_room_for_both() {
    let mut bench = Bench::new();
    let narrow = [AccountSlot::ready("a", 25)];
    bench.follow("U0:1:5:full:nofutures", &narrow);
    bench.quotes.set(0, 1030.0, UnixNanos::from_secs(0));
    bench.follow("U0:1:5:full:nofutures", &narrow);
    assert_eq!((bench.told(), bench.board.leaving()), ([25, 0], 2));
}

#[tokio::test(start_paused = true)]
async fn only_accounts_of_this_instance_are_told_and_it_waits_longer_for_another() {
    let mut bench = Bench::new();
    let held = |a, b, state: AccountState| {
        let [mut first, mut second] = two(state, Ready);
        (first.held, second.held) = (a, b);
        [first, second]
    };
    assert_eq!(bench.follow("NSE:S0", &held(true, false, Ready)), ["a"]);
    assert!(bench.follow("NSE:S0", &held(true, false, Draining)).is_empty(), "b is not ours");
    advance(Duration::from_millis(7999)).await;
    assert!(bench.look().is_empty());
    advance(Duration::from_millis(1)).await;
    assert_eq!(bench.look(), ["a"]);
    assert_eq!(bench.follow("NSE:S0", &held(true, true, Draining)), ["b"], "the lease came");
    assert_eq!(bench.follow("NSE:S0", &held(true, false, Draining)), ["b"], "the lease went");
    assert_eq!(bench.told(), [0, 0]);
}
