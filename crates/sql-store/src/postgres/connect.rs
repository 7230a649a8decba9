//! Makes connections, with the session's limits where the server takes them.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_postgres::Connect;
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::{CancelToken, Client, Config, Error, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{cancel, tls};
use crate::{PostgresConfig, StoreError};

/// Makes connections for the pool.
pub(super) struct Connector {
    settings: Config,
    /// The same, with limits that the server keeps by itself.
    with_limits: Config,
    /// Cleared by a pooler that takes no start-up options.
    sets_limits: AtomicBool,
    tls: Option<MakeRustlsConnect>,
}

/// After so long without an answer to what was sent, the system gives the connection up.
const SILENCE: Duration = Duration::from_secs(10);
const KEEPALIVE: Duration = Duration::from_secs(15);

/// The connector as the pool takes it.
pub(super) struct Shared(pub(super) Arc<Connector>);

type Connected = (Client, JoinHandle<()>);

// === impl Connector ===

impl Connector {
    pub(super) fn new(config: &PostgresConfig) -> Result<Self, StoreError> {
        let mut settings = config.url.settings().clone();
        settings
            .connect_timeout(config.connect_timeout)
            .tcp_user_timeout(SILENCE)
            .keepalives(true)
            .keepalives_idle(KEEPALIVE);
        let tls = match settings.get_ssl_mode() {
            SslMode::Disable => None,
            _ => Some(tls::connector(&config.url)?),
        };
        let mut with_limits = settings.clone();
        with_limits.options(limits(settings.get_options(), config.statement_timeout));
        Ok(Self { settings, with_limits, sets_limits: AtomicBool::new(true), tls })
    }

    pub(super) const fn settings(&self) -> &Config {
        &self.settings
    }

    /// Whether the server keeps the limits; not behind a pooler that refuses them.
    pub(super) fn sets_limits(&self) -> bool {
        self.sets_limits.load(Ordering::Relaxed)
    }

    /// Asks the server to give up what runs on a connection.
    pub(super) async fn cancel(&self, token: CancelToken) {
        cancel::cancel(token, &self.settings, self.tls.as_ref()).await;
    }

    async fn connect_once(&self, settings: &Config) -> Result<Connected, Error> {
        match &self.tls {
            Some(tls) => {
                let (client, connection) = settings.connect(tls.clone()).await?;
                Ok((client, drive(connection)))
            }
            None => {
                let (client, connection) = settings.connect(NoTls).await?;
                Ok((client, drive(connection)))
            }
        }
    }

    async fn connect_best(&self) -> Result<Connected, Error> {
        if !self.sets_limits() {
            return self.connect_once(&self.settings).await;
        }
        match self.connect_once(&self.with_limits).await {
            Err(error) if refuses_options(&error) => {
                tracing::info!(
                    "the database's pooler takes no start-up options, limits are kept on this side"
                );
                self.sets_limits.store(false, Ordering::Relaxed);
                self.connect_once(&self.settings).await
            }
            other => other,
        }
    }
}

impl Connect for Shared {
    fn connect(
        &self,
        _settings: &Config,
    ) -> Pin<Box<dyn Future<Output = Result<Connected, Error>> + Send + '_>> {
        Box::pin(self.0.connect_best())
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("sets_limits", &self.sets_limits()).finish_non_exhaustive()
    }
}

/// Moves bytes until the client is dropped; the pool owns the handle and aborts it.
#[expect(clippy::disallowed_methods, reason = "owned and aborted by the pool's wrapper of the connection")]
fn drive<F>(connection: F) -> JoinHandle<()>
where
    F: Future<Output = Result<(), Error>> + Send + 'static,
{
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection to postgres ended");
        }
    })
}

fn limits(given: Option<&str>, statement_timeout: Duration) -> String {
    let millis = statement_timeout.as_millis();
    let ours = format!(
        "-c statement_timeout={millis} -c lock_timeout={millis} -c idle_in_transaction_session_timeout={}",
        2 * millis
    );
    // The operator's own come last and win.
    given.map_or_else(|| ours.clone(), |given| format!("{ours} {given}"))
}

fn refuses_options(error: &Error) -> bool {
    error.as_db_error().is_some_and(|error| error.message().contains("unsupported startup parameter"))
}
