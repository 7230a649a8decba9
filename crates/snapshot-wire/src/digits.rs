//! Decimal digits of integers, eight at a time, and of doubles, nine at a time.

use crate::target::Target;

const MILLION: u64 = 1_000_000;
const EIGHT: u64 = 100_000_000;
const BILLION: u64 = 1_000_000_000;
const ASCII_ZEROS: u64 = u64::from_ne_bytes([b'0'; 8]);

/// The longest number of this module: `-1.23456789e-30` and 20 digits of an integer with a sign.
const LONGEST: usize = 24;

/// A text with the length of it that counts.
pub(crate) type Text<const N: usize> = ([u8; N], usize);

/// 10^-64 to 10^63, each to within a few units of its last place.
const POWERS: &[f64; 128] = &{
    let mut powers = [1.0; 128];
    let mut at = 0;
    while at < powers.len() {
        powers[at] = power_of_ten(at as i32 - 64);
        at += 1;
    }
    powers
};

/// Three digits of every number below 1000, the first in the lowest byte; the highest byte says how many bits of
/// leading zeros they have.
const TRIPLES: &[u32; 1000] = &{
    let mut triples = [0; 1000];
    let mut value = 0;
    while value < 1000 {
        let digits = [(value / 100) as u8 + b'0', (value / 10 % 10) as u8 + b'0', (value % 10) as u8 + b'0'];
        let leading = 8 * ((value < 100) as u8 + (value < 10) as u8);
        triples[value] = u32::from_le_bytes([digits[0], digits[1], digits[2], leading]);
        value += 1;
    }
    triples
};

/// `.0` to `.99`, shortest form, with its length.
const HUNDREDTHS: &[([u8; 4], u8); 100] = &{
    let mut texts = [([b'.', 0, 0, 0], 3); 100];
    let mut value = 0;
    while value < 100 {
        texts[value].0[1] = b'0' + (value / 10) as u8;
        texts[value].0[2] = b'0' + (value % 10) as u8;
        if value % 10 == 0 {
            texts[value].1 = 2;
        }
        value += 1;
    }
    texts
};

/// Exponents of two, as a double has them, of the numbers that [`NineDigits`] are made of: 2^-100 to 2^100.
const NINE_DIGITS: std::ops::Range<u32> = 1023 - 100..1023 + 100;

/// A positive double rounded to nine decimal digits: `first`.`rest` x 10^`exponent`.
#[derive(Clone, Copy)]
pub(crate) struct NineDigits {
    first: u8,
    /// The other eight, one per byte, the first digit in the lowest byte.
    rest: u64,
    exponent: i32,
}

const fn power_of_ten(exponent: i32) -> f64 {
    let (mut power, mut left) = (1.0, exponent.abs());
    while left > 0 {
        power *= 10.0;
        left -= 1;
    }
    if exponent < 0 { 1.0 / power } else { power }
}

