//! The accounts of all sources: a feed for each, and how each stands.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use account_pool::{Account, AccountDirectory, AccountPool, TokenState};
use feed_recorder::RecorderHandle;
use kite_client::ConnectionState;
use resilience::{SpawnedTask, Spawner, StageId, TaskExit, TaskSpec};
use tick_pipeline::{Fanout, PipelineMetrics};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::adapters::recorder::recorded;
use crate::build::restart;
use crate::feed::{AccountFeed, FeedParts, FeedView, usable_token};
use crate::link::Links;
use crate::standing::{LocalAccount, LocalAccounts};

/// How often tokens and connections are looked at. A lost token is told to the planner within this.
const LOOK: Duration = Duration::from_millis(250);

/// A feed without any connection for this long is lost, if others stand: its instruments go elsewhere.
const DOWN_FOR: Duration = Duration::from_secs(10);

/// Reading all sources again, when somebody waits for it.
const RELOAD: Duration = Duration::from_secs(10);

/// The accounts as they are used now, for everybody who asks.
#[derive(Clone, Default)]
pub(crate) struct Roster {
    feeds: Arc<RwLock<BTreeMap<Arc<str>, Arc<FeedView>>>>,
}

/// What the task works with.
pub(crate) struct FleetParts {
    pub(crate) directory: Arc<AccountDirectory>,
    pub(crate) pool: Arc<AccountPool>,
    pub(crate) links: Arc<Links>,
    pub(crate) feed: Arc<FeedParts>,
    /// Told of accounts before they are streamed.
    pub(crate) recorder: Option<RecorderHandle>,
    pub(crate) fanout: Fanout,
    pub(crate) spawner: Spawner,
    pub(crate) stage: StageId,
    pub(crate) pipeline_metrics: Arc<dyn Fn(&str) -> PipelineMetrics + Send + Sync>,
    /// How often the sources are read again.
    pub(crate) reload_every: Duration,
    /// What there is to lease.
    pub(crate) names: watch::Sender<Arc<BTreeSet<String>>>,
    /// How each account stands here.
    pub(crate) local: watch::Sender<LocalAccounts>,
}

/// Keeps feeds and accounts in step.
pub(crate) struct Fleet {
    parts: FleetParts,
    roster: Roster,
    feeds: BTreeMap<Arc<str>, Feed>,
    reload: watch::Sender<u64>,
    reloaded: watch::Sender<u64>,
}

struct Feed {
    account: Account,
    task: SpawnedTask,
    view: Arc<FeedView>,
    /// Since when no connection stands although some should.
    down_since: Option<Instant>,
}

/// Asks for the sources to be read again, now.
#[derive(Clone)]
pub(crate) struct ReloadAccounts {
    /// How often it was asked for.
    asked: watch::Sender<u64>,
    /// The last asking that was answered.
    answered: watch::Receiver<u64>,
}

// === impl Fleet ===

impl Fleet {
    /// Takes over the accounts that the directory has read.
    pub(crate) async fn new(parts: FleetParts) -> Self {
        let mut fleet = Self {
            parts,
            roster: Roster::default(),
            feeds: BTreeMap::new(),
            reload: watch::Sender::new(0),
            reloaded: watch::Sender::new(0),
        };
        fleet.follow_directory().await;
        fleet.look();
        fleet
    }

    pub(crate) fn roster(&self) -> Roster {
        self.roster.clone()
    }

    pub(crate) fn reload(&self) -> ReloadAccounts {
        ReloadAccounts { asked: self.reload.clone(), answered: self.reloaded.subscribe() }
    }

