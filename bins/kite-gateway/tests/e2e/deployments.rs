//! Redis as it is run when it must not fail, with the whole gateway: behind sentinels it loses its master, in a cluster
//! slots move and a master dies. Consumers see values again, and account for every tick.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use market_model::{Clock, SystemClock, UnixNanos};
use serde_json::Value;

use crate::process::{Gateway, PATIENCE, tool, until};
use crate::redis::{Redis, free_port};

const WISHES: (&str, &str) = ("GATEWAY_SUBSCRIBE", "NIFTY:1:10:full,NSE:INFY:full,NSE:RELIANCE:full");

/// Asks one server, command by command.
struct Admin(BufReader<TcpStream>);

/// A consumer that knows to the tick what it has missed, over all streams from their beginning.
struct Consumer {
    batches: Receiver<Value>,
    streams: BTreeMap<(String, String), Stream>,
    /// Ends the thread that listens.
    _alive: Arc<()>,
}

#[derive(Default)]
struct Stream {
    received: u64,
    missed: u64,
    total: u64,
    /// When its newest batch was published.
    newest: UnixNanos,
}

// === impl Admin ===

impl Admin {
    fn of(redis: &Redis) -> Self {
        let socket = TcpStream::connect(("127.0.0.1", redis.port)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(socket))
    }

    /// The words of the answer, without its structure.
    fn ask(&mut self, command: &str) -> Vec<String> {
        self.0.get_mut().write_all(format!("{command}\r\n").as_bytes()).unwrap();
        let mut words = Vec::new();
        self.read(&mut words);
        words
    }

    fn ok(&mut self, command: &str) {
        assert_eq!(self.ask(command), ["OK"], "{command}");
    }

    /// The word after `field`.
    fn field(&mut self, command: &str, field: &str) -> String {
        let words = self.ask(command);
        let at = words.iter().position(|word| word == field).unwrap_or_else(|| panic!("{words:?}"));
        words[at + 1].clone()
    }

    fn read(&mut self, words: &mut Vec<String>) {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        let (kind, rest) = line.trim_end().split_at(1);
        match kind {
            "*" => (0..rest.parse::<i64>().unwrap().max(0)).for_each(|_| self.read(words)),
            "$" if rest.starts_with('-') => words.push(String::new()),
            "$" => {
                let mut bulk = vec![0; rest.parse::<usize>().unwrap() + 2];
                self.0.read_exact(&mut bulk).unwrap();
                words.push(String::from_utf8_lossy(&bulk[..bulk.len() - 2]).into_owned());
            }
            _ => words.push(rest.to_owned()),
        }
    }
}

// === impl Consumer ===

impl Consumer {
    fn of(redis: &Redis) -> Self {
        let (port, alive) = (redis.port, Arc::new(()));
        let (send, batches) = channel();
        let watched = Arc::downgrade(&alive);
        let (subscribed, ready) = channel();
        std::thread::spawn(move || {
            // Sentinels have the clients of a new master thrown out; a consumer comes back.
            while watched.strong_count() > 0 {
                let Ok(mut socket) = TcpStream::connect(("127.0.0.1", port)) else {
                    std::thread::park_timeout(Duration::from_millis(20));
                    continue;
                };
                socket.write_all(b"PSUBSCRIBE kg:v1:tick:*\r\n").unwrap();
                for line in BufReader::new(socket).lines().map_while(Result::ok) {
                    if line.starts_with(":1") {
                        let _ = subscribed.send(());
                    }
                    if line.starts_with("{\"v\":1")
                        && send.send(serde_json::from_str(&line).unwrap()).is_err()
                    {
                        return;
                    }
                }
            }
        });
        ready.recv_timeout(PATIENCE).unwrap();
        Self { batches, streams: BTreeMap::new(), _alive: alive }
    }

    /// Takes what came meanwhile.
    fn take(&mut self) {
        for batch in self.batches.try_iter() {
            let name = (batch["topic"].to_string(), batch["source"].as_str().unwrap().to_owned());
            let number = |field: &str| batch[field].as_u64().unwrap();
            let (count, total) = (number("tick_count"), number("tick_total"));
            let stream = self.streams.entry(name.clone()).or_default();
            assert!(total - count >= stream.total, "{name:?} goes back: {total} after {}", stream.total);
            stream.missed += total - count - stream.total;
            stream.received += count;
            stream.total = total;
            stream.newest = UnixNanos(number("ts_publish") as i64);
        }
    }

    fn received(&self) -> u64 {
        self.streams.values().map(|stream| stream.received).sum()
    }

