//! What every store must do, as tests: `store_contract!` makes one test of each for a store of yours.

use std::sync::Arc;

use crate::{Generations, SubscriptionStore, Wish, WishError, WishId, WishLimits, WishSpec};

/// The limits the store under test must be made with.
pub const LIMITS: WishLimits = WishLimits { per_owner: 3, in_all: 5 };

/// Makes the tests of the contract. The expression makes, in an async context, `Some` pair of an empty store with
/// [`LIMITS`] and what must live as long as the store; `None` skips (a tool is not there, and it has said so).
#[macro_export]
macro_rules! store_contract {
    ($store:expr) => {
        $crate::store_contract!(@tests $store;
            a_wish_is_kept_changed_and_deleted
            a_stale_change_names_the_current_version
            the_same_wish_may_be_made_twice
            a_version_never_comes_back
            limits_hold_per_owner_and_in_all
            what_cannot_be_said_is_refused
            every_change_makes_a_generation
            a_plan_follows_the_one_it_was_made_from
            writers_side_by_side_lose_nothing
        );
    };
    (@tests $store:expr; $($name:ident)+) => {
        $(
            #[tokio::test]
            async fn $name() {
                if let Some((store, _guard)) = $store {
                    $crate::contract::$name(store).await;
                }
            }
        )+
    };
}

fn spec(owner: &str, text: &str) -> WishSpec {
    WishSpec::parse(owner, text).expect("a good wish")
}

fn id(text: &str) -> WishId {
    WishId::new(text).expect("a good id")
}

async fn made(store: &impl SubscriptionStore, name: &str, owner: &str, text: &str) -> Wish {
    store.create(&id(name), &spec(owner, text)).await.expect("kept")
}

