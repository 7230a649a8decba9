//! The newest value of every instrument, for questions that are asked now and then.

use std::sync::{Mutex, MutexGuard, PoisonError};

use market_model::{Depth, InstrumentCatalog, InstrumentToken, UnixNanos};
use rustc_hash::FxHashMap;
use tick_pipeline::{GreeksState, Snapshot, SnapshotBatch};

/// So many values at a time are fetched before they are overwritten.
const FETCHED: usize = 16;

/// The newest value of one instrument.
#[derive(Debug, Clone, PartialEq)]
pub struct LatestValue {
    /// The value. Its `slot` belongs to the catalog of its batch; look the token up instead.
    pub snapshot: Snapshot,
    /// When its batch was sealed.
    pub ts_publish: UnixNanos,
    /// Whether it is simulated.
    pub sim: bool,
}

/// How many values there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct ValueCounts {
    /// Instruments with a value.
    pub values: usize,
    /// Those of them that are stale.
    pub stale: usize,
}

/// The newest [`Snapshot`] of every instrument that has ticked.
///
/// It stands beside the tick path: the sink's task writes a batch at a time, requests copy what they need; both hold
/// the lock for microseconds. It grows with the number of different instruments seen, until a new catalog comes.
#[derive(Debug, Default)]
pub struct LatestValues {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    index: FxHashMap<InstrumentToken, u32>,
    values: Vec<LatestValue>,
}

// === impl LatestValues ===

impl LatestValues {
    /// Without values.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes over the values of a batch.
    pub fn apply(&self, batch: &SnapshotBatch) {
        let mut inner = self.lock();
        for snapshots in batch.snapshots.chunks(FETCHED) {
            inner.fetch(snapshots);
            for snapshot in snapshots {
                inner.put(snapshot, batch);
            }
        }
    }

    /// Takes over a value that is not older than the one there is.
    pub(crate) fn put_newer(&self, value: LatestValue) {
        let mut inner = self.lock();
        let token = value.snapshot.token();
        if let Some(at) = inner.index.get(&token).copied() {
            if let Some(held) =
                inner.values.get_mut(at as usize).filter(|held| held.ts_publish <= value.ts_publish)
            {
                *held = value;
            }
            return;
        }
        let next = inner.values.len() as u32;
        inner.index.insert(token, next);
        inner.values.push(value);
    }

    /// The newest value of `token`.
    pub fn get(&self, token: InstrumentToken) -> Option<LatestValue> {
        let inner = self.lock();
        inner.get(token).cloned()
    }

    /// Looks several tokens up under one lock. `take` must be short; it sees the tokens that have a value.
    pub fn each(
        &self,
        tokens: impl IntoIterator<Item = InstrumentToken>,
        mut take: impl FnMut(&LatestValue),
    ) {
        let inner = self.lock();
        for value in tokens.into_iter().filter_map(|token| inner.get(token)) {
            take(value);
        }
    }

    /// Forgets every instrument that `catalog` does not list.
    pub fn keep_listed(&self, catalog: &InstrumentCatalog) {
        let mut inner = self.lock();
        inner.values.retain(|value| catalog.slot(value.snapshot.token()).is_some());
        let Inner { index, values } = &mut *inner;
        index.clear();
        index.extend((0u32..).zip(values).map(|(at, value)| (value.snapshot.token(), at)));
    }

    /// How many values there are.
    pub fn counts(&self) -> ValueCounts {
        let inner = self.lock();
        let stale = inner.values.iter().filter(|value| value.snapshot.stale.is_some()).count();
        ValueCounts { values: inner.values.len(), stale }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Reads once of every value that is to be overwritten, so that the waits for memory overlap instead of adding up.
    fn fetch(&self, snapshots: &[Snapshot]) {
        let held = snapshots.iter().filter_map(|snapshot| self.get(snapshot.token()));
        let seen = held.map(|value| {
            let book = value.snapshot.tick.depth().map_or(0, |Depth { buy, sell }| {
                buy[0].quantity | buy[4].quantity | sell[1].quantity | sell[4].quantity
            });
            let ends = value.snapshot.tick.token.0 | value.snapshot.tick_count | value.ts_publish.0 as u32;
            book | ends | u32::from(value.snapshot.greeks == GreeksState::NotAnOption)
        });
        std::hint::black_box(seen.fold(0, |seen, value| seen | value));
    }

    fn get(&self, token: InstrumentToken) -> Option<&LatestValue> {
        let at = *self.index.get(&token)?;
        self.values.get(at as usize)
    }

    fn put(&mut self, snapshot: &Snapshot, batch: &SnapshotBatch) {
        let next = self.values.len() as u32;
        let at = *self.index.entry(snapshot.token()).or_insert(next);
        match self.values.get_mut(at as usize) {
            // Field by field: a whole value would be put together elsewhere and copied once more.
            Some(held) => {
                held.snapshot.clone_from(snapshot);
                (held.ts_publish, held.sim) = (batch.ts_publish, batch.sim);
            }
            None => self.values.push(LatestValue {
                snapshot: snapshot.clone(),
                ts_publish: batch.ts_publish,
                sim: batch.sim,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Market;

    #[test]
    fn the_newest_value_wins_and_a_new_catalog_forgets_what_it_does_not_list() {
        let (today, tomorrow) = (Market::new(), Market::with_strikes(&[25_000]));
        let latest = LatestValues::new();
        latest.apply(&today.batch(1, &[(today.call(24_900), 10_000), (today.call(25_000), 5_000)]));
        latest.apply(&today.batch(2, &[(today.call(25_000), 5_100)]));
        assert_eq!(latest.counts(), ValueCounts { values: 2, stale: 0 });
        let value = latest.get(today.call(25_000)).unwrap();
        assert_eq!(value.snapshot.tick.last_price.to_string(), "51.00");

        latest.keep_listed(&tomorrow.catalog);
        assert_eq!(latest.get(today.call(24_900)), None);
        assert_eq!(latest.get(today.call(25_000)), Some(value));
        latest.apply(&tomorrow.batch(1, &[(tomorrow.spot(), 2_500_000)]));
        assert_eq!(latest.counts().values, 2);
    }
}
