//! One account's feed: its ticker and its pipeline worker, supervised as one so that a restart begins afresh. It runs
//! while this instance holds the account's lease.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use account_pool::{Account, Generation, TokenBoard, TokenView};
use kite_client::{
    AccessToken, ApiKey, Carriers, ConnectionLimits, FrameTap, KiteError, Ticker, TickerConfig,
    TickerCredentials, TickerEnd, TickerHandle, TickerMetrics, TickerStatus, TickerStreams,
};
use kite_wire::TextMessage;
use market_model::{Clock, Sessions, SubscriptionSet};
use resilience::TaskExit;
use sql_store::lease::LeaseGuard;
use tick_pipeline::{Fanout, Market, Pipeline, PipelineConfig, PipelineMetrics, PipelineStatus};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::link::{Link, LinkTap};
use crate::ownership::{Speakers, Tenure};
use crate::standing::StreamedUntil;
use crate::usual_rates::UsualRates;

/// Everything one account's feed needs, for any number of runs.
pub(crate) struct AccountFeed {
    name: Arc<str>,
    account: Account,
    ticker: TickerConfig,
    parts: Arc<FeedParts>,
    tokens: watch::Receiver<TokenView>,
    sessions: watch::Receiver<Sessions>,
    link: Arc<Link>,
    rates: UsualRates,
    pipeline_metrics: PipelineMetrics,
    runs: AtomicU64,
    view: Arc<FeedView>,
}

/// What the health report sees of a feed; it follows the run that is under way.
#[derive(Default)]
pub(crate) struct FeedView {
    current: Mutex<Option<(TickerHandle, watch::Receiver<PipelineStatus>)>>,
}

/// What all accounts have in common.
pub(crate) struct FeedParts {
    /// Settings of every ticker, but for the address and the limits.
    pub(crate) ticker: TickerConfig,
    pub(crate) pipeline: PipelineConfig,
    pub(crate) market: watch::Receiver<Market>,
    pub(crate) sessions: watch::Receiver<Sessions>,
    pub(crate) tap: Option<Arc<dyn FrameTap>>,
    pub(crate) data_dir: PathBuf,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ticker_metrics: TickerMetrics,
    pub(crate) tokens: Arc<TokenBoard>,
    pub(crate) held: watch::Receiver<sql_store::lease::HeldLeases>,
    pub(crate) streamed_until: watch::Receiver<StreamedUntil>,
    pub(crate) speakers: Speakers,
    /// Which instruments tick, whatever the account.
    pub(crate) carriers: Arc<Carriers>,
}

// === impl AccountFeed ===

impl AccountFeed {
    /// `None` when the account is not on the board of tokens, because it is gone again.
    pub(crate) fn new(
        account: &Account,
        parts: &Arc<FeedParts>,
        link: Arc<Link>,
        pipeline_metrics: PipelineMetrics,
    ) -> Option<Self> {
        let name = account.name.as_str();
        // A simulated market has no hours of its own.
        let sessions = match account.simulated {
            false => parts.sessions.clone(),
            true => watch::channel(Sessions::default()).1,
        };
        let limits = ConnectionLimits {
            connections: u8::try_from(account.limits.connections).unwrap_or(u8::MAX),
            tokens_per_connection: account.limits.tokens_per_connection as usize,
        };
        Some(Self {
            name: name.into(),
            ticker: TickerConfig { url: account.ticker_url.clone(), limits, ..parts.ticker.clone() },
            tokens: parts.tokens.watch(name)?,
            sessions,
            link,
            rates: UsualRates::new(&parts.data_dir, name),
            account: account.clone(),
            parts: parts.clone(),
            pipeline_metrics,
            runs: AtomicU64::new(0),
            view: Arc::default(),
        })
    }

    pub(crate) fn view(&self) -> Arc<FeedView> {
        self.view.clone()
    }

    /// Runs ticker and pipeline under each lease until told to stop.
    pub(crate) async fn run(&self, fanout: Fanout, stop: CancellationToken) -> TaskExit {
        let mut tenure = Tenure::new(self.name.clone(), self.parts.held.clone());
        loop {
            let guard = tokio::select! {
                () = stop.cancelled() => return TaskExit::Cancelled,
                guard = tenure.begun() => match guard {
                    Some(guard) => guard,
                    None => return TaskExit::InputClosed,
                },
            };
            let run_stop = stop.child_token();
            let lost = async {
                tokio::select! {
                    () = tenure.ended(&guard) => {
                        warn!(account = %self.name, fence = guard.fence(), "lease lost, the feed stops");
                        run_stop.cancel();
                    }
                    () = run_stop.cancelled() => {}
                }
            };
            let run = async {
                let exit = self.run_under(&guard, fanout.clone(), run_stop.clone()).await;
                run_stop.cancel();
                exit
            };
            let (exit, ()) = tokio::join!(run, lost);
            self.view.clear();
            self.link.forget_states();
            if stop.is_cancelled() || exit != TaskExit::Cancelled {
                return exit;
            }
        }
    }

