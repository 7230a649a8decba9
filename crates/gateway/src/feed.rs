//! One account's feed: its ticker and its pipeline worker, supervised as one so that a restart begins afresh.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use kite_client::{
    AccessToken, ApiKey, FrameTap, KiteError, Ticker, TickerConfig, TickerCredentials, TickerEnd,
    TickerHandle, TickerMetrics, TickerStatus, TickerStreams,
};
use kite_wire::TextMessage;
use market_model::{Clock, Sessions, SubscriptionSet};
use resilience::TaskExit;
use tick_pipeline::{Fanout, Market, Pipeline, PipelineConfig, PipelineMetrics, PipelineStatus};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::config::Account;
use crate::usual_rates::UsualRates;

/// Everything one account's feed needs, for any number of runs.
pub(crate) struct AccountFeed {
    name: Arc<str>,
    ticker: TickerConfig,
    pipeline: PipelineConfig,
    simulated: bool,
    credentials: watch::Sender<Option<TickerCredentials>>,
    market: watch::Receiver<Market>,
    desired: watch::Receiver<SubscriptionSet>,
    sessions: watch::Receiver<Sessions>,
    tap: Option<Arc<dyn FrameTap>>,
    rates: UsualRates,
    clock: Arc<dyn Clock>,
    ticker_metrics: TickerMetrics,
    pipeline_metrics: PipelineMetrics,
    runs: AtomicU32,
    view: Arc<FeedView>,
}

/// What may be done to a feed from outside, for as long as the gateway runs.
#[derive(Clone)]
pub(crate) struct FeedCommands {
    name: Arc<str>,
    credentials: watch::Sender<Option<TickerCredentials>>,
    view: Arc<FeedView>,
}

/// What the health report sees of a feed; it follows the run that is under way.
#[derive(Default)]
pub(crate) struct FeedView {
    current: Mutex<Option<(TickerHandle, watch::Receiver<PipelineStatus>)>>,
}

/// What all accounts have in common.
pub(crate) struct FeedParts {
    /// Settings of every ticker, but for the address.
    pub(crate) ticker: TickerConfig,
    pub(crate) pipeline: PipelineConfig,
    pub(crate) market: watch::Receiver<Market>,
    pub(crate) sessions: watch::Receiver<Sessions>,
    pub(crate) tap: Option<Arc<dyn FrameTap>>,
    pub(crate) data_dir: PathBuf,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ticker_metrics: TickerMetrics,
}

// === impl AccountFeed ===

impl AccountFeed {
    pub(crate) fn new(
        account: &Account,
        parts: &FeedParts,
        desired: watch::Receiver<SubscriptionSet>,
        pipeline_metrics: PipelineMetrics,
    ) -> Self {
        let credentials = TickerCredentials {
            api_key: ApiKey::new(account.api_key.expose()),
            access_token: AccessToken::new(account.access_token.expose()),
            generation: 1,
        };
        // A simulated market has no hours of its own.
        let sessions = match account.simulated {
            false => parts.sessions.clone(),
            true => watch::channel(Sessions::default()).1,
        };
        Self {
            name: account.name.as_str().into(),
            ticker: TickerConfig { url: account.ticker_url.clone(), ..parts.ticker.clone() },
            pipeline: parts.pipeline.clone(),
            simulated: account.simulated,
            credentials: watch::Sender::new(Some(credentials)),
            market: parts.market.clone(),
            desired,
            sessions,
            tap: parts.tap.clone(),
            rates: UsualRates::new(&parts.data_dir, &account.name),
            clock: parts.clock.clone(),
            ticker_metrics: parts.ticker_metrics.clone(),
            pipeline_metrics,
            runs: AtomicU32::new(0),
            view: Arc::default(),
        }
    }

    pub(crate) fn view(&self) -> Arc<FeedView> {
        self.view.clone()
    }

    pub(crate) fn commands(&self) -> FeedCommands {
        FeedCommands {
            name: self.name.clone(),
            credentials: self.credentials.clone(),
            view: self.view.clone(),
        }
    }

