//! MessagePack with the same fields: maps have text keys, prices are doubles.

use market_model::{DepthLevel, Price};

use crate::memo::{Carry, Memo};
use crate::target::Target;
use crate::writer::{Format, Key, OpenMap, Writer, key};

/// The format.
pub(crate) enum MessagePack {}

/// Values of the format in `T`. Maps have a 16-bit length that is filled in when they close.
pub(crate) struct MessagePackWriter<T> {
    target: T,
    /// Fields written so far in the innermost open map.
    fields: u16,
}

/// Marker of an unsigned number by how many of its bits count, and how many bytes follow it.
const UNSIGNED: [(u8, u8); 65] = {
    let mut markers = [(0, 0); 65];
    let mut bits = 8;
    while bits < markers.len() {
        markers[bits] = match bits {
            ..=8 => (0xcc, 1),
            9..=16 => (0xcd, 2),
            17..=32 => (0xce, 4),
            _ => (0xcf, 8),
        };
        bits += 1;
    }
    markers
};

// === impl MessagePack ===

impl Format for MessagePack {
    type Writer<T: Target> = MessagePackWriter<T>;

    const BETWEEN: &'static [u8] = b"";
    const END: &'static [u8] = b"";
    const TAIL: &'static [u8] = b"";

    #[inline(always)]
    fn writer<T: Target>(target: T, fields: u16) -> MessagePackWriter<T> {
        MessagePackWriter::new(target, fields)
    }

    fn count_fields(target: &mut impl Target, at: usize, fields: u16) {
        target.patch(at + 1, fields.to_be_bytes());
    }
}

// === impl MessagePackWriter ===

impl<T: Target> MessagePackWriter<T> {
    #[inline(always)]
    pub(crate) fn new(target: T, fields: u16) -> Self {
        Self { target, fields }
    }

    #[inline(always)]
    fn marked<const N: usize>(&mut self, marker: u8, big_endian: [u8; N]) {
        self.target.put_padded([marker], 1);
        self.target.put_padded(big_endian, N);
    }

    #[inline(always)]
    fn length(&mut self, fix: u8, fix_max: usize, marker16: u8, marker32: u8, len: usize) {
        match (u16::try_from(len), u32::try_from(len)) {
            _ if len <= fix_max => self.target.put_padded([fix | len as u8], 1),
            (Ok(len), _) => self.marked(marker16, len.to_be_bytes()),
            (_, len) => self.marked(marker32, len.unwrap_or(u32::MAX).to_be_bytes()),
        }
    }
}

impl<T: Target> Writer for MessagePackWriter<T> {
    type Target = T;

    #[inline(always)]
    fn finish(self) -> (T, u16) {
        (self.target, self.fields)
    }

    #[inline(always)]
    fn open_map(&mut self, first: Key) -> OpenMap {
        let map = OpenMap { at: self.target.position(), outer_fields: self.fields };
        self.fields = 0;
        self.marked(0xde, [0, 0]);
        self.key(first);
        map
    }

    #[inline(always)]
    fn key(&mut self, key: Key) {
        self.fields += 1;
        self.target.put_piece(key.message_pack);
    }

    #[inline(always)]
    fn end_fields(&mut self, map: OpenMap) {
        MessagePack::count_fields(&mut self.target, map.at, self.fields);
        self.fields = map.outer_fields;
    }

    #[inline(always)]
    fn close_map(&mut self, map: OpenMap) {
        self.end_fields(map);
    }

    #[inline(always)]
    fn open_short_map(&mut self, len: u8, first: Key) -> OpenMap {
        let map = OpenMap { at: self.target.position(), outer_fields: self.fields };
        self.target.put_padded([0x80 | len], 1);
        self.key(first);
        map
    }

    #[inline(always)]
    fn close_short_map(&mut self, map: OpenMap) {
        self.fields = map.outer_fields;
    }

    #[inline(always)]
    fn open_array(&mut self, len: usize) {
        self.length(0x90, 15, 0xdc, 0xdd, len);
    }

    fn item(&mut self, _: usize) {}

    fn close_array(&mut self) {}

    fn text(&mut self, text: &str) {
        if let (32..=255, Ok(len)) = (text.len(), u8::try_from(text.len())) {
            self.marked(0xd9, [len]);
        } else {
            self.length(0xa0, 31, 0xda, 0xdb, text.len());
        }
        self.target.put(text.as_bytes());
    }

    #[inline(always)]
    fn word(&mut self, word: &str) {
        debug_assert!(word.len() < 32);
        self.target.put_padded([0xa0 | word.len() as u8], 1);
        self.target.put_word(word);
    }

    #[inline(always)]
    fn unsigned(&mut self, value: u64) {
        let bits = 64 - value.leading_zeros();
        let (marker, len) = UNSIGNED[bits as usize];
        let marker = if bits < 8 { value as u8 } else { marker };
        self.target.put_padded([marker], 1);
        // The low `len` bytes first; none of them counts when the marker is the number.
        let rest = value.wrapping_shl(64 - 8 * u32::from(len));
        self.target.put_padded(rest.to_be_bytes(), usize::from(len));
    }

    #[inline(always)]
    fn signed(&mut self, value: i64) {
        match u64::try_from(value) {
            Ok(value) => self.unsigned(value),
            Err(_) => self.marked(0xd3, value.to_be_bytes()),
        }
    }

    #[inline(always)]
    fn instant(&mut self, value: i64) {
        self.signed(value);
    }

    #[inline(always)]
    fn double(&mut self, value: f64) {
        if value.is_finite() {
            self.number(value);
        } else {
            self.null();
        }
    }

    #[inline(always)]
    fn number(&mut self, value: f64) {
        self.marked(0xcb, value.to_be_bytes());
    }

    #[inline(always)]
    fn price(&mut self, price: Price) {
        self.number(price.to_f64());
    }

    #[inline(always)]
    fn levels(&mut self, levels: &[DepthLevel; 5]) {
        let prices = levels.map(|level| level.price.to_f64());
        self.open_array(levels.len());
        for (level, price) in levels.iter().zip(prices) {
            let map = self.open_short_map(3, key!("quantity"));
            self.unsigned(u64::from(level.quantity));
            self.key(key!("price"));
            self.number(price);
            self.key(key!("orders"));
            self.unsigned(u64::from(level.orders));
            self.close_short_map(map);
        }
        self.close_array();
    }

    #[inline(always)]
    fn carry(&mut self, carry: &Carry, _: &mut Memo) {
        carry.write(self);
    }

    #[inline(always)]
    fn boolean(&mut self, value: bool) {
        self.target.put_padded([if value { 0xc3 } else { 0xc2 }], 1);
    }

    #[inline(always)]
    fn null(&mut self) {
        self.target.put_padded([0xc0], 1);
    }
}
