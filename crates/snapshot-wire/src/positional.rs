//! MessagePack by position: every tick is an array, whose places mean what [`POSITIONS`] says.
//!
//! A quarter of the size of the same tick with names. Prices are whole paise where they are that, which is shorter and
//! exact, and words are their numbers in the lists of the documentation.

use market_model::{
    DepthLevel, Instrument, InstrumentKind, InstrumentToken, OptionSide, Price, TickBody, UnixNanos,
};
use tick_pipeline::{
    ForwardSource, GreeksState, NoGreeks, OptionGreeks, Quality, Snapshot, SnapshotCause, StaleCause,
};

use crate::batch::TicksHead;
use crate::msgpack::MessagePackWriter;
use crate::target::Target;
use crate::tick::is_finite;
use crate::words::{no_greeks_word, stale_cause_word};
use crate::writer::{Format, Writer};

/// The first item of every message. It rises when a place changes its meaning; new places at the end do not raise it.
pub const POSITIONAL_VERSION: u64 = 1;

/// What stands at which place of a tick, from 0, by the names of the table `tick`. `ohlc` is `[open, high, low, close]`,
/// `depth` 30 numbers (quantity, price, orders of five bids, then of five offers), `greeks` the fields of the table
/// `greeks` in their order. What is not there is nil.
pub const POSITIONS: [&str; 27] = [
    "instrument_token",
    "tradingsymbol",
    "exchange",
    "underlying",
    "expiry",
    "strike",
    "option_type",
    "mode",
    "tradable",
    "last_price",
    "last_traded_quantity",
    "average_traded_price",
    "volume_traded",
    "total_buy_quantity",
    "total_sell_quantity",
    "ohlc",
    "last_trade_time",
    "oi",
    "oi_day_high",
    "oi_day_low",
    "exchange_timestamp",
    "depth",
    "ts_recv",
    "greeks",
    "greeks_reason",
    "stale_cause",
    "cause",
];

/// `greeks_reason` by number.
pub(crate) const NO_GREEKS: [&str; 8] = [
    "unknown_expiry",
    "expired",
    "no_forward",
    "no_price",
    "below_intrinsic",
    "at_intrinsic",
    "above_maximum",
    "unsolvable",
];
/// `stale_cause` by number.
pub(crate) const STALE: [&str; 10] = [
    "disconnected",
    "silent",
    "overrun",
    "undecodable",
    "token_lost",
    "rate_collapse",
    "token_silent",
    "rejected",
    "unsubscribed",
    "forward",
];

/// A word that has no number yet.
const OTHER: u64 = 127;

/// The format.
pub(crate) enum Positional {}

// === impl Positional ===

impl Format for Positional {
    type Writer<T: Target> = MessagePackWriter<T>;

    const BY_POSITION: bool = true;
    const BETWEEN: &'static [u8] = b"";
    const END: &'static [u8] = b"";
    const TAIL: &'static [u8] = b"";

    #[inline(always)]
    fn writer<T: Target>(target: T, fields: u16) -> MessagePackWriter<T> {
        MessagePackWriter::new(target, fields)
    }

    fn count_fields(_: &mut impl Target, _: usize, _: u16) {}
}

/// Everything before the first tick: version, topic or nil, source or nil, seq, tick_count, tick_total, ts_publish, sim,
/// and how many ticks follow.
pub(crate) fn write_head(out: &mut impl Writer, head: &TicksHead<'_>, len: usize) {
    out.open_array(9);
    out.unsigned(POSITIONAL_VERSION);
    match head.topic {
        Some(topic) => {
            out.open_array(3);
            out.text(&topic.exchange);
            out.text(&topic.underlying);
            out.word(topic.kind.as_str());
        }
        None => out.null(),
    }
    match head.source {
        Some(source) => out.text(source),
        None => out.null(),
    }
    out.unsigned(head.seq);
    match head.tick_count {
        Some((count, total)) => {
            out.unsigned(count);
            out.unsigned(total);
        }
        None => {
            out.null();
            out.null();
        }
    }
    out.signed(head.ts_publish.0);
    out.boolean(head.sim);
    out.open_array(len);
}

/// Begins a tick: the first seven places.
pub(crate) fn write_identity(out: &mut impl Writer, token: InstrumentToken, instrument: Option<&Instrument>) {
    out.open_array(POSITIONS.len());
    out.unsigned(u64::from(token.0));
    let Some(instrument) = instrument else {
        (0..6).for_each(|_| out.null());
        return;
    };
    out.text(&instrument.tradingsymbol);
    out.text(instrument.exchange.as_str());
    match instrument.expiry() {
        Some(expiry) => {
            out.text(&instrument.name);
            out.text(&expiry.date.to_string());
        }
        None => {
            out.null();
            out.null();
        }
    }
    match &instrument.kind {
        InstrumentKind::Option { strike, side, .. } => {
            price(out, *strike);
            out.unsigned(match side {
                OptionSide::Call => 0,
                OptionSide::Put => 1,
            });
        }
        _ => {
            out.null();
            out.null();
        }
    }
}

