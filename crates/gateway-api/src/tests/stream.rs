use market_model::{ConnectionId, FeedEvent, Gap, GapCause};
use tick_pipeline::{HealthRecord, StaleCause};

use super::*;
use crate::fixture::SHARE;

fn prices(message: &Value) -> Vec<(u64, f64)> {
    let ticks = message["ticks"].as_array().unwrap().iter();
    ticks
        .map(|tick| (tick["instrument_token"].as_u64().unwrap(), tick["last_price"].as_f64().unwrap()))
        .collect()
}

fn gap() -> HealthRecord {
    let event = FeedEvent::Gap(Gap {
        connection: ConnectionId { account: "demo".into(), index: 0 },
        from: NOW,
        to: NOW,
        cause: GapCause::Disconnected,
        tokens: None,
        lost_ticks: None,
    });
    HealthRecord { source: "demo/0".into(), seq: 41, ts_publish: NOW, sim: true, event }
}

/// Every word that stands in quotes after `code` or in a table of codes is described.
#[test]
fn every_code_is_described() {
    let described = include_str!("../../STREAM.md");
    let sources = [
        include_str!("../stream/session.rs"),
        include_str!("../stream/protocol.rs"),
        include_str!("../symbols.rs"),
        include_str!("../hub/subscriptions.rs"),
    ];
    let mut codes = 0;
    for line in sources.iter().flat_map(|source| source.lines()) {
        let is_code =
            ["=> \"", "bad(\"", "send_error(\"", "Some((\""].iter().find_map(|mark| line.split_once(mark));
        let Some((_, rest)) = is_code else { continue };
        let Some((code, _)) = rest.split_once('"') else { continue };
        if code.contains('_') {
            codes += 1;
            assert!(described.contains(&format!("`{code}`")), "STREAM.md does not describe {code}");
        }
    }
    assert!(codes >= 10, "the codes were not found: {codes}");
}

#[tokio::test]
async fn each_symbol_is_acknowledged_and_the_known_value_comes_first() {
    let mut served = Served::new().await;
    served.sink.publish(&served.market.batch(1, &[(SHARE, 10_000)]));
    let mut client = served.stream("").await;
    client
        .say(json!({
            "action": "subscribe",
            "request_id": {"mine": 1},
            "symbols": [519_937, "chain:NIFTY", "NSE:NOPE", "NFO:*CE", "??"],
        }))
        .await;
    let ack = client.expect("subscribed").await;
    assert_eq!(ack["request_id"], json!({"mine": 1}));
    let results = &ack["results"];
    assert_eq!(
        results[0],
        json!({"symbol":"519937","status":"ok","instrument_token":519_937,"instruments":1,"live":1})
    );
    assert_eq!(results[1], json!({"symbol":"chain:NIFTY","status":"ok","instruments":8,"live":0}));
    assert_eq!((&results[2]["status"], &results[2]["code"]), (&json!("error"), &json!("unknown_symbol")));
    assert_eq!(results[3]["instruments"], 6);
    assert_eq!(results[4]["code"], "bad_symbol");
    let first = client.expect("ticks").await;
    assert_eq!((first["seq"].as_u64(), prices(&first)), (Some(1), vec![(519_937, 100.0)]));
    assert_eq!(first["ticks"][0]["tradingsymbol"], "M&M");

    let (call, spot) = (served.market.call(25_000), served.market.spot());
    served.sink.publish(&served.market.batch(2, &[(spot, 2_500_000), (call, 9_000)]));
    let second = client.expect("ticks").await;
    assert_eq!(second["seq"], 2);
    assert_eq!(prices(&second), [(u64::from(spot.0), 25_000.0), (u64::from(call.0), 90.0)]);
}