/// The eight digits of a number below 10^8, one per byte, the first digit in the lowest byte.
///
/// Halves are split from all parts at once: 8 digits into 2 x 4, 4 x 2, 8 x 1. The multiplications divide by 100
/// and by 10, exactly for numbers below 10000 and 100; no part reaches into its neighbour.
#[inline(always)]
pub(crate) const fn eight_digits(value: u32) -> u64 {
    let fours = (value / 10_000) as u64 | (((value % 10_000) as u64) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | ((fours - 100 * hundreds) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | ((twos - 10 * tens) << 8)
}

/// Writes `value` without leading zeros.
#[inline(always)]
pub(crate) fn put_unsigned(out: &mut impl Target, value: u64) {
    if value < MILLION {
        put_below_million(out, value as u32);
    } else if value < EIGHT {
        let (text, used) = short_text(value as u32);
        out.put_padded(text, used);
    } else {
        let (text, used) = long_text(value);
        out.put_padded(text, used);
    }
}

#[inline(always)]
pub(crate) fn put_signed(out: &mut impl Target, value: i64) {
    out.put_padded([b'-'], usize::from(value < 0));
    put_unsigned(out, value.unsigned_abs());
}

/// Writes UNIX seconds or nanoseconds. Those of this century have ten or nineteen digits.
#[inline(always)]
pub(crate) fn put_instant(out: &mut impl Target, value: i64) {
    const TEN_DIGITS: std::ops::Range<u64> = 1_000_000_000..10_000_000_000;
    let magnitude = value.cast_unsigned();
    if TEN_DIGITS.contains(&magnitude) {
        put_below_million(out, (magnitude / EIGHT) as u32);
        put_eight(out, (magnitude % EIGHT) as u32);
    } else if (TEN_DIGITS.start * BILLION..(1 << 63)).contains(&magnitude) {
        let (high, low) = (magnitude / EIGHT, magnitude % EIGHT);
        put_triple(out, (high / EIGHT) as u32);
        put_eight(out, (high % EIGHT) as u32);
        put_eight(out, low as u32);
    } else {
        put_signed(out, value);
    }
}

/// Writes hundredths below 10^8 as a decimal with one or two places.
#[inline(always)]
pub(crate) fn put_hundredths(out: &mut impl Target, value: u32) {
    put_below_million(out, value / 100);
    let (text, used) = HUNDREDTHS[(value % 100) as usize];
    out.put_padded(text, usize::from(used));
}

#[inline(always)]
fn put_below_million(out: &mut impl Target, value: u32) {
    let (thousands, rest) = (value / 1000, value % 1000);
    if thousands == 0 {
        put_triple_shortened(out, rest);
    } else {
        put_triple_shortened(out, thousands);
        put_triple(out, rest);
    }
}

/// Writes three digits.
#[inline(always)]
fn put_triple(out: &mut impl Target, value: u32) {
    out.put_padded(triple(value).to_le_bytes(), 3);
}

/// Writes a number below 1000 without leading zeros.
#[inline(always)]
fn put_triple_shortened(out: &mut impl Target, value: u32) {
    let text = triple(value);
    let leading = text >> 24;
    out.put_padded((text >> leading).to_le_bytes(), 3 - leading as usize / 8);
}

#[inline(always)]
fn put_eight(out: &mut impl Target, value: u32) {
    let text = eight_digits(value) | ASCII_ZEROS;
    out.put_padded(text.to_le_bytes(), 8);
}

#[inline(always)]
fn triple(value: u32) -> u32 {
    TRIPLES.get(value as usize).copied().unwrap_or_default()
}

#[inline(always)]
const fn short_text(value: u32) -> Text<8> {
    let digits = eight_digits(value);
    // Zero has one digit that counts.
    let leading = (digits | (1 << 56)).trailing_zeros() / 8;
    let text = (digits | ASCII_ZEROS) >> (8 * leading);
    (text.to_le_bytes(), 8 - leading as usize)
}

/// For numbers from 10^8. Not inlined, and so it takes no writer: a writer whose address is given away lives in memory.
#[inline(never)]
fn long_text(value: u64) -> Text<LONGEST> {
    let (high, low) = (value / EIGHT, (value % EIGHT) as u32);
    let mut text = Pad::default();
    if high < EIGHT {
        text.push(short_text(high as u32));
    } else {
        text.push(short_text((high / EIGHT) as u32));
        text.push_eight((high % EIGHT) as u32);
    }
    text.push_eight(low);
    text.0
}

/// Writes a finite double with nine significant digits, at most five of a billion off; without an exponent from
/// 0.00001 up to 10^8.
#[inline(always)]
pub(crate) fn put_nine_digits(out: &mut impl Target, value: f64) {
    let twos = (value.to_bits() >> 52) as u32 & 0x7ff;
    if !NINE_DIGITS.contains(&twos) {
        let (text, used) = shortest(value);
        return out.put_padded(text, used);
    }
    let digits = NineDigits::of(value.abs(), twos);
    out.put_padded([b'-'], usize::from(value < 0.0));
    let (first, rest) = (digits.first + b'0', digits.rest | ASCII_ZEROS);
    let significant = 8 - digits.rest.leading_zeros() as usize / 8;
    match digits.exponent {
        exponent @ -5..=-1 => {
            out.put_padded(*b"0.000000", 1 + exponent.unsigned_abs() as usize);
            out.put_padded([first], 1);
            out.put_padded(rest.to_le_bytes(), significant);
        }
        exponent @ 0..=7 => {
            let whole = exponent.unsigned_abs() as usize;
            out.put_padded([first], 1);
            out.put_padded(rest.to_le_bytes(), whole);
            out.put_padded([b'.'], 1);
            let places = significant.saturating_sub(whole).max(1);
            out.put_padded((rest >> (8 * whole)).to_le_bytes(), places);
        }
        _ => {
            let (text, used) = digits.scientific();
            out.put_padded(text, used);
        }
    }
}

/// The shortest text that reads back as the same finite double.
#[inline(never)]
pub(crate) fn shortest(value: f64) -> Text<LONGEST> {
    let mut buffer = zmij::Buffer::new();
    let mut text = Pad::default();
    text.push_all(buffer.format_finite(value).as_bytes());
    text.0
}

// === impl NineDigits ===

impl NineDigits {
    #[inline(always)]
    fn of(value: f64, twos: u32) -> Self {
        // The exponent of two gives that of ten or one less.
        let mut exponent = ((twos.cast_signed() - 1023) * 1233) >> 12;
        exponent += i32::from(value >= power(exponent + 1));
        // Added to 2^52, a double has the nearest whole number in its lowest bits.
        let mut scaled = (value * power(8 - exponent) + (1u64 << 52) as f64).to_bits() as u32;
        if scaled >= 10 * EIGHT as u32 {
            scaled /= 10;
            exponent += 1;
        }
        let first = scaled / EIGHT as u32;
        Self { first: first as u8, rest: eight_digits(scaled - first * EIGHT as u32), exponent }
    }

    #[cold]
    #[inline(never)]
    fn scientific(self) -> Text<LONGEST> {
        let mut text = Pad::default();
        text.push_all(&[self.first + b'0', b'.']);
        text.push((
            (self.rest | ASCII_ZEROS).to_le_bytes(),
            (8 - self.rest.leading_zeros() as usize / 8).max(1),
        ));
        text.push_all(if self.exponent < 0 { b"e-" } else { b"e" });
        text.push(short_text(self.exponent.unsigned_abs()));
        text.0
    }
}

#[inline(always)]
fn power(exponent: i32) -> f64 {
    POWERS[(exponent + 64) as usize % POWERS.len()]
}

// === impl Pad ===

/// A short text under construction.
struct Pad(Text<LONGEST>);

impl Default for Pad {
    fn default() -> Self {
        Self(([0; LONGEST], 0))
    }
}

impl Pad {
    fn push<const N: usize>(&mut self, (bytes, used): Text<N>) {
        self.push_all(bytes.get(..used).unwrap_or(&bytes));
    }

    fn push_eight(&mut self, value: u32) {
        self.push_all(&(eight_digits(value) | ASCII_ZEROS).to_le_bytes());
    }

    fn push_all(&mut self, bytes: &[u8]) {
        let (text, used) = &mut self.0;
        if let Some(place) = text.get_mut(*used..*used + bytes.len()) {
            place.copy_from_slice(bytes);
            *used += bytes.len();
        }
    }
}

#[cfg(test)]
mod tests;
