//! What waits for one sink: a line per topic and source, served in turn, kept below a budget.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use rustc_hash::FxHashMap;

use super::folded::Loss;
use super::line::{Line, Sums};
use super::{OverflowPolicy, QueueConfig};
use crate::snapshot::SnapshotBatch;

/// Everything that waits. Pushing costs the same however much waits: a snapshot is copied at most once, when its line
/// is folded, and lines are looked through only when that frees a sixteenth of the budget.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    lines: Vec<Line>,
    /// By line.
    keys: Vec<Key>,
    free: Vec<u32>,
    /// Lines that hold something, the next one to be served first.
    turns: VecDeque<u32>,
    by_key: FxHashMap<Key, u32>,
    sums: Sums,
}

/// A topic of a source. A worker shares both among its batches, so pointers tell; a line holds what they point to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    topic: usize,
    source: usize,
}

/// What a sink gets next.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) batch: Arc<SnapshotBatch>,
    /// Since when the instrument in it that has waited longest waits.
    pub(super) since: Instant,
    /// Ticks among those it stands for that newer ones replaced in the queue.
    pub(super) conflated: u64,
}

/// What keeping the order and the budget cost.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cost {
    /// Snapshots replaced by newer ones of the same instrument.
    pub(super) conflated: u64,
    /// Thrown away.
    pub(super) lost: Loss,
}

// === impl Backlog ===

impl Backlog {
    /// How much waits.
    pub(super) fn sums(&self) -> &Sums {
        &self.sums
    }

    /// Since when the instrument that has waited longest waits. Looks at every line.
    pub(super) fn since(&self) -> Option<Instant> {
        self.turns.iter().filter_map(|line| self.lines[*line as usize].since()).min()
    }

    pub(super) fn is_over(&self, config: &QueueConfig) -> bool {
        self.sums.batches > config.max_batches.max(1) || self.is_heavier_than(config.max_bytes)
    }

    /// A batch that has the queue for itself is never too heavy.
    fn is_heavier_than(&self, bytes: usize) -> bool {
        self.sums.bytes > bytes && (self.sums.batches > 1 || self.sums.sealed == 0)
    }

    /// Puts `batch` at the end of its line, or folds it into what waits there, and keeps the budget unless the
    /// policy is to disconnect.
    pub(super) fn push(&mut self, batch: &Arc<SnapshotBatch>, now: Instant, config: &QueueConfig) -> Cost {
        let folds = config.overflow == OverflowPolicy::Conflate;
        let mut cost = Cost::default();
        let at = self.line(batch);
        cost.conflated += self.fold_late(at, now, config);
        cost.conflated += self.change(at, |line| line.push(batch, now));
        if !self.is_over(config) || config.overflow == OverflowPolicy::Disconnect {
            return cost;
        }
        if folds {
            for turn in 0..self.turns.len() {
                let at = self.turns[turn] as usize;
                if self.lines[at].sums().batches > 1 {
                    cost.conflated += self.change(at, Line::fold);
                }
            }
        }
        if self.is_over(config) {
            cost.lost = self.evict(config);
        }
        cost
    }

    /// Takes the next piece of the line whose turn it is; what has waited too long comes folded.
    pub(super) fn pop(&mut self, now: Instant, config: &QueueConfig) -> Option<(Piece, Cost)> {
        let at = *self.turns.front()? as usize;
        let mut cost = Cost::default();
        if self.lines[at].sums().batches > 1 {
            cost.conflated = self.fold_late(at, now, config);
        }
        let piece = self.change(at, Line::pop);
        self.turns.pop_front();
        if self.lines[at].is_empty() {
            self.release(at);
        } else {
            self.turns.push_back(at as u32);
        }
        if self.is_over(config) {
            // What was folded has a table beside it.
            cost.lost = self.evict(config);
        }
        Some((piece?, cost))
    }

