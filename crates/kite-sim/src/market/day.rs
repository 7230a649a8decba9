//! What one instrument has done today.

use market_model::{FullTick, Ohlc, Price, Quantity, QuoteTick, Tick, TickBody, UnixNanos};

use super::book::{Touch, lots};
use super::{Basis, Past};
use crate::listing::{Kind, Listed};
use crate::random::Stream;
use crate::rules::TradingDay;

/// What one instrument has done today. Made when it is first looked at, from a grid of the hours before.
#[derive(Debug, Clone)]
pub(crate) struct DayState {
    ohlc: Ohlc,
    oi_day_high: Quantity,
    oi_day_low: Quantity,
    volume: Quantity,
    /// Sum of traded value in paise times units.
    turnover: f64,
}

// === impl DayState ===

impl DayState {
    /// The day of `listed` so far.
    pub(crate) fn start(basis: &Basis, listed: &Listed, day: &TradingDay, past: &Past) -> Self {
        let close = round(listed, basis.fair(listed, &past.previous_close).0);
        let mut prices = past.grid.iter().map(|moment| {
            let (fair, at) = basis.fair(listed, moment);
            (round(listed, fair), at)
        });
        let (open, first_at) = prices.next().unwrap_or((close, day.open));
        let first_oi = open_interest(listed, first_at);
        let mut state = Self {
            ohlc: Ohlc { open, high: open, low: open, close },
            oi_day_high: first_oi,
            oi_day_low: first_oi,
            volume: 0,
            turnover: 0.0,
        };
        for (price, at) in prices {
            state.trade(listed, price, at, day);
        }
        state
    }

    /// The tick in full mode when the fair price is `fair` at `at`; the day's values take it in.
    pub(crate) fn observe(&mut self, listed: &Listed, fair: f64, at: UnixNanos, day: &TradingDay) -> Tick {
        let stamp = Some(UnixNanos::from_secs(at.as_secs()));
        // Prints and quantities change four times a second.
        let position = at.0.div_euclid(250_000_000);
        if listed.is_index() {
            let price = round(listed, fair);
            self.trade(listed, price, at, day);
            return Tick {
                token: listed.token,
                last_price: price,
                body: TickBody::IndexFull {
                    ohlc: self.ohlc,
                    change: price - self.ohlc.close,
                    exchange_timestamp: stamp,
                },
            };
        }
        let touch = Touch::around(listed, fair);
        let print = listed.stream.child(3);
        let last_price = match print.bits(position) % 8 {
            0..4 if touch.bid > 0 => Price::from_paise(touch.bid),
            _ => Price::from_paise(touch.ask),
        };
        self.trade(listed, last_price, at, day);
        let depth = touch.depth(listed, position);
        let resting = |name: u64| {
            let wave = listed.stream.child(name).wave(at.0 as f64 * 1e-9, 60.0);
            lots(listed, (4_000.0 * listed.liquidity * (0.3 * wave).exp()) as u64 + 500)
        };
        let average = self.turnover / f64::from(self.volume.max(1));
        Tick {
            token: listed.token,
            last_price,
            body: TickBody::Full(FullTick {
                quote: QuoteTick {
                    last_traded_quantity: lots(listed, 1 + print.bits(position) / 8 % 12),
                    average_traded_price: if self.volume == 0 {
                        last_price
                    } else {
                        Price::from_paise(average.round() as i64)
                    },
                    volume_traded: self.volume,
                    total_buy_quantity: resting(4),
                    total_sell_quantity: resting(5),
                    ohlc: self.ohlc,
                },
                last_trade_time: stamp,
                oi: open_interest(listed, at),
                oi_day_high: self.oi_day_high,
                oi_day_low: self.oi_day_low,
                exchange_timestamp: stamp,
                depth,
            }),
        }
    }

    fn trade(&mut self, listed: &Listed, price: Price, at: UnixNanos, day: &TradingDay) {
        self.ohlc.high = self.ohlc.high.max(price);
        self.ohlc.low = self.ohlc.low.min(price);
        let oi = open_interest(listed, at);
        self.oi_day_high = self.oi_day_high.max(oi);
        self.oi_day_low = self.oi_day_low.min(oi);
        let volume = volume(listed, day.open, at).max(self.volume);
        let paise = (price.raw() / (Price::SCALE / 100)) as f64;
        self.turnover += f64::from(volume - self.volume) * paise;
        self.volume = volume;
    }
}

/// `fair` on the price grid of `listed`; an index has two decimals.
pub(crate) fn round(listed: &Listed, fair: f64) -> Price {
    let tick = listed.tick_paise.max(1);
    let steps = (fair * 100.0 / tick as f64).round().max(1.0) as i64;
    Price::from_paise(steps * tick)
}

/// Units traded from `open` to `at`: never falls, and runs faster in some quarter hours than in others.
pub(crate) fn volume(listed: &Listed, open: UnixNanos, at: UnixNanos) -> Quantity {
    if listed.is_index() {
        return 0;
    }
    const PERIOD: f64 = 900.0;
    let seconds = |at: UnixNanos| at.0 as f64 * 1e-9;
    let stream = listed.stream.child(6);
    let warp = |at: UnixNanos| 0.8 * PERIOD * uniform_wave(stream, seconds(at), PERIOD);
    let busy = seconds(at) - seconds(open) + warp(at) - warp(open);
    lots(listed, (busy.max(0.0) * 12.0 * listed.liquidity) as u64)
}

/// Open interest at `at`, in whole lots.
pub(crate) fn open_interest(listed: &Listed, at: UnixNanos) -> Quantity {
    let base = match listed.kind {
        Kind::Future { .. } => 150_000.0,
        Kind::Option { strike, .. } => {
            let round_number = if strike % 500.0 == 0.0 { 2.2 } else { 1.0 };
            60_000.0 * listed.liquidity.sqrt() * round_number
        }
        _ => return 0,
    };
    let t = at.0 as f64 * 1e-9;
    let wave = listed.stream.child(7).wave(t, 14_400.0) + 0.2 * listed.stream.child(8).wave(t, 300.0);
    lots(listed, (base * (0.12 * wave).exp()) as u64)
}

/// Like [`Stream::wave`] between uniform numbers, so that its slope is bounded by one per period.
fn uniform_wave(stream: Stream, t: f64, period: f64) -> f64 {
    let at = t / period;
    let left = at.floor();
    let part = at - left;
    stream.uniform(left as i64) * (1.0 - part) + stream.uniform(left as i64 + 1) * part
}