    fn missed(&self) -> u64 {
        self.streams.values().map(|stream| stream.missed).sum()
    }

    /// How long after `event` every stream had brought something that was published after it.
    fn all_speak_after(&mut self, event: impl FnOnce()) -> Duration {
        let (begun, at) = (Instant::now(), SystemClock.now());
        event();
        until("every stream speaks again", || {
            self.take();
            self.streams.values().all(|stream| stream.newest > at)
        });
        begun.elapsed()
    }

    /// Everything that was given to Redis until now is received, or known to be missing.
    fn check_conservation(&mut self, gateway: &Gateway) {
        let offered = gateway.metric("redis_ticks_offered_total");
        let told = ["published", "failed", "dropped"]
            .map(|fate| gateway.metric(&format!("redis_ticks_{fate}_total")));
        until("every tick that was offered is accounted for", || {
            self.take();
            (self.received() + self.missed()) as f64 >= offered
        });
        let [published, failed, dropped] = told;
        eprintln!(
            "offered {offered}: published {published}, failed {failed}, dropped {dropped}; \
             the consumer received {} and missed {}",
            self.received(),
            self.missed()
        );
        assert!(published <= self.received() as f64 + self.missed() as f64);
    }
}

fn healthy(gateway: &Gateway) -> bool {
    crate::http::get(gateway.addr, "/readyz").is_ok_and(|answer| answer.status == 200)
}

/// Until then it passes on nothing of what its master publishes.
fn follows(replica: &Redis) -> bool {
    Admin::of(replica).ask("INFO replication").concat().contains("master_link_status:up")
}

#[test]
fn behind_sentinels_the_new_master_is_found() {
    let Some(server) = tool("KITE_TEST_REDIS_SERVER") else { return };
    let master = Redis::start(&server, free_port());
    let replica =
        Redis::start_with(&server, free_port(), &["--replicaof", "127.0.0.1", &master.port.to_string()]);
    let sentinels: Vec<Redis> = (0..3).map(|_| sentinel(&server, master.port)).collect();
    until("the sentinels know each other and the replica", || {
        sentinels.iter().all(|sentinel| {
            let mut admin = Admin::of(sentinel);
            admin.field("SENTINEL MASTER main", "num-other-sentinels") == "2"
                && admin.field("SENTINEL MASTER main", "num-slaves") == "1"
        })
    });
    until("the replica follows", || follows(&replica));
    // It stays with the replica, which passes on what its master publishes and is the next master.
    let mut consumer = Consumer::of(&replica);
    let [a, b, c] = [0, 1, 2].map(|n: usize| sentinels[n].port);
    let url = format!(
        "redis-sentinel://127.0.0.1:{a}?sentinelServiceName=main&node=127.0.0.1:{b}&node=127.0.0.1:{c}"
    );
    let gateway = Gateway::start(&[("REDIS_URL", &url), WISHES]).ready();
    until("many ticks travel", || {
        consumer.take();
        consumer.received() > 1000
    });
    consumer.check_conservation(&gateway);
    assert_eq!(consumer.missed(), 0);

    let ticks = gateway.metric("ticker_ticks_total");
    let pause = consumer.all_speak_after(|| master.kill());
    eprintln!("sentinels: master killed, values again after {pause:?}");
    assert!(pause < Duration::from_secs(25), "{pause:?}");
    assert!(gateway.metric("ticker_ticks_total") > ticks, "the feed stopped");
    consumer.check_conservation(&gateway);
    assert!(consumer.missed() > 0, "nothing was lost with a master that died");
    until("the gateway is well", || healthy(&gateway));
    // Last values are written to the new master.
    let mut admin = Admin::of(&replica);
    let token = gateway.json("/v1/ticks/NSE:INFY")["data"]["instrument_token"].clone();
    let at = |admin: &mut Admin| admin.ask(&format!("HGET kg:v1:last:{token} ts_publish"))[0].clone();
    let before = at(&mut admin);
    until("last values are written to the new master", || at(&mut admin) > before);
}

fn sentinel(server: &Path, master: u16) -> Redis {
    let conf = format!(
        "sentinel monitor main 127.0.0.1 {master} 2\nsentinel down-after-milliseconds main 500\n\
         sentinel failover-timeout main 2000\n"
    );
    Redis::sentinel(server, free_port(), &conf)
}

