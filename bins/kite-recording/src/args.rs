//! What can be asked for on the command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

/// Looks into recordings of the feed, replays them, and exports them.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print what a recording holds, and check every block of it.
    Inspect(InspectArgs),
    /// Replay a recording into the pipeline, and its snapshots into a file of JSON lines.
    Replay(ReplayArgs),
    /// Export a recording for pandas and polars.
    Export(ExportArgs),
    /// Be a Kite whose ticker plays a recording, for any client.
    Serve(ServeArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct InspectArgs {
    /// A recording file, or the folder that holds them.
    pub(crate) path: PathBuf,
}

/// Which part of a recording.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PartArgs {
    /// Begin here: 2026-11-20T09:30:00+05:30, or 09:30:00 of the recording's first day in India, or +90 (seconds
    /// after its beginning).
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) from: Option<String>,
    /// End here; written as --from.
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,
    /// Only this account.
    #[arg(long, value_name = "NAME")]
    pub(crate) account: Option<String>,
    /// Only this connection of each account, from 0.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) connection: Option<u8>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ReplayArgs {
    /// A recording file, or the folder that holds them.
    pub(crate) path: PathBuf,
    #[command(flatten)]
    pub(crate) part: PartArgs,
    /// How fast: `max`, or a multiple of real time such as 1 or 20.
    #[arg(long, default_value = "max")]
    pub(crate) speed: Speed,
    /// Write every batch and health record as a line of JSON; `-` is standard output. Without it the replay only counts.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Oldest age of a batch before it is sent, in milliseconds of recorded time.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 5)]
    pub(crate) window_ms: u64,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExportArgs {
    /// A recording file, or the folder that holds them.
    pub(crate) path: PathBuf,
    #[command(flatten)]
    pub(crate) part: PartArgs,
    /// The folder to write ticks.parquet, snapshots.parquet and instruments.csv into; made if absent.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) parquet: PathBuf,
    /// Ticks as they arrived, snapshots as the pipeline publishes them, or both.
    #[arg(long, value_enum, default_value_t = What::Both)]
    pub(crate) what: What,
    /// Oldest age of a batch before it is sent, in milliseconds of recorded time; for snapshots.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 5)]
    pub(crate) window_ms: u64,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// A recording file, or the folder that holds them.
    pub(crate) path: PathBuf,
    #[command(flatten)]
    pub(crate) part: PartArgs,
    /// How fast: `max` (as the slowest client reads), or a multiple of real time such as 1 or 20.
    #[arg(long, default_value = "1")]
    pub(crate) speed: Speed,
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8765")]
    pub(crate) listen: SocketAddr,
    /// The access token that is valid, for the API key `simkey`.
    #[arg(long, default_value = "simtoken")]
    pub(crate) token: String,
    /// Ticker connections per API key.
    #[arg(long, default_value_t = 3)]
    pub(crate) connections: usize,
    /// Tokens per ticker connection.
    #[arg(long, default_value_t = 3000)]
    pub(crate) tokens_per_connection: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    Ticks,
    Snapshots,
    Both,
}

/// A multiple of real time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Speed(pub(crate) f64);

// === impl Speed ===

impl std::str::FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let speed = match text {
            "max" => Some(f64::INFINITY),
            _ => text.trim_end_matches('x').parse().ok().filter(|speed: &f64| *speed > 0.0),
        };
        speed.map(Self).ok_or_else(|| "give `max` or a number above zero".into())
    }
}
