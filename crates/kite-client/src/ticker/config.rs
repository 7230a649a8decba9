//! The settings of a ticker, and what it logs in with.

use std::fmt;
use std::time::Duration;

use resilience::BackoffConfig;
use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::ticker::connect::SocketConfig;
use crate::ticker::plan::ConnectionLimits;
use crate::{AccessToken, ApiKey, KiteError};

/// More often than this, replacing a connection costs more than it can cure.
const LEAST_ROTATION: Duration = Duration::from_secs(600);

/// Settings of one account's ticker. Plain data; [`Ticker::new`](crate::Ticker::new) checks it.
#[derive(Clone)]
pub struct TickerConfig {
    /// Where the ticker is: `wss://host[:port][/path]`, or `ws://` without TLS.
    pub url: String,
    /// How many connections and how many instruments on each.
    pub limits: ConnectionLimits,
    /// Most tokens in one command. A command of 1000 is about 10 KB.
    pub tokens_per_command: usize,
    /// Longest time for address lookup, TCP, TLS and the websocket handshake together.
    pub connect_timeout: Duration,
    /// Without a frame of any kind for this long a connection counts as dead. Kite's heartbeat comes every one
    /// to two seconds; its official clients wait five.
    pub silence_after: Duration,
    /// How often we ping.
    pub ping_every: Duration,
    /// How long an unanswered ping is borne, once the server has ever answered one.
    pub pong_timeout: Duration,
    /// Heartbeats without any tick for this long are a silence too, while an exchange trades and if ticks came
    /// before: then the connection is replaced.
    pub data_silence_after: Duration,
    /// What a collapse of the rate leads to.
    pub on_rate_collapse: RateCollapseAction,
    /// A connection is replaced for its rate no more often than this.
    pub forced_reconnect_every: Duration,
    /// Each connection is replaced after about this long, at different times; `None` for never. Without a hole
    /// where the account may open one socket more, with a short one otherwise.
    pub rotate_after: Option<Duration>,
    /// How long a new socket may take to subscribe and tick before it takes the place of another.
    pub prove_within: Duration,
    /// Most handshakes in any minute on each connection, whatever happens.
    pub handshakes_per_minute: u32,
    /// A subscription without a tick this long after it was sent is silent.
    pub silent_token_after: Duration,
    /// A connection that stood this long starts the next row of tries with the shortest delay.
    pub stable_after: Duration,
    /// Longest time for a polite close and the delivery of what still waits.
    pub close_timeout: Duration,
    /// Delays between tries.
    pub backoff: BackoffConfig,
    /// Seed of the jitter; `None` takes one from the operating system. Tests set it.
    pub seed: Option<u64>,
    /// Events in the feed channel.
    pub feed_capacity: usize,
    /// Messages in the text channel.
    pub text_capacity: usize,
    /// Longest message accepted from the server, in bytes.
    pub max_message_bytes: usize,
    /// Roots trusted beside the public ones; for a simulator or a proxy with a certificate of its own.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// How sockets are made.
    pub sockets: SocketConfig,
}

/// What is done when the rate of a connection has collapsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RateCollapseAction {
    /// It is told.
    Alarm,
    /// It is told and the connection is replaced, now and then until the rate is as usual.
    #[default]
    Reconnect,
}

/// What a connection logs in with.
#[derive(Clone, PartialEq, Eq)]
pub struct TickerCredentials {
    /// Name of the app.
    pub api_key: ApiKey,
    /// Today's token.
    pub access_token: AccessToken,
    /// Which login this token came from. Another number is another login: sockets of the former one are closed,
    /// and a refused token is tried again only under another number.
    pub generation: u64,
}

// === impl TickerConfig ===

impl Default for TickerConfig {
    fn default() -> Self {
        Self {
            url: "wss://ws.kite.trade".to_owned(),
            limits: ConnectionLimits::default(),
            tokens_per_command: 1000,
            connect_timeout: Duration::from_secs(7),
            silence_after: Duration::from_secs(5),
            ping_every: Duration::from_millis(2500),
            pong_timeout: Duration::from_secs(10),
            data_silence_after: Duration::from_secs(10),
            on_rate_collapse: RateCollapseAction::Reconnect,
            forced_reconnect_every: Duration::from_secs(300),
            rotate_after: None,
            prove_within: Duration::from_secs(10),
            // The backoff alone makes about seven.
            handshakes_per_minute: 12,
            silent_token_after: Duration::from_secs(30),
            stable_after: Duration::from_secs(10),
            close_timeout: Duration::from_secs(1),
            // Full jitter: three connections that fell together must not come back together.
            backoff: BackoffConfig {
                initial: Duration::from_secs(1),
                max: Duration::from_secs(60),
                multiplier: 2.0,
                jitter: 1.0,
            },
            seed: None,
            // Several seconds of three busy connections (some ten frames a second each); a consumer further
            // behind is better served by newer prices.
            feed_capacity: 256,
            // The order events of a few seconds at the allowed ten orders a second, many times over.
            text_capacity: 1024,
            // 3000 full packets are 558 KB.
            max_message_bytes: 1 << 20,
            extra_roots: Vec::new(),
            sockets: SocketConfig::default(),
        }
    }
}

impl TickerConfig {
    /// Refuses what cannot work.
    pub(crate) fn check(&self) -> Result<(), KiteError> {
        let zero = |duration: Duration| duration.is_zero();
        let problems = [
            ("limits.connections", self.limits.connections == 0, "at least 1"),
            ("limits.tokens_per_connection", self.limits.tokens_per_connection == 0, "at least 1"),
            ("tokens_per_command", self.tokens_per_command == 0, "at least 1"),
            ("connect_timeout", zero(self.connect_timeout), "above zero"),
            ("silence_after", zero(self.silence_after), "above zero"),
            ("ping_every", zero(self.ping_every), "above zero"),
            ("data_silence_after", zero(self.data_silence_after), "above zero"),
            ("prove_within", zero(self.prove_within), "above zero"),
            ("handshakes_per_minute", self.handshakes_per_minute == 0, "at least 1"),
            (
                "rotate_after",
                self.rotate_after.is_some_and(|every| every < LEAST_ROTATION),
                "at least ten minutes",
            ),
            ("pong_timeout", zero(self.pong_timeout), "above zero"),
            // A hole and the frame after it travel together.
            ("feed_capacity", self.feed_capacity < 2, "at least 2"),
            ("text_capacity", self.text_capacity == 0, "at least 1"),
            ("max_message_bytes", self.max_message_bytes < 1024, "at least 1024"),
        ];
        match problems.iter().find(|(_, wrong, _)| *wrong) {
            Some(&(setting, _, reason)) => Err(KiteError::InvalidSetting { setting, reason }),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for TickerConfig {
    /// Everything that may differ between installations, without the certificates and without the query of the
    /// address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TickerConfig")
            .field("url", &self.url.split('?').next().unwrap_or_default())
            .field("limits", &self.limits)
            .field("silence_after", &self.silence_after)
            .field("ping_every", &self.ping_every)
            .field("backoff", &self.backoff)
            .field("feed_capacity", &self.feed_capacity)
            .field("sockets", &self.sockets)
            .field("extra_roots", &self.extra_roots.len())
            .finish_non_exhaustive()
    }
}

// === impl TickerCredentials ===

impl fmt::Debug for TickerCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TickerCredentials").field("generation", &self.generation).finish_non_exhaustive()
    }
}
