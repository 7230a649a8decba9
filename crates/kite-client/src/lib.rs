//! Conversations with Kite Connect: the ticker, which is market data and order updates over a pool of websockets
//! that follow a desired state and tell, in order, everything they know about what they did not deliver; and the REST
//! API, every call of [`kite_wire::api`], whose reads are tried again and whose orders never are.
//!
//! This crate refuses to know where wishes come from, what happens to a tick, how a token is got, and the bytes
//! themselves (`kite-wire` does). It starts no thread and no detached task, keeps no state in statics, and installs
//! no metrics recorder. It logs no key and no token; but the websocket library writes the whole handshake at level
//! trace, so a program that logs must keep the target `tungstenite` above that.
//!
//! What the ticker finds, and how soon with the usual settings:
//! - a connection without any frame: 5 s;
//! - one that reads but does not answer pings: 10 s;
//! - one with heartbeats but no ticks while an exchange trades: 10 s;
//! - one whose ticks fall to 2.5 % of its own usual rate: 7 s, on the first minute of a day too when it was given the
//!   [`RateProfile`] of earlier days;
//! - an instrument that never ticked, or ticked regularly and stopped: 30 s.
//!
//! A connection is replaced without a hole where the account may open one socket more: the new one subscribes and ticks
//! before the old one is closed, and of an instrument that has ticked on the new one the old one's ticks are removed.
//! Every packet is accounted for: [`ConnectionStatus::is_balanced`].
//!
//! ```
//! # async fn example() -> Result<(), kite_client::KiteError> {
//! use std::sync::Arc;
//! use kite_client::{AccessToken, ApiKey, Ticker, TickerConfig, TickerCredentials, TickerMetrics};
//! use market_model::{InstrumentToken, Mode, SubscriptionSet, SystemClock};
//!
//! let login = TickerCredentials {
//!     api_key: ApiKey::new("key"),
//!     access_token: AccessToken::new("token"),
//!     generation: 1,
//! };
//! let (_keep_for_renewal, credentials) = tokio::sync::watch::channel(Some(login));
//! let (ticker, handle, mut streams) = Ticker::new(
//!     TickerConfig::default(),
//!     Arc::from("main"),
//!     credentials,
//!     Arc::new(SystemClock),
//!     TickerMetrics::noop(),
//! )?;
//! let mut wishes = SubscriptionSet::new();
//! wishes.insert(InstrumentToken(408_065), Mode::Full);
//! handle.set_desired(wishes);
//! let shutdown = tokio_util::sync::CancellationToken::new();
//! let print = async { while let Some(event) = streams.feed.recv().await { drop(event) } };
//! tokio::join!(ticker.run(shutdown), print);
//! # Ok(())
//! # }
//! ```
//!
//! And over REST:
//!
//! ```
//! # use kite_wire::{OrderType, Product, TransactionType, api::{GetMargins, PlaceOrder}};
//! # use kite_client::{AccessToken, ApiKey, Delivery, KiteRest, RestConfig, RestMetrics, Unpaced};
//! # async fn example(session: kite_wire::rest::Session) -> Result<(), Box<dyn std::error::Error>> {
//! let (login, token) = tokio::sync::watch::channel(Some(AccessToken::new("token")));
//! let kite = KiteRest::following("https://api.kite.trade", ApiKey::new("key"), token)?
//!     .with_pace(std::sync::Arc::new(Unpaced)) // whoever keeps the account's rate limits
//!     .with_metrics(RestMetrics::noop());
//! let funds = kite.call(&GetMargins).await?;
//! let sbin = (market_model::Exchange::Nse, "SBIN");
//! let order = PlaceOrder::regular(sbin, (TransactionType::Buy, 1), Product::Cnc, OrderType::Market);
//! match kite.orders().place(&order).await {
//!     Ok(placed) => println!("{:?} of {:?}", placed.order_id, funds.equity.map(|purse| purse.net)),
//!     Err(error) if error.delivery() == Delivery::Unknown => println!("look it up by its tag: {error}"),
//!     Err(error) => println!("no order: {error}"),
//! }
//! let mut dump = kite.instruments_stream(&Default::default()).await?;
//! while let Some(csv) = dump.next().await? { drop(csv) }
//! login.send_replace(Some(AccessToken::new(session.access_token))); // the next call uses it
//! # Ok(())
//! # }
//! ```

mod error;
mod rest;
mod secret;
mod ticker;

pub use error::KiteError;
pub use rest::{
    Delivery, DumpFeed, DumpReader, DumpStream, KiteApiError, KiteRest, Orders, Pace, PacePermit,
    PaceRefused, RestConfig, RestError, RestMetrics, SessionCalls, Unpaced,
};
pub use secret::{AccessToken, ApiKey};
pub use ticker::{
    AddressFamily, ByteStream, Carriers, Connect, ConnectionLimits, ConnectionPlan, ConnectionState,
    ConnectionStatus, Endpoint, FrameTap, RateCollapseAction, RateProfile, RateProfileError, RateSlot,
    SocketConfig, SubscriptionCounts, TapKind, TcpTls, TickRecycler, Ticker, TickerConfig, TickerCredentials,
    TickerEnd, TickerHandle, TickerMetrics, TickerStatus, TickerStreams, plan_connections, roots_from_pem,
};
