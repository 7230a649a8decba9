//! A running ticker with everything around it that a test wants to hold.

use std::sync::Arc;
use std::time::Duration;

use kite_client::{
    AccessToken, ApiKey, ConnectionLimits, Ticker, TickerConfig, TickerCredentials, TickerEnd, TickerHandle,
    TickerMetrics, TickerStatus, TickerStreams,
};
use kite_wire::TextMessage;
use market_model::{
    Clock, FeedEvent, InstrumentToken, Mode, Subscription, SubscriptionSet, SubscriptionState, UnixNanos,
};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::server::{FakeKite, fake_kite};

/// Wall time that follows the runtime's paused time: zero when the test starts.
pub(crate) struct RuntimeClock(Instant);

pub(crate) struct Rig {
    pub(crate) kite: FakeKite,
    pub(crate) handle: TickerHandle,
    pub(crate) credentials: watch::Sender<Option<TickerCredentials>>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) streams: TickerStreams,
    pub(crate) task: JoinSet<TickerEnd>,
    metrics: Snapshotter,
    started: Instant,
}

impl Clock for RuntimeClock {
    fn now(&self) -> UnixNanos {
        UnixNanos(0) + self.0.elapsed()
    }
}

pub(crate) fn login(generation: u64) -> TickerCredentials {
    TickerCredentials {
        api_key: ApiKey::new("key"),
        access_token: AccessToken::new(format!("token{generation}")),
        generation,
    }
}

pub(crate) fn wishes(list: &[(u32, Mode)]) -> SubscriptionSet {
    (list.iter()).map(|&(token, mode)| Subscription { token: InstrumentToken(token), mode }).collect()
}

/// One connection, so that events have one order; delays without chance.
pub(crate) fn config() -> TickerConfig {
    let mut config = TickerConfig {
        url: "ws://kite.test".to_owned(),
        limits: ConnectionLimits { connections: 1, tokens_per_connection: 3000 },
        seed: Some(7),
        ..TickerConfig::default()
    };
    config.backoff.jitter = 0.0;
    config
}

// === impl Rig ===

impl Rig {
    /// A running ticker that is logged in.
    pub(crate) fn start(config: TickerConfig) -> Self {
        Self::start_with(config, Some(login(1)))
    }

    pub(crate) fn start_with(config: TickerConfig, first_login: Option<TickerCredentials>) -> Self {
        Self::start_made(config, first_login, |ticker| ticker)
    }

    /// With something done to the ticker before it runs.
    pub(crate) fn start_made(
        config: TickerConfig,
        first_login: Option<TickerCredentials>,
        make: impl FnOnce(Ticker) -> Ticker,
    ) -> Self {
        let recorder = DebuggingRecorder::new();
        let (kite, connector) = fake_kite();
        let (credentials, receiver) = watch::channel(first_login);
        let (ticker, handle, streams) = Ticker::with_connector(
            config,
            Arc::from("acc"),
            receiver,
            Arc::new(RuntimeClock(Instant::now())),
            TickerMetrics::register(&recorder),
            Arc::new(connector),
        )
        .expect("a usable configuration");
        let shutdown = CancellationToken::new();
        let mut task = JoinSet::new();
        task.spawn(make(ticker).run(shutdown.clone()));
        Self {
            kite,
            handle,
            credentials,
            shutdown,
            streams,
            task,
            metrics: recorder.snapshotter(),
            started: Instant::now(),
        }
    }

    /// The server, for a task of its own; what is left in its place is reached by nobody.
    pub(crate) fn take_kite(&mut self) -> FakeKite {
        std::mem::replace(&mut self.kite, fake_kite().0)
    }

    pub(crate) fn want(&self, list: &[(u32, Mode)]) {
        self.handle.set_desired(wishes(list));
    }

    /// The next event in words, such as `reconnecting 0 try 1 in 1s: ClosedByServer(None)`.
    pub(crate) async fn event(&mut self) -> String {
        describe(self.streams.feed.recv().await.expect("an open feed"))
    }

    /// The next event that is not about subscriptions, in words.
    pub(crate) async fn news(&mut self) -> String {
        loop {
            let event = self.event().await;
            if !event.starts_with("subscriptions") {
                return event;
            }
        }
    }

    /// Waits for these events in this order, ignoring changes of subscriptions.
    pub(crate) async fn expect(&mut self, events: &[&str]) {
        for expected in events {
            assert_eq!(self.news().await, *expected);
        }
    }

