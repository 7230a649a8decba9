//! JSON by hand: no intermediate values, no allocation beyond the reused buffer.

use market_model::Price;

use crate::digits::put_unsigned;
use crate::room::Room;
use crate::writer::{Key, OpenMap, Repeated, Writer};

/// The longest double: `-2.2250738585072014e-308`.
const DOUBLE: usize = 24;

#[derive(Debug, Default)]
pub(crate) struct Json {
    room: Room,
    /// Text of the newest double of each [`Repeated`].
    memos: Option<Box<[Memo; Repeated::COUNT]>>,
}

/// A double and its text.
#[derive(Debug, Clone, Copy)]
struct Memo {
    bits: u64,
    text: [u8; DOUBLE],
    len: usize,
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// `.0` to `.99`, shortest form, with its length.
const HUNDREDTHS: [([u8; 4], u8); 100] = {
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

// === impl Json ===

impl Json {
    pub(crate) fn after(bytes: Vec<u8>) -> Self {
        Self { room: Room::after(bytes), ..Self::default() }
    }

    #[inline(always)]
    fn raw(&mut self, text: &str) {
        self.room.put(text.as_bytes());
    }
}

/// The fraction of a price in units of 1e-7 rupee that is not a whole number of paise, without trailing zeros.
fn fine_fraction(fraction: u32) -> ([u8; 8], usize) {
    let mut digits = [b'.'; 8];
    let mut rest = fraction;
    for digit in digits[1..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    (digits, digits.iter().rposition(|&digit| digit != b'0').unwrap_or(0) + 1)
}

/// `text` with its quotes, backslashes and control characters escaped. Rare enough to allocate.
#[cold]
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            '\0'..='\x1f' => {
                let byte = character as usize;
                out.push_str("\\u00");
                out.extend([HEX[byte >> 4], HEX[byte & 15]].map(char::from));
            }
            _ => out.push(character),
        }
    }
    out
}

const fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

impl Writer for Json {
    const TAIL: &'static str = "]}";

    fn room(&mut self) -> &mut Room {
        &mut self.room
    }

    #[inline(always)]
    fn open_map(&mut self, first: Key) -> OpenMap {
        self.raw(first.json_first);
        OpenMap { at: 0, outer_fields: 0 }
    }

    #[inline(always)]
    fn key(&mut self, key: Key) {
        self.raw(key.json);
    }

    fn end_fields(&mut self, _: OpenMap) {}

    #[inline(always)]
    fn close_map(&mut self, _: OpenMap) {
        self.raw("}");
    }

    #[inline(always)]
    fn open_array(&mut self, _: usize) {
        self.raw("[");
    }

    #[inline(always)]
    fn item(&mut self, index: usize) {
        if index > 0 {
            self.raw(",");
        }
    }

    #[inline(always)]
    fn close_array(&mut self) {
        self.raw("]");
    }

    #[inline(always)]
    fn text(&mut self, text: &str) {
        self.raw("\"");
        if text.bytes().any(needs_escape) {
            self.raw(&escaped(text));
        } else {
            self.raw(text);
        }
        self.raw("\"");
    }

    #[inline(always)]
    fn word(&mut self, word: &str) {
        self.raw("\"");
        self.raw(word);
        self.raw("\"");
    }

    #[inline(always)]
    fn unsigned(&mut self, value: u64) {
        put_unsigned(&mut self.room, value);
    }

    #[inline(always)]
    fn signed(&mut self, value: i64) {
        if value < 0 {
            self.raw("-");
        }
        self.unsigned(value.unsigned_abs());
    }

    #[inline(always)]
    fn double(&mut self, value: f64) {
        if value.is_finite() {
            self.raw(zmij::Buffer::new().format_finite(value));
        } else {
            self.null();
        }
    }

    #[inline(always)]
    fn repeated(&mut self, which: Repeated, value: f64) {
        let memo = &mut self.memos.get_or_insert_default()[which as usize];
        if memo.bits != value.to_bits() {
            *memo = Memo::of(value);
        }
        self.room.put_padded(memo.text, memo.len);
    }

    #[inline(always)]
    fn price(&mut self, price: Price) {
        const PAISA: u64 = Price::SCALE.unsigned_abs() / 100;
        if price.raw() < 0 {
            self.raw("-");
        }
        let magnitude = price.raw().unsigned_abs();
        let (paise, finer) = (magnitude / PAISA, magnitude % PAISA);
        self.unsigned(paise / 100);
        if finer == 0 {
            let (text, used) = HUNDREDTHS[(paise % 100) as usize];
            self.room.put_padded(text, usize::from(used));
        } else {
            let (text, used) = fine_fraction((magnitude % Price::SCALE.unsigned_abs()) as u32);
            self.room.put_padded(text, used);
        }
    }

    #[inline(always)]
    fn boolean(&mut self, value: bool) {
        self.raw(if value { "true" } else { "false" });
    }

    #[inline(always)]
    fn null(&mut self) {
        self.raw("null");
    }
}

impl Memo {
    fn of(value: f64) -> Self {
        let mut buffer = zmij::Buffer::new();
        let written = if value.is_finite() { buffer.format_finite(value) } else { "null" };
        let len = written.len().min(DOUBLE);
        let mut text = [0; DOUBLE];
        text[..len].copy_from_slice(&written.as_bytes()[..len]);
        Self { bits: value.to_bits(), text, len }
    }
}

impl Default for Memo {
    fn default() -> Self {
        Self::of(0.0)
    }
}
