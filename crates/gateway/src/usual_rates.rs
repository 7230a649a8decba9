//! What tickers learned about usual rates, kept in the data folder over restarts.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use kite_client::{RateProfile, TickerHandle};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// As often as a ticker learns something new.
const KEEP_EVERY: Duration = Duration::from_secs(900);

/// The file of one account.
#[derive(Debug, Clone)]
pub(crate) struct UsualRates {
    file: PathBuf,
}

impl UsualRates {
    /// `rates/<account>.txt` in the data folder.
    pub(crate) fn new(data_dir: &std::path::Path, account: &str) -> Self {
        Self { file: data_dir.join("rates").join(format!("{account}.txt")) }
    }

    /// What was kept; nothing when there is no file. A file that cannot be read is said and left alone.
    pub(crate) fn load(&self) -> RateProfile {
        let text = match std::fs::read_to_string(&self.file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return RateProfile::default(),
            Err(error) => {
                warn!(file = %self.file.display(), %error, "usual rates cannot be read, learning anew");
                return RateProfile::default();
            }
        };
        text.parse().unwrap_or_else(|error| {
            warn!(file = %self.file.display(), %error, "usual rates cannot be read, learning anew");
            RateProfile::default()
        })
    }

    /// Keeps what `ticker` knows now and then, and once more when `stop` is cancelled.
    pub(crate) async fn keep(&self, ticker: &TickerHandle, stop: &CancellationToken) {
        loop {
            let stopped = tokio::time::timeout(KEEP_EVERY, stop.cancelled()).await.is_ok();
            let (profile, rates) = (ticker.rate_profile(), self.clone());
            // A disk may be slow, and this task carries ticks.
            match tokio::task::spawn_blocking(move || rates.save(&profile)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => warn!(file = %self.file.display(), %error, "usual rates cannot be kept"),
                Err(error) => warn!(%error, "usual rates cannot be kept"),
            }
            if stopped {
                return;
            }
        }
    }

    /// Whole or not at all.
    fn save(&self, profile: &RateProfile) -> io::Result<()> {
        if profile.slots.is_empty() {
            return Ok(());
        }
        if let Some(folder) = self.file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let unfinished = self.file.with_extension("new");
        std::fs::write(&unfinished, profile.to_string())?;
        std::fs::rename(&unfinished, &self.file)
    }
}

#[cfg(test)]
mod tests {
    use kite_client::RateSlot;

    use super::*;

    #[test]
    fn what_is_kept_is_loaded_and_a_broken_file_costs_only_what_was_learned() {
        let folder = tempfile::tempdir().unwrap();
        let rates = UsualRates::new(folder.path(), "main");
        assert_eq!(rates.load(), RateProfile::default());
        let slot = RateSlot { connection: 1, slot: 40, rate_per_unit: 1.75, units: 3000.0, days: 3 };
        let profile = RateProfile { slots: vec![slot] };
        rates.save(&profile).unwrap();
        assert_eq!(rates.load(), profile);
        std::fs::write(folder.path().join("rates/main.txt"), "garbage").unwrap();
        assert_eq!(rates.load(), RateProfile::default());
    }
}
