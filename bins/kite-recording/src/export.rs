//! `kite-recording export`: a recording as Parquet files.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use feed_recorder::{PipelineReplay, RecordFilter, Recording, Replay, Step, instrument_dump};
use market_model::{FeedEvent, InstrumentCatalog};
use snapshot_export::{ParquetConfig, SnapshotFile, TickFile};
use tick_pipeline::Output;

use crate::args::{ExportArgs, What};
use crate::failure::Failure;
use crate::progress::Progress;
use crate::replay::{accounts, pipeline_config};
use crate::selection;
use crate::sink::Sink;

/// Exports as asked; what is to be said at the end.
pub(crate) fn run(args: &ExportArgs) -> Result<String, Failure> {
    let recording = Recording::open(&args.path)?;
    let filter = selection::filter(&args.part, &recording)?;
    fs::create_dir_all(&args.parquet).map_err(Failure::io("make", &args.parquet))?;
    let mut export = Export::begin(args)?;
    let mut progress = Progress::of(recording.ticks(&filter));
    let written = export.fill(&recording, filter, args, &mut progress);
    let took = progress.end();
    let mut report = export.finish(written)?;
    report.push_str(&format!("in {:.1} s\n", took.as_secs_f64()));
    Ok(report)
}

/// The files that are being written.
struct Export {
    folder: PathBuf,
    ticks: Option<TickFile<BufWriter<File>>>,
    snapshots: Option<Sink>,
    catalog: Option<Arc<InstrumentCatalog>>,
}

// === impl Export ===

impl Export {
    fn begin(args: &ExportArgs) -> Result<Self, Failure> {
        let config = ParquetConfig::default();
        let file = |name: &str| {
            let path = args.parquet.join(name);
            File::create(&path).map(BufWriter::new).map_err(Failure::io("make", &path))
        };
        let ticks = match args.what {
            What::Snapshots => None,
            What::Ticks | What::Both => Some(TickFile::new(file("ticks.parquet")?, &config)?),
        };
        let snapshots = match args.what {
            What::Ticks => None,
            What::Snapshots | What::Both => {
                let mut file = SnapshotFile::new(file("snapshots.parquet")?, &config)?;
                Some(Sink::start(move |outputs| {
                    for output in outputs {
                        if let Output::Batch(batch) = output {
                            file.push(&batch)?;
                        }
                    }
                    file.finish().map(|written| written.rows)
                })?)
            }
        };
        Ok(Self { folder: args.parquet.clone(), ticks, snapshots, catalog: None })
    }

    fn fill(
        &mut self,
        recording: &Recording,
        filter: RecordFilter,
        args: &ExportArgs,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        let mut replay = Replay::new(recording, filter)?;
        let mut pipeline = PipelineReplay::new(pipeline_config(args.window_ms), accounts(recording));
        let mut going = true;
        while going && let Some(step) = replay.next_step()? {
            match &step.what {
                Step::Instruments(catalog) => self.catalog = Some(catalog.clone()),
                Step::Event(FeedEvent::Ticks(frame)) => {
                    if let Some(file) = &mut self.ticks {
                        file.push(frame, self.catalog.get_or_insert_default())?;
                    }
                }
                _ => {}
            }
            if let Some(sink) = &self.snapshots {
                pipeline.take(step, |output| going &= sink.push(output))?;
            }
            progress.step(replay.counts().ticks);
        }
        if let Some(sink) = &self.snapshots {
            pipeline.finish(|output| going &= sink.push(output));
        }
        Ok(())
    }

    /// Closes every file, also when `written` is a failure: what is there can be read then.
    fn finish(self, written: Result<(), Failure>) -> Result<String, Failure> {
        let mut report = String::new();
        let ticks = self.ticks.map(TickFile::finish).transpose();
        let snapshots = self.snapshots.map(Sink::finish).transpose();
        written?;
        let mut say = |name: &str, rows: u64| {
            let path = self.folder.join(name);
            let bytes = fs::metadata(&path).map_or(0, |data| data.len());
            report.push_str(&format!("{}: {rows} rows, {:.1} MB\n", path.display(), bytes as f64 / 1e6));
        };
        if let Some(written) = ticks? {
            say("ticks.parquet", written.rows);
        }
        if let Some(rows) = snapshots? {
            say("snapshots.parquet", rows);
        }
        if let Some(catalog) = &self.catalog {
            write_instruments(&self.folder, catalog)?;
            say("instruments.csv", catalog.len() as u64);
        }
        Ok(report)
    }
}

/// The instruments valid at the end, as Kite writes its dump.
fn write_instruments(folder: &Path, catalog: &InstrumentCatalog) -> Result<(), Failure> {
    let path = folder.join("instruments.csv");
    fs::write(&path, instrument_dump(catalog)).map_err(Failure::io("write", &path))
}
