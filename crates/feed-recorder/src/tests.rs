//! Recording and reading through the public door: rotation, budget, crashes, damage, a full disk.

mod garbage;
mod replay;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use market_model::{FeedEvent, ManualClock, UnixNanos};

use crate::sample::{START, catalog, connection, frame};
use crate::testing::{SmallDisk, files};
use crate::*;

fn config(folder: &Path) -> RecorderConfig {
    let account = |name: &str| RecordedAccount { name: name.into(), simulated: true };
    RecorderConfig { accounts: vec![account("alpha")], block_bytes: 16 << 10, ..RecorderConfig::new(folder) }
}

/// Records `rounds` frames, a tenth of a second apart, writing whenever there is something to write.
async fn record(config: RecorderConfig, rounds: u32) -> RecorderStatus {
    record_from(config, START, rounds).await
}

async fn record_from(config: RecorderConfig, start: UnixNanos, rounds: u32) -> RecorderStatus {
    let clock = Arc::new(ManualClock::new(start));
    let (handle, task) = Recorder::new(config, clock.clone(), RecorderMetrics::noop()).unwrap();
    let feed = async {
        handle.instruments(&Arc::new(catalog()));
        handle.event(&FeedEvent::Connected { connection: connection(0), at: start });
        let mut status = handle.status();
        for round in 0..rounds {
            let at = start + Duration::from_millis(100) * round;
            clock.set(at);
            handle.frame(&connection((round % 3) as u8), at, FrameKind::Binary, &frame(round));
            let _ = tokio::time::timeout(Duration::from_millis(1), status.changed()).await;
        }
        drop(handle);
    };
    tokio::join!(task.run(), feed).0.unwrap()
}

/// What a recording yields, one line a record.
fn lines(recording: &Recording, filter: RecordFilter) -> Vec<String> {
    let mut records = recording.records(filter).unwrap();
    let mut lines = Vec::new();
    while let Some(record) = records.next_record().unwrap() {
        lines.push(match record {
            Record::Frame { connection, ts, bytes, .. } => {
                format!("{} {} {:08x}", ts.0 - START.0, connection, format::checksum(bytes))
            }
            Record::Event { ts, event } => format!("{} {event:?}", ts.0 - START.0),
            Record::Hole(hole) => format!("hole {} {} {:?}", hole.frames, hole.events, hole.cause),
            Record::Instruments { ts, catalog } => {
                format!("{} {} instruments", ts.0 - START.0, catalog.len())
            }
        });
    }
    lines
}

fn all(path: &Path) -> Vec<String> {
    lines(&Recording::open(path).unwrap(), RecordFilter::default())
}

#[tokio::test(start_paused = true)]
async fn what_is_recorded_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let status = record(config(folder.path()), 40).await;
    assert_eq!(
        (status.state, status.counts.frames, status.counts.frames_lost),
        (RecorderState::Ended, 40, 0)
    );
    let recording = Recording::open(folder.path()).unwrap();
    let file = &recording.files()[0];
    assert!(file.closed && file.damage.is_empty());
    assert_eq!((file.header.run, &*file.header.accounts[0].name), (START, "alpha"));
    assert_eq!(recording.span(), START..=START + Duration::from_millis(3900));
    let lines = lines(&recording, RecordFilter::default());
    assert_eq!(lines.len(), 42);
    assert_eq!(lines[0], "0 45 instruments");
    assert!(lines[1].contains("Connected"));
    for round in 0..40u32 {
        let at = u64::from(round) * 100_000_000;
        let wanted = format!("{at} alpha/{} {:08x}", round % 3, format::checksum(&frame(round)));
        assert_eq!(lines[2 + round as usize], wanted);
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_that_appears_later_is_named_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    record_with_newcomers(config(folder.path())).await;
    let recording = Recording::open(folder.path()).unwrap();
    assert_eq!(recording.files().len(), 5, "a file for each change, none for being told the same again");
    let mut names: Vec<&str> = Vec::new();
    for account in &recording.files()[4].header.accounts {
        names.push(&account.name);
    }
    names.sort_unstable();
    assert_eq!(names, ["alpha", "later0", "later1", "later2", "later3"]);
    let lines = lines(&recording, RecordFilter::default());
    assert_eq!(lines.iter().filter(|line| line.contains(" alpha/")).count(), 400);
}

