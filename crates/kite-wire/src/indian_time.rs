//! Kite's text times: Indian Standard Time, most of them without saying so.
//!
//! India has had one offset, +05:30, since 1945, so no time zone database is needed and the host's zone never
//! matters.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use market_model::UnixNanos;

const OFFSET_SECONDS: i32 = 5 * 3600 + 30 * 60;

/// Reads `2021-06-08 15:45:56`, with or without seconds, or a date alone (its midnight), as Indian time.
///
/// `None` for anything else, and for Go's zero date `0001-01-01 00:00:00`, which Kite sends for "never".
pub fn parse_indian_time(text: &str) -> Option<UnixNanos> {
    let local: DateTime = text.parse().ok()?;
    if local.year() <= 1 {
        return None;
    }
    nanos(offset().to_timestamp(local).ok()?)
}

/// Reads a time with its offset, such as `2017-12-15T09:15:00+0530` of a candle.
pub fn parse_offset_time(text: &str) -> Option<UnixNanos> {
    nanos(text.parse().ok()?)
}

/// Writes `2021-06-08 15:45:56` in Indian time; fractions of a second are dropped.
pub fn format_indian_time(time: UnixNanos) -> String {
    local(time).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Writes `2017-12-15T09:15:00+0530`, as candles have it; fractions of a second are dropped.
pub fn format_candle_time(time: UnixNanos) -> String {
    local(time).strftime("%Y-%m-%dT%H:%M:%S+0530").to_string()
}

fn offset() -> Offset {
    Offset::from_seconds(OFFSET_SECONDS).unwrap_or(Offset::UTC)
}

fn local(time: UnixNanos) -> DateTime {
    // Every i64 of nanoseconds lies between 1677 and 2262, well within a timestamp's range.
    offset().to_datetime(Timestamp::from_nanosecond(time.0.into()).unwrap_or_default())
}

fn nanos(time: Timestamp) -> Option<UnixNanos> {
    i64::try_from(time.as_nanosecond()).ok().map(UnixNanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_without_a_zone_is_indian() {
        for (text, secs) in [
            ("2021-07-05 10:41:27", 1_625_461_887),
            ("1970-01-01 05:30:00", 0),
            ("2016-07-05 13:38", 1_467_706_080),
            ("2016-07-05", 1_467_657_000),
        ] {
            assert_eq!(parse_indian_time(text), Some(UnixNanos::from_secs(secs)), "{text}");
        }
        let time = UnixNanos::from_millis(1_625_461_887_999);
        assert_eq!(format_indian_time(time), "2021-07-05 10:41:27");
    }

    #[test]
    fn candle_times_say_their_offset() {
        let start = UnixNanos::from_secs(1_513_309_500);
        assert_eq!(parse_offset_time("2017-12-15T09:15:00+0530"), Some(start));
        assert_eq!(parse_offset_time("2017-12-15T09:15:00+05:30"), Some(start));
        assert_eq!(parse_offset_time("2017-12-15T03:45:00Z"), Some(start));
        assert_eq!(format_candle_time(start), "2017-12-15T09:15:00+0530");
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in ["", "0001-01-01 00:00:00", "09:16:39", "2021-02-30 00:00:00", "9999-01-01 00:00:00"] {
            assert_eq!(parse_indian_time(text), None, "{text}");
        }
        assert_eq!(parse_offset_time("2017-12-15 09:15:00"), None);
        assert_eq!(format_indian_time(UnixNanos(i64::MAX)), "2262-04-12 05:17:16");
        assert_eq!(format_indian_time(UnixNanos(i64::MIN)), "1677-09-21 05:42:43");
    }
}
