//! Wishes kept as long as the process runs.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{
    Generations, KeptPlan, SubscriptionStore, Wish, WishBook, WishError, WishId, WishLimits, WishSpec,
};

/// Keeps wishes in memory: for tests, and for a gateway that forgets on purpose.
#[derive(Debug, Default)]
pub struct MemorySubscriptionStore {
    limits: WishLimits,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    generation: u64,
    wishes: BTreeMap<WishId, Wish>,
    plan: Option<KeptPlan>,
}

// === impl MemorySubscriptionStore ===

impl MemorySubscriptionStore {
    /// An empty one.
    pub fn new(limits: WishLimits) -> Self {
        Self { limits, kept: Mutex::default() }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SubscriptionStore for MemorySubscriptionStore {
    async fn create(&self, id: &WishId, spec: &WishSpec) -> Result<Wish, WishError> {
        spec.check()?;
        let mut kept = self.kept();
        match kept.wishes.get(id) {
            Some(taken) if taken.spec == *spec => return Ok(taken.clone()),
            Some(taken) => return Err(WishError::AlreadyExists { id: id.clone(), current: taken.version }),
            None => {}
        }
        if kept.wishes.len() >= self.limits.in_all {
            return Err(WishError::TooMany { most: self.limits.in_all });
        }
        kept.check_owner(&spec.owner, self.limits)?;
        Ok(kept.put(id, spec))
    }

    async fn get(&self, id: &WishId) -> Result<Wish, WishError> {
        self.kept().find(id).cloned()
    }

    async fn update(&self, id: &WishId, version: u64, spec: &WishSpec) -> Result<Wish, WishError> {
        spec.check()?;
        let mut kept = self.kept();
        if kept.at_version(id, version)?.spec.owner != spec.owner {
            kept.check_owner(&spec.owner, self.limits)?;
        }
        Ok(kept.put(id, spec))
    }

    async fn delete(&self, id: &WishId, version: u64) -> Result<(), WishError> {
        let mut kept = self.kept();
        kept.at_version(id, version)?;
        kept.generation += 1;
        kept.wishes.remove(id);
        Ok(())
    }

    async fn list(&self, owner: Option<&str>) -> Result<Vec<Wish>, WishError> {
        let kept = self.kept();
        let asked = |wish: &&Wish| owner.is_none_or(|owner| *wish.spec.owner == *owner);
        Ok(kept.wishes.values().filter(asked).cloned().collect())
    }

    async fn load(&self) -> Result<WishBook, WishError> {
        let kept = self.kept();
        let wishes = kept.wishes.values().cloned().collect();
        Ok(WishBook { generation: kept.generation, wishes, unreadable: [].into() })
    }

    async fn generations(&self) -> Result<Generations, WishError> {
        let kept = self.kept();
        Ok(Generations { wishes: kept.generation, plan: kept.plan_generation() })
    }

    async fn kept_plan(&self) -> Result<Option<KeptPlan>, WishError> {
        Ok(self.kept().plan.clone())
    }

    async fn keep_plan(&self, after: u64, content: &[u8]) -> Result<u64, WishError> {
        let mut kept = self.kept();
        let current = kept.plan_generation();
        if current != after {
            return Err(WishError::StalePlan { given: after, current });
        }
        kept.plan = Some(KeptPlan { generation: after + 1, content: content.to_vec() });
        Ok(after + 1)
    }
}

// === impl Kept ===

impl Kept {
    fn plan_generation(&self) -> u64 {
        self.plan.as_ref().map_or(0, |plan| plan.generation)
    }

    fn find(&self, id: &WishId) -> Result<&Wish, WishError> {
        self.wishes.get(id).ok_or_else(|| WishError::NotFound { id: id.clone() })
    }

    fn at_version(&self, id: &WishId, given: u64) -> Result<&Wish, WishError> {
        let wish = self.find(id)?;
        match wish.version == given {
            true => Ok(wish),
            false => Err(WishError::Stale { id: id.clone(), given, current: wish.version }),
        }
    }

    fn check_owner(&self, owner: &str, limits: WishLimits) -> Result<(), WishError> {
        let has = self.wishes.values().filter(|wish| *wish.spec.owner == *owner).count();
        match has < limits.per_owner {
            true => Ok(()),
            false => Err(WishError::TooManyOfOwner { owner: owner.into(), most: limits.per_owner }),
        }
    }

    fn put(&mut self, id: &WishId, spec: &WishSpec) -> Wish {
        self.generation += 1;
        let wish = Wish { id: id.clone(), version: self.generation, spec: spec.clone() };
        self.wishes.insert(id.clone(), wish.clone());
        wish
    }
}
