//! How fast an account may ask: the broker's limits per class of route, obeyed by all callers together.
//!
//! Kite counts per API key, orders per trading account. Whether its second is one of the calendar or any second is not
//! documented, so both readings hold at once unless configured otherwise.

mod day;
mod lane;
mod orders;
mod window;

use std::sync::Arc;
use std::time::Duration;

use market_model::Clock;
use resilience::BackoffConfig;
use tokio::time::Instant;

pub use day::{DayCounts, IstDay, MemoryDayCounts};
pub use lane::{LaneStatus, Permit};
pub use orders::{OrderBudget, OrderPermit, OrderStatus};
pub use window::WindowReading;

use crate::metrics::PaceMetrics;
use lane::{Lane, LaneConfig};
use window::Limit;

/// Classes of routes that each have a limit of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PaceClass {
    /// `/quote`, `/quote/ohlc`, `/quote/ltp`. Whether the three share one budget is not documented; here they do.
    Quote,
    /// Candles.
    Historical,
    /// Placing, modifying, cancelling.
    Orders,
    /// Everything else.
    Other,
}

/// The classes of calls that change nothing. There is no way to say "orders" here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReadClass {
    /// `/quote`, `/quote/ohlc`, `/quote/ltp`.
    Quote,
    /// Candles.
    Historical,
    /// Every other read, margins and charges included.
    Other,
}

/// Which order request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrderKind {
    /// A new order. The only one that counts for the day.
    Place,
    /// A change of an order.
    Modify,
    /// A cancellation.
    Cancel,
}

/// The broker's limits. All are configuration, because they have changed before.
#[derive(Debug, Clone, PartialEq)]
pub struct PaceConfig {
    /// Quotes per second.
    pub quote_per_second: u32,
    /// Candle requests per second.
    pub historical_per_second: u32,
    /// Other requests per second.
    pub other_per_second: u32,
    /// Order requests per second, per trading account.
    pub orders_per_second: u32,
    /// Order requests per minute, per trading account.
    pub orders_per_minute: u32,
    /// New orders per Indian calendar day, per trading account.
    pub orders_per_day: u32,
    /// Whether modifications and cancellations count for the minute. Not documented; counting them is the safe side.
    pub minute_counts_changes: bool,
    /// What "per second" means.
    pub reading: WindowReading,
    /// Added to each rolling window, because requests do not arrive as evenly as they leave.
    pub guard: Duration,
    /// Most callers that may wait for one class of one account.
    pub max_waiting: usize,
    /// How long a class is left alone after the broker said "too many requests".
    pub backoff: BackoffConfig,
    /// How many orders of the day are reserved in the store at a time. After a crash at most this many count as sent
    /// that were not.
    pub day_block: u32,
}

/// Why a call may not be made now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PaceError {
    /// A slot comes only after the caller's deadline.
    #[error("the limit of class {} lets this call go in about {} ms, after its deadline", class.as_str(), wait.as_millis())]
    TooLate {
        /// Which limit.
        class: PaceClass,
        /// How long it would have had to wait.
        wait: Duration,
    },
    /// Too many wait already.
    #[error("{waiting} calls of class {} wait already; send fewer", class.as_str())]
    TooManyWaiting {
        /// Which limit.
        class: PaceClass,
        /// How many wait.
        waiting: usize,
    },
    /// The broker takes no more orders today.
    #[error(
        "{used} of {limit} orders of the day were sent on `{trading_account}`; the broker takes no more today"
    )]
    DayLimit {
        /// Whose limit.
        trading_account: String,
        /// How many count.
        used: u32,
        /// How many are allowed.
        limit: u32,
    },
}

/// The limits of one account, shared by everybody who uses it.
#[derive(Debug, Clone)]
pub struct Pacer {
    quote: Arc<Lane>,
    historical: Arc<Lane>,
    other: Arc<Lane>,
    orders: Arc<OrderBudget>,
}