    /// Throws everything away.
    pub(super) fn clear(&mut self) -> Loss {
        let loss = Loss { snapshots: self.sums.snapshots as u64, ticks: self.sums.ticks };
        *self = Self::default();
        loss
    }

    /// Folds a line that has waited for longer than the sink's patience; answers how many snapshots were replaced.
    fn fold_late(&mut self, at: usize, now: Instant, config: &QueueConfig) -> u64 {
        let is_late = |since: Instant| now.saturating_duration_since(since) >= config.patience;
        let folds = config.overflow == OverflowPolicy::Conflate;
        if folds && self.lines[at].since().is_some_and(is_late) { self.change(at, Line::fold) } else { 0 }
    }

    /// Throws away what has waited longest in those lines that are heavier than their share, until the rest is a
    /// sixteenth below the budget. The others keep everything.
    fn evict(&mut self, config: &QueueConfig) -> Loss {
        let mut loss = Loss::default();
        if self.is_heavier_than(config.max_bytes) {
            let target = config.max_bytes - config.max_bytes / 16;
            let level = self.level(target, |sums| sums.bytes);
            for at in self.oldest_first() {
                while self.is_heavier_than(target) && self.lines[at].sums().bytes > level {
                    let above = self.sums.bytes - target;
                    let keep = level.max(self.lines[at].sums().bytes.saturating_sub(above));
                    loss += self.change(at, |line| line.shed(keep));
                }
            }
        }
        let most = config.max_batches.max(1);
        if self.sums.batches > most {
            let target = most - most / 16;
            let level = self.level(target, |sums| sums.batches);
            for at in self.oldest_first() {
                while self.sums.batches > target && self.lines[at].sums().batches > level {
                    loss += self.change(at, Line::shed_first);
                }
            }
        }
        let mut turns = std::mem::take(&mut self.turns);
        turns.retain(|at| {
            let is_empty = self.lines[*at as usize].is_empty();
            if is_empty {
                self.release(*at as usize);
            }
            !is_empty
        });
        self.turns = turns;
        loss
    }

    /// The most that every line may keep so that all together keep `target`.
    fn level(&self, target: usize, weight: impl Fn(&Sums) -> usize) -> usize {
        let lines = self.turns.iter().map(|at| &self.lines[*at as usize]);
        let mut weights: Vec<usize> = lines.map(|line| weight(line.sums())).collect();
        weights.sort_unstable();
        let mut left = target;
        for (index, &weight) in weights.iter().enumerate() {
            let share = left / (weights.len() - index);
            if weight > share {
                return share;
            }
            left -= weight;
        }
        usize::MAX
    }

    /// Lines, the one that has waited longest first.
    fn oldest_first(&self) -> Vec<usize> {
        let mut order: Vec<usize> = self.turns.iter().map(|at| *at as usize).collect();
        order.sort_by_key(|at| self.lines[*at].since());
        order
    }

    /// The line of `batch`, which gets a turn if it has none.
    fn line(&mut self, batch: &SnapshotBatch) -> usize {
        let key = Key {
            topic: Arc::as_ptr(&batch.topic).addr(),
            source: Arc::as_ptr(&batch.source).cast::<u8>().addr(),
        };
        if let Some(at) = self.by_key.get(&key) {
            return *at as usize;
        }
        let at = self.free.pop().unwrap_or_else(|| {
            self.lines.push(Line::default());
            self.keys.push(key);
            self.lines.len() as u32 - 1
        });
        self.keys[at as usize] = key;
        self.by_key.insert(key, at);
        self.turns.push_back(at);
        at as usize
    }

    fn release(&mut self, at: usize) {
        self.by_key.remove(&self.keys[at]);
        self.free.push(at as u32);
    }

    /// The one way to change a line: the sums follow.
    fn change<R>(&mut self, at: usize, change: impl FnOnce(&mut Line) -> R) -> R {
        let line = &mut self.lines[at];
        let before = *line.sums();
        let result = change(line);
        self.sums = self.sums - before + *line.sums();
        result
    }
}
