//! One snapshot as a published tick. The order of fields here is their order in the payload.

use market_model::{
    Depth, DepthLevel, Instrument, InstrumentKind, Ohlc, QuoteTick, Tick, TickBody, UnixNanos,
};
use tick_pipeline::{GreeksState, NoGreeks, OptionGreeks, Snapshot};

use crate::words::{
    forward_source_word, no_greeks_word, quality_word, snapshot_cause_word, stale_cause_word,
};
use crate::writer::{Repeated, Writer, key};

/// Writes `snapshot`; `instrument` is its row in the batch's catalog.
///
/// The writer is moved to a local variable and every function of this module is inlined, so that the compiler can
/// keep the write position in a register; through a reference each field would wait for the one before.
pub(crate) fn write_tick<W: Writer>(out: &mut W, snapshot: &Snapshot, instrument: Option<&Instrument>) {
    let mut local = std::mem::take(out);
    write_fields(&mut local, snapshot, instrument);
    *out = local;
}

#[inline(always)]
fn write_fields(out: &mut impl Writer, snapshot: &Snapshot, instrument: Option<&Instrument>) {
    let tick = &snapshot.tick;
    let map = out.open_map(key!("instrument_token"));
    out.unsigned(u64::from(tick.token.0));
    if let Some(instrument) = instrument {
        write_instrument(out, instrument);
    }
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
        out.signed(ts_event.0);
    }
    out.key(key!("ts_recv"));
    out.signed(snapshot.ts_recv.0);
    write_greeks(out, &snapshot.greeks);
    out.key(key!("stale"));
    out.boolean(snapshot.stale.is_some());
    if let Some(cause) = snapshot.stale {
        out.key(key!("stale_cause"));
        out.word(stale_cause_word(cause));
    }
    out.key(key!("cause"));
    out.word(snapshot_cause_word(snapshot.cause));
    out.close_map(map);
}

#[inline(always)]
fn write_instrument(out: &mut impl Writer, instrument: &Instrument) {
    out.key(key!("tradingsymbol"));
    out.text(&instrument.tradingsymbol);
    out.key(key!("exchange"));
    out.text(instrument.exchange.as_str());
    let Some(expiry) = instrument.expiry() else {
        return;
    };
    out.key(key!("underlying"));
    out.text(&instrument.name);
    out.key(key!("expiry"));
    write_date(out, expiry.date);
    if let InstrumentKind::Option { strike, side, .. } = &instrument.kind {
        out.key(key!("strike"));
        out.price(*strike);
        out.key(key!("option_type"));
        out.word(side.as_str());
    }
}

#[inline(always)]
fn write_date(out: &mut impl Writer, date: jiff::civil::Date) {
    let digit = |value: i32| b'0' + value.rem_euclid(10) as u8;
    let (year, month, day) = (i32::from(date.year()), i32::from(date.month()), i32::from(date.day()));
    let text = [
        digit(year / 1000),
        digit(year / 100),
        digit(year / 10),
        digit(year),
        b'-',
        digit(month / 10),
        digit(month),
        b'-',
        digit(day / 10),
        digit(day),
    ];
    out.word(str::from_utf8(&text).unwrap_or_default());
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
    let map = out.open_map(key!("open"));
    out.price(ohlc.open);
    out.key(key!("high"));
    out.price(ohlc.high);
    out.key(key!("low"));
    out.price(ohlc.low);
    out.key(key!("close"));
    out.price(ohlc.close);
    out.close_map(map);
}

/// `change` has the operations of the official Python client in their order, so that it agrees to the last bit.
#[inline(always)]
fn write_change(out: &mut impl Writer, snapshot: &Snapshot) {
    let (Some(net), Some(ohlc)) = (snapshot.net_change(), snapshot.tick.ohlc()) else {
        return;
    };
    let close = ohlc.close.to_f64();
    out.key(key!("change"));
    out.double((snapshot.tick.last_price.to_f64() - close) * 100.0 / close);
    out.key(key!("net_change"));
    out.price(net);
}

#[inline(always)]
fn write_full(out: &mut impl Writer, tick: &Tick) {
    if let TickBody::Full(full) = &tick.body {
        if let Some(at) = full.last_trade_time {
            out.key(key!("last_trade_time"));
            out.signed(at.as_secs());
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
        out.signed(UnixNanos::as_secs(at));
    }
    if let Some(depth) = tick.depth() {
        write_depth(out, depth);
    }
}

#[inline(always)]
fn write_depth(out: &mut impl Writer, depth: &Depth) {
    out.key(key!("depth"));
    let map = out.open_map(key!("buy"));
    write_levels(out, &depth.buy);
    out.key(key!("sell"));
    write_levels(out, &depth.sell);
    out.close_map(map);
}

#[inline(always)]
fn write_levels(out: &mut impl Writer, levels: &[DepthLevel; 5]) {
    out.open_array(levels.len());
    for (index, level) in levels.iter().enumerate() {
        out.item(index);
        let map = out.open_map(key!("quantity"));
        out.unsigned(u64::from(level.quantity));
        out.key(key!("price"));
        out.price(level.price);
        out.key(key!("orders"));
        out.unsigned(u64::from(level.orders));
        out.close_map(map);
    }
    out.close_array();
}

#[inline(always)]
fn write_greeks(out: &mut impl Writer, state: &GreeksState) {
    let reason = match state {
        GreeksState::NotAnOption => return,
        GreeksState::Known(greeks) if is_finite(greeks) => {
            out.key(key!("greeks"));
            write_known(out, greeks);
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

fn is_finite(greeks: &OptionGreeks) -> bool {
    let OptionGreeks { iv, delta, gamma, vega, theta, rho, forward, rate, t_years, .. } = *greeks;
    [iv, delta, gamma, vega, theta, rho, forward, rate, t_years].iter().all(|value| value.is_finite())
}

#[inline(always)]
fn write_known(out: &mut impl Writer, greeks: &OptionGreeks) {
    let map = out.open_map(key!("iv"));
    out.double(greeks.iv);
    out.key(key!("delta"));
    out.double(greeks.delta);
    out.key(key!("gamma"));
    out.double(greeks.gamma);
    out.key(key!("theta"));
    out.double(greeks.theta);
    out.key(key!("vega"));
    out.double(greeks.vega);
    out.key(key!("rho"));
    out.double(greeks.rho);
    out.key(key!("forward"));
    out.repeated(Repeated::Forward, greeks.forward);
    out.key(key!("forward_source"));
    out.word(forward_source_word(greeks.forward_source));
    out.key(key!("rate"));
    out.repeated(Repeated::Rate, greeks.rate);
    out.key(key!("t_years"));
    out.repeated(Repeated::Years, greeks.t_years);
    out.key(key!("quality"));
    out.word(quality_word(greeks.quality));
    out.close_map(map);
}
