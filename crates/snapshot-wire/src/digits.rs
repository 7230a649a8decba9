//! Decimal digits of integers, eight at a time.

use crate::room::Room;

const EIGHT: u64 = 100_000_000;
const ASCII_ZEROS: u64 = u64::from_ne_bytes([b'0'; 8]);

/// The eight digits of a number below 10^8, one per byte, the first digit in the lowest byte.
///
/// Halves are split from all parts at once: 8 digits into 2 x 4, 4 x 2, 8 x 1. The multiplications divide by 100
/// and by 10, exactly for numbers below 10000 and 100; no part reaches into its neighbour.
#[inline(always)]
const fn eight_digits(value: u32) -> u64 {
    let fours = (value / 10_000) as u64 | (((value % 10_000) as u64) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | ((fours - 100 * hundreds) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | ((twos - 10 * tens) << 8)
}

/// Writes `value` without leading zeros.
#[inline(always)]
pub(crate) fn put_unsigned(room: &mut Room, value: u64) {
    if value < EIGHT {
        put_short(room, value as u32);
    } else {
        put_long(room, value);
    }
}

#[inline(always)]
fn put_short(room: &mut Room, value: u32) {
    let (text, used) = short_text(value);
    room.put_padded(text, used);
}

#[inline(always)]
const fn short_text(value: u32) -> ([u8; 8], usize) {
    let digits = eight_digits(value);
    // Zero has one digit that counts.
    let leading = (digits | (1 << 56)).trailing_zeros() / 8;
    let text = (digits | ASCII_ZEROS) >> (8 * leading);
    (text.to_le_bytes(), 8 - leading as usize)
}

#[inline(always)]
fn put_long(room: &mut Room, value: u64) {
    let (high, low) = (value / EIGHT, value % EIGHT);
    if high < EIGHT {
        put_short(room, high as u32);
    } else {
        put_short(room, (high / EIGHT) as u32);
        put_eight(room, (high % EIGHT) as u32);
    }
    put_eight(room, low as u32);
}

#[inline(always)]
fn put_eight(room: &mut Room, value: u32) {
    let text = (eight_digits(value) | ASCII_ZEROS).to_le_bytes();
    room.put_padded(text, text.len());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: u64) {
        let mut room = Room::default();
        put_unsigned(&mut room, value);
        while room.was_short(0) {
            put_unsigned(&mut room, value);
        }
        assert_eq!(str::from_utf8(room.written()), Ok(value.to_string().as_str()));
    }

    #[test]
    fn digits_are_those_of_the_standard_library() {
        (0..20_000).for_each(check);
        for power in (0..20).map(|exponent| 10u64.pow(exponent)) {
            [power - 1, power, power + 1].into_iter().for_each(check);
        }
        check(u64::MAX);
        let spread = std::iter::successors(Some(1u64), |value| value.checked_mul(3)?.checked_add(7));
        spread.for_each(check);
    }

    #[test]
    fn every_pair_of_digits_is_right_in_every_place() {
        for place in [1, 100, 10_000, 1_000_000] {
            (0..100).for_each(|pair| check(pair * place));
        }
        (0..10_000).for_each(|four| check(four * 10_000 + 9_999));
    }
}
