//! Accepts connections, serves them, and lets them go in order.

use std::io::{self, ErrorKind};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use futures_util::future::BoxFuture;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::error::ApiError;
use crate::router::{Door, router};
use crate::state::{ApiConfig, ApiState};

/// Larger request heads are refused; ours are a few hundred bytes.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// How long to wait after an error that has nothing to do with one client, such as no free file descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where a handler leaves what is to run on its connection after the upgrade. The connection's own task runs it, so
/// a stream is no more detached than a request.
#[derive(Clone, Default)]
pub(crate) struct AfterUpgrade(Arc<Mutex<Option<BoxFuture<'static, ()>>>>);

/// Serves until `shutdown` is cancelled, then lets requests and streams end within the configured time.
///
/// # Errors
/// [`ApiError::Listener`] when the socket can accept no more.
///
/// # Cancel safety
/// Dropping the future closes every connection at once; nothing keeps running.
pub async fn serve(
    listener: TcpListener,
    state: ApiState,
    config: ApiConfig,
    shutdown: CancellationToken,
) -> Result<(), ApiError> {
    let address = listener.local_addr().map_err(ApiError::Listener)?;
    info!(%address, "serving http");
    let mut server = Server::new(state, config, shutdown);
    let served = server.accept_until_shutdown(&listener).await;
    drop(listener);
    server.drain().await;
    served
}

struct Server {
    door: Arc<Door>,
    router: Router,
    http: http1::Builder,
    connections: JoinSet<()>,
}

// === impl Server ===

impl Server {
    fn new(state: ApiState, config: ApiConfig, shutdown: CancellationToken) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(config.header_read_timeout)
            .max_buf_size(MAX_HEAD_BYTES)
            .keep_alive(true);
        let door = Door::new(state, config, shutdown);
        Self { router: router(door.clone()), door, http, connections: JoinSet::new() }
    }

    async fn accept_until_shutdown(&mut self, listener: &TcpListener) -> Result<(), ApiError> {
        let mut catalog = self.door.state.catalog.clone();
        let mut catalog_lives = true;
        loop {
            tokio::select! {
                biased;
                () = self.door.shutdown.cancelled() => return Ok(()),
                Some(ended) = self.connections.join_next() => {
                    if let Err(failure) = ended {
                        error!(%failure, "a connection's task failed");
                    }
                }
                changed = catalog.changed(), if catalog_lives => {
                    catalog_lives = changed.is_ok();
                    let listed = catalog.borrow_and_update().clone();
                    self.door.state.latest.keep_listed(&listed);
                }
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => self.take(stream),
                    Err(error) if concerns_one_client(&error) => debug!(%error, "a client went before it was accepted"),
                    Err(error) if error.kind() == ErrorKind::InvalidInput => return Err(ApiError::Listener(error)),
                    Err(error) => {
                        warn!(%error, "cannot accept connections for now");
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        }
    }

    fn take(&mut self, stream: TcpStream) {
        if self.connections.len() >= self.door.config.max_connections {
            self.door.state.metrics.refused_connections.increment(1);
            // The socket is new, so its buffer takes these few bytes or the client gets nothing.
            let _ = stream.try_write(
                b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            );
            return;
        }
        // A tick must not wait for the acknowledgement of the one before it.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "cannot set TCP_NODELAY");
        }
        let connection = converse(self.http.clone(), self.router.clone(), self.door.shutdown.clone(), stream);
        self.connections.spawn(connection);
    }

    async fn drain(mut self) {
        let deadline = self.door.config.drain_deadline;
        let connections = &mut self.connections;
        let ended = timeout(deadline, async { while connections.join_next().await.is_some() {} });
        match ended.await {
            Ok(()) => info!("http connections closed"),
            Err(_) => {
                warn!(left = self.connections.len(), ?deadline, "http connections closed at the deadline");
            }
        }
    }
}

async fn converse(http: http1::Builder, router: Router, shutdown: CancellationToken, stream: TcpStream) {
    let after = AfterUpgrade::default();
    let (router, shared) = (TowerToHyperService::new(router), after.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(shared.clone());
        let answer: BoxFuture<'_, Result<Response, std::convert::Infallible>> =
            Box::pin(router.call(request));
        answer
    });
    let connection = http.serve_connection(TokioIo::new(stream), service).with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "http connection failed");
    }
    if let Some(run) = after.take() {
        run.await;
    }
}

fn concerns_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionRefused
            | ErrorKind::Interrupted
    )
}

// === impl AfterUpgrade ===

impl AfterUpgrade {
    pub(crate) fn put(&self, run: BoxFuture<'static, ()>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(run);
    }

    fn take(&self) -> Option<BoxFuture<'static, ()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
