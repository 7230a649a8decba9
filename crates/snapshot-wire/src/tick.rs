//! One snapshot as a published tick. The order of fields here is their order in the payload.

use market_model::{Depth, Ohlc, QuoteTick, Tick, TickBody, UnixNanos};
use tick_pipeline::{GreeksState, NoGreeks, OptionGreeks, Snapshot};

use crate::memo::{Carry, Memo};
use crate::words::{no_greeks_word, quality_word, snapshot_cause_word, stale_cause_word};
use crate::writer::{Writer, key};

/// Writes what follows the names of the instrument, and closes the tick.
///
/// Every function of this module is inlined, so that the compiler can keep the write position in a register; through
/// a reference each field would wait for the one before.
#[inline(always)]
pub(crate) fn write_values(out: &mut impl Writer, snapshot: &Snapshot, memo: &mut Memo) {
    let tick = &snapshot.tick;
    out.key(key!("mode"));
    out.word(tick.mode().as_str());
    out.key(key!("tradable"));
    out.boolean(!tick.token.is_index());
    out.key(key!("last_price"));
    out.price(tick.last_price);
    if let Some(quote) = tick.quote() {
        write_quote(out, quote);
    }
    if let Some(ohlc) = tick.ohlc() {
        write_ohlc(out, ohlc);
    }
    write_change(out, snapshot);
    write_full(out, tick);
    if let Some(ts_event) = snapshot.ts_event {
        out.key(key!("ts_event"));
        out.instant(ts_event.0);
    }
    out.key(key!("ts_recv"));
    out.instant(snapshot.ts_recv.0);
    write_greeks(out, &snapshot.greeks, memo);
    out.key(key!("stale"));
    out.boolean(snapshot.stale.is_some());
    if let Some(cause) = snapshot.stale {
        out.key(key!("stale_cause"));
        out.word(stale_cause_word(cause));
    }
    out.key(key!("cause"));
    out.word(snapshot_cause_word(snapshot.cause));
}

#[inline(always)]
fn write_quote(out: &mut impl Writer, quote: &QuoteTick) {
    out.key(key!("last_traded_quantity"));
    out.unsigned(u64::from(quote.last_traded_quantity));
    out.key(key!("average_traded_price"));
    out.price(quote.average_traded_price);
    out.key(key!("volume_traded"));
    out.unsigned(u64::from(quote.volume_traded));
    out.key(key!("total_buy_quantity"));
    out.unsigned(u64::from(quote.total_buy_quantity));
    out.key(key!("total_sell_quantity"));
    out.unsigned(u64::from(quote.total_sell_quantity));
}

#[inline(always)]
fn write_ohlc(out: &mut impl Writer, ohlc: &Ohlc) {
    out.key(key!("ohlc"));
    let map = out.open_short_map(4, key!("open"));
    out.price(ohlc.open);
    out.key(key!("high"));
    out.price(ohlc.high);
    out.key(key!("low"));
    out.price(ohlc.low);
    out.key(key!("close"));
    out.price(ohlc.close);
    out.close_short_map(map);
}

/// `change` has the operations of the official Python client in their order, so that it agrees to the last bit
/// before it is rounded to the digits of the format.
#[inline(always)]
fn write_change(out: &mut impl Writer, snapshot: &Snapshot) {
    let (Some(net), Some(ohlc)) = (snapshot.net_change(), snapshot.tick.ohlc()) else {
        return;
    };
    let close = ohlc.close.to_f64();
    out.key(key!("change"));
    out.number((snapshot.tick.last_price.to_f64() - close) * 100.0 / close);
    out.key(key!("net_change"));
    out.price(net);
}

#[inline(always)]
fn write_full(out: &mut impl Writer, tick: &Tick) {
    if let TickBody::Full(full) = &tick.body {
        if let Some(at) = full.last_trade_time {
            out.key(key!("last_trade_time"));
            out.instant(at.as_secs());
        }
        out.key(key!("oi"));
        out.unsigned(u64::from(full.oi));
        out.key(key!("oi_day_high"));
        out.unsigned(u64::from(full.oi_day_high));
        out.key(key!("oi_day_low"));
        out.unsigned(u64::from(full.oi_day_low));
    }
    if let Some(at) = tick.exchange_timestamp() {
        out.key(key!("exchange_timestamp"));
        out.instant(UnixNanos::as_secs(at));
    }
    if let Some(depth) = tick.depth() {
        write_depth(out, depth);
    }
}

#[inline(always)]
fn write_depth(out: &mut impl Writer, depth: &Depth) {
    out.key(key!("depth"));
    let map = out.open_short_map(2, key!("buy"));
    out.levels(&depth.buy);
    out.key(key!("sell"));
    out.levels(&depth.sell);
    out.close_short_map(map);
}

#[inline(always)]
fn write_greeks(out: &mut impl Writer, state: &GreeksState, memo: &mut Memo) {
    let reason = match state {
        GreeksState::NotAnOption => return,
        GreeksState::Known(greeks) if is_finite(greeks) => {
            out.key(key!("greeks"));
            write_known(out, greeks, memo);
            return;
        }
        // A number that is none is no answer; it must not reach a consumer as one.
        GreeksState::Known(_) => NoGreeks::Unsolvable,
        GreeksState::Absent(reason) => *reason,
    };
    out.key(key!("greeks"));
    out.null();
    out.key(key!("greeks_reason"));
    out.word(no_greeks_word(reason));
}

pub(crate) fn is_finite(greeks: &OptionGreeks) -> bool {
    let OptionGreeks { iv, delta, gamma, vega, theta, rho, forward, rate, t_years, .. } = *greeks;
    [iv, delta, gamma, vega, theta, rho, forward, rate, t_years].iter().all(|value| value.is_finite())
}

#[inline(always)]
fn write_known(out: &mut impl Writer, greeks: &OptionGreeks, memo: &mut Memo) {
    let map = out.open_short_map(11, key!("iv"));
    out.number(greeks.iv);
    out.key(key!("delta"));
    out.number(greeks.delta);
    out.key(key!("gamma"));
    out.number(greeks.gamma);
    out.key(key!("theta"));
    out.number(greeks.theta);
    out.key(key!("vega"));
    out.number(greeks.vega);
    out.key(key!("rho"));
    out.number(greeks.rho);
    out.carry(&Carry::of(greeks), memo);
    out.key(key!("quality"));
    out.word(quality_word(greeks.quality));
    out.close_short_map(map);
}
