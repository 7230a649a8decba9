//! The operating system's wish that we stop.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A token that is cancelled by SIGTERM or Ctrl-C, and the task that listens for them. A second signal ends the
/// process at once, so keep the task until the gateway has drained.
pub(crate) fn shutdown_signal() -> io::Result<(CancellationToken, JoinSet<()>)> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let (stopped, mut listener) = (stop.clone(), JoinSet::new());
    listener.spawn(async move {
        let name = tokio::select! { _ = terminate.recv() => "SIGTERM", _ = interrupt.recv() => "SIGINT" };
        tracing::info!(signal = name, "stopping");
        stopped.cancel();
        tokio::select! { _ = terminate.recv() => (), _ = interrupt.recv() => () }
        tracing::warn!("second signal, stopping at once");
        std::process::exit(130);
    });
    Ok((stop, listener))
}
