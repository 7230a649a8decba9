//! `kite-recording inspect`: what a recording holds.

use std::collections::BTreeMap;
use std::fmt::Write;

use feed_recorder::{BlockKind, FrameKind, Hole, Record, RecordFilter, Recording, RecordingFile, Records};
use market_model::{ConnectionId, UnixNanos};
use snapshot_wire::health_type;

use crate::args::InspectArgs;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::selection::india;

/// Reads the whole recording; what is to be said about it.
pub(crate) fn run(args: &InspectArgs) -> Result<String, Failure> {
    let recording = Recording::open(&args.path)?;
    let mut content = Content::default();
    let mut progress = Progress::of(recording.ticks(&RecordFilter::default()));
    let mut records = recording.records(RecordFilter::default())?;
    while let Some(record) = records.next_record()? {
        content.add(&record);
        progress.step(content.ticks);
    }
    progress.end();
    Ok(content.report(&recording, &records))
}

/// What the records are.
#[derive(Debug, Default)]
struct Content {
    connections: BTreeMap<ConnectionId, Traffic>,
    ticks: u64,
    events: BTreeMap<&'static str, u64>,
    holes: Vec<Hole>,
    instruments: Vec<(UnixNanos, usize)>,
}

#[derive(Debug, Default)]
struct Traffic {
    frames: u64,
    heartbeats: u64,
    texts: u64,
    ticks: u64,
    bytes: u64,
}

/// No list in a report is longer.
const MOST_LISTED: usize = 20;

// === impl Content ===

impl Content {
    fn add(&mut self, record: &Record<'_>) {
        match record {
            Record::Frame { connection, kind, bytes, .. } => {
                if !self.connections.contains_key(*connection) {
                    self.connections.insert((*connection).clone(), Traffic::default());
                }
                let Some(traffic) = self.connections.get_mut(*connection) else { return };
                traffic.frames += 1;
                traffic.bytes += bytes.len() as u64;
                match kind {
                    FrameKind::Text => traffic.texts += 1,
                    FrameKind::Binary if bytes.len() == 1 => traffic.heartbeats += 1,
                    FrameKind::Binary => {
                        let declared = bytes.first_chunk().map_or(0, |count| u16::from_be_bytes(*count));
                        traffic.ticks += u64::from(declared);
                        self.ticks += u64::from(declared);
                    }
                }
            }
            Record::Event { event, .. } => {
                *self.events.entry(health_type(event).unwrap_or("other")).or_default() += 1;
            }
            Record::Hole(hole) => self.holes.push(hole.clone()),
            Record::Instruments { ts, catalog } => self.instruments.push((*ts, catalog.len())),
            _ => {}
        }
    }

    fn report(&self, recording: &Recording, records: &Records) -> String {
        let mut out = String::new();
        // Writing into memory does not fail.
        let _ = self.write(recording, records, &mut out);
        out
    }

