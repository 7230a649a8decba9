use std::collections::BTreeMap;

use market_model::{UnderlyingId, UnixNanos};
use proptest::prelude::*;
use subscription_store::{Wish, WishSpec};

use super::*;
use crate::desired::{Pinned, Wanted};
use crate::testing::{SampleMarket, SetQuotes};
use crate::{Footing, LadderConfig, Ladders, Resolver};

/// What is wanted: token to underlying, priority and pin.
type Wants = BTreeMap<u32, (u32, u8, Pinned)>;

const NAMES: [&str; 3] = ["a", "b", "c"];

fn desired(wants: &Wants) -> Arc<Desired> {
    let wanted = wants.iter().map(|(token, (group, priority, account))| Wanted {
        token: InstrumentToken(*token),
        group: UnderlyingId(*group),
        mode: Mode::Full,
        priority: Priority(*priority),
        account: *account,
        claims: (0, 0),
    });
    let account_names = NAMES.map(Arc::from).into();
    Arc::new(Desired { wanted: wanted.collect(), account_names, ..Desired::default() })
}

fn same(groups: impl IntoIterator<Item = (u32, u32)>) -> Wants {
    let mut next = 0;
    let mut wants = Wants::new();
    for (group, count) in groups {
        for _ in 0..count {
            wants.insert(next, (group, 100, Pinned::Any));
            next += 1;
        }
    }
    wants
}

fn accounts(capacities: [usize; 3]) -> Vec<AccountSlot> {
    NAMES.iter().zip(capacities).map(|(name, capacity)| AccountSlot::ready(name, capacity)).collect()
}

fn lost(mut accounts: Vec<AccountSlot>, which: usize) -> Vec<AccountSlot> {
    accounts[which].state = AccountState::Lost("its token was refused".into());
    accounts
}

fn loads(plan: &Plan) -> Vec<usize> {
    plan.accounts().iter().map(|load| load.tokens).collect()
}

/// Where everything is.
fn homes(plan: &Plan) -> BTreeMap<u32, String> {
    let placed = plan.placed().map(|(one, at)| (one.token.0, plan.accounts()[at].slot.id.to_string()));
    placed.collect()
}

fn check_sound(plan: &Plan, wants: &Wants) {
    let sets = plan.sets();
    assert_eq!(sets.iter().map(SubscriptionSet::len).sum::<usize>(), homes(plan).len(), "nothing twice");
    assert_eq!(homes(plan).len() + plan.changes().refused, wants.len());
    for (load, set) in plan.accounts().iter().zip(&sets) {
        assert_eq!(load.tokens, set.len());
        assert!(load.tokens <= load.slot.capacity, "{load:?}");
        assert!(load.slot.is_usable() || load.tokens == 0, "{load:?}");
    }
    let least_carried = plan.placed().filter(|(_, at)| plan.accounts()[*at].slot.is_ready());
    let least_carried = least_carried.map(|(one, _)| wants[&one.token.0]);
    let least_carried = least_carried.filter(|(_, _, pin)| !matches!(pin, Pinned::Only(_)));
    let least_carried = least_carried.map(|(_, priority, _)| priority).min();
    for (wanted, placement) in plan.desired.wanted.iter().zip(&plan.placements) {
        match (placement, wanted.account) {
            (Placement::On(home), Pinned::Only(name)) => assert_eq!(home.account, name),
            (Placement::Refused(why), Pinned::Any | Pinned::Prefer(_)) => {
                assert_eq!(*why, RefusedWhy::Capacity);
                assert!(plan.accounts().iter().all(|load| load.room() == 0), "refused beside room");
                assert!(
                    least_carried.is_none_or(|least| wanted.priority.0 <= least),
                    "the lesser is carried"
                );
            }
            _ => {}
        }
    }
}

