//! What other instances stream, read back from Redis, where they keep the last value of every instrument.

use std::sync::Arc;
use std::time::Duration;

use feed_control::ControlReport;
use gateway_api::{Elsewhere, LatestValue, Reading};
use market_model::{Clock, GapCause, InstrumentCatalog, InstrumentToken, UnixNanos};
use redis_fanout::{LastValueReader, StoredValue};
use sql_store::lease::{HeldLeases, LeaseGuard};
use tick_pipeline::StaleCause;
use tokio::sync::watch;

use crate::ownership::account_of;
use crate::standing::StreamedUntil;

/// The holder of an account says every two seconds that it streams it; one that dies is followed by another within ten.
/// A value is stale when its account was not spoken for in this time.
const SPOKEN_FOR: Duration = Duration::from_secs(10);

/// Reads them, where there is a Redis.
pub(crate) struct OtherInstances {
    pub(crate) plan: watch::Receiver<Option<Arc<ControlReport>>>,
    pub(crate) held: watch::Receiver<HeldLeases>,
    pub(crate) streamed_until: watch::Receiver<StreamedUntil>,
    pub(crate) reader: Option<Arc<LastValueReader>>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Elsewhere for OtherInstances {
    /// The plan says which account, the leases whose that is. Without a Redis nobody can be asked.
    fn streams(&self, token: InstrumentToken) -> bool {
        let plan = self.plan.borrow();
        let account = plan.as_ref().and_then(|report| report.plan.account_of(token));
        self.reader.is_some()
            && account
                .is_some_and(|account| !self.held.borrow().get(account).is_some_and(LeaseGuard::is_held))
    }

    fn read(&self, tokens: Vec<InstrumentToken>, catalog: Arc<InstrumentCatalog>) -> Reading {
        let Some(reader) = self.reader.clone() else {
            return Box::pin(std::future::ready(Ok(Vec::new())));
        };
        let (spoken, now) = (self.streamed_until.borrow().clone(), self.clock.now());
        Box::pin(async move {
            let values = reader
                .read(&tokens)
                .await
                .map_err(|error| format!("its values cannot be read: {error} ({})", error.next_step()))?;
            Ok(values.iter().filter_map(|value| latest(value, &catalog, &spoken, now)).collect())
        })
    }
}

/// `None` for what today's catalog does not list.
fn latest(
    stored: &StoredValue,
    catalog: &InstrumentCatalog,
    spoken: &StreamedUntil,
    now: UnixNanos,
) -> Option<LatestValue> {
    let mut snapshot = stored.tick.to_snapshot(catalog)?;
    let spoken = spoken.get(account_of(&stored.source));
    if spoken.is_none_or(|until| now.saturating_since(*until) > SPOKEN_FOR) {
        snapshot.stale = snapshot.stale.or(Some(StaleCause::Feed(GapCause::Disconnected)));
    }
    Some(LatestValue { snapshot, ts_publish: stored.ts_publish, sim: stored.sim })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use feed_control::testing::SampleMarket;
    use snapshot_wire::decode::TickMessage;

    use super::*;

    #[test]
    fn a_value_is_stale_when_nobody_speaks_for_its_account() {
        let market =
            SampleMarket { underlyings: 1, strikes: 0, expiries: Vec::new(), futures: false, shares: 0 };
        let catalog = market.catalog();
        let json = r#"{"instrument_token":0,"mode":"ltp","tradable":true,"last_price":12.5,"ts_recv":7,
            "stale":false,"cause":"tick"}"#;
        let tick: TickMessage = serde_json::from_str(json).unwrap();
        let stored = StoredValue { tick, ts_publish: UnixNanos(8), source: "a1~7.2".into(), sim: true };
        let at = |seconds| UnixNanos::from_secs(seconds);
        let stale = |account: &str, until: i64, now: i64| {
            let spoken: StreamedUntil = Arc::new(BTreeMap::from([(Arc::from(account), at(until))]));
            latest(&stored, &catalog, &spoken, at(now)).unwrap().snapshot.stale
        };
        let cause = Some(StaleCause::Feed(GapCause::Disconnected));
        assert_eq!(stale("a1", 100, 105), None);
        assert_eq!(stale("a1", 100, 111), cause);
        assert_eq!(stale("a2", 100, 105), cause, "another account's word");
        let nothing = InstrumentCatalog::default();
        assert_eq!(latest(&stored, &nothing, &Arc::default(), at(1)), None);
    }
}
