//! Two gateways on one Postgres and one Redis: killed, paused, cut off. Each account speaks with one voice.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use kite_sim::{App, SimConfig};
use serde_json::Value;
use sql_store::testing::{self, Network, PostgresServer, Proxy};

use crate::process::{Gateway, PATIENCE, tool, until};
use crate::redis::{Redis, free_port};
use crate::sim::Sim;

/// What the issue allows.
const TAKEOVER: Duration = Duration::from_secs(10);

/// A batch as a subscriber of Redis saw it.
struct Heard {
    at: Instant,
    source: String,
}

/// Everything around two gateways.
pub(crate) struct Stage {
    runtime: tokio::runtime::Runtime,
    postgres: &'static PostgresServer,
    database: String,
    pub(crate) redis: Redis,
    sim: Sim,
    accounts: tempfile::NamedTempFile,
    heard: Receiver<Heard>,
    all: Vec<Heard>,
}

// === impl Stage ===

impl Stage {
    /// `None` where Postgres or Redis are missing.
    pub(crate) fn new() -> Option<Self> {
        let server = tool("KITE_TEST_REDIS_SERVER")?;
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let postgres = runtime.block_on(testing::server())?;
        let database = format!("instances_{}", free_port());
        runtime.block_on(postgres.create_database(&database));
        let redis = Redis::start(&server, free_port());
        let apps = (1..=2).map(App::numbered).collect();
        let sim = Sim::start(SimConfig { apps, ticks_per_second: 4.0, ..SimConfig::default() });
        let mut accounts = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
        for number in 1..=2 {
            writeln!(
                accounts,
                "[[account]]\nname = \"a{number}\"\napi_key = \"load{number:02}\"\naccess_token = \"token{number:02}\"\n\
                 rest_url = \"http://{0}\"\nticker_url = \"ws://{0}\"\nsimulated = true",
                sim.addr
            )
            .unwrap();
        }
        let heard = subscribe(&redis);
        Some(Self { runtime, postgres, database, redis, sim, accounts, heard, all: Vec::new() })
    }

    pub(crate) fn url(&self) -> String {
        self.postgres.url(&self.database)
    }

    pub(crate) fn gateway(&self, name: &str, database: &str) -> Gateway {
        self.gateway_as("feed,api", name, database)
    }

    pub(crate) fn gateway_as(&self, roles: &str, name: &str, database: &str) -> Gateway {
        self.gateway_with(("GATEWAY_ROLES", roles), name, database)
    }

    fn gateway_with(&self, setting: (&str, &str), name: &str, database: &str) -> Gateway {
        Gateway::start(&[
            setting,
            ("GATEWAY_INSTANCE", name),
            ("DATABASE_URL", database),
            ("REDIS_URL", &format!("redis://127.0.0.1:{}", self.redis.port)),
            ("KITE_ACCOUNTS_FILE", self.accounts.path().to_str().unwrap()),
            ("GATEWAY_SUBSCRIBE", "NSE:*:full"),
        ])
    }

    /// Postgres behind a network that may fail, and its address.
    fn frail_database(&self) -> (Proxy, String) {
        let direct = self.url();
        let port = direct.rsplit_once(':').unwrap().1.split('/').next().unwrap().parse().unwrap();
        let proxy = self.runtime.block_on(Proxy::start(port));
        let through = direct.replace(&format!(":{port}/"), &format!(":{}/", proxy.port()));
        (proxy, through)
    }

    /// Takes what Redis brought meanwhile.
    fn listen(&mut self) {
        self.all.extend(self.heard.try_iter());
    }

    /// How long after `since` the first batch of `account` came that is of none of the sources before.
    fn new_voice(&mut self, account: &str, since: Instant) -> Duration {
        let former = self.voices(account);
        let mut came = None;
        until("another instance speaks for the account", || {
            self.listen();
            let fresh = self.all.iter().find(|heard| {
                heard.at > since
                    && account_of(&heard.source) == account
                    && !former.contains_key(&heard.source)
            });
            came = fresh.map(|heard| heard.at.duration_since(since));
            came.is_some()
        });
        came.unwrap()
    }

