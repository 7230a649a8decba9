//! The address that orders leave from, as seen from outside: looked at now and then, judged for every account.
//!
//! Nothing outside is asked unless the configuration names whom to ask.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use account_pool::{Account, AccountDirectory, AccountName, AddressVerdict, Family, Observed, look_outside};
use kite_client::{AddressFamily, SocketConfig, TcpTls};
use market_model::{Clock, UnixNanos};
use resilience::TaskExit;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::adapters::address::AddressService;

/// A provider that changes the address does so once a day at most; orders that are refused show it sooner.
const LOOK: Duration = Duration::from_secs(900);

/// Knows how this machine is seen from outside.
pub(crate) struct AddressWatch {
    service: Option<AddressService>,
    pinned: Option<Family>,
    directory: Arc<AccountDirectory>,
    clock: Arc<dyn Clock>,
    seen: watch::Sender<Option<Sighting>>,
}

/// One look from outside.
#[derive(Debug, Clone)]
struct Sighting {
    observed: Observed,
    errors: Vec<String>,
    at: UnixNanos,
}

// === impl AddressWatch ===

impl AddressWatch {
    /// Asks `url`; with `None` it knows nothing and asks nobody.
    pub(crate) fn new(
        url: Option<String>,
        connector: TcpTls,
        sockets: SocketConfig,
        directory: Arc<AccountDirectory>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let family = |local: std::net::IpAddr| if local.is_ipv4() { Family::V4 } else { Family::V6 };
        let pinned = match sockets.family {
            AddressFamily::V4 => Some(Family::V4),
            AddressFamily::V6 => Some(Family::V6),
            AddressFamily::Any => sockets.local_address.map(family),
        };
        let service = url.map(|url| AddressService { connector, sockets, url });
        Self { service, pinned, directory, clock, seen: watch::Sender::new(None) }
    }

    /// Whether there is anybody to ask.
    pub(crate) fn is_on(&self) -> bool {
        self.service.is_some()
    }

    /// Looks at the start and now and then, until `stop`.
    pub(crate) async fn run(&self, stop: CancellationToken) -> TaskExit {
        let Some(service) = &self.service else { return TaskExit::Cancelled };
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = BTreeMap::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return TaskExit::Cancelled,
                _ = looks.tick() => {}
            }
            let (observed, errors) = tokio::select! {
                () = stop.cancelled() => return TaskExit::Cancelled,
                seen = look_outside(service) => seen,
            };
            self.seen.send_replace(Some(Sighting { observed, errors, at: self.clock.now() }));
            self.tell(&mut told);
        }
    }

    /// Logs what is new.
    fn tell(&self, told: &mut BTreeMap<AccountName, AddressVerdict>) {
        for account in self.directory.accounts().iter() {
            let Some(verdict) = self.verdict(account) else { continue };
            if told.insert(account.name.clone(), verdict) == Some(verdict) {
                continue;
            }
            match verdict {
                verdict if verdict.is_good() => info!(account = %account.name, "{verdict}"),
                AddressVerdict::NothingRegistered => info!(account = %account.name, "{verdict}"),
                verdict => warn!(account = %account.name, "{verdict}"),
            }
        }
    }

    /// What the last look means for the orders of `account`; `None` before the first, and when nobody is asked.
    pub(crate) fn verdict(&self, account: &Account) -> Option<AddressVerdict> {
        let seen = self.seen.borrow();
        let observed = seen.as_ref()?.observed;
        Some(AddressVerdict::of(&account.registered_addresses, observed, self.pinned))
    }

    /// For the health report; `null` when nobody is asked.
    pub(crate) fn report(&self) -> Value {
        let Some(service) = &self.service else { return Value::Null };
        let seen = self.seen.borrow().clone();
        json!({
            "asked": service.url.split('?').next(),
            "pinned": self.pinned.map(|family| family.to_string()),
            "ipv4": seen.as_ref().and_then(|seen| seen.observed.v4),
            "ipv6": seen.as_ref().and_then(|seen| seen.observed.v6),
            "problems": seen.as_ref().map(|seen| seen.errors.clone()),
            "age_s": seen.map(|seen| self.clock.now().saturating_since(seen.at).as_secs()),
        })
    }
}