    /// One run: when it is stopped the ticker closes, the pipeline flushes what it has, and the fanout is dropped.
    async fn run_under(&self, guard: &LeaseGuard, fanout: Fanout, stop: CancellationToken) -> TaskExit {
        let credentials = watch::Sender::new(self.credentials());
        let (ticker, handle, streams) = match self.ticker(&credentials, guard) {
            Ok(made) => made,
            Err(error) => return TaskExit::Failed(error.to_string()),
        };
        let source = self.source(guard);
        self.parts.speakers.begin(source.clone(), guard.clone());
        let pipeline = Pipeline::new(
            self.parts.pipeline.clone(),
            source,
            self.account.simulated,
            self.parts.market.borrow().clone(),
            self.parts.clock.clone(),
            self.pipeline_metrics.clone(),
        )
        .follow(self.parts.market.clone())
        .follow_sessions(self.sessions.clone())
        .return_vectors_to(move |ticks| streams.recycler.give(ticks));
        self.view.show(handle.clone(), pipeline.status());
        let desired = self.link.desired();
        // Known before the first connection, so that the hole since another instance is told on each of them.
        handle.set_desired(desired.borrow().clone());
        let ended = stop.child_token();
        let (end, _, (), (), (), ()) = tokio::join!(
            async {
                let end = ticker.run(stop).await;
                ended.cancel();
                end
            },
            tick_pipeline::run(pipeline, streams.feed, fanout),
            follow(handle.clone(), desired, ended.clone()),
            self.follow_token(&credentials, ended.clone()),
            self.rates.keep(&handle, &ended),
            read_texts(self.name.clone(), streams.text),
        );
        match end {
            TickerEnd::Shutdown => TaskExit::Cancelled,
            _ => TaskExit::Failed("the ticker ended although nobody stopped it".to_owned()),
        }
    }

    fn ticker(
        &self,
        credentials: &watch::Sender<Option<TickerCredentials>>,
        guard: &LeaseGuard,
    ) -> Result<(Ticker, TickerHandle, TickerStreams), KiteError> {
        let (ticker, handle, streams) = Ticker::new(
            self.ticker.clone(),
            self.name.clone(),
            credentials.subscribe(),
            self.parts.clock.clone(),
            self.parts.ticker_metrics.clone(),
        )?;
        let tap = LinkTap { link: self.link.clone(), next: self.parts.tap.clone() };
        let ticker = ticker
            .follow_sessions(self.sessions.clone())
            .with_rate_profile(self.rates.load())
            .with_tap(Arc::new(tap))
            .share_carriers(self.parts.carriers.clone());
        let streamed_until = self.parts.streamed_until.borrow().get(&self.name).copied();
        let ticker = match streamed_until.filter(|_| guard.fence() > 1) {
            Some(until) => ticker.resume_after(until),
            None => ticker,
        };
        Ok((ticker, handle, streams))
    }

    /// The name batches carry. Who counts `seq` from 1 again has a name of its own, here and on every instance, so that
    /// no consumer takes the new count for a hole in the old.
    fn source(&self, guard: &LeaseGuard) -> Arc<str> {
        match (guard.fence(), self.runs.fetch_add(1, Ordering::Relaxed)) {
            (1, 0) => self.name.clone(),
            (fence, 0) => format!("{}~{fence}", self.name).into(),
            (fence, run) => format!("{}~{fence}.{run}", self.name).into(),
        }
    }

    fn credentials(&self) -> Option<TickerCredentials> {
        let view = self.tokens.borrow();
        let token = usable_token(&self.account, &view)?;
        Some(TickerCredentials {
            api_key: ApiKey::new(self.account.api_key.expose()),
            access_token: AccessToken::new(token),
            generation: view.generation.0,
        })
    }

    /// Hands every new token to the ticker, and tells the board of tokens that the broker refused.
    async fn follow_token(
        &self,
        credentials: &watch::Sender<Option<TickerCredentials>>,
        stop: CancellationToken,
    ) {
        let (mut tokens, mut losses) = (self.tokens.clone(), self.link.token_losses());
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                changed = tokens.changed() => match changed {
                    Ok(()) => drop(credentials.send_replace(self.credentials())),
                    // The account is gone; its feed is told to stop.
                    Err(_) => return stop.cancelled().await,
                },
                Ok(()) = losses.changed() => {
                    let refused = credentials.borrow().as_ref().map(|login| login.generation);
                    if let Some(generation) = refused {
                        self.parts.tokens.refused(&self.name, Generation(generation));
                    }
                }
            }
        }
    }
}

/// The token to use, if there is one. A simulator's configured token never dies, so the hour says nothing about it.
pub(crate) fn usable_token(account: &Account, view: &TokenView) -> Option<String> {
    let configured = || {
        let expired = matches!(view.state, account_pool::TokenState::Expired { .. });
        account.secrets.access_token.clone().filter(|_| account.simulated && expired)
    };
    view.token.clone().or_else(configured).map(|token| token.expose().to_owned())
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

    /// The pipeline as it stands; `None` while none runs.
    pub(crate) fn pipeline(&self) -> Option<PipelineStatus> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.as_ref().map(|(_, pipeline)| pipeline.borrow().clone())
    }

    /// Makes one connection anew, or all; answers whether there is such a connection.
    pub(crate) fn reconnect(&self, connection: Option<u8>) -> bool {
        let Some(handle) = self.handle() else { return connection.is_none() };
        match connection {
            Some(index) => handle.reconnect(index),
            None => (0..=u8::MAX).take_while(|index| handle.reconnect(*index)).count() > 0,
        }
    }

    fn handle(&self) -> Option<TickerHandle> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.as_ref().map(|(handle, _)| handle.clone())
    }

    fn clear(&self) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn show(&self, handle: TickerHandle, pipeline: watch::Receiver<PipelineStatus>) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some((handle, pipeline));
    }
}
