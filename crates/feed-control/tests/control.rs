//! The control task on paused time, with tickers that only write down what they are told.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use feed_control::testing::{DoubleLink, SampleMarket, SetQuotes};
use feed_control::{
    AccountSlot, AccountState, ControlEnd, ControlHandle, FeedControl, FeedControlConfig, FeedControlInputs,
    FeedControlMetrics, PlanCause, StoreSync, StoreSyncConfig, StoreView,
};
use jiff::civil::date;
use market_model::{InstrumentCatalog, InstrumentToken, ManualClock, UnixNanos};
use subscription_store::{
    Generations, KeptPlan, MemorySubscriptionStore, SubscriptionStore, Wish, WishBook, WishError, WishId,
    WishSpec,
};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

type Control = FeedControl<Arc<DoubleLink>, Arc<SetQuotes>>;

struct Instance {
    control: Control,
    handle: ControlHandle,
    link: Arc<DoubleLink>,
    quotes: Arc<SetQuotes>,
    accounts: watch::Sender<Arc<[AccountSlot]>>,
    catalog: watch::Sender<Arc<InstrumentCatalog>>,
    clock: Arc<ManualClock>,
    tasks: JoinSet<ControlEnd>,
    stop: CancellationToken,
}

fn market() -> InstrumentCatalog {
    let ends = [(date(2026, 11, 24), 1000), (date(2026, 12, 1), 2000)];
    let expiries = ends.map(|(day, end)| (day, UnixNanos::from_secs(end))).into();
    SampleMarket { underlyings: 4, strikes: 61, expiries, futures: true, shares: 50 }.catalog()
}

fn slots(held: &[&str], lost: &[&str]) -> Arc<[AccountSlot]> {
    let slot = |name: &str| AccountSlot {
        held: held.contains(&name),
        state: match lost.contains(&name) {
            true => AccountState::Lost("its token was refused".into()),
            false => AccountState::Ready,
        },
        ..AccountSlot::ready(name, 150)
    };
    ["a", "b", "c"].map(slot).into()
}

const ALL: [&str; 3] = ["a", "b", "c"];

impl Instance {
    fn new(held: &[&str]) -> Self {
        let link = Arc::new(DoubleLink::new(Duration::from_millis(500)));
        let quotes = Arc::new(SetQuotes::default());
        let accounts = watch::Sender::new(slots(held, &[]));
        let catalog = watch::Sender::new(Arc::new(market()));
        let clock = Arc::new(ManualClock::new(UnixNanos::from_secs(0)));
        for underlying in 0..4 {
            quotes.set(underlying, 1000.0, UnixNanos::from_secs(0));
        }
        let inputs = FeedControlInputs {
            catalog: catalog.subscribe(),
            accounts: accounts.subscribe(),
            quotes: quotes.clone(),
            link: link.clone(),
            clock: clock.clone(),
        };
        let config = FeedControlConfig::default();
        let (control, handle) = FeedControl::new(config, inputs, FeedControlMetrics::noop());
        let (tasks, stop) = (JoinSet::new(), CancellationToken::new());
        Self { control, handle, link, quotes, accounts, catalog, clock, tasks, stop }
    }

    fn start(mut self) -> Self {
        self.tasks.spawn(self.control.clone().run(self.stop.clone()));
        self
    }

    /// Started, and these are the wishes.
    async fn with_wishes(texts: &str) -> Self {
        let instance = Self::new(&ALL).start();
        instance.show(texts);
        sleep(Duration::from_millis(10)).await;
        instance
    }

    fn show(&self, texts: &str) {
        let wishes = texts.split(',').enumerate().map(|(at, text)| Wish {
            id: WishId::configured(at),
            version: 1,
            spec: WishSpec::parse("desk", text).unwrap(),
        });
        let book = WishBook { wishes: wishes.collect(), ..WishBook::default() };
        self.handle.show(StoreView { book: Arc::new(book), footing: None });
    }

    fn sync(
        &mut self,
        store: impl SubscriptionStore,
        every: Duration,
    ) -> watch::Receiver<feed_control::SyncStatus> {
        let config = StoreSyncConfig { every, configured: Vec::new() };
        let metrics = FeedControlMetrics::noop();
        let sync = StoreSync::new(store, config, self.clock.clone(), self.handle.clone(), metrics);
        let status = sync.status();
        self.tasks.spawn(sync.run(self.stop.clone()));
        status
    }