#[tokio::test]
async fn what_is_not_subscribed_or_no_longer_is_not_sent() {
    let mut served = Served::new().await;
    let mut client = served.stream("").await;
    client.subscribe(json!(["NSE:M&M", "256265"])).await;
    client.say(json!({"action":"unsubscribe","symbols":["NSE:M&M", "chain:NIFTY"],"request_id":9})).await;
    let ack = client.expect("unsubscribed").await;
    assert_eq!((&ack["request_id"], &ack["results"][0]["status"]), (&json!(9), &json!("ok")));
    assert_eq!(ack["results"][1]["code"], "not_subscribed");
    served.sink.publish(&served.market.batch(1, &[(SHARE, 10_000), (served.market.spot(), 2_500_000)]));
    assert_eq!(prices(&client.expect("ticks").await), [(256_265, 25_000.0)]);
}

#[tokio::test]
async fn feed_health_and_staleness_are_told_in_the_same_numbering() {
    let mut served = Served::new().await;
    let mut client = served.stream("").await;
    client.subscribe(json!(["NSE:M&M"])).await;
    served.sink.publish_health(&gap());
    let told = client.expect("gap").await;
    assert_eq!((&told["seq"], &told["account"], &told["sim"]), (&json!(1), &json!("demo"), &json!(true)));
    let stale = served.market.stale_batch(1, &[SHARE], StaleCause::Feed(GapCause::Disconnected));
    served.sink.publish(&stale);
    let told = client.expect("stale").await;
    assert_eq!((&told["seq"], &told["stale_cause"]), (&json!(2), &json!("disconnected")));
    assert_eq!(told["instrument_tokens"], json!([519_937]));
    let tick = client.expect("ticks").await;
    assert_eq!((&tick["seq"], &tick["ticks"][0]["stale"]), (&json!(3), &json!(true)));
}

#[tokio::test]
async fn bad_messages_are_answered_and_the_connection_stays() {
    let served = Served::new().await;
    let mut client = served.stream("").await;
    for (text, code) in [
        ("nonsense", "bad_message"),
        ("{\"action\":\"buy\"}", "unknown_action"),
        ("{\"action\":\"subscribe\",\"symbols\":\"NSE:INFY\"}", "bad_message"),
        ("{\"action\":\"subscribe\",\"symbols\":[],\"mode\":\"ltp\"}", "unsupported_mode"),
    ] {
        client.say_text(text).await;
        assert_eq!(client.expect("error").await["code"], code, "{text}");
    }
    client.socket.send(Message::binary(vec![1, 2])).await.unwrap();
    assert_eq!(client.expect("error").await["code"], "bad_message");
    client.say(json!({"action":"ping","request_id":"p"})).await;
    assert_eq!(client.expect("pong").await, json!({"type":"pong","request_id":"p","ts":NOW.0}));
    client.say(json!({"action":"status"})).await;
    assert_eq!(client.expect("status").await["state"], "streaming");
}

#[tokio::test]
async fn a_message_that_is_too_long_ends_the_connection_with_the_reason() {
    let mut setup = Setup::default();
    setup.config.stream.max_message_bytes = 1000;
    let served = Served::with(setup).await;
    let mut client = served.stream("").await;
    client.say_text(&"x".repeat(1001)).await;
    assert_eq!(client.farewell().await, ("message_too_large".to_owned(), 1009));
}

#[tokio::test]
async fn too_many_instruments_are_refused() {
    let mut setup = Setup::default();
    setup.config.stream.max_subscriptions = 7;
    let served = Served::with(setup).await;
    let mut client = served.stream("").await;
    let ack = client.subscribe(json!(["chain:NIFTY", "NSE:M&M"])).await;
    assert_eq!(ack["results"][0]["code"], "too_many_subscriptions");
    assert_eq!(ack["results"][1]["status"], "ok");
}

