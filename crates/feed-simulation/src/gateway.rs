//! The software under test on its host: ticker, pipeline, queues and sinks, wired as the gateway wires them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kite_client::{
    AccessToken, ApiKey, KiteError, Ticker, TickerCredentials, TickerEnd, TickerHandle, TickerMetrics,
};
use market_model::{CatalogError, Exchange, FeedEvent, SessionPhase, Sessions};
use tick_pipeline::{
    Fanout, Market, OverflowPolicy, Pipeline, PipelineCounts, PipelineMetrics, QueueConfig, SinkQueue,
    SinkSummary, run,
};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::SimulatedClock;
use crate::delivery::{Deliveries, Expects};
use crate::fault::Fault;
use crate::market::catalog;
use crate::network::Network;
use crate::plan::Plan;
use crate::random::Random;
use crate::server::Server;
use crate::sink::{Mood, ScriptedSink};
use crate::story::{StepsBack, Story};
use crate::tap::Tap;
use crate::trace::Trace;

/// Names of the sinks; the first one takes everything at once and never fails.
const NAMES: [&str; 4] = ["witness", "first", "second", "third"];

/// The witness's queue holds everything that a simulation can publish and folds nothing.
const WITNESS_QUEUE: QueueConfig = QueueConfig {
    max_bytes: usize::MAX,
    max_batches: usize::MAX,
    patience: Duration::from_secs(3600),
    deliver_timeout: Duration::from_secs(3600),
    overflow: OverflowPolicy::DropOldest,
};

/// What steers the gateway from outside, and what is known about it.
pub(crate) struct Controls {
    /// The ticker's commands and status.
    pub(crate) ticker: TickerHandle,
    /// Its logins.
    pub(crate) credentials: watch::Sender<Option<TickerCredentials>>,
    /// The pipeline's markets.
    pub(crate) markets: watch::Sender<Market>,
    /// What the exchanges do.
    pub(crate) sessions: watch::Sender<Sessions>,
    /// Nothing is taken from the feed while it is true.
    pub(crate) feed_stalled: watch::Sender<bool>,
    /// Ends everything.
    pub(crate) shutdown: CancellationToken,
    /// The machine's wall clock.
    pub(crate) clock: Arc<SimulatedClock>,
    /// The streams it opened.
    pub(crate) network: Network,
    /// What the ticker took from its sockets.
    pub(crate) tap: Arc<Tap>,
    /// What came out of the ticker.
    pub(crate) story: Arc<Mutex<Story>>,
    /// The sinks, the witness first.
    pub(crate) sinks: Vec<SinkControls>,
    /// How each task ended.
    pub(crate) ends: Arc<Mutex<Ends>>,
}

/// One sink.
pub(crate) struct SinkControls {
    /// What it does.
    pub(crate) mood: watch::Sender<Mood>,
    /// What it took.
    pub(crate) deliveries: Deliveries,
    /// Length and policy of its queue.
    pub(crate) config: QueueConfig,
    /// Its queue.
    pub(crate) queue: SinkQueue,
}

/// How the tasks ended.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    /// The ticker.
    pub(crate) ticker: Option<TickerEnd>,
    /// Whoever stands between ticker and pipeline.
    pub(crate) story: bool,
    /// The pipeline, and what it counted.
    pub(crate) pipeline: Option<PipelineCounts>,
    /// The sinks that ended.
    pub(crate) sinks: Vec<SinkSummary>,
    /// Everything.
    pub(crate) all: bool,
}

/// What a task was.
enum Ended {
    Ticker(TickerEnd),
    Story,
    Pipeline(PipelineCounts),
    Sink(SinkSummary),
}

