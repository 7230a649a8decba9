//! `kite-sim`: a simulated Kite on its own.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use kite_sim::{SimError, Simulator};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::args::Args;

mod args;

/// The exit code for a configuration that cannot be used.
const BAD_CONFIGURATION: u8 = 64;

fn main() -> ExitCode {
    start_logging();
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let wanted = !error.use_stderr();
            // Nothing can be done when the terminal is gone.
            let _ = error.print();
            return if wanted { ExitCode::SUCCESS } else { ExitCode::from(BAD_CONFIGURATION) };
        }
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    runtime.block_on(serve(args))
}

async fn serve(args: Args) -> ExitCode {
    let (listen, tls, certificate) = (args.listen, args.tls, args.tls_certificate.clone());
    let config = match args.into_config() {
        Ok(config) => config,
        Err(problem) => {
            let _ = writeln!(std::io::stderr(), "kite-sim: {problem}");
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    let apps = config.apps.clone();
    let simulator = match Simulator::bind(config, listen).await {
        Ok(simulator) => simulator,
        Err(error @ (SimError::Config { .. } | SimError::Fault { .. })) => {
            fail(&error);
            return ExitCode::from(BAD_CONFIGURATION);
        }
        Err(error) => return fail(&error),
    };
    if let (Some(path), Some(pem)) = (certificate, simulator.certificate())
        && let Err(error) = std::fs::write(&path, pem)
    {
        let _ = writeln!(std::io::stderr(), "kite-sim: cannot write {}: {error}", path.display());
        return ExitCode::FAILURE;
    }
    if say(&args::welcome(simulator.addr(), &apps, tls)).is_err() {
        return ExitCode::FAILURE;
    }
    let shutdown = CancellationToken::new();
    let mut run = std::pin::pin!(simulator.run(shutdown.clone()));
    tokio::select! {
        () = &mut run => return ExitCode::SUCCESS,
        () = interrupted() => shutdown.cancel(),
    }
    run.await;
    ExitCode::SUCCESS
}

/// Returns on Ctrl-C or SIGTERM.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

fn start_logging() {
    let asked = std::env::var("KITE_SIM_LOG").unwrap_or_default();
    let targets: Targets = asked.parse().unwrap_or_default();
    let targets = match asked.is_empty() {
        true => targets.with_default(LevelFilter::INFO),
        false => targets,
    };
    // The request line of a ticker handshake holds an access token: the HTTP libraries never log below warn.
    let quiet = ["hyper", "hyper_util", "tungstenite", "tokio_tungstenite"];
    let targets = targets.with_targets(quiet.map(|name| (name, LevelFilter::WARN)));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    tracing_subscriber::registry().with(lines.with_filter(targets)).init();
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    let mut text = format!("kite-sim: {error}");
    if let Some(source) = error.source() {
        text.push_str(&format!(" ({source})"));
    }
    let _ = writeln!(std::io::stderr(), "{text}");
    ExitCode::FAILURE
}

fn say(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
