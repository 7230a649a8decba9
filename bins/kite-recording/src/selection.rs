//! The part of a recording that was asked for.

use feed_recorder::{RecordFilter, Recording};
use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::{Offset, TimeZone};
use market_model::UnixNanos;

use crate::args::PartArgs;
use crate::failure::Failure;

/// The filter for `part` of `recording`.
pub(crate) fn filter(part: &PartArgs, recording: &Recording) -> Result<RecordFilter, Failure> {
    let start = *recording.span().start();
    let time = |text: &Option<String>, option: &str| {
        match text {
        None => Ok(None),
        Some(text) => instant(text, start).map(Some).ok_or_else(|| {
            Failure::Usage(format!(
                "{option} {text:?} is no time: write 2026-11-20T09:30:00+05:30, 09:30:00 (India, first day of the \
                 recording) or +90 (seconds after its beginning)"
            ))
        }),
    }
    };
    let (from, to) = (time(&part.from, "--from")?, time(&part.to, "--to")?);
    if from.zip(to).is_some_and(|(from, to)| from > to) {
        return Err(Failure::Usage("--from is later than --to: nothing lies between".into()));
    }
    Ok(RecordFilter {
        from,
        to,
        account: part.account.as_deref().map(Into::into),
        connection: part.connection,
    })
}

/// What `text` means in a recording that begins at `start`.
fn instant(text: &str, start: UnixNanos) -> Option<UnixNanos> {
    if let Some(seconds) = text.strip_prefix('+') {
        let seconds: f64 =
            seconds.parse().ok().filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0)?;
        return Some(UnixNanos(start.0.checked_add((seconds * 1e9) as i64)?));
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return i64::try_from(at.as_nanosecond()).ok().map(UnixNanos);
    }
    let time: Time = text.parse().ok()?;
    let first_day = india(start)?.date();
    let at = first_day.to_datetime(time).to_zoned(indian_zone()?).ok()?;
    i64::try_from(at.timestamp().as_nanosecond()).ok().map(UnixNanos)
}

/// `at` as a clock in India shows it.
pub(crate) fn india(at: UnixNanos) -> Option<jiff::civil::DateTime> {
    let at = Timestamp::from_nanosecond(i128::from(at.0)).ok()?;
    Some(at.to_zoned(indian_zone()?).datetime())
}

/// India has one offset and no summer time, so no time zone database is needed.
fn indian_zone() -> Option<TimeZone> {
    Offset::from_seconds(19_800).ok().map(TimeZone::fixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_absolute_indian_or_from_the_beginning() {
        // 09:15:30 in India on 2026-11-20.
        let start = UnixNanos::from_secs(1_795_146_330);
        let check = |text: &str, seconds: Option<i64>| {
            assert_eq!(instant(text, start), seconds.map(UnixNanos::from_secs), "{text}");
        };
        check("+0", Some(1_795_146_330));
        check("+90", Some(1_795_146_420));
        check("09:15:30", Some(1_795_146_330));
        check("15:30", Some(1_795_168_800));
        check("2026-11-20T09:15:30+05:30", Some(1_795_146_330));
        check("2026-11-20T03:45:30Z", Some(1_795_146_330));
        for wrong in ["", "noon", "+", "+-5", "+inf", "25:00", "2026-11-20"] {
            check(wrong, None);
        }
    }
}
