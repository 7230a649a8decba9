//! What all pipeline workers share: the catalog of the day, the circuit limits, and a board of forwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use market_model::{InstrumentCatalog, InstrumentToken, Underlying, UnderlyingId, UnixNanos};
use rustc_hash::FxHashMap;

use crate::validate::CircuitLimits;

/// The catalog of the day with everything that is counted by its slots. Cheap to clone, swapped whole.
#[derive(Debug, Clone)]
pub struct Market {
    catalog: Arc<InstrumentCatalog>,
    forwards: Arc<Forwards>,
    limits: Arc<FxHashMap<InstrumentToken, CircuitLimits>>,
}

/// A value some worker knows, and when it was last known to be good.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SharedValue {
    /// The value.
    pub value: f64,
    /// When its owner last vouched for it.
    pub at: UnixNanos,
}

/// Spot, futures and parity forwards of every underlying, so that a worker whose connection does not carry one
/// can use another worker's. Plain atomics: a reader never waits for a writer, a writer never waits at all.
#[derive(Debug)]
pub struct Forwards {
    places: Vec<Place>,
    cells: Vec<Cell>,
}

/// Where the cells of one underlying begin: its spot, then its futures, then one per chain.
#[derive(Debug)]
struct Place {
    first: u32,
    futures: u32,
    chains: u32,
}

/// A sequence lock over two words: odd while a writer is inside.
#[derive(Debug, Default)]
struct Cell {
    version: AtomicU64,
    value: AtomicU64,
    at: AtomicI64,
}

// === impl Market ===

impl Market {
    /// A market without circuit limits and with an empty board.
    pub fn new(catalog: Arc<InstrumentCatalog>) -> Self {
        Self { forwards: Arc::new(Forwards::new(catalog.underlyings())), catalog, limits: Arc::default() }
    }

    /// The same market with the price limits of the day; instruments that are not named have none.
    #[must_use]
    pub fn with_circuit_limits(
        mut self,
        limits: impl IntoIterator<Item = (InstrumentToken, CircuitLimits)>,
    ) -> Self {
        self.limits = Arc::new(limits.into_iter().collect());
        self
    }

    /// The instruments.
    pub fn catalog(&self) -> &Arc<InstrumentCatalog> {
        &self.catalog
    }

    /// The board.
    pub fn forwards(&self) -> &Arc<Forwards> {
        &self.forwards
    }

    pub(crate) fn all_circuit_limits(&self) -> impl Iterator<Item = (InstrumentToken, CircuitLimits)> + '_ {
        self.limits.iter().map(|(token, limits)| (*token, *limits))
    }

    /// The limits of one instrument, when known.
    pub fn circuit_limits(&self, token: InstrumentToken) -> Option<CircuitLimits> {
        self.limits.get(&token).copied()
    }
}

impl From<Arc<InstrumentCatalog>> for Market {
    fn from(catalog: Arc<InstrumentCatalog>) -> Self {
        Self::new(catalog)
    }
}

// === impl Forwards ===

impl Forwards {
    fn new(underlyings: &[Underlying]) -> Self {
        let mut cells = 0;
        let places = underlyings
            .iter()
            .map(|underlying| {
                let place = Place {
                    first: cells,
                    futures: underlying.futures.len() as u32,
                    chains: underlying.chains.len() as u32,
                };
                if place.futures + place.chains > 0 {
                    cells += 1 + place.futures + place.chains;
                }
                place
            })
            .collect();
        Self { places, cells: (0..cells).map(|_| Cell::default()).collect() }
    }

    /// The newest spot of an underlying.
    pub fn spot(&self, underlying: UnderlyingId) -> Option<SharedValue> {
        self.cell(underlying, 0)?.read()
    }

    /// The newest price of the `position`-th future of an underlying.
    pub fn future(&self, underlying: UnderlyingId, position: usize) -> Option<SharedValue> {
        self.future_cell(underlying, position)?.read()
    }

