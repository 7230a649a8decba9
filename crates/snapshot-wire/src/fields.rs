//! Every published field with its meaning: what the documentation is generated from and checked against.

/// How a value looks in JSON (and, in the same way, in MessagePack).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// A whole number.
    Integer,
    /// A decimal number, in rupees.
    Price,
    /// A decimal number. In ticks as JSON nine significant digits of it, in MessagePack the double itself.
    Number,
    /// Text.
    Text,
    /// One of a few words.
    Word(&'static [&'static str]),
    /// `true` or `false`.
    Boolean,
    /// An object that has a table of its own, by its title.
    Object(&'static str),
    /// As [`FieldKind::Object`], or null.
    ObjectOrNull(&'static str),
    /// An array of objects that have a table of their own, by its title.
    Objects(&'static str),
    /// An array of whole numbers.
    Integers,
}

/// One field.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// How its value looks.
    pub kind: FieldKind,
    /// When it is there. Empty means always.
    pub when: &'static str,
    /// What it means, with its unit.
    pub meaning: &'static str,
}

/// The fields of one object, in the order they are written.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Name of the object.
    pub title: &'static str,
    /// Its fields.
    pub fields: &'static [Field],
}

const fn field(name: &'static str, kind: FieldKind, when: &'static str, meaning: &'static str) -> Field {
    Field { name, kind, when, meaning }
}

use FieldKind::{Boolean, Integer, Integers, Number, Object, ObjectOrNull, Objects, Price, Text, Word};

const QUOTE: &str = "modes quote and full, not for an index";
const FULL: &str = "mode full, not for an index";
const OHLC: &str = "modes quote and full";
const CHANGE: &str = "modes quote and full, once there is a previous close";
const LINK: &str = "every type but `token_lost`, `token_restored`";

