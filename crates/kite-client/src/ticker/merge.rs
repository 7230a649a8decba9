//! The ticks of two sockets that carry the same instruments, made one stream that never steps back.
//!
//! Each socket tells an instrument's ticks in order, but either may be ahead of the other, and Kite numbers nothing.
//! What the exchange's stamp or the day's volume can put in order is put in order. The rest (ltp mode, indices within
//! a second, a book that changes without a trade) cannot be: there the newer socket's word counts from its first tick
//! on, and what the older one said and the newer one never does is told as a hole.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::time::Duration;

use market_model::{InstrumentToken, Price, Quantity, Tick, UnixNanos};
use rustc_hash::FxHashMap;
use tokio::time::Instant;

/// One socket lags behind another by what the network may hold back, and not for longer than a silent socket stands.
const LAGS_AT_MOST: Duration = Duration::from_secs(10);

/// So many prices of an instrument are remembered; it ticks about once a second.
const REMEMBERED: usize = 16;

/// How far the trading of an instrument had come, as far as a tick's mode tells.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    stamp: Option<UnixNanos>,
    volume: Option<Quantity>,
}

/// What is known about one instrument.
#[derive(Debug, Default)]
struct Pair {
    /// How far each socket has come; nothing for one that has not ticked.
    older: Option<Progress>,
    newer: Option<Progress>,
    /// A socket that is gone had come this far; the older one is to catch up.
    floor: Option<Progress>,
    /// Ticks were removed because they came too late, and what they were late for has not been reached since.
    is_behind: bool,
    /// What the newer socket said of late, and what was removed without its having said it.
    said: VecDeque<Price>,
    unsaid: VecDeque<Price>,
    /// More than could be remembered.
    lost: bool,
}

/// Instruments of which something was removed that nobody said, and when it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unsaid {
    pub(crate) tokens: Vec<InstrumentToken>,
    pub(crate) from: UnixNanos,
    pub(crate) to: UnixNanos,
}

/// Two sockets side by side, or what the one that is left still has to catch up with.
#[derive(Debug, Default)]
pub(crate) struct Merge {
    pairs: FxHashMap<InstrumentToken, Pair>,
    /// When the first and the last tick came that was removed.
    removed: Option<(UnixNanos, UnixNanos)>,
    alone_since: Option<Instant>,
}

// === impl Merge ===

impl Merge {
    /// A newer socket stands beside the one that ticked alone.
    pub(crate) fn two_stand(&mut self) {
        self.alone_since = None;
    }

    /// One of the two is gone since `now`; the newer one remains, or the older one.
    pub(crate) fn one_remains(&mut self, is_newer: bool, now: Instant) {
        self.alone_since = Some(now);
        for pair in self.pairs.values_mut() {
            let gone = if is_newer { pair.older } else { pair.newer.or(pair.floor) };
            pair.floor = gone.filter(Progress::is_known);
            (pair.older, pair.newer) = (None, None);
            pair.said.clear();
        }
    }

    /// Whether there is nothing left to wait for: one socket is left, and has caught up or had time enough.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.alone_since.is_some_and(|since| self.pairs.is_empty() || now - since >= LAGS_AT_MOST)
    }

    /// Removes from `ticks`, which came `at` on one of the sockets, what would be a step back or a repetition. Answers
    /// how many were removed.
    pub(crate) fn sift(&mut self, is_newer: bool, ticks: &mut Vec<Tick>, at: UnixNanos) -> u64 {
        let before = ticks.len();
        let is_alone = self.alone_since.is_some();
        ticks.retain(|tick| {
            if is_alone {
                let Some(pair) = self.pairs.get_mut(&tick.token) else { return true };
                let stays = pair.remaining(tick);
                if pair.is_settled() {
                    self.pairs.remove(&tick.token);
                }
                return stays;
            }
            let pair = self.pairs.entry(tick.token).or_default();
            if is_newer { pair.newer(tick) } else { pair.older(tick) }
        });
        let removed = (before - ticks.len()) as u64;
        if removed > 0 {
            self.removed = Some((self.removed.map_or(at, |(first, _)| first), at));
        }
        removed
    }

    /// What was removed and never said. Told once.
    pub(crate) fn take_unsaid(&mut self) -> Option<Unsaid> {
        let (from, to) = self.removed.take()?;
        let mut tokens = Vec::new();
        for (token, pair) in &mut self.pairs {
            if pair.is_behind || pair.lost || !pair.unsaid.is_empty() {
                tokens.push(*token);
            }
            (pair.is_behind, pair.lost) = (false, false);
            pair.unsaid.clear();
        }
        tokens.sort_unstable();
        (!tokens.is_empty()).then_some(Unsaid { tokens, from, to })
    }
}

