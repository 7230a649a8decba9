//! Orders of the day that were placed before this start, or elsewhere: counted from the broker's order book.
//!
//! The broker's daily limit is the user's, not this process's. The book is read once for each new token of an account whose
//! lease is held here, and a count that is higher than ours takes its place.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use account_pool::{Account, AccountName, AccountPool, Generation, IstDay};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use market_model::Clock;
use resilience::{Backoff, BackoffConfig, TaskExit};
use sql_store::lease::HeldLeases;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::adapters::broker::Broker;

/// How often accounts are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Books read at once: a hundred accounts that log in at the same minute are no storm.
const AT_ONCE: usize = 8;
/// After a book that could not be read.
const AGAIN: BackoffConfig = BackoffConfig {
    initial: Duration::from_secs(5),
    max: Duration::from_secs(300),
    multiplier: 2.0,
    jitter: 0.2,
};

/// Counts what the order books show.
pub(crate) struct OrderCounts {
    pool: Arc<AccountPool>,
    broker: Broker,
    held: watch::Receiver<HeldLeases>,
    clock: Arc<dyn Clock>,
    books: Mutex<HashMap<AccountName, Book>>,
}

/// What is known of one account's book.
struct Book {
    /// The token it was read with.
    read: Option<Generation>,
    backoff: Backoff,
    next: Instant,
    problem: Option<String>,
}

// === impl OrderCounts ===

impl OrderCounts {
    pub(crate) fn new(broker: Broker, held: watch::Receiver<HeldLeases>, clock: Arc<dyn Clock>) -> Self {
        Self { pool: broker.pool.clone(), broker, held, clock, books: Mutex::default() }
    }

    /// Reads what is to be read, until `stop`.
    pub(crate) async fn run(&self, stop: CancellationToken) -> TaskExit {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reads = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return TaskExit::Cancelled,
                Some(()) = reads.next(), if !reads.is_empty() => continue,
                _ = looks.tick(), if reads.is_empty() => {}
            }
            let due = self.pool.accounts().into_iter().filter_map(|account| self.due(account));
            reads.extend(due.take(AT_ONCE).map(|(account, generation)| self.read(account, generation)));
        }
    }

    /// Whether the book of `account` is counted, and what kept it from being read.
    pub(crate) fn status(&self, account: &AccountName) -> (bool, Option<String>) {
        let books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        books.get(account).map_or((false, None), |book| (book.read.is_some(), book.problem.clone()))
    }

    fn due(&self, account: Arc<Account>) -> Option<(Arc<Account>, Generation)> {
        let name = account.name.as_str();
        if !account.enabled || !self.held.borrow().contains_key(name) {
            return None;
        }
        let view = self.pool.board().view(name).filter(|view| view.token.is_some())?;
        let books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = books
            .get(&account.name)
            .is_none_or(|book| book.read != Some(view.generation) && book.next <= Instant::now());
        drop(books);
        is_due.then_some((account, view.generation))
    }

    async fn read(&self, account: Arc<Account>, generation: Generation) {
        let name = &account.name;
        let counted = match self.broker.orders_of(name, IstDay::of(self.clock.now())).await {
            Ok(orders) => {
                info!(account = %name, orders, "orders of the day counted from the order book");
                self.pool.orders_seen(name.as_str(), orders).await.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        let book = books.entry(name.clone()).or_insert_with(|| Book {
            read: None,
            backoff: Backoff::new(AGAIN, name.as_str().len() as u64),
            next: Instant::now(),
            problem: None,
        });
        match counted {
            Ok(()) => {
                (book.read, book.problem) = (Some(generation), None);
                book.backoff.reset();
            }
            Err(problem) => {
                let wait = book.backoff.next();
                warn!(account = %name, problem, again_in_s = wait.as_secs(), "the order book cannot be read");
                book.next = Instant::now() + wait;
                book.problem = Some(problem);
            }
        }
    }
}
