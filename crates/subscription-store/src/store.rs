//! What keeps wishes promises.

use std::future::Future;
use std::sync::Arc;

use crate::{Wish, WishError, WishId, WishSpec};

/// How many wishes are kept. A wish can be a whole exchange, so these are far more than anybody needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WishLimits {
    /// Of one owner.
    pub per_owner: usize,
    /// Of all owners.
    pub in_all: usize,
}

impl Default for WishLimits {
    /// 500 of one owner, 5000 in all.
    fn default() -> Self {
        Self { per_owner: 500, in_all: 5000 }
    }
}

/// Every wish at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WishBook {
    /// Grows with every change of any wish.
    pub generation: u64,
    /// The wishes by id.
    pub wishes: Arc<[Wish]>,
    /// Rows that cannot be read: id and reason. The others count nevertheless.
    pub unreadable: Arc<[(Box<str>, String)]>,
}

/// How often things were changed: what a cache asks for to know whether to read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Generations {
    /// Of the wishes.
    pub wishes: u64,
    /// Of the plan that is kept; 0 when none is.
    pub plan: u64,
}

/// A plan of the feed as it was kept, for whoever continues it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptPlan {
    /// Grows with every plan.
    pub generation: u64,
    /// The plan, in the form of its maker.
    pub content: Vec<u8>,
}

/// Keeps wishes, and for their sake the newest plan.
///
/// A change is durable when its answer is there, and it is whole or not at all. A call whose answer never came may have
/// been done: making the same wish again is harmless, and a change is seen by its version.
///
/// # Cancel safety
/// A call that is dropped has been done or not.
pub trait SubscriptionStore: Send + Sync + 'static {
    /// Keeps a new wish. When `id` is taken by the same wish, that one is the answer.
    ///
    /// # Errors
    /// [`WishError::Invalid`], [`WishError::AlreadyExists`], [`WishError::TooMany`], [`WishError::TooManyOfOwner`];
    /// [`WishError::Unavailable`] here and everywhere below.
    fn create(&self, id: &WishId, spec: &WishSpec) -> impl Future<Output = Result<Wish, WishError>> + Send;

    /// Reads a wish.
    ///
    /// # Errors
    /// [`WishError::NotFound`], [`WishError::Unreadable`].
    fn get(&self, id: &WishId) -> impl Future<Output = Result<Wish, WishError>> + Send;

    /// Replaces what a wish asks for, if it still has `version`. The answer is the wish as it stands, which may be
    /// newer still.
    ///
    /// # Errors
    /// [`WishError::Stale`] names the version it has; [`WishError::NotFound`], [`WishError::Invalid`],
    /// [`WishError::TooManyOfOwner`].
    fn update(
        &self,
        id: &WishId,
        version: u64,
        spec: &WishSpec,
    ) -> impl Future<Output = Result<Wish, WishError>> + Send;

    /// Deletes a wish, if it still has `version`.
    ///
    /// # Errors
    /// [`WishError::Stale`], [`WishError::NotFound`].
    fn delete(&self, id: &WishId, version: u64) -> impl Future<Output = Result<(), WishError>> + Send;

    /// Every wish, or those of one owner, by id.
    ///
    /// # Errors
    /// [`WishError::Unreadable`] for the first that is.
    fn list(&self, owner: Option<&str>) -> impl Future<Output = Result<Vec<Wish>, WishError>> + Send;

    /// Every wish and the generation they make, as of one moment.
    ///
    /// # Errors
    /// Only when the store cannot be reached.
    fn load(&self) -> impl Future<Output = Result<WishBook, WishError>> + Send;

    /// The two generations, by one cheap statement.
    ///
    /// # Errors
    /// Only when the store cannot be reached.
    fn generations(&self) -> impl Future<Output = Result<Generations, WishError>> + Send;

    /// The plan kept last.
    ///
    /// # Errors
    /// Only when the store cannot be reached.
    fn kept_plan(&self) -> impl Future<Output = Result<Option<KeptPlan>, WishError>> + Send;

    /// Keeps a plan made from that of generation `after` (0: from none), and answers its generation.
    ///
    /// # Errors
    /// [`WishError::StalePlan`] when another one is newer than that.
    fn keep_plan(&self, after: u64, content: &[u8]) -> impl Future<Output = Result<u64, WishError>> + Send;
}

// === impl WishBook ===

impl WishBook {
    /// These wishes and those of the configuration, which have ids of their own and no version.
    #[must_use]
    pub fn with_configured(&self, configured: &[WishSpec]) -> Self {
        let configured = configured.iter().enumerate().map(|(at, spec)| Wish {
            id: WishId::configured(at),
            version: 0,
            spec: spec.clone(),
        });
        let mut wishes: Vec<Wish> = configured.chain(self.wishes.iter().cloned()).collect();
        wishes.sort_by(|a, b| a.id.cmp(&b.id));
        Self { wishes: wishes.into(), ..self.clone() }
    }
}

impl<S: SubscriptionStore> SubscriptionStore for Arc<S> {
    async fn create(&self, id: &WishId, spec: &WishSpec) -> Result<Wish, WishError> {
        (**self).create(id, spec).await
    }

    async fn get(&self, id: &WishId) -> Result<Wish, WishError> {
        (**self).get(id).await
    }

    async fn update(&self, id: &WishId, version: u64, spec: &WishSpec) -> Result<Wish, WishError> {
        (**self).update(id, version, spec).await
    }

    async fn delete(&self, id: &WishId, version: u64) -> Result<(), WishError> {
        (**self).delete(id, version).await
    }

    async fn list(&self, owner: Option<&str>) -> Result<Vec<Wish>, WishError> {
        (**self).list(owner).await
    }

    async fn load(&self) -> Result<WishBook, WishError> {
        (**self).load().await
    }

    async fn generations(&self) -> Result<Generations, WishError> {
        (**self).generations().await
    }

    async fn kept_plan(&self) -> Result<Option<KeptPlan>, WishError> {
        (**self).kept_plan().await
    }

    async fn keep_plan(&self, after: u64, content: &[u8]) -> Result<u64, WishError> {
        (**self).keep_plan(after, content).await
    }
}