#[test]
fn underlyings_stay_whole_and_loads_follow_the_weights() {
    let wants = same([(1, 40), (2, 30), (3, 30), (4, 20)]);
    let plan = plan(&desired(&wants), &accounts([50, 50, 50]), &Assignments::default());
    assert_eq!(loads(&plan), [40, 50, 30]);
    check_sound(&plan, &wants);
    let mut weighted = accounts([1000; 3]);
    weighted[0].weight = 200;
    let many = same((0..100).map(|group| (group, 4)));
    let plan = super::plan(&desired(&many), &weighted, &Assignments::default());
    assert_eq!(loads(&plan), [200, 100, 100]);
}

#[test]
fn what_fits_nowhere_whole_is_split_and_what_does_not_fit_is_refused() {
    let wants = same([(1, 25)]);
    let plan = plan(&desired(&wants), &accounts([10, 9, 8]), &Assignments::default());
    assert_eq!((loads(&plan), plan.changes().refused), (vec![10, 9, 6], 0));
    let plan = super::plan(&desired(&wants), &accounts([5, 5, 5]), &Assignments::default());
    assert_eq!((loads(&plan), plan.changes().refused), (vec![5, 5, 5], 10));
    let none = super::plan(&desired(&wants), &[], &Assignments::default());
    assert_eq!(none.changes().refused, 25);
}

#[test]
fn a_lost_account_moves_only_its_own_and_its_return_moves_nothing() {
    let wants = same((0..30).map(|group| (group, 4)));
    let desired_of = desired;
    let desired = desired(&wants);
    let all = accounts([90, 90, 90]);
    let first = plan(&desired, &all, &Assignments::default());
    assert_eq!(loads(&first), [40, 40, 40]);
    let without = plan(&desired, &lost(all.clone(), 1), &first.assignments());
    assert_eq!((without.changes().moved, without.changes().kept), (40, 80));
    assert_eq!(loads(&without), [60, 0, 60]);
    let back = plan(&desired, &all, &without.assignments());
    assert_eq!((back.changes().moved, loads(&back)), (0, vec![60, 0, 60]));
    // New ones find the account that has room.
    let mut more = wants;
    more.extend((0..10).map(|at| (1000 + at, (77, 100, Pinned::Any))));
    let more = plan(&desired_of(&more), &all, &back.assignments());
    assert_eq!((more.changes().moved, loads(&more)), (0, vec![60, 10, 60]));
}

#[test]
fn of_equals_the_healthy_accounts_keep_theirs_when_room_is_short() {
    let wants = same((0..9).map(|group| (group, 10)));
    let first = plan(&desired(&wants), &accounts([30; 3]), &Assignments::default());
    let without = plan(&desired(&wants), &lost(accounts([30; 3]), 0), &first.assignments());
    assert_eq!((without.changes().kept, without.changes().moved, without.changes().refused), (60, 0, 30));
    // But what matters more is carried instead of what matters less.
    let mut ranked = wants;
    let on_a: Vec<u32> =
        homes(&first).into_iter().filter(|(_, home)| home == "a").map(|(token, _)| token).collect();
    for token in on_a {
        ranked.get_mut(&token).unwrap().1 = 101;
    }
    let without = plan(&desired(&ranked), &lost(accounts([30; 3]), 0), &first.assignments());
    assert_eq!((without.changes().kept, without.changes().moved, without.changes().refused), (30, 30, 30));
    check_sound(&without, &ranked);
}

