use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::fixture::SHARE;
use crate::routes::ROUTES;

#[tokio::test]
async fn every_route_of_the_table_is_served_and_numbered() {
    let served = Served::new().await;
    for route in ROUTES {
        let path = filled(route.path);
        for (method, _) in route.methods {
            let answer = served.send(&method.to_uppercase(), &path, &[]).await;
            assert_ne!(answer.json_or_null()["error_type"], "GeneralException", "{method} {path}");
            assert!(answer.headers.contains_key("x-request-id"), "{path}");
        }
        let answer = served.send("PATCH", &path, &[]).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(answer.json()["error_type"], "GeneralException");
    }
    let answer = served.get("/v2/nothing").await;
    assert_eq!((answer.status.as_u16(), answer.json()["status"].clone()), (404, json!("error")));
}

/// A path of a route, with something in place of its parameters.
fn filled(path: &str) -> String {
    path.replace("{underlying}", "NIFTY").replace("{symbol}", "NSE:M%26M")
}

impl Answer {
    fn json_or_null(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

#[tokio::test]
async fn readiness_names_what_is_missing() {
    let served = Served::new().await;
    let answer = served.get("/readyz").await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({"status":"ready","missing":[]})));
    *served.health.missing.lock().unwrap() = vec!["token of account demo".into()];
    let answer = served.get("/readyz").await;
    assert_eq!(answer.status.as_u16(), 503);
    assert_eq!(answer.json(), json!({"status":"not_ready","missing":["token of account demo"]}));
    assert_eq!(served.get("/healthz").await.status.as_u16(), 200, "alive all the same");
    let health = served.get("/health").await.json();
    assert_eq!((&health["status"], &health["sim"]), (&json!("degraded"), &json!(true)));
    assert_eq!(health["connections"][0]["name"], "demo/0");
    assert_eq!(health["values"], json!({"values":0,"stale":0}));
}

#[tokio::test]
async fn chain_underlyings_ticks_and_metrics() {
    let mut served = Served::new().await;
    let batch =
        served.market.batch(1, &[(served.market.spot(), 2_500_000), (served.market.call(25_000), 10_025)]);
    served.sink.publish(&batch);

    let underlyings = served.get("/v1/underlyings").await.json();
    assert_eq!(underlyings["data"].as_array().unwrap().len(), 1, "a share without derivatives is none");
    let nifty = &underlyings["data"][0];
    assert_eq!((&nifty["name"], &nifty["live"]), (&json!("NIFTY"), &json!(2)));
    assert_eq!(nifty["spot"]["last_price"], 25_000.0);
    assert_eq!(nifty["expiries"][1], json!({"date":"2026-12-01","strikes":3}));

    let chain = served.get("/v1/chain/nifty?expiry=2026-11-24&around=1").await.json();
    assert_eq!(chain["status"], "success");
    assert_eq!(chain["data"]["rows"][1]["call"]["greeks"]["iv"], 0.125);
    let nearest = served.get("/v1/chain/NIFTY").await.json();
    assert_eq!(nearest["data"]["expiry"], "2026-11-24");

    let by_symbol = served.get("/v1/ticks/NSE:NIFTY%2050").await.json();
    assert_eq!(by_symbol["data"]["tradingsymbol"], "NIFTY 50");
    let by_token = served.get(&format!("/v1/ticks/{}", served.market.call(25_000))).await.json();
    assert_eq!(by_token["data"]["last_price"], 100.25);
    assert_eq!(by_token["data"]["greeks"]["forward_source"], "parity");

    let metrics = served.get("/metrics").await;
    assert_eq!(metrics.text(), "ticks_total 7\n");
}

