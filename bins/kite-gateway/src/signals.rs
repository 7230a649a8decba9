//! The operating system's wish that we stop.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that is cancelled by SIGTERM or Ctrl-C. A second signal ends the process at once.
pub(crate) fn shutdown_signal() -> io::Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    #[expect(
        clippy::disallowed_methods,
        reason = "lives as long as the process; it must outlive the supervisor"
    )]
    tokio::spawn(async move {
        let name = tokio::select! { _ = terminate.recv() => "SIGTERM", _ = interrupt.recv() => "SIGINT" };
        tracing::info!(signal = name, "stopping");
        stopped.cancel();
        tokio::select! { _ = terminate.recv() => (), _ = interrupt.recv() => () }
        tracing::warn!("second signal, stopping at once");
        std::process::exit(130);
    });
    Ok(stop)
}