    /// The sources of `account` with the first and the last time they were heard.
    fn voices(&mut self, account: &str) -> BTreeMap<String, (Instant, Instant)> {
        self.listen();
        let mut voices = BTreeMap::new();
        for heard in self.all.iter().filter(|heard| account_of(&heard.source) == account) {
            voices.entry(heard.source.clone()).or_insert((heard.at, heard.at)).1 = heard.at;
        }
        voices
    }

    /// Nobody spoke for an account after somebody else had begun to.
    fn check_one_voice(&mut self) {
        for account in ["a1", "a2"] {
            let mut voices: Vec<_> = self.voices(account).into_iter().collect();
            voices.sort_by_key(|(_, (first, _))| *first);
            for pair in voices.windows(2) {
                let [(old, (_, last)), (new, (first, _))] = pair else { unreachable!() };
                assert!(last < first, "{old} spoke after {new} had begun");
            }
        }
    }

    /// How many ticker connections the simulator has of each account's key.
    fn connections(&self) -> BTreeMap<String, usize> {
        let status = crate::http::get(self.sim.addr, "/sim/status").unwrap().body;
        let status: Value = serde_json::from_str(&status).unwrap();
        let mut count = BTreeMap::new();
        for connection in status["connections"].as_array().unwrap() {
            *count.entry(connection["api_key"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        count
    }

    pub(crate) fn each_key_has_one(&self) -> bool {
        let expected = [("load01".to_owned(), 1), ("load02".to_owned(), 1)];
        self.connections() == BTreeMap::from(expected)
    }
}

fn account_of(source: &str) -> &str {
    source.split('~').next().unwrap_or(source)
}

/// Every batch on every tick channel.
fn subscribe(redis: &Redis) -> Receiver<Heard> {
    let mut socket = TcpStream::connect(("127.0.0.1", redis.port)).unwrap();
    socket.write_all(b"PSUBSCRIBE kg:v1:tick:*\r\n").unwrap();
    let (send, heard) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(socket).lines().map_while(Result::ok) {
            if let Some((_, rest)) = line.split_once("\"source\":\"")
                && let Some((source, _)) = rest.split_once('"')
                && send.send(Heard { at: Instant::now(), source: source.to_owned() }).is_err()
            {
                return;
            }
        }
    });
    heard
}

pub(crate) fn streams(gateway: &Gateway, account: &str) -> bool {
    let health = gateway.json("/health");
    let accounts = health["accounts"].as_array().unwrap();
    accounts.iter().any(|row| row["name"] == account && row["streamed_here"] == true)
}

/// The account that `gateway` streams; two instances share two accounts evenly.
fn share(gateway: &Gateway) -> &'static str {
    if streams(gateway, "a1") { "a1" } else { "a2" }
}

/// What one event stream says beside ticks.
pub(crate) fn events(gateway: &Gateway) -> Receiver<Value> {
    let mut socket = TcpStream::connect(gateway.addr).unwrap();
    write!(socket, "GET /v1/events?symbols=NSE:INFY HTTP/1.0\r\nHost: {}\r\n\r\n", gateway.addr).unwrap();
    let (send, events) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(socket).lines().map_while(Result::ok) {
            let Some(json) = line.strip_prefix("data:") else { continue };
            let Ok(event) = serde_json::from_str::<Value>(json.trim()) else { continue };
            if event["type"] != "ticks" && send.send(event).is_err() {
                return;
            }
        }
    });
    events
}

pub(crate) fn both_share(one: &Gateway, other: &Gateway) {
    until("both instances stream an account", || {
        ["a1", "a2"].iter().all(|account| streams(one, account) != streams(other, account))
            && ["a1", "a2"].iter().any(|account| streams(one, account))
            && ["a1", "a2"].iter().any(|account| streams(other, account))
    });
}

