//! Who wants which instrument or ladder in which mode, durable.
//!
//! A [`Wish`] is an instrument, a whole exchange, or a rule such as "NIFTY, the nearest two weekly expiries, twenty
//! strikes either side of the money". This crate keeps wishes with their versions and tells when they changed. It refuses
//! to know which instruments exist, what they cost, and which account carries them: `feed-control` does.
//!
//! ```
//! use subscription_store::{MemorySubscriptionStore, SubscriptionStore, WishError, WishId, WishSpec};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), WishError> {
//! let store = MemorySubscriptionStore::default();
//! let id = WishId::new("nifty-weekly")?;
//! let wish = store.create(&id, &WishSpec::parse("desk", "NIFTY:2w:20:full")?).await?;
//! let wider = WishSpec::parse("desk", "NIFTY:2w:30:full")?;
//! store.update(&id, wish.version, &wider).await?;
//! let stale = store.update(&id, wish.version, &wider).await;
//! assert!(matches!(stale, Err(WishError::Stale { current: 2, .. })));
//! # Ok(())
//! # }
//! ```

#[cfg(any(test, feature = "test-util"))]
#[allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests, exported")]
pub mod contract;
mod error;
mod memory;
mod sql;
mod store;
mod text;
mod wish;

pub use error::WishError;
pub use memory::MemorySubscriptionStore;
pub use sql::{SCHEMA, SqlSubscriptionStore};
pub use store::{Generations, KeptPlan, SubscriptionStore, WishBook, WishLimits};
pub use text::parse_wishes;
pub use wish::{
    AccountPreference, Expiries, ExpiryCycle, Ladder, Priority, Sides, What, Wish, WishId, WishSpec,
};