#[tokio::test]
async fn a_key_may_be_shown_in_a_header_the_query_or_the_first_message() {
    let api_key = Some(ApiKey::new("k3y").unwrap());
    let mut setup = Setup { api_key, ..Setup::default() };
    setup.config.stream.authenticate_timeout = Duration::from_millis(300);
    let served = Served::with(setup).await;
    let mut client = served.stream("?api_key=k3y").await;
    assert_eq!(client.subscribe(json!([256_265])).await["results"][0]["status"], "ok");

    let mut client = served.stream("").await;
    client.say(json!({"action":"authenticate","api_key":"k3y","request_id":1})).await;
    let status = client.expect("status").await;
    assert_eq!((&status["state"], &status["authenticated"]), (&json!("authenticated"), &json!(true)));
    assert_eq!(client.subscribe(json!([256_265])).await["results"][0]["status"], "ok");

    let refused = ("unauthenticated".to_owned(), 1008);
    let mut client = served.stream("").await;
    client.say(json!({"action":"subscribe","symbols":[256_265]})).await;
    assert_eq!(client.farewell().await, refused);
    let mut client = served.stream("").await;
    client.say(json!({"action":"authenticate","api_key":"no"})).await;
    assert_eq!(client.farewell().await, refused);
    let mut mute = served.stream("").await;
    assert_eq!(mute.farewell().await, refused, "who never authenticates is not kept");
    assert!(connect_async(format!("ws://{}/v1/stream?api_key=no", served.address)).await.is_err());
}

#[tokio::test]
async fn a_foreign_page_may_not_open_a_stream_unless_it_is_allowed() {
    let mut setup = Setup::default();
    setup.config.stream.allowed_origins = vec!["https://desk.example".into()];
    let served = Served::with(setup).await;
    let own = format!("http://{}", served.address);
    for (origin, allowed) in [
        (own.as_str(), true),
        ("https://desk.example", true),
        ("https://evil.example", false),
        ("null", false),
    ] {
        use tokio_tungstenite::tungstenite::client::IntoClientRequest;
        let mut request = format!("ws://{}/v1/stream", served.address).into_client_request().unwrap();
        request.headers_mut().insert("origin", origin.parse().unwrap());
        assert_eq!(connect_async(request).await.is_ok(), allowed, "{origin}");
    }
}

#[tokio::test]
async fn message_pack_has_the_same_fields() {
    let mut served = Served::new().await;
    let mut client = served.stream("?format=msgpack").await;
    client.subscribe(json!([256_265])).await;
    served.sink.publish(&served.market.batch(1, &[(served.market.spot(), 2_500_000)]));
    let Some(Message::Binary(bytes)) = client.frame().await else { panic!("ticks are binary") };
    assert_eq!(bytes[0], 0xde, "a map");
    assert!(bytes.windows(8).any(|part| part == b"NIFTY 50"));
}

