//! Logging: text or JSON lines on standard output, JSON lines in a rotated file, secrets removed from both.

mod redact;
mod rotate;

use std::io::{self, IsTerminal};
use std::path::Path;

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;

use crate::config::{Config, LogConfig};
pub use redact::Redactor;
use rotate::RotatedFile;

/// Lines that may wait for the disk: a few seconds of a busy start. More are dropped and counted, because a full
/// disk must not stop the feed.
const FILE_QUEUE_LINES: usize = 16_384;

/// Keeps the log file's writer alive; dropping it writes what is waiting.
pub struct Logging {
    _writer: WorkerGuard,
    dropped: ErrorCounter,
}

impl Logging {
    /// Log lines that were dropped because the disk was too slow or full.
    pub fn dropped_lines(&self) -> usize {
        self.dropped.dropped_lines()
    }
}

/// A subscriber for [`tracing::subscriber::set_global_default`], which only a binary calls.
///
/// # Errors
/// When the data folder or the log file in it cannot be written.
pub fn subscriber(config: &Config) -> io::Result<(impl tracing::Subscriber + Send + Sync, Logging)> {
    let redactor = Redactor::new(config.secrets());
    let file = open_file(&config.data_dir, &config.log)?;
    let (file, writer) =
        NonBlockingBuilder::default().buffered_lines_limit(FILE_QUEUE_LINES).lossy(true).finish(file);
    let dropped = file.error_counter();
    let to_stdout = tracing_subscriber::fmt::layer()
        .with_ansi(io::stdout().is_terminal())
        .with_writer(redactor.clone().over(io::stdout));
    let to_stdout = if config.log.json {
        to_stdout.json().flatten_event(true).boxed()
    } else {
        to_stdout.with_target(false).boxed()
    };
    let to_file = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_writer(redactor.over(move || file.clone()));
    let subscriber = tracing_subscriber::registry()
        .with(to_stdout.with_filter(targets(&config.log)))
        .with(to_file.with_filter(targets(&config.log)));
    Ok((subscriber, Logging { _writer: writer, dropped }))
}

/// Our own lines at the wanted level. Libraries stay at `info` or above, whatever is asked for: at `trace` some of
/// them print request addresses with the token in it.
fn targets(log: &LogConfig) -> Targets {
    let libraries = log.level.min(tracing::Level::INFO);
    ["tungstenite", "tokio_tungstenite", "hyper", "hyper_util", "rustls", "fred", "h2", "axum"]
        .into_iter()
        .fold(Targets::new().with_default(log.level), |targets, name| targets.with_target(name, libraries))
}

fn open_file(data_dir: &Path, log: &LogConfig) -> io::Result<RotatedFile> {
    let folder = data_dir.join("log");
    let explain = |error: io::Error| {
        let text = format!(
            "the data folder {} cannot be written ({error}); set GATEWAY_DATA_DIR",
            data_dir.display()
        );
        io::Error::new(error.kind(), text)
    };
    std::fs::create_dir_all(&folder).map_err(explain)?;
    RotatedFile::open(folder.join("gateway.log"), log.file_bytes, log.files).map_err(explain)
}
