//! How long 27,000 instruments take over three accounts, and how many move: `cargo run --release -p feed-control
//! --features test-util --example planning`.

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use feed_control::testing::{SampleMarket, SetQuotes};
use feed_control::{
    AccountSlot, AccountState, Assignments, Footing, LadderConfig, Plan, Resolver, SwitchConfig, Switchboard,
    plan,
};
use jiff::civil::date;
use market_model::{InstrumentToken, UnixNanos};
use subscription_store::{Wish, WishError, WishId, WishSpec};

const RUNS: usize = 101;
const NAMES: [&str; 4] = ["first", "second", "third", "fourth"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let expiries = vec![
        (date(2026, 11, 24), UnixNanos::from_secs(1000)),
        (date(2026, 12, 1), UnixNanos::from_secs(2000)),
        (date(2026, 12, 29), UnixNanos::from_secs(3000)),
    ];
    // 125,000 rows, as many as a day's dump.
    let market = SampleMarket { underlyings: 200, strikes: 97, expiries, futures: true, shares: 7600 };
    let catalog = Arc::new(market.catalog());
    let quotes = SetQuotes::default();
    for underlying in 0..200 {
        quotes.set(underlying, 1000.0, UnixNanos::from_secs(0));
    }
    let wish = |(number, text): (usize, String)| -> Result<Wish, WishError> {
        let spec = WishSpec::parse("desk", &text)?;
        Ok(Wish { id: WishId::new(&format!("w{number}"))?, version: 1, spec })
    };
    // 200 chains of 98 with spot and futures, 39 of them wider by 20, and 6,620 shares: 27,000.
    let ladders = (0..200).map(|at| match at {
        0..39 => format!("U{at}:1:28"),
        _ => format!("U{at}:1:23"),
    });
    let shares = (0..6620).map(|at| format!("NSE:S{at}:ltp"));
    let wishes: Arc<[Wish]> = ladders.chain(shares).enumerate().map(wish).collect::<Result<_, _>>()?;

    let now = UnixNanos::from_secs(0);
    println!("rows in the catalog: {}", catalog.len());
    let cold = median(|| {
        let mut resolver = Resolver::new(LadderConfig::default());
        let _ = resolver.resolve(&wishes, &catalog, &quotes, now);
    });
    let mut resolver = Resolver::new(LadderConfig::default());
    let desired = Arc::new(resolver.resolve(&wishes, &catalog, &quotes, now));
    println!("instruments wanted: {}, not met: {}", desired.len(), desired.unmet().len());
    println!("resolve, new catalog: {cold:?}");
    let warm = median(|| drop(resolver.resolve(&wishes, &catalog, &quotes, now)));
    println!("resolve, same catalog: {warm:?}");
    println!(
        "look whether a ladder has to move: {:?}",
        median(|| {
            let _ = resolver.outdated(&desired, &quotes, now);
        })
    );

    for capacity in [9000, 15_000] {
        let accounts = NAMES[..3].iter().map(|name| AccountSlot::ready(name, capacity)).collect::<Vec<_>>();
        println!("\nthree accounts of {capacity}");
        let nothing = Assignments::default();
        println!("plan from nothing: {:?}", median(|| drop(plan(&desired, &accounts, &nothing))));
        let first = plan(&desired, &accounts, &nothing);
        println!("loads: {:?}, refused {}", loads(&first), first.changes().refused);
        println!("underlyings on more than one account: {}", split(&first));
        let before = first.assignments();
        println!("plan, nothing changed: {:?}", median(|| drop(plan(&desired, &accounts, &before))));
        println!("assignments of a plan: {:?}", median(|| drop(first.assignments())));
        let footing = Footing::new(before.clone(), resolver.ladders());
        println!("kept: {} bytes, {:?}", footing.encode().len(), median(|| drop(footing.encode())));
        println!(
            "commands of a first plan: {:?}",
            median(|| {
                drop(Switchboard::new(SwitchConfig::default()).follow(&first, tokio::time::Instant::now()));
            })
        );

        let mut lost = accounts.clone();
        lost[1].state = AccountState::Lost("its token was refused".into());
        println!("plan, an account lost: {:?}", median(|| drop(plan(&desired, &lost, &before))));
        let without = plan(&desired, &lost, &before);
        println!("an account of {} lost: {:?}", loads(&first)[1], without.changes());
        let back = plan(&desired, &accounts, &without.assignments());
        println!("and back: {:?}", back.changes());
        let afresh = moved(&without, &plan(&desired, &accounts, &nothing));
        println!("and back, were the plan made from nothing: moved {afresh}");
        let four = NAMES.iter().map(|name| AccountSlot::ready(name, capacity)).collect::<Vec<_>>();
        println!("a fourth account: {:?}", plan(&desired, &four, &before).changes());
        println!("the same from nothing: moved {}", moved(&first, &plan(&desired, &four, &nothing)));
        println!("the same by rendezvous of underlyings: moved {}", rendezvous(&first, 3, 4));

        let mut quotes_moved = Resolver::new(LadderConfig::default());
        let _ = quotes_moved.resolve(&wishes, &catalog, &quotes, now);
        let higher = SetQuotes::default();
        (0..200).for_each(|underlying| higher.set(underlying, 1030.0, now));
        let desired = Arc::new(quotes_moved.resolve(&wishes, &catalog, &higher, now));
        println!("every ladder moved by 3 %: {:?}", plan(&desired, &accounts, &before).changes());
        println!("the same from nothing: moved {}", moved(&first, &plan(&desired, &accounts, &nothing)));
    }
    Ok(())
}

/// How long something takes.
struct Took {
    median: Duration,
    /// On the processor, on average: what a busy machine measures the same.
    busy: Option<Duration>,
}

impl fmt::Debug for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.median)?;
        self.busy.map_or(Ok(()), |busy| write!(f, " (on the processor {busy:?})"))
    }
}

fn median(mut run: impl FnMut()) -> Took {
    let busy = || {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
    };
    let start = busy();
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    let spent = busy().zip(start).map(|(end, start)| (end - start) / RUNS as u32);
    Took { median: times[RUNS / 2], busy: spent }
}

fn loads(plan: &Plan) -> Vec<usize> {
    plan.accounts().iter().map(|load| load.tokens).collect()
}

/// Instruments that both plans carry, on different accounts.
fn moved(before: &Plan, after: &Plan) -> usize {
    let elsewhere = |token: InstrumentToken| {
        let (was, is) = (before.account_of(token), after.account_of(token));
        was.is_some() && is.is_some() && was != is
    };
    after.desired().wanted().iter().filter(|wanted| elsewhere(wanted.token)).count()
}

fn split(plan: &Plan) -> usize {
    let mut homes: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    for wanted in plan.desired().wanted() {
        if let Some(account) = plan.account_of(wanted.token) {
            let homes = homes.entry(wanted.group.0).or_default();
            if !homes.contains(&&**account) {
                homes.push(account);
            }
        }
    }
    homes.values().filter(|homes| homes.len() > 1).count()
}

/// Instruments that change their account when every underlying goes where its hash is highest, without a look at what
/// fits: the least that a plan without memory moves.
fn rendezvous(plan: &Plan, before: usize, after: usize) -> usize {
    let home = |group: u32, accounts: usize| {
        (0..accounts).max_by_key(|account| {
            let mut hash = (u64::from(group) << 8 | *account as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
            hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            hash ^ (hash >> 31)
        })
    };
    let wanted = plan.desired().wanted().iter();
    wanted.filter(|wanted| home(wanted.group.0, before) != home(wanted.group.0, after)).count()
}