#[test]
fn pins_are_kept_and_preferences_when_there_is_room() {
    let mut wants = same([(1, 8)]);
    for (token, pin) in [(0, Pinned::Only(2)), (1, Pinned::Prefer(1)), (2, Pinned::Prefer(0))] {
        wants.get_mut(&token).unwrap().2 = pin;
    }
    let first = plan(&desired(&wants), &accounts([10, 10, 10]), &Assignments::default());
    let homes = homes(&first);
    assert_eq!((homes[&0].as_str(), homes[&1].as_str(), homes[&2].as_str()), ("c", "b", "a"));
    let without = plan(&desired(&wants), &lost(accounts([10, 10, 10]), 2), &first.assignments());
    assert_eq!(without.changes().refused, 1);
    assert_eq!(without.placements[0], Placement::Refused(RefusedWhy::AccountAway));
    let unknown = plan(&desired(&wants), &accounts([10, 10, 10])[..2], &Assignments::default());
    assert_eq!(unknown.placements[0], Placement::Refused(RefusedWhy::UnknownAccount));
    // It makes room for itself where others can go elsewhere.
    let full = plan(&desired(&same([(1, 10)])), &accounts([0, 0, 10]), &Assignments::default());
    let mut wants = same([(1, 10)]);
    wants.insert(99, (2, 0, Pinned::Only(2)));
    let after = plan(&desired(&wants), &accounts([5, 0, 10]), &full.assignments());
    assert_eq!((after.changes().moved, after.changes().refused, loads(&after)), (1, 0, vec![1, 0, 10]));
    let after = plan(&desired(&wants), &accounts([0, 0, 10]), &full.assignments());
    assert_eq!(after.placements[10], Placement::Refused(RefusedWhy::AccountFull));
}

#[test]
fn an_account_going_out_of_use_is_emptied_as_far_as_there_is_room() {
    let wants = same([(1, 10), (2, 10), (3, 10)]);
    let first = plan(&desired(&wants), &accounts([10; 3]), &Assignments::default());
    let mut draining = accounts([10, 10, 14]);
    draining[0].state = AccountState::Draining;
    let next = plan(&desired(&wants), &draining, &first.assignments());
    assert_eq!((loads(&next), next.changes().moved, next.changes().refused), (vec![6, 10, 14], 4, 0));
}

#[test]
fn a_plan_explains_itself() {
    let day = (jiff::civil::date(2026, 11, 24), UnixNanos::from_secs(1000));
    let market = SampleMarket { underlyings: 1, strikes: 5, expiries: vec![day], futures: false, shares: 1 };
    let catalog = Arc::new(market.catalog());
    let wish = |id: &str, text: &str| Wish {
        id: WishId::new(id).unwrap(),
        version: 1,
        spec: WishSpec::parse("desk", text).unwrap(),
    };
    let wishes = [wish("chain", "U0:1:2:full:nofutures"), wish("share", "NSE:S0:ltp:priority=5")].into();
    let quotes = SetQuotes::default();
    quotes.set(0, 1000.0, UnixNanos::from_secs(0));
    let mut resolver = Resolver::new(LadderConfig::default());
    let desired = Arc::new(resolver.resolve(&wishes, &catalog, &quotes, UnixNanos::from_secs(0)));
    let two = |state| {
        let first = AccountSlot { state, ..AccountSlot::ready("first", 11) };
        [first, AccountSlot::ready("second", 11)]
    };
    let first = plan(&desired, &two(AccountState::Ready), &Assignments::default());
    let said = |plan: &Plan, token| plan.explain(InstrumentToken(token)).unwrap().to_string();
    assert_eq!(
        said(&first, 0),
        "0 (U0) is on `first` in mode full: the account had the least load for its weight; \
         wanted by `chain` of desk (U0:1:2:full:nofutures)"
    );
    let then = plan(&desired, &two(AccountState::Lost("x".into())), &first.assignments());
    assert_eq!(
        said(&then, 0),
        "0 (U0) is on `second` in mode full: the account had the least load for its weight; it came from \
         `first`, which was lost; wanted by `chain` of desk (U0:1:2:full:nofutures)"
    );
    assert_eq!(
        said(&then, 500_000),
        "500000 (S0) is on no account: all accounts are full and what they carry matters more; \
         wanted by `share` of desk (NSE:S0:ltp:priority=5)"
    );
    let refusals: Vec<String> = then.refusals().iter().map(ToString::to_string).collect();
    assert_eq!(
        refusals,
        ["wish `share` (priority 5): 1 of 1 instruments on no account: \
          all accounts are full and what they carry matters more"]
    );
    assert_eq!(then.explain(InstrumentToken(7)), None);
    // Where it came from is remembered, through a restart too.
    let footing = Footing::new(then.assignments(), resolver.ladders());
    let kept = Footing::decode(&footing.encode()).unwrap();
    let again = plan(&desired, &two(AccountState::Ready), &kept.assignments);
    assert_eq!(said(&again, 0), said(&then, 0));
    assert_eq!(again.explain(InstrumentToken(500_000)).unwrap().placement.unwrap().account, "first".into());
}

