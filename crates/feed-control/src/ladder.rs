//! Where ladders stand: the strike each is centred on, and when it moves.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use jiff::civil::Date;
use market_model::{Exchange, Price, StrikeRow};

/// How ladders follow the market.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LadderConfig {
    /// How far past the middle between two strikes the price must be before the ladder moves, in percent of their
    /// distance. It must come back by twice that before the ladder moves back.
    pub hysteresis_percent: u32,
    /// A price older than this is used only when there is no younger one.
    pub stale_after: Duration,
}

impl Default for LadderConfig {
    /// 75 percent: a ladder of NIFTY (strikes of 50) moves when the price is 62.5 from its centre, and back when it
    /// has returned by 75. Prices are stale after a minute.
    fn default() -> Self {
        Self { hysteresis_percent: 75, stale_after: Duration::from_secs(60) }
    }
}

/// Names the options of one underlying that end together, whatever the catalog.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainKey {
    /// Where they are listed.
    pub exchange: Exchange,
    /// The name they carry.
    pub underlying: Box<str>,
    /// Their last trading day.
    pub expiry: Date,
}

/// The centre of every ladder. Two wishes for the same expiry share one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ladders {
    config: LadderConfig,
    centres: BTreeMap<ChainKey, Price>,
    touched: BTreeSet<ChainKey>,
    moves: u64,
}

// === impl Ladders ===

impl Ladders {
    /// Without a centre.
    pub fn new(config: LadderConfig) -> Self {
        Self { config, ..Self::default() }
    }

    /// How they follow.
    pub const fn config(&self) -> LadderConfig {
        self.config
    }

    /// Every centre.
    pub fn centres(&self) -> impl ExactSizeIterator<Item = (&ChainKey, Price)> {
        self.centres.iter().map(|(key, centre)| (key, *centre))
    }

    /// The strike the ladder of `key` is centred on.
    pub fn centre_of(&self, key: &ChainKey) -> Option<Price> {
        self.centres.get(key).copied()
    }

    /// Takes over centres that were kept.
    pub fn adopt(&mut self, centres: impl IntoIterator<Item = (ChainKey, Price)>) {
        self.centres = centres.into_iter().collect();
    }

    /// How often a centre has moved.
    pub const fn moves(&self) -> u64 {
        self.moves
    }

    /// The rows of `chain` within `around` strikes of the centre, after the centre has followed `price`. `None` when
    /// there is neither a price nor a centre from before, or no strike.
    pub fn window(
        &mut self,
        key: &ChainKey,
        rows: &[StrikeRow],
        price: Option<Price>,
        around: usize,
    ) -> Option<Range<usize>> {
        let former = self.centres.get(key).copied();
        let centre = self.centre(former, rows, price)?;
        let strike = rows[centre].strike;
        if former != Some(strike) {
            self.moves += u64::from(former.is_some());
            self.centres.insert(key.clone(), strike);
        }
        self.touched.insert(key.clone());
        Some(centre.saturating_sub(around)..(centre + around + 1).min(rows.len()))
    }

    /// Whether [`window`](Self::window) would answer something else than before.
    pub fn would_move(&self, key: &ChainKey, rows: &[StrikeRow], price: Option<Price>) -> bool {
        let former = self.centres.get(key).copied();
        let centre = self.centre(former, rows, price).map(|row| rows[row].strike);
        centre.is_some() && centre != former
    }

    /// Forgets the centres nobody asked for since the last sweep: their expiries are over, or the wishes gone.
    pub fn sweep(&mut self) {
        let touched = std::mem::take(&mut self.touched);
        self.centres.retain(|key, _| touched.contains(key));
    }

    /// The row to be centred on.
    fn centre(&self, former: Option<Price>, rows: &[StrikeRow], price: Option<Price>) -> Option<usize> {
        let Some(former) = former else { return nearest(rows, price?) };
        let row = nearest(rows, former)?;
        match price {
            // A strike that is no longer listed leaves its place to the nearest one, which then holds as firmly.
            Some(price) if self.has_left(rows, row, price) => nearest(rows, price),
            _ => Some(row),
        }
    }

    /// Whether `price` is further from `row` than half the way to the next strike and the hysteresis.
    fn has_left(&self, rows: &[StrikeRow], row: usize, price: Price) -> bool {
        let strike = rows[row].strike;
        let neighbour =
            if price > strike { rows.get(row + 1) } else { row.checked_sub(1).and_then(|at| rows.get(at)) };
        let Some(neighbour) = neighbour else { return false };
        let step = i128::from(neighbour.strike.abs_diff(strike));
        let share = 50 + i128::from(self.config.hysteresis_percent);
        i128::from(price.abs_diff(strike)) * 100 > step * share
    }
}

