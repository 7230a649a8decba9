//! What a recorder counts, as handles on a recorder of metrics we are given.

use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, NoopRecorder, Recorder, Unit,
};

use crate::block::HoleCause;

/// Counters of one recorder.
#[derive(Debug, Clone)]
pub struct RecorderMetrics {
    /// `recorder_frames_recorded_total`: websocket frames taken.
    pub frames: Counter,
    /// `recorder_events_recorded_total`: connection events taken.
    pub events: Counter,
    /// `recorder_bytes_recorded_total`: bytes of the frames taken, before compression.
    pub bytes: Counter,
    /// `recorder_bytes_written_total`: bytes written into files.
    pub written: Counter,
    /// `recorder_frames_lost_total`, by cause `overrun` or `disk`: frames that found no room. Each left a hole.
    pub lost: [Counter; 2],
    /// `recorder_write_failures_total`: writes that failed; each is tried again.
    pub failures: Counter,
    /// `recorder_files_deleted_total`: files deleted to keep the disk budget.
    pub deleted: Counter,
    /// `recorder_paused`: 1 while nothing can be written.
    pub paused: Gauge,
    /// `recorder_queue_bytes`: bytes that wait to be written.
    pub waiting: Gauge,
    /// `recorder_disk_bytes`: bytes of all recordings in the folder.
    pub disk: Gauge,
    /// `recorder_write_duration_seconds`: compressing and writing one block.
    pub duration: Histogram,
}

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

// === impl RecorderMetrics ===

impl RecorderMetrics {
    /// Makes the handles on `recorder`.
    pub fn register(recorder: &dyn Recorder) -> Self {
        let counter = |name: &'static str, help: &'static str| {
            recorder.describe_counter(KeyName::from(name), Some(Unit::Count), help.into());
            recorder.register_counter(&Key::from_static_name(name), &METADATA)
        };
        let gauge = |name: &'static str, help: &'static str| {
            recorder.describe_gauge(KeyName::from(name), None, help.into());
            recorder.register_gauge(&Key::from_static_name(name), &METADATA)
        };
        let lost = |cause: HoleCause| {
            let name = "recorder_frames_lost_total";
            recorder.describe_counter(
                KeyName::from(name),
                Some(Unit::Count),
                "Frames that found no room".into(),
            );
            let key = Key::from_parts(name, vec![Label::new("cause", cause.as_str())]);
            recorder.register_counter(&key, &METADATA)
        };
        let duration = "recorder_write_duration_seconds";
        recorder.describe_histogram(KeyName::from(duration), Some(Unit::Seconds), "One block to disk".into());
        Self {
            frames: counter("recorder_frames_recorded_total", "Websocket frames recorded"),
            events: counter("recorder_events_recorded_total", "Connection events recorded"),
            bytes: counter("recorder_bytes_recorded_total", "Bytes of frames recorded, before compression"),
            written: counter("recorder_bytes_written_total", "Bytes written into recordings"),
            lost: [HoleCause::Overrun, HoleCause::Disk].map(lost),
            failures: counter("recorder_write_failures_total", "Writes of recordings that failed"),
            deleted: counter("recorder_files_deleted_total", "Recordings deleted to keep the budget"),
            paused: gauge("recorder_paused", "1 while recordings cannot be written"),
            waiting: gauge("recorder_queue_bytes", "Bytes that wait to be recorded"),
            disk: gauge("recorder_disk_bytes", "Bytes of all recordings"),
            duration: recorder.register_histogram(&Key::from_static_name(duration), &METADATA),
        }
    }

    /// Handles that count nothing.
    pub fn noop() -> Self {
        Self::register(&NoopRecorder)
    }

    pub(crate) fn lost(&self, cause: HoleCause) -> &Counter {
        match cause {
            HoleCause::Overrun => &self.lost[0],
            HoleCause::Disk => &self.lost[1],
        }
    }
}

// === impl HoleCause ===

impl HoleCause {
    /// The word used in labels and reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Overrun => "overrun",
            Self::Disk => "disk",
        }
    }
}
