//! Fixed-point money.

use std::fmt;
use std::ops::{Add, Neg, Sub};
use std::str::FromStr;

/// A price in rupees as an integer count of 1e-7 rupee, the same scale for every segment.
///
/// 1e-7 is the finest divisor Kite's ticker uses (currency derivatives), so every price it can send is exact.
/// Every 32-bit wire price stays below 2^53 at this scale, which makes [`Price::to_f64`] the correctly rounded
/// value of the decimal: 157315 paise becomes exactly the `f64` written `1573.15`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Price(i64);

/// Why a text is not a [`Price`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParsePriceError {
    /// Not a decimal number.
    #[error("not a decimal number")]
    Malformed,
    /// A number, but too large for the fixed-point range of about ±922 billion rupees.
    #[error("price out of range")]
    OutOfRange,
    /// More than seven significant decimals.
    #[error("more than seven decimals")]
    TooPrecise,
}

impl Price {
    /// How many units make one rupee.
    pub const SCALE: i64 = 10_000_000;
    /// No money.
    pub const ZERO: Self = Self(0);

    /// From a count of 1e-7 rupee.
    pub const fn from_raw(raw: i64) -> Self {
        Self(raw)
    }

    /// The count of 1e-7 rupee.
    pub const fn raw(self) -> i64 {
        self.0
    }

    /// From hundredths of a rupee.
    pub const fn from_paise(paise: i64) -> Self {
        Self(paise * (Self::SCALE / 100))
    }

    /// The nearest representable price, or `None` when `rupees` is not finite or out of range.
    pub fn from_f64(rupees: f64) -> Option<Self> {
        let scaled = (rupees * Self::SCALE as f64).round();
        (scaled.is_finite() && scaled.abs() < i64::MAX as f64).then_some(Self(scaled as i64))
    }

    /// Rupees as a double: the correctly rounded quotient, exact to the last bit for every wire price.
    pub fn to_f64(self) -> f64 {
        self.0 as f64 / Self::SCALE as f64
    }

    /// Whether this is exactly zero, Kite's way to say "no value" in several fields.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Whether this is above zero.
    pub const fn is_positive(self) -> bool {
        self.0 > 0
    }

    /// Distance regardless of sign.
    pub const fn abs_diff(self, other: Self) -> u64 {
        self.0.abs_diff(other.0)
    }

    /// The middle of two prices, rounded towards zero to one unit.
    pub const fn midpoint(self, other: Self) -> Self {
        Self(self.0.midpoint(other.0))
    }
}

// === impl arithmetic ===

impl Add for Price {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sub for Price {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl Neg for Price {
    type Output = Self;
    fn neg(self) -> Self {
        Self(-self.0)
    }
}

// === impl text ===

impl fmt::Display for Price {
    /// Shortest decimal that is exact, at least two decimals: `1573.15`, `84.2575`, `-1.50`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.unsigned_abs();
        let scale = Self::SCALE.unsigned_abs();
        let (rupees, mut fraction) = (magnitude / scale, magnitude % scale);
        let mut width = 7;
        while width > 2 && fraction % 10 == 0 {
            fraction /= 10;
            width -= 1;
        }
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{rupees}.{fraction:0width$}")
    }
}

impl FromStr for Price {
    type Err = ParsePriceError;

    /// Reads plain and E-notation decimals exactly (`0.05`, `13`, `1.314E+1`), without passing through a float.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        use ParsePriceError::{Malformed, OutOfRange, TooPrecise};
        let (mantissa, exponent) = match text.find(['e', 'E']) {
            Some(at) => (&text[..at], text[at + 1..].parse::<i32>().map_err(|_| Malformed)?),
            None => (text, 0),
        };
        let (negative, digits) = match mantissa.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() && fraction.is_empty() {
            return Err(Malformed);
        }
        let mut value: i128 = 0;
        for digit in whole.bytes().chain(fraction.bytes()) {
            if !digit.is_ascii_digit() {
                return Err(Malformed);
            }
            value = value.checked_mul(10).ok_or(OutOfRange)? + i128::from(digit - b'0');
        }
        let mut shift = i64::from(exponent) - fraction.len() as i64 + 7;
        while shift > 0 && value != 0 {
            value = value.checked_mul(10).ok_or(OutOfRange)?;
            shift -= 1;
        }
        while shift < 0 && value != 0 {
            if value % 10 != 0 {
                return Err(TooPrecise);
            }
            value /= 10;
            shift += 1;
        }
        let value = i64::try_from(value).map_err(|_| OutOfRange)?;
        Ok(Self(if negative { -value } else { value }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        for (text, shown) in [
            ("1573.15", "1573.15"),
            ("84.2575", "84.2575"),
            ("0.0100001", "0.0100001"),
            ("-1.5", "-1.50"),
            ("13", "13.00"),
            ("1.314E+1", "13.14"),
            ("5e-2", "0.05"),
            ("-0", "0.00"),
            ("0.10000000000", "0.10"),
        ] {
            let price: Price = text.parse().unwrap();
            assert_eq!(price.to_string(), shown);
            assert_eq!(shown.parse(), Ok(price));
        }
    }

    #[test]
    fn bad_text_is_named() {
        for (text, error) in [
            ("", ParsePriceError::Malformed),
            (".", ParsePriceError::Malformed),
            ("1,000", ParsePriceError::Malformed),
            ("NaN", ParsePriceError::Malformed),
            ("1e", ParsePriceError::Malformed),
            ("0.00000001", ParsePriceError::TooPrecise),
            ("1e99", ParsePriceError::OutOfRange),
            ("1e2000000000", ParsePriceError::OutOfRange),
            ("99999999999999999999999999999999999999999", ParsePriceError::OutOfRange),
        ] {
            assert_eq!(text.parse::<Price>(), Err(error), "{text}");
        }
    }

    #[test]
    fn floats_are_the_decimal_value() {
        assert_eq!(Price::from_paise(157_315).to_f64(), 1573.15);
        assert_eq!(Price::from_paise(i64::from(u32::MAX)).to_f64(), 42_949_672.95);
        assert_eq!(Price::from_f64(0.05), Some(Price::from_paise(5)));
        assert_eq!(Price::from_f64(f64::NAN), None);
        assert_eq!(Price::from_f64(1e300), None);
    }
}
