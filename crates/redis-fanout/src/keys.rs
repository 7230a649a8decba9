//! Names of channels and keys.

use bytes::{BufMut, BytesMut};
use market_model::InstrumentToken;
use tick_pipeline::{Topic, TopicKind};

/// Makes the names under one namespace. The version of the contract stands in each.
#[derive(Debug, Clone)]
pub struct Keys {
    /// `<namespace>:v1:`.
    prefix: String,
}

// === impl Keys ===

impl Keys {
    /// Names that begin with `namespace`.
    pub fn new(namespace: &str) -> Self {
        Self { prefix: format!("{namespace}:v{}:", snapshot_wire::VERSION) }
    }

    /// Channel of the batches of `topic`.
    pub fn tick(&self, topic: &Topic) -> String {
        format!("{}tick:{}:{}:{}", self.prefix, topic.exchange, topic.underlying, topic.kind.as_str())
    }

    /// Hash with the last value of an instrument.
    pub fn last(&self, token: InstrumentToken) -> String {
        format!("{}last:{token}", self.prefix)
    }

    /// Appends [`last`](Self::last) to `out`.
    pub(crate) fn write_last(&self, token: InstrumentToken, out: &mut BytesMut) {
        out.put_slice(self.prefix.as_bytes());
        out.put_slice(b"last:");
        out.put_slice(itoa::Buffer::new().format(token.0).as_bytes());
    }

    /// Stream of feed-health records.
    pub fn health(&self) -> String {
        format!("{}health", self.prefix)
    }
}

/// The channel on which the former service published what `topic` is about; it had none for futures.
pub fn legacy_channel(topic: &Topic) -> Option<String> {
    let kind = match topic.kind {
        TopicKind::Options => "options",
        TopicKind::Underlying | TopicKind::Equity => "underlying",
        TopicKind::Futures => return None,
    };
    Some(format!("ticker:{}:{kind}", topic.underlying))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let topic = |kind| Topic { exchange: "NFO".into(), underlying: "NIFTY".into(), kind };
        let keys = Keys::new("kg");
        assert_eq!(keys.tick(&topic(TopicKind::Futures)), "kg:v1:tick:NFO:NIFTY:futures");
        assert_eq!(keys.last(InstrumentToken(256_265)), "kg:v1:last:256265");
        let mut written = BytesMut::new();
        keys.write_last(InstrumentToken(256_265), &mut written);
        assert_eq!(written, keys.last(InstrumentToken(256_265)));
        assert_eq!(keys.health(), "kg:v1:health");
        assert_eq!(legacy_channel(&topic(TopicKind::Options)).as_deref(), Some("ticker:NIFTY:options"));
        assert_eq!(legacy_channel(&topic(TopicKind::Equity)).as_deref(), Some("ticker:NIFTY:underlying"));
        assert_eq!(legacy_channel(&topic(TopicKind::Futures)), None);
    }
}
