//! Which topic an instrument belongs to.

use market_model::{InstrumentCatalog, InstrumentKind, InstrumentSlot};

use crate::enrich::has_derivatives;
use crate::snapshot::{Topic, TopicKind};

// === impl Topic ===

impl Topic {
    /// The topic that snapshots of the instrument at `slot` are published under.
    pub fn of(catalog: &InstrumentCatalog, slot: InstrumentSlot) -> Self {
        let instrument = catalog.get(slot);
        let underlying = catalog.underlying(catalog.underlying_of(slot));
        let kind = match &instrument.kind {
            InstrumentKind::Option { .. } => TopicKind::Options,
            InstrumentKind::Future { .. } => TopicKind::Futures,
            InstrumentKind::Index => TopicKind::Underlying,
            _ if has_derivatives(underlying) => TopicKind::Underlying,
            _ => TopicKind::Equity,
        };
        Self { exchange: instrument.exchange.as_str().into(), underlying: (*underlying.name).into(), kind }
    }
}
