//! Instrument dumps, whole and in pieces.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use kite_client::{DumpStream, RestConfig, RestError, RestMetrics};
use kite_wire::api::GetInstruments;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};

use crate::double::{Kite, Reply, http, page, refusal};

fn packed(text: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(text).unwrap();
    gzip.finish().unwrap()
}

/// A dump that packs well, as they all do.
fn text() -> Vec<u8> {
    (0..100_000).flat_map(|row| format!("{row},NIFTY25N20,0.05,75\n").into_bytes()).collect()
}

async fn pieces(dump: &mut DumpStream) -> Result<(Vec<u8>, usize), RestError> {
    let (mut text, mut largest) = (Vec::new(), 0);
    while let Some(piece) = dump.next().await? {
        largest = largest.max(piece.len());
        text.extend_from_slice(&piece);
    }
    Ok((text, largest))
}

#[tokio::test(start_paused = true)]
async fn a_dump_comes_whole_or_in_bounded_pieces() {
    let text = text();
    let zip = http("200 OK", "Content-Encoding: gzip\r\n", packed(&text));
    let kite = Kite::replies([
        Reply::Keep(http("200 OK", "", &text)),
        Reply::Keep(zip.clone()),
        Reply::Keep(zip.clone()),
        Reply::Keep(zip),
    ]);
    let rest = kite.rest();
    assert_eq!(rest.instruments().await.unwrap(), text);
    assert_eq!(rest.instruments().await.unwrap(), text);
    let nfo = GetInstruments { exchange: Some("NFO".to_owned()) };
    let mut dump = rest.instruments_stream(&nfo).await.unwrap();
    let (whole, largest) = pieces(&mut dump).await.unwrap();
    assert!(whole == text && largest <= 4096 * 1032, "{largest}");
    let mut funds = rest.mf_instruments_stream().await.unwrap();
    assert_eq!(pieces(&mut funds).await.unwrap().0.len(), text.len());
    let lines: Vec<_> = kite.seen().into_iter().map(|seen| seen.line).collect();
    assert_eq!(lines[0], "GET /instruments HTTP/1.1");
    assert_eq!(lines[2..], ["GET /instruments/NFO HTTP/1.1", "GET /mf/instruments HTTP/1.1"]);
    assert_eq!(kite.opened(), 1, "the connection is kept after a dump");
}

#[tokio::test(start_paused = true)]
async fn a_dump_that_breaks_off_is_an_error() {
    let text = text();
    let zip = packed(&text);
    let torn = |from_end: usize| {
        // Without a length, as some gateways answer: only the archive can tell.
        let head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n".to_vec();
        Reply::Close([&head, &zip[..zip.len() - from_end]].concat())
    };
    let plain = http("200 OK", "", &text);
    let mut changed = zip.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 0x55;
    for reply in [
        torn(1),
        torn(8),
        torn(9),
        torn(zip.len() / 2),
        torn(zip.len() - 5),
        torn(zip.len()),
        Reply::Close(plain[..plain.len() - 1].to_vec()),
        Reply::Keep(http("200 OK", "Content-Encoding: gzip\r\n", changed)),
    ] {
        let error = Kite::replies([reply]).rest().instruments().await.unwrap_err();
        assert!(matches!(error, RestError::Broken(_)) && error.is_retryable(), "{error}");
    }
    let error = Kite::replies([Reply::Silence]).rest().instruments().await.unwrap_err();
    assert!(matches!(error, RestError::Timeout(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_dump_is_bounded_and_refusals_are_kites() {
    let bomb = packed(&vec![b'0'; 3_000_000]);
    for reply in
        [http("200 OK", "Content-Encoding: gzip\r\n", bomb), http("200 OK", "", vec![b'0'; 1_000_001])]
    {
        let kite = Kite::replies([Reply::Keep(reply)]);
        let rest = kite.rest().with_config(RestConfig { max_dump: 1_000_000, ..RestConfig::default() });
        let error = rest.instruments().await.unwrap_err();
        assert!(matches!(error, RestError::TooLarge { limit: 1_000_000 }), "{error}");
    }
    let refused = Kite::replies([refusal("403 Forbidden", "TokenException", "no")]);
    assert!(refused.rest().instruments().await.unwrap_err().is_token_lost());
    let error = Kite::replies([page("502 Bad Gateway")]).rest().instruments().await.unwrap_err();
    assert!(matches!(error, RestError::NotKite { status: 502 }) && error.is_retryable(), "{error}");
}

#[tokio::test(start_paused = true)]
async fn every_dump_is_counted_once_by_how_it_ended() {
    let text = text();
    let whole = || Reply::Keep(http("200 OK", "", &text));
    let torn = Reply::Close(http("200 OK", "", &text)[..text.len() / 2].to_vec());
    let kite = Kite::replies([whole(), torn, page("502 Bad Gateway"), whole(), Reply::Silence]);
    let recorder = DebuggingRecorder::new();
    let rest = kite.rest().with_metrics(RestMetrics::register(&recorder));
    rest.instruments().await.unwrap();
    for _ in 0..2 {
        rest.instruments().await.unwrap_err();
    }
    // Its reader saw something that is no dump.
    drop(rest.mf_instruments_stream().await.unwrap());
    rest.instruments().await.unwrap_err();
    let mut counted = std::collections::BTreeMap::new();
    for (key, _, _, value) in recorder.snapshotter().snapshot().into_vec() {
        if let (DebugValue::Counter(count @ 1..), "kite_rest_requests_total") = (value, key.key().name()) {
            let outcome =
                key.key().labels().find(|label| label.key() == "outcome").unwrap().value().to_owned();
            *counted.entry(outcome).or_insert(0) += count;
        }
    }
    let expect = ["broken", "not_kite", "ok", "timeout", "unreadable"].map(|outcome| (outcome.to_owned(), 1));
    assert_eq!(counted, expect.into_iter().collect());
}

#[tokio::test]
async fn a_blocking_parser_reads_while_the_dump_comes() {
    let text = text();
    let zip = packed(&text);
    let whole = Reply::Keep(http("200 OK", "Content-Encoding: gzip\r\n", &zip));
    let torn = Reply::Close(http("200 OK", "Content-Encoding: gzip\r\n", &zip)[..zip.len() / 2].to_vec());
    let kite = Kite::replies([whole, torn]);
    let rest = kite.rest();
    let mut reads = Vec::new();
    for _ in 0..2 {
        let dump = rest.instruments_stream(&GetInstruments::default()).await.unwrap();
        let (feed, mut reader) = dump.into_reader();
        let parse = tokio::task::spawn_blocking(move || {
            let mut read = Vec::new();
            reader.read_to_end(&mut read).map(|_| read)
        });
        let ((), read) = tokio::join!(feed.run(), parse);
        reads.push(read.unwrap());
    }
    assert!(*reads[0].as_ref().unwrap() == text);
    assert!(reads[1].is_err(), "a torn dump is no short one");

    let kite = Kite::replies([Reply::Keep(http("200 OK", "", &text))]);
    let dump = kite.rest().instruments_stream(&GetInstruments::default()).await.unwrap();
    let (feed, reader) = dump.into_reader();
    drop(reader);
    feed.run().await;
}
