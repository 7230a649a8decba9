//! Accounts as health reports show them. Nothing in here is secret.

use std::time::Duration;

use tokio::time::Instant;

use super::{AccountPool, Member};
use crate::account::AccountName;
use crate::life::{Generation, TokenState};
use crate::pace::{LaneStatus, OrderStatus, PaceClass, ReadClass};

/// One account at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountStatus {
    /// Its name.
    pub name: AccountName,
    /// Where it was read from.
    pub origin: String,
    /// Whether it may be used.
    pub enabled: bool,
    /// Whether its broker is a simulator.
    pub simulated: bool,
    /// Whether calls can be made on it now.
    pub ready: bool,
    /// What its token is good for.
    pub token: TokenState,
    /// How long the token still lives.
    pub token_left: Option<Duration>,
    /// How many tokens it has had.
    pub generation: Generation,
    /// The limits of reads.
    pub classes: Vec<ClassStatus>,
    /// The limits of orders, shared with the other apps of the trading account.
    pub orders: OrderStatus,
    /// `closed`, `half_open` or `open`.
    pub breaker: &'static str,
}

/// One class of reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassStatus {
    /// Which.
    pub class: PaceClass,
    /// How busy.
    pub lane: LaneStatus,
}

impl AccountPool {
    /// All accounts, by name.
    pub fn status(&self) -> Vec<AccountStatus> {
        self.all().iter().map(|member| self.status_of(member)).collect()
    }

    fn status_of(&self, member: &Member) -> AccountStatus {
        let account = &member.account;
        let view = self.board.view(account.name.as_str());
        let token = view.as_ref().map_or(TokenState::None, |view| view.state);
        let breaker = member.breaker.state(Instant::now());
        let classes =
            ReadClass::ALL.map(|class| ClassStatus { class: class.into(), lane: member.pacer.status(class) });
        AccountStatus {
            name: account.name.clone(),
            origin: account.origin.clone(),
            enabled: account.enabled,
            simulated: account.simulated,
            ready: account.enabled && token.is_usable() && breaker != resilience::BreakerState::Open,
            token,
            token_left: token.time_left(self.parts.clock.now()),
            generation: view.map_or(Generation::default(), |view| view.generation),
            classes: classes.to_vec(),
            orders: member.pacer.orders().status(),
            breaker: breaker.as_str(),
        }
    }
}