    pub(crate) async fn text(&mut self) -> TextMessage {
        self.streams.text.recv().await.expect("an open text channel")
    }

    pub(crate) fn status(&self) -> TickerStatus {
        self.handle.status()
    }

    /// Time since the start of the test.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Every number that is not zero, as `name` or `name{kind}` with its value; differences since the last call for
    /// counters.
    pub(crate) fn metrics(&self) -> Vec<String> {
        let mut lines: Vec<String> = (self.metrics.snapshot().into_vec().into_iter())
            .filter_map(|(key, _, _, value)| {
                let labels: String =
                    key.key().labels().map(|label| format!("{{{}}}", label.value())).collect();
                let value = match value {
                    DebugValue::Counter(value) => value as f64,
                    DebugValue::Gauge(value) => value.into_inner(),
                    DebugValue::Histogram(_) => return None,
                };
                (value != 0.0).then(|| format!("{}{labels} {value}", key.key().name()))
            })
            .collect();
        lines.sort();
        lines
    }

    /// Stops the ticker; answers how it ended.
    pub(crate) async fn stop(&mut self) -> TickerEnd {
        self.shutdown.cancel();
        self.ended().await
    }

    pub(crate) async fn ended(&mut self) -> TickerEnd {
        self.task.join_next().await.expect("one task").expect("no panic")
    }
}

pub(crate) fn describe(event: FeedEvent) -> String {
    match event {
        FeedEvent::Ticks(frame) => {
            let ticks: Vec<String> =
                (frame.ticks.iter()).map(|tick| format!("{}:{}", tick.token, tick.mode().as_str())).collect();
            format!("ticks {} {}", frame.connection.index, ticks.join(" "))
        }
        FeedEvent::Connected { connection, .. } => format!("connected {}", connection.index),
        FeedEvent::Reconnecting { connection, attempt, delay, reason, .. } => {
            format!("reconnecting {} try {attempt} in {delay:?}: {reason:?}", connection.index)
        }
        FeedEvent::Reconnected { connection, attempts, .. } => {
            format!("reconnected {} after {attempts}", connection.index)
        }
        FeedEvent::Disconnected { connection, reason, .. } => {
            format!("disconnected {}: {reason:?}", connection.index)
        }
        FeedEvent::Gap(gap) => {
            let millis = |at: UnixNanos| at.0 / 1_000_000;
            let tokens: Option<Vec<u32>> =
                gap.tokens.map(|tokens| tokens.iter().map(|token| token.0).collect());
            format!(
                "gap {} {:?} {}..{} ms tokens {tokens:?} lost {:?}",
                gap.connection.index,
                gap.cause,
                millis(gap.from),
                millis(gap.to),
                gap.lost_ticks
            )
        }
        FeedEvent::TokenGaps { connection, cause, gaps } => {
            let gaps: Vec<String> = (gaps.iter())
                .map(|gap| format!("{}:{}..{}", gap.token, gap.from.0 / 1_000_000, gap.to.0 / 1_000_000))
                .collect();
            format!("token gaps {} {cause:?} {} ms", connection.index, gaps.join(" "))
        }
        FeedEvent::Rotated { connection, overlap, reason, .. } => {
            format!("rotated {} after {overlap:?}: {reason:?}", connection.index)
        }
        FeedEvent::RateCollapse(collapse) => format!("rate collapsed {}", collapse.connection.index),
        FeedEvent::RateRestored { connection, .. } => format!("rate restored {}", connection.index),
        FeedEvent::Silent(silence) => format!("silent {}", silence.connection.index),
        FeedEvent::SilenceEnded { connection, .. } => format!("silence ended {}", connection.index),
        FeedEvent::TokenLost(loss) => format!("token lost {}: {}", loss.account, loss.detail),
        FeedEvent::TokenRestored { account } => format!("token restored {account}"),
        FeedEvent::Subscriptions { connection, changes } => {
            let changes: Vec<String> = (changes.iter())
                .map(|change| format!("{}:{}={}", change.token, change.mode.as_str(), word(change.state)))
                .collect();
            format!("subscriptions {} {}", connection.index, changes.join(" "))
        }
        other => format!("{other:?}"),
    }
}

fn word(state: SubscriptionState) -> String {
    format!("{state:?}").to_lowercase()
}
