//! Every file of `testdata/` against what is expected of it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use kite_wire::rest::OrderUpdate;
use kite_wire::{Frame, InstrumentRow, TextMessage, decode_frame, parse_instruments, write_instruments};
use market_model::{Depth, Ohlc, QuoteTick, Tick, TickBody, UnixNanos};

fn testdata(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(testdata(path)).unwrap()
}

// === frames ===

/// Bytes of a hex text; what follows a `#` is for people.
fn bytes(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text
        .lines()
        .flat_map(|line| line.split('#').next().unwrap_or_default().chars())
        .filter_map(|digit| digit.to_digit(16))
        .collect();
    digits.chunks_exact(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

fn time(time: Option<UnixNanos>) -> String {
    time.map_or_else(|| "none".to_owned(), |time| time.as_secs().to_string())
}

fn ohlc(Ohlc { open, high, low, close }: &Ohlc) -> String {
    format!("ohlc {open} {high} {low} {close}")
}

fn quote(quote: &QuoteTick) -> String {
    format!(
        "traded {} average {} volume {} buy {} sell {} {}",
        quote.last_traded_quantity,
        quote.average_traded_price,
        quote.volume_traded,
        quote.total_buy_quantity,
        quote.total_sell_quantity,
        ohlc(&quote.ohlc),
    )
}

fn depth(Depth { buy, sell }: &Depth) -> String {
    let [bids, offers] = [buy, sell].map(|side| {
        side.map(|level| format!("{}@{}x{}", level.quantity, level.price, level.orders)).join(" ")
    });
    format!("bids {bids} offers {offers}")
}

fn line(tick: &Tick) -> String {
    let head = format!("{} {}", tick.token, tick.last_price);
    match &tick.body {
        TickBody::Ltp => format!("ltp {head}"),
        TickBody::IndexQuote { ohlc: prices, change } => {
            format!("index_quote {head} {} change {change}", ohlc(prices))
        }
        TickBody::IndexFull { ohlc: prices, change, exchange_timestamp } => {
            format!("index_full {head} {} change {change} time {}", ohlc(prices), time(*exchange_timestamp))
        }
        TickBody::Quote(body) => format!("quote {head} {}", quote(body)),
        TickBody::Full(body) => format!(
            "full {head} {} last_trade {} oi {} {} {} time {} {}",
            quote(&body.quote),
            time(body.last_trade_time),
            body.oi,
            body.oi_day_high,
            body.oi_day_low,
            time(body.exchange_timestamp),
            depth(&body.depth)
        ),
    }
}

fn lines(frame: &[u8]) -> Vec<String> {
    match decode_frame(frame) {
        Frame::Heartbeat => vec!["heartbeat".to_owned()],
        Frame::Ticks(packets) => packets
            .map(|packet| match packet {
                Ok(packet) => line(&packet.to_tick()),
                Err(error) => format!("error {error}"),
            })
            .collect(),
    }
}

#[test]
fn frames_are_decoded_as_expected() {
    let mut checked = 0;
    for entry in fs::read_dir(testdata("frames")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "hex") {
            let frame = bytes(&fs::read_to_string(&path).unwrap());
            let expect = fs::read_to_string(path.with_extension("expected")).unwrap();
            assert_eq!(lines(&frame), expect.lines().collect::<Vec<_>>(), "{}", path.display());
            checked += 1;
        }
    }
    assert_eq!(checked, 12);
}

// === instruments ===

fn rows(path: &str) -> Vec<Result<InstrumentRow, String>> {
    let file = fs::File::open(testdata(path)).unwrap();
    let rows = parse_instruments(file).unwrap();
    rows.map(|row| row.map_err(|error| error.to_string())).collect()
}

#[test]
fn a_dump_is_written_as_it_was_read() {
    let rows: Vec<_> = rows("instruments/dump.csv").into_iter().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 8);
    let mut out = Vec::new();
    write_instruments(&rows, &mut out).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), read("instruments/dump.csv"));
}

#[test]
fn an_odd_dump_says_the_same() {
    let plain = rows("instruments/dump.csv");
    let odd = rows("instruments/odd.csv");
    assert_eq!(odd[0], plain[0]);
    assert_eq!(odd[1], plain[3]);
    let problems: Vec<_> = odd[2..5]
        .iter()
        .map(|row| row.as_ref().unwrap_err().split(": ").take(2).collect::<Vec<_>>().join(": "))
        .collect();
    assert_eq!(
        problems,
        [r#"line 4: expiry "25-11-2025""#, r#"line 5: lot_size "many""#, "line 6: 2 fields instead of 13",]
    );
    let cheese = odd[5].as_ref().unwrap();
    assert_eq!(
        (cheese.exchange.as_str(), cheese.segment.as_str(), cheese.instrument_type.as_str()),
        ("LUNA", "LUNA-FUT", "PERP")
    );
}

// === text ===

#[test]
fn text_frames_are_told_apart() {
    let kinds: Vec<_> = read("text/frames.jsonl")
        .lines()
        .map(|line| match TextMessage::parse(line) {
            Ok(TextMessage::Other { kind }) => format!("other {kind}"),
            Ok(message) => message.kind().to_owned(),
            Err(error) => error.to_string().split(':').next().unwrap_or_default().to_owned(),
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "instruments_meta",
            "app_code",
            "order",
            "order",
            "error",
            "message",
            "error",
            "other something_new",
            "order message without an object as data",
            "not a text message of the ticker",
            "not a text message of the ticker",
            "not a text message of the ticker",
        ]
    );
}

#[test]
fn orders_of_text_frames_name_their_user_either_way() {
    let orders: Vec<OrderUpdate> = read("text/frames.jsonl")
        .lines()
        .filter_map(|line| match TextMessage::parse(line) {
            Ok(TextMessage::Order(order)) => Some(serde_json::from_str(order.get()).unwrap()),
            _ => None,
        })
        .collect();
    let seen: Vec<_> =
        orders.iter().map(|order| (order.user(), order.order_id.as_str(), order.status.as_str())).collect();
    assert_eq!(
        seen,
        [(Some("ZZ0001"), "251120000000017", "COMPLETE"), (Some("ZZ0001"), "1914227164488687616", "UPDATE"),]
    );
}