// === impl Pair ===

impl Pair {
    /// The newer socket ticks, beside the older one. Answers whether that is to be heard.
    fn newer(&mut self, tick: &Tick) -> bool {
        let progress = Progress::of(tick);
        self.newer.get_or_insert_default().become_of(progress);
        self.says(tick.last_price);
        remember(&mut self.said, tick.last_price);
        self.is_behind = self.older.is_some_and(|older| progress.compare(older).is_lt());
        !self.is_behind
    }

    /// The older socket ticks, beside the newer one.
    fn older(&mut self, tick: &Tick) -> bool {
        let progress = Progress::of(tick);
        if !self.reaches_floor(progress) {
            return false;
        }
        self.older.get_or_insert_default().become_of(progress);
        match self.newer.map_or(Ordering::Greater, |newer| progress.compare(newer)) {
            Ordering::Greater => true,
            // Late: something newer was heard.
            Ordering::Less => false,
            Ordering::Equal => {
                if !self.said.contains(&tick.last_price) && !self.unsaid.contains(&tick.last_price) {
                    self.lost |= remember(&mut self.unsaid, tick.last_price);
                }
                false
            }
        }
    }

    /// The only socket that is left ticks.
    fn remaining(&mut self, tick: &Tick) -> bool {
        self.says(tick.last_price);
        self.reaches_floor(Progress::of(tick))
    }

    fn reaches_floor(&mut self, progress: Progress) -> bool {
        self.is_behind = self.floor.is_some_and(|floor| progress.compare(floor).is_lt());
        // A tick that tells nothing is no proof either.
        if !self.is_behind && progress.is_known() {
            self.floor = None;
        }
        !self.is_behind
    }

    fn says(&mut self, price: Price) {
        self.unsaid.retain(|unsaid| *unsaid != price);
    }

    fn is_settled(&self) -> bool {
        self.floor.is_none() && self.unsaid.is_empty() && !self.lost
    }
}

/// Adds to what is remembered. Answers whether something else had to be forgotten.
fn remember(prices: &mut VecDeque<Price>, price: Price) -> bool {
    prices.push_back(price);
    prices.len() > REMEMBERED && prices.pop_front().is_some()
}

// === impl Progress ===

impl Progress {
    fn of(tick: &Tick) -> Self {
        Self { stamp: tick.exchange_timestamp(), volume: tick.quote().map(|quote| quote.volume_traded) }
    }

    fn is_known(&self) -> bool {
        self.stamp.is_some() || self.volume.is_some()
    }

    /// What the newest tick does not tell is still what an earlier one said.
    fn become_of(&mut self, newest: Self) {
        *self = Self { stamp: newest.stamp.or(self.stamp), volume: newest.volume.or(self.volume) };
    }

    /// Which of two ticks of an instrument is the later one; `Equal` also when nothing tells.
    fn compare(self, other: Self) -> Ordering {
        let stamps = self.stamp.zip(other.stamp).map(|(one, other)| one.cmp(&other));
        let volumes = self.volume.zip(other.volume).map(|(one, other)| one.cmp(&other));
        stamps.unwrap_or(Ordering::Equal).then(volumes.unwrap_or(Ordering::Equal))
    }
}

#[cfg(test)]
mod tests {
    use market_model::{FullTick, QuoteTick, TickBody};
    use proptest::prelude::*;

    use super::*;

    const OLDER: bool = false;
    const NEWER: bool = true;

    fn at(second: i64) -> UnixNanos {
        UnixNanos::from_secs(second)
    }

