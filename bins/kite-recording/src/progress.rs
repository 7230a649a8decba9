//! A progress bar for whatever takes longer than two seconds, on a terminal only.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const PATIENCE: Duration = Duration::from_secs(2);
/// Between two looks at the clock.
const STEPS: u32 = 256;

/// How far the work has come.
pub(crate) struct Progress {
    bar: ProgressBar,
    begun: Instant,
    steps: u32,
    shown: bool,
}

// === impl Progress ===

impl Progress {
    /// Of `ticks` in all.
    pub(crate) fn of(ticks: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(ticks), ProgressDrawTarget::hidden());
        let style = "{wide_bar} {percent} %  {human_pos} of {human_len} ticks  {per_sec}  {eta} left";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        Self { bar, begun: Instant::now(), steps: 0, shown: false }
    }

    /// One more step; `ticks` are done so far.
    pub(crate) fn step(&mut self, ticks: u64) {
        self.steps += 1;
        if self.steps.is_multiple_of(STEPS) {
            if !self.shown && self.begun.elapsed() > PATIENCE {
                // Draws nothing when standard error is no terminal.
                self.bar.set_draw_target(ProgressDrawTarget::stderr());
                self.shown = true;
            }
            self.bar.set_position(ticks);
        }
    }

    /// Removes the bar; how long it took.
    pub(crate) fn end(&self) -> Duration {
        self.bar.finish_and_clear();
        self.begun.elapsed()
    }
}
