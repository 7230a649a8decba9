//! How many wire units make one rupee, by exchange segment.

use market_model::{InstrumentToken, Price};

/// The price divisors of the ticker protocol, by the low byte of the instrument token.
///
/// [`Divisors::KITE`] is what the official Python client 5.2.2 uses: 10 000 000 for NSE currency (3), 10 000
/// for BSE currency (6) and NSE commodity (12), 100 for everything else. No public capture proves the two
/// divisors of 10 000, and Kite's documentation gives 10 000 000 for "currencies" as a whole, so they can be
/// changed without a new build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Divisors {
    /// Raw price units (1e-7 rupee) per wire unit; the last entry stands for every segment from 15 up.
    units: [u32; 16],
}

/// Why a divisor cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DivisorError {
    /// It does not divide 10 000 000, so prices would not be exact.
    #[error("divisor {0} does not divide 10000000 without a rest")]
    NotExact(u32),
    /// Kite's segments are below 15.
    #[error("segment {0} is not below 15")]
    UnknownSegment(u8),
}

const PAISE: u32 = 100_000;
const LAST: usize = 15;

// === impl Divisors ===

impl Divisors {
    /// What Kite sends, as far as anyone outside knows.
    pub const KITE: Self = {
        let mut units = [PAISE; LAST + 1];
        units[3] = 1;
        units[6] = 1_000;
        units[12] = 1_000;
        Self { units }
    };

    /// The same with another divisor for one segment.
    ///
    /// # Errors
    /// [`DivisorError`] when a price could not be represented exactly or the segment is not one of Kite's.
    pub fn with(mut self, segment: u8, divisor: u32) -> Result<Self, DivisorError> {
        let scale = Price::SCALE as u32;
        if divisor == 0 || !scale.is_multiple_of(divisor) {
            return Err(DivisorError::NotExact(divisor));
        }
        match self.units.get_mut(usize::from(segment)) {
            Some(units) if usize::from(segment) < LAST => *units = scale / divisor,
            _ => return Err(DivisorError::UnknownSegment(segment)),
        }
        Ok(self)
    }

    /// Wire units per rupee for the segment of `token`.
    pub const fn divisor(&self, token: InstrumentToken) -> u32 {
        Price::SCALE as u32 / self.units[self.index(token)]
    }

    /// Raw price units (1e-7 rupee) per wire unit for the segment of `token`.
    #[inline]
    pub(crate) const fn unit(&self, token: InstrumentToken) -> i64 {
        self.units[self.index(token)] as i64
    }

    #[inline]
    const fn index(&self, token: InstrumentToken) -> usize {
        let segment = token.segment_byte() as usize;
        if segment < LAST { segment } else { LAST }
    }
}

impl Default for Divisors {
    fn default() -> Self {
        Self::KITE
    }
}

/// Wire units per rupee for the segment of `token`, by [`Divisors::KITE`].
pub const fn price_divisor(token: InstrumentToken) -> u32 {
    Divisors::KITE.divisor(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn token(segment: u8) -> InstrumentToken {
        InstrumentToken(0x0006_3a00 | segment as u32)
    }

    #[test]
    fn divisors_of_the_segments() {
        for segment in 0..=255 {
            let expect = match segment {
                3 => 10_000_000,
                6 | 12 => 10_000,
                _ => 100,
            };
            assert_eq!(price_divisor(token(segment)), expect, "segment {segment}");
        }
    }

    #[test]
    fn one_segment_can_be_changed() {
        let divisors = Divisors::default().with(6, 10_000_000).unwrap();
        assert_eq!(divisors.divisor(token(6)), 10_000_000);
        assert_eq!(divisors.divisor(token(12)), 10_000);
        assert_eq!(Divisors::KITE.with(6, 0), Err(DivisorError::NotExact(0)));
        assert_eq!(Divisors::KITE.with(6, 300), Err(DivisorError::NotExact(300)));
        assert_eq!(Divisors::KITE.with(15, 100), Err(DivisorError::UnknownSegment(15)));
    }
}