    /// Trade `number` of an instrument, as a mode with a volume tells it.
    fn quote(number: u64) -> Tick {
        let quote = QuoteTick { volume_traded: number as Quantity, ..QuoteTick::default() };
        Tick { body: TickBody::Quote(quote), ..ltp(number) }
    }

    fn full(second: i64, number: u64) -> Tick {
        let quote = QuoteTick { volume_traded: number as Quantity, ..QuoteTick::default() };
        let full = FullTick { quote, exchange_timestamp: Some(at(second)), ..FullTick::default() };
        Tick { body: TickBody::Full(full), ..ltp(number) }
    }

    fn ltp(number: u64) -> Tick {
        let last_price = Price::from_paise(number as i64);
        Tick { token: InstrumentToken(1), last_price, body: TickBody::Ltp }
    }

    /// Which of `said`, one by one and a second apart, are heard.
    fn heard(merge: &mut Merge, said: &[(bool, Tick)]) -> Vec<(bool, i64)> {
        let mut heard = Vec::new();
        for (second, (is_newer, tick)) in said.iter().enumerate() {
            let mut ticks = vec![*tick];
            let removed = merge.sift(*is_newer, &mut ticks, at(second as i64));
            assert_eq!(removed as usize + ticks.len(), 1);
            heard.extend(ticks.iter().map(|tick| (*is_newer, tick.last_price.raw() / (Price::SCALE / 100))));
        }
        heard
    }

    fn unsaid(merge: &mut Merge) -> Option<(i64, i64)> {
        let unsaid = merge.take_unsaid()?;
        assert_eq!(unsaid.tokens, [InstrumentToken(1)]);
        Some((unsaid.from.as_secs(), unsaid.to.as_secs()))
    }

    #[test]
    fn whoever_is_ahead_is_heard() {
        for tick in [quote, |number| full(7, number), |number| full(number as i64, 7)] {
            let said = [
                (OLDER, 5),
                (NEWER, 4),
                (NEWER, 5),
                (OLDER, 6),
                (OLDER, 6),
                (NEWER, 7),
                (OLDER, 7),
                (OLDER, 6),
            ];
            let mut merge = Merge::default();
            let expected = [(OLDER, 5), (NEWER, 5), (OLDER, 6), (OLDER, 6), (NEWER, 7)];
            let numbers = heard(&mut merge, &said.map(|(side, number)| (side, tick(number))));
            let sides = |heard: &[(bool, i64)]| heard.iter().map(|(side, _)| *side).collect::<Vec<_>>();
            assert_eq!(sides(&numbers), sides(&expected));
            assert_eq!(unsaid(&mut merge), None);
        }
    }

    #[test]
    fn where_nothing_tells_which_is_later_the_newer_socket_is_heard() {
        let mut merge = Merge::default();
        let said =
            [(OLDER, 5), (NEWER, 6), (OLDER, 6), (OLDER, 7), (NEWER, 7)].map(|(side, one)| (side, ltp(one)));
        assert_eq!(heard(&mut merge, &said), [(OLDER, 5), (NEWER, 6), (NEWER, 7)]);
        assert_eq!(unsaid(&mut merge), None, "all was said");
    }

    #[test]
    fn a_tick_that_tells_nothing_changes_nothing_about_the_order() {
        let mut merge = Merge::default();
        let said =
            [(OLDER, quote(8)), (NEWER, quote(5)), (OLDER, ltp(8)), (NEWER, quote(6)), (NEWER, quote(8))];
        assert_eq!(heard(&mut merge, &said), [(OLDER, 8), (NEWER, 8)]);
        heard(&mut merge, &[(OLDER, quote(12))]);
        merge.one_remains(NEWER, Instant::now());
        assert_eq!(
            heard(&mut merge, &[(OLDER, ltp(10)), (OLDER, quote(10)), (OLDER, quote(12))]),
            [(OLDER, 10), (OLDER, 12)]
        );
    }

