//! What an object is written with: one list of fields serves JSON and MessagePack.

use market_model::Price;

use crate::room::Room;

/// A field name with its JSON spellings made at compile time.
#[derive(Clone, Copy)]
pub(crate) struct Key {
    /// Between quotes with a comma before and a colon after.
    pub(crate) json: &'static str,
    /// With the brace that opens the object instead of the comma.
    pub(crate) json_first: &'static str,
    pub(crate) name: &'static str,
}

/// Makes a [`Key`] from a literal that needs no escaping.
macro_rules! key {
    ($name:literal) => {
        $crate::writer::Key {
            json: concat!(",\"", $name, "\":"),
            json_first: concat!("{\"", $name, "\":"),
            name: $name,
        }
    };
}
pub(crate) use key;

/// Where an open object began; give it back to [`Writer::close_map`] or [`Writer::end_fields`].
pub(crate) struct OpenMap {
    pub(crate) at: usize,
    pub(crate) outer_fields: u16,
}

/// Doubles that are usually the same for many ticks in a row, so that their text is worth keeping.
#[derive(Clone, Copy)]
pub(crate) enum Repeated {
    Forward,
    Rate,
    Years,
}

/// A format under construction. Every value follows a key or an item mark.
pub(crate) trait Writer: Default {
    /// What closes the last array and the object around it, after [`Writer::end_fields`].
    const TAIL: &'static str;

    fn room(&mut self) -> &mut Room;
    /// Begins an object whose first field is `first`.
    fn open_map(&mut self, first: Key) -> OpenMap;
    fn key(&mut self, key: Key);
    /// No more fields follow, but the last one's array is still open.
    fn end_fields(&mut self, map: OpenMap);
    fn close_map(&mut self, map: OpenMap);
    /// Begins an array of exactly `len` items.
    fn open_array(&mut self, len: usize);
    /// Stands before item number `index` of an array.
    fn item(&mut self, index: usize);
    fn close_array(&mut self);

    /// Text that may need escaping.
    fn text(&mut self, text: &str);
    /// Text known to need no escaping.
    fn word(&mut self, word: &str);
    fn unsigned(&mut self, value: u64);
    fn signed(&mut self, value: i64);
    /// A finite double; anything else becomes null.
    fn double(&mut self, value: f64);
    /// As [`Writer::double`].
    fn repeated(&mut self, which: Repeated, value: f64);
    fn price(&mut self, price: Price);
    fn boolean(&mut self, value: bool);
    fn null(&mut self);
}

// === impl Repeated ===

impl Repeated {
    pub(crate) const COUNT: usize = 3;
}
