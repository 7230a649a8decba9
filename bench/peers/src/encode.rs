//! Snapshots with depth and Greeks to bytes.

use std::error::Error;
use std::hint::black_box;

use serde::Serialize;
use snapshot_wire::{BatchEncoder, WireFormat};
use tick_pipeline::{GreeksState, SnapshotBatch};

use crate::market::Market;
use crate::report::Report;
use crate::rival::{FlatGreeks, PeerTick};
use crate::rounds::race;
use crate::sample;

const ROUNDS: usize = 1_001;

/// As many as the pipeline's default of 64 KB a batch lets in.
const SNAPSHOTS: usize = 48;

/// One batch of options in full mode.
pub fn run(report: &mut Report) -> Result<(), Box<dyn Error>> {
    let market = Market::new()?;
    let batches = sample::batches(&market);
    let mut first = SnapshotBatch::clone(batches.last().ok_or("the pipeline made no batch")?);
    first.snapshots.truncate(SNAPSHOTS);
    let (batch, snapshots) = (&first, first.snapshots.len());
    let with_greeks =
        batch.snapshots.iter().filter(|snapshot| matches!(snapshot.greeks, GreeksState::Known(_))).count();

    let [mut json, mut msgpack, mut positional] =
        [WireFormat::Json, WireFormat::MessagePack, WireFormat::Positional].map(BatchEncoder::new);
    let (json_bytes, msgpack_bytes) = (json.encode(batch), msgpack.encode(batch));
    let positional_len = positional.encode(batch).payload().len();
    let peers = peer_ticks(&market, batch)?;
    let (mut copy, mut peer) = (json_bytes.payload().to_vec(), Vec::new());
    serde_json::to_writer(&mut peer, &peers)?;
    let peer_len = peer.len();
    let mut candidates: Vec<(&'static str, Box<dyn FnMut() + '_>)> = vec![
        (
            "memcpy of the JSON",
            Box::new(|| {
                copy.copy_from_slice(black_box(json_bytes.payload()));
                black_box(&mut copy);
            }),
        ),
        (
            "snapshot-wire JSON",
            Box::new(|| {
                black_box(json.encode(black_box(batch)));
            }),
        ),
        (
            "snapshot-wire MessagePack",
            Box::new(|| {
                black_box(msgpack.encode(black_box(batch)));
            }),
        ),
        (
            "snapshot-wire MessagePack by position",
            Box::new(|| {
                black_box(positional.encode(black_box(batch)));
            }),
        ),
        (
            "serde_json, kiteconnect's tick and Greeks",
            Box::new(|| {
                peer.clear();
                serde_json::to_writer(&mut peer, black_box(&peers)).unwrap_or_default();
                black_box(&mut peer);
            }),
        ),
    ];
    let times = race(ROUNDS, 5, &mut candidates);
    let lines: Vec<_> =
        candidates.iter().zip(times).map(|((name, _), time)| (*name, time / snapshots as f64)).collect();
    drop(candidates);
    report.lines("full mode with Greeks", "ns per snapshot", &lines);
    let size = |len: usize| len as f64 / snapshots as f64;
    report.lines(
        "size",
        "bytes per snapshot",
        &[
            ("snapshot-wire JSON", size(json_bytes.payload().len())),
            ("snapshot-wire MessagePack", size(msgpack_bytes.payload().len())),
            ("snapshot-wire MessagePack by position", size(positional_len)),
            ("serde_json, kiteconnect's tick and Greeks", size(peer_len)),
        ],
    );
    report.say(&format!("{with_greeks} of {snapshots} snapshots have Greeks"));
    Ok(())
}

/// The same ticks as the official crate decodes them, with the same Greeks.
fn peer_ticks(market: &Market, batch: &SnapshotBatch) -> Result<Vec<impl Serialize + use<>>, Box<dyn Error>> {
    let mut peers = Vec::new();
    for snapshot in &batch.snapshots {
        let mut frame = kite_wire::FrameBuilder::new();
        frame.push(&snapshot.tick)?;
        let tick = kiteconnect::ticker::parse_binary(&frame.finish()).pop().ok_or("no tick")?;
        let greeks = match snapshot.greeks {
            GreeksState::Known(known) => Some(FlatGreeks {
                iv: known.iv,
                delta: known.delta,
                gamma: known.gamma,
                theta: known.theta,
                vega: known.vega,
                rho: known.rho,
            }),
            _ => None,
        };
        let symbol = market.catalog.get(snapshot.slot).tradingsymbol.to_string();
        peers.push(PeerTick { tradingsymbol: symbol, tick, greeks });
    }
    Ok(peers)
}
