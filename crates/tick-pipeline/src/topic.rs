//! Which topic an instrument belongs to.

use market_model::{InstrumentCatalog, InstrumentKind, InstrumentSlot};

use crate::enrich::has_derivatives;
use crate::snapshot::{CASH, Topic, TopicKind};

/// How shares without derivatives are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum EquityTopics {
    /// All shares of an exchange in one topic, whose underlying is [`CASH`]: thousands of shares that tick now and
    /// then make full batches instead of thousands of small ones.
    #[default]
    Shared,
    /// Each share in a topic of its own, by its symbol.
    PerSymbol,
}

// === impl Topic ===

impl Topic {
    /// The topic that snapshots of the instrument at `slot` are published under.
    pub fn of(catalog: &InstrumentCatalog, slot: InstrumentSlot, equity: EquityTopics) -> Self {
        let instrument = catalog.get(slot);
        let underlying = catalog.underlying(catalog.underlying_of(slot));
        let kind = match &instrument.kind {
            InstrumentKind::Option { .. } => TopicKind::Options,
            InstrumentKind::Future { .. } => TopicKind::Futures,
            InstrumentKind::Index => TopicKind::Underlying,
            _ if has_derivatives(underlying) => TopicKind::Underlying,
            _ => TopicKind::Equity,
        };
        let underlying = match (kind, equity) {
            (TopicKind::Equity, EquityTopics::Shared) => CASH,
            _ => &*underlying.name,
        };
        Self { exchange: instrument.exchange.as_str().into(), underlying: underlying.into(), kind }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FUTURE, INDEX, SHARE, catalog};

    #[test]
    fn only_shares_without_derivatives_share_a_topic() {
        let catalog = catalog();
        let topic = |token, equity| {
            let topic = Topic::of(&catalog, catalog.slot(token).unwrap(), equity);
            format!("{}:{}:{}", topic.exchange, topic.underlying, topic.kind.as_str())
        };
        assert_eq!(topic(SHARE, EquityTopics::Shared), "NSE:CASH:equity");
        assert_eq!(topic(SHARE, EquityTopics::PerSymbol), "NSE:INFY:equity");
        for equity in [EquityTopics::Shared, EquityTopics::PerSymbol] {
            assert_eq!(topic(INDEX, equity), "NSE:NIFTY:underlying");
            assert_eq!(topic(FUTURE, equity), "NFO:NIFTY:futures");
        }
    }
}
