//! JSON by hand: no intermediate values, no allocation beyond the reused buffer.

use market_model::Price;

use crate::writer::{Key, OpenMap, Writer};

pub(crate) struct Json<'a>(pub(crate) &'a mut Vec<u8>);

const HEX: &[u8; 16] = b"0123456789abcdef";

/// "00" to "99".
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut value = 0;
    while value < 100 {
        pairs[value] = [b'0' + (value / 10) as u8, b'0' + (value % 10) as u8];
        value += 1;
    }
    pairs
};

impl Json<'_> {
    fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    /// The fraction of a price in units of 1e-7 rupee, shortest form, at least one digit.
    fn fraction(&mut self, fraction: u32) {
        const PAISA: u32 = 100_000;
        if fraction.is_multiple_of(PAISA) {
            let [tens, ones] = PAIRS[(fraction / PAISA) as usize];
            self.0.extend_from_slice(&[b'.', tens, ones]);
            if ones == b'0' {
                self.0.pop();
            }
            return;
        }
        let mut digits = [b'0'; 8];
        digits[0] = b'.';
        let mut rest = fraction;
        for digit in digits[1..].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        let len = digits.iter().rposition(|&digit| digit != b'0').unwrap_or(0) + 1;
        self.0.extend_from_slice(&digits[..len]);
    }
}

impl Writer for Json<'_> {
    fn open_map(&mut self, first: Key) -> OpenMap {
        self.0.push(b'{');
        self.raw(&first.json[1..]);
        OpenMap { at: 0, outer_fields: 0 }
    }

    fn key(&mut self, key: Key) {
        self.raw(key.json);
    }

    fn close_map(&mut self, _: OpenMap) {
        self.0.push(b'}');
    }

    fn open_array(&mut self, _: usize) {
        self.0.push(b'[');
    }

    fn item(&mut self, index: usize) {
        if index > 0 {
            self.0.push(b',');
        }
    }

    fn close_array(&mut self) {
        self.0.push(b']');
    }

    fn text(&mut self, text: &str) {
        self.0.push(b'"');
        let mut clean = 0;
        for (at, &byte) in text.as_bytes().iter().enumerate() {
            if byte >= 0x20 && byte != b'"' && byte != b'\\' {
                continue;
            }
            self.raw(&text[clean..at]);
            clean = at + 1;
            match byte {
                b'"' | b'\\' => self.0.extend_from_slice(&[b'\\', byte]),
                b'\n' => self.raw("\\n"),
                _ => {
                    self.raw("\\u00");
                    self.0.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
                }
            }
        }
        self.raw(&text[clean..]);
        self.0.push(b'"');
    }

    fn word(&mut self, word: &str) {
        self.0.push(b'"');
        self.raw(word);
        self.0.push(b'"');
    }

    fn unsigned(&mut self, value: u64) {
        self.raw(itoa::Buffer::new().format(value));
    }

    fn signed(&mut self, value: i64) {
        self.raw(itoa::Buffer::new().format(value));
    }

    fn double(&mut self, value: f64) {
        if value.is_finite() {
            self.raw(zmij::Buffer::new().format_finite(value));
        } else {
            self.null();
        }
    }

    fn price(&mut self, price: Price) {
        if price.raw() < 0 {
            self.0.push(b'-');
        }
        let magnitude = price.raw().unsigned_abs();
        let scale = Price::SCALE.unsigned_abs();
        self.unsigned(magnitude / scale);
        self.fraction((magnitude % scale) as u32);
    }

    fn boolean(&mut self, value: bool) {
        self.raw(if value { "true" } else { "false" });
    }

    fn null(&mut self) {
        self.raw("null");
    }
}