fn any_wants(pins: bool) -> impl Strategy<Value = Wants> {
    let pin = prop_oneof![
        6 => Just(Pinned::Any),
        1 => (0u16..3).prop_map(Pinned::Prefer),
        1 => (0u16..3).prop_map(Pinned::Only),
    ];
    let pin = pin.prop_map(move |pin| if pins { pin } else { Pinned::Any });
    prop::collection::btree_map(0u32..120, (0u32..12, 0u8..3, pin), 0..90)
}

fn any_accounts() -> impl Strategy<Value = Vec<AccountSlot>> {
    let state = prop_oneof![
        4 => Just(AccountState::Ready),
        1 => Just(AccountState::Lost("x".into())),
        1 => Just(AccountState::Draining),
    ];
    let account = (0usize..60, 1u32..300, state, any::<bool>());
    prop::collection::vec(account, 3).prop_map(|all| {
        let slot = |(name, (capacity, weight, state, held)): (&&str, _)| AccountSlot {
            id: (*name).into(),
            capacity,
            weight,
            state,
            held,
        };
        NAMES.iter().zip(all).map(slot).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_plan_is_sound_and_the_same_everywhere(
        steps in prop::collection::vec((any_wants(true), any_accounts()), 1..6),
    ) {
        let mut before = Assignments::default();
        for (wants, accounts) in steps {
            let desired = desired(&wants);
            let plan = plan(&desired, &accounts, &before);
            check_sound(&plan, &wants);
            let mut other = accounts.clone();
            other.reverse();
            other.iter_mut().for_each(|slot| slot.held = !slot.held);
            let other = super::plan(&desired, &other, &before);
            prop_assert_eq!(homes(&plan), homes(&other), "order and leases do not matter");
            // Made again from itself it changes nothing.
            let again = super::plan(&desired, &accounts, &plan.assignments());
            prop_assert_eq!(homes(&again), homes(&plan));
            prop_assert_eq!(again.changes().moved, 0);
            let footing = Footing::new(plan.assignments(), &Ladders::default());
            let kept = Footing::decode(&footing.encode()).unwrap();
            prop_assert_eq!(&kept, &footing);
            before = kept.assignments;
        }
    }

    #[test]
    fn nothing_moves_without_need(
        first in any_wants(false),
        second in any_wants(false),
        which in prop::option::of(0usize..3),
    ) {
        // Each account alone has room for everything.
        let all = accounts([120; 3]);
        let before = plan(&desired(&first), &all, &Assignments::default());
        let now = match which {
            None => all.clone(),
            Some(which) => lost(all.clone(), which),
        };
        let after = plan(&desired(&second), &now, &before.assignments());
        let (was, is) = (homes(&before), homes(&after));
        for (token, home) in &is {
            if let Some(former) = was.get(token) {
                let gone = which.is_some_and(|which| NAMES[which] == former);
                prop_assert_eq!(home != former, gone, "token {}", token);
            }
        }
        let back = plan(&desired(&second), &all, &after.assignments());
        prop_assert_eq!(homes(&back), is);
    }

    #[test]
    fn one_more_or_one_less_moves_no_other(
        wants in any_wants(false),
        token in 0u32..120,
        capacity in 10usize..40,
    ) {
        let all = accounts([capacity; 3]);
        let before = plan(&desired(&wants), &all, &Assignments::default());
        let mut changed = wants;
        if changed.remove(&token).is_none() {
            changed.insert(token, (token % 12, 1, Pinned::Any));
        }
        let after = plan(&desired(&changed), &all, &before.assignments());
        prop_assert_eq!(after.changes().moved, 0);
        let lost = homes(&before).keys().filter(|token| changed.contains_key(token)
            && !homes(&after).contains_key(token)).count();
        prop_assert!(lost <= 1, "at most the one that made room");
    }
}
