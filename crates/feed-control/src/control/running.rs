//! The control task while it runs: when something happens, what is done.

use std::sync::Arc;

use tokio::time::Instant;
use tracing::{info, warn};

use crate::control::{Asked, ControlReport, FeedControl};
use crate::pace::ReloadPace;
use crate::plan::Assignments;
use crate::{
    Command, Desired, FeedLink, Footing, Outdated, Plan, PlanCause, Quotes, Resolver, StoreView, Switchboard,
    plan,
};

/// Lines of one kind in the log after one plan.
const MOST_LINES: usize = 20;

pub(super) struct Running<L, Q> {
    pub(super) control: FeedControl<L, Q>,
    resolver: Resolver,
    desired: Option<Arc<Desired>>,
    plan: Option<Arc<Plan>>,
    before: Assignments,
    switchboard: Switchboard,
    pace: ReloadPace,
    /// Generation of the kept plan taken over last.
    adopted: u64,
    answered: Asked,
    rebalance: bool,
}

// === impl Running ===

impl<L: FeedLink, Q: Quotes> Running<L, Q> {
    /// Continues the run before it, if there was one.
    pub(super) fn new(control: FeedControl<L, Q>) -> Self {
        let mut resolver = Resolver::new(control.config.ladders);
        let mut before = Assignments::default();
        if let Some(footing) = &*control.footing.borrow() {
            before = footing.assignments.clone();
            resolver.ladders_mut().adopt(footing.centres.iter().cloned());
        }
        // A footing of the store that is older than that is no news.
        let known = |view: &StoreView| view.footing.as_ref().map(|(generation, _)| *generation);
        let adopted = control.view.borrow().as_ref().and_then(known).filter(|_| !before.is_empty());
        let answered = *control.asked.borrow();
        Self {
            switchboard: Switchboard::new(control.config.switch),
            pace: ReloadPace::new(control.config.pace),
            control,
            resolver,
            desired: None,
            plan: None,
            before,
            adopted: adopted.unwrap_or(0),
            answered,
            rebalance: false,
        }
    }

    /// Makes the first plan as soon as there is something to make it from.
    pub(super) fn start(&mut self) {
        if self.plan.is_none() && self.is_ready() {
            self.adopt();
            self.make(PlanCause::Start, true);
        }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.pace.due().filter(|_| self.plan.is_some())
    }

    pub(super) fn is_switching(&self) -> bool {
        self.switchboard.is_switching()
    }

    pub(super) fn request(&mut self) {
        self.control.metrics.requests.increment(1);
        self.pace.request(Instant::now());
    }

    /// A loss is answered at once, with what is known to be wanted; anything else can wait for the next reload.
    pub(super) fn accounts_changed(&mut self) {
        let lost =
            self.plan.as_ref().is_some_and(|plan| plan.has_lost(&self.control.inputs.accounts.borrow()));
        if lost {
            self.make(PlanCause::AccountLost, false);
        }
        self.request();
    }

    pub(super) fn view_changed(&mut self) {
        self.adopt();
        self.request();
    }

    pub(super) fn asked(&mut self) {
        let asked = *self.control.asked.borrow();
        self.rebalance |= asked.rebalances != self.answered.rebalances;
        self.answered = asked;
        self.request();
    }

    pub(super) fn reload(&mut self) {
        let cause = if self.rebalance { PlanCause::Rebalance } else { PlanCause::Reload };
        self.make(cause, true);
    }

    pub(super) fn look_at_prices(&mut self) {
        let Some(desired) = &self.desired else { return };
        let inputs = &self.control.inputs;
        match self.resolver.outdated(desired, &inputs.quotes, inputs.clock.now()) {
            // Only the first time: the price may go on for as long as the reload waits.
            Some(Outdated::Moved) if self.pace.due().is_none() => self.request(),
            None | Some(Outdated::Moved) => {}
            // Neither can repeat itself, so neither needs pacing.
            Some(Outdated::FirstPrice | Outdated::Ended) => self.make(PlanCause::Due, true),
        }
    }

    pub(super) fn look_at_switch(&mut self) {
        let commands = self.switchboard.look(&self.control.inputs.link, Instant::now());
        self.tell(commands);
    }

    fn is_ready(&self) -> bool {
        self.control.view.borrow().is_some() && !self.control.inputs.catalog.borrow().is_empty()
    }

