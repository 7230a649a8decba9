//! Replay into the pipeline: the same recording gives the same output, and says what it lacks.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use market_model::{DisconnectReason, FeedEvent, GapCause};
use tick_pipeline::{GreeksState, Output, PipelineConfig};

use super::{config, record, record_from};
use crate::sample::START;
use crate::testing::files;
use crate::*;

/// Everything that leaves the pipeline, as text, and the counts.
fn replay(path: &Path, filter: RecordFilter) -> (String, ReplayCounts) {
    let recording = Recording::open(path).unwrap();
    let accounts = recording.files()[0].header.accounts.clone();
    let mut pipeline = PipelineReplay::new(PipelineConfig::default(), accounts);
    let mut replay = Replay::new(&recording, filter).unwrap();
    let mut text = String::new();
    while let Some(step) = replay.next_step().unwrap() {
        pipeline.take(step, |output| show(&output, &mut text)).unwrap();
    }
    pipeline.finish(|output| show(&output, &mut text));
    (text, replay.counts())
}

fn show(output: &Output, text: &mut String) {
    match output {
        Output::Batch(batch) => {
            let (topic, seq, at) = (&batch.topic, batch.seq, batch.ts_publish.0);
            writeln!(text, "{topic:?} {seq} {at} {} {} {:?}", batch.sim, batch.source, batch.snapshots)
                .unwrap();
        }
        Output::Health(record) => {
            writeln!(text, "{} {} {:?}", record.seq, record.ts_publish.0, record.event).unwrap();
        }
    }
}

fn everything(path: &Path) -> (String, ReplayCounts) {
    replay(path, RecordFilter::default())
}

#[tokio::test(start_paused = true)]
async fn two_replays_are_the_same_whatever_blocks_and_files_the_recording_has() {
    let mut outputs = Vec::new();
    for (block_bytes, max_file_bytes) in [(8 << 10, 1 << 30), (1 << 20, 1 << 30), (16 << 10, 20 << 10)] {
        let folder = tempfile::tempdir().unwrap();
        let config = RecorderConfig { block_bytes, max_file_bytes, ..config(folder.path()) };
        record(config, 60).await;
        outputs.extend([everything(folder.path()), everything(folder.path())]);
    }
    let (text, counts) = &outputs[0];
    assert!(outputs.iter().all(|other| other == &outputs[0]), "replays differ");
    assert_eq!((counts.frames, counts.ticks, counts.events, counts.holes), (60, 60 * 45, 1, 0));
    assert!(text.contains("Known(") && text.contains("Parity"), "Greeks from the parity forward");
    assert!(text.contains("true alpha"), "simulated, as the recording says");
}

#[tokio::test(start_paused = true)]
async fn batches_are_sealed_at_the_recorded_instants() {
    let folder = tempfile::tempdir().unwrap();
    record(config(folder.path()), 3).await;
    let recording = Recording::open(folder.path()).unwrap();
    let mut pipeline = PipelineReplay::new(PipelineConfig::default(), Vec::new());
    let mut replay = Replay::new(&recording, RecordFilter::default()).unwrap();
    let (mut sealed, mut known) = (Vec::new(), 0);
    while let Some(step) = replay.next_step().unwrap() {
        pipeline
            .take(step, |output| {
                if let Output::Batch(batch) = output {
                    sealed.push(batch.ts_publish.0 - START.0);
                    let is_known = |state| matches!(state, GreeksState::Known(_));
                    known += batch.snapshots.iter().filter(|snapshot| is_known(snapshot.greeks)).count();
                }
            })
            .unwrap();
    }
    sealed.dedup();
    assert_eq!(sealed[..2], [0, 100_000_000], "with each frame, not at the next one");
    assert!(known > 42, "{known}");
    let (account, worker) = pipeline.pipelines().next().unwrap();
    assert_eq!((account, worker.counts().ticks), ("alpha", 135));
}

