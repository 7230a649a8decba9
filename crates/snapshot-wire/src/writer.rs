//! What an object is written with: one list of fields serves JSON and MessagePack.

use market_model::Price;

/// A field name with its JSON spelling made at compile time.
#[derive(Clone, Copy)]
pub(crate) struct Key {
    /// The name between quotes with a comma before and a colon after.
    pub(crate) json: &'static str,
    pub(crate) name: &'static str,
}

/// Makes a [`Key`] from a literal that needs no escaping.
macro_rules! key {
    ($name:literal) => {
        $crate::writer::Key { json: concat!(",\"", $name, "\":"), name: $name }
    };
}
pub(crate) use key;

/// Where an open object began; give it back to [`Writer::close_map`].
pub(crate) struct OpenMap {
    pub(crate) at: usize,
    pub(crate) outer_fields: u16,
}

/// A format under construction. Every value follows a key or an item mark.
pub(crate) trait Writer {
    /// Begins an object whose first field is `first`.
    fn open_map(&mut self, first: Key) -> OpenMap;
    fn key(&mut self, key: Key);
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
    fn price(&mut self, price: Price);
    fn boolean(&mut self, value: bool);
    fn null(&mut self);
}
