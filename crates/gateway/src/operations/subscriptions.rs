//! Wishes: listed, added, changed, taken back.

use gateway_api::{OperationError, WishBody};
use serde_json::{Value, json};
use subscription_store::{AccountPreference, Priority, SubscriptionStore, What, Wish, WishId, WishSpec};

use super::{Parts, of_wish};

/// Who wants what nobody is named for.
const NOBODY: &str = "api";

impl Parts {
    pub(super) async fn subscriptions(&self) -> Result<Value, OperationError> {
        let stored = self.wishes.list(None).await.map_err(|error| of_wish(&error))?;
        let configured = self.control.report().borrow().clone();
        let configured = configured.iter().flat_map(|report| report.plan.desired().wishes().iter());
        let configured = configured.filter(|wish| wish.id.is_configured());
        Ok(configured.chain(&stored).map(shown).collect())
    }

    pub(super) async fn add_subscription(&self, body: WishBody) -> Result<Value, OperationError> {
        let spec = self.spec(body)?;
        let wish = self.wishes.create(&WishId::random(), &spec).await.map_err(|error| of_wish(&error))?;
        self.control.wishes_changed();
        Ok(shown(&wish))
    }

    pub(super) async fn change_subscription(
        &self,
        id: &str,
        version: u64,
        body: WishBody,
    ) -> Result<Value, OperationError> {
        let (id, spec) = (wish_id(id)?, self.spec(body)?);
        let wish = self.wishes.update(&id, version, &spec).await.map_err(|error| of_wish(&error))?;
        self.control.wishes_changed();
        Ok(shown(&wish))
    }

    pub(super) async fn remove_subscription(
        &self,
        id: &str,
        version: Option<u64>,
    ) -> Result<Value, OperationError> {
        let id = wish_id(id)?;
        let version = match version {
            Some(version) => version,
            None => self.wishes.get(&id).await.map_err(|error| of_wish(&error))?.version,
        };
        self.wishes.delete(&id, version).await.map_err(|error| of_wish(&error))?;
        self.control.wishes_changed();
        Ok(json!({ "id": id.as_str() }))
    }

    /// What the body asks for, if what it names exists.
    fn spec(&self, body: WishBody) -> Result<WishSpec, OperationError> {
        let owner = body.owner.as_deref().unwrap_or(NOBODY);
        let mut spec = WishSpec::parse(owner, &body.wish).map_err(|error| of_wish(&error))?;
        if let Some(priority) = body.priority {
            let priority = u8::try_from(priority)
                .map_err(|_| OperationError::Input(format!("priority {priority} is not from 0 to 255")))?;
            spec.priority = Priority(priority);
        }
        if let Some(account) = body.account {
            spec.account = AccountPreference::Prefer(account.into());
        }
        if let Some(account) = spec.account.name() {
            self.account(account)?;
        }
        self.check_listed(&spec.what)?;
        Ok(spec)
    }

    /// Before the first dump nothing can be known, and the wish is taken.
    fn check_listed(&self, what: &What) -> Result<(), OperationError> {
        let listing = self.registry.current();
        if listing.catalog().is_empty() {
            return Ok(());
        }
        match what {
            What::Instrument { exchange, tradingsymbol } => {
                let listed = listing.by_symbol(exchange, tradingsymbol).ok_or_else(|| {
                    OperationError::NotFound(format!(
                        "{exchange} does not list `{tradingsymbol}` on {}; it may have expired",
                        listing.day()
                    ))
                })?;
                let now = self.clock.now();
                match listed.expiry().and_then(|expiry| Some((expiry.date, expiry.instant?))) {
                    Some((date, end)) if end <= now => {
                        Err(OperationError::Input(format!("{exchange}:{tradingsymbol} expired on {date}")))
                    }
                    _ => Ok(()),
                }
            }
            What::Ladder(ladder) => match listing.underlying(&ladder.underlying) {
                Some(_) => Ok(()),
                None => Err(OperationError::NotFound(format!(
                    "there is no underlying `{}` today",
                    ladder.underlying
                ))),
            },
            What::Exchange { .. } => Ok(()),
        }
    }
}

fn wish_id(text: &str) -> Result<WishId, OperationError> {
    WishId::new(text).map_err(|error| of_wish(&error))
}

fn shown(wish: &Wish) -> Value {
    json!({
        "id": wish.id.as_str(),
        "version": wish.version,
        "wish": wish.spec.to_string(),
        "owner": &*wish.spec.owner,
        "priority": wish.spec.priority.0,
        "account": wish.spec.account.name().map(|name| name.to_string()),
    })
}
