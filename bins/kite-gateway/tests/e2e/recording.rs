//! What the shipped program records can be read and replayed alone.

use feed_recorder::{RecordFilter, Recording, Replay};
use kite_sim::{App, SimConfig};

use crate::process::{Gateway, until};
use crate::sim::Sim;

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

#[test]
fn an_account_that_appears_later_is_in_the_recording() {
    let (folder, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let apps = (1..=2).map(App::numbered).collect();
    let sim = Sim::start(SimConfig { apps, ticks_per_second: 4.0, ..SimConfig::default() });
    let file = data.path().join("accounts.toml");
    let write = |accounts: u32| {
        let account = |number: u32| {
            format!(
                "[[account]]\nname = \"a{number}\"\napi_key = \"load{number:02}\"\naccess_token = \"token{number:02}\"\n\
                 rest_url = \"http://{0}\"\nticker_url = \"ws://{0}\"\nsimulated = true\n",
                sim.addr
            )
        };
        std::fs::write(&file, (1..=accounts).map(account).collect::<String>()).unwrap();
    };
    write(1);
    let gateway = Gateway::start(&[
        ("RECORD_DIR", folder.path().to_str().unwrap()),
        ("RECORD_MAX_BYTES", "67108864"),
        ("KITE_ACCOUNTS_FILE", file.to_str().unwrap()),
        ("KITE_ACCOUNTS_SECONDS", "5"),
        ("GATEWAY_SUBSCRIBE", "NSE:INFY:full,NSE:RELIANCE:full"),
    ])
    .ready();
    write(2);
    let speaks = || {
        let health = gateway.json("/health");
        let rows = health["connections"].as_array().unwrap().clone();
        let frames = |row: &serde_json::Value| row["frames"].as_u64().unwrap();
        rows.iter().any(|row| row["name"].as_str().unwrap().starts_with("a2/") && frames(row) > 3)
    };
    until("the second account's connection speaks", speaks);
    gateway.program.signal("TERM");
    assert!(gateway.program.end().0.success());

    let recording = Recording::open(folder.path()).unwrap();
    let named = |file: usize| {
        let accounts = &recording.files()[file].header.accounts;
        accounts.iter().map(|account| (&*account.name, account.simulated)).collect::<Vec<_>>()
    };
    assert_eq!(named(0), [("a1", true)]);
    assert_eq!(named(recording.files().len() - 1), [("a1", true), ("a2", true)]);
    let only = RecordFilter { account: Some("a2".into()), ..RecordFilter::default() };
    let mut records = recording.records(only).unwrap();
    let mut frames = 0;
    while let Some(record) = records.next_record().unwrap() {
        frames += u32::from(matches!(record, feed_recorder::Record::Frame { .. }));
    }
    assert!(frames > 0, "no frame of the account that appeared later");
}
