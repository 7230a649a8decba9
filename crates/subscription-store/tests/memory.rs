//! The contract, on memory.

use subscription_store::contract::LIMITS;
use subscription_store::{MemorySubscriptionStore, store_contract};

store_contract!(Some((MemorySubscriptionStore::new(LIMITS), ())));
