//! What a catalog says of an instrument, as the bytes that columns of text share.

use std::sync::Arc;

use bytes::Bytes;
use market_model::{Instrument, InstrumentCatalog, InstrumentKind, InstrumentSlot, Price};

use crate::table::Row;

/// The columns of one instrument that do not change from tick to tick.
#[derive(Debug, Clone)]
struct Label {
    symbol: Bytes,
    exchange: Bytes,
    underlying: Option<Bytes>,
    expiry: Option<i32>,
    strike: Option<Price>,
    side: Option<&'static str>,
}

/// Labels of the catalog that was seen last, each made when its instrument first ticks.
#[derive(Debug, Default)]
pub(crate) struct Labels {
    catalog: Option<Arc<InstrumentCatalog>>,
    by_slot: Vec<Option<Label>>,
}

// === impl Labels ===

impl Labels {
    /// Changes over to `catalog` unless it is the same already.
    pub(crate) fn follow(&mut self, catalog: &Arc<InstrumentCatalog>) {
        if !self.catalog.as_ref().is_some_and(|known| Arc::ptr_eq(known, catalog)) {
            self.by_slot = vec![None; catalog.len()];
            self.catalog = Some(catalog.clone());
        }
    }

    /// Fills the columns from `tradingsymbol` to `option_type`.
    pub(crate) fn fill(&mut self, slot: Option<InstrumentSlot>, row: &mut Row<'_>) {
        let label = slot.zip(self.catalog.as_ref()).and_then(|(slot, catalog)| {
            let label = self.by_slot.get_mut(slot.index())?;
            Some(&*label.get_or_insert_with(|| Label::of(catalog.get(slot))))
        });
        row.maybe_text(label.map(|label| &label.symbol));
        row.maybe_text(label.map(|label| &label.exchange));
        row.maybe_text(label.and_then(|label| label.underlying.as_ref()));
        row.maybe_day(label.and_then(|label| label.expiry));
        row.maybe_price(label.and_then(|label| label.strike));
        row.maybe_word(label.and_then(|label| label.side));
    }
}

// === impl Label ===

impl Label {
    fn of(instrument: &Instrument) -> Self {
        let text = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let (strike, side) = match &instrument.kind {
            InstrumentKind::Option { strike, side, .. } => (Some(*strike), Some(side.as_str())),
            _ => (None, None),
        };
        let epoch = jiff::civil::date(1970, 1, 1);
        let expiry = instrument.expiry().map(|expiry| (expiry.date - epoch).get_days());
        Self {
            symbol: text(&instrument.tradingsymbol),
            exchange: text(instrument.exchange.as_str()),
            underlying: expiry.map(|_| text(&instrument.name)),
            expiry,
            strike,
            side,
        }
    }
}
