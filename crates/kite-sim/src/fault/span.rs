//! Lengths of time as people write them: `250ms`, `12s`, `1.5m`, `2h`.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

/// Units, the longest name first where one ends like another.
const UNITS: [(&str, f64); 4] = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3_600.0)];
/// Longer than any simulation.
const LONGEST: f64 = 366.0 * 86_400.0;

// === impl Span ===

impl Span {
    fn parse(text: &str) -> Option<Self> {
        let (number, unit) =
            UNITS.iter().find_map(|(name, unit)| text.strip_suffix(name).map(|number| (number, unit)))?;
        let seconds = number.trim_end().parse::<f64>().ok()? * unit;
        (0.0..=LONGEST).contains(&seconds).then(|| Self(Duration::from_secs_f64(seconds)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        match millis % 1_000 {
            0 => write!(f, "{}s", millis / 1_000),
            _ => write!(f, "{millis}ms"),
        }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            let expected = "a number and ms, s, m or h, such as `12s` or `250ms`";
            serde::de::Error::custom(format!("bad length of time `{text}`: write {expected}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_a_number_and_a_unit() {
        for (text, millis) in
            [("250ms", Some(250)), ("12s", Some(12_000)), ("1.5m", Some(90_000)), ("2h", Some(7_200_000))]
        {
            assert_eq!(Span::parse(text).map(|span| span.0.as_millis()), millis, "{text}");
        }
        for text in ["", "12", "s", "-1s", "NaNs", "1e99h", "12 parsecs"] {
            assert_eq!(Span::parse(text), None, "{text}");
        }
        assert_eq!(Span(Duration::from_millis(1_250)).to_string(), "1250ms");
        assert_eq!(Span(Duration::from_secs(90)).to_string(), "90s");
    }
}