// === impl Pacer ===

impl Pacer {
    /// For the account of that name; `orders` is shared with the other apps of the same trading account.
    pub fn new(
        config: &PaceConfig,
        clock: Arc<dyn Clock>,
        orders: Arc<OrderBudget>,
        metrics: impl Fn(PaceClass) -> PaceMetrics,
    ) -> Self {
        let lane = |class: PaceClass, per_second| {
            let limits = vec![config.limit(per_second, Duration::from_secs(1))];
            Arc::new(Lane::new(config.lane(class), limits, Arc::clone(&clock), metrics(class)))
        };
        Self {
            quote: lane(PaceClass::Quote, config.quote_per_second),
            historical: lane(PaceClass::Historical, config.historical_per_second),
            other: lane(PaceClass::Other, config.other_per_second),
            orders,
        }
    }

    /// Waits for its turn to make a call of `class`, first come first served, until `deadline` at most. Make the call
    /// at once: the slot is of the moment it is given.
    ///
    /// # Errors
    /// [`PaceError`], as soon as it is clear that the deadline cannot be met.
    ///
    /// # Cancel safety
    /// A caller that goes away leaves the queue and gives back a slot it did not take.
    pub async fn acquire(&self, class: ReadClass, deadline: Instant) -> Result<Permit, PaceError> {
        Lane::acquire(self.lane(class), 1, deadline).await
    }

    /// The order limits of the trading account.
    pub fn orders(&self) -> &Arc<OrderBudget> {
        &self.orders
    }

    /// How busy `class` is.
    pub fn status(&self, class: ReadClass) -> LaneStatus {
        self.lane(class).status(Instant::now())
    }

    /// How long a call of `class` would wait if it came now, as far as can be told.
    pub(crate) fn estimate(&self, class: ReadClass) -> Duration {
        self.lane(class).wait_now(Instant::now())
    }

    fn lane(&self, class: ReadClass) -> &Arc<Lane> {
        match class {
            ReadClass::Quote => &self.quote,
            ReadClass::Historical => &self.historical,
            ReadClass::Other => &self.other,
        }
    }
}

// === impl PaceConfig ===

impl Default for PaceConfig {
    /// What Kite documents.
    fn default() -> Self {
        Self {
            quote_per_second: 1,
            historical_per_second: 3,
            other_per_second: 10,
            orders_per_second: 10,
            orders_per_minute: 400,
            orders_per_day: 5000,
            minute_counts_changes: true,
            reading: WindowReading::Both,
            guard: Duration::from_millis(25),
            // At 10 a second the last of them would wait half a minute, longer than any caller.
            max_waiting: 256,
            backoff: BackoffConfig {
                initial: Duration::from_secs(1),
                max: Duration::from_secs(30),
                multiplier: 2.0,
                jitter: 0.2,
            },
            day_block: 50,
        }
    }
}

impl PaceConfig {
    fn limit(&self, most: u32, span: Duration) -> Limit {
        Limit { most, span, guard: self.guard, reading: self.reading }
    }

    fn lane(&self, class: PaceClass) -> LaneConfig {
        LaneConfig { class, max_waiting: self.max_waiting, backoff: self.backoff }
    }
}

// === impl PaceClass ===

impl PaceClass {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Quote, Self::Historical, Self::Orders, Self::Other];

    /// The word used in metrics and health reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Quote => "quote",
            Self::Historical => "historical",
            Self::Orders => "orders",
            Self::Other => "other",
        }
    }
}

impl From<ReadClass> for PaceClass {
    fn from(class: ReadClass) -> Self {
        match class {
            ReadClass::Quote => Self::Quote,
            ReadClass::Historical => Self::Historical,
            ReadClass::Other => Self::Other,
        }
    }
}

impl ReadClass {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Quote, Self::Historical, Self::Other];
}

#[cfg(test)]
mod tests;
