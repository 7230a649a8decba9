//! A panic in the middle of the path: caught, counted, shown, recovered from.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gateway::{Config, Gateway};
use market_model::{Clock, SystemClock, UnixNanos};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// A clock whose next reader panics when it is armed. The ticker, the pipeline and the sinks all read it.
#[derive(Default)]
struct TrippingClock {
    armed: AtomicBool,
}

impl Clock for TrippingClock {
    fn now(&self) -> UnixNanos {
        assert!(!self.armed.swap(false, Ordering::SeqCst), "the test's clock tripped");
        SystemClock.now()
    }
}

async fn get(address: SocketAddr, path: &str) -> Option<Value> {
    let mut socket = TcpStream::connect(address).await.ok()?;
    socket.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.ok()?;
    serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
}

fn feed(health: &Value) -> &Value {
    health["tasks"].as_array().unwrap().iter().find(|task| task["name"] == "feed/sim").unwrap()
}

/// Waits for `wanted` to be true of the health report.
async fn until(address: SocketAddr, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let search = async {
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        loop {
            pace.tick().await;
            if let Some(health) = get(address, "/health").await.filter(|health| wanted(health)) {
                return health;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), search)
        .await
        .unwrap_or_else(|_| panic!("waited in vain until {what}"))
}

fn ticks(health: &Value) -> u64 {
    health["accounts"][0]["ticks"].as_u64().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_the_feed_is_caught_shown_and_recovered_from() {
    let data = tempfile::tempdir().unwrap();
    let settings = [("GATEWAY_LISTEN", "127.0.0.1:0"), ("GATEWAY_DATA_DIR", data.path().to_str().unwrap())];
    let env = BTreeMap::from(settings.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let clock = Arc::new(TrippingClock::default());
    let gateway = Gateway::build(Config::read(&env, None).unwrap(), clock.clone(), None).await.unwrap();
    let (address, stop) = (gateway.address(), CancellationToken::new());
    let test = async {
        until(address, "ticks arrive", |health| ticks(health) > 100).await;
        // Whoever reads the clock next panics; it takes a few tries until that is the pipeline.
        let panicked = loop {
            clock.armed.store(true, Ordering::SeqCst);
            let tripped = async {
                let mut pace = tokio::time::interval(Duration::from_millis(1));
                while clock.armed.load(Ordering::SeqCst) {
                    pace.tick().await;
                }
            };
            tokio::time::timeout(Duration::from_secs(60), tripped).await.unwrap();
            let health = until(address, "the report is back", |health| health["tasks"].is_array()).await;
            if feed(&health)["panics"].as_u64().unwrap() > 0 {
                break health;
            }
        };
        assert!(feed(&panicked)["last_exit"].as_str().unwrap().contains("clock tripped"), "{panicked}");
        let back = until(address, "the feed runs again", |health| {
            feed(health)["state"] == "running" && ticks(health) > 100 && health["status"] == "ok"
        });
        assert!(feed(&back.await)["restarts"].as_u64().unwrap() >= 1);
        stop.cancel();
    };
    let (report, ()) = tokio::join!(gateway.run(stop.clone()), test);
    assert!(report.is_clean(), "{report:?}");
}
