//! What the shipped program records can be read and replayed alone.

use feed_recorder::{RecordFilter, Recording, Replay};

use crate::process::{Gateway, until};

#[test]
fn what_was_streamed_is_in_the_recording_after_a_clean_end() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(&[
        ("RECORD_DIR", folder.path().to_str().unwrap()),
        ("GATEWAY_SUBSCRIBE", "NSE:INFY:full,NSE:RELIANCE:full"),
    ])
    .ready();
    until("some ticks have arrived", || gateway.metric("ticker_delivered_ticks_total") >= 10.0);
    assert_eq!(gateway.json("/health")["recording"]["frames_lost"], 0);
    gateway.program.signal("TERM");
    let (status, lines) = gateway.program.end();
    assert!(status.success(), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("recording closed")), "{lines:#?}");

    let recording = Recording::open(folder.path()).unwrap();
    let mut replay = Replay::new(&recording, RecordFilter::default()).unwrap();
    while replay.next_step().unwrap().is_some() {}
    let counts = replay.counts();
    assert!(counts.ticks >= 10, "{counts:?}");
}
