//! From wishes to assignments over accounts and connections.
//!
//! Three pure parts and a thin task around them: [`Resolver`] says what wishes come to today and moves strike ladders with
//! their forward; [`plan`] puts it on accounts, moving as little as it can and knowing why; [`Switchboard`] goes from one
//! plan to the next without a hole. [`FeedControl`] feeds them and tells the tickers through [`FeedLink`]; [`StoreSync`]
//! reads wishes and keeps the newest plan. This crate refuses to know brokers, sockets, and how an account gets its token.
//!
//! ```
//! use std::sync::Arc;
//! use feed_control::{AccountSlot, Assignments, LadderConfig, Quote, Quotes, Resolver, plan};
//! use market_model::{InstrumentCatalog, InstrumentToken, UnixNanos};
//! use subscription_store::{MemorySubscriptionStore, SubscriptionStore, WishId, WishSpec};
//!
//! struct NoPrices;
//! impl Quotes for NoPrices {
//!     fn last(&self, _: InstrumentToken) -> Option<Quote> { None }
//! }
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = MemorySubscriptionStore::default();
//! store.create(&WishId::new("it")?, &WishSpec::parse("desk", "NSE:INFY:quote")?).await?;
//! let (wishes, catalog) = (store.load().await?.wishes, Arc::new(InstrumentCatalog::default()));
//! let mut resolver = Resolver::new(LadderConfig::default());
//! let desired = Arc::new(resolver.resolve(&wishes, &catalog, &NoPrices, UnixNanos::from_secs(0)));
//! assert_eq!(desired.unmet()[0].to_string(), "wish `it`: NSE does not list `INFY` today");
//! let first = plan(&desired, &[AccountSlot::ready("main", 9000)], &Assignments::default());
//! let next = plan(&desired, &[AccountSlot::ready("main", 9000)], &first.assignments());
//! assert_eq!(next.changes().moved, 0);
//! # Ok(())
//! # }
//! ```

mod account;
mod control;
mod desired;
mod error;
mod footing;
mod ladder;
mod link;
mod metrics;
mod pace;
mod place;
mod plan;
mod quotes;
mod resolve;
mod switch;
mod sync;
#[cfg(any(test, feature = "test-util"))]
pub mod testing;

pub use account::{AccountSlot, AccountState};
pub use control::{
    ControlEnd, ControlHandle, ControlReport, FeedControl, FeedControlConfig, FeedControlInputs,
};
pub use desired::{Desired, LadderStanding, Unmet, UnmetReason, Wanted};
pub use error::FeedControlError;
pub use footing::Footing;
pub use ladder::{ChainKey, LadderConfig, Ladders};
pub use link::FeedLink;
pub use metrics::{FeedControlMetrics, PlanCause};
pub use pace::{PaceConfig, ReloadPace};
pub use plan::{
    AccountLoad, Assignments, Explanation, MoveCause, Placed, Plan, PlanChanges, Refusal, RefusedWhy, Why,
    plan,
};
pub use quotes::{Quote, Quotes, ReferenceSource};
pub use resolve::{Outdated, Resolver};
pub use switch::{Command, SwitchConfig, Switchboard};
pub use sync::{StoreSync, StoreSyncConfig, StoreView, SyncStatus};
