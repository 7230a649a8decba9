//! The three calls that move money.

use kite_wire::api::{CancelOrder, ModifyOrder, PlaceOrder};
use kite_wire::rest::{OrderId, Placed};

use super::error::RestError;
use super::{KiteRest, Pool};

/// Orders of one account; made by [`KiteRest::orders`].
///
/// Nothing here is ever sent twice. When a call fails, [`RestError::delivery`] says what is known about it: `NotSent` is
/// proved, `Rejected` is Kite's word, and everything else is `Unknown`. The kept connections are the client's own for
/// calls that change something, so no slow read stands before an order.
#[derive(Clone, Copy)]
pub struct Orders<'a> {
    pub(super) rest: &'a KiteRest,
}

impl Orders<'_> {
    /// Places an order. Success means that Kite has received it, not that the exchange has.
    ///
    /// # Errors
    /// [`RestError`]; ask its [`delivery`](RestError::delivery) before anything else.
    ///
    /// # Cancel safety
    /// Not safe: a dropped future may have placed the order. Look it up by its tag.
    pub async fn place(&self, order: &PlaceOrder) -> Result<Placed, RestError> {
        self.rest.call(order).await
    }

    /// Changes an open order.
    ///
    /// # Errors
    /// [`RestError`]; ask its [`delivery`](RestError::delivery) before anything else.
    ///
    /// # Cancel safety
    /// Not safe: a dropped future may have changed the order.
    pub async fn modify(&self, change: &ModifyOrder) -> Result<OrderId, RestError> {
        self.rest.call(change).await
    }

    /// Cancels an open order, or ends a cover order.
    ///
    /// # Errors
    /// [`RestError`]; ask its [`delivery`](RestError::delivery) before anything else.
    ///
    /// # Cancel safety
    /// Not safe: a dropped future may have cancelled the order.
    pub async fn cancel(&self, order: &CancelOrder) -> Result<OrderId, RestError> {
        self.rest.call(order).await
    }

    /// Opens a connection ahead of time, so that the next order does not wait for the handshake. It serves within
    /// [`idle_for`](super::RestConfig::idle_for).
    ///
    /// # Errors
    /// [`RestError::Unreachable`].
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn warm(&self) -> Result<(), RestError> {
        Pool::lease(&self.rest.write_pool).await?.give_back();
        Ok(())
    }
}
