//! Whatever stands in a file, reading it ends with records or an error, never with a panic or without end.

use std::fs;

use proptest::prelude::*;

use super::{config, record};
use crate::block::BlockReader;
use crate::testing::files;
use crate::*;

/// Reads everything there is; how many records.
fn read(path: &std::path::Path) -> Result<usize, RecordingError> {
    let mut records = Recording::open(path)?.records(RecordFilter::default())?;
    let mut count = 0;
    while records.next_record()?.is_some() {
        count += 1;
    }
    Ok(count)
}

proptest! {
    #[test]
    fn any_bytes_as_a_block(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut reader = BlockReader::new();
        let mut records = 0;
        while let Ok(Some(_)) = reader.next(&bytes) {
            records += 1;
            prop_assert!(records <= bytes.len());
        }
    }

    #[test]
    fn any_bytes_as_an_event_or_instruments(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = event::decode(&bytes);
        let _ = instruments::decode(&bytes);
    }
}

/// One recording, damaged in a thousand ways: bytes changed, cut out, doubled.
#[tokio::test(start_paused = true)]
async fn a_recording_damaged_anyhow_yields_no_more_than_it_had() {
    let folder = tempfile::tempdir().unwrap();
    record(config(folder.path()), 12).await;
    let path = &files(folder.path())[0];
    let (whole, all) = (fs::read(path).unwrap(), read(path).unwrap());
    let mut seed = 1u64;
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below as u64) as usize
    };
    let (mut opened, mut lost) = (0, 0);
    for round in 0..300 {
        let mut bytes = whole.clone();
        match round % 3 {
            0 => {
                let at = random(bytes.len());
                bytes[at] ^= 1 << random(8);
            }
            1 => {
                let at = random(bytes.len());
                let end = (at + 1 + random(500)).min(bytes.len());
                bytes.drain(at..end);
            }
            _ => {
                let at = random(bytes.len());
                let piece = bytes[at..(at + 200).min(bytes.len())].to_vec();
                let to = random(bytes.len());
                bytes.splice(to..to, piece);
            }
        }
        fs::write(path, &bytes).unwrap();
        if let Ok(records) = read(path) {
            assert!(records <= all, "round {round}: {records} records out of {all}");
            opened += 1;
            lost += usize::from(records < all);
        }
    }
    assert!(opened > 250 && lost > 100, "{opened} opened, {lost} of them with a loss");
}