    pub(crate) async fn run(mut self, stop: CancellationToken) -> TaskExit {
        let mut asked = self.reload.subscribe();
        let (mut looks, mut reloads) = (interval(LOOK), interval(self.parts.reload_every));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        reloads.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The directory was read before the start.
        reloads.reset();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return TaskExit::Cancelled,
                Ok(()) = asked.changed() => {
                    let asking = *asked.borrow_and_update();
                    self.refresh(&stop).await;
                    self.reloaded.send_replace(asking);
                }
                _ = reloads.tick() => self.refresh(&stop).await,
                _ = looks.tick() => self.look(),
            }
        }
    }

    async fn refresh(&mut self, stop: &CancellationToken) {
        let directory = self.parts.directory.clone();
        let refreshed = tokio::select! {
            () = stop.cancelled() => return,
            refreshed = directory.refresh() => refreshed,
        };
        match refreshed {
            Ok(news) => {
                for notice in &news.notices {
                    warn!(notice, "accounts");
                }
                if !(news.added.is_empty() && news.removed.is_empty() && news.changed.is_empty()) {
                    let names = |list: &[account_pool::AccountName]| {
                        list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
                    };
                    info!(
                        added = names(&news.added),
                        removed = names(&news.removed),
                        changed = names(&news.changed),
                        "accounts changed"
                    );
                }
                self.follow_directory().await;
            }
            Err(error) => warn!(%error, "accounts cannot be read again, those known stay"),
        }
    }

    /// A feed for every account that has none, none for those that are gone.
    async fn follow_directory(&mut self) {
        let accounts = self.parts.directory.accounts();
        let before = self.parts.pool.accounts().len();
        if let Err(error) = self.parts.pool.set_accounts(&accounts) {
            warn!(%error, "a configured access token is not used");
        }
        if accounts.len() > before {
            for problem in self.parts.pool.restore().await {
                warn!(problem, "a kept access token is not used");
            }
        }
        let wanted: Vec<&Account> = accounts.iter().filter(|account| account.enabled).collect();
        let known = |name: &str| wanted.iter().find(|account| account.name.as_str() == name);
        let gone: Vec<Arc<str>> = self
            .feeds
            .iter()
            .filter(|(name, feed)| known(name).is_none_or(|account| !is_same_feed(account, &feed.account)))
            .map(|(name, _)| name.clone())
            .collect();
        for name in gone {
            if let Some(feed) = self.feeds.remove(&name) {
                feed.task.retire();
            }
            if known(&name).is_none() {
                self.parts.links.remove(&name);
                self.roster.remove(&name);
            }
        }
        if let Some(recorder) = &self.parts.recorder {
            recorder.accounts(recorded(wanted.iter().copied()));
        }
        for account in wanted {
            if !self.feeds.contains_key(account.name.as_str()) {
                self.start(account);
            }
        }
        let names: BTreeSet<String> = self.feeds.keys().map(ToString::to_string).collect();
        self.parts.names.send_if_modified(|shown| {
            let differs = **shown != names;
            if differs {
                *shown = Arc::new(names);
            }
            differs
        });
    }

    fn start(&mut self, account: &Account) {
        let name = account.name.as_str();
        let metrics = (self.parts.pipeline_metrics)(name);
        let Some(feed) = AccountFeed::new(account, &self.parts.feed, self.parts.links.of(name), metrics)
        else {
            return;
        };
        let (feed, fanout) = (Arc::new(feed), self.parts.fanout.clone());
        let view = feed.view();
        let spec = TaskSpec::optional(format!("feed/{name}"), self.parts.stage);
        let spawned = self.parts.spawner.spawn(spec, restart(), move |stop| {
            let (feed, fanout) = (feed.clone(), fanout.clone());
            async move { feed.run(fanout, stop).await }
        });
        match spawned {
            Ok(task) => {
                self.roster.show(name, view.clone());
                let feed = Feed { account: account.clone(), task, view, down_since: None };
                self.feeds.insert(name.into(), feed);
            }
            Err(error) => warn!(account = name, %error, "the feed cannot be started"),
        }
    }

    /// How each account stands now.
    fn look(&mut self) {
        let some_stands = self.feeds.values().any(|feed| !is_down(&feed.view));
        let now = Instant::now();
        let mut local = BTreeMap::new();
        for (name, feed) in &mut self.feeds {
            feed.down_since = match is_down(&feed.view) {
                true => feed.down_since.or(Some(now)),
                false => None,
            };
            let unreachable = some_stands
                && feed.down_since.is_some_and(|since| now.saturating_duration_since(since) >= DOWN_FOR);
            let lost = match self.parts.pool.board().view(name) {
                Some(view) if usable_token(&feed.account, &view).is_some() => {
                    unreachable.then(|| Arc::from("no connection stands"))
                }
                Some(view) => Some(Arc::from(token_words(view.state))),
                None => Some(Arc::from("the account is being taken out")),
            };
            let limits = feed.account.limits;
            let capacity = limits.connections as usize * limits.tokens_per_connection as usize;
            local.insert(name.clone(), LocalAccount { capacity, weight: feed.account.weight, lost });
        }
        self.parts.local.send_if_modified(|shown| {
            let differs = **shown != local;
            if differs {
                *shown = Arc::new(local);
            }
            differs
        });
    }
}

/// Whether a change needs no new feed.
fn is_same_feed(new: &Account, old: &Account) -> bool {
    (&new.api_key, &new.ticker_url, new.limits, new.simulated)
        == (&old.api_key, &old.ticker_url, old.limits, old.simulated)
}

/// Whether a feed that this instance runs has nothing that stands.
fn is_down(view: &FeedView) -> bool {
    view.status().is_some_and(|(ticker, _)| {
        let mut states = ticker.connections.iter().map(|connection| connection.state);
        !states.any(|state| matches!(state, ConnectionState::Up))
    })
}

fn token_words(state: TokenState) -> &'static str {
    match state {
        TokenState::None => "no access token",
        TokenState::Expired { .. } => "the access token has expired",
        TokenState::Refused { .. } => "the access token was refused",
        TokenState::Valid { .. } | TokenState::Expiring { .. } => "the access token cannot be used",
    }
}

// === impl Roster ===

impl Roster {
    /// The feeds by account.
    pub(crate) fn feeds(&self) -> BTreeMap<Arc<str>, Arc<FeedView>> {
        self.feeds.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn feed(&self, account: &str) -> Option<Arc<FeedView>> {
        self.feeds.read().unwrap_or_else(PoisonError::into_inner).get(account).cloned()
    }

    fn show(&self, account: &str, view: Arc<FeedView>) {
        self.feeds.write().unwrap_or_else(PoisonError::into_inner).insert(account.into(), view);
    }

    fn remove(&self, account: &str) {
        self.feeds.write().unwrap_or_else(PoisonError::into_inner).remove(account);
    }
}

// === impl ReloadAccounts ===

impl ReloadAccounts {
    pub(crate) fn now(&self) {
        self.asked.send_modify(|count| *count += 1);
    }

    /// Asks, and waits until it is done; a source that takes its time is not waited for longer than a person would.
    pub(crate) async fn done(&self) {
        let mut asking = 0;
        self.asked.send_modify(|count| {
            *count += 1;
            asking = *count;
        });
        let mut answered = self.answered.clone();
        let _ = timeout(RELOAD, answered.wait_for(|answer| *answer >= asking)).await;
    }
}
