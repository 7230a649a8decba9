//! What was really written to each ticker connection, whatever faults made of it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

use crate::faults::Who;

/// Connections that have ended and are still listed; the oldest go first.
const REMEMBERED: usize = 256;

/// What was written to one connection.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) who: Who,
    written: Mutex<Written>,
}

/// Counts of whole messages handed to the socket. What the network does with them is not known here.
#[derive(Debug, Clone, Default)]
pub(crate) struct Written {
    /// Binary messages with packets.
    pub(crate) frames: u64,
    /// Packets in them that a reader can make sense of.
    pub(crate) packets: u64,
    /// Frames that a fault has made unreadable from some place on, or longer than any may be.
    pub(crate) damaged_frames: u64,
    pub(crate) heartbeats: u64,
    pub(crate) texts: u64,
    pub(crate) pongs: u64,
    /// Payload bytes of all of them.
    pub(crate) bytes: u64,
    /// Packets by token.
    pub(crate) tokens: FxHashMap<u32, u64>,
    /// Why it ended.
    pub(crate) ended: Option<&'static str>,
}

/// The ledgers of open connections and of the latest ended ones.
#[derive(Debug, Default)]
pub(crate) struct Ledgers {
    shelves: Mutex<Shelves>,
}

#[derive(Debug, Default)]
struct Shelves {
    open: BTreeMap<u64, Arc<Ledger>>,
    ended: VecDeque<Arc<Ledger>>,
    /// Frames and packets of connections whose ledgers are thrown away.
    forgotten: (u64, u64),
}

// === impl Ledger ===

impl Ledger {
    pub(crate) fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Written ===

impl Written {
    /// Counts a frame of which the first `honest` bytes are as a reader expects them.
    pub(crate) fn frame(&mut self, bytes: &[u8], honest: usize) {
        self.frames += 1;
        self.bytes += bytes.len() as u64;
        self.damaged_frames += u64::from(honest < bytes.len());
        for packet in packets(&bytes[..honest.min(bytes.len())]) {
            if let Some(token) = token_of(packet) {
                self.packets += 1;
                *self.tokens.entry(token).or_default() += 1;
            }
        }
    }
}

/// The whole packets of a frame or of its beginning, known lengths or not.
pub(crate) fn packets(frame: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (count, mut rest) = match frame.split_first_chunk() {
        Some((count, rest)) => (u16::from_be_bytes(*count), rest),
        None => (0, frame),
    };
    (0..count).map_while(move |_| {
        let (len, after) = rest.split_first_chunk()?;
        let (packet, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        rest = after;
        Some(packet)
    })
}

/// The token of a packet of a known length.
pub(crate) fn token_of(packet: &[u8]) -> Option<u32> {
    let token = packet.first_chunk()?;
    matches!(packet.len(), 8 | 28 | 32 | 44 | 184).then(|| u32::from_be_bytes(*token))
}

// === impl Ledgers ===

impl Ledgers {
    /// Opens the ledger of a new connection.
    pub(crate) fn open(&self, who: Who) -> Arc<Ledger> {
        let number = who.number;
        let ledger = Arc::new(Ledger { who, written: Mutex::default() });
        self.shelves().open.insert(number, Arc::clone(&ledger));
        ledger
    }

    /// Puts the ledger of an ended connection away.
    pub(crate) fn close(&self, number: u64) {
        let mut shelves = self.shelves();
        let Some(ledger) = shelves.open.remove(&number) else { return };
        ledger.written().ended.get_or_insert("cut");
        if shelves.ended.len() == REMEMBERED
            && let Some(oldest) = shelves.ended.pop_front()
        {
            let written = oldest.written();
            shelves.forgotten.0 += written.frames;
            shelves.forgotten.1 += written.packets;
        }
        shelves.ended.push_back(ledger);
    }

    /// Ended ones first, each sort oldest first.
    pub(crate) fn all(&self) -> Vec<Arc<Ledger>> {
        let shelves = self.shelves();
        shelves.ended.iter().chain(shelves.open.values()).cloned().collect()
    }

    pub(crate) fn get(&self, number: u64) -> Option<Arc<Ledger>> {
        let shelves = self.shelves();
        let ended = || shelves.ended.iter().find(|ledger| ledger.who.number == number);
        shelves.open.get(&number).or_else(ended).cloned()
    }

    /// Frames and packets since the start.
    pub(crate) fn totals(&self) -> (u64, u64) {
        let shelves = self.shelves();
        let ledgers = shelves.ended.iter().chain(shelves.open.values());
        ledgers.fold(shelves.forgotten, |(frames, packets), ledger| {
            let written = ledger.written();
            (frames + written.frames, packets + written.packets)
        })
    }

    fn shelves(&self) -> MutexGuard<'_, Shelves> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(packets: &[&[u8]]) -> Vec<u8> {
        let mut builder = kite_wire::FrameBuilder::new();
        for packet in packets {
            builder.push_raw(packet).unwrap();
        }
        builder.finish()
    }

    #[test]
    fn only_what_a_reader_can_make_sense_of_is_counted() {
        let (one, two) = ([0, 0, 0, 1, 9, 9, 9, 9], [0, 0, 0, 2, 9, 9, 9, 9]);
        let bytes = frame(&[&one, &[7; 77], &two, &one]);
        let mut written = Written::default();
        written.frame(&bytes, bytes.len());
        assert_eq!((written.frames, written.packets, written.damaged_frames), (1, 3, 0));
        assert_eq!((written.tokens[&1], written.tokens[&2]), (2, 1));
        written.frame(&bytes, bytes.len() - 1);
        assert_eq!((written.frames, written.packets, written.damaged_frames), (2, 5, 1));
    }

    #[test]
    fn ledgers_of_ended_connections_are_bounded_and_totals_are_not_lost() {
        let ledgers = Ledgers::default();
        let bytes = frame(&[&[0, 0, 0, 1, 9, 9, 9, 9]]);
        for number in 0..2 * REMEMBERED as u64 {
            let ledger = ledgers.open(Who { number, api_key: "k".into() });
            ledger.written().frame(&bytes, bytes.len());
            ledgers.close(number);
        }
        assert_eq!(ledgers.all().len(), REMEMBERED);
        assert_eq!(ledgers.totals(), (512, 512));
        assert!(ledgers.get(0).is_none());
        assert_eq!(ledgers.get(511).unwrap().written().ended, Some("cut"));
    }
}
