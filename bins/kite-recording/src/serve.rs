//! `kite-recording serve`: a simulated Kite whose ticker plays a recording.

use std::error::Error;
use std::io::Write;

use feed_recorder::{FrameKind, InstrumentRow, Record, RecordFilter, Recording, Records, instrument_rows};
use kite_sim::{App, FrameSource, ReplayConfig, ReplayStart, SimConfig, Simulator, SourceFrame};
use market_model::UnixNanos;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::args::ServeArgs;
use crate::failure::Failure;
use crate::selection;

/// Serves as asked, until Ctrl-C or SIGTERM.
pub(crate) fn run(args: &ServeArgs) -> Result<String, Failure> {
    let recording = Recording::open(&args.path)?;
    let filter = selection::filter(&args.part, &recording)?;
    let start = filter.from.unwrap_or(*recording.span().start());
    let instruments = instruments(&recording, &filter)?;
    let listed = instruments.len();
    let source = Frames { records: recording.records(filter)?, start, latest: UnixNanos(i64::MIN) };
    let replay = ReplayConfig {
        speed: args.speed.0.is_finite().then_some(args.speed.0),
        start: ReplayStart::AfterSubscription(std::time::Duration::from_secs(1)),
        instruments,
    };
    let mut config = SimConfig { start: Some(start), apps: vec![app(&args.token)], ..SimConfig::default() };
    if args.speed.0.is_finite() {
        config.speed = args.speed.0;
    }
    config.limits.connections = args.connections;
    config.limits.tokens_per_connection = args.tokens_per_connection;
    let runtime = tokio::runtime::Runtime::new().map_err(Failure::Runtime)?;
    runtime.block_on(async {
        let simulator = Simulator::bind(config, args.listen).await?.with_replay(source, replay)?;
        let address = simulator.addr();
        let welcome = format!(
            "REST    http://{address}\nticker  ws://{address}\nkey     simkey, token {}\n\
             {listed} instruments; frames begin a second after the first subscription\n",
            args.token
        );
        crate::say(&welcome).map_err(Failure::io("write to", "standard output".as_ref()))?;
        let shutdown = CancellationToken::new();
        let mut run = std::pin::pin!(simulator.run(shutdown.clone()));
        tokio::select! {
            () = &mut run => return Ok(String::new()),
            () = interrupted() => shutdown.cancel(),
        }
        run.await;
        Ok(String::new())
    })
}

fn app(token: &str) -> App {
    App { access_token: Some(token.to_owned()), ..App::default() }
}

/// The first instruments that the part knows.
fn instruments(recording: &Recording, filter: &RecordFilter) -> Result<Vec<InstrumentRow>, Failure> {
    let mut records = recording.records(filter.clone())?;
    while let Some(record) = records.next_record()? {
        if let Record::Instruments { catalog, .. } = record {
            return Ok(instrument_rows(&catalog));
        }
    }
    Err(Failure::Recording(feed_recorder::RecordingError::NoInstruments))
}

/// Returns on Ctrl-C or SIGTERM.
async fn interrupted() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        let _ = writeln!(std::io::stderr(), "kite-recording: cannot listen for SIGTERM, only for Ctrl-C");
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

/// The binary frames of a recording, heartbeats left out: the simulator sends its own.
struct Frames {
    records: Records,
    start: UnixNanos,
    latest: UnixNanos,
}

impl FrameSource for Frames {
    fn next_frame(&mut self) -> Result<Option<SourceFrame>, Box<dyn Error + Send + Sync>> {
        while let Some(record) = self.records.next_record()? {
            if let Record::Frame { ts, kind: FrameKind::Binary, bytes, .. } = record
                && bytes.len() > 1
            {
                // Connections are recorded side by side, and a clock can be set back: time only goes on.
                self.latest = self.latest.max(ts);
                let offset = self.latest.saturating_since(self.start);
                return Ok(Some(SourceFrame { offset, bytes: bytes.to_vec().into() }));
            }
        }
        Ok(None)
    }
}
