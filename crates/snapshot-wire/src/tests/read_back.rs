//! What is written can be read back into snapshots, in every format.

use super::*;
use crate::decode::PositionalTick;

/// As a reader gets it: what is not published is what the reader assumes.
fn as_read(mut snapshot: Snapshot, format: WireFormat) -> Snapshot {
    snapshot.tick_count = u32::from(snapshot.cause == SnapshotCause::Tick);
    let last_price = snapshot.tick.last_price;
    if let TickBody::IndexQuote { ohlc, change } | TickBody::IndexFull { ohlc, change, .. } =
        &mut snapshot.tick.body
    {
        *change = last_price - ohlc.close;
    }
    if let (GreeksState::Known(greeks), WireFormat::Json) = (&mut snapshot.greeks, format) {
        for value in [
            &mut greeks.iv,
            &mut greeks.delta,
            &mut greeks.gamma,
            &mut greeks.theta,
            &mut greeks.vega,
            &mut greeks.rho,
            &mut greeks.forward,
            &mut greeks.rate,
            &mut greeks.t_years,
        ] {
            *value = nine(*value);
        }
    }
    snapshot
}

#[test]
fn a_snapshot_reads_back_in_every_format() {
    // The last one has no Greeks that could be written.
    let samples = samples().into_iter().take(7);
    for format in [WireFormat::Json, WireFormat::MessagePack, WireFormat::Positional] {
        for sample in samples.clone() {
            let encoded = BatchEncoder::new(format).encode(&batch_of(vec![sample.clone()]));
            let bytes = encoded.tick(0);
            let message: TickMessage = match format {
                WireFormat::Json => serde_json::from_slice(bytes).unwrap(),
                WireFormat::MessagePack => rmp_serde::from_slice(bytes).unwrap(),
                WireFormat::Positional => rmp_serde::from_slice::<PositionalTick>(bytes).unwrap().0,
            };
            let read = message.to_snapshot(&catalog());
            assert_eq!(read, Some(as_read(sample, format)), "{format:?}");
            assert_eq!(message.to_snapshot(&InstrumentCatalog::default()), None, "it is not listed");
        }
    }
}

#[test]
fn words_of_a_later_version_are_taken_carefully() {
    let mut message: TickMessage = serde_json::from_str(&json_of(samples().remove(5))).unwrap();
    (message.stale, message.stale_cause) = (true, Some("solar_flare".to_owned()));
    message.greeks.as_mut().unwrap().quality = "dreamt".to_owned();
    let read = message.to_snapshot(&catalog()).unwrap();
    assert_eq!(read.stale, Some(StaleCause::Feed(GapCause::Disconnected)));
    assert_eq!(read.greeks, GreeksState::Absent(NoGreeks::Unsolvable));
    message.last_price = f64::NAN;
    assert_eq!(message.to_snapshot(&catalog()), None);
}