#[tokio::test(start_paused = true)]
async fn accounts_that_appear_do_not_stretch_the_budget() {
    let folder = tempfile::tempdir().unwrap();
    let budget = 60_000;
    let most =
        record_with_newcomers(RecorderConfig { max_total_bytes: budget, ..config(folder.path()) }).await;
    assert!((1..=budget).contains(&most), "{most}");
}

/// Four accounts appear while 400 frames are recorded. Answers the most bytes that were on the disk.
async fn record_with_newcomers(config: RecorderConfig) -> u64 {
    let clock = Arc::new(ManualClock::new(START));
    let (handle, task) = Recorder::new(config, clock.clone(), RecorderMetrics::noop()).unwrap();
    let feed = async {
        handle.instruments(&Arc::new(catalog()));
        let (mut status, mut most) = (handle.status(), 0);
        for round in 0..400u32 {
            let at = START + Duration::from_millis(100) * round;
            clock.set(at);
            if round % 100 == 50 {
                let account = |name: &str| RecordedAccount { name: name.into(), simulated: true };
                let accounts = vec![account("alpha"), account(&format!("later{}", round / 100))];
                // As a fleet does, that names all it has whenever it looks.
                handle.accounts(accounts.clone());
                handle.accounts(accounts);
            }
            handle.frame(&connection((round % 3) as u8), at, FrameKind::Binary, &frame(round));
            let _ = tokio::time::timeout(Duration::from_millis(1), status.changed()).await;
            most = most.max(status.borrow().disk_bytes);
        }
        drop(handle);
        most
    };
    let (status, most) = tokio::join!(task.run(), feed);
    let status = status.unwrap();
    assert_eq!((status.counts.frames, status.counts.frames_lost), (400, 0));
    most.max(status.disk_bytes)
}

#[tokio::test(start_paused = true)]
async fn a_filter_lets_through_a_time_an_account_a_connection() {
    let folder = tempfile::tempdir().unwrap();
    record(config(folder.path()), 40).await;
    let recording = Recording::open(folder.path()).unwrap();
    let at = |millis| Some(START + Duration::from_millis(millis));
    let some = lines(&recording, RecordFilter { from: at(1000), to: at(1900), ..RecordFilter::default() });
    assert_eq!(some[0], "0 45 instruments", "those valid at the time, though said before it");
    assert_eq!((some.len(), &some[1][..11]), (11, "1000000000 "));
    let one = lines(&recording, RecordFilter { connection: Some(2), ..RecordFilter::default() });
    assert_eq!(one.len(), 1 + 13, "rounds 2, 5, .., 38 and the instruments");
    let none = lines(&recording, RecordFilter { account: Some("beta".into()), ..RecordFilter::default() });
    assert_eq!(none, ["0 45 instruments"]);
    let late = lines(&recording, RecordFilter { from: at(999_999), ..RecordFilter::default() });
    assert_eq!(late, Vec::<String>::new());
}

/// Everything before the cut is there; the block that was cut is not.
#[tokio::test(start_paused = true)]
async fn a_file_cut_at_any_byte_of_its_last_blocks_opens_and_loses_only_the_torn_one() {
    let folder = tempfile::tempdir().unwrap();
    let config = RecorderConfig { flush_interval: Duration::from_millis(1), ..config(folder.path()) };
    let (handle, task) =
        Recorder::new(config, Arc::new(ManualClock::new(START)), RecorderMetrics::noop()).unwrap();
    let feed = async {
        let mut status = handle.status();
        for round in 0..8u8 {
            handle.frame(&connection(0), START, FrameKind::Binary, &[round; 40]);
            handle.frame(&connection(1), START, FrameKind::Text, &[round; 80]);
            status.wait_for(|status| status.blocks == u64::from(round) + 1).await.unwrap();
        }
        drop((handle, status));
    };
    tokio::join!(task.run(), feed).0.unwrap();
    let path = &files(folder.path())[0];
    let (whole, lines) = (fs::read(path).unwrap(), all(path));
    let file = RecordingFile::open(path).unwrap();
    let blocks = &file.blocks;
    assert!(blocks.len() >= 6, "{}", blocks.len());
    let cut_path = folder.path().join("cut.kgr");
    let mut kept_at = Vec::new();
    for kept in blocks.len() - 3..=blocks.len() {
        let records = blocks[..kept].iter().map(|block| block.header.records as usize).sum::<usize>();
        kept_at.push((blocks[kept - 1].end(), kept, records));
    }
    for cut in blocks[blocks.len() - 4].end()..whole.len() as u64 {
        fs::write(&cut_path, &whole[..cut as usize]).unwrap();
        let (end, kept, records) = *kept_at.iter().rev().find(|(end, ..)| *end <= cut).unwrap();
        let torn = RecordingFile::open(&cut_path).unwrap();
        assert!(!torn.closed);
        assert_eq!(torn.blocks, blocks[..kept], "cut at {cut}");
        // A whole index without its trailer is no damage; anything else behind the last block is a torn tail.
        let index_whole = kept == blocks.len() && cut >= whole.len() as u64 - format::TRAILER as u64;
        let tail = if index_whole { whole.len() as u64 - format::TRAILER as u64 } else { end };
        let damage: Vec<_> = torn.damage.iter().map(|damage| (damage.offset, damage.torn_tail)).collect();
        assert_eq!(damage, if tail == cut { vec![] } else { vec![(tail, true)] }, "cut at {cut}");
        assert_eq!(all(&cut_path), lines[..records], "cut at {cut}");
    }
}

