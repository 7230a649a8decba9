//! The task that keeps what accounts stream in step with wishes, catalog, prices and accounts.

use std::sync::Arc;
use std::time::Duration;

use market_model::{Clock, InstrumentCatalog, UnixNanos};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use self::running::Running;
use crate::{
    AccountSlot, FeedControlMetrics, FeedLink, Footing, LadderConfig, PaceConfig, Plan, PlanCause, Quotes,
    StoreView, SwitchConfig,
};

mod running;

/// How the feed is controlled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedControlConfig {
    /// How ladders follow.
    pub ladders: LadderConfig,
    /// How reloads are coalesced.
    pub pace: PaceConfig,
    /// How plans give way to each other.
    pub switch: SwitchConfig,
    /// How often prices are looked at.
    pub look: Duration,
}

/// What the control task works with.
#[derive(Clone)]
pub struct FeedControlInputs<L, Q> {
    /// Today's instruments. Nothing is planned while it is empty.
    pub catalog: watch::Receiver<Arc<InstrumentCatalog>>,
    /// Every account of every instance.
    pub accounts: watch::Receiver<Arc<[AccountSlot]>>,
    /// The newest prices.
    pub quotes: Q,
    /// The tickers.
    pub link: L,
    /// When contracts end.
    pub clock: Arc<dyn Clock>,
}

/// The control task, ready to run. A clone continues where the run before it stopped or failed.
#[derive(Clone)]
pub struct FeedControl<L, Q> {
    config: FeedControlConfig,
    inputs: FeedControlInputs<L, Q>,
    view: watch::Receiver<Option<StoreView>>,
    asked: watch::Receiver<Asked>,
    report: watch::Sender<Option<Arc<ControlReport>>>,
    footing: watch::Sender<Option<Arc<Footing>>>,
    metrics: FeedControlMetrics,
}

/// To see what the control task does and to ask it for more.
#[derive(Debug, Clone)]
pub struct ControlHandle {
    view: watch::Sender<Option<StoreView>>,
    asked: watch::Sender<Asked>,
    nudge: watch::Sender<u64>,
    report: watch::Receiver<Option<Arc<ControlReport>>>,
    footing: watch::Receiver<Option<Arc<Footing>>>,
}

/// What was asked for, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Asked {
    reloads: u64,
    rebalances: u64,
}

/// The newest plan.
#[derive(Debug, Clone)]
pub struct ControlReport {
    /// Which instrument is where; what is wanted and what cannot be met is in [`Plan::desired`].
    pub plan: Arc<Plan>,
    /// Why it was made.
    pub cause: PlanCause,
    /// When.
    pub at: UnixNanos,
    /// How long resolving and planning took.
    pub took: Duration,
}

/// Why a task of this crate ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControlEnd {
    /// It was told to.
    Stopped,
    /// Nobody feeds it any more.
    InputClosed,
}

// === impl FeedControlConfig ===

impl Default for FeedControlConfig {
    /// Each part's own, and a look at prices every second.
    fn default() -> Self {
        Self {
            ladders: LadderConfig::default(),
            pace: PaceConfig::default(),
            switch: SwitchConfig::default(),
            look: Duration::from_secs(1),
        }
    }
}

// === impl FeedControl ===

impl<L: FeedLink, Q: Quotes> FeedControl<L, Q> {
    /// A control task and its handle. It waits for wishes, which a [`StoreSync`](crate::StoreSync) or
    /// [`ControlHandle::show`] brings, and for a catalog.
    pub fn new(
        config: FeedControlConfig,
        inputs: FeedControlInputs<L, Q>,
        metrics: FeedControlMetrics,
    ) -> (Self, ControlHandle) {
        let (view_sender, view) = watch::channel(None);
        let (asked_sender, asked) = watch::channel(Asked::default());
        let (report, report_receiver) = watch::channel(None);
        let (footing, footing_receiver) = watch::channel(None);
        let handle = ControlHandle {
            view: view_sender,
            asked: asked_sender,
            nudge: watch::Sender::new(0),
            report: report_receiver,
            footing: footing_receiver,
        };
        (Self { config, inputs, view, asked, report, footing, metrics }, handle)
    }

    /// Runs until `stop` is cancelled or the catalog's or the accounts' sender is gone. Nothing in it waits for a database
    /// or a socket.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the tickers with what they were told last.
    pub async fn run(mut self, stop: CancellationToken) -> ControlEnd {
        // What is there already is seen by the first plan.
        self.view.mark_unchanged();
        self.inputs.catalog.mark_unchanged();
        self.inputs.accounts.mark_unchanged();
        self.asked.mark_unchanged();
        let mut looks = interval(self.config.look);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let switch_look = self.config.switch.look;
        let mut running = Running::new(self);
        let mut next_switch_look = Instant::now();
        loop {
            running.start();
            let due = running.due();
            let switching = running.is_switching();
            let FeedControl { inputs, view, asked, .. } = &mut running.control;
            tokio::select! {
                biased;
                () = stop.cancelled() => return ControlEnd::Stopped,
                changed = inputs.accounts.changed() => match changed {
                    Ok(()) => running.accounts_changed(),
                    Err(_) => return ControlEnd::InputClosed,
                },
                changed = inputs.catalog.changed() => match changed {
                    Ok(()) => running.request(),
                    Err(_) => return ControlEnd::InputClosed,
                },
                Ok(()) = view.changed() => running.view_changed(),
                Ok(()) = asked.changed() => running.asked(),
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => running.reload(),
                () = sleep_until(next_switch_look), if switching => {
                    running.look_at_switch();
                    next_switch_look = Instant::now() + switch_look;
                }
                _ = looks.tick() => running.look_at_prices(),
            }
        }
    }
}

// === impl ControlHandle ===

impl ControlHandle {
    /// Plans anew, soon, together with whatever else is asked for meanwhile.
    pub fn reload(&self) {
        self.asked.send_modify(|asked| asked.reloads += 1);
    }

    /// Spreads everything as if it were on no account yet. Moves many instruments, each without a hole.
    pub fn rebalance(&self) {
        self.asked.send_modify(|asked| asked.rebalances += 1);
    }

    /// Wishes were changed through the store: do not wait for the next look at it.
    pub fn wishes_changed(&self) {
        self.nudge.send_modify(|count| *count += 1);
    }

    /// These are the wishes from now on. A [`StoreSync`](crate::StoreSync) does this.
    pub fn show(&self, view: StoreView) {
        self.view.send_replace(Some(view));
    }

    /// The newest plan; `None` before the first.
    pub fn report(&self) -> watch::Receiver<Option<Arc<ControlReport>>> {
        self.report.clone()
    }

    /// What to keep of the newest plan.
    pub(crate) fn footing(&self) -> watch::Receiver<Option<Arc<Footing>>> {
        self.footing.clone()
    }

    pub(crate) fn nudges(&self) -> watch::Receiver<u64> {
        self.nudge.subscribe()
    }
}