#[test]
fn the_accounts_of_a_killed_instance_are_live_elsewhere() {
    let Some(mut stage) = Stage::new() else { return };
    let url = stage.url();
    let one = stage.gateway("one", &url).ready();
    let other = stage.gateway("other", &url).ready();
    both_share(&one, &other);
    until("each account is streamed once", || stage.each_key_has_one());
    let account = share(&one);
    let seen = events(&other);

    let killed = Instant::now();
    one.program.signal("KILL");
    let took = stage.new_voice(account, killed);
    eprintln!("killed: {account} speaks again after {took:?}");
    assert!(took < TAKEOVER, "{took:?}");
    assert!(stage.each_key_has_one(), "{:?}", stage.connections());
    stage.check_one_voice();
    // The consumer of the other instance is told what it missed.
    let mut others = Vec::new();
    let gap = std::iter::from_fn(|| seen.recv_timeout(PATIENCE).ok()).find(|event| {
        others.push(event.to_string());
        event["type"] == "gap"
    });
    let gap = gap.unwrap_or_else(|| panic!("no gap was told, but {others:#?}"));
    assert_eq!(gap["account"], account, "{gap}");
    assert!(gap["from"].as_i64().unwrap() < gap["to"].as_i64().unwrap(), "{gap}");
}

#[test]
fn an_instance_that_was_paused_wakes_up_and_keeps_silent() {
    let Some(mut stage) = Stage::new() else { return };
    let url = stage.url();
    let mut one = stage.gateway("one", &url).ready();
    let other = stage.gateway("other", &url).ready();
    both_share(&one, &other);
    let account = share(&one);

    let paused = Instant::now();
    one.program.signal("STOP");
    let took = stage.new_voice(account, paused);
    eprintln!("paused: {account} speaks again after {took:?}");
    assert!(took < TAKEOVER, "{took:?}");
    one.program.signal("CONT");
    one.program.line_with("lease lost, the feed stops");
    until("the sockets of the former holder are gone", || stage.each_key_has_one() || streams(&one, account));
    stage.check_one_voice();
}

#[test]
fn an_instance_that_is_cut_off_from_the_database_gives_way() {
    let Some(mut stage) = Stage::new() else { return };
    let direct = stage.url();
    let (proxy, through) = stage.frail_database();
    let one = stage.gateway("one", &through).ready();
    let other = stage.gateway("other", &direct).ready();
    both_share(&one, &other);
    let account = share(&one);

    let cut = Instant::now();
    proxy.set(Network::BlackHole);
    let took = stage.new_voice(account, cut);
    eprintln!("cut off: {account} speaks again after {took:?}");
    assert!(took < TAKEOVER, "{took:?}");
    until("the one that is cut off says so", || {
        let ready = crate::http::get(one.addr, "/readyz").unwrap();
        ready.status == 503 && ready.body.contains("database")
    });
    until("each account is streamed once", || stage.each_key_has_one());
    stage.check_one_voice();
    // Nothing has to be done when the network is back.
    proxy.set(Network::Good);
    both_share(&one, &other);
    stage.check_one_voice();
}

#[test]
fn an_instance_that_is_said_to_be_alone_streams_on_without_the_database() {
    let Some(mut stage) = Stage::new() else { return };
    let (proxy, through) = stage.frail_database();
    let one = stage.gateway_with(("GATEWAY_SOLE_INSTANCE", "true"), "one", &through).ready();
    until("both accounts are streamed", || ["a1", "a2"].iter().all(|account| streams(&one, account)));

    let cut = Instant::now();
    proxy.set(Network::BlackHole);
    until("it says so", || {
        let ready = crate::http::get(one.addr, "/readyz").unwrap();
        ready.status == 503 && ready.body.contains("database")
    });
    let mut late = BTreeMap::new();
    until("both accounts speak when any lease would be over", || {
        stage.listen();
        let heard = stage.all.iter().filter(|heard| heard.at > cut + TAKEOVER);
        late.extend(heard.map(|heard| (account_of(&heard.source).to_owned(), heard.source.clone())));
        late.len() == 2
    });
    proxy.set(Network::Good);
    until("it is well again", || crate::http::get(one.addr, "/readyz").unwrap().status == 200);
    stage.check_one_voice();
    // The same runs of the same feeds all the time.
    assert_eq!(
        stage.all.iter().map(|heard| &heard.source).collect::<std::collections::BTreeSet<_>>().len(),
        2
    );
}
