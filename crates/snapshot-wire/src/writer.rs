//! What an object is written with: one list of fields serves JSON and MessagePack.

use market_model::{DepthLevel, Price};

use crate::memo::{Carry, Memo};
use crate::target::{Piece, Target};

/// A field name with its spellings made at compile time.
#[derive(Clone, Copy)]
pub(crate) struct Key {
    /// Between quotes with a comma before and a colon after.
    pub(crate) json: &'static Piece,
    /// With the brace that opens the object instead of the comma.
    pub(crate) json_first: &'static Piece,
    /// As a MessagePack string.
    pub(crate) message_pack: &'static Piece,
}

/// Makes a [`Key`] from a literal that needs no escaping.
macro_rules! key {
    ($name:literal) => {
        $crate::writer::Key {
            json: const { &$crate::target::Piece::text(concat!(",\"", $name, "\":")) },
            json_first: const { &$crate::target::Piece::text(concat!("{\"", $name, "\":")) },
            message_pack: const { &$crate::target::Piece::packed($name) },
        }
    };
}
pub(crate) use key;

/// An object whose number of fields is known when it closes; give it back to [`Writer::close_map`] or
/// [`Writer::end_fields`].
pub(crate) struct OpenMap {
    pub(crate) at: usize,
    pub(crate) outer_fields: u16,
}

/// How payloads are written, whatever they are written to.
pub(crate) trait Format {
    type Writer<T: Target>: Writer<Target = T>;

    /// Whether ticks are arrays, written by [`positional`](crate::positional), instead of objects with names.
    const BY_POSITION: bool = false;
    /// Stands between the items of an array.
    const BETWEEN: &'static [u8];
    /// What closes an object, after [`Format::count_fields`].
    const END: &'static [u8];
    /// What closes the last array and the object around it, after [`Writer::end_fields`].
    const TAIL: &'static [u8];

    /// Writes to `target`, inside an object that has `fields` fields already.
    fn writer<T: Target>(target: T, fields: u16) -> Self::Writer<T>;
    /// Writes into the object that begins at `at` that it has `fields` fields.
    fn count_fields(target: &mut impl Target, at: usize, fields: u16);
}

/// A format under construction. Every value follows a key or an item mark.
pub(crate) trait Writer {
    type Target: Target;

    /// What was written to, and how many fields the innermost open object has.
    fn finish(self) -> (Self::Target, u16);

    /// Begins an object whose first field is `first`.
    fn open_map(&mut self, first: Key) -> OpenMap;
    fn key(&mut self, key: Key);
    /// No more fields follow, but the last one's array is still open.
    fn end_fields(&mut self, map: OpenMap);
    fn close_map(&mut self, map: OpenMap);
    /// Begins an object of exactly `len` fields, at most 15.
    fn open_short_map(&mut self, len: u8, first: Key) -> OpenMap;
    fn close_short_map(&mut self, map: OpenMap);
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
    /// UNIX seconds or nanoseconds.
    fn instant(&mut self, value: i64);
    /// A double to the last bit; one that is not finite becomes null.
    fn double(&mut self, value: f64);
    /// A finite double of a tick: to nine digits where digits cost.
    fn number(&mut self, value: f64);
    fn price(&mut self, price: Price);
    fn levels(&mut self, levels: &[DepthLevel; 5]);
    /// What all options of one expiry share, as the next fields of an open object.
    fn carry(&mut self, carry: &Carry, memo: &mut Memo);
    fn boolean(&mut self, value: bool);
    fn null(&mut self);
}
