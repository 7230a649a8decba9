//! JSON by hand: no intermediate values, no allocation beyond the target.

use market_model::{DepthLevel, Price};

use crate::digits::{Text, put_hundredths, put_instant, put_nine_digits, put_signed, put_unsigned, shortest};
use crate::memo::{Carry, Memo};
use crate::target::{Piece, Target};
use crate::writer::{Format, Key, OpenMap, Writer};

/// The format.
pub(crate) enum Json {}

/// Text of the format in `T`.
pub(crate) struct JsonWriter<T>(T);

const HEX: &[u8; 16] = b"0123456789abcdef";

/// The longest price: `-922337203685.4775808`.
const PRICE: usize = 24;

// === impl Json ===

impl Format for Json {
    type Writer<T: Target> = JsonWriter<T>;

    const BETWEEN: &'static [u8] = b",";
    const END: &'static [u8] = b"}";
    const TAIL: &'static [u8] = b"]}";

    #[inline(always)]
    fn writer<T: Target>(target: T, _: u16) -> JsonWriter<T> {
        JsonWriter(target)
    }

    fn count_fields(_: &mut impl Target, _: usize, _: u16) {}
}

// === impl JsonWriter ===

impl<T: Target> JsonWriter<T> {
    #[inline(always)]
    fn raw(&mut self, piece: &Piece) {
        self.0.put_piece(piece);
    }
}

macro_rules! piece {
    ($text:literal) => {
        const { &Piece::text($text) }
    };
}

/// A price that is negative, above a million or finer than a paisa, without trailing zeros.
#[inline(never)]
fn long_price(price: Price) -> Text<PRICE> {
    let magnitude = price.raw().unsigned_abs();
    let scale = Price::SCALE.unsigned_abs();
    let mut digits = [b'0'; PRICE];
    let (mut whole, mut fraction) = (magnitude / scale, magnitude % scale);
    let mut end = PRICE;
    for at in (PRICE - 7..PRICE).rev() {
        digits[at] += (fraction % 10) as u8;
        fraction /= 10;
        if digits[at] == b'0' && end == at + 1 && at > PRICE - 7 {
            end = at;
        }
    }
    let mut start = PRICE - 8;
    digits[start] = b'.';
    loop {
        start -= 1;
        digits[start] = b'0' + (whole % 10) as u8;
        whole /= 10;
        if whole == 0 {
            break;
        }
    }
    if price.raw() < 0 {
        start -= 1;
        digits[start] = b'-';
    }
    digits.copy_within(start..end, 0);
    (digits, end - start)
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

impl<T: Target> Writer for JsonWriter<T> {
    type Target = T;

    #[inline(always)]
    fn finish(self) -> (T, u16) {
        (self.0, 0)
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
        self.raw(piece!("}"));
    }

    #[inline(always)]
    fn open_short_map(&mut self, _: u8, first: Key) -> OpenMap {
        self.open_map(first)
    }

    #[inline(always)]
    fn close_short_map(&mut self, map: OpenMap) {
        self.close_map(map);
    }

    #[inline(always)]
    fn open_array(&mut self, _: usize) {
        self.raw(piece!("["));
    }

    #[inline(always)]
    fn item(&mut self, index: usize) {
        if index > 0 {
            self.raw(piece!(","));
        }
    }

    #[inline(always)]
    fn close_array(&mut self) {
        self.raw(piece!("]"));
    }

    fn text(&mut self, text: &str) {
        self.raw(piece!("\""));
        if text.bytes().any(needs_escape) {
            self.0.put(escaped(text).as_bytes());
        } else {
            self.0.put(text.as_bytes());
        }
        self.raw(piece!("\""));
    }

    #[inline(always)]
    fn word(&mut self, word: &str) {
        self.raw(piece!("\""));
        self.0.put_word(word);
        self.raw(piece!("\""));
    }

    #[inline(always)]
    fn unsigned(&mut self, value: u64) {
        put_unsigned(&mut self.0, value);
    }

    #[inline(always)]
    fn signed(&mut self, value: i64) {
        put_signed(&mut self.0, value);
    }

    #[inline(always)]
    fn instant(&mut self, value: i64) {
        put_instant(&mut self.0, value);
    }

    #[inline(always)]
    fn double(&mut self, value: f64) {
        if value.is_finite() {
            let (text, used) = shortest(value);
            self.0.put_padded(text, used);
        } else {
            self.null();
        }
    }

    #[inline(always)]
    fn number(&mut self, value: f64) {
        put_nine_digits(&mut self.0, value);
    }

    #[inline(always)]
    fn price(&mut self, price: Price) {
        const PAISA: u64 = Price::SCALE.unsigned_abs() / 100;
        // Below zero it is a huge number here.
        let raw = price.raw().cast_unsigned();
        let paise = raw / PAISA;
        if paise < 100_000_000 && paise * PAISA == raw {
            put_hundredths(&mut self.0, paise as u32);
        } else {
            let (text, used) = long_price(price);
            self.0.put_padded(text, used);
        }
    }

    #[inline(always)]
    fn levels(&mut self, levels: &[DepthLevel; 5]) {
        self.raw(piece!("[{\"quantity\":"));
        for (index, level) in levels.iter().enumerate() {
            if index > 0 {
                self.raw(piece!("},{\"quantity\":"));
            }
            put_unsigned(&mut self.0, u64::from(level.quantity));
            self.raw(piece!(",\"price\":"));
            self.price(level.price);
            self.raw(piece!(",\"orders\":"));
            put_unsigned(&mut self.0, u64::from(level.orders));
        }
        self.raw(piece!("}]"));
    }

    #[inline(always)]
    fn carry(&mut self, carry: &Carry, memo: &mut Memo) {
        let (text, used) = memo.text_of::<Json>(carry);
        self.0.put_padded(*text, used);
    }

    #[inline(always)]
    fn boolean(&mut self, value: bool) {
        self.raw(if value { piece!("true") } else { piece!("false") });
    }

    #[inline(always)]
    fn null(&mut self) {
        self.raw(piece!("null"));
    }
}
