//! The price a ladder is centred on.

use std::sync::Arc;
use std::time::Duration;

use market_model::{
    ExpiryChain, InstrumentCatalog, InstrumentSlot, InstrumentToken, Price, Underlying, UnixNanos,
};

/// A price and when it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quote {
    /// The price.
    pub price: Price,
    /// When it left the socket.
    pub at: UnixNanos,
}

/// The newest prices, asked for about once a second. Answers come from memory.
pub trait Quotes: Send + Sync + 'static {
    /// The last price of an instrument, if one has been seen.
    fn last(&self, token: InstrumentToken) -> Option<Quote>;

    /// The forward of an expiry as the Greeks use it, if there is a fresh one.
    fn forward(&self, _underlying: &Underlying, _chain: &ExpiryChain) -> Option<Price> {
        None
    }
}

/// Where the price of a ladder came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferenceSource {
    /// The forward of the expiry.
    Forward,
    /// The index or share.
    Spot,
    /// A future: that of the expiry, else the nearest.
    Future,
}

impl<Q: Quotes> Quotes for Arc<Q> {
    fn last(&self, token: InstrumentToken) -> Option<Quote> {
        (**self).last(token)
    }

    fn forward(&self, underlying: &Underlying, chain: &ExpiryChain) -> Option<Price> {
        (**self).forward(underlying, chain)
    }
}

/// The best price for `chain`: its forward, a fresh spot, a fresh future, else the newest of what there is. The spot
/// goes quiet before options do (an index stands still while its shares are in the closing auction).
pub(crate) fn reference(
    underlying: &Underlying,
    chain: &ExpiryChain,
    catalog: &InstrumentCatalog,
    quotes: &impl Quotes,
    (now, stale_after): (UnixNanos, Duration),
) -> Option<(Price, ReferenceSource)> {
    if let Some(forward) = quotes.forward(underlying, chain).filter(|price| price.is_positive()) {
        return Some((forward, ReferenceSource::Forward));
    }
    let seen =
        |slot: InstrumentSlot| quotes.last(catalog.get(slot).token).filter(|quote| quote.price.is_positive());
    let fresh = |quote: &Quote| now.saturating_since(quote.at) <= stale_after;
    let spot = underlying.spot.and_then(seen);
    let future = chain.future.iter().chain(&underlying.futures).find_map(|slot| seen(*slot));
    let (spot, future) = (
        spot.map(|quote| (quote, ReferenceSource::Spot)),
        future.map(|quote| (quote, ReferenceSource::Future)),
    );
    let best = [spot, future].into_iter().flatten().find(|(quote, _)| fresh(quote));
    // Of two equally old ones the spot, which comes last.
    let newest = || [future, spot].into_iter().flatten().max_by_key(|(quote, _)| quote.at);
    best.or_else(newest).map(|(quote, source)| (quote.price, source))
}