#[tokio::test(start_paused = true)]
async fn time_is_skipped_where_nobody_recorded_and_never_runs_backwards() {
    let folder = tempfile::tempdir().unwrap();
    record(config(folder.path()), 3).await;
    record_from(config(folder.path()), START + Duration::from_secs(600), 3).await;
    let recording = Recording::open(folder.path()).unwrap();
    let mut pipeline = PipelineReplay::new(PipelineConfig::default(), Vec::new());
    let mut replay = Replay::new(&recording, RecordFilter::default()).unwrap();
    let mut published = Vec::new();
    while let Some(step) = replay.next_step().unwrap() {
        let note = |output| {
            published.push(match output {
                Output::Batch(batch) => batch.ts_publish,
                Output::Health(record) => record.ts_publish,
            });
        };
        pipeline.take(step, note).unwrap();
    }
    assert!(published.is_sorted(), "{published:?}");
    let (idle, later) = (START + Duration::from_secs(61), START + Duration::from_secs(600));
    assert!(published.iter().all(|at| *at < idle || *at >= later), "nobody was there to publish");
    assert!(*published.last().unwrap() > later);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_block_and_another_run_are_said_as_a_feed_says_them() {
    let folder = tempfile::tempdir().unwrap();
    record(config(folder.path()), 40).await;
    let path = &files(folder.path())[0];
    let file = RecordingFile::open(path).unwrap();
    let mut bytes = fs::read(path).unwrap();
    bytes[file.blocks[5].offset as usize + 70] ^= 1;
    fs::write(path, bytes).unwrap();
    let hit = file.blocks[5].header;
    // The second run begins where the first one was killed.
    let second = RecorderConfig { writer: "another".into(), ..config(folder.path()) };
    record_from(second, START + Duration::from_secs(5), 1).await;

    let recording = Recording::open(folder.path()).unwrap();
    let mut replay = Replay::new(&recording, RecordFilter::default()).unwrap();
    let mut said = Vec::new();
    while let Some(step) = replay.next_step().unwrap() {
        match step.what {
            Step::Event(FeedEvent::Gap(gap)) => {
                assert_eq!((gap.from, gap.to, gap.cause), (hit.first, hit.last, GapCause::Overrun));
                said.push(format!("gap {}", gap.connection));
            }
            Step::Event(FeedEvent::Disconnected { connection, reason, .. }) => {
                assert_eq!(reason, DisconnectReason::TaskFailed);
                said.push(format!("ended {connection}"));
            }
            _ => {}
        }
    }
    let all = |word: &str| (0..3).map(|index| format!("{word} alpha/{index}")).collect::<Vec<_>>();
    assert_eq!(said, [all("gap"), all("ended")].concat());
    assert_eq!(replay.counts().holes, 1);
}

#[tokio::test(start_paused = true)]
async fn ticks_without_instruments_are_refused_and_a_part_can_be_replayed() {
    let folder = tempfile::tempdir().unwrap();
    record(config(folder.path()), 40).await;
    let at = |millis| Some(START + Duration::from_millis(millis));
    let part = RecordFilter { from: at(1000), to: at(1999), ..RecordFilter::default() };
    let (text, counts) = replay(folder.path(), part);
    assert_eq!((counts.frames, counts.ticks), (10, 450));
    assert!(text.contains("Known("));

    let recording = Recording::open(folder.path()).unwrap();
    let mut replay = Replay::new(&recording, RecordFilter::default()).unwrap();
    let mut pipeline = PipelineReplay::new(PipelineConfig::default(), Vec::new());
    let mut refused = None;
    while let Some(step) = replay.next_step().unwrap() {
        if matches!(step.what, Step::Instruments(_)) {
            continue;
        }
        if let Err(error) = pipeline.take(step, |_| ()) {
            refused = Some(error);
            break;
        }
    }
    assert!(matches!(refused, Some(RecordingError::NoInstruments)), "{refused:?}");
}
