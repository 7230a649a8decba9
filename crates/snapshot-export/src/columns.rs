//! The columns of the Parquet files with their units: what the files are made from and the documentation shows.

/// What a column holds, and how pandas and polars show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// Nanoseconds since 1970 in UTC (`datetime64[ns, UTC]`).
    Time,
    /// A calendar day (`date32`).
    Date,
    /// UTF-8 text.
    Text,
    /// A whole number of 64 bits.
    Integer,
    /// A double.
    Double,
    /// True or false.
    Flag,
}

/// One column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name; the names are Kite's where Kite has one.
    pub name: &'static str,
    /// What it holds.
    pub kind: ColumnKind,
    /// When it is null. Empty means never.
    pub null: &'static str,
    /// What it means, with its unit.
    pub meaning: &'static str,
}

const fn column(name: &'static str, kind: ColumnKind, null: &'static str, meaning: &'static str) -> Column {
    Column { name, kind, null, meaning }
}

use ColumnKind::{Date, Double, Flag, Integer, Text, Time};

const UNLISTED: &str = "the instrument is not in the recorded list";
const NO_CONTRACT: &str = "not a future or option";
const NO_OPTION: &str = "not an option";
const QUOTE: &str = "mode ltp, or an index";
const FULL: &str = "mode ltp or quote, or an index";
const OHLC: &str = "mode ltp";
const LEVEL: &str = "mode ltp or quote, or an index; the level is empty";
const GREEKS: &str = "not an option, or no Greeks (see greeks_reason)";

