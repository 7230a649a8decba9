//! `kite-recording`: what a recording holds, replayed and exported.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Command};
use crate::failure::Failure;

mod args;
mod export;
mod failure;
mod inspect;
mod progress;
mod replay;
mod selection;
mod serve;
mod sink;

/// The exit code for arguments that cannot be used.
const BAD_USAGE: u8 = 64;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let wanted = !error.use_stderr();
            // Nothing can be done when the terminal is gone.
            let _ = error.print();
            return if wanted { ExitCode::SUCCESS } else { ExitCode::from(BAD_USAGE) };
        }
    };
    let done = match args.command {
        Command::Inspect(args) => inspect::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Serve(args) => serve::run(&args),
    };
    match done {
        Ok(report) => match say(&report) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "kite-recording: {failure}");
            match failure {
                Failure::Usage(_) => ExitCode::from(BAD_USAGE),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn say(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
