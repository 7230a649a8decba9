//! Payloads read back: for Rust consumers of Redis or the WebSocket, and for tests. Unknown fields are ignored.

use serde::Deserialize;

mod positional;
mod snapshot;

pub use self::positional::{PositionalTick, PositionalTicks};

/// A batch or a message of ticks.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct TicksMessage {
    /// Version of the payload.
    pub v: u64,
    /// Always `ticks`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What all the ticks are about.
    #[serde(default)]
    pub topic: Option<TopicMessage>,
    /// Which worker sealed it.
    #[serde(default)]
    pub source: Option<String>,
    /// Number of the message.
    pub seq: u64,
    /// Ticks it stands for.
    #[serde(default)]
    pub tick_count: Option<u64>,
    /// Ticks that its topic and source have published with it.
    #[serde(default)]
    pub tick_total: Option<u64>,
    /// UNIX nanoseconds.
    pub ts_publish: i64,
    /// Whether the prices are simulated.
    pub sim: bool,
    /// The ticks.
    pub ticks: Vec<TickMessage>,
}

/// What ticks are about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub struct TopicMessage {
    /// Exchange.
    pub exchange: String,
    /// Underlying.
    pub underlying: String,
    /// `underlying`, `futures`, `options` or `equity`.
    pub kind: String,
}

/// One tick; the fields are those of the table `tick` in [`TABLES`](crate::TABLES).
#[expect(missing_docs, reason = "the meaning of every field stands once, in the field table")]
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct TickMessage {
    pub instrument_token: u32,
    pub tradingsymbol: Option<String>,
    pub exchange: Option<String>,
    pub underlying: Option<String>,
    pub expiry: Option<String>,
    pub strike: Option<f64>,
    pub option_type: Option<String>,
    pub mode: String,
    pub tradable: bool,
    pub last_price: f64,
    pub last_traded_quantity: Option<u32>,
    pub average_traded_price: Option<f64>,
    pub volume_traded: Option<u32>,
    pub total_buy_quantity: Option<u32>,
    pub total_sell_quantity: Option<u32>,
    pub ohlc: Option<OhlcMessage>,
    pub change: Option<f64>,
    pub net_change: Option<f64>,
    pub last_trade_time: Option<i64>,
    pub oi: Option<u32>,
    pub oi_day_high: Option<u32>,
    pub oi_day_low: Option<u32>,
    pub exchange_timestamp: Option<i64>,
    pub depth: Option<DepthMessage>,
    pub ts_event: Option<i64>,
    pub ts_recv: i64,
    pub greeks: Option<GreeksMessage>,
    pub greeks_reason: Option<String>,
    pub stale: bool,
    pub stale_cause: Option<String>,
    pub cause: String,
}

/// Prices of the day.
#[expect(missing_docs, reason = "the meaning of every field stands once, in the field table")]
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct OhlcMessage {
    pub open: f64,
    pub high: f64,
    pub low: f64,
    pub close: f64,
}

/// The book.
#[expect(missing_docs, reason = "the meaning of every field stands once, in the field table")]
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct DepthMessage {
    pub buy: Vec<LevelMessage>,
    pub sell: Vec<LevelMessage>,
}

/// One level of the book.
#[expect(missing_docs, reason = "the meaning of every field stands once, in the field table")]
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct LevelMessage {
    pub quantity: u32,
    pub price: f64,
    pub orders: u16,
}

/// Implied volatility and Greeks.
#[expect(missing_docs, reason = "the meaning of every field stands once, in the field table")]
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct GreeksMessage {
    pub iv: f64,
    pub delta: f64,
    pub gamma: f64,
    pub theta: f64,
    pub vega: f64,
    pub rho: f64,
    pub forward: f64,
    pub forward_source: String,
    pub rate: f64,
    pub t_years: f64,
    pub quality: String,
}

/// A feed-health record; the fields are those of the table `health` in [`TABLES`](crate::TABLES).
#[expect(missing_docs, reason = "the meaning of every field stands once, in the field table")]
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct HealthMessage {
    pub v: u64,
    #[serde(rename = "type")]
    pub kind: String,
    pub source: String,
    pub seq: u64,
    pub ts_publish: i64,
    pub sim: bool,
    pub account: Option<String>,
    pub connection: Option<u8>,
    pub at: Option<i64>,
    pub attempt: Option<u32>,
    pub attempts: Option<u32>,
    pub delay_ms: Option<u64>,
    pub reason: Option<String>,
    pub code: Option<u16>,
    pub after_ms: Option<u64>,
    pub overlap_ms: Option<u64>,
    pub from: Option<i64>,
    pub to: Option<i64>,
    pub cause: Option<String>,
    pub instrument_tokens: Option<Vec<u32>>,
    pub gaps: Option<Vec<TokenGapMessage>>,
    pub lost_ticks: Option<u64>,
    pub since: Option<i64>,
    pub rate: Option<f64>,
    pub baseline: Option<f64>,
    pub detail: Option<String>,
    pub changes: Option<Vec<ChangeMessage>>,
}

/// A hole of one instrument that ended.
#[expect(missing_docs, reason = "the meaning of every field stands once, in the field table")]
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TokenGapMessage {
    pub instrument_token: u32,
    pub from: i64,
    pub to: i64,
}

/// A subscription that changed its state.
#[expect(missing_docs, reason = "the meaning of every field stands once, in the field table")]
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ChangeMessage {
    pub instrument_token: u32,
    pub mode: String,
    pub state: String,
}
