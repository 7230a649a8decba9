//! Who decides when a call may go: not this crate, because the limits belong to the app and the account, not to a client.

use std::any::Any;
use std::fmt;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use kite_wire::api::RequestClass;

/// Lets calls go at the pace the broker allows.
pub trait Pace: Send + Sync + 'static {
    /// Waits until a call of `class` may go. The permit is held until its answer is there, so that calls in flight can be
    /// counted. The wait must be bounded by the implementation.
    fn acquire(&self, class: RequestClass) -> BoxFuture<'static, Result<PacePermit, PaceRefused>>;

    /// The broker said that a call of `class` was one too many, although it was let go.
    fn too_fast(&self, class: RequestClass) {
        let _ = class;
    }
}

/// Leave for one call. Dropping it says that the call has ended.
#[derive(Default)]
pub struct PacePermit(Option<Box<dyn Any + Send>>);

/// The call may not go, or not soon enough.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the call was not let go: {reason}")]
pub struct PaceRefused {
    /// Why, for people.
    pub reason: String,
    /// When it could go; `None` when waiting does not help.
    pub retry_after: Option<Duration>,
}

/// Lets every call go at once: for tests, and where somebody else keeps the pace.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unpaced;

impl PacePermit {
    /// A permit that drops `guard` when the call has ended.
    pub fn new(guard: impl Send + 'static) -> Self {
        Self(Some(Box::new(guard)))
    }
}

impl fmt::Debug for PacePermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "PacePermit(guarded)" } else { "PacePermit" })
    }
}

impl Pace for Unpaced {
    fn acquire(&self, _class: RequestClass) -> BoxFuture<'static, Result<PacePermit, PaceRefused>> {
        std::future::ready(Ok(PacePermit::default())).boxed()
    }
}
