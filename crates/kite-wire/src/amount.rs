//! Money and other numbers that are no tradable prices: exact decimals of any fineness.

use std::fmt;
use std::str::FromStr;

use market_model::Price;
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Error as _, Serialize, Serializer};
use serde_json::value::RawValue;

/// A decimal number exactly as Kite wrote it.
///
/// Margins, charges, averages and profits come as unrounded doubles (`99725.05000000002`), finer than [`Price`]
/// counts. This keeps the value of every digit that was sent; only the way of writing is forgotten: `300`, `300.0` and
/// `3E2` are the same, and so are `-0` and `0`. Absent, `null` and `""` are read as zero. It is read from JSON text
/// directly, never through a double, so it must not stand under `#[serde(flatten)]` or in an untagged enum.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Amount {
    /// Not divisible by ten, unless zero.
    coefficient: i128,
    /// Power of ten; zero when the coefficient is.
    exponent: i16,
}

/// Why a text is not an [`Amount`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseAmountError {
    /// Not a decimal number.
    #[error("not a decimal number")]
    Malformed,
    /// More digits or a larger exponent than any number of Kite's.
    #[error("more than 38 digits or an exponent beyond 400")]
    OutOfRange,
}

/// Beyond what a double can hold, so no number that Kite can compute is refused.
const LARGEST_EXPONENT: i64 = 400;

// === impl Amount ===

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self { coefficient: 0, exponent: 0 };

    /// A whole number.
    pub fn from_whole(number: i64) -> Self {
        Self::reduced(number.into(), 0).unwrap_or_default()
    }

    /// The nearest price, halves away from zero; `None` when it is beyond what a price can hold.
    pub fn to_price(self) -> Option<Price> {
        let shift = i32::from(self.exponent) + 7;
        let raw = if shift >= 0 {
            let factor = 10_i128.checked_pow(shift.unsigned_abs())?;
            self.coefficient.checked_mul(factor)?
        } else {
            match 10_i128.checked_pow(shift.unsigned_abs()) {
                Some(divisor) => {
                    let half = divisor / 2;
                    let towards_zero = self.coefficient / divisor;
                    let rest = self.coefficient % divisor;
                    towards_zero + if rest.abs() >= half { rest.signum() } else { 0 }
                }
                // Less than a half of the smallest price.
                None => 0,
            }
        };
        i64::try_from(raw).ok().map(Price::from_raw)
    }

    /// The nearest double.
    pub fn to_f64(self) -> f64 {
        // The text is a decimal number, which always parses.
        self.to_string().parse().unwrap_or(f64::NAN)
    }

    /// Whether it is exactly zero.
    pub const fn is_zero(self) -> bool {
        self.coefficient == 0
    }

    /// Whether it is below zero.
    pub const fn is_negative(self) -> bool {
        self.coefficient < 0
    }

    fn reduced(mut coefficient: i128, mut exponent: i64) -> Result<Self, ParseAmountError> {
        if coefficient == 0 {
            return Ok(Self::ZERO);
        }
        while coefficient % 10 == 0 {
            coefficient /= 10;
            exponent += 1;
        }
        if exponent.abs() > LARGEST_EXPONENT {
            return Err(ParseAmountError::OutOfRange);
        }
        Ok(Self { coefficient, exponent: exponent as i16 })
    }

    fn whole(self) -> Option<i64> {
        let factor = 10_i128.checked_pow(u32::try_from(self.exponent).ok()?)?;
        i64::try_from(self.coefficient.checked_mul(factor)?).ok()
    }
}

impl From<Price> for Amount {
    fn from(price: Price) -> Self {
        Self::reduced(price.raw().into(), -7).unwrap_or_default()
    }
}

impl FromStr for Amount {
    type Err = ParseAmountError;

    fn from_str(text: &str) -> Result<Self, ParseAmountError> {
        use ParseAmountError::{Malformed, OutOfRange};
        let (mantissa, exponent) = match text.find(['e', 'E']) {
            Some(at) => {
                let signed = &text[at + 1..];
                let digits = signed.strip_prefix('+').unwrap_or(signed);
                let plain = signed.strip_prefix(['+', '-']).unwrap_or(signed);
                if plain.is_empty() || !plain.bytes().all(|digit| digit.is_ascii_digit()) {
                    return Err(Malformed);
                }
                // An exponent too long for an i64 is far too large for an amount, unless the amount is zero.
                (&text[..at], digits.parse::<i64>().unwrap_or(i64::from(i32::MAX)))
            }
            None => (text, 0),
        };
        let (negative, digits) = match mantissa.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all = || whole.bytes().chain(fraction.bytes());
        if all().next().is_none() || !all().all(|digit| digit.is_ascii_digit()) {
            return Err(Malformed);
        }
        // Zeros wait until a digit follows, so that those at the end cost nothing.
        let (mut coefficient, mut zeros) = (0_i128, 0_u32);
        for digit in all() {
            if digit == b'0' {
                zeros = zeros.saturating_add(1);
                continue;
            }
            coefficient = match coefficient {
                0 => i128::from(digit - b'0'),
                _ => (10_i128.checked_pow(zeros.saturating_add(1)))
                    .and_then(|shift| coefficient.checked_mul(shift)?.checked_add(i128::from(digit - b'0')))
                    .ok_or(OutOfRange)?,
            };
            zeros = 0;
        }
        let fraction = i64::try_from(fraction.len()).unwrap_or(i64::MAX);
        let exponent = exponent.saturating_add(i64::from(zeros)).saturating_sub(fraction);
        Self::reduced(if negative { -coefficient } else { coefficient }, exponent)
    }
}

