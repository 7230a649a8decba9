//! Four days in half a minute: the gateway and a simulated broker on one clock that is put forward. The log is the story,
//! and it is asserted.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway::{Config, Gateway};
use kite_sim::{App, LotRevision, PlannedMove, Sessions, SimClock, SimConfig, Simulator};
use market_model::UnixNanos;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// Of the market at eleven on the first day.
const MOVE: f64 = -0.03;

/// What the gateway logged, line by line.
#[derive(Clone, Default)]
struct Story(Arc<Mutex<Vec<u8>>>);

impl Story {
    fn lines(&self) -> Vec<String> {
        String::from_utf8_lossy(&self.0.lock().unwrap()).lines().map(str::to_owned).collect()
    }
}

impl Write for Story {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The gateway, the clock and what was logged.
struct Days {
    address: SocketAddr,
    clock: SimClock,
    story: Story,
}

impl Days {
    /// Status, `Location` and body of a request.
    async fn ask(&self, address: SocketAddr, path: &str) -> (u16, String, String) {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let location = head.lines().find_map(|line| line.strip_prefix("location: ")).unwrap_or_default();
        (status, location.to_owned(), body.to_owned())
    }

    async fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.ask(self.address, path).await.2).unwrap()
    }

    /// In India.
    fn forward(&self, ist: &str) {
        self.clock.put_forward(instant(ist)).unwrap();
    }

    /// Waits for a log line that holds all of `parts`.
    async fn told(&self, parts: &[&str]) {
        self.until(&format!("a line with {parts:?}"), async || {
            self.story.lines().iter().any(|line| parts.iter().all(|part| line.contains(part)))
        })
        .await;
    }

    async fn until(&self, what: &str, condition: impl AsyncFn() -> bool) {
        let search = async {
            let mut pace = tokio::time::interval(Duration::from_millis(20));
            while !condition().await {
                pace.tick().await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(60), search).await.is_err() {
            panic!("waited in vain until {what}; the story so far:\n{}", self.story.lines().join("\n"));
        }
    }

    /// As an operator in the morning: the gateway's login page, the broker's button, and back.
    async fn log_in(&self) {
        let (status, broker, _) = self.ask(self.address, "/v1/accounts/main/login").await;
        assert_eq!(status, 302);
        let (host, path) = broker.strip_prefix("http://").unwrap().split_once('/').unwrap();
        let (status, back, _) = self.ask(host.parse().unwrap(), &format!("/{path}&skip=1")).await;
        assert_eq!(status, 302);
        let query = back.split_once('?').unwrap().1;
        let (status, _, page) = self.ask(self.address, &format!("/kite/callback?{query}")).await;
        assert_eq!(status, 200, "{page}");
    }

    /// The middle of the nearest NIFTY ladder.
    async fn centre(&self) -> Option<f64> {
        self.json("/v1/plan").await["data"]["ladders"][0]["centre"].as_f64()
    }

    async fn ticks(&self) -> u64 {
        self.json("/health").await["accounts"][0]["ticks"].as_u64().unwrap_or(0)
    }

    async fn ticking(&self) {
        let before = self.ticks().await;
        self.until("ticks come", async || self.ticks().await > before + 20).await;
    }
}

fn instant(ist: &str) -> UnixNanos {
    let civil: jiff::civil::DateTime = ist.parse().unwrap();
    let at = exchange_calendar::ist().to_timestamp(civil).unwrap();
    UnixNanos::from_secs(at.as_second())
}