macro_rules! table {
    ($(#[$doc:meta])* $name:ident: $first:tt, $last:tt) => {
        $(#[$doc])*
        pub const $name: &[Column] = &table!(@join $first, $last);
    };
    (@join [$($first:expr,)*], [$($last:expr,)*]) => {
        [
            $($first,)*
            column("tradingsymbol", Text, UNLISTED, "Kite's name of the instrument, unique within the exchange"),
            column("exchange", Text, UNLISTED, "where it is listed"),
            column("underlying", Text, NO_CONTRACT, "name of what the contract is written on"),
            column("expiry", Date, NO_CONTRACT, "last trading day, in India"),
            column("strike", Double, NO_OPTION, "strike price, rupees"),
            column("option_type", Text, NO_OPTION, "CE or PE"),
            column("mode", Text, "", "ltp, quote or full: how much the tick carries"),
            column("last_price", Double, "", "price of the last trade, or the value of the index, rupees"),
            column("last_traded_quantity", Integer, QUOTE, "units of the last trade"),
            column("average_traded_price", Double, QUOTE, "volume-weighted average price of the day, rupees"),
            column("volume_traded", Integer, QUOTE, "units traded today"),
            column("total_buy_quantity", Integer, QUOTE, "units wanted in the whole book"),
            column("total_sell_quantity", Integer, QUOTE, "units offered in the whole book"),
            column("open", Double, OHLC, "first price of the day, rupees"),
            column("high", Double, OHLC, "highest price of the day, rupees"),
            column("low", Double, OHLC, "lowest price of the day, rupees"),
            column("close", Double, OHLC, "close of the previous trading day, rupees"),
            column("last_trade_time", Time, FULL, "when the last trade happened, whole seconds"),
            column("oi", Integer, FULL, "open interest, units"),
            column("oi_day_high", Integer, FULL, "highest open interest of the day, units"),
            column("oi_day_low", Integer, FULL, "lowest open interest of the day, units"),
            column("bid_price_1", Double, LEVEL, "best bid, rupees"),
            column("bid_quantity_1", Integer, LEVEL, "units wanted at it"),
            column("bid_orders_1", Integer, LEVEL, "orders that make up the quantity"),
            column("bid_price_2", Double, LEVEL, "second bid, rupees"),
            column("bid_quantity_2", Integer, LEVEL, "units wanted at it"),
            column("bid_orders_2", Integer, LEVEL, "orders that make up the quantity"),
            column("bid_price_3", Double, LEVEL, "third bid, rupees"),
            column("bid_quantity_3", Integer, LEVEL, "units wanted at it"),
            column("bid_orders_3", Integer, LEVEL, "orders that make up the quantity"),
            column("bid_price_4", Double, LEVEL, "fourth bid, rupees"),
            column("bid_quantity_4", Integer, LEVEL, "units wanted at it"),
            column("bid_orders_4", Integer, LEVEL, "orders that make up the quantity"),
            column("bid_price_5", Double, LEVEL, "fifth bid, rupees"),
            column("bid_quantity_5", Integer, LEVEL, "units wanted at it"),
            column("bid_orders_5", Integer, LEVEL, "orders that make up the quantity"),
            column("ask_price_1", Double, LEVEL, "best offer, rupees"),
            column("ask_quantity_1", Integer, LEVEL, "units offered at it"),
            column("ask_orders_1", Integer, LEVEL, "orders that make up the quantity"),
            column("ask_price_2", Double, LEVEL, "second offer, rupees"),
            column("ask_quantity_2", Integer, LEVEL, "units offered at it"),
            column("ask_orders_2", Integer, LEVEL, "orders that make up the quantity"),
            column("ask_price_3", Double, LEVEL, "third offer, rupees"),
            column("ask_quantity_3", Integer, LEVEL, "units offered at it"),
            column("ask_orders_3", Integer, LEVEL, "orders that make up the quantity"),
            column("ask_price_4", Double, LEVEL, "fourth offer, rupees"),
            column("ask_quantity_4", Integer, LEVEL, "units offered at it"),
            column("ask_orders_4", Integer, LEVEL, "orders that make up the quantity"),
            column("ask_price_5", Double, LEVEL, "fifth offer, rupees"),
            column("ask_quantity_5", Integer, LEVEL, "units offered at it"),
            column("ask_orders_5", Integer, LEVEL, "orders that make up the quantity"),
            $($last,)*
        ]
    };
}

table! {
    /// One row per decoded tick, in the order of arrival.
    TICK_COLUMNS: [
        column("ts_recv", Time, "", "when the frame left the socket"),
        column("ts_event", Time, "mode ltp or quote", "the exchange's stamp, whole seconds"),
        column("account", Text, "", "account whose connection carried it"),
        column("connection", Integer, "", "which of the account's connections, from 0"),
        column("instrument_token", Integer, "", "Kite's number of the instrument"),
    ], []
}

table! {
    /// One row per published snapshot, in the order of publication.
    SNAPSHOT_COLUMNS: [
        column("ts_publish", Time, "", "when its batch was sealed"),
        column("ts_recv", Time, "", "when the tick's frame left the socket"),
        column("ts_event", Time, "mode ltp or quote", "the exchange's stamp, whole seconds"),
        column("source", Text, "", "pipeline worker that published it"),
        column("seq", Integer, "", "number of its batch within source and topic"),
        column("cause", Text, "", "why it was published: tick, forward (its Greeks moved with the forward), staleness"),
        column("tick_count", Integer, "", "ticks it stands for: its own and those it replaced; 0 when it did not tick"),
        column("instrument_token", Integer, "", "Kite's number of the instrument"),
    ], [
        column("iv", Double, GREEKS, "implied volatility, a fraction per year"),
        column("delta", Double, GREEKS, "per 1.00 of the forward"),
        column("gamma", Double, GREEKS, "per 1.00 of the forward"),
        column("theta", Double, GREEKS, "per calendar day, rupees"),
        column("vega", Double, GREEKS, "per 0.01 of volatility, rupees"),
        column("rho", Double, GREEKS, "per 0.01 of rate, rupees"),
        column("forward", Double, GREEKS, "the forward used, rupees"),
        column("forward_source", Text, GREEKS, "parity, future or spot_carry"),
        column("rate", Double, GREEKS, "the discount rate used, a fraction, continuously compounded"),
        column("t_years", Double, GREEKS, "time to the contract's end, years of 525600 minutes"),
        column("quality", Text, GREEKS, "good, wide, last_price or in_the_money_side"),
        column("greeks_reason", Text, "there are Greeks, or not an option", "why there are none"),
        column("stale", Flag, "", "whether the value is not current"),
        column("stale_cause", Text, "not stale", "why it is not"),
        column("sim", Flag, "", "whether the prices are simulated"),
    ]
}

/// A Markdown table of `columns`, for the documentation.
pub fn markdown(columns: &[Column]) -> String {
    let mut out = String::from("| column | type | null when | meaning |\n| --- | --- | --- | --- |\n");
    for Column { name, kind, null, meaning } in columns {
        let kind = match kind {
            Time => "timestamp[ns, UTC]",
            Date => "date",
            Text => "string",
            Integer => "int64",
            Double => "double",
            Flag => "bool",
        };
        let null = if null.is_empty() { "never" } else { null };
        out.push_str(&format!("| `{name}` | {kind} | {null} | {meaning} |\n"));
    }
    out
}