    fn write(&self, recording: &Recording, records: &Records, out: &mut String) -> std::fmt::Result {
        let files = recording.files();
        let span = recording.span();
        let length = span.end().saturating_since(*span.start());
        writeln!(
            out,
            "time         {} to {}, {:.1} s",
            time(*span.start()),
            time(*span.end()),
            length.as_secs_f64()
        )?;
        let stored: u64 = files.iter().map(|file| file.bytes).sum();
        let raw: u64 = blocks(files).map(|block| u64::from(block.header.raw)).sum();
        let ratio = raw as f64 / stored.max(1) as f64;
        writeln!(
            out,
            "size         {} in {} files, {} unpacked, ratio {ratio:.2}",
            size(stored),
            files.len(),
            size(raw)
        )?;
        let frames: u64 = self.connections.values().map(|traffic| traffic.frames).sum();
        let per_second = self.ticks as f64 / length.as_secs_f64().max(1e-9);
        writeln!(out, "frames       {frames} with {} ticks, {per_second:.0} ticks/s", self.ticks)?;
        for (at, count) in self.instruments.iter().take(MOST_LISTED) {
            writeln!(out, "instruments  {count} from {}", time(*at))?;
        }
        if self.instruments.is_empty() {
            writeln!(out, "instruments  none: ticks cannot be named, and the recording cannot be replayed")?;
        }
        writeln!(out, "\nconnections")?;
        for (id, traffic) in &self.connections {
            let Traffic { frames, heartbeats, texts, ticks, bytes } = traffic;
            writeln!(
                out,
                "  {id}: {frames} frames ({heartbeats} heartbeats, {texts} texts), {ticks} ticks, {}",
                size(*bytes)
            )?;
        }
        writeln!(out, "\nevents")?;
        for (kind, count) in &self.events {
            writeln!(out, "  {kind}: {count}")?;
        }
        if records.unknown_events() > 0 {
            writeln!(out, "  of a later version, left out: {}", records.unknown_events())?;
        }
        self.write_holes(out)?;
        writeln!(out, "\nfiles")?;
        for file in files {
            write_file(file, out)?;
        }
        for block in records.damaged().iter().take(MOST_LISTED) {
            let number = block.entry.header.number;
            writeln!(out, "  {}: block {number} is damaged: {}", block.path.display(), block.problem)?;
        }
        Ok(())
    }

    fn write_holes(&self, out: &mut String) -> std::fmt::Result {
        let frames: u64 = self.holes.iter().map(|hole| hole.frames).sum();
        let ticks: u64 = self.holes.iter().map(|hole| hole.ticks).sum();
        writeln!(out, "\nholes: {} ({frames} frames with {ticks} ticks not recorded)", self.holes.len())?;
        for hole in self.holes.iter().take(MOST_LISTED) {
            let whose = hole.connection.as_ref().map_or_else(|| "events".into(), ToString::to_string);
            let (from, to, cause) = (time(hole.from), time(hole.to), hole.cause.as_str());
            writeln!(
                out,
                "  {whose}: {} frames, {} events from {from} to {to}, {cause}",
                hole.frames, hole.events
            )?;
        }
        if self.holes.len() > MOST_LISTED {
            writeln!(out, "  and {} more", self.holes.len() - MOST_LISTED)?;
        }
        Ok(())
    }
}

fn blocks(files: &[RecordingFile]) -> impl Iterator<Item = &feed_recorder::BlockEntry> {
    files.iter().flat_map(|file| &file.blocks)
}

fn write_file(file: &RecordingFile, out: &mut String) -> std::fmt::Result {
    let header = &file.header;
    let records = file.blocks.iter().filter(|block| block.header.kind == BlockKind::Records).count();
    let (first, last) = file.span();
    writeln!(
        out,
        "  {}: version {}, {}, {records} blocks, {} to {}{}",
        file.path.display(),
        header.version,
        size(file.bytes),
        time(first),
        time(last),
        if file.closed { "" } else { ", not closed: still being written, or its writer was killed" }
    )?;
    let accounts: Vec<String> = header
        .accounts
        .iter()
        .map(|account| format!("{}{}", account.name, if account.simulated { " (simulated)" } else { "" }))
        .collect();
    let (writer, run) = (&header.writer, time(header.run));
    writeln!(
        out,
        "    file {} of the run of {run} by {writer}, accounts: {}",
        header.number,
        accounts.join(", ")
    )?;
    for damage in &file.damage {
        let what = if damage.torn_tail { "torn tail" } else { "damaged" };
        writeln!(out, "    {what}: {} bytes at {}, left out", damage.bytes, damage.offset)?;
    }
    Ok(())
}

fn time(at: UnixNanos) -> String {
    match india(at) {
        Some(at) => format!("{}", at.strftime("%Y-%m-%d %H:%M:%S%.3f IST")),
        None => at.0.to_string(),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..10_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}