    fn on(&self, account: &str) -> BTreeSet<u32> {
        self.link.told(account).iter().map(|one| one.token.0).collect()
    }

    fn plans(&self) -> Vec<PlanCause> {
        self.handle.report().borrow().iter().map(|report| report.cause).collect()
    }

    async fn end(mut self) {
        self.stop.cancel();
        while let Some(end) = self.tasks.join_next().await {
            assert_eq!(end.unwrap(), ControlEnd::Stopped);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn requests_share_a_reload_and_reloads_keep_their_distance() {
    let instance = Instance::with_wishes("NSE:S0").await;
    assert_eq!(instance.plans(), [PlanCause::Start], "the first plan waits for nothing");
    let mut reports = instance.handle.report();
    reports.mark_unchanged();
    let start = Instant::now();
    let mut made = Vec::new();
    for turn in 0..140u32 {
        instance.show(&format!("NSE:S0,NSE:S{}", turn % 40 + 1));
        instance.handle.reload();
        sleep(Duration::from_millis(100)).await;
        if reports.has_changed().unwrap() {
            reports.mark_unchanged();
            made.push(start.elapsed().as_secs());
        }
    }
    // Requests without a pause: one plan each five seconds; and one after they end.
    assert_eq!(made.len(), 2, "{made:?}");
    sleep(Duration::from_secs(10)).await;
    assert!(reports.has_changed().unwrap());
    assert_eq!(instance.on("a").len() + instance.on("b").len() + instance.on("c").len(), 2);
    instance.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_account_is_answered_in_the_same_instant() {
    let instance = Instance::with_wishes("U0:1:10,U1:1:10,U2:1:10,U3:1:10").await;
    let before = ALL.map(|account| instance.on(account));
    assert_eq!(before.iter().map(BTreeSet::len).sum::<usize>(), 4 * 45);
    // Just after a reload, when the next one would have to wait.
    instance.handle.reload();
    sleep(Duration::from_millis(5100)).await;
    let at = Instant::now();
    instance.accounts.send_replace(slots(&ALL, &["b"]));
    sleep(Duration::from_millis(1)).await;
    let after = ALL.map(|account| instance.on(account));
    assert!(instance.link.commands().iter().any(|(when, account, _)| *when == at && account != "b"));
    assert!(after[1].is_empty() && after[0].is_superset(&before[0]) && after[2].is_superset(&before[2]));
    let all = |on: &[BTreeSet<u32>; 3]| on.iter().flatten().copied().collect::<BTreeSet<u32>>();
    assert_eq!(all(&after), all(&before));
    let report = instance.handle.report().borrow().clone().unwrap();
    assert_eq!((report.cause, report.plan.changes().moved), (PlanCause::AccountLost, before[1].len()));
    // It comes back and is left empty until somebody needs it.
    instance.accounts.send_replace(slots(&ALL, &[]));
    sleep(Duration::from_secs(20)).await;
    assert_eq!(ALL.map(|account| instance.on(account)), after);
    instance.handle.rebalance();
    sleep(Duration::from_secs(20)).await;
    assert_eq!(ALL.map(|account| instance.on(account)), before);
    instance.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_ladder_follows_three_percent_and_never_lets_go_before_it_holds() {
    let instance = Instance::with_wishes("U0:1:5:full:nofutures").await;
    for step in 0..60 {
        let now = UnixNanos::from_secs(step);
        instance.clock.set(now);
        instance.quotes.set(0, 1000.0 + step as f64 / 2.0 + if step % 2 == 0 { 3.0 } else { -3.0 }, now);
        sleep(Duration::from_secs(1)).await;
    }
    instance.quotes.set(0, 1033.0, UnixNanos::from_secs(60));
    sleep(Duration::from_secs(10)).await;
    let report = instance.handle.report().borrow().clone().unwrap();
    assert_eq!(report.plan.desired().ladders()[0].centre.to_f64(), 1030.0);
    let sets: Vec<BTreeSet<u32>> = instance
        .link
        .commands()
        .iter()
        .map(|(_, _, set)| set.iter().map(|one| one.token.0).collect())
        .collect();
    // 11 strikes and the spot. Every move first adds strikes, then drops as many, and none is undone later.
    assert!(sets.len() >= 3 && sets.len() <= 7, "{} commands", sets.len());
    for step in sets.windows(3).step_by(2) {
        assert!(step[1].is_superset(&step[0]) && step[1].is_superset(&step[2]));
        assert_eq!((step[0].len(), step[2].len()), (23, 23));
    }
    instance.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_first_price_and_an_expiry_do_not_wait_for_a_reload() {
    let instance = Instance::new(&ALL).start();
    instance.quotes.set(0, 0.0, UnixNanos::from_secs(0));
    instance.show("U0:1:1:full:nofutures");
    sleep(Duration::from_millis(10)).await;
    assert_eq!(instance.on("a").len(), 1);
    instance.quotes.set(0, 1000.0, UnixNanos::from_secs(0));
    sleep(Duration::from_secs(1)).await;
    let first = instance.on("a");
    assert_eq!(first.len(), 7);
    instance.clock.set(UnixNanos::from_secs(1000));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(instance.on("a").len(), 13, "the old strikes stay until the new ones tick");
    sleep(Duration::from_secs(1)).await;
    let second = instance.on("a");
    assert_eq!((second.len(), second.intersection(&first).count()), (7, 1), "only the spot is the same");
    instance.end().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_planned_from_an_empty_catalog() {
    let instance = Instance::with_wishes("NSE:S0").await;
    instance.catalog.send_replace(Arc::default());
    sleep(Duration::from_secs(20)).await;
    assert_eq!(instance.on("a").len(), 1);
    instance.catalog.send_replace(Arc::new(market()));
    instance.show("NSE:S1");
    sleep(Duration::from_secs(20)).await;
    assert_eq!(instance.on("a"), [500_001].into());
    instance.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_moves_nothing() {
    let store = Arc::new(MemorySubscriptionStore::default());
    for (name, text) in [("x", "U0:1:10"), ("y", "U1:1:10"), ("z", "U2:1:10")] {
        store.create(&WishId::new(name).unwrap(), &WishSpec::parse("desk", text).unwrap()).await.unwrap();
    }
    let mut first = Instance::new(&ALL).start();
    first.sync(store.clone(), Duration::from_secs(2));
    sleep(Duration::from_secs(3)).await;
    // A history that a plan from nothing would not have: an account was lost and came back, a price moved a little.
    first.accounts.send_replace(slots(&ALL, &["a"]));
    first.quotes.set(0, 1011.0, UnixNanos::from_secs(0));
    sleep(Duration::from_secs(8)).await;
    first.accounts.send_replace(slots(&ALL, &[]));
    sleep(Duration::from_secs(8)).await;
    let before = ALL.map(|account| first.on(account));
    assert!(before[0].is_empty() && !before[1].is_empty());
    first.end().await;

    let mut second = Instance::new(&ALL).start();
    second.quotes.set(0, 1011.0, UnixNanos::from_secs(0));
    second.sync(store.clone(), Duration::from_secs(2));
    sleep(Duration::from_secs(3)).await;
    assert_eq!(ALL.map(|account| second.on(account)), before);
    let report = second.handle.report().borrow().clone().unwrap();
    assert_eq!((report.plan.changes().moved, report.plan.changes().placed), (0, 0));
    second.end().await;
}

#[tokio::test(start_paused = true)]
async fn two_instances_make_one_plan_without_talking() {
    let store = Arc::new(MemorySubscriptionStore::default());
    let (mut one, mut two) = (Instance::new(&["a"]).start(), Instance::new(&["b", "c"]).start());
    one.sync(store.clone(), Duration::from_secs(2));
    two.sync(store.clone(), Duration::from_secs(2));
    for (name, text) in [("x", "U0:1:10"), ("y", "U1:1:10"), ("z", "NSE:*:ltp")] {
        store.create(&WishId::new(name).unwrap(), &WishSpec::parse("desk", text).unwrap()).await.unwrap();
        sleep(Duration::from_secs(3)).await;
    }
    one.quotes.set(0, 1013.0, UnixNanos::from_secs(0));
    sleep(Duration::from_secs(20)).await;
    let wanted = |instance: &Instance| -> BTreeSet<u32> {
        let report = instance.handle.report().borrow().clone().unwrap();
        report.plan.desired().wanted().iter().map(|wanted| wanted.token.0).collect()
    };
    // Only the first has seen the price; the centre it kept is the other's too.
    assert_eq!(wanted(&one), wanted(&two));
    let sets = [one.on("a"), two.on("b"), two.on("c")];
    let total: usize = sets.iter().map(BTreeSet::len).sum();
    assert_eq!(total, wanted(&one).len(), "every instrument once");
    assert_eq!(sets.iter().flatten().copied().collect::<BTreeSet<_>>(), wanted(&one));
    // `c` is lost to both; each moves its part at once.
    one.accounts.send_replace(slots(&["a"], &["c"]));
    two.accounts.send_replace(slots(&["b", "c"], &["c"]));
    sleep(Duration::from_millis(10)).await;
    let sets = [one.on("a"), two.on("b"), two.on("c")];
    assert!(sets[2].is_empty());
    assert_eq!(sets.iter().map(BTreeSet::len).sum::<usize>(), wanted(&one).len());
    assert_eq!(sets.iter().flatten().copied().collect::<BTreeSet<_>>(), wanted(&one));
    sleep(Duration::from_secs(20)).await;
    assert_eq!([one.on("a"), two.on("b"), two.on("c")], sets, "and it stays so");
    let generations = store.generations().await.unwrap();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(store.generations().await.unwrap(), generations, "the plan is not kept again and again");
    one.end().await;
    two.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_changes_nothing_but_the_status() {
    let store =
        Arc::new(Breaking { store: MemorySubscriptionStore::default(), down: AtomicBool::new(false) });
    let wish = WishId::new("x").unwrap();
    store.store.create(&wish, &WishSpec::parse("desk", "NSE:S0").unwrap()).await.unwrap();
    let mut instance = Instance::new(&ALL).start();
    let status = instance.sync(store.clone(), Duration::from_secs(2));
    sleep(Duration::from_secs(3)).await;
    assert_eq!((instance.on("a").len(), status.borrow().failure.clone()), (1, None));
    store.down.store(true, Ordering::SeqCst);
    store
        .store
        .create(&WishId::new("y").unwrap(), &WishSpec::parse("desk", "NSE:S1").unwrap())
        .await
        .unwrap();
    instance.accounts.send_replace(slots(&ALL, &["a"]));
    sleep(Duration::from_secs(30)).await;
    assert_eq!(instance.on("b").len(), 1, "a lost account is answered without a database");
    assert!(status.borrow().failure.as_deref().is_some_and(|failure| failure.contains("pulled")));
    store.down.store(false, Ordering::SeqCst);
    sleep(Duration::from_secs(8)).await;
    assert_eq!(instance.on("b").len() + instance.on("c").len(), 2);
    assert_eq!(status.borrow().failure, None);
    let kept = store.store.kept_plan().await.unwrap().unwrap();
    assert_eq!(kept.generation, status.borrow().plan_generation);
    let explained = instance.handle.report().borrow().clone().unwrap().plan.explain(InstrumentToken(500_000));
    assert!(explained.unwrap().to_string().contains("which was lost"));
    instance.end().await;
}

/// A store that can be away.
struct Breaking {
    store: MemorySubscriptionStore,
    down: AtomicBool,
}

impl Breaking {
    fn up(&self) -> Result<&MemorySubscriptionStore, WishError> {
        match self.down.load(Ordering::SeqCst) {
            true => Err(WishError::Unavailable { reason: "the plug is pulled".to_owned() }),
            false => Ok(&self.store),
        }
    }
}

impl SubscriptionStore for Breaking {
    async fn create(&self, id: &WishId, spec: &WishSpec) -> Result<Wish, WishError> {
        self.up()?.create(id, spec).await
    }
    async fn get(&self, id: &WishId) -> Result<Wish, WishError> {
        self.up()?.get(id).await
    }
    async fn update(&self, id: &WishId, version: u64, spec: &WishSpec) -> Result<Wish, WishError> {
        self.up()?.update(id, version, spec).await
    }
    async fn delete(&self, id: &WishId, version: u64) -> Result<(), WishError> {
        self.up()?.delete(id, version).await
    }
    async fn list(&self, owner: Option<&str>) -> Result<Vec<Wish>, WishError> {
        self.up()?.list(owner).await
    }
    async fn load(&self) -> Result<WishBook, WishError> {
        self.up()?.load().await
    }
    async fn generations(&self) -> Result<Generations, WishError> {
        self.up()?.generations().await
    }
    async fn kept_plan(&self) -> Result<Option<KeptPlan>, WishError> {
        self.up()?.kept_plan().await
    }
    async fn keep_plan(&self, after: u64, content: &[u8]) -> Result<u64, WishError> {
        self.up()?.keep_plan(after, content).await
    }
}