pub async fn a_wish_is_kept_changed_and_deleted(store: impl SubscriptionStore) {
    let texts = [
        ("a", "NIFTY:2w:20:full:calls:nospot:priority=7:only=main"),
        ("b", "NFO/BSE:2026-11-24+2026-12-29:5:quote:nofutures"),
        ("c", "NSE:M&M:ltp:prefer=second"),
        ("d.e-f_9", "NSE:*:ltp:priority=255"),
    ];
    for (at, (name, text)) in texts.into_iter().enumerate() {
        let owner = if at < 2 { "desk" } else { "résumé" };
        let wish = made(&store, name, owner, text).await;
        assert_eq!((wish.id.as_str(), wish.spec.to_string().as_str()), (name, text));
        assert_eq!(store.get(&id(name)).await, Ok(wish));
    }
    let owned = store.list(Some("desk")).await.unwrap();
    assert_eq!(owned.iter().map(|wish| wish.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(store.list(None).await.unwrap().len(), 4);
    assert!(store.list(Some("nobody")).await.unwrap().is_empty());

    let before = store.get(&id("a")).await.unwrap();
    let after = store.update(&before.id, before.version, &spec("desk", "NSE:INFY:ltp")).await.unwrap();
    assert!(after.version > before.version, "{after:?}");
    assert_eq!(after.spec, spec("desk", "NSE:INFY:ltp"));
    assert_eq!(store.get(&before.id).await, Ok(after.clone()));

    store.delete(&after.id, after.version).await.unwrap();
    assert_eq!(store.get(&after.id).await, Err(WishError::NotFound { id: id("a") }));
    assert_eq!(store.load().await.unwrap().wishes.len(), 3);
}

pub async fn a_stale_change_names_the_current_version(store: impl SubscriptionStore) {
    let first = made(&store, "a", "desk", "NSE:INFY").await;
    let second = store.update(&first.id, first.version, &spec("desk", "NSE:TCS")).await.unwrap();
    let stale = Err(WishError::Stale { id: id("a"), given: first.version, current: second.version });
    assert_eq!(store.update(&first.id, first.version, &spec("desk", "NSE:SBIN")).await, stale);
    assert_eq!(store.delete(&first.id, first.version).await, stale.map(|_| ()));
    assert_eq!(store.get(&first.id).await, Ok(second));
    let nobody = Err(WishError::NotFound { id: id("z") });
    assert_eq!(store.update(&id("z"), 1, &spec("desk", "NSE:SBIN")).await, nobody);
    assert_eq!(store.delete(&id("z"), 1).await, nobody.map(|_| ()));
}

pub async fn the_same_wish_may_be_made_twice(store: impl SubscriptionStore) {
    let first = made(&store, "a", "desk", "NSE:INFY").await;
    assert_eq!(made(&store, "a", "desk", "NSE:INFY").await, first);
    let other = store.create(&id("a"), &spec("desk", "NSE:TCS")).await;
    assert_eq!(other, Err(WishError::AlreadyExists { id: id("a"), current: first.version }));
    assert_eq!(store.generations().await.unwrap().wishes, first.version, "nothing else was changed");
}

pub async fn a_version_never_comes_back(store: impl SubscriptionStore) {
    let first = made(&store, "a", "desk", "NSE:INFY").await;
    store.delete(&first.id, first.version).await.unwrap();
    let again = made(&store, "a", "desk", "NSE:INFY").await;
    assert!(again.version > first.version, "{first:?} {again:?}");
    assert!(store.delete(&first.id, first.version).await.is_err());
}

pub async fn limits_hold_per_owner_and_in_all(store: impl SubscriptionStore) {
    for name in ["a", "b", "c"] {
        made(&store, name, "desk", "NSE:INFY").await;
    }
    let too_many = Err(WishError::TooManyOfOwner { owner: "desk".into(), most: 3 });
    assert_eq!(store.create(&id("d"), &spec("desk", "NSE:INFY")).await, too_many);
    let other = made(&store, "d", "other", "NSE:INFY").await;
    assert_eq!(store.update(&other.id, other.version, &spec("desk", "NSE:INFY")).await, too_many);
    let own = store.get(&id("a")).await.unwrap();
    store
        .update(&own.id, own.version, &spec("desk", "NSE:TCS"))
        .await
        .expect("a full owner may change its own");
    made(&store, "e", "other", "NSE:INFY").await;
    assert_eq!(store.create(&id("f"), &spec("other", "NSE:INFY")).await, Err(WishError::TooMany { most: 5 }));
    store.delete(&other.id, other.version).await.unwrap();
    made(&store, "f", "third", "NSE:INFY").await;
}

pub async fn what_cannot_be_said_is_refused(store: impl SubscriptionStore) {
    let mut bad = spec("desk", "NSE:INFY");
    bad.owner = "".into();
    assert!(matches!(store.create(&id("a"), &bad).await, Err(WishError::Invalid { .. })));
    let good = made(&store, "a", "desk", "NSE:INFY").await;
    assert!(matches!(store.update(&good.id, good.version, &bad).await, Err(WishError::Invalid { .. })));
    assert_eq!(store.get(&good.id).await, Ok(good));
}

pub async fn every_change_makes_a_generation(store: impl SubscriptionStore) {
    assert_eq!(store.generations().await, Ok(Generations::default()));
    assert_eq!(store.load().await.unwrap().generation, 0);
    let mut seen = vec![0];
    let wish = made(&store, "a", "desk", "NSE:INFY").await;
    seen.push(store.load().await.unwrap().generation);
    let wish = store.update(&wish.id, wish.version, &spec("desk", "NSE:TCS")).await.unwrap();
    seen.push(store.load().await.unwrap().generation);
    assert!(store.update(&wish.id, 0, &spec("desk", "NSE:SBIN")).await.is_err());
    assert_eq!(store.generations().await.unwrap().wishes, seen[2], "a refused change is none");
    store.delete(&wish.id, wish.version).await.unwrap();
    let empty = store.load().await.unwrap();
    seen.push(empty.generation);
    assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
    assert!(empty.wishes.is_empty() && empty.unreadable.is_empty());
    assert_eq!(store.generations().await, Ok(Generations { wishes: seen[3], plan: 0 }));
}

pub async fn a_plan_follows_the_one_it_was_made_from(store: impl SubscriptionStore) {
    assert_eq!(store.kept_plan().await, Ok(None));
    assert_eq!(store.keep_plan(1, b"x").await, Err(WishError::StalePlan { given: 1, current: 0 }));
    assert_eq!(store.keep_plan(0, b"").await, Ok(1));
    assert_eq!(store.keep_plan(0, b"late").await, Err(WishError::StalePlan { given: 0, current: 1 }));
    let long: Vec<u8> = (0..200_000u32).map(|byte| byte as u8).collect();
    assert_eq!(store.keep_plan(1, &long).await, Ok(2));
    let kept = store.kept_plan().await.unwrap().unwrap();
    assert_eq!((kept.generation, kept.content), (2, long));
    assert_eq!(store.generations().await, Ok(Generations { wishes: 0, plan: 2 }));
}

pub async fn writers_side_by_side_lose_nothing(store: impl SubscriptionStore) {
    let store = Arc::new(store);
    let mut writers = tokio::task::JoinSet::new();
    for at in 0..12 {
        let store = store.clone();
        writers.spawn(async move {
            store.create(&id(&format!("w{at}")), &spec(["x", "y", "z"][at % 3], "NSE:INFY")).await
        });
    }
    let (mut kept, mut refused) = (0, 0);
    while let Some(end) = writers.join_next().await {
        match end.expect("no panic") {
            Ok(_) => kept += 1,
            Err(WishError::TooMany { .. } | WishError::TooManyOfOwner { .. }) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((kept, refused), (5, 7), "limits hold between writers");
    let book = store.load().await.unwrap();
    assert_eq!((book.wishes.len(), book.generation), (5, 5));
    let mut versions: Vec<u64> = book.wishes.iter().map(|wish| wish.version).collect();
    versions.sort_unstable();
    assert_eq!(versions, [1, 2, 3, 4, 5]);

    let wish = book.wishes[0].clone();
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let (store, wish) = (store.clone(), wish.clone());
        writers.spawn(async move { store.update(&wish.id, wish.version, &wish.spec).await });
    }
    let mut won = 0;
    while let Some(end) = writers.join_next().await {
        won += usize::from(end.expect("no panic").is_ok());
    }
    assert_eq!(won, 1, "one of those who read the same version");
}