/// The other places of a tick.
#[inline(always)]
pub(crate) fn write_values(out: &mut impl Writer, snapshot: &Snapshot) {
    let tick = &snapshot.tick;
    out.unsigned(match tick.mode() {
        market_model::Mode::Ltp => 0,
        market_model::Mode::Quote => 1,
        market_model::Mode::Full => 2,
    });
    out.boolean(!tick.token.is_index());
    price(out, tick.last_price);
    match tick.quote() {
        Some(quote) => {
            out.unsigned(u64::from(quote.last_traded_quantity));
            price(out, quote.average_traded_price);
            out.unsigned(u64::from(quote.volume_traded));
            out.unsigned(u64::from(quote.total_buy_quantity));
            out.unsigned(u64::from(quote.total_sell_quantity));
        }
        None => nothing(out, 5),
    }
    match tick.ohlc() {
        Some(ohlc) => {
            out.open_array(4);
            price(out, ohlc.open);
            price(out, ohlc.high);
            price(out, ohlc.low);
            price(out, ohlc.close);
        }
        None => out.null(),
    }
    match &tick.body {
        TickBody::Full(full) => {
            match full.last_trade_time {
                Some(at) => out.instant(at.as_secs()),
                None => out.null(),
            }
            out.unsigned(u64::from(full.oi));
            out.unsigned(u64::from(full.oi_day_high));
            out.unsigned(u64::from(full.oi_day_low));
        }
        _ => nothing(out, 4),
    }
    match tick.exchange_timestamp() {
        Some(at) => out.instant(UnixNanos::as_secs(at)),
        None => out.null(),
    }
    match tick.depth() {
        Some(depth) => {
            out.open_array(30);
            levels(out, &depth.buy);
            levels(out, &depth.sell);
        }
        None => out.null(),
    }
    out.instant(snapshot.ts_recv.0);
    write_greeks(out, &snapshot.greeks);
    match snapshot.stale {
        Some(cause) => out.unsigned(stale_number(cause)),
        None => out.null(),
    }
    out.unsigned(match snapshot.cause {
        SnapshotCause::Tick => 0,
        SnapshotCause::Forward => 1,
        SnapshotCause::Staleness => 2,
    });
}

#[inline(always)]
fn nothing(out: &mut impl Writer, places: usize) {
    for _ in 0..places {
        out.null();
    }
}

#[inline(always)]
fn levels(out: &mut impl Writer, levels: &[DepthLevel; 5]) {
    for level in levels {
        out.unsigned(u64::from(level.quantity));
        price(out, level.price);
        out.unsigned(u64::from(level.orders));
    }
}

/// `greeks` and `greeks_reason`.
#[inline(always)]
fn write_greeks(out: &mut impl Writer, state: &GreeksState) {
    let reason = match state {
        GreeksState::NotAnOption => return nothing(out, 2),
        GreeksState::Known(greeks) if is_finite(greeks) => {
            write_known(out, greeks);
            return out.null();
        }
        GreeksState::Known(_) => NoGreeks::Unsolvable,
        GreeksState::Absent(reason) => *reason,
    };
    out.null();
    out.unsigned(number_in(&NO_GREEKS, no_greeks_word(reason)));
}

#[inline(always)]
fn write_known(out: &mut impl Writer, greeks: &OptionGreeks) {
    out.open_array(11);
    for value in
        [greeks.iv, greeks.delta, greeks.gamma, greeks.theta, greeks.vega, greeks.rho, greeks.forward]
    {
        out.number(value);
    }
    out.unsigned(match greeks.forward_source {
        ForwardSource::Parity => 0,
        ForwardSource::Future => 1,
        ForwardSource::SpotCarry => 2,
    });
    out.number(greeks.rate);
    out.number(greeks.t_years);
    out.unsigned(match greeks.quality {
        Quality::Good => 0,
        Quality::Wide => 1,
        Quality::LastPrice => 2,
        Quality::InTheMoneySide => 3,
    });
}

/// Whole paise as an integer, anything finer as rupees.
#[inline(always)]
fn price(out: &mut impl Writer, price: Price) {
    const PAISA: i64 = Price::SCALE / 100;
    let paise = price.raw() / PAISA;
    if paise * PAISA == price.raw() {
        out.signed(paise);
    } else {
        out.number(price.to_f64());
    }
}

#[cold]
fn stale_number(cause: StaleCause) -> u64 {
    number_in(&STALE, stale_cause_word(cause))
}

fn number_in(words: &[&str], word: &str) -> u64 {
    words.iter().position(|known| *known == word).map_or(OTHER, |at| at as u64)
}