#[tokio::test]
async fn days_pass_as_they_should() {
    let story = Story::default();
    let writer = story.clone();
    let log = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _logging = tracing::subscriber::set_default(log);

    let mut config = SimConfig {
        start: Some(instant("2026-11-20 08:20:00")),
        sessions: Sessions::Calendar,
        apps: vec![App { access_token: None, ..App::default() }],
        ..SimConfig::default()
    };
    config.market.moves = vec![PlannedMove { at: instant("2026-11-20 11:00:00"), fraction: MOVE }];
    let from = jiff::civil::date(2026, 11, 23);
    config.market.lot_revisions = vec![LotRevision { underlying: "NIFTY".to_owned(), from, size: 70 }];
    let sim = Simulator::bind(config, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let (broker, clock) = (sim.addr(), sim.clock());

    let data = tempfile::tempdir().unwrap();
    let settings = [
        ("GATEWAY_LISTEN", "127.0.0.1:0".to_owned()),
        ("GATEWAY_DATA_DIR", data.path().display().to_string()),
        ("GATEWAY_SUBSCRIBE", "NIFTY:1:10:full".to_owned()),
        ("GATEWAY_CLOCK_LOOK_MS", "50".to_owned()),
        ("KITE_API_KEY", "simkey".to_owned()),
        ("KITE_API_SECRET", "simsecret".to_owned()),
        ("KITE_SIMULATED", "true".to_owned()),
        ("KITE_REST_URL", format!("http://{broker}")),
        ("KITE_TICKER_URL", format!("ws://{broker}")),
    ];
    let env = BTreeMap::from(settings.map(|(name, value)| (name.to_owned(), value)));
    let gateway =
        Gateway::build(Config::read(&env, None).unwrap(), Arc::new(clock.clone()), None).await.unwrap();
    let days = Days { address: gateway.address(), clock, story };
    let stop = CancellationToken::new();

    let story = async {
        // Friday, twenty past eight: nobody has logged in.
        days.until("readiness says what to do", async || {
            let (status, _, body) = days.ask(days.address, "/readyz").await;
            status == 503 && body.contains("log in")
        })
        .await;
        days.log_in().await;
        days.told(&["logged in", "account=main"]).await;
        days.told(&["ticker connection stands"]).await;

        days.forward("2026-11-20 08:36:00");
        days.told(&["instruments refreshed", "day=2026-11-20"]).await;
        days.forward("2026-11-20 09:00:30");
        days.told(&["session", "exchange=\"NSE\"", "is=\"pre_open\""]).await;
        days.forward("2026-11-20 09:15:05");
        days.told(&["session", "exchange=\"NFO\"", "is=\"continuous\""]).await;
        days.ticking().await;
        days.until("the ladder stands", async || days.centre().await.is_some()).await;
        let before = days.centre().await.unwrap();

        // The market falls at eleven, and the ladder with it.
        days.forward("2026-11-20 11:00:05");
        let expected = before * (1.0 + MOVE);
        days.until("the ladder has followed", async || {
            days.centre().await.is_some_and(|centre| (centre - expected).abs() < before * 0.008)
        })
        .await;
        days.told(&["subscriptions changed", "cause=\"reload\""]).await;

        // The edges of the afternoon.
        days.forward("2026-11-20 15:15:05");
        days.ticking().await;
        days.forward("2026-11-20 15:30:05");
        days.told(&["session", "exchange=\"NSE\"", "was=\"continuous\""]).await;
        days.forward("2026-11-20 15:40:05");
        days.told(&["session", "exchange=\"NFO\"", "was=\"continuous\""]).await;

        // Saturday, six o'clock: the token dies, and nobody storms the broker.
        days.forward("2026-11-21 05:31:00");
        days.told(&["access token changed with time", "expiring"]).await;
        days.forward("2026-11-21 06:00:01");
        days.told(&["access token changed with time", "expired"]).await;
        days.until("the account is lost", async || {
            days.json("/health").await["accounts"][0]["lost_because"] == "the access token has expired"
        })
        .await;

        // Monday: another login, another dump, and NIFTY has another lot.
        days.forward("2026-11-23 08:20:00");
        days.log_in().await;
        days.forward("2026-11-23 08:36:00");
        days.told(&["instruments refreshed", "day=2026-11-23"]).await;
        let lines = days.story.lines();
        assert!(
            !lines.iter().any(|line| line.contains("refreshed") && line.contains("day=2026-11-21")),
            "a dump on a Saturday"
        );
        let changes = days.json("/v1/instruments/changes").await["data"].clone();
        let told = changes["story"].as_str().unwrap();
        assert!(told.contains("lot") && told.contains("65") && told.contains("70"), "{changes}");
        days.forward("2026-11-23 09:15:05");
        days.ticking().await;
        let (_, _, was) = days.ask(days.address, "/v1/instruments?search=NIFTY%20FUT&limit=1").await;
        let was: Value = serde_json::from_str(&was).unwrap();
        let (symbol, lot) = (was["data"][0]["tradingsymbol"].as_str().unwrap(), &was["data"][0]["lot_size"]);
        assert_eq!(lot, 70);
        let friday = days.json(&format!("/v1/instruments/NFO:{symbol}?as_of=2026-11-20")).await;
        assert_eq!(friday["data"]["lot_size"], 65, "{friday}");
        stop.cancel();
    };
    let (report, (), ()) = tokio::join!(gateway.run(stop.clone()), story, sim.run(stop.clone()));
    assert!(report.is_clean(), "{report:?}");
}
