//! `kite-recording replay`: a recording through the pipeline, at any speed.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use feed_recorder::{Pace, PipelineReplay, Recording, Replay, ReplayCounts};
use snapshot_export::{ExportError, JsonLines};
use tick_pipeline::{Output, PipelineConfig};

use crate::args::ReplayArgs;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::selection;
use crate::sink::Sink;

/// Replays as asked; what is to be said at the end.
pub(crate) fn run(args: &ReplayArgs) -> Result<String, Failure> {
    let recording = Recording::open(&args.path)?;
    let filter = selection::filter(&args.part, &recording)?;
    let sink = match &args.out {
        Some(path) => Some(json_lines(path)?),
        None => None,
    };
    let mut progress = Progress::of(recording.ticks(&filter));
    let mut waiter = Waiter::new(args.speed.0)?;
    let mut replay = Replay::new(&recording, filter)?;
    let mut pipeline = PipelineReplay::new(pipeline_config(args.window_ms), accounts(&recording));
    let (mut going, mut batches, mut snapshots) = (true, 0u64, 0u64);
    let mut span = None;
    let mut each = |output: Output| {
        if let Output::Batch(batch) = &output {
            batches += 1;
            snapshots += batch.snapshots.len() as u64;
        }
        if let Some(sink) = &sink {
            going &= sink.push(output);
        }
        going
    };
    let mut still = true;
    while still && let Some(step) = replay.next_step()? {
        let (first, _) = *span.get_or_insert((step.at, step.at));
        span = Some((first, step.at));
        waiter.wait(step.at);
        pipeline.take(step, |output| still = each(output))?;
        progress.step(replay.counts().ticks);
    }
    pipeline.finish(|output| still = each(output));
    let lines = sink.map(Sink::finish).transpose()?;
    let took = progress.end();
    let recorded = span.map_or(Duration::ZERO, |(first, last)| last.saturating_since(first));
    let report = report(&replay.counts(), batches, snapshots, lines, recorded, took);
    // Standard output belongs to the lines when they were asked for there.
    if args.out.as_deref() == Some(Path::new("-")) {
        let _ = write!(std::io::stderr(), "{report}");
        return Ok(String::new());
    }
    Ok(report)
}

/// The accounts of every file, later ones first, so that the newest says what is simulated.
pub(crate) fn accounts(recording: &Recording) -> Vec<feed_recorder::RecordedAccount> {
    recording.files().iter().rev().flat_map(|file| file.header.accounts.clone()).collect()
}

pub(crate) fn pipeline_config(window_ms: u64) -> PipelineConfig {
    let mut config = PipelineConfig::default();
    config.batch.max_age = Duration::from_millis(window_ms);
    config
}

fn json_lines(path: &Path) -> Result<Sink, Failure> {
    let out: Box<dyn Write + Send> = match path == Path::new("-") {
        true => Box::new(std::io::stdout()),
        false => Box::new(File::create(path).map_err(Failure::io("make", path))?),
    };
    let out = BufWriter::with_capacity(1 << 20, out);
    Sink::start(move |outputs| {
        let mut lines = JsonLines::new(out);
        for output in outputs {
            match output {
                Output::Batch(batch) => lines.batch(&batch)?,
                Output::Health(record) => lines.health(&record)?,
            }
        }
        let (_, written) = lines.finish()?;
        Ok::<_, ExportError>(written)
    })
}

fn report(
    counts: &ReplayCounts,
    batches: u64,
    snapshots: u64,
    lines: Option<u64>,
    recorded: Duration,
    took: Duration,
) -> String {
    let (recorded, took) = (recorded.as_secs_f64(), took.as_secs_f64().max(1e-9));
    let ReplayCounts { frames, ticks, undecodable, events, holes, .. } = counts;
    let mut text = format!(
        "replayed {recorded:.1} s in {took:.1} s, {:.0} times real time, {:.0} ticks/s\n\
         {frames} frames, {ticks} ticks, {events} events -> {snapshots} snapshots in {batches} batches\n",
        recorded / took,
        *ticks as f64 / took,
    );
    if *undecodable > 0 {
        text.push_str(&format!("{undecodable} packets could not be decoded\n"));
    }
    if *holes > 0 {
        text.push_str(&format!("{holes} holes, said as gaps; `kite-recording inspect` lists them\n"));
    }
    if let Some(lines) = lines {
        text.push_str(&format!("{lines} lines written\n"));
    }
    text
}

/// Waits for recorded time, when it is to pass at all.
struct Waiter(Option<(tokio::runtime::Runtime, Pace)>);

// === impl Waiter ===

impl Waiter {
    fn new(speed: f64) -> Result<Self, Failure> {
        if speed.is_infinite() {
            return Ok(Self(None));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        Ok(Self(Some((runtime.map_err(Failure::Runtime)?, Pace::new(speed)))))
    }

    fn wait(&mut self, at: market_model::UnixNanos) {
        if let Self(Some((runtime, pace))) = self {
            runtime.block_on(pace.wait(at));
        }
    }
}