    /// Runs ticker and pipeline until told to stop; then the ticker closes, the pipeline flushes what it has, and
    /// the fanout is dropped.
    pub(crate) async fn run(&self, fanout: Fanout, stop: CancellationToken) -> TaskExit {
        let (ticker, handle, streams) = match self.ticker() {
            Ok(made) => made,
            Err(error) => return TaskExit::Failed(error.to_string()),
        };
        let pipeline = Pipeline::new(
            self.pipeline.clone(),
            self.source(),
            self.simulated,
            self.market.borrow().clone(),
            self.clock.clone(),
            self.pipeline_metrics.clone(),
        )
        .follow(self.market.clone())
        .follow_sessions(self.sessions.clone())
        .return_vectors_to(move |ticks| streams.recycler.give(ticks));
        self.view.show(handle.clone(), pipeline.status());
        let ended = stop.child_token();
        let (end, _, (), (), ()) = tokio::join!(
            async {
                let end = ticker.run(stop).await;
                ended.cancel();
                end
            },
            tick_pipeline::run(pipeline, streams.feed, fanout),
            follow(handle.clone(), self.desired.clone(), ended.clone()),
            self.rates.keep(&handle, &ended),
            read_texts(self.name.clone(), streams.text),
        );
        match end {
            TickerEnd::Shutdown => TaskExit::Cancelled,
            _ => TaskExit::Failed("the ticker ended although nobody stopped it".to_owned()),
        }
    }

    fn ticker(&self) -> Result<(Ticker, TickerHandle, TickerStreams), KiteError> {
        let (ticker, handle, streams) = Ticker::new(
            self.ticker.clone(),
            self.name.clone(),
            self.credentials.subscribe(),
            self.clock.clone(),
            self.ticker_metrics.clone(),
        )?;
        let ticker = ticker.follow_sessions(self.sessions.clone()).with_rate_profile(self.rates.load());
        let ticker = match &self.tap {
            Some(tap) => ticker.with_tap(tap.clone()),
            None => ticker,
        };
        Ok((ticker, handle, streams))
    }

    /// The name batches carry. A restarted pipeline counts `seq` from 1 again, so it gets a name of its own and
    /// no consumer takes the new count for a hole in the old.
    fn source(&self) -> Arc<str> {
        match self.runs.fetch_add(1, Ordering::Relaxed) {
            0 => self.name.clone(),
            again => format!("{}~{again}", self.name).into(),
        }
    }
}

// === impl FeedCommands ===

impl FeedCommands {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Changes over to another access token; answers which login that is.
    pub(crate) fn renew_token(&self, access_token: &str) -> u64 {
        let mut renewed = 0;
        self.credentials.send_modify(|credentials| {
            if let Some(credentials) = credentials {
                credentials.generation += 1;
                credentials.access_token = AccessToken::new(access_token);
                renewed = credentials.generation;
            }
        });
        renewed
    }

    /// Makes one connection anew, or all; answers whether there is such a connection.
    pub(crate) fn reconnect(&self, connection: Option<u8>) -> bool {
        let Some(handle) = self.view.handle() else { return connection.is_none() };
        match connection {
            Some(index) => handle.reconnect(index),
            None => (0..=u8::MAX).take_while(|index| handle.reconnect(*index)).count() > 0,
        }
    }
}

/// Hands every change of the desired subscriptions to the ticker.
async fn follow(
    handle: TickerHandle,
    mut desired: watch::Receiver<SubscriptionSet>,
    stop: CancellationToken,
) {
    loop {
        handle.set_desired(desired.borrow_and_update().clone());
        tokio::select! {
            () = stop.cancelled() => return,
            changed = desired.changed() => if changed.is_err() {
                return stop.cancelled().await;
            },
        }
    }
}

/// Shows the broker's notices to the operator. Order updates have no consumer in this version.
async fn read_texts(account: Arc<str>, mut texts: mpsc::Receiver<TextMessage>) {
    while let Some(text) = texts.recv().await {
        match text {
            TextMessage::Error(text) => warn!(%account, text, "the broker reports an error"),
            TextMessage::Message(text) => info!(%account, text, "notice from the broker"),
            other => debug!(%account, kind = other.kind(), "text frame"),
        }
    }
}

// === impl FeedView ===

impl FeedView {
    /// The ticker and the pipeline as they stand; `None` before the first run.
    pub(crate) fn status(&self) -> Option<(TickerStatus, PipelineStatus)> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.as_ref().map(|(handle, pipeline)| (handle.status(), pipeline.borrow().clone()))
    }

    fn handle(&self) -> Option<TickerHandle> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.as_ref().map(|(handle, _)| handle.clone())
    }

    fn show(&self, handle: TickerHandle, pipeline: watch::Receiver<PipelineStatus>) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some((handle, pipeline));
    }
}