#[tokio::test]
async fn heartbeats_come_when_nothing_else_does_and_carry_the_last_number() {
    let mut setup = Setup::default();
    setup.config.stream.heartbeat = Duration::from_millis(20);
    let mut served = Served::with(setup).await;
    let mut client = served.stream("").await;
    assert_eq!(client.next().await, json!({"type":"heartbeat","seq":0,"ts":NOW.0,"conflated":0}));
    client.subscribe(json!([256_265])).await;
    served.sink.publish(&served.market.batch(1, &[(served.market.spot(), 2_500_000)]));
    client.expect("ticks").await;
    assert_eq!(client.next().await["seq"], 1);
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_let_go() {
    let mut setup = Setup::default();
    setup.config.stream.idle_timeout = Duration::from_millis(100);
    setup.config.stream.ping = Duration::from_millis(20);
    let served = Served::with(setup).await;
    // This one reads, so its library answers the pings, and it outlives the mute one.
    let mut alive = served.stream("").await;
    let mute = served.stream("").await;
    let gone = async {
        until_clients(&served.hub, 1).await;
        served.shutdown.cancel();
    };
    let (farewell, ()) = tokio::join!(alive.farewell(), gone);
    assert_eq!(farewell.0, "shutting_down");
    drop(mute);
}

#[tokio::test]
async fn a_new_catalog_moves_subscriptions_along() {
    let mut served = Served::new().await;
    let mut client = served.stream("").await;
    client.subscribe(json!(["NFO:NIFTY261124*CE"])).await;
    let tomorrow = Market::with_strikes(&[25_000, 25_200]);
    served.catalog.send_replace(tomorrow.catalog.clone());
    let call = tomorrow.call(25_200);
    // The session notices the new catalog on its own; publish until it has.
    let seen = async {
        let mut seq = 1;
        loop {
            served.sink.publish(&tomorrow.batch(seq, &[(call, 7_000)]));
            seq += 1;
            if let Ok(message) = timeout(Duration::from_millis(5), client.next()).await {
                break message;
            }
        }
    };
    let message = timeout(PATIENCE, seen).await.unwrap();
    assert_eq!(prices(&message)[0], (u64::from(call.0), 70.0));
}

/// Publishes until the slow client's socket is full and its queue has felt it.
fn flood(served: &mut Served, rounds: i64) {
    let tokens: Vec<_> = served.market.catalog.instruments().iter().map(|row| row.token).collect();
    for round in 1..=rounds {
        let ticks: Vec<_> = tokens.iter().map(|&token| (token, 10_000 + round)).collect();
        served.sink.publish(&served.market.batch(round as u64, &ticks));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_holds_nobody_up_and_conflates() {
    let mut served = Served::new().await;
    let mut slow = served.stream("").await;
    slow.subscribe(json!(["*:*"])).await;
    let mut quick = served.stream("").await;
    quick.subscribe(json!([519_937])).await;
    // 15 instruments of about 900 bytes: 40 MB, far more than the socket takes. Publishing never waits.
    flood(&mut served, 3000);
    let newest = async |client: &mut Client| {
        loop {
            let message = client.expect("ticks").await;
            if let Some((_, price)) =
                prices(&message).into_iter().find(|&(token, price)| token == 519_937 && price == 130.0)
            {
                return price;
            }
        }
    };
    assert_eq!(
        newest(&mut quick).await,
        130.0,
        "the quick one has the newest price while the slow one stands"
    );
    assert!(served.hub.stats().waiting <= 15, "one tick per instrument waits: {:?}", served.hub.stats());
    assert_eq!(newest(&mut slow).await, 130.0, "the slow one gets the newest price at the end");
    slow.say(json!({"action":"status"})).await;
    let status = slow.expect("status").await;
    assert!(status["conflated"].as_u64().unwrap() > 10_000, "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drop_oldest_tells_how_many_and_leaves_a_hole_of_that_length() {
    let mut setup = Setup::default();
    setup.config.stream.queue_capacity = 100;
    let mut served = Served::with(setup).await;
    let mut slow = served.stream("?policy=drop_oldest").await;
    slow.subscribe(json!(["*:*"])).await;
    flood(&mut served, 3000);
    let (mut ticks, mut dropped, mut last_seq) = (0, 0, 0);
    while ticks + dropped < 45_000 {
        let message = slow.next().await;
        match message["type"].as_str().unwrap() {
            "ticks" => ticks += message["ticks"].as_array().unwrap().len() as u64,
            "dropped" => {
                let count = message["count"].as_u64().unwrap();
                dropped += count;
                last_seq += count;
            }
            other => panic!("{other}"),
        }
        last_seq += 1;
        assert_eq!(message["seq"], last_seq, "no hole but the announced ones");
    }
    assert!(dropped > 10_000, "{dropped}");
    assert_eq!(ticks + dropped, 45_000, "every tick was sent or counted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_asked_for_it_is_disconnected_when_it_is_slow() {
    let mut setup = Setup::default();
    setup.config.stream.queue_capacity = 100;
    let mut served = Served::with(setup).await;
    let mut slow = served.stream("?policy=disconnect").await;
    slow.subscribe(json!(["*:*"])).await;
    flood(&mut served, 3000);
    assert_eq!(slow.farewell().await, ("slow_consumer".to_owned(), 1008));
    drop(slow);
    until_clients(&served.hub, 0).await;
}