#[tokio::test]
async fn bad_requests_are_refused_in_kites_shape() {
    let served = Served::new().await;
    for (path, status, error_type, says) in [
        ("/v1/chain/NOPE", 404, "InputException", "no underlying is called \"NOPE\""),
        ("/v1/chain/NIFTY?expiry=2026-11-25", 404, "InputException", "NIFTY has no expiry 2026-11-25"),
        ("/v1/chain/NIFTY?expiry=soon", 400, "InputException", "use YYYY-MM-DD or nearest"),
        ("/v1/chain/NIFTY?expiry=2026-02-30", 400, "InputException", "use YYYY-MM-DD or nearest"),
        ("/v1/chain/NIFTY?around=-1", 400, "InputException", "around=<number of strikes>"),
        ("/v1/chain/M&M", 404, "InputException", "M&M has no expiry nearest"),
        ("/v1/ticks/77", 404, "InputException", "no instrument has token 77"),
        ("/v1/ticks/4294967296", 400, "InputException", "cannot read"),
        ("/v1/ticks/INFY", 400, "InputException", "EXCHANGE:TRADINGSYMBOL"),
        ("/v1/ticks/chain:NIFTY", 400, "InputException", "ask for one token"),
        ("/v1/ticks/NSE:M%26M", 404, "DataException", "no tick of NSE:M&M has arrived yet"),
        ("/v1/ticks/%ff%fe", 400, "InputException", "percent-encoded UTF-8"),
        ("/v1/chain/%ff", 400, "InputException", "percent-encoded UTF-8"),
        ("/v1/stream", 426, "InputException", "WebSocket"),
        ("/v1/events", 400, "InputException", "symbols="),
        ("/v1/events?symbols=NSE:NOPE", 404, "InputException", "NSE:NOPE"),
        ("/v1/events?symbols=256265&policy=never", 400, "InputException", "policy is one of"),
    ] {
        let answer = served.get(path).await;
        let body = answer.json();
        assert_eq!(answer.status.as_u16(), status, "{path}: {body}");
        assert_eq!((&body["status"], &body["error_type"]), (&json!("error"), &json!(error_type)), "{path}");
        assert!(body["message"].as_str().unwrap().contains(says), "{path}: {body}");
    }
}

#[tokio::test]
async fn a_request_keeps_its_own_id_when_it_is_usable() {
    let served = Served::new().await;
    let id_of = async |sent: &str| {
        let answer = served.get_with("/healthz", &[("x-request-id", sent)]).await;
        answer.headers["x-request-id"].to_str().unwrap().to_owned()
    };
    assert_eq!(id_of("abc-123").await, "abc-123");
    let (first, second) = (id_of("a b").await, id_of(&"x".repeat(65)).await);
    assert_ne!(first, second);
    assert!(!first.contains(' '));
}

#[tokio::test]
async fn a_configured_key_is_asked_for_everywhere_but_at_the_open_routes() {
    let api_key = Some(ApiKey::new("k3y").unwrap());
    let served = Served::with(Setup { api_key, ..Setup::default() }).await;
    for route in ROUTES {
        for (method, _) in route.methods {
            let answer = served.send(&method.to_uppercase(), &filled(route.path), &[]).await;
            let refused = answer.json_or_null()["error_type"] == "TokenException";
            // The stream is a handshake first; its own tests show that it asks.
            assert_eq!(refused, route.protected && route.path != "/v1/stream", "{method} {}", route.path);
        }
    }
    for (name, value, status) in [
        ("x-api-key", "k3y", 200),
        ("authorization", "token k3y", 200),
        ("authorization", "Bearer k3y", 200),
        ("authorization", "k3y", 403),
        ("x-api-key", "k3y2", 403),
    ] {
        let answer = served.get_with("/v1/underlyings", &[(name, value)]).await;
        assert_eq!(answer.status.as_u16(), status, "{name}: {value}");
    }
}

#[tokio::test]
async fn requests_are_counted_by_route_and_class() {
    let recorder = metrics_util::debugging::DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let served = Served::with(Setup { metrics: ApiMetrics::register(&recorder), ..Setup::default() }).await;
    for path in ["/v1/chain/NIFTY", "/v1/chain/NOPE", "/v1/chain/ALSO", "/elsewhere/1", "/elsewhere/2"] {
        served.get(path).await;
    }
    let mut counted: Vec<String> = Vec::new();
    for (key, _, _, value) in snapshotter.snapshot().into_vec() {
        let key = key.key();
        let labels: Vec<&str> = key.labels().map(metrics::Label::value).collect();
        if let metrics_util::debugging::DebugValue::Counter(count @ 1..) = value {
            counted.push(format!("{} {} {count}", key.name(), labels.join(" ")));
        }
    }
    counted.sort();
    assert_eq!(
        counted,
        [
            "http_requests_total /v1/chain/{underlying} 2xx 1",
            "http_requests_total /v1/chain/{underlying} 4xx 2",
            "http_requests_total other 4xx 2",
        ]
    );
}