/// Every object that is published.
pub const TABLES: &[Table] = &[
    Table {
        title: "batch",
        fields: &[
            field("v", Integer, "", "version of the payload, 1"),
            field("type", Word(&["ticks"]), "", "kind of message"),
            field("topic", Object("topic"), "", "what all the ticks are about"),
            field("source", Text, "", "which worker of the gateway sealed it: account and connection"),
            field(
                "seq",
                Integer,
                "",
                "rises from batch to batch of this topic and source; a hole means batches folded together or lost",
            ),
            field(
                "tick_count",
                Integer,
                "",
                "ticks the batch stands for: those shown and those they replaced",
            ),
            field(
                "tick_total",
                Integer,
                "",
                "ticks of this topic and source so far, these included: what a consumer missed since its last batch is `tick_total - tick_count` less the `tick_total` of that one",
            ),
            field("ts_publish", Integer, "", "when it was sealed, UNIX nanoseconds"),
            field("sim", Boolean, "", "`true` when the prices are simulated"),
            field("ticks", Objects("tick"), "", "newest states of instruments"),
        ],
    },
    Table {
        title: "topic",
        fields: &[
            field("exchange", Text, "", "exchange the instruments are listed on, as Kite writes it"),
            field(
                "underlying",
                Text,
                "",
                "name that derivatives carry (`NIFTY`); `CASH` for shares without derivatives, or by configuration their own symbol",
            ),
            field("kind", Word(&["underlying", "futures", "options", "equity"]), "", "kind of instrument"),
        ],
    },
    Table {
        title: "tick",
        fields: &[
            field("instrument_token", Integer, "", "Kite's number of the instrument"),
            field("tradingsymbol", Text, "", "Kite's name of the instrument, unique within the exchange"),
            field("exchange", Text, "", "where it is listed"),
            field("underlying", Text, "futures and options", "name of what it is written on"),
            field("expiry", Text, "futures and options", "last trading day, `YYYY-MM-DD`"),
            field("strike", Price, "options", "strike price"),
            field("option_type", Word(&["CE", "PE"]), "options", "call or put"),
            field("mode", Word(&["ltp", "quote", "full"]), "", "how much of the tick was asked for"),
            field("tradable", Boolean, "", "`false` for an index"),
            field("last_price", Price, "", "price of the last trade, or the value of the index"),
            field("last_traded_quantity", Integer, QUOTE, "units of the last trade"),
            field("average_traded_price", Price, QUOTE, "volume-weighted average price of the day"),
            field("volume_traded", Integer, QUOTE, "units traded today"),
            field("total_buy_quantity", Integer, QUOTE, "units wanted in the whole book"),
            field("total_sell_quantity", Integer, QUOTE, "units offered in the whole book"),
            field("ohlc", Object("ohlc"), OHLC, "prices of the day"),
            field(
                "change",
                Number,
                CHANGE,
                "change from the previous close in percent of it, as in the official Python client; nine significant digits in JSON",
            ),
            field("net_change", Price, CHANGE, "change from the previous close in rupees"),
            field(
                "last_trade_time",
                Integer,
                "mode full, once there was a trade; not for an index",
                "when the last trade happened, UNIX seconds",
            ),
            field("oi", Integer, FULL, "open interest in units"),
            field("oi_day_high", Integer, FULL, "highest open interest of the day"),
            field("oi_day_low", Integer, FULL, "lowest open interest of the day"),
            field(
                "exchange_timestamp",
                Integer,
                "mode full, once the exchange has set it",
                "the exchange's stamp, UNIX seconds",
            ),
            field("depth", Object("depth"), FULL, "the book"),
            field(
                "ts_event",
                Integer,
                "mode full, once the exchange has set it",
                "the exchange's stamp, UNIX nanoseconds (its resolution is one second)",
            ),
            field("ts_recv", Integer, "", "when the tick left the socket, UNIX nanoseconds"),
            field(
                "greeks",
                ObjectOrNull("greeks"),
                "options",
                "implied volatility and Greeks, in JSON to nine significant digits; null when they are not known",
            ),
            field(
                "greeks_reason",
                Word(&[
                    "unknown_expiry",
                    "expired",
                    "no_forward",
                    "no_price",
                    "below_intrinsic",
                    "at_intrinsic",
                    "above_maximum",
                    "unsolvable",
                ]),
                "`greeks` is null",
                "why they are not known",
            ),
            field("stale", Boolean, "", "`true` while the value cannot be trusted to be current"),
            field(
                "stale_cause",
                Word(&[
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
                ]),
                "`stale` is true",
                "why not",
            ),
            field(
                "cause",
                Word(&["tick", "forward", "staleness"]),
                "",
                "why it is published: the instrument ticked, the forward moved its Greeks, or it became stale or fresh",
            ),
        ],
    },
    Table {
        title: "ohlc",
        fields: &[
            field("open", Price, "", "first price of the day, 0 before the first trade"),
            field("high", Price, "", "highest price of the day"),
            field("low", Price, "", "lowest price of the day"),
            field("close", Price, "", "close of the previous trading day"),
        ],
    },
    Table {
        title: "depth",
        fields: &[
            field("buy", Objects("level"), "", "five bids, highest first"),
            field("sell", Objects("level"), "", "five offers, lowest first"),
        ],
    },
    Table {
        title: "level",
        fields: &[
            field(
                "quantity",
                Integer,
                "",
                "units wanted or offered; an empty level is all zeros, as Kite sends it",
            ),
            field("price", Price, "", "price of the level"),
            field("orders", Integer, "", "number of orders"),
        ],
    },
    Table {
        title: "greeks",
        fields: &[
            field("iv", Number, "", "implied volatility, a fraction per year (0.15 is 15 %)"),
            field("delta", Number, "", "value change per 1.00 of the forward"),
            field("gamma", Number, "", "change of delta per 1.00 of the forward"),
            field("theta", Number, "", "value change per calendar day"),
            field("vega", Number, "", "value change per point (0.01) of volatility"),
            field("rho", Number, "", "value change per point (0.01) of rate"),
            field("forward", Number, "", "the forward price used"),
            field(
                "forward_source",
                Word(&["parity", "future", "spot_carry"]),
                "",
                "where the forward came from: put-call parity, the future of that expiry, or the spot with carry",
            ),
            field("rate", Number, "", "discount rate used, a fraction, continuously compounded"),
            field("t_years", Number, "", "time to the end of the contract in years of 525600 minutes"),
            field(
                "quality",
                Word(&["good", "wide", "last_price", "in_the_money_side"]),
                "",
                "how far to rely on it: a narrow fresh quote, a wide quote, only a last trade, or only the in-the-money side of the strike",
            ),
        ],
    },
    Table {
        title: "health",
        fields: &[
            field("v", Integer, "", "version of the payload, 1"),
            field(
                "type",
                Word(&[
                    "connected",
                    "reconnecting",
                    "reconnected",
                    "disconnected",
                    "gap",
                    "silent",
                    "silence_ended",
                    "token_gaps",
                    "rate_collapse",
                    "rate_restored",
                    "rotated",
                    "token_lost",
                    "token_restored",
                    "subscriptions",
                ]),
                "",
                "what happened",
            ),
            field("source", Text, "", "which worker of the gateway says it"),
            field("seq", Integer, "", "one more than in the record before it of this source"),
            field("ts_publish", Integer, "", "when it was published, UNIX nanoseconds"),
            field("sim", Boolean, "", "`true` when the feed is simulated"),
            field("account", Text, "", "name of the account in the configuration"),
            field("connection", Integer, LINK, "which of the account's connections, from 0"),
            field(
                "at",
                Integer,
                "`connected`, `reconnecting`, `reconnected`, `disconnected`, `silence_ended`, `rate_collapse`, `rate_restored`, `rotated`",
                "when it happened, UNIX nanoseconds",
            ),
            field("attempt", Integer, "`reconnecting`", "which try comes next, from 1"),
            field("attempts", Integer, "`reconnected`", "how many tries it took"),
            field("delay_ms", Integer, "`reconnecting`", "milliseconds until the next try"),
            field(
                "reason",
                Word(&[
                    "closed_by_server",
                    "io",
                    "no_heartbeat",
                    "no_pong",
                    "rate_collapse",
                    "rotation",
                    "task_failed",
                    "token_refused",
                    "handshake_status",
                    "connect_timeout",
                    "token_renewed",
                    "requested",
                ]),
                "`reconnecting`, `disconnected`, `rotated`",
                "why the connection ended",
            ),
            field(
                "code",
                Integer,
                "`reason` is `handshake_status`, or `closed_by_server` with a code",
                "HTTP status or websocket close code",
            ),
            field(
                "after_ms",
                Integer,
                "`reason` is `no_heartbeat` or `no_pong`",
                "milliseconds without any frame, or without an answer to a ping",
            ),
            field(
                "overlap_ms",
                Integer,
                "`rotated`",
                "milliseconds the old and the new socket stood side by side",
            ),
            field("from", Integer, "`gap`", "last moment known to be good, UNIX nanoseconds"),
            field("to", Integer, "`gap`", "first moment known to be good again, UNIX nanoseconds"),
            field(
                "cause",
                Word(&["disconnected", "silent", "overrun", "undecodable"]),
                "`gap`, `token_gaps`",
                "why ticks are missing",
            ),
            field(
                "instrument_tokens",
                Integers,
                "`gap` that does not concern the whole connection",
                "instruments concerned",
            ),
            field("gaps", Objects("token_gap"), "`token_gaps`", "holes that ended, by instrument"),
            field("lost_ticks", Integer, "`gap` whose loss could be counted", "ticks lost"),
            field("since", Integer, "`silent`", "when the last frame of any kind arrived, UNIX nanoseconds"),
            field("rate", Number, "`rate_collapse`, `rate_restored`", "ticks per second now"),
            field(
                "baseline",
                Number,
                "`rate_collapse`",
                "ticks per second that are usual for the connection",
            ),
            field("detail", Text, "`token_lost`; `reason` is `io`", "what the server or the socket said"),
            field("changes", Objects("change"), "`subscriptions`", "what changed, in order"),
        ],
    },
    Table {
        title: "token_gap",
        fields: &[
            field("instrument_token", Integer, "", "which instrument"),
            field("from", Integer, "", "when the last tick before the hole arrived, UNIX nanoseconds"),
            field("to", Integer, "", "when the first tick after it arrived, UNIX nanoseconds"),
        ],
    },
    Table {
        title: "change",
        fields: &[
            field("instrument_token", Integer, "", "which instrument"),
            field("mode", Word(&["ltp", "quote", "full"]), "", "the wanted mode"),
            field(
                "state",
                Word(&["requested", "sent", "live", "silent", "rejected", "removed"]),
                "",
                "where the subscription stands",
            ),
        ],
    },
];

// === impl Table ===

impl Table {
    /// The table with this title.
    pub fn named(title: &str) -> Option<&'static Self> {
        TABLES.iter().find(|table| table.title == title)
    }
}