/// The row with the strike nearest to `price`; of two the lower.
fn nearest(rows: &[StrikeRow], price: Price) -> Option<usize> {
    let above = rows.partition_point(|row| row.strike < price);
    let near = above.saturating_sub(1)..(above + 1).min(rows.len());
    near.min_by_key(|&row| rows[row].strike.abs_diff(price))
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    fn key() -> ChainKey {
        ChainKey { exchange: Exchange::Nfo, underlying: "NIFTY".into(), expiry: date(2026, 11, 24) }
    }

    fn rows(strikes: impl IntoIterator<Item = i64>) -> Vec<StrikeRow> {
        let row = |strike| StrikeRow { strike: Price::from_paise(strike), call: None, put: None };
        strikes.into_iter().map(row).collect()
    }

    fn check(prices: &[i64], centres: &[i64], moves: u64) {
        let rows = rows((0..100).map(|at| 2_000_000 + at * 5_000));
        let mut ladders = Ladders::new(LadderConfig::default());
        let followed: Vec<i64> = prices
            .iter()
            .map(|price| {
                let price = Price::from_paise(*price);
                let before = ladders.clone();
                let window = ladders.window(&key(), &rows, Some(price), 0).unwrap();
                assert_eq!(before.would_move(&key(), &rows, Some(price)), before.centres != ladders.centres);
                rows[window.start].strike.raw() / Price::from_paise(1).raw()
            })
            .collect();
        assert_eq!((followed.as_slice(), ladders.moves()), (centres, moves));
    }

    #[test]
    fn a_ladder_moves_when_the_price_is_well_past_the_middle() {
        check(&[2_010_000, 2_012_600, 2_016_250], &[2_010_000, 2_010_000, 2_010_000], 0);
        check(&[2_010_000, 2_016_251], &[2_010_000, 2_015_000], 1);
        check(&[2_010_000, 2_016_251, 2_008_751], &[2_010_000, 2_015_000, 2_015_000], 1);
        check(&[2_010_000, 2_016_251, 2_008_749], &[2_010_000, 2_015_000, 2_010_000], 2);
        // A leap goes there at once; beyond the last strike nothing moves.
        check(
            &[2_010_000, 2_070_300, 9_000_000, 9_900_000],
            &[2_010_000, 2_070_000, 2_495_000, 2_495_000],
            2,
        );
        check(&[1], &[2_000_000], 0);
    }

    #[test]
    fn three_percent_are_followed_within_a_strike_and_a_quarter() {
        let rows = rows((0..200).map(|at| 2_000_000 + at * 5_000));
        let mut ladders = Ladders::new(LadderConfig::default());
        for step in 0..=75_000 {
            let price = Price::from_paise(2_500_000 + step);
            let window = ladders.window(&key(), &rows, Some(price), 10).unwrap();
            assert_eq!(window.len(), 21);
            let centre = rows[window.start + 10].strike;
            assert!(centre.abs_diff(price) <= Price::from_paise(6_250).raw().unsigned_abs());
        }
        assert_eq!(ladders.moves(), 14, "at 6,251 and every 5,000 from there, each once");
    }

    #[test]
    fn a_centre_outlives_its_price_and_its_strike_but_not_its_wish() {
        let mut ladders = Ladders::new(LadderConfig::default());
        assert_eq!(ladders.window(&key(), &rows([100, 200]), None, 1), None);
        ladders.adopt([(key(), Price::from_paise(200))]);
        assert_eq!(ladders.window(&key(), &rows([100, 200, 300]), None, 0), Some(1..2));
        assert_eq!(ladders.window(&key(), &rows([100, 220, 300]), None, 0), Some(1..2));
        assert_eq!(ladders.window(&key(), &[], Some(Price::from_paise(1)), 0), None);
        ladders.sweep();
        assert_eq!(ladders.centres().len(), 1);
        ladders.sweep();
        assert_eq!(ladders.centres().len(), 0);
    }

    proptest! {
        #[test]
        fn a_price_that_swings_within_the_band_moves_a_ladder_at_most_once(
            steps in prop::collection::vec(1i64..50, 3..30),
            start in 0i64..2_000,
            middle in 0i64..2_000,
            swings in prop::collection::vec(-1000i64..=1000, 1..60),
        ) {
            let smallest = steps.iter().min().copied().unwrap_or(1) * 100;
            let strikes = steps.iter().scan(0, |at, step| { *at += step * 100; Some(*at) });
            let rows = rows(strikes);
            let mut ladders = Ladders::new(LadderConfig::default());
            ladders.window(&key(), &rows, Some(Price::from_paise(start * 100)), 0);
            for swing in swings {
                // From end to end the band is 75 percent of the smallest step.
                let price = middle * 100 + swing * smallest * 3 / 8 / 1000;
                ladders.window(&key(), &rows, Some(Price::from_paise(price)), 0);
            }
            prop_assert!(ladders.moves() <= 1, "{} moves", ladders.moves());
        }
    }
}
