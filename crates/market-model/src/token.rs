//! Kite's numeric name of an instrument.

use std::fmt;

/// Kite's `instrument_token`: the exchange's own token times 256 plus a segment byte.
///
/// Trust the number as a whole; the dump has rows in which the exchange part does not agree. Tokens are reused
/// after expiry, so store history under (exchange, tradingsymbol), never under this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct InstrumentToken(pub u32);

impl InstrumentToken {
    /// The low byte, which names the exchange segment and with it the price divisor of the ticker protocol
    /// (1 NSE, 2 NFO, 3 CDS, 4 BSE, 5 BFO, 6 BCD, 7 MCX, 8 MCX-SX, 9 indices, 12 NCO).
    pub const fn segment_byte(self) -> u8 {
        (self.0 & 0xff) as u8
    }

    /// Whether the segment byte says index: such a token has no depth, no volume and cannot be traded.
    pub const fn is_index(self) -> bool {
        self.segment_byte() == 9
    }
}

impl fmt::Display for InstrumentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
