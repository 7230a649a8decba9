//! MessagePack with the same fields: maps have text keys, prices are doubles.

use market_model::Price;

use crate::room::Room;
use crate::writer::{Key, OpenMap, Repeated, Writer};

/// Writes maps with a 16-bit length that is filled in when they close.
#[derive(Debug, Default)]
pub(crate) struct MessagePack {
    room: Room,
    /// Fields written so far in the innermost open map.
    fields: u16,
}

// === impl MessagePack ===

impl MessagePack {
    pub(crate) const fn after(bytes: Vec<u8>) -> Self {
        Self { room: Room::after(bytes), fields: 0 }
    }

    #[inline(always)]
    fn marked<const N: usize>(&mut self, marker: u8, big_endian: [u8; N]) {
        self.room.put(&[marker]);
        self.room.put(&big_endian);
    }

    #[inline]
    fn length(&mut self, fix: u8, fix_max: usize, marker16: u8, marker32: u8, len: usize) {
        match (u16::try_from(len), u32::try_from(len)) {
            _ if len <= fix_max => self.room.put(&[fix | len as u8]),
            (Ok(len), _) => self.marked(marker16, len.to_be_bytes()),
            (_, len) => self.marked(marker32, len.unwrap_or(u32::MAX).to_be_bytes()),
        }
    }
}

impl Writer for MessagePack {
    const TAIL: &'static str = "";

    fn room(&mut self) -> &mut Room {
        &mut self.room
    }

    #[inline]
    fn open_map(&mut self, first: Key) -> OpenMap {
        let map = OpenMap { at: self.room.position(), outer_fields: self.fields };
        self.fields = 0;
        self.marked(0xde, [0, 0]);
        self.key(first);
        map
    }

    #[inline]
    fn key(&mut self, key: Key) {
        self.fields += 1;
        self.word(key.name);
    }

    fn end_fields(&mut self, map: OpenMap) {
        self.room.patch(map.at + 1, self.fields.to_be_bytes());
        self.fields = map.outer_fields;
    }

    fn close_map(&mut self, map: OpenMap) {
        self.end_fields(map);
    }

    fn open_array(&mut self, len: usize) {
        self.length(0x90, 15, 0xdc, 0xdd, len);
    }

    fn item(&mut self, _: usize) {}

    fn close_array(&mut self) {}

    #[inline]
    fn text(&mut self, text: &str) {
        if let (32..=255, Ok(len)) = (text.len(), u8::try_from(text.len())) {
            self.marked(0xd9, [len]);
        } else {
            self.length(0xa0, 31, 0xda, 0xdb, text.len());
        }
        self.room.put(text.as_bytes());
    }

    #[inline]
    fn word(&mut self, word: &str) {
        self.text(word);
    }

    #[inline]
    fn unsigned(&mut self, value: u64) {
        match (u8::try_from(value), u16::try_from(value), u32::try_from(value)) {
            (Ok(value @ ..=0x7f), ..) => self.room.put(&[value]),
            (Ok(value), ..) => self.marked(0xcc, [value]),
            (_, Ok(value), _) => self.marked(0xcd, value.to_be_bytes()),
            (.., Ok(value)) => self.marked(0xce, value.to_be_bytes()),
            _ => self.marked(0xcf, value.to_be_bytes()),
        }
    }

    #[inline]
    fn signed(&mut self, value: i64) {
        match u64::try_from(value) {
            Ok(value) => self.unsigned(value),
            Err(_) => self.marked(0xd3, value.to_be_bytes()),
        }
    }

    #[inline]
    fn double(&mut self, value: f64) {
        if value.is_finite() {
            self.marked(0xcb, value.to_be_bytes());
        } else {
            self.null();
        }
    }

    fn repeated(&mut self, _: Repeated, value: f64) {
        self.double(value);
    }

    #[inline]
    fn price(&mut self, price: Price) {
        self.double(price.to_f64());
    }

    fn boolean(&mut self, value: bool) {
        self.room.put(&[if value { 0xc3 } else { 0xc2 }]);
    }

    fn null(&mut self) {
        self.room.put(&[0xc0]);
    }
}
