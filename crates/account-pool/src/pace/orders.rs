//! The order limits of one trading account: per second, per minute, per day.
//!
//! The day's count is reserved in blocks in a [`DayCounts`], so that one write covers many orders and a crash can only
//! make the count too high. A store that does not answer delays an order by half a second at most, once in five
//! seconds, and the count goes on in memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use market_model::Clock;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::day::{DayCounts, IstDay};
use super::lane::{Lane, LaneStatus, Permit};
use super::{OrderKind, PaceClass, PaceConfig, PaceError};
use crate::metrics::PaceMetrics;

/// A store is given this long before an order goes without it.
const STORE_PATIENCE: Duration = Duration::from_millis(500);
/// A store that failed is left alone this long.
const STORE_PAUSE: Duration = Duration::from_secs(5);

const PER_SECOND: u8 = 1;
const PER_MINUTE: u8 = 2;

/// The order limits of one trading account, shared by all its apps.
pub struct OrderBudget {
    trading_account: String,
    per_day: u32,
    block: u32,
    minute_counts_changes: bool,
    lane: Arc<Lane>,
    clock: Arc<dyn Clock>,
    counts: Arc<dyn DayCounts>,
    day: Mutex<Day>,
    /// One caller at a time asks the store.
    asking: Semaphore,
}

#[derive(Debug, Clone, Copy)]
struct Day {
    day: IstDay,
    /// What the store counts, plus what it does not know yet.
    total: u64,
    /// Part of the total that is ours and not used yet.
    reserved: u64,
    /// Part of the total that the store was not told.
    unsaved: u64,
    retry_at: Option<Instant>,
}

/// Leave to send one order request now.
#[derive(Debug)]
#[must_use = "the request counts as in flight until the permit is dropped"]
pub struct OrderPermit {
    permit: Permit,
    hold: DayHold,
}

/// The order limits as health reports show them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderStatus {
    /// Whose limits.
    pub trading_account: String,
    /// Per second.
    pub lane: LaneStatus,
    /// Orders that count for today, as far as this instance knows.
    pub day_used: u64,
    /// Most orders a day.
    pub day_most: u32,
    /// Whether the store knows of all of them; if not, a restart forgets some.
    pub day_saved: bool,
}

/// Orders of the day that are set aside for one request; given back unless it is sent.
#[derive(Debug)]
struct DayHold {
    budget: Arc<OrderBudget>,
    day: IstDay,
    orders: u64,
}

// === impl OrderBudget ===

impl OrderBudget {
    /// Nothing sent yet, as far as `counts` does not know better.
    pub fn new(
        trading_account: &str,
        config: &PaceConfig,
        clock: Arc<dyn Clock>,
        counts: Arc<dyn DayCounts>,
        metrics: PaceMetrics,
    ) -> Self {
        let limits = vec![
            config.limit(config.orders_per_second, Duration::from_secs(1)),
            config.limit(config.orders_per_minute, Duration::from_secs(60)),
        ];
        Self {
            trading_account: trading_account.to_owned(),
            per_day: config.orders_per_day,
            block: config.day_block.max(1),
            minute_counts_changes: config.minute_counts_changes,
            lane: Arc::new(Lane::new(config.lane(PaceClass::Orders), limits, Arc::clone(&clock), metrics)),
            day: Mutex::new(Day::new(IstDay::of(clock.now()))),
            clock,
            counts,
            asking: Semaphore::new(1),
        }
    }

    /// Waits for its turn to send one request, until `deadline` at most. `orders` is how many orders a new one makes at
    /// the exchange (each leg of an iceberg counts for the day); it is ignored for changes.
    ///
    /// # Errors
    /// [`PaceError`], as soon as it is clear that the deadline cannot be met or that the day is used up.
    ///
    /// # Cancel safety
    /// A caller that goes away leaves the queue and gives back what was set aside for it.
    pub async fn acquire(
        self: &Arc<Self>,
        kind: OrderKind,
        orders: u32,
        deadline: Instant,
    ) -> Result<OrderPermit, PaceError> {
        let (orders, mask) = match kind {
            OrderKind::Place => (u64::from(orders.max(1)), PER_SECOND | PER_MINUTE),
            _ if self.minute_counts_changes => (0, PER_SECOND | PER_MINUTE),
            OrderKind::Modify | OrderKind::Cancel => (0, PER_SECOND),
        };
        let hold = self.set_aside(orders, deadline).await?;
        let permit = Lane::acquire(&self.lane, mask, deadline).await?;
        Ok(OrderPermit { permit, hold })
    }

    /// Tells that at least `used` orders count for today, for example because the order book shows so many. What the
    /// store has counted already is asked for first, so that nothing counts twice; when it does not answer, the count
    /// goes on in memory.
    ///
    /// # Cancel safety
    /// What was not told yet may be told again.
    pub async fn at_least(&self, used: u64) {
        let patience = Instant::now() + STORE_PATIENCE;
        let Ok(Ok(_turn)) = timeout_at(patience, self.asking.acquire()).await else {
            return self.count_up_to(used);
        };
        self.tell(0, patience).await;
        self.count_up_to(used);
        if self.today().unsaved > 0 {
            self.tell(0, patience).await;
        }
    }

    fn count_up_to(&self, used: u64) {
        let mut day = self.today();
        let missing = used.saturating_sub(day.used());
        day.total += missing;
        day.unsaved += missing;
    }

