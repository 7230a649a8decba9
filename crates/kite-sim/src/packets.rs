//! Packets of the present moment, priced and encoded once however many connections want them.

use kite_wire::encode_packet;
use market_model::{Mode, Tick};

use crate::listing::Slot;
use crate::market::{Market, in_mode};

/// Packets of one moment; [`Packets::begin`] starts the next.
#[derive(Debug, Default)]
pub(crate) struct Packets {
    moment: u64,
    entries: Vec<Entry>,
    bytes: Vec<u8>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    moment: u64,
    tick: Option<Tick>,
    /// Where the packet of each mode lies in the bytes; empty when not made.
    at: [(u32, u32); 3],
}

// === impl Packets ===

impl Packets {
    /// Forgets every packet. `instruments` is how many slots there are.
    pub(crate) fn begin(&mut self, instruments: usize) {
        self.moment += 1;
        self.bytes.clear();
        self.entries.resize(instruments, Entry::default());
    }

    /// Number of the present moment.
    pub(crate) const fn moment(&self) -> u64 {
        self.moment
    }

    /// The packet of `slot` in `mode` at the market's moment. Empty when it cannot be put on the wire.
    pub(crate) fn get(&mut self, market: &mut Market, slot: Slot, mode: Mode) -> &[u8] {
        let entry = &mut self.entries[slot.index()];
        if entry.moment != self.moment {
            *entry = Entry { moment: self.moment, ..Entry::default() };
        }
        let column = mode as usize;
        if entry.at[column].1 == 0 {
            let full = *entry.tick.get_or_insert_with(|| market.tick(slot));
            let tick = in_mode(&full, mode);
            let start = self.bytes.len();
            if let Err(error) = encode_packet(&tick, &mut self.bytes) {
                tracing::error!(%error, "tick not sent");
            }
            entry.at[column] = (start as u32, (self.bytes.len() - start) as u32);
        }
        let (start, len) = entry.at[column];
        &self.bytes[start as usize..(start + len) as usize]
    }
}
