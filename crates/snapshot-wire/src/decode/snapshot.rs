//! A tick read back into the type that it was written from.

use market_model::{
    Depth, DepthLevel, FullTick, GapCause, InstrumentCatalog, InstrumentToken, Ohlc, Price, QuoteTick, Tick,
    TickBody, UnixNanos,
};
use tick_pipeline::{
    ForwardSource, GreeksState, NoGreeks, OptionGreeks, Quality, Snapshot, SnapshotCause, StaleCause,
};

use super::{DepthMessage, GreeksMessage, LevelMessage, OhlcMessage, TickMessage};
use crate::words::{
    forward_source_word, no_greeks_word, quality_word, snapshot_cause_word, stale_cause_word,
};

const FORWARD_SOURCES: [ForwardSource; 3] =
    [ForwardSource::Parity, ForwardSource::Future, ForwardSource::SpotCarry];
const QUALITIES: [Quality; 4] = [Quality::Good, Quality::Wide, Quality::LastPrice, Quality::InTheMoneySide];
const REASONS: [NoGreeks; 8] = [
    NoGreeks::UnknownExpiry,
    NoGreeks::Expired,
    NoGreeks::NoForward,
    NoGreeks::NoPrice,
    NoGreeks::BelowIntrinsic,
    NoGreeks::AtIntrinsic,
    NoGreeks::AboveMaximum,
    NoGreeks::Unsolvable,
];
const STALE_CAUSES: [StaleCause; 10] = [
    StaleCause::Feed(GapCause::Disconnected),
    StaleCause::Feed(GapCause::Silent),
    StaleCause::Feed(GapCause::Overrun),
    StaleCause::Feed(GapCause::Undecodable),
    StaleCause::TokenLost,
    StaleCause::RateCollapse,
    StaleCause::TokenSilent,
    StaleCause::Rejected,
    StaleCause::Unsubscribed,
    StaleCause::Forward,
];
const CAUSES: [SnapshotCause; 3] = [SnapshotCause::Tick, SnapshotCause::Forward, SnapshotCause::Staleness];

/// The one of `all` that is published as `said`.
fn named<T: Copy>(all: &[T], word: impl Fn(T) -> &'static str, said: &str) -> Option<T> {
    all.iter().copied().find(|one| word(*one) == said)
}

// === impl TickMessage ===

impl TickMessage {
    /// The snapshot it was written from, as one of `catalog`; `None` when that does not list the instrument or a price is
    /// none.
    ///
    /// A word of a later version is taken for the most careful one known. Kite's own change field of an index is not
    /// published; here it is the change from the close.
    pub fn to_snapshot(&self, catalog: &InstrumentCatalog) -> Option<Snapshot> {
        let token = InstrumentToken(self.instrument_token);
        let stale = self.stale.then(|| {
            let said = self.stale_cause.as_deref().unwrap_or_default();
            named(&STALE_CAUSES, stale_cause_word, said).unwrap_or(StaleCause::Feed(GapCause::Disconnected))
        });
        let cause = named(&CAUSES, snapshot_cause_word, &self.cause).unwrap_or(SnapshotCause::Staleness);
        Some(Snapshot {
            slot: catalog.slot(token)?,
            tick: Tick { token, last_price: Price::from_f64(self.last_price)?, body: self.body()? },
            ts_recv: UnixNanos(self.ts_recv),
            ts_event: self.ts_event.map(UnixNanos),
            greeks: self.greeks_state(),
            stale,
            cause,
            tick_count: u32::from(cause == SnapshotCause::Tick),
        })
    }

    fn body(&self) -> Option<TickBody> {
        let Some(ohlc) = &self.ohlc else { return Some(TickBody::Ltp) };
        let ohlc = ohlc.prices()?;
        let exchange_timestamp = self.exchange_timestamp.map(UnixNanos::from_secs);
        let Some(average) = self.average_traded_price else {
            let change = Price::from_f64(self.last_price)? - ohlc.close;
            return Some(match self.mode.as_str() {
                "full" => TickBody::IndexFull { ohlc, change, exchange_timestamp },
                _ => TickBody::IndexQuote { ohlc, change },
            });
        };
        let quote = QuoteTick {
            last_traded_quantity: self.last_traded_quantity?,
            average_traded_price: Price::from_f64(average)?,
            volume_traded: self.volume_traded?,
            total_buy_quantity: self.total_buy_quantity?,
            total_sell_quantity: self.total_sell_quantity?,
            ohlc,
        };
        let Some(depth) = &self.depth else { return Some(TickBody::Quote(quote)) };
        Some(TickBody::Full(FullTick {
            quote,
            last_trade_time: self.last_trade_time.map(UnixNanos::from_secs),
            oi: self.oi?,
            oi_day_high: self.oi_day_high?,
            oi_day_low: self.oi_day_low?,
            exchange_timestamp,
            depth: depth.book()?,
        }))
    }

    fn greeks_state(&self) -> GreeksState {
        match (&self.greeks, &self.greeks_reason) {
            (Some(greeks), _) => {
                greeks.known().map_or(GreeksState::Absent(NoGreeks::Unsolvable), GreeksState::Known)
            }
            (None, Some(reason)) => {
                let reason = named(&REASONS, no_greeks_word, reason).unwrap_or(NoGreeks::Unsolvable);
                GreeksState::Absent(reason)
            }
            (None, None) => GreeksState::NotAnOption,
        }
    }
}

impl OhlcMessage {
    fn prices(&self) -> Option<Ohlc> {
        Some(Ohlc {
            open: Price::from_f64(self.open)?,
            high: Price::from_f64(self.high)?,
            low: Price::from_f64(self.low)?,
            close: Price::from_f64(self.close)?,
        })
    }
}

impl DepthMessage {
    fn book(&self) -> Option<Depth> {
        let side = |levels: &[LevelMessage]| {
            let mut side = [DepthLevel::default(); 5];
            for (place, level) in side.iter_mut().zip(levels) {
                let price = Price::from_f64(level.price)?;
                *place = DepthLevel { price, quantity: level.quantity, orders: level.orders };
            }
            Some(side)
        };
        Some(Depth { buy: side(&self.buy)?, sell: side(&self.sell)? })
    }
}

impl GreeksMessage {
    fn known(&self) -> Option<OptionGreeks> {
        Some(OptionGreeks {
            iv: self.iv,
            delta: self.delta,
            gamma: self.gamma,
            vega: self.vega,
            theta: self.theta,
            rho: self.rho,
            forward: self.forward,
            forward_source: named(&FORWARD_SOURCES, forward_source_word, &self.forward_source)?,
            rate: self.rate,
            t_years: self.t_years,
            quality: named(&QUALITIES, quality_word, &self.quality)?,
        })
    }
}
