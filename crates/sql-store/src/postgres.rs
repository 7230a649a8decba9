//! The Postgres engine: a pool whose connections are only kept while they are surely idle.

mod cancel;
mod connect;
mod migrations;
mod run;
mod sqlstate;
mod tls;
mod url;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, TimeoutType, Timeouts,
};
use futures_util::future::join;

use self::connect::{Connector, Shared};
use self::run::Run;
pub use self::url::PostgresUrl;
use crate::atomic::{Done, Step};
use crate::status::StatusBoard;
use crate::{PostgresConfig, StoreError, StoreMetrics};

/// A pool of connections.
#[derive(Debug)]
pub(crate) struct PostgresEngine {
    pool: Pool,
    connector: Arc<Connector>,
    config: PostgresConfig,
    status: Arc<StatusBoard>,
    metrics: StoreMetrics,
}

/// A connection that goes back to the pool only when `reusable` says so; also when a caller is dropped half-way.
struct Borrowed {
    connection: Option<Object>,
    reusable: bool,
    metrics: StoreMetrics,
}

/// How long a server may take to answer that it gave a statement up.
const CANCEL: Duration = Duration::from_millis(750);
/// The server's own limit ends first, so that it can say so.
const GRACE: Duration = Duration::from_millis(200);

// === impl PostgresEngine ===

impl PostgresEngine {
    pub(crate) fn open(
        config: PostgresConfig,
        status: Arc<StatusBoard>,
        metrics: StoreMetrics,
    ) -> Result<Self, StoreError> {
        let connector = Arc::new(Connector::new(&config)?);
        let manager = Manager::from_connect(
            connector.settings().clone(),
            Shared(connector.clone()),
            // A dead connection is seen as closed; asking before each call would double the round trips.
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let timeouts = Timeouts {
            wait: Some(config.acquire_timeout),
            create: Some(config.connect_timeout),
            recycle: Some(config.connect_timeout),
        };
        let pool = Pool::builder(manager)
            .max_size(config.max_connections.max(1))
            .timeouts(timeouts)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| StoreError::Url(error.to_string()))?;
        Ok(Self { pool, connector, config, status, metrics })
    }

    pub(crate) async fn run(
        &self,
        steps: Vec<Step>,
        timeout: Option<Duration>,
    ) -> Result<Vec<Done>, StoreError> {
        let limit = timeout.unwrap_or(self.config.statement_timeout);
        let mut borrowed = self.borrow().await?;
        let Some(connection) = borrowed.connection.as_ref() else { return Err(StoreError::Closed) };
        let cancel = connection.cancel_token();
        // The session's own limit is the configured one; another must be set inside the transaction.
        let server_limit =
            (limit != self.config.statement_timeout || !self.connector.sets_limits()).then_some(limit);
        let may_have_run = AtomicBool::new(false);
        let run = Run {
            client: connection,
            database: self.database(),
            steps: &steps,
            limit,
            server_limit,
            may_have_run: &may_have_run,
        };
        let mut running = pin!(run.run());
        let outcome = match tokio::time::timeout(limit + GRACE, running.as_mut()).await {
            Ok(outcome) => Some(outcome),
            // The answer to a cancelled statement still tells whether it was undone.
            Err(_) => {
                let told = join(self.connector.cancel(cancel), running.as_mut());
                tokio::time::timeout(CANCEL, told).await.ok().map(|(_, outcome)| outcome)
            }
        };
        match outcome {
            Some(outcome) => {
                borrowed.reusable = outcome.is_reusable;
                if outcome.result.is_ok() {
                    self.metrics.transactions.increment(1);
                }
                outcome.result
            }
            None => {
                // What answers nothing to one answers nothing to all: the idle ones are made anew.
                self.pool.retain(|_, _| false);
                let statement = steps.first().map_or("nothing", |step| step.statement.name);
                let may_have_run = may_have_run.load(Ordering::Relaxed);
                Err(StoreError::Timeout { statement, limit, answered: false, may_have_run })
            }
        }
    }

    pub(crate) fn close(&self) {
        self.pool.close();
    }

    fn database(&self) -> &PostgresUrl {
        &self.config.url
    }

    async fn borrow(&self) -> Result<Borrowed, StoreError> {
        let connection = self.pool.get().await.map_err(|error| self.of_pool(error))?;
        Ok(Borrowed { connection: Some(connection), reusable: false, metrics: self.metrics.clone() })
    }

    fn of_pool(&self, error: PoolError) -> StoreError {
        let unavailable =
            |cause: String| StoreError::Unavailable { database: self.database().to_string(), cause };
        match error {
            PoolError::Timeout(TimeoutType::Wait) => match self.status.down() {
                // Every place is taken by an attempt to connect.
                Some(_) => unavailable(format!("no answer within {:?}", self.config.acquire_timeout)),
                None => StoreError::PoolExhausted { waited: self.config.acquire_timeout },
            },
            PoolError::Timeout(_) => {
                unavailable(format!("no answer within {:?}", self.config.connect_timeout))
            }
            PoolError::Backend(error) => sqlstate::of_connect(self.database(), &error),
            PoolError::Closed => StoreError::Closed,
            other => unavailable(other.to_string()),
        }
    }
}

// === impl Borrowed ===

impl Drop for Borrowed {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take()
            && !self.reusable
        {
            self.metrics.discarded.increment(1);
            drop(Object::take(connection));
        }
    }
}