#[tokio::test]
async fn the_page_is_whole_and_may_load_nothing_from_elsewhere() {
    let served = Served::new().await;
    let page = served.get("/").await;
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    for (path, content_type) in [("/page.css", "text/css"), ("/page.js", "text/javascript")] {
        assert!(page.text().contains(path), "the page uses {path}");
        let file = served.get(path).await;
        assert!(file.headers["content-type"].to_str().unwrap().starts_with(content_type));
        assert!(!file.text().contains("https://"), "{path} needs nothing from elsewhere");
    }
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_head_is_dropped() {
    let mut setup = Setup::default();
    setup.config.header_read_timeout = Duration::from_millis(50);
    let served = Served::with(setup).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: ").await.unwrap();
    let mut rest = Vec::new();
    // Ends only because the server closes.
    timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
}

#[tokio::test]
async fn one_connection_too_many_is_told_so() {
    let mut setup = Setup::default();
    setup.config.max_connections = 1;
    let served = Served::with(setup).await;
    let mut first = TcpStream::connect(served.address).await.unwrap();
    first.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut head = [0; 12];
    first.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    let mut second = TcpStream::connect(served.address).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, second.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    drop(first);
    let freed = async { while serves(&served).await.is_err() {} };
    timeout(PATIENCE, freed).await.unwrap();
}

async fn serves(served: &Served) -> Result<(), std::io::Error> {
    let mut stream = TcpStream::connect(served.address).await?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).await?;
    if &head == b"HTTP/1.1 200" { Ok(()) } else { Err(std::io::ErrorKind::Other.into()) }
}

#[tokio::test]
async fn shutdown_closes_idle_connections_and_streams_and_returns() {
    let mut served = Served::new().await;
    let mut idle = TcpStream::connect(served.address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut head = [0; 12];
    idle.read_exact(&mut head).await.unwrap();
    let mut client = served.stream("").await;
    served.shutdown.cancel();
    assert_eq!(client.farewell().await, ("shutting_down".to_owned(), 1001));
    drop(client);
    let ended = timeout(PATIENCE, served.server.join_next()).await.unwrap();
    assert!(matches!(ended, Some(Ok(Ok(())))), "{ended:?}");
    assert!(TcpStream::connect(served.address).await.is_err(), "the port is free");
    assert_eq!(served.hub.stats().clients, 0);
}

#[tokio::test]
async fn events_are_ticks_with_the_number_as_id() {
    let mut served = Served::new().await;
    let ticks = served.market.batch(1, &[(SHARE, 10_000)]);
    served.sink.publish(&ticks);
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let request = "GET /v1/events?symbols=NSE:M%26M HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    let read_until = async |seen: &mut String, stream: &mut TcpStream, buffer: &mut [u8], wanted: &str| {
        let found = async {
            while !seen.contains(wanted) {
                let count = stream.read(buffer).await.unwrap();
                assert!(count > 0, "closed before {wanted}: {seen}");
                seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
        };
        timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("no {wanted} came"));
    };
    read_until(&mut seen, &mut stream, &mut buffer, "id: 1\nevent: ticks\ndata: {\"v\":1,").await;
    served.sink.publish(&served.market.batch(2, &[(SHARE, 10_100)]));
    read_until(&mut seen, &mut stream, &mut buffer, "id: 2\nevent: ticks\n").await;
    assert!(seen.contains("content-type: text/event-stream"));
    drop(stream);
    let gone = async {
        let mut seq = 3;
        while served.hub.stats().clients > 0 {
            served.sink.publish(&served.market.batch(seq, &[(SHARE, 10_200)]));
            seq += 1;
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap();
}