impl fmt::Display for Amount {
    /// The shortest plain decimal; only beyond forty zeros in E notation.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { coefficient, exponent } = *self;
        let sign = if coefficient < 0 { "-" } else { "" };
        let digits = coefficient.unsigned_abs().to_string();
        let below = usize::from(exponent.min(0).unsigned_abs());
        match exponent {
            40.. | ..-78 => write!(f, "{sign}{digits}e{exponent}"),
            0.. => write!(f, "{sign}{digits}{}", "0".repeat(exponent as usize)),
            _ if below < digits.len() => {
                let (whole, fraction) = digits.split_at(digits.len() - below);
                write!(f, "{sign}{whole}.{fraction}")
            }
            _ => write!(f, "{sign}0.{digits:0>below$}"),
        }
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// === JSON ===

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let json = raw.get();
        let wrong = |reason: &dyn fmt::Display| {
            let start: String = json.chars().take(40).collect();
            D::Error::custom(format_args!("{start} is no amount: {reason}"))
        };
        if json.starts_with('"') {
            let text: String = serde_json::from_str(json).map_err(|error| wrong(&error))?;
            return match text.trim_ascii() {
                "" => Ok(Self::ZERO),
                number => number.parse().map_err(|error| wrong(&error)),
            };
        }
        if json == "null" { Ok(Self::ZERO) } else { json.parse().map_err(|error| wrong(&error)) }
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.whole() {
            Some(whole) => serializer.serialize_i64(whole),
            None => RawValue::from_string(self.to_string()).map_err(S::Error::custom)?.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_digit_is_kept() {
        for (json, shown) in [
            ("99725.05000000002", "99725.05000000002"),
            ("300", "300"),
            ("300.0", "300"),
            ("-0", "0"),
            ("-76.79999999999775", "-76.79999999999775"),
            ("0.011372219999999999", "0.011372219999999999"),
            ("1.314E+1", "13.14"),
            ("5e-7", "0.0000005"),
            ("\" 12.50 \"", "12.5"),
            ("\"\"", "0"),
            ("null", "0"),
            ("1e300", "1e300"),
            ("0e999999999999999999999", "0"),
            ("12345678901234567890123456789012345678", "12345678901234567890123456789012345678"),
        ] {
            let amount: Amount = serde_json::from_str(json).unwrap();
            assert_eq!(amount.to_string(), shown, "{json}");
            assert_eq!(serde_json::to_string(&amount).unwrap(), shown, "{json}");
        }
    }

    #[test]
    fn what_is_no_amount_is_named() {
        for json in
            ["\"x\"", "[]", "{}", "true", "\".\"", "\"1e\"", "\"1e+-2\"", "1e9999", "\"NaN\"", "\"1 2\""]
        {
            let error = serde_json::from_str::<Amount>(json).unwrap_err().to_string();
            assert!(error.contains("is no amount: "), "{json}: {error}");
        }
        let long = "1".repeat(60);
        assert_eq!(long.parse::<Amount>(), Err(ParseAmountError::OutOfRange));
    }

    #[test]
    fn amounts_become_the_nearest_price() {
        for (text, price) in [
            ("99725.05000000002", Some("99725.05")),
            ("0.00000005", Some("0.0000001")),
            ("-0.00000005", Some("-0.0000001")),
            ("0.00000004", Some("0")),
            ("1e-300", Some("0")),
            ("922337203685.4775807", Some("922337203685.4775807")),
            ("922337203686", None),
            ("1e300", None),
        ] {
            let expect = price.map(|text| text.parse().unwrap());
            assert_eq!(text.parse::<Amount>().unwrap().to_price(), expect, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_double_is_kept_to_the_last_bit(bits: u64) {
            let double = f64::from_bits(bits);
            prop_assume!(double.is_finite());
            let json = serde_json::to_string(&double).unwrap();
            let amount: Amount = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(amount.to_f64(), double);
            let again: Amount = serde_json::from_str(&serde_json::to_string(&amount).unwrap()).unwrap();
            prop_assert_eq!(again, amount);
        }

        #[test]
        fn a_price_is_an_amount(raw: i64) {
            let price = Price::from_raw(raw);
            prop_assert_eq!(Amount::from(price).to_price(), Some(price));
        }
    }
}