/// Why a gateway cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum BuildError {
    /// The ticker refuses its settings.
    #[error("the ticker cannot be built: {0}")]
    Ticker(#[from] KiteError),
    /// The instruments are no catalog.
    #[error("the catalog cannot be built: {0}")]
    Catalog(#[from] CatalogError),
}

/// Login number `generation`.
pub(crate) fn login(generation: u64) -> TickerCredentials {
    TickerCredentials {
        api_key: ApiKey::new("simulation"),
        access_token: AccessToken::new(format!("login{generation}")),
        generation,
    }
}

/// Every exchange does the same.
pub(crate) fn all_exchanges(phase: SessionPhase) -> Sessions {
    Sessions::new([Exchange::Nse, Exchange::Nfo, Exchange::Mcx].map(|exchange| (exchange, phase)))
}

/// Builds the gateway of `plan`. The future is the software of its host.
///
/// # Errors
/// [`BuildError`] when the plan's settings cannot work.
pub(crate) fn build(
    plan: &Plan,
    server: &Server,
    trace: &Trace,
) -> Result<(Controls, impl Future<Output = turmoil::Result> + 'static), BuildError> {
    let clock = Arc::new(SimulatedClock::default());
    let network = Network::default();
    let tap = Arc::new(Tap::default());
    let (credentials, logins) = watch::channel(Some(login(1)));
    let (ticker, handle, streams) = Ticker::with_connector(
        plan.ticker.clone(),
        Arc::from("main"),
        logins,
        clock.clone(),
        TickerMetrics::noop(),
        Arc::new(network.clone()),
    )?;
    let phase = if plan.in_session { SessionPhase::Continuous } else { SessionPhase::Unknown };
    let (sessions, session_phases) = watch::channel(all_exchanges(phase));
    let ticker = ticker.with_tap(tap.clone()).follow_sessions(session_phases.clone());
    let market = Market::new(catalog(0)?);
    let (markets, newest_market) = watch::channel(market.clone());
    let pipeline = Pipeline::new(
        plan.pipeline.clone(),
        Arc::from("main"),
        true,
        market,
        clock.clone(),
        PipelineMetrics::noop(),
    )
    .follow(newest_market)
    .follow_sessions(session_phases);

    let told = Arc::new(Mutex::new(Vec::new()));
    let steps_back = StepsBack::default();
    let falls_silent = |fault: &Fault| matches!(fault, Fault::Mute(..) | Fault::HalfOpen(_));
    let mutes = plan.faults.iter().any(|(_, fault)| falls_silent(fault));
    let story = Story::new(
        trace.clone(),
        server.clone(),
        network.clone(),
        tap.clone(),
        told.clone(),
        steps_back.clone(),
        mutes,
    );
    let story = Arc::new(Mutex::new(story));
    let steady_clock = !plan.faults.iter().any(|(_, fault)| matches!(fault, Fault::ClockJump(_)));
    let mut random = Random::new(plan.seed, "sinks");
    let mut fanout = Fanout::new();
    let mut sinks = Vec::new();
    let mut scripts = Vec::new();
    for (config, name) in std::iter::once(WITNESS_QUEUE).chain(plan.sinks.iter().copied()).zip(NAMES) {
        let queue = fanout.add_sink(name, config);
        let (mood, moods) = watch::channel(Mood::default());
        let expects = Expects { conflates: plan.pipeline.batch.conflate, steady_clock };
        let deliveries = Deliveries::new(name, trace.clone(), told.clone(), steps_back.clone(), expects);
        let takes = if sinks.is_empty() { Duration::ZERO } else { random.millis(0, 60) };
        let sink = ScriptedSink { deliveries: deliveries.clone(), takes, mood: moods };
        scripts.push((sink, queue.clone()));
        sinks.push(SinkControls { mood, deliveries, config, queue });
    }

    let (feed_stalled, stalled) = watch::channel(false);
    let shutdown = CancellationToken::new();
    let ends = Arc::new(Mutex::new(Ends::default()));
    let (told_ends, stop, listener) = (ends.clone(), shutdown.clone(), story.clone());
    let software = async move {
        let mut tasks = JoinSet::new();
        // The pipeline is at most one event behind the listener.
        let (forward, events) = mpsc::channel(1);
        tasks.spawn(async move { Ended::Ticker(ticker.run(stop).await) });
        tasks.spawn(async move {
            listen(streams.feed, stalled, &listener, forward).await;
            Ended::Story
        });
        let mut texts = streams.text;
        tasks.spawn(async move { Ended::Pipeline(run(pipeline, events, fanout).await) });
        for (sink, queue) in scripts {
            tasks.spawn(async move { Ended::Sink(sink.run(queue).await) });
        }
        // Order updates are taken by nobody until the end, which must not matter.
        texts.close();
        while let Some(ended) = tasks.join_next().await {
            let mut ends = told_ends.lock().unwrap_or_else(PoisonError::into_inner);
            match ended? {
                Ended::Ticker(end) => ends.ticker = Some(end),
                Ended::Story => ends.story = true,
                Ended::Pipeline(counts) => ends.pipeline = Some(counts),
                Ended::Sink(summary) => ends.sinks.push(summary),
            }
        }
        told_ends.lock().unwrap_or_else(PoisonError::into_inner).all = true;
        Ok(())
    };
    let controls = Controls {
        ticker: handle,
        credentials,
        markets,
        sessions,
        feed_stalled,
        shutdown,
        clock,
        network,
        tap,
        story,
        sinks,
        ends,
    };
    Ok((controls, software))
}

/// Stands between ticker and pipeline: hears every event, and takes none while it is told to.
async fn listen(
    mut feed: mpsc::Receiver<FeedEvent>,
    mut stalled: watch::Receiver<bool>,
    story: &Mutex<Story>,
    forward: mpsc::Sender<FeedEvent>,
) {
    loop {
        // Nobody to tell it otherwise: it goes on.
        let _ = stalled.wait_for(|stalled| !stalled).await;
        let Some(event) = feed.recv().await else { break };
        story.lock().unwrap_or_else(PoisonError::into_inner).hear(&event);
        if forward.send(event).await.is_err() {
            break;
        }
    }
    story.lock().unwrap_or_else(PoisonError::into_inner).end();
}
