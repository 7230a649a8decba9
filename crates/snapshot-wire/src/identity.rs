//! The part of a tick that never changes, the names of its instrument, kept as it is written.

use std::sync::Arc;

use market_model::{Instrument, InstrumentCatalog, InstrumentKind, InstrumentSlot, InstrumentToken};
use rustc_hash::FxHashMap;
use tick_pipeline::Snapshot;

use crate::positional;
use crate::target::Sheet;
use crate::writer::{Format, Writer, key};

/// The names of every instrument of one catalog that was written so far: at most one entry per instrument.
#[derive(Debug, Default)]
pub(crate) struct Identities {
    catalog: Option<Arc<InstrumentCatalog>>,
    entries: FxHashMap<InstrumentSlot, Identity>,
    bytes: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Identity {
    token: InstrumentToken,
    start: usize,
    end: usize,
    /// How many fields they are.
    fields: u16,
}

// === impl Identities ===

impl Identities {
    /// Goes on with `catalog`; the names of another are forgotten.
    pub(crate) fn of_catalog(&mut self, catalog: &Arc<InstrumentCatalog>) {
        if !self.catalog.as_ref().is_some_and(|mine| Arc::ptr_eq(mine, catalog)) {
            *self = Self { catalog: Some(catalog.clone()), ..Self::default() };
        }
    }

    /// Reads once what the names of `snapshots` will need, so that the waits for memory overlap instead of adding up.
    pub(crate) fn fetch(&self, snapshots: &[Snapshot]) {
        const LINE: usize = 64;
        let mut seen = 0;
        for known in snapshots.iter().filter_map(|snapshot| self.entries.get(&snapshot.slot)) {
            let lines = (known.start..known.end).step_by(LINE).chain([known.end - 1]);
            seen |= lines.filter_map(|at| self.bytes.get(at)).fold(0, |seen, byte| seen | byte);
        }
        std::hint::black_box(seen);
    }

    /// Begins a tick in `out`; answers how many fields it has by now.
    #[inline]
    pub(crate) fn begin_tick<F: Format>(
        &mut self,
        slot: InstrumentSlot,
        token: InstrumentToken,
        out: &mut Sheet,
    ) -> u16 {
        if let Some(known) = self.entries.get(&slot).filter(|known| known.token == token)
            && let Some(bytes) = self.bytes.get(known.start..known.end)
        {
            out.put(bytes);
            return known.fields;
        }
        self.add::<F>(slot, token, out)
    }

    #[cold]
    fn add<F: Format>(&mut self, slot: InstrumentSlot, token: InstrumentToken, out: &mut Sheet) -> u16 {
        let instrument = self.catalog.as_deref().and_then(|catalog| catalog.instruments().get(slot.index()));
        let mut writer = F::writer(Vec::new(), 0);
        if F::BY_POSITION {
            positional::write_identity(&mut writer, token, instrument);
        } else {
            writer.open_map(key!("instrument_token"));
            writer.unsigned(u64::from(token.0));
            if let Some(instrument) = instrument {
                write_instrument(&mut writer, instrument);
            }
        }
        let (bytes, fields) = writer.finish();
        out.put(&bytes);
        if instrument.is_some_and(|instrument| instrument.token == token) {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(&bytes);
            self.entries.insert(slot, Identity { token, start, end: self.bytes.len(), fields });
        }
        fields
    }
}

fn write_instrument(out: &mut impl Writer, instrument: &Instrument) {
    out.key(key!("tradingsymbol"));
    out.text(&instrument.tradingsymbol);
    out.key(key!("exchange"));
    out.text(instrument.exchange.as_str());
    let Some(expiry) = instrument.expiry() else {
        return;
    };
    out.key(key!("underlying"));
    out.text(&instrument.name);
    out.key(key!("expiry"));
    out.text(&expiry.date.to_string());
    if let InstrumentKind::Option { strike, side, .. } = &instrument.kind {
        out.key(key!("strike"));
        out.price(*strike);
        out.key(key!("option_type"));
        out.word(side.as_str());
    }
}