    /// The newest forward by parity of the `position`-th chain of an underlying.
    pub fn parity(&self, underlying: UnderlyingId, position: usize) -> Option<SharedValue> {
        self.parity_cell(underlying, position)?.read()
    }

    pub(crate) fn set_spot(&self, underlying: UnderlyingId, value: f64, at: UnixNanos) {
        if let Some(cell) = self.cell(underlying, 0) {
            cell.write(value, at);
        }
    }

    pub(crate) fn set_future(&self, underlying: UnderlyingId, position: usize, value: f64, at: UnixNanos) {
        if let Some(cell) = self.future_cell(underlying, position) {
            cell.write(value, at);
        }
    }

    pub(crate) fn set_parity(&self, underlying: UnderlyingId, position: usize, value: f64, at: UnixNanos) {
        if let Some(cell) = self.parity_cell(underlying, position) {
            cell.write(value, at);
        }
    }

    fn future_cell(&self, underlying: UnderlyingId, position: usize) -> Option<&Cell> {
        let futures = self.places.get(underlying.index())?.futures as usize;
        (position < futures).then(|| self.cell(underlying, 1 + position))?
    }

    fn parity_cell(&self, underlying: UnderlyingId, position: usize) -> Option<&Cell> {
        let place = self.places.get(underlying.index())?;
        let (futures, chains) = (place.futures as usize, place.chains as usize);
        (position < chains).then(|| self.cell(underlying, 1 + futures + position))?
    }

    fn cell(&self, underlying: UnderlyingId, offset: usize) -> Option<&Cell> {
        let place = self.places.get(underlying.index())?;
        if place.futures + place.chains == 0 {
            return None;
        }
        self.cells.get(place.first as usize + offset)
    }
}

// === impl Cell ===

impl Cell {
    /// Gives up when another worker is writing at this very moment: its value is as new as ours.
    fn write(&self, value: f64, at: UnixNanos) {
        let version = self.version.load(Ordering::SeqCst);
        let newer = at.0 >= self.at.load(Ordering::SeqCst);
        if !version.is_multiple_of(2) || !newer || self.enter(version).is_err() {
            return;
        }
        self.value.store(value.to_bits(), Ordering::SeqCst);
        self.at.store(at.0, Ordering::SeqCst);
        self.version.store(version + 2, Ordering::SeqCst);
    }

    fn enter(&self, version: u64) -> Result<u64, u64> {
        self.version.compare_exchange(version, version + 1, Ordering::SeqCst, Ordering::SeqCst)
    }

    /// `None` when nothing was written yet, or writers kept getting in the way.
    fn read(&self) -> Option<SharedValue> {
        for _ in 0..8 {
            let before = self.version.load(Ordering::SeqCst);
            if before == 0 {
                return None;
            }
            let value = f64::from_bits(self.value.load(Ordering::SeqCst));
            let at = UnixNanos(self.at.load(Ordering::SeqCst));
            if before.is_multiple_of(2) && self.version.load(Ordering::SeqCst) == before {
                return Some(SharedValue { value, at });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_never_sees_half_a_write() {
        let cell = Cell::default();
        assert_eq!(cell.read(), None);
        std::thread::scope(|scope| {
            for writer in 0..2 {
                let cell = &cell;
                scope.spawn(move || {
                    for step in (writer..40_000).step_by(2) {
                        cell.write(f64::from(step), UnixNanos(i64::from(step)));
                    }
                });
            }
            for _ in 0..40_000 {
                if let Some(seen) = cell.read() {
                    assert_eq!(seen.value, seen.at.0 as f64);
                }
            }
        });
        assert!(cell.read().is_some());
    }

    #[test]
    fn an_older_value_does_not_replace_a_newer_one() {
        let cell = Cell::default();
        cell.write(2.0, UnixNanos(20));
        cell.write(1.0, UnixNanos(10));
        let at = UnixNanos(20);
        assert_eq!(cell.read(), Some(SharedValue { value: 2.0, at }));
    }
}
