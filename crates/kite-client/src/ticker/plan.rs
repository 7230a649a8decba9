//! Which connection carries which instrument.

use market_model::{InstrumentToken, Subscription, SubscriptionSet};

/// How much fits on the connections of one API key (protocol section 17.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections per API key.
    pub connections: u8,
    /// Instruments per connection.
    pub tokens_per_connection: usize,
}

impl Default for ConnectionLimits {
    /// Kite's published limits: three connections of 3000 instruments each.
    fn default() -> Self {
        Self { connections: 3, tokens_per_connection: 3000 }
    }
}

/// A spread of wishes over connections.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectionPlan {
    /// What each connection carries, by its index. As long as the limits allow connections.
    pub connections: Vec<SubscriptionSet>,
    /// Wishes that no connection has room for, by token.
    pub rejected: Vec<Subscription>,
}

/// Spreads `desired` over connections so that nothing moves without need.
///
/// An instrument that `current` already carries stays on its connection. New ones fill the first connection with
/// room, lowest token first, so few connections are opened and the answer is the same every time. What does not
/// fit is listed in [`ConnectionPlan::rejected`].
pub fn plan_connections(
    desired: &SubscriptionSet,
    current: &ConnectionPlan,
    limits: ConnectionLimits,
) -> ConnectionPlan {
    let mut plan = ConnectionPlan {
        connections: vec![SubscriptionSet::new(); usize::from(limits.connections)],
        rejected: Vec::new(),
    };
    let mut fresh: Vec<Subscription> = Vec::new();
    for wish in desired.iter() {
        let home = current.home_of(wish.token).and_then(|index| plan.connections.get_mut(index));
        match home.filter(|home| home.len() < limits.tokens_per_connection) {
            Some(home) => {
                home.insert(wish.token, wish.mode);
            }
            None => fresh.push(wish),
        }
    }
    fresh.sort_unstable_by_key(|wish| wish.token);
    let mut index = 0;
    for wish in fresh {
        while (plan.connections.get(index)).is_some_and(|taken| taken.len() >= limits.tokens_per_connection) {
            index += 1;
        }
        match plan.connections.get_mut(index) {
            Some(home) => {
                home.insert(wish.token, wish.mode);
            }
            None => plan.rejected.push(wish),
        }
    }
    plan
}

// === impl ConnectionPlan ===

impl ConnectionPlan {
    /// The index of the connection that carries `token`.
    pub fn home_of(&self, token: InstrumentToken) -> Option<usize> {
        self.connections.iter().position(|carried| carried.mode(token).is_some())
    }
}

#[cfg(test)]
mod tests {
    use market_model::Mode;
    use proptest::prelude::*;

    use super::*;

    const LIMITS: ConnectionLimits = ConnectionLimits { connections: 3, tokens_per_connection: 4 };

    fn wishes(tokens: impl IntoIterator<Item = u32>) -> SubscriptionSet {
        tokens
            .into_iter()
            .map(|token| Subscription { token: InstrumentToken(token), mode: Mode::Full })
            .collect()
    }

    fn check(steps: &[&[u32]], carried: [&[u32]; 3], rejected: &[u32]) {
        let plan = steps.iter().fold(ConnectionPlan::default(), |plan, tokens| {
            plan_connections(&wishes(tokens.iter().copied()), &plan, LIMITS)
        });
        let expected = carried.map(|tokens| wishes(tokens.iter().copied()));
        assert_eq!(plan.connections, expected);
        let named: Vec<u32> = plan.rejected.iter().map(|wish| wish.token.0).collect();
        assert_eq!(named, rejected);
    }

    #[test]
    fn wishes_fill_one_connection_after_the_other() {
        check(&[&[3, 1, 2]], [&[1, 2, 3], &[], &[]], &[]);
        check(&[&[1, 2, 3, 4, 5, 6]], [&[1, 2, 3, 4], &[5, 6], &[]], &[]);
    }

    #[test]
    fn nothing_moves_and_gaps_are_filled_first() {
        check(&[&[1, 2, 3, 4, 5, 6], &[1, 5, 6]], [&[1], &[5, 6], &[]], &[]);
        check(&[&[1, 2, 3, 4, 5, 6], &[1, 5, 6], &[0, 1, 5, 6, 9]], [&[0, 1, 9], &[5, 6], &[]], &[]);
    }

    #[test]
    fn surplus_is_named_and_moves_in_when_there_is_room() {
        let all: Vec<u32> = (1..=14).collect();
        check(&[&all], [&[1, 2, 3, 4], &[5, 6, 7, 8], &[9, 10, 11, 12]], &[13, 14]);
        let fewer: Vec<u32> = (1..=14).filter(|token| *token != 6).collect();
        check(&[&all, &fewer], [&[1, 2, 3, 4], &[5, 7, 8, 13], &[9, 10, 11, 12]], &[14]);
    }

    #[test]
    fn a_mode_follows_the_wish() {
        let first = plan_connections(&wishes([1, 2]), &ConnectionPlan::default(), LIMITS);
        let mut desired = wishes([1, 2]);
        desired.insert(InstrumentToken(2), Mode::Ltp);
        let second = plan_connections(&desired, &first, LIMITS);
        assert_eq!(second.connections[0], desired);
    }

    proptest! {
        #[test]
        fn every_wish_is_in_one_place_and_no_limit_is_passed(
            steps in prop::collection::vec(prop::collection::hash_set(0u32..40, 0..30), 1..8),
        ) {
            let mut plan = ConnectionPlan::default();
            for tokens in steps {
                let desired = wishes(tokens.iter().copied());
                let next = plan_connections(&desired, &plan, LIMITS);
                let carried: usize = next.connections.iter().map(SubscriptionSet::len).sum();
                prop_assert_eq!(carried + next.rejected.len(), desired.len());
                prop_assert!(next.connections.iter().all(|one| one.len() <= 4));
                prop_assert!(next.rejected.is_empty() || carried == 12, "rejected only when all is full");
                for token in tokens.into_iter().map(InstrumentToken) {
                    if let Some(home) = plan.home_of(token) {
                        prop_assert_eq!(next.home_of(token), Some(home));
                    }
                }
                plan = next;
            }
        }
    }
}