#[tokio::test(start_paused = true)]
async fn damage_in_the_middle_costs_the_block_it_hits() {
    let folder = tempfile::tempdir().unwrap();
    record(config(folder.path()), 40).await;
    let path = &files(folder.path())[0];
    let (whole, lines) = (fs::read(path).unwrap(), all(path));
    let file = RecordingFile::open(path).unwrap();
    let hit = file.blocks[3];
    let before: usize = file.blocks[..3].iter().map(|block| block.header.records as usize).sum();
    let mut wanted = lines.clone();
    wanted.drain(before..before + hit.header.records as usize);
    for (what, at) in [("payload", hit.offset + 60), ("header", hit.offset + 10)] {
        for with_index in [true, false] {
            let mut damaged = whole.clone();
            damaged[at as usize] ^= 0x40;
            if !with_index {
                damaged.truncate(whole.len() - 1);
            }
            fs::write(path, &damaged).unwrap();
            let recording = Recording::open(path).unwrap();
            if what == "header" && with_index {
                // The index has the header too, so nothing is lost.
                assert_eq!(all(path), lines);
                continue;
            }
            let mut records = recording.records(RecordFilter::default()).unwrap();
            while records.next_record().unwrap().is_some() {}
            let problems: Vec<_> = records.damaged().iter().map(|block| block.problem).collect();
            // Found by the checksum, not by chance because it does not unpack.
            let wanted_problems = ["its checksum does not match"];
            assert_eq!(problems, wanted_problems[..usize::from(what == "payload")], "{what}");
            let inner = recording.files()[0].damage.iter().filter(|damage| !damage.torn_tail).count();
            assert_eq!(inner, usize::from(what == "header"), "{what}");
            assert_eq!(all(path), wanted, "{what} {with_index}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn files_rotate_by_size_and_age_and_each_says_its_instruments() {
    for (by, files_at_least) in [("size", 4), ("age", 4)] {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(folder.path());
        match by {
            "size" => config.max_file_bytes = 20 << 10,
            _ => config.max_file_age = Duration::from_secs(2),
        }
        config.flush_interval = Duration::from_millis(1);
        let status = record(config, 100).await;
        let recording = Recording::open(folder.path()).unwrap();
        let files = recording.files();
        assert!(files.len() >= files_at_least, "{by}: {}", files.len());
        assert_eq!(status.files, files.len() as u64);
        for (number, file) in files.iter().enumerate() {
            assert!(file.closed, "{by}");
            assert_eq!((file.header.number as usize, file.header.run), (number, START));
            assert_eq!(file.blocks[0].header.kind, BlockKind::Instruments, "{by} {number}");
            let alone = all(&file.path);
            assert!(alone[0].ends_with("45 instruments"));
        }
        let together = lines(&recording, RecordFilter::default());
        assert_eq!(together.len(), 102, "{by}: the instruments are said once");
    }
}

#[tokio::test(start_paused = true)]
async fn the_budget_deletes_the_oldest_files_first_never_the_one_being_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.max_total_bytes = 100 << 10;
    config.flush_interval = Duration::from_millis(1);
    let status = record(config, 300).await;
    let recording = Recording::open(folder.path()).unwrap();
    let bytes: u64 = recording.files().iter().map(|file| file.bytes).sum();
    assert!(bytes <= 100 << 10, "{bytes}");
    assert_eq!(status.disk_bytes, bytes);
    assert!(status.deleted_files >= 2 && recording.files().len() >= 3, "{status:?}");
    assert_eq!(recording.files()[0].header.number as u64, status.deleted_files);
    let last = lines(&recording, RecordFilter::default()).pop().unwrap();
    assert!(last.starts_with("29900000000 "), "{last}");
}

#[tokio::test(start_paused = true)]
async fn files_beyond_their_age_go_at_the_next_beginning() {
    let folder = tempfile::tempdir().unwrap();
    record(config(folder.path()), 4).await;
    let old = files(folder.path());
    let bystander = folder.path().join("notes.txt");
    fs::write(&bystander, "mine").unwrap();
    let clock = Arc::new(ManualClock::new(START + Duration::from_secs(7200)));
    let aged = RecorderConfig { max_age: Some(Duration::from_secs(3600)), ..config(folder.path()) };
    let (handle, task) = Recorder::new(aged, clock.clone(), RecorderMetrics::noop()).unwrap();
    handle.frame(&connection(0), START, FrameKind::Binary, &[0]);
    drop(handle);
    assert_eq!(task.run().await.unwrap().deleted_files, 1);
    assert!(!old[0].exists() && bystander.exists());
    assert_eq!(files(folder.path()).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_pauses_the_recording_and_leaves_a_counted_hole() {
    for truncates in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let disk = SmallDisk::with_room(30 << 10);
        if !truncates {
            disk.refuse_truncating();
        }
        let mut config = config(folder.path());
        config.queue_bytes = 64 << 10;
        config.max_total_bytes = 1 << 30;
        let clock = Arc::new(ManualClock::new(START));
        let volume = Box::new(disk.clone());
        let (handle, task) = Recorder::on(volume, config, clock.clone(), RecorderMetrics::noop()).unwrap();
        let feed = async {
            handle.instruments(&Arc::new(catalog()));
            let mut status = handle.status();
            for round in 0..200u32 {
                let at = START + Duration::from_millis(100) * round;
                clock.set(at);
                handle.frame(&connection(0), at, FrameKind::Binary, &frame(round));
                let _ = tokio::time::timeout(Duration::from_millis(10), status.changed()).await;
                if round == 120 {
                    let state = status.borrow().state.clone();
                    assert!(
                        matches!(&state, RecorderState::Paused { reason } if reason.contains("cannot")),
                        "{state:?}"
                    );
                    disk.set_room(1 << 30);
                    let recording = |status: &RecorderStatus| status.state == RecorderState::Recording;
                    status.wait_for(recording).await.unwrap();
                }
            }
            drop(handle);
        };
        let status = tokio::join!(task.run(), feed).0.unwrap();
        assert!(status.failures > 0);
        let counts = status.counts;
        assert_eq!(counts.frames + counts.frames_lost, 200);
        assert!(counts.frames_lost > 10 && counts.holes == 1, "{counts:?}");
        let all = all(folder.path());
        let holes: Vec<_> = all.iter().filter(|line| line.starts_with("hole")).collect();
        assert_eq!(holes, [&format!("hole {} 0 Disk", counts.frames_lost)]);
        let frames = all.iter().filter(|line| line.contains("alpha/0")).count() as u64;
        assert_eq!(frames, counts.frames, "what was taken is there, once");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_full_disk_never_took_is_lost_in_the_counts_too() {
    let folder = tempfile::tempdir().unwrap();
    let volume = Box::new(SmallDisk::with_room(0));
    let clock = Arc::new(ManualClock::new(START));
    let (handle, task) = Recorder::on(volume, config(folder.path()), clock, RecorderMetrics::noop()).unwrap();
    (0..10).for_each(|round| handle.frame(&connection(0), START, FrameKind::Binary, &frame(round)));
    handle.event(&FeedEvent::Connected { connection: connection(0), at: START });
    drop(handle);
    let status = task.run().await.unwrap();
    let wanted = RecorderCounts {
        frames_offered: 10,
        frames_lost: 10,
        ticks_lost: 450,
        events_offered: 1,
        events_lost: 1,
        ..RecorderCounts::default()
    };
    assert_eq!(status.counts, wanted);
    assert_eq!(files(folder.path()).len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_recording_that_is_being_written_can_be_read_up_to_its_last_block() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(START));
    let (handle, task) = Recorder::new(config(folder.path()), clock, RecorderMetrics::noop()).unwrap();
    handle.frame(&connection(0), START, FrameKind::Text, b"{\"type\":\"order\"}");
    let mut status = handle.status();
    let mut run = Box::pin(task.run());
    tokio::select! {
        ended = &mut run => panic!("{ended:?}"),
        seen = status.wait_for(|status| status.blocks == 1) => drop(seen.unwrap()),
    }
    assert_eq!(all(folder.path()).len(), 1);
    assert!(!Recording::open(folder.path()).unwrap().files()[0].closed);
    // The writer is killed: what comes later is in another file.
    drop(run);
    record(config(folder.path()), 2).await;
    assert_eq!(files(folder.path()).len(), 2);
    assert_eq!(all(folder.path()).len(), 1 + 4);
}

/// The value of every counter and gauge, by name and labels.
fn values(recorder: &metrics_util::debugging::DebuggingRecorder) -> Vec<(String, u64)> {
    use metrics_util::debugging::DebugValue;
    let mut values = Vec::new();
    for (key, _, _, value) in recorder.snapshotter().snapshot().into_vec() {
        let labels: String = key.key().labels().map(|label| format!(" {}", label.value())).collect();
        let value = match value {
            DebugValue::Counter(value) => value,
            DebugValue::Gauge(value) => value.into_inner() as u64,
            DebugValue::Histogram(values) => values.len() as u64,
        };
        values.push((format!("{}{labels}", key.key().name()), value));
    }
    values.sort();
    values
}

#[tokio::test(start_paused = true)]
async fn metrics_say_what_was_recorded_and_what_was_lost() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = metrics_util::debugging::DebuggingRecorder::new();
    let metrics = RecorderMetrics::register(&recorder);
    let config = RecorderConfig { block_bytes: 4096, queue_bytes: 20_000, ..config(folder.path()) };
    let (handle, task) = Recorder::new(config, Arc::new(ManualClock::new(START)), metrics).unwrap();
    for _ in 0..5 {
        handle.frame(&connection(0), START, FrameKind::Binary, &[9; 8000]);
    }
    handle.event(&FeedEvent::Connected { connection: connection(0), at: START });
    drop(handle);
    let status = task.run().await.unwrap();
    let seen = values(&recorder);
    let value = |name: &str| seen.iter().find(|(known, _)| known == name).map(|(_, value)| *value);
    assert_eq!(value("recorder_frames_recorded_total"), Some(2));
    assert_eq!(value("recorder_frames_lost_total overrun"), Some(3));
    assert_eq!(value("recorder_frames_lost_total disk"), Some(0));
    assert_eq!(value("recorder_events_recorded_total"), Some(1));
    assert_eq!(value("recorder_bytes_recorded_total"), Some(16_000));
    assert_eq!(value("recorder_bytes_written_total"), Some(status.written_bytes));
    assert_eq!(value("recorder_disk_bytes"), Some(status.disk_bytes));
    assert_eq!(value("recorder_write_duration_seconds"), Some(status.blocks - 1), "each block but the index");
    assert_eq!((value("recorder_queue_bytes"), value("recorder_paused")), (Some(0), Some(0)));
    assert_eq!(status.written_bytes, status.disk_bytes);
}

#[test]
fn what_is_no_recording_is_refused_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let error = Recording::open(folder.path()).unwrap_err();
    assert!(matches!(error, RecordingError::NoFiles { .. }), "{error}");
    let path = folder.path().join("a.kgr");
    for (content, says) in [
        (&b"short"[..], "it ends inside its header"),
        (&b"{\"not\": \"a recording\", \"but\": \"json\"}"[..], "magic"),
        (&b"\x89KGREC\r\n\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"[..], "version 2"),
    ] {
        fs::write(&path, content).unwrap();
        let error = Recording::open(&path).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let error = Recording::open(folder.path().join("absent.kgr")).unwrap_err().to_string();
    assert!(error.starts_with("cannot open"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn text_frames_are_left_out_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let config = RecorderConfig { text_frames: false, ..config(folder.path()) };
    let (handle, task) =
        Recorder::new(config, Arc::new(ManualClock::new(UnixNanos(0))), RecorderMetrics::noop()).unwrap();
    handle.frame(&connection(0), UnixNanos(1), FrameKind::Text, b"{}");
    handle.frame(&connection(0), UnixNanos(1), FrameKind::Binary, &[0]);
    drop(handle);
    assert_eq!(task.run().await.unwrap().counts.frames_offered, 1);
}
