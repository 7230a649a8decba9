//! The way back for tick vectors, so that the next frame is decoded into memory that is warm already.

use std::sync::{Arc, Mutex};

use market_model::Tick;

/// So many vectors wait at most: a few frames of each connection.
const MOST_KEPT: usize = 16;
/// A vector with room for more ticks than this is not kept, so that one huge frame does not hold its memory for ever.
const MOST_ROOM: usize = 1024;

/// Takes back the vectors of [`TickFrame`](market_model::TickFrame)s that are done with. Whoever gives none back
/// loses nothing but time: a frame without a vector gets a new one. Clones give to the same ticker.
#[derive(Debug, Clone, Default)]
pub struct TickRecycler {
    spare: Arc<Mutex<Vec<Vec<Tick>>>>,
}

// === impl TickRecycler ===

impl TickRecycler {
    /// Gives back a vector, whatever is in it. Never waits: it is dropped when there are enough, or when somebody
    /// else is just giving or taking one.
    pub fn give(&self, ticks: Vec<Tick>) {
        if (1..=MOST_ROOM).contains(&ticks.capacity())
            && let Ok(mut spare) = self.spare.try_lock()
            && spare.len() < MOST_KEPT
        {
            spare.push(ticks);
        }
    }

    /// A vector for the next frame, which has `packets` of them; old ticks may still be in it. Never waits.
    pub(crate) fn take(&self, packets: usize) -> Vec<Tick> {
        let kept = self.spare.try_lock().ok().and_then(|mut spare| spare.pop());
        kept.unwrap_or_else(|| Vec::with_capacity(packets))
    }
}

#[cfg(test)]
mod tests {
    use market_model::{InstrumentToken, Price, TickBody};

    use super::*;

    fn ticks(count: usize) -> Vec<Tick> {
        vec![Tick { token: InstrumentToken(1), last_price: Price::ZERO, body: TickBody::Ltp }; count]
    }

    #[test]
    fn what_is_given_is_taken_again() {
        let recycler = TickRecycler::default();
        let given = ticks(3);
        let place = given.as_ptr();
        recycler.give(given);
        let taken = recycler.take(2);
        assert_eq!(taken.as_ptr(), place);
        assert!(recycler.take(2).is_empty(), "a new one");
    }

    #[test]
    fn no_more_is_kept_than_is_worth_it() {
        let recycler = TickRecycler::default();
        for vector in [Vec::new(), ticks(MOST_ROOM + 1)] {
            recycler.give(vector);
        }
        assert_eq!(recycler.take(7).capacity(), 7, "neither nothing nor too much");
        for _ in 0..2 * MOST_KEPT {
            recycler.give(ticks(1));
        }
        assert_eq!(recycler.spare.lock().unwrap().len(), MOST_KEPT);
    }

    #[test]
    fn nobody_waits_for_anybody() {
        let recycler = TickRecycler::default();
        recycler.give(ticks(1));
        let held = recycler.spare.lock().unwrap();
        recycler.give(ticks(1));
        assert!(recycler.take(5).is_empty());
        assert_eq!(held.len(), 1);
    }
}
