//! One account's feed: its ticker and its pipeline worker, supervised as one so that a restart begins afresh.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use kite_client::{
    AccessToken, ApiKey, ConnectionLimits, Ticker, TickerConfig, TickerCredentials, TickerEnd, TickerHandle,
    TickerMetrics, TickerStatus,
};
use kite_wire::TextMessage;
use market_model::{Clock, SubscriptionSet};
use resilience::TaskExit;
use tick_pipeline::{Fanout, Market, Pipeline, PipelineConfig, PipelineMetrics, PipelineStatus};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::config::{Account, AccountLimits};

/// Everything one account's feed needs, for any number of runs.
pub(crate) struct AccountFeed {
    name: Arc<str>,
    ticker: TickerConfig,
    pipeline: PipelineConfig,
    simulated: bool,
    credentials: watch::Sender<Option<TickerCredentials>>,
    market: watch::Receiver<Market>,
    desired: watch::Receiver<SubscriptionSet>,
    clock: Arc<dyn Clock>,
    ticker_metrics: TickerMetrics,
    pipeline_metrics: PipelineMetrics,
    runs: AtomicU32,
    view: Arc<FeedView>,
}

/// What the health report sees of a feed; it follows the run that is under way.
#[derive(Default)]
pub(crate) struct FeedView {
    current: Mutex<Option<(TickerHandle, watch::Receiver<PipelineStatus>)>>,
}

/// What all accounts have in common.
pub(crate) struct FeedParts {
    pub(crate) limits: AccountLimits,
    pub(crate) pipeline: PipelineConfig,
    pub(crate) market: watch::Receiver<Market>,
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
        let AccountLimits { connections, tokens_per_connection } = parts.limits;
        Self {
            name: account.name.as_str().into(),
            ticker: TickerConfig {
                url: account.ticker_url.clone(),
                limits: ConnectionLimits { connections, tokens_per_connection },
                ..TickerConfig::default()
            },
            pipeline: parts.pipeline.clone(),
            simulated: account.simulated,
            credentials: watch::Sender::new(Some(credentials)),
            market: parts.market.clone(),
            desired,
            clock: parts.clock.clone(),
            ticker_metrics: parts.ticker_metrics.clone(),
            pipeline_metrics,
            runs: AtomicU32::new(0),
            view: Arc::default(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn view(&self) -> Arc<FeedView> {
        self.view.clone()
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
            None => (0..self.ticker.limits.connections).filter(|index| handle.reconnect(*index)).count() > 0,
        }
    }

    /// Runs ticker and pipeline until told to stop; then the ticker closes, the pipeline flushes what it has, and
    /// the fanout is dropped.
    pub(crate) async fn run(&self, fanout: Fanout, stop: CancellationToken) -> TaskExit {
        let made = Ticker::new(
            self.ticker.clone(),
            self.name.clone(),
            self.credentials.subscribe(),
            self.clock.clone(),
            self.ticker_metrics.clone(),
        );
        let (ticker, handle, streams) = match made {
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
        .follow(self.market.clone());
        self.view.show(handle.clone(), pipeline.status());
        let ended = stop.child_token();
        let (end, _, (), ()) = tokio::join!(
            async {
                let end = ticker.run(stop).await;
                ended.cancel();
                end
            },
            tick_pipeline::run(pipeline, streams.feed, fanout),
            follow(handle, self.desired.clone(), ended.clone()),
            read_texts(self.name.clone(), streams.text),
        );
        match end {
            TickerEnd::Shutdown => TaskExit::Cancelled,
            _ => TaskExit::Failed("the ticker ended although nobody stopped it".to_owned()),
        }
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