/// Three masters and a replica of the last one.
fn cluster(server: &Path) -> Vec<Redis> {
    let mut nodes: Vec<Redis> = Vec::new();
    let mut buses = Vec::new();
    for slots in [Some("0 5460"), Some("5461 10922"), Some("10923 16383"), None] {
        let bus = free_port().to_string();
        let node = Redis::start_with(
            server,
            free_port(),
            &[
                "--cluster-enabled",
                "yes",
                "--cluster-announce-ip",
                "127.0.0.1",
                "--cluster-node-timeout",
                "2000",
                "--cluster-port",
                &bus,
            ],
        );
        let mut admin = Admin::of(&node);
        if let Some(slots) = slots {
            admin.ok(&format!("CLUSTER ADDSLOTSRANGE {slots}"));
        }
        if let (Some(first), Some(bus)) = (nodes.first(), buses.first()) {
            admin.ok(&format!("CLUSTER MEET 127.0.0.1 {} {bus}", first.port));
        }
        buses.push(bus);
        nodes.push(node);
    }
    let knows =
        |text: &str| nodes.iter().all(|node| Admin::of(node).ask("CLUSTER INFO").concat().contains(text));
    until("the nodes know each other", || knows("cluster_known_nodes:4"));
    let last = Admin::of(&nodes[2]).ask("CLUSTER MYID").concat();
    until("the replica follows", || Admin::of(&nodes[3]).ask(&format!("CLUSTER REPLICATE {last}")) == ["OK"]);
    until("the cluster is well", || knows("cluster_state:ok") && follows(&nodes[3]));
    nodes
}

#[test]
fn in_a_cluster_slots_move_and_a_master_dies() {
    let Some(server) = tool("KITE_TEST_REDIS_SERVER") else { return };
    let nodes = cluster(&server);
    let [a, b, c] = [0, 1, 2].map(|n: usize| nodes[n].port);
    let mut consumer = Consumer::of(&nodes[0]);
    let url = format!("redis-cluster://127.0.0.1:{a}?node=127.0.0.1:{b}&node=127.0.0.1:{c}");
    let gateway = Gateway::start(&[("REDIS_URL", &url), WISHES]).ready();
    until("many ticks travel", || {
        consumer.take();
        consumer.received() > 1000
    });

    // The slots of two instruments move, each to the next node, while their values are written.
    let mut admins: Vec<Admin> = nodes.iter().map(Admin::of).collect();
    let ids: Vec<String> = admins.iter_mut().map(|admin| admin.ask("CLUSTER MYID").concat()).collect();
    for symbol in ["NSE:INFY", "NSE:RELIANCE"] {
        let token = gateway.json(&format!("/v1/ticks/{symbol}"))["data"]["instrument_token"].clone();
        let key = format!("kg:v1:last:{token}");
        let slot = admins[0].ask(&format!("CLUSTER KEYSLOT {key}")).concat();
        let number: u16 = slot.parse().unwrap();
        let from = usize::from(number > 5460) + usize::from(number > 10_922);
        let to = (from + 1) % 3;
        let pause = consumer.all_speak_after(|| {
            admins[to].ok(&format!("CLUSTER SETSLOT {slot} IMPORTING {}", ids[from]));
            admins[from].ok(&format!("CLUSTER SETSLOT {slot} MIGRATING {}", ids[to]));
            let migrated = admins[from].ask(&format!("MIGRATE 127.0.0.1 {} {key} 0 5000", nodes[to].port));
            assert_eq!(migrated, ["OK"]);
            for at in [to, from] {
                admins[at].ok(&format!("CLUSTER SETSLOT {slot} NODE {}", ids[to]));
            }
        });
        let before = admins[to].ask(&format!("HGET {key} ts_publish")).concat();
        until("its last value is written where the slot is now", || {
            admins[to].ask(&format!("HGET {key} ts_publish")).concat() > before
        });
        eprintln!("cluster: slot {slot} of {symbol} moved, every stream spoke again after {pause:?}");
    }
    consumer.check_conservation(&gateway);
    assert_eq!(consumer.missed(), 0, "a slot that moves costs no tick");
    until("the gateway is well", || healthy(&gateway));

    // A master dies and its replica takes over: ticks need it only while they went through it, values wait.
    let pause = consumer.all_speak_after(|| nodes[2].kill());
    eprintln!("cluster: a master killed, every stream spoke again after {pause:?}");
    until("the replica is the master", || admins[3].ask("ROLE")[0] == "master");
    until("the gateway is well", || healthy(&gateway));
    consumer.check_conservation(&gateway);
    let keys = admins[3].ask("KEYS kg:v1:last:*");
    let key = keys.first().unwrap();
    let before = admins[3].ask(&format!("HGET {key} ts_publish")).concat();
    until("last values are written to the new master", || {
        admins[3].ask(&format!("HGET {key} ts_publish")).concat() > before
    });
}
