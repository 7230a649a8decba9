//! Orders on the one account they are for. They never go to another one.

use std::sync::Arc;

use tokio::time::Instant;

use super::AccountPool;
use crate::account::{Account, AccountName};
use crate::error::AccountError;
use crate::life::Generation;
use crate::pace::{OrderKind, OrderPermit, PaceError};
use crate::secret::Secret;

/// An order request to be sent on one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderCall {
    /// The account, and no other.
    pub account: AccountName,
    /// Which request.
    pub kind: OrderKind,
    /// How many orders a new one makes at the exchange: 1, or the legs of an iceberg.
    pub orders: u32,
    /// It is not begun after this moment.
    pub deadline: Instant,
}

/// What one order request may use. Say [`OrderPermit::sent`] or [`OrderPermit::not_sent`].
#[derive(Debug)]
#[must_use = "an order that is not sent gives its place back"]
pub struct OrderLease {
    /// The account.
    pub account: Arc<Account>,
    /// Its present token.
    pub token: Secret,
    /// Which token that is.
    pub generation: Generation,
    /// Its place within the limits.
    pub permit: OrderPermit,
}

/// Why an order request was not begun. Nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OrderRefused {
    /// No such account.
    #[error("there is no account `{0}`")]
    Unknown(AccountName),
    /// Switched off.
    #[error("account `{0}` is disabled")]
    Disabled(AccountName),
    /// No usable token.
    #[error("account `{account}` has no usable token ({state}); log in")]
    Token {
        /// Which account.
        account: AccountName,
        /// What its token is.
        state: &'static str,
    },
    /// The broker's limits.
    #[error(transparent)]
    Pace(#[from] PaceError),
}

impl AccountPool {
    /// Waits for the account's turn to send one order request. A breaker that reads opened does not hold up orders:
    /// whether an exit may be tried is for its sender to decide.
    ///
    /// # Errors
    /// [`OrderRefused`].
    ///
    /// # Cancel safety
    /// A caller that goes away gives its place back.
    pub async fn order(&self, call: &OrderCall) -> Result<OrderLease, OrderRefused> {
        let name = &call.account;
        let member = self.find(name.as_str()).map_err(|_| OrderRefused::Unknown(name.clone()))?;
        if !member.account.enabled {
            return Err(OrderRefused::Disabled(name.clone()));
        }
        self.order_token(name)?;
        let permit = member.pacer.orders().acquire(call.kind, call.orders, call.deadline).await?;
        match self.order_token(name) {
            Ok((token, generation)) => {
                Ok(OrderLease { account: Arc::clone(&member.account), token, generation, permit })
            }
            Err(refused) => {
                permit.not_sent();
                Err(refused)
            }
        }
    }

    /// Tells that the order book of the account shows `orders` of today: they count for the day of its trading account,
    /// whoever placed them.
    ///
    /// # Errors
    /// [`AccountError::Unknown`].
    ///
    /// # Cancel safety
    /// As [`OrderBudget::at_least`](crate::OrderBudget::at_least).
    pub async fn orders_seen(&self, name: &str, orders: u64) -> Result<(), AccountError> {
        let member = self.find(name)?;
        member.pacer.orders().at_least(orders).await;
        Ok(())
    }

    fn order_token(&self, name: &AccountName) -> Result<(Secret, Generation), OrderRefused> {
        let view = self.board.view(name.as_str());
        let state = view.as_ref().map_or("none", |view| view.state.as_str());
        let usable = view.and_then(|view| view.token.map(|token| (token, view.generation)));
        usable.ok_or_else(|| OrderRefused::Token { account: name.clone(), state })
    }
}
