//! The instruments of a whole market, for load: shares of which some have futures and option chains.

use std::borrow::Cow;

use jiff::civil::Date;
use market_model::{Exchange, OptionSide, Segment};

use super::{Builder, Kind, Listed, Slot, equity_tick_paise, future_tick_paise};
use crate::load::{Load, LoadContract};
use crate::random::YEAR_SECONDS;
use crate::rules::ListedExpiry;
use crate::symbols;

/// Strikes on each side of the money.
const STRIKES: i64 = 30;
/// Distance of strikes as a share of the price: the last ones are 15 percent off.
const STRIKE_STEP: f64 = 0.005;
/// Contract months of each chain.
const MONTHS: usize = 3;
/// Nearer ends than that are left out: what an option is worth there changes while the packets do not.
const NEAREST_DAYS: i64 = 15;
/// Share of the instruments that are derivatives or have some, as on the real exchanges.
const WITH_DERIVATIVES: f64 = 0.75;
/// Shares of one underlying, units per lot.
const LOT: u32 = 250;

// === impl Builder ===

impl Builder<'_> {
    /// Adds so many instruments behind all others. Returns where they begin.
    pub(super) fn whole_market(&mut self, instruments: u32) -> Slot {
        let first = Slot(self.instruments.len() as u32);
        let end = self.instruments.len() + instruments as usize;
        let months = self.months();
        let mut number = 0;
        while self.instruments.len() < end {
            let with_derivatives = f64::from(number_of(first, self.instruments.len()))
                < WITH_DERIVATIVES * f64::from(instruments);
            self.share(number, end, if with_derivatives { &months } else { &[] });
            number += 1;
        }
        first
    }

    /// The monthly ends that contracts have.
    fn months(&self) -> Vec<ListedExpiry> {
        let Some(spec) = self.model.indices().next().cloned() else { return Vec::new() };
        let soon = self.now + std::time::Duration::from_secs(NEAREST_DAYS as u64 * 86_400);
        let expiries = self.rules.expiries(&spec, self.now, 0, MONTHS + 1);
        expiries.into_iter().filter(|expiry| expiry.instant > soon).take(MONTHS).collect()
    }

    /// Share number `number` with its contracts, as far as there is room before `end`.
    fn share(&mut self, number: u32, end: usize, months: &[ListedExpiry]) {
        let walk = self.model.load_stream(number);
        let symbol = letters(number);
        // Some tens to some thousands of rupees, more of the cheaper ones.
        let base = 120.0 * (3.6 * walk.uniform(-2)).exp();
        let rate = self.config.market.rate;
        let load = |contract| Kind::Load(Load { base, walk, rate, contract });
        self.load(Row {
            symbol: symbol.clone(),
            name: format!("SIMULATED {symbol}"),
            kind: load(LoadContract::Share),
            segment: Segment::Nse,
            expiry: None,
            tick_paise: equity_tick_paise(base),
        });
        let step = ((base * STRIKE_STEP).round() as i64).max(1);
        let middle = (base / step as f64).round() as i64 * step;
        for expiry in months {
            let years = expiry.instant.saturating_since(self.now).as_secs_f64() / YEAR_SECONDS;
            let mut contract = |symbol, contract, segment, tick_paise| {
                if self.instruments.len() < end {
                    let (name, kind) = (letters(number), load(contract));
                    self.load(Row { symbol, name, kind, segment, expiry: Some(expiry.date), tick_paise });
                }
            };
            contract(
                symbols::future(&symbol, expiry.date),
                LoadContract::Future { years },
                Segment::NfoFutures,
                future_tick_paise(base),
            );
            for strike in (-STRIKES..=STRIKES).map(|offset| middle + offset * step) {
                for side in [OptionSide::Call, OptionSide::Put] {
                    contract(
                        symbols::option(&symbol, expiry.date, true, strike, side),
                        LoadContract::Option { years, strike: strike as f64, side },
                        Segment::NfoOptions,
                        5,
                    );
                }
            }
        }
    }

    fn load(&mut self, row: Row) {
        let (exchange, byte) = match row.expiry {
            None => (Exchange::Nse, 1),
            Some(_) => (Exchange::Nfo, 2),
        };
        let token = self.tokens.assign(&row.symbol, byte);
        self.instruments.push(Listed {
            token,
            tradingsymbol: row.symbol,
            name: Cow::Owned(row.name),
            exchange,
            segment: row.segment,
            kind: row.kind,
            expiry: row.expiry,
            lot_size: if row.expiry.is_some() { LOT } else { 1 },
            tick_paise: row.tick_paise,
            liquidity: 1.0,
            stream: self.model.instrument_stream(token.0),
        });
    }
}

struct Row {
    symbol: String,
    name: String,
    kind: Kind,
    segment: Segment,
    expiry: Option<Date>,
    tick_paise: i64,
}

fn number_of(first: Slot, len: usize) -> u32 {
    len as u32 - first.0
}

/// `SIMAAAA`, `SIMAAAB`, ...: no digits, which option symbols go on with.
fn letters(number: u32) -> String {
    let letter = |power: u32| char::from(b'A' + (number / 26u32.pow(power) % 26) as u8);
    format!("SIM{}{}{}{}", letter(3), letter(2), letter(1), letter(0))
}
