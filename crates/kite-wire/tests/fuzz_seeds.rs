//! The seeds of the fuzz targets, and short mutations of them, replayed as a normal test.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

#[path = "checks/decoders.rs"]
mod checks;

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let seeds: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(!seeds.is_empty());
    seeds
}

/// The seed, every start of it, and it with every byte changed once.
fn replay(target: &str, check: fn(&[u8])) {
    for seed in seeds(target) {
        check(&seed);
        for at in 0..seed.len().min(400) {
            check(&seed[..at]);
            let mut changed = seed.clone();
            changed[at] ^= 0x81;
            check(&changed);
            changed[at] = b'0';
            check(&changed);
        }
    }
}

#[test]
fn decode_frame() {
    replay("decode_frame", checks::decode_frame);
}

#[test]
fn text_message() {
    replay("text_message", checks::text_message);
}

#[test]
fn ticker_request() {
    replay("ticker_request", checks::ticker_request);
}

#[test]
fn instruments() {
    replay("instruments", checks::instruments);
}

#[test]
fn rest_body() {
    replay("rest_body", checks::rest_body);
}
