//! The numbers a ticker shows.

use kite_wire::DecodeErrorKind;
use metrics::{Counter, Gauge, Key, KeyName, Label, Level, Metadata, Recorder, Unit};

/// Handles of every number. Cheap to clone; all connections of all accounts add to the same ones.
#[derive(Debug, Clone)]
pub struct TickerMetrics {
    /// `websocket_pool_connections`: connections that stand.
    pub connections: Gauge,
    /// `websocket_pool_subscribed_tokens`: instruments that servers were asked to carry.
    pub subscribed_tokens: Gauge,
    /// `ticker_frames_total`: binary frames received, heartbeats included.
    pub frames: Counter,
    /// `ticker_bytes_total`: bytes in them.
    pub bytes: Counter,
    /// `ticker_ticks_total`: good packets in them.
    pub ticks: Counter,
    /// `ticker_packets_total`: packets that frames say they have: ticks and undecodable ones together.
    pub packets: Counter,
    /// `ticker_undecodable_packets_total`: packets that could not be decoded.
    pub undecodable_packets: Counter,
    /// `ticker_delivered_ticks_total`: ticks handed to the feed.
    pub delivered_ticks: Counter,
    /// `ticker_unwanted_ticks_total`: ticks of instruments that are not, or no longer, wanted.
    pub unwanted_ticks: Counter,
    /// `ticker_superseded_ticks_total`: ticks that another socket of the same connection had said already, or
    /// gone beyond.
    pub superseded_ticks: Counter,
    /// `ticker_dropped_ticks_total`: ticks dropped because the feed was full.
    pub dropped_ticks: Counter,
    /// `ticker_dropped_frames_total`: the frames they came in.
    pub dropped_frames: Counter,
    /// `ticker_texts_total`: text frames received.
    pub texts: Counter,
    /// `ticker_text_errors_total`: text frames that are not what Kite sends.
    pub text_errors: Counter,
    /// `ticker_dropped_texts_total`: text frames dropped because nobody took them.
    pub dropped_texts: Counter,
    /// `ticker_handshakes_total`: connections tried.
    pub handshakes: Counter,
    /// `ticker_reconnects_total`: connections that came back.
    pub reconnects: Counter,
    /// `ticker_rotations_total`: sockets that took the place of another without a hole.
    pub rotations: Counter,
    /// `ticker_rate_collapses_total`: connections whose rate fell far below the usual one.
    pub rate_collapses: Counter,
    /// `ticker_silences_total`: connections that fell mute, or had heartbeats only.
    pub silences: Counter,
    /// `ticker_token_refusals_total`: tokens that were refused.
    pub token_refusals: Counter,
    /// `ticker_connection_panics_total`: connection tasks that panicked and were started again.
    pub panics: Counter,
    /// `ticker_decode_errors_total` by `kind`.
    decode_errors: [Counter; DecodeErrorKind::ALL.len()],
}

// === impl TickerMetrics ===

impl TickerMetrics {
    /// Registers every number with `recorder`.
    pub fn register(recorder: &dyn Recorder) -> Self {
        let counter = |name: &'static str, help: &'static str| {
            recorder.describe_counter(KeyName::from_const_str(name), Some(Unit::Count), help.into());
            recorder.register_counter(&Key::from_static_name(name), &METADATA)
        };
        let gauge = |name: &'static str, help: &'static str| {
            recorder.describe_gauge(KeyName::from_const_str(name), Some(Unit::Count), help.into());
            recorder.register_gauge(&Key::from_static_name(name), &METADATA)
        };
        let kinds = "Frames and packets that could not be decoded";
        recorder.describe_counter(KeyName::from_const_str(DECODE_ERRORS), Some(Unit::Count), kinds.into());
        Self {
            connections: gauge("websocket_pool_connections", "Ticker connections that stand"),
            subscribed_tokens: gauge(
                "websocket_pool_subscribed_tokens",
                "Instruments that ticker servers were asked to carry",
            ),
            frames: counter("ticker_frames_total", "Binary frames received, heartbeats included"),
            bytes: counter("ticker_bytes_total", "Bytes of the binary frames"),
            ticks: counter("ticker_ticks_total", "Good packets received"),
            packets: counter("ticker_packets_total", "Packets that the frames say they have"),
            undecodable_packets: counter(
                "ticker_undecodable_packets_total",
                "Packets that could not be decoded",
            ),
            delivered_ticks: counter("ticker_delivered_ticks_total", "Ticks handed to the feed"),
            unwanted_ticks: counter("ticker_unwanted_ticks_total", "Ticks of instruments nobody wants"),
            superseded_ticks: counter("ticker_superseded_ticks_total", "Ticks said twice by two sockets"),
            dropped_ticks: counter("ticker_dropped_ticks_total", "Ticks dropped because the feed was full"),
            dropped_frames: counter(
                "ticker_dropped_frames_total",
                "Frames dropped because the feed was full",
            ),
            texts: counter("ticker_texts_total", "Text frames received"),
            text_errors: counter("ticker_text_errors_total", "Text frames that could not be read"),
            dropped_texts: counter(
                "ticker_dropped_texts_total",
                "Text frames dropped because nobody took them",
            ),
            handshakes: counter("ticker_handshakes_total", "Ticker connections tried"),
            reconnects: counter("ticker_reconnects_total", "Ticker connections that came back"),
            rotations: counter("ticker_rotations_total", "Sockets replaced without a hole"),
            rate_collapses: counter("ticker_rate_collapses_total", "Connections whose rate collapsed"),
            silences: counter("ticker_silences_total", "Ticker connections that fell mute"),
            token_refusals: counter("ticker_token_refusals_total", "Access tokens that were refused"),
            panics: counter("ticker_connection_panics_total", "Connection tasks that panicked"),
            decode_errors: DecodeErrorKind::ALL.map(|kind| {
                let key =
                    Key::from_parts(DECODE_ERRORS, vec![Label::from_static_parts("kind", kind.as_str())]);
                recorder.register_counter(&key, &METADATA)
            }),
        }
    }

    /// Numbers that nobody sees.
    pub fn noop() -> Self {
        Self::register(&metrics::NoopRecorder)
    }

    /// `ticker_decode_errors_total` of `kind`.
    pub fn decode_errors(&self, kind: DecodeErrorKind) -> &Counter {
        let at = DecodeErrorKind::ALL.iter().position(|known| *known == kind);
        &self.decode_errors[at.unwrap_or_default()]
    }
}

const DECODE_ERRORS: &str = "ticker_decode_errors_total";
const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
