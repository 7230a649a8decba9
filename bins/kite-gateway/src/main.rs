//! The gateway as one program: configuration, logging, runtime, build, run, exit code.

mod args;
mod commands;
mod signals;

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use gateway::{Config, Gateway, ProcessEnv, StartError, logging};
use market_model::SystemClock;

use crate::args::Arguments;

/// Wrong usage or configuration, as `sysexits.h` numbers it.
const EXIT_CONFIG: u8 = 64;
const EXIT_START: u8 = 1;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(EXIT_CONFIG) } else { ExitCode::SUCCESS };
        }
    };
    if let Some(command) = &arguments.command {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        return match runtime {
            Ok(runtime) => runtime.block_on(commands::run(&arguments, command)),
            Err(error) => {
                eprintln!("cannot start: {error}");
                ExitCode::from(EXIT_START)
            }
        };
    }
    let config = match Config::read(&ProcessEnv, arguments.config.as_deref()) {
        Ok(config) => config,
        Err(problems) => {
            eprintln!("{problems}");
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    if arguments.check {
        eprintln!("the configuration is good");
        return ExitCode::SUCCESS;
    }
    match run(config) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("cannot start: {error}");
            ExitCode::from(EXIT_START)
        }
    }
}

fn run(config: Config) -> Result<ExitCode, StartError> {
    let (subscriber, logging) = logging::subscriber(&config)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| StartError::SecondLogger)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        let (stop, _listener) = signals::shutdown_signal()?;
        let gateway = Gateway::build(config, Arc::new(SystemClock), Some(logging)).await?;
        Ok::<_, StartError>(gateway.run(stop).await)
    })?;
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_START) })
}