    /// Gives what is reserved and not used back to the store, at an orderly end.
    ///
    /// # Cancel safety
    /// What was not given back counts as used.
    pub async fn close(&self) {
        let (today, reserved, unsaved) = {
            let mut day = self.today();
            let taken = (day.day, day.reserved, day.unsaved);
            day.total -= day.reserved;
            day.reserved = 0;
            taken
        };
        let by = signed(unsaved).saturating_sub(signed(reserved));
        if by != 0 {
            let deadline = Instant::now() + STORE_PATIENCE;
            let told = timeout_at(deadline, self.counts.add(&self.trading_account, today, by)).await;
            if matches!(told, Ok(Ok(_))) {
                let mut day = self.today();
                day.unsaved = day.unsaved.saturating_sub(unsaved);
            }
        }
    }

    /// How much of the limits is used.
    pub fn status(&self) -> OrderStatus {
        let day = *self.today();
        OrderStatus {
            trading_account: self.trading_account.clone(),
            lane: self.lane.status(Instant::now()),
            day_used: day.used(),
            day_most: self.per_day,
            day_saved: day.unsaved == 0,
        }
    }

    async fn set_aside(self: &Arc<Self>, orders: u64, deadline: Instant) -> Result<DayHold, PaceError> {
        if let Some(hold) = self.take_reserved(orders, false)? {
            return Ok(hold);
        }
        let patience = deadline.min(Instant::now() + STORE_PATIENCE);
        if let Ok(Ok(_turn)) = timeout_at(patience, self.asking.acquire()).await {
            // Whoever was before us may have reserved enough.
            if let Some(hold) = self.take_reserved(orders, false)? {
                return Ok(hold);
            }
            self.tell(u64::from(self.block).max(orders), patience).await;
        }
        match self.take_reserved(orders, true)? {
            Some(hold) => Ok(hold),
            // Cannot be: with `anyway` the count goes on in memory.
            None => Err(self.day_is_full(&self.today())),
        }
    }

    /// Sets `orders` aside from what is reserved; `anyway` counts in memory what the store was not asked for.
    fn take_reserved(self: &Arc<Self>, orders: u64, anyway: bool) -> Result<Option<DayHold>, PaceError> {
        let mut day = self.today();
        if orders > 0 && day.used() + orders > u64::from(self.per_day) && (anyway || day.total > 0) {
            return Err(self.day_is_full(&day));
        }
        if day.reserved < orders {
            if !anyway && day.retry_at.is_none_or(|at| Instant::now() >= at) {
                return Ok(None);
            }
            let missing = orders - day.reserved;
            day.total += missing;
            day.unsaved += missing;
            day.reserved += missing;
        }
        day.reserved -= orders;
        Ok(Some(DayHold { budget: Arc::clone(self), day: day.day, orders }))
    }

    /// Tells the store what it does not know, and reserves `block` orders beside; learns what it counts.
    async fn tell(&self, block: u64, patience: Instant) {
        let (today, unsaved) = {
            let day = self.today();
            (day.day, day.unsaved)
        };
        let by = signed(block + unsaved);
        let answer = timeout_at(patience, self.counts.add(&self.trading_account, today, by)).await;
        let mut day = self.today();
        match answer {
            Ok(Ok(total)) if day.day == today => {
                // Told once it was on its way, so what came meanwhile is still to be told.
                day.unsaved -= unsaved.min(day.unsaved);
                day.total = total + day.unsaved;
                day.reserved += block;
                day.retry_at = None;
            }
            // The day turned while the store was asked.
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => {
                if day.unsaved == 0 {
                    tracing::warn!(
                        trading_account = %self.trading_account,
                        "the count of today's orders cannot be saved, a restart would forget some"
                    );
                }
                day.retry_at = Some(Instant::now() + STORE_PAUSE);
            }
        }
    }

    fn today(&self) -> MutexGuard<'_, Day> {
        let mut day = self.day.lock().unwrap_or_else(PoisonError::into_inner);
        let today = IstDay::of(self.clock.now());
        if day.day != today {
            *day = Day::new(today);
        }
        day
    }

    fn day_is_full(&self, day: &Day) -> PaceError {
        PaceError::DayLimit {
            trading_account: self.trading_account.clone(),
            used: u32::try_from(day.used()).unwrap_or(u32::MAX),
            limit: self.per_day,
        }
    }
}

impl std::fmt::Debug for OrderBudget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OrderBudget").field("trading_account", &self.trading_account).finish_non_exhaustive()
    }
}

// === impl Day ===

impl Day {
    const fn new(day: IstDay) -> Self {
        Self { day, total: 0, reserved: 0, unsaved: 0, retry_at: None }
    }

    const fn used(&self) -> u64 {
        self.total.saturating_sub(self.reserved)
    }
}

impl Drop for DayHold {
    fn drop(&mut self) {
        let mut day = self.budget.today();
        if self.orders > 0 && day.day == self.day {
            day.reserved += self.orders;
        }
    }
}

// === impl OrderPermit ===

impl OrderPermit {
    /// The request is on its way: from here on it counts, whatever becomes of it. Answers the permit that says how the
    /// broker took it.
    pub fn sent(mut self) -> Permit {
        self.hold.orders = 0;
        self.permit
    }

    /// Nothing was written to the broker: neither the second nor the day is charged.
    pub fn not_sent(self) {
        self.permit.unused();
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