    /// Takes over a plan that was kept by an earlier run or by another instance.
    fn adopt(&mut self) {
        let view = self.control.view.borrow();
        let Some((generation, footing)) = view.as_ref().and_then(|view| view.footing.as_ref()) else {
            return;
        };
        if *generation > self.adopted {
            self.adopted = *generation;
            self.before = footing.assignments.clone();
            self.resolver.ladders_mut().adopt(footing.centres.iter().cloned());
            info!(generation, instruments = self.before.len(), "a kept plan is taken over");
        }
    }

    /// Plans and tells the tickers. Without `resolve` what is wanted is taken as it was.
    fn make(&mut self, cause: PlanCause, resolve: bool) {
        if !self.is_ready() {
            // The catalog asks again when it is there; a request that stayed due would never let the loop rest.
            if resolve {
                self.pace.ran(Instant::now());
            }
            return;
        }
        let started = std::time::Instant::now();
        let at = self.control.inputs.clock.now();
        let moves = self.resolver.ladders().moves();
        let desired = match self.desired.clone().filter(|_| !resolve) {
            Some(desired) => desired,
            None => self.resolve(at),
        };
        let accounts = self.control.inputs.accounts.borrow().clone();
        let before = if cause == PlanCause::Rebalance { &Assignments::default() } else { &self.before };
        let plan = Arc::new(plan(&desired, &accounts, before));
        let took = started.elapsed();
        let now = Instant::now();
        if resolve {
            let tokens: Vec<_> = desired.wanted.iter().map(|wanted| wanted.token).collect();
            self.control.inputs.link.follow_wishes(&tokens, at);
        }
        let commands = self.switchboard.follow(&plan, now);
        self.tell(commands);
        if resolve {
            self.pace.ran(now);
            self.rebalance = false;
        }
        let metrics = &self.control.metrics;
        metrics.plan(cause).increment(1);
        metrics.duration.record(took.as_secs_f64());
        metrics.ladder_moves.increment(self.resolver.ladders().moves() - moves);
        metrics.moved.increment(plan.changes().moved as u64);
        metrics.wanted.set(desired.len() as f64);
        metrics.refused.set(plan.changes().refused as f64);
        metrics.unmet.set(desired.unmet().len() as f64);
        self.log(&plan, cause);
        self.before = plan.assignments();
        let footing = Footing::new(self.before.clone(), self.resolver.ladders());
        self.control.footing.send_if_modified(|kept| {
            let differs = kept.as_deref() != Some(&footing);
            if differs {
                *kept = Some(Arc::new(footing));
            }
            differs
        });
        self.desired = Some(desired);
        self.plan = Some(plan.clone());
        self.control.report.send_replace(Some(Arc::new(ControlReport { plan, cause, at, took })));
    }

    fn resolve(&mut self, at: market_model::UnixNanos) -> Arc<Desired> {
        let wishes = self.control.view.borrow().as_ref().map(|view| view.book.wishes.clone());
        let catalog = self.control.inputs.catalog.borrow().clone();
        let quotes = &self.control.inputs.quotes;
        Arc::new(self.resolver.resolve(&wishes.unwrap_or_default(), &catalog, quotes, at))
    }

    fn tell(&mut self, commands: Vec<Command>) {
        for command in commands {
            self.control.inputs.link.set_desired(&command.account, command.desired);
        }
        self.control.metrics.active.set(self.switchboard.told() as f64);
        self.control.metrics.leaving.set(self.switchboard.leaving() as f64);
    }

    /// Says what changed, and names what is newly unmet or refused.
    fn log(&self, plan: &Plan, cause: PlanCause) {
        let changes = plan.changes();
        let former = self.plan.as_ref().map(|plan| plan.changes());
        let news = changes.placed + changes.moved + changes.dropped > 0
            || former.is_none_or(|former| former.refused != changes.refused);
        if news {
            info!(
                cause = cause.as_str(),
                wanted = plan.desired().len(),
                placed = changes.placed,
                moved = changes.moved,
                dropped = changes.dropped,
                refused = changes.refused,
                "subscriptions changed"
            );
        }
        let known = self.plan.as_ref().map_or(&[][..], |plan| plan.desired().unmet());
        let unmet = plan.desired().unmet().iter().filter(|unmet| !known.contains(unmet));
        for unmet in unmet.take(MOST_LINES) {
            warn!(wish = %unmet.wish, reason = %unmet.reason, "a wish cannot be met");
        }
        let known = self.plan.as_ref().map_or_else(Vec::new, |plan| plan.refusals());
        let refusals = plan.refusals().into_iter().filter(|refusal| !known.contains(refusal));
        for refusal in refusals.take(MOST_LINES) {
            warn!(%refusal, "accounts cannot carry everything");
        }
    }
}
