//! Which names an instance should hold: a pure function of what the tables show, the same on every instance.

use std::collections::BTreeSet;
use std::time::Duration;

use super::table::Round;

/// What to do about the shares.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Free names to take, in this order.
    pub(super) take: Vec<String>,
    /// Names of ours to give up for another instance.
    pub(super) give_up: Vec<String>,
}

/// Compares the share of `id` with what it holds. `names` are all there are to hold; `held` those it holds and is
/// not already giving up; `leaving` those it is.
pub(super) fn plan(
    id: &str,
    names: &BTreeSet<String>,
    held: &BTreeSet<String>,
    leaving: &BTreeSet<String>,
    round: &Round,
    settle: Duration,
) -> Plan {
    let live: Vec<&str> = round.instances.iter().map(|instance| instance.id.as_str()).collect();
    let Some(rank) = live.iter().position(|live| *live == id) else { return Plan::default() };
    let wanted: Vec<&String> = held.intersection(names).collect();
    let unwanted = held.difference(names).cloned();
    let share = share(names.len(), live.len(), rank);

    let is_taken =
        |name: &str| round.leases.iter().any(|lease| lease.name == name && !lease.remaining.is_zero());
    let free = names.iter().filter(|name| !is_taken(name) && !leaving.contains(*name));
    // Instances that look at the same moment reach for different names first.
    let (mine, others): (Vec<_>, Vec<_>) = free.enumerate().partition(|(at, _)| at % live.len() == rank);
    let reach = mine.into_iter().chain(others).map(|(_, name)| name.clone());
    let take = reach.take(share.saturating_sub(wanted.len())).collect();

    // Nothing is given up for an instance that may be gone again in a moment.
    let settled: Vec<&str> = round
        .instances
        .iter()
        .filter(|instance| instance.age >= settle || instance.id == id)
        .map(|instance| instance.id.as_str())
        .collect();
    let rank = settled.iter().position(|settled| *settled == id).unwrap_or(0);
    let keep = self::share(names.len(), settled.len(), rank).max(share);
    let surplus = wanted.into_iter().skip(keep).cloned();
    Plan { take, give_up: unwanted.chain(surplus).collect() }
}

/// How many of `names` the instance of this rank holds: as even as whole numbers allow.
const fn share(names: usize, instances: usize, rank: usize) -> usize {
    names / instances + if rank < names % instances { 1 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::super::table::{InstanceRow, LeaseRow};
    use super::*;

    const SETTLE: Duration = Duration::from_secs(10);

    fn set(names: &str) -> BTreeSet<String> {
        names.split_whitespace().map(ToOwned::to_owned).collect()
    }

    /// `instances` as `id:age in seconds`, `taken` as names held by anybody; what instance `i1` does.
    fn check(instances: &str, names: &str, held: &str, taken: &str, take: &str, give_up: &str) {
        let instances = instances.split_whitespace().map(|instance| {
            let (id, age) = instance.split_once(':').unwrap();
            InstanceRow { id: id.to_owned(), age: Duration::from_secs(age.parse().unwrap()) }
        });
        let lease = |name: String| LeaseRow {
            name,
            holder: "x".to_owned(),
            fence: 1,
            remaining: Duration::from_secs(3),
        };
        let round = Round {
            renewed: Vec::new(),
            instances: instances.collect(),
            leases: set(taken).into_iter().map(lease).collect(),
        };
        let found = plan("i1", &set(names), &set(held), &set(""), &round, SETTLE);
        let words = |words: &[String]| words.join(" ");
        assert_eq!((&*words(&found.take), &*words(&found.give_up)), (take, give_up));
    }

    #[test]
    fn alone_it_takes_all() {
        check("i1:0", "a b c", "", "", "a b c", "");
        check("i1:0", "a b c", "a", "a", "b c", "");
        check("i1:0", "", "", "", "", "");
    }

    #[test]
    fn two_that_start_together_reach_for_different_names() {
        check("i0:0 i1:0", "a b c d", "", "", "b d", "");
        check("i1:0 i2:0", "a b c d", "", "", "a c", "");
        check("i1:0 i2:0", "a b c", "", "", "a c", "");
        check("i0:0 i1:0", "a b c", "", "", "b", "");
    }

    #[test]
    fn a_new_instance_is_given_names_once_it_has_settled() {
        check("i1:99 i2:9", "a b c d", "a b c d", "a b c d", "", "");
        check("i1:99 i2:10", "a b c d", "a b c d", "a b c d", "", "c d");
        // Its own age does not matter.
        check("i1:1 i2:10", "a b c d", "a b c d", "a b c d", "", "c d");
    }

    #[test]
    fn a_dead_instances_names_are_taken() {
        check("i1:99", "a b c d", "a b", "a b", "c d", "");
        check("i1:99 i3:99", "a b c d e f", "a b", "a b e f", "c", "");
    }

    #[test]
    fn a_name_that_is_gone_is_given_up() {
        check("i1:99", "a", "a b", "a b", "", "b");
    }

    #[test]
    fn an_instance_that_is_not_seen_alive_does_nothing() {
        check("i2:99", "a b", "", "", "", "");
    }

    #[test]
    fn shares_add_up() {
        for (names, instances) in [(0, 1), (3, 2), (100, 7), (2, 5)] {
            let sum: usize = (0..instances).map(|rank| share(names, instances, rank)).sum();
            assert_eq!(sum, names);
        }
    }
}
