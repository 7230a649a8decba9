//! The fixtures shared with other projects, where they are present beside the repository.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "a test that skips says so")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use kite_wire::rest::{
    BodyError, Candles, LtpQuote, OhlcQuote, OrderUpdate, Profile, Quote, QuoteMap, Session, Success,
    parse_body,
};
use kite_wire::{
    Divisors, Frame, FrameBuilder, TextMessage, TickerRequest, decode_frame, parse_instruments,
    price_divisor, write_instruments,
};
use market_model::{Depth, Ohlc, Price, QuoteTick, Tick, TickBody, UnixNanos};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// A folder of the shared fixtures; `None`, with a printed line, where they are absent.
fn fixtures(folder: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/kite/fixtures");
    let path = root.join(folder);
    if !path.is_dir() {
        println!("skipped: {} is absent", path.display());
        return None;
    }
    Some(path)
}

fn files(folder: &Path, ending: &str) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path))
        .filter(|(name, _)| name.ends_with(ending))
        .map(|(name, path)| (name, fs::read(path).unwrap()))
        .collect();
    found.sort();
    found
}

// === ticker ===

fn hex(text: &[u8]) -> Vec<u8> {
    let digits: Vec<_> = text.iter().filter_map(|digit| char::from(*digit).to_digit(16)).collect();
    digits.chunks_exact(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

fn base64(text: &[u8]) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut count, mut out) = (0u32, 0, Vec::new());
    for digit in text {
        let Some(value) = ALPHABET.iter().position(|known| known == digit) else {
            continue;
        };
        bits = bits << 6 | value as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    out
}

fn number(price: Price) -> Value {
    json!(price.to_f64())
}

fn seconds(time: Option<UnixNanos>) -> Value {
    json!(time.map_or(0, UnixNanos::as_secs))
}

fn ohlc(Ohlc { open, high, low, close }: Ohlc) -> Value {
    json!({"open": number(open), "high": number(high), "low": number(low), "close": number(close)})
}

fn depth(Depth { buy, sell }: &Depth) -> Value {
    let [buy, sell] = [buy, sell].map(|side| {
        side.map(
            |level| json!({"quantity": level.quantity, "price": number(level.price), "orders": level.orders}),
        )
    });
    json!({"buy": buy, "sell": sell})
}

/// A tick in the shape of the `.expected.json` files.
fn as_expected(tick: &Tick, len: usize) -> Value {
    let mut fields = Map::new();
    let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    set("length", json!(len));
    set("instrument_token", json!(tick.token.0));
    set("exchange_token", json!(tick.token.0 >> 8));
    set("segment", json!(tick.token.segment_byte()));
    set("divisor", json!(price_divisor(tick.token)));
    set("tradable", json!(!tick.token.is_index()));
    set("last_price", number(tick.last_price));
    set("mode", json!(tick.mode().as_str()));
    if let Some(prices) = tick.ohlc() {
        set("ohlc", ohlc(*prices));
    }
    if let Some(QuoteTick {
        last_traded_quantity,
        average_traded_price,
        volume_traded,
        total_buy_quantity,
        total_sell_quantity,
        ohlc: _,
    }) = tick.quote()
    {
        set("last_quantity", json!(last_traded_quantity));
        set("average_price", number(*average_traded_price));
        set("volume", json!(volume_traded));
        set("buy_quantity", json!(total_buy_quantity));
        set("sell_quantity", json!(total_sell_quantity));
    }
    match &tick.body {
        TickBody::IndexQuote { change, .. } | TickBody::IndexFull { change, .. } => {
            set("price_change_wire", number(*change));
        }
        TickBody::Full(full) => {
            set("last_trade_time", seconds(full.last_trade_time));
            set("oi", json!(full.oi));
            set("oi_day_high", json!(full.oi_day_high));
            set("oi_day_low", json!(full.oi_day_low));
            set("depth", depth(&full.depth));
        }
        TickBody::Ltp | TickBody::Quote(_) => {}
    }
    if let TickBody::IndexFull { .. } | TickBody::Full(_) = tick.body {
        set("exchange_timestamp", seconds(tick.exchange_timestamp()));
    }
    Value::Object(fields)
}

#[test]
fn ticker_packets() {
    let Some(folder) = fixtures("ticker") else { return };
    let sources: BTreeMap<_, _> = files(&folder, "").into_iter().collect();
    let mut checked = 0;
    for (name, expect) in files(&folder, ".expected.json") {
        let stem = name.trim_end_matches(".expected.json");
        let expect: Value = serde_json::from_slice(&expect).unwrap();
        let source = [".packet", ".hex", ".bin"]
            .iter()
            .find_map(|ending| sources.get(&format!("{stem}{ending}")))
            .unwrap();
        let bytes = match expect["encoding"].as_str().unwrap() {
            "raw" => source.clone(),
            "hex" => hex(source),
            "base64" => base64(source),
            other => panic!("{name} has the unknown encoding {other}"),
        };
        let (frame, packets) = if expect["framed"] == true {
            (bytes, expect["packets"].as_array().unwrap().clone())
        } else {
            let mut builder = FrameBuilder::new();
            builder.push_raw(&bytes).unwrap();
            (builder.finish(), vec![expect["packet"].clone()])
        };
        let Frame::Ticks(decoded) = decode_frame(&frame) else {
            panic!("{name} is a heartbeat");
        };
        let decoded: Vec<_> = decoded.map(Result::unwrap).collect();
        let got: Vec<_> =
            decoded.iter().map(|packet| as_expected(&packet.to_tick(), packet.bytes().len())).collect();
        assert_eq!(got, packets, "{name}");
        let mut again = FrameBuilder::with_divisors(Divisors::KITE);
        decoded.iter().for_each(|packet| again.push(&packet.to_tick()).unwrap());
        assert_eq!(again.finish(), frame, "{name} is not encoded as it came");
        checked += 1;
    }
    assert!(checked >= 9, "only {checked} packets checked");
    let heartbeat = hex(&sources["synthetic_heartbeat.hex"]);
    assert!(matches!(decode_frame(&heartbeat), Frame::Heartbeat));
}

#[test]
fn ticker_commands() {
    let Some(folder) = fixtures("ticker") else { return };
    let text = fs::read(folder.join("commands.json")).unwrap();
    let commands: BTreeMap<String, String> = serde_json::from_slice(&text).unwrap();
    let mut checked = 0;
    for (name, text) in commands.into_iter().filter(|(name, _)| name != "note") {
        assert_eq!(TickerRequest::parse(&text).unwrap().to_json(), text, "{name}");
        checked += 1;
    }
    assert!(checked >= 4);
}

// === text frames and postbacks ===

#[test]
fn text_frames() {
    let Some(folder) = fixtures("postback") else { return };
    let mut kinds = Vec::new();
    for (name, text) in files(&folder, ".json") {
        let text = String::from_utf8(text).unwrap();
        if !name.starts_with("ws_") {
            continue;
        }
        let message = TextMessage::parse(text.trim_end()).unwrap();
        kinds.push(message.kind().to_owned());
        if !matches!(message, TextMessage::Other { .. }) {
            assert_eq!(message.to_json(), text.trim_end(), "{name}");
        }
        if let TextMessage::Order(order) = message {
            let update: OrderUpdate = serde_json::from_str(order.get()).unwrap();
            assert_eq!((update.user(), update.pending_quantity), (Some("AB1234"), 175));
            same(&name, &serde_json::to_value(update).unwrap(), &serde_json::from_str(order.get()).unwrap());
        }
    }
    assert_eq!(kinds, ["error", "instruments_meta", "message", "order", "something_new"]);
    let text = fs::read(folder.join("postback.json")).unwrap();
    let postback: OrderUpdate = serde_json::from_slice(&text).unwrap();
    assert_eq!((postback.user(), postback.app_id), (Some("AB1234"), Some(1234)));
    same("postback", &serde_json::to_value(postback).unwrap(), &serde_json::from_slice(&text).unwrap());
}

// === CSV ===

#[test]
fn instrument_dumps() {
    let Some(folder) = fixtures("market") else { return };
    let text = fs::read(folder.join("instruments_all.csv")).unwrap();
    let rows: Vec<_> = parse_instruments(&text[..]).unwrap().map(Result::unwrap).collect();
    let mut kinds = BTreeMap::new();
    for row in &rows {
        let kind = format!("{} {}", row.exchange, row.instrument_type.as_str());
        *kinds.entry(kind).or_insert(0) += 1;
        let dated = row.clone().into_instrument(None).expiry().is_some();
        assert_eq!(dated, row.expiry.is_some(), "{}", row.tradingsymbol);
    }
    let counts: Vec<_> = kinds.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
    assert_eq!(counts, [("BSE EQ", 19), ("NFO CE", 10), ("NFO PE", 15), ("NSE EQ", 55)]);
    let mut written = Vec::new();
    write_instruments(&rows, &mut written).unwrap();
    assert_eq!(String::from_utf8(written).unwrap(), String::from_utf8(text).unwrap());

    let text = fs::read(folder.join("dotnet_instruments_all.csv")).unwrap();
    let rows: Vec<_> = parse_instruments(&text[..]).unwrap().map(Result::unwrap).collect();
    assert_eq!(&*rows[0].tradingsymbol, "WEIRDSTRIKE");
    assert_eq!(rows[0].strike, "13.14".parse().unwrap());
    assert_eq!(rows[0].last_price, "10.01".parse().unwrap());
    assert_eq!(rows[0].token.0, 3_813_889);
}

// === JSON bodies ===

/// Equal but for how numbers are written and for fields that are absent in `original`.
fn same(name: &str, written: &Value, original: &Value) {
    match (written, original) {
        (Value::Object(written), Value::Object(original)) => {
            for (key, value) in original {
                let found = written.get(key).unwrap_or(&Value::Null);
                same(&format!("{name}.{key}"), found, value);
            }
        }
        (Value::Array(written), Value::Array(original)) => {
            assert_eq!(written.len(), original.len(), "{name}");
            written.iter().zip(original).for_each(|(written, original)| same(name, written, original));
        }
        (Value::Number(written), Value::Number(original)) => {
            assert_eq!(written.as_f64(), original.as_f64(), "{name}");
        }
        _ => assert_eq!(written, original, "{name}"),
    }
}

/// Reads a body and writes it again.
fn both_ways<T: DeserializeOwned + serde::Serialize>(folder: &Path, file: &str) -> T {
    let text = fs::read(folder.join(file)).unwrap();
    let data: T = parse_body(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
    let written = serde_json::to_value(Success { data: &data }).unwrap();
    same(file, &written, &serde_json::from_slice(&text).unwrap());
    data
}

#[test]
fn quotes_and_candles() {
    let Some(folder) = fixtures("market") else { return };
    let quotes: QuoteMap<Quote> = both_ways(&folder, "quote.json");
    let infy = quotes["NSE:INFY"].tradable.unwrap();
    assert_eq!((infy.volume, infy.depth.sell[0].orders), (7_360_198, 13));
    let ohlc: QuoteMap<OhlcQuote> = both_ways(&folder, "ohlc.json");
    assert_eq!(ohlc["NSE:INFY"].last_price, Price::from_paise(107_500));
    let keyed: QuoteMap<OhlcQuote> = both_ways(&folder, "dotnet_ohlc.json");
    assert_eq!(keyed["408065"], keyed["NSE:INFY"]);
    let ltp: QuoteMap<LtpQuote> = both_ways(&folder, "ltp.json");
    assert_eq!(ltp["NSE:INFY"].last_price, Price::from_paise(107_435));
    let candles: Candles = both_ways(&folder, "historical_minute.json");
    assert_eq!((candles.candles.len(), candles.candles[0].oi), (6, None));
    let candles: Candles = both_ways(&folder, "historical_oi.json");
    assert_eq!(candles.candles[0].oi, Some(13_667_775));
    assert!(candles.candles.is_sorted_by_key(|candle| candle.start));
}

#[test]
fn sessions_and_profiles() {
    let Some(auth) = fixtures("auth") else { return };
    let session: Session = both_ways(&auth, "generate_session.json");
    assert_eq!((session.access_token.as_str(), session.refresh_token.as_str()), ("XXXXXX", ""));
    assert!(both_ways::<bool>(&auth, "session_logout.json"));
    let Some(user) = fixtures("user") else { return };
    let profile: Profile = both_ways(&user, "profile.json");
    assert_eq!((profile.user_id.as_str(), profile.avatar_url), ("AB1234", None));
    let older: Profile = both_ways(&user, "dotnet_profile.json");
    assert_eq!((older.user_id.as_str(), older.meta.demat_consent.as_str()), ("", ""));
}

#[test]
fn errors() {
    let Some(folder) = fixtures("errors") else { return };
    let bodies = files(&folder, ".json");
    for (name, text) in &bodies {
        let Err(BodyError::Refused(error)) = parse_body::<Value>(text) else {
            panic!("{name} is not refused");
        };
        assert!(!error.message.is_empty(), "{name}");
        same(name, &serde_json::to_value(&error).unwrap(), &serde_json::from_slice(text).unwrap());
    }
    assert!(bodies.len() >= 10);
}
