//! The batches of one topic and source that wait for one sink, oldest first.

use std::collections::VecDeque;
use std::mem::size_of;
use std::ops::{Add, Sub};
use std::sync::Arc;
use std::time::Instant;

use super::backlog::Piece;
use super::folded::{Folded, Loss};
use crate::snapshot::{Snapshot, SnapshotBatch};

/// One line.
#[derive(Debug, Default)]
pub(super) struct Line {
    bodies: VecDeque<Body>,
    sums: Sums,
}

/// How much waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sums {
    pub(super) batches: usize,
    /// Batches that are as they came.
    pub(super) sealed: usize,
    pub(super) snapshots: usize,
    pub(super) ticks: u64,
    /// Memory, as if nobody shared it.
    pub(super) bytes: usize,
}

#[derive(Debug)]
enum Body {
    Sealed { batch: Arc<SnapshotBatch>, since: Instant },
    Folded(Box<Folded>),
}

// === impl Line ===

impl Line {
    pub(super) fn sums(&self) -> &Sums {
        &self.sums
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bodies.is_empty()
    }

    /// Since when the instrument that has waited longest waits.
    pub(super) fn since(&self) -> Option<Instant> {
        match self.bodies.front()? {
            Body::Sealed { since, .. } => Some(*since),
            Body::Folded(folded) => folded.since(),
        }
    }

    /// Puts `batch` at the end, or into what was folded there; answers how many snapshots were replaced.
    pub(super) fn push(&mut self, batch: &Arc<SnapshotBatch>, since: Instant) -> u64 {
        if let Some(Body::Folded(folded)) = self.bodies.back_mut()
            && folded.takes(batch)
        {
            let before = folded.sums();
            let replaced = folded.absorb(batch, since);
            self.sums = self.sums - before + folded.sums();
            return replaced;
        }
        self.add(Body::Sealed { batch: batch.clone(), since });
        0
    }

    /// Folds everything that waits together, as far as it goes together; answers how many snapshots were replaced.
    pub(super) fn fold(&mut self) -> u64 {
        if self.sums.sealed == 0 {
            return 0;
        }
        let mut replaced = 0;
        self.sums = Sums::default();
        for body in std::mem::take(&mut self.bodies) {
            match body {
                Body::Sealed { batch, since } if self.is_taken(&batch) => {
                    replaced += self.push(&batch, since);
                }
                Body::Sealed { batch, since } => {
                    let (folded, in_itself) = Folded::of(&batch, since);
                    replaced += in_itself;
                    self.add(Body::Folded(Box::new(folded)));
                }
                folded @ Body::Folded(_) => self.add(folded),
            }
        }
        replaced
    }

    /// Takes the next piece.
    pub(super) fn pop(&mut self) -> Option<Piece> {
        let Some(Body::Folded(folded)) = self.bodies.front_mut() else {
            return match self.take_first()? {
                Body::Sealed { batch, since } => Some(Piece { batch, since, conflated: 0 }),
                Body::Folded(_) => None,
            };
        };
        let before = folded.sums();
        let piece = folded.pop();
        self.sums = self.sums - before + folded.sums();
        if folded.is_empty() {
            self.take_first();
        }
        piece
    }

    /// Throws away what has waited longest until about `keep` bytes are taken; at least something.
    pub(super) fn shed(&mut self, keep: usize) -> Loss {
        let mut loss = Loss::default();
        loop {
            match self.bodies.front_mut() {
                Some(Body::Folded(folded)) => {
                    let before = folded.sums();
                    let later = self.sums.bytes - before.bytes;
                    loss += folded.shed(keep.saturating_sub(later));
                    self.sums = self.sums - before + folded.sums();
                    if folded.is_empty() {
                        self.take_first();
                    }
                }
                Some(Body::Sealed { .. }) => loss += self.shed_first(),
                None => return loss,
            }
            if self.sums.bytes <= keep {
                return loss;
            }
        }
    }

    /// Throws away the batch that has waited longest.
    pub(super) fn shed_first(&mut self) -> Loss {
        let sums = self.take_first().map_or_else(Sums::default, |body| body.sums());
        Loss { snapshots: sums.snapshots as u64, ticks: sums.ticks }
    }

    fn is_taken(&self, batch: &SnapshotBatch) -> bool {
        matches!(self.bodies.back(), Some(Body::Folded(folded)) if folded.takes(batch))
    }

    fn add(&mut self, body: Body) {
        self.sums = self.sums + body.sums();
        self.bodies.push_back(body);
    }

    fn take_first(&mut self) -> Option<Body> {
        let body = self.bodies.pop_front()?;
        self.sums = self.sums - body.sums();
        Some(body)
    }
}

// === impl Body ===

impl Body {
    fn sums(&self) -> Sums {
        match self {
            Self::Folded(folded) => folded.sums(),
            Self::Sealed { batch, .. } => Sums {
                batches: 1,
                sealed: 1,
                snapshots: batch.snapshots.len(),
                ticks: batch.tick_count,
                bytes: SHARED + batch.snapshots.capacity() * size_of::<Snapshot>(),
            },
        }
    }
}

/// A batch behind its two counters.
const SHARED: usize = size_of::<SnapshotBatch>() + 2 * size_of::<usize>();

impl Folded {
    fn sums(&self) -> Sums {
        let (snapshots, ticks, bytes) = (self.len(), self.ticks(), self.bytes());
        Sums { batches: 1, sealed: 0, snapshots, ticks, bytes }
    }
}

// === impl Sums ===

impl Add for Sums {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            batches: self.batches + other.batches,
            sealed: self.sealed + other.sealed,
            snapshots: self.snapshots + other.snapshots,
            ticks: self.ticks + other.ticks,
            bytes: self.bytes + other.bytes,
        }
    }
}

impl Sub for Sums {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            batches: self.batches - other.batches,
            sealed: self.sealed - other.sealed,
            snapshots: self.snapshots - other.snapshots,
            ticks: self.ticks - other.ticks,
            bytes: self.bytes - other.bytes,
        }
    }
}