    #[test]
    fn what_the_newer_socket_never_says_is_a_hole() {
        let mut merge = Merge::default();
        let said = [(NEWER, 6), (OLDER, 7), (NEWER, 8), (OLDER, 8)].map(|(side, one)| (side, ltp(one)));
        assert_eq!(heard(&mut merge, &said), [(NEWER, 6), (NEWER, 8)]);
        let now = Instant::now();
        merge.one_remains(NEWER, now);
        assert!(!merge.is_over(now), "it may say it yet");
        assert!(merge.is_over(now + LAGS_AT_MOST));
        assert_eq!(unsaid(&mut merge), Some((1, 3)));
        assert_eq!(unsaid(&mut merge), None, "told once");
    }

    #[test]
    fn the_one_that_remains_may_say_it_later() {
        let mut merge = Merge::default();
        heard(&mut merge, &[(NEWER, ltp(6)), (OLDER, ltp(7))]);
        merge.one_remains(NEWER, Instant::now());
        assert_eq!(heard(&mut merge, &[(OLDER, ltp(7))]), [(OLDER, 7)]);
        assert!(merge.is_over(Instant::now()));
        assert_eq!(unsaid(&mut merge), None);
    }

    #[test]
    fn the_one_that_remains_catches_up_first() {
        for is_newer in [true, false] {
            let mut merge = Merge::default();
            heard(&mut merge, &[(!is_newer, quote(6)), (is_newer, quote(4)), (!is_newer, quote(8))]);
            let now = Instant::now();
            merge.one_remains(is_newer, now);
            assert_eq!(heard(&mut merge, &[(OLDER, quote(7))]), []);
            assert!(!merge.is_over(now));
            // A third socket stands, and is where the trading is.
            merge.two_stand();
            assert_eq!(heard(&mut merge, &[(NEWER, quote(9)), (OLDER, quote(7))]), [(NEWER, 9)]);
            merge.one_remains(OLDER, now);
            assert_eq!(heard(&mut merge, &[(OLDER, quote(8)), (OLDER, quote(9))]), [(OLDER, 9)]);
            assert!(merge.is_over(now));
        }
    }

    #[test]
    fn a_socket_that_never_catches_up_leaves_a_hole() {
        let mut merge = Merge::default();
        heard(&mut merge, &[(NEWER, quote(4)), (OLDER, quote(80))]);
        merge.one_remains(NEWER, Instant::now());
        assert_eq!(heard(&mut merge, &[(OLDER, quote(7))]), []);
        assert_eq!(unsaid(&mut merge), Some((0, 0)));
    }

    #[test]
    fn more_than_can_be_remembered_is_a_hole() {
        let mut merge = Merge::default();
        let much: Vec<_> = (10..60).map(|one| (OLDER, ltp(one))).collect();
        let all: Vec<_> = (10..60).map(|one| (NEWER, ltp(one))).collect();
        heard(&mut merge, &[(NEWER, ltp(1))]);
        heard(&mut merge, &much);
        heard(&mut merge, &all);
        assert_eq!(merge.pairs.values().map(|pair| pair.said.len()).max(), Some(REMEMBERED));
        assert!(unsaid(&mut merge).is_some());
    }

    proptest! {
        /// Two sockets tell of the same trades, each in order and with omissions; then one of them ends.
        #[test]
        fn never_a_step_back_and_nothing_that_came_is_lost(
            said in prop::collection::vec((any::<bool>(), 1u64..4), 1..60),
            survivor in any::<bool>(),
            ends in 0usize..60,
        ) {
            let mut merge = Merge::default();
            let mut numbers = [0u64; 2];
            let (mut newest, mut came) = (0, 0);
            for (place, (is_newer, step)) in said.into_iter().enumerate() {
                if place == ends {
                    merge.one_remains(survivor, Instant::now());
                }
                let side = if place >= ends { survivor } else { is_newer };
                numbers[usize::from(side)] += step;
                let number = numbers[usize::from(side)];
                came = came.max(number);
                let mut ticks = vec![quote(number)];
                merge.sift(side && place < ends, &mut ticks, at(0));
                for tick in ticks {
                    let number = tick.quote().map_or(0, |quote| u64::from(quote.volume_traded));
                    prop_assert!(number >= newest, "{number} after {newest}");
                    newest = number;
                }
                prop_assert_eq!(newest, came, "the latest that came was heard");
            }
        }
    }
}
