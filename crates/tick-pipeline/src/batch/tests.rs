//! Sealing by count, bytes and age; conflation; numbering.

use market_model::{ManualClock, Tick};
use proptest::prelude::*;

use super::*;
use crate::testing::{INDEX, SHARE, START, catalog, full, ltp};

struct Case {
    batcher: Batcher,
    now: Instant,
}

impl Case {
    fn new(config: BatchConfig) -> Self {
        let clock = Arc::new(ManualClock::new(START));
        let batcher = Batcher::new(config, "acct".into(), true, catalog(), clock);
        Self { batcher, now: Instant::now() }
    }

    fn add(&mut self, tick: Tick, ts_recv: UnixNanos, cause: SnapshotCause) {
        let slot = catalog().slot(tick.token).unwrap();
        let topic = self.batcher.topic(Topic::of(&catalog(), slot, EquityTopics::Shared), self.now);
        let greeks = GreeksState::NotAnOption;
        let snapshot = Snapshot {
            slot,
            tick,
            ts_recv,
            ts_event: None,
            greeks,
            stale: None,
            cause,
            tick_count: u32::from(cause == SnapshotCause::Tick),
        };
        self.batcher.add(topic, snapshot, self.now);
    }

    fn tick(&mut self, tick: Tick) {
        self.add(tick, START, SnapshotCause::Tick);
    }

    /// Sizes of what was sealed, in order.
    fn sealed(&mut self) -> Vec<usize> {
        std::iter::from_fn(|| self.batcher.pop()).map(|sealed| sealed.batch.snapshots.len()).collect()
    }
}

fn config() -> BatchConfig {
    BatchConfig { max_count: 3, max_age: Duration::from_millis(5), conflate: false, ..BatchConfig::default() }
}

#[test]
fn a_full_batch_is_sealed_at_once() {
    let mut case = Case::new(config());
    for _ in 0..7 {
        case.tick(ltp(INDEX, 1.0));
    }
    assert_eq!(case.sealed(), [3, 3]);
    case.batcher.seal_all();
    assert_eq!(case.sealed(), [1]);
    case.batcher.seal_all();
    assert_eq!(case.sealed(), [0; 0]);
}

#[test]
fn bytes_count_by_mode() {
    let mut case = Case::new(BatchConfig { max_bytes: 3000, max_count: 1000, ..config() });
    for _ in 0..3 {
        case.tick(full(SHARE, 100.0, 99.0, 101.0, START));
    }
    assert_eq!(case.sealed(), [3]);
    for _ in 0..9 {
        case.tick(ltp(SHARE, 100.0));
    }
    assert_eq!(case.sealed(), [0; 0]);
    case.tick(ltp(SHARE, 100.0));
    assert_eq!(case.sealed(), [10]);
}

#[test]
fn age_counts_from_the_oldest_and_per_topic() {
    let mut case = Case::new(config());
    case.tick(ltp(INDEX, 1.0));
    case.now += Duration::from_millis(3);
    case.tick(ltp(INDEX, 2.0));
    case.tick(ltp(SHARE, 2.0));
    assert_eq!(case.batcher.next_due(), Some(case.now + Duration::from_millis(2)));
    case.now += Duration::from_millis(2);
    case.batcher.seal_due(case.now);
    assert_eq!(case.sealed(), [2]);
    assert_eq!(case.batcher.next_due(), Some(case.now + Duration::from_millis(3)));
    case.now += Duration::from_millis(3);
    case.batcher.seal_due(case.now);
    assert_eq!(case.sealed(), [1]);
    assert_eq!(case.batcher.next_due(), None);
}

#[test]
fn conflation_keeps_the_newest_and_remembers_that_it_ticked() {
    let mut case = Case::new(BatchConfig { conflate: true, ..config() });
    case.add(ltp(INDEX, 1.0), START, SnapshotCause::Tick);
    case.add(ltp(INDEX, 2.0), START + Duration::from_millis(1), SnapshotCause::Staleness);
    case.batcher.seal_all();
    let sealed = case.batcher.pop().unwrap();
    assert_eq!(sealed.oldest_tick, Some(START));
    let [only] = &sealed.batch.snapshots[..] else { panic!("{sealed:?}") };
    assert_eq!((only.tick, only.cause), (ltp(INDEX, 2.0), SnapshotCause::Tick));
}

#[test]
fn ticks_are_counted_from_their_coming_to_their_going() {
    let mut case = Case::new(BatchConfig { conflate: true, ..config() });
    let counts = |case: &Case| (case.batcher.ticks_waiting(), case.batcher.conflated());
    for _ in 0..3 {
        case.tick(ltp(INDEX, 1.0));
    }
    assert_eq!(counts(&case), (1, 2), "the newest of three");
    case.add(ltp(SHARE, 2.0), START, SnapshotCause::Staleness);
    assert_eq!(counts(&case), (1, 2), "no tick");
    case.tick(ltp(SHARE, 2.0));
    assert_eq!(counts(&case), (2, 2), "nothing that ticked was replaced");
    case.batcher.seal_all();
    assert_eq!(counts(&case), (2, 2), "they wait until they are taken");
    let shown: Vec<_> = std::iter::from_fn(|| case.batcher.pop()).map(|sealed| sealed.ticks_shown).collect();
    assert_eq!((shown, counts(&case)), (vec![1, 1], (0, 2)));
}

proptest! {
    /// Any order of ticks, polls and flushes: per topic `seq` counts 1, 2, 3 ..., no batch mixes topics or exceeds
    /// the count, and without conflation every snapshot comes out once, in order.
    #[test]
    fn numbering_has_no_holes(steps in prop::collection::vec((0u8..4, 0u64..4), 1..80), conflate: bool) {
        let mut case = Case::new(BatchConfig { conflate, ..config() });
        let (mut value, mut pushed) = (0.0, 0);
        let mut out = Vec::new();
        for (step, millis) in steps {
            case.now += Duration::from_millis(millis);
            value += 1.0;
            match step {
                0 => case.batcher.seal_due(case.now),
                1 => case.batcher.seal_all(),
                2 => { case.tick(ltp(INDEX, value)); pushed += 1; }
                _ => { case.tick(ltp(SHARE, value)); pushed += 1; }
            }
            out.extend(std::iter::from_fn(|| case.batcher.pop()));
        }
        case.batcher.seal_all();
        out.extend(std::iter::from_fn(|| case.batcher.pop()));
        for token in [INDEX, SHARE] {
            let of: Vec<_> = out.iter().filter(|sealed| sealed.batch.snapshots[0].tick.token == token).collect();
            for (at, sealed) in (1..).zip(&of) {
                prop_assert_eq!(sealed.batch.seq, at);
            }
            let prices: Vec<_> =
                of.iter().flat_map(|sealed| &sealed.batch.snapshots).map(|one| one.tick.last_price).collect();
            prop_assert!(prices.is_sorted());
        }
        let came: usize = out.iter().map(|sealed| sealed.batch.snapshots.len()).sum();
        prop_assert!(came == pushed || (conflate && came < pushed));
        for sealed in &out {
            prop_assert!((1..=3).contains(&sealed.batch.snapshots.len()));
            prop_assert!(sealed.batch.snapshots.iter().all(|one| Topic::of(&catalog(), one.slot, EquityTopics::Shared) == *sealed.batch.topic));
        }
    }
}
