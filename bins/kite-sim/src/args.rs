//! The command line, and what is printed at the start.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use kite_sim::{App, LoadConfig, Sessions, SimConfig, WholeMarket, fault_script};
use market_model::UnixNanos;

/// A simulated Kite: the broker's REST interface and ticker over a made-up market, on one address.
///
/// Needs no credentials and no network, works at any hour. Nothing it says is real.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, env = "KITE_SIM_LISTEN", default_value = "127.0.0.1:8765")]
    pub(crate) listen: SocketAddr,

    /// Decides every price: the same seed shows the same market at the same instant.
    #[arg(long, env = "SIM_SEED", default_value_t = 1)]
    seed: u64,

    /// Simulated seconds per real second. Ticks come at the same real rate and jump further.
    #[arg(long, env = "SIM_SPEED", default_value_t = 1.0)]
    speed: f64,

    /// When the simulated clock starts, as RFC 3339 (2026-11-20T09:15:00+05:30); now when left out.
    #[arg(long, value_parser = instant)]
    start: Option<UnixNanos>,

    /// When the market trades.
    #[arg(long, value_enum, default_value_t = SessionPlan::AlwaysOpen)]
    sessions: SessionPlan,

    /// An app that may log in; repeat for more. With a token, which then never expires, clients need no login.
    #[arg(long = "api-key", value_name = "KEY:SECRET[:TOKEN[:USER]]", value_parser = app)]
    apps: Vec<App>,

    /// Where the login page sends the browser.
    #[arg(long, value_name = "URL")]
    redirect_url: Option<String>,

    /// Ticks per second of each subscribed instrument.
    #[arg(long, default_value_t = 1.0)]
    ticks_per_second: f64,

    /// Load test. COUNTxRATE: so many synthetic shares SIM00001, SIM00002, ... on NSE, each ticking so often per second.
    /// INSTRUMENTS,TICKS_PER_S,ACCOUNTS: a whole market of shares, futures and options with so many ticks per second in
    /// all, and apps load01:secret01:token01, load02:..., in place of the default one.
    #[arg(long, value_name = "COUNTxRATE|INSTRUMENTS,TICKS_PER_S,ACCOUNTS", value_parser = load)]
    load: Option<Load>,

    /// With a whole market: milliseconds from frame to frame of a connection, in steps of 25.
    #[arg(long, value_name = "MS", default_value_t = 100)]
    frame_every: u64,

    /// A script of faults (TOML, see docs/simulator.md).
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,

    /// Speak https and wss with a certificate made at the start.
    #[arg(long)]
    pub(crate) tls: bool,

    /// Where to write that certificate (PEM), for clients to trust.
    #[arg(long, value_name = "FILE", requires = "tls")]
    pub(crate) tls_certificate: Option<PathBuf>,

    /// Strikes listed on each side of the money.
    #[arg(long, default_value_t = 40)]
    strikes: u32,

    /// Ticker connections per API key.
    #[arg(long, default_value_t = 3)]
    connections: usize,

    /// Tokens per ticker connection.
    #[arg(long, default_value_t = 3000)]
    tokens_per_connection: usize,

    /// Do not answer 429 to requests that come too fast.
    #[arg(long)]
    no_rate_limits: bool,

    /// Addresses that orders may come from, with commas between them; empty for an app that has registered none. Orders
    /// from elsewhere are refused as since April 2026.
    #[arg(long, value_name = "ADDRESSES", num_args = 0..=1, default_missing_value = "", value_parser = addresses)]
    order_addresses: Option<Addresses>,

    /// Remember the last COUNT packets of each token for GET /sim/sent?token=...
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    sent_history: usize,
}

/// A list, because a vector would be one value of a repeated argument.
#[derive(Debug, Clone)]
struct Addresses(Vec<IpAddr>);

/// What kind of load.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Load {
    Shares(LoadConfig),
    /// The market and how many accounts it comes over.
    Whole(WholeMarket, u32),
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SessionPlan {
    /// At every instant of every day.
    AlwaysOpen,
    /// In the exchange's continuous sessions.
    Calendar,
}

const EXAMPLES: &str = "\
Examples:
  kite-sim                                            one app, open market, real time
  kite-sim --speed 60 --start 2026-11-20T09:15:00+05:30 --sessions calendar
                                                      a trading day in six and a half minutes
  kite-sim --api-key k1:s1:t1 --api-key k2:s2         two apps; users of the second have to log in
  kite-sim --load 9000x2                              9,000 shares at two ticks per second each
  kite-sim --load 120000,240000,14 --no-rate-limits   the whole market over fourteen accounts
  kite-sim --faults storm.toml                        what goes wrong, and when
  kite-sim --tls --tls-certificate sim.pem            https and wss";

// === impl Args ===

impl Args {
    /// What the simulator is told.
    ///
    /// # Errors
    /// What is wrong with the script of faults, in words.
    pub(crate) fn into_config(self) -> Result<SimConfig, String> {
        let defaults = SimConfig::default();
        let (load, whole_market, mut apps) = match self.load {
            None => (None, None, Vec::new()),
            Some(Load::Shares(load)) => (Some(load), None, Vec::new()),
            Some(Load::Whole(whole, accounts)) => {
                let frame_every = Duration::from_millis(self.frame_every);
                let apps = (1..=accounts).map(App::numbered).collect();
                (None, Some(WholeMarket { frame_every, ..whole }), apps)
            }
        };
        apps.extend(self.apps);
        if apps.is_empty() {
            apps = defaults.apps;
        }
        let faults = match &self.faults {
            None => Vec::new(),
            Some(path) => {
                let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
                let script = std::fs::read_to_string(path).map_err(|error| named(&error))?;
                fault_script(&script).map_err(|error| named(&error))?
            }
        };
        if let Some(url) = self.redirect_url {
            for app in &mut apps {
                app.redirect_url.clone_from(&url);
            }
        }
        let mut config = SimConfig {
            seed: self.seed,
            start: self.start,
            speed: self.speed,
            sessions: match self.sessions {
                SessionPlan::AlwaysOpen => Sessions::AlwaysOpen,
                SessionPlan::Calendar => Sessions::Calendar,
            },
            apps,
            ticks_per_second: self.ticks_per_second,
            load,
            whole_market,
            faults,
            tls: self.tls,
            sent_history: self.sent_history,
            ..SimConfig::default()
        };
        config.market.strikes_each_side = self.strikes;
        config.limits.rate_limits = !self.no_rate_limits;
        config.limits.order_addresses = self.order_addresses.map(|Addresses(list)| list);
        config.limits.connections = self.connections;
        config.limits.tokens_per_connection = self.tokens_per_connection;
        Ok(config)
    }
}

fn addresses(text: &str) -> Result<Addresses, String> {
    let address = |part: &str| part.trim().parse().map_err(|_| format!("`{part}` is not an IP address"));
    let parts = text.split(',').filter(|part| !part.trim().is_empty());
    parts.map(address).collect::<Result<_, _>>().map(Addresses)
}

fn instant(text: &str) -> Result<UnixNanos, String> {
    let stamp: jiff::Timestamp =
        text.parse().map_err(|_| "expected a time like 2026-11-20T09:15:00+05:30".to_owned())?;
    Ok(UnixNanos::from_millis(stamp.as_millisecond()))
}

fn app(text: &str) -> Result<App, String> {
    let mut parts = text.splitn(4, ':').map(str::to_owned);
    let mut part = || parts.next().filter(|part| !part.is_empty());
    let (Some(api_key), Some(api_secret)) = (part(), part()) else {
        return Err("expected key:secret, key:secret:token or key:secret:token:user".to_owned());
    };
    let access_token = part();
    let defaults = App::default();
    Ok(App { api_key, api_secret, access_token, user_id: part().unwrap_or(defaults.user_id), ..defaults })
}

fn load(text: &str) -> Result<Load, String> {
    let shares = || {
        let (instruments, rate) = text.split_once('x')?;
        let (instruments, ticks_per_second) = (instruments.parse().ok()?, rate.parse().ok()?);
        Some(Load::Shares(LoadConfig { instruments, ticks_per_second }))
    };
    let whole = || {
        let [instruments, rate, accounts] = text.split(',').collect::<Vec<_>>()[..] else { return None };
        let whole = WholeMarket::new(instruments.parse().ok()?, rate.parse().ok()?);
        let accounts = accounts.parse().ok().filter(|accounts| (1..=99).contains(accounts))?;
        Some(Load::Whole(whole, accounts))
    };
    let expected = "expected a count and a rate, such as 9000x2, or instruments, ticks per second and 1 to 99 \
                    accounts, such as 120000,240000,14";
    shares().or_else(whole).ok_or_else(|| expected.to_owned())
}

/// How to reach the simulator, for people.
pub(crate) fn welcome(addr: SocketAddr, apps: &[App], tls: bool) -> String {
    let (http, ws) = if tls { ("https", "wss") } else { ("http", "ws") };
    let mut text = format!(
        "kite-sim: SIMULATED market at {http}://{addr} (REST) and {ws}://{addr} (ticker)\n\
         \n\
         status   {http}://{addr}/sim/status\n\
         truth    {http}://{addr}/sim/truth?underlying=NIFTY\n\
         faults   {http}://{addr}/sim/faults\n"
    );
    for app in apps {
        text.push_str(&format!(
            "login    {http}://{addr}/connect/login?v=3&api_key={}  (user {})\n",
            app.api_key, app.user_id
        ));
    }
    let Some(app) = apps.first() else { return text };
    let (key, token) = (&app.api_key, app.access_token.as_deref().unwrap_or("<access token>"));
    text.push_str(&format!(
        "\nPython   kite = KiteConnect(api_key={key:?}, access_token={token:?}, root=\"{http}://{addr}\")\n         \
         ticker = KiteTicker({key:?}, {token:?}, root=\"{ws}://{addr}\")\n\
         Node     new KiteConnect({{ api_key: {key:?}, access_token: {token:?}, root: \"{http}://{addr}\" }})\n         \
         new KiteTicker({{ api_key: {key:?}, access_token: {token:?}, root: \"{ws}://{addr}/\" }})\n"
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }

    #[test]
    fn an_app_is_two_to_four_words() {
        let parsed = app("k:s:t:U1").unwrap();
        assert_eq!((parsed.user_id.as_str(), parsed.access_token.as_deref()), ("U1", Some("t")));
        let parsed = app("k:s").unwrap();
        assert_eq!((parsed.user_id.as_str(), parsed.access_token), ("SIM001", None));
        assert!(app("k").is_err());
        assert!(app(":s").is_err());
    }

    #[test]
    fn load_is_a_count_and_a_rate() {
        let shares = LoadConfig { instruments: 9_000, ticks_per_second: 2.0 };
        assert_eq!(load("9000x2").unwrap(), Load::Shares(shares));
        let whole = WholeMarket::new(120_000, 240_000.0);
        assert_eq!(load("120000,240000,14").unwrap(), Load::Whole(whole, 14));
        assert!(load("120000,240000").is_err());
        assert!(load("120000,240000,0").is_err());
        assert!(load("9000").is_err());
        assert!(load("manyx2").is_err());
    }

    #[test]
    fn options_reach_the_simulator() {
        let args = Args::parse_from([
            "kite-sim",
            "--speed",
            "60",
            "--start",
            "2026-11-20T09:15:00+05:30",
            "--strikes",
            "5",
        ]);
        let config = args.into_config().unwrap();
        assert_eq!((config.speed, config.market.strikes_each_side), (60.0, 5));
        assert_eq!(config.start, Some(UnixNanos::from_secs(1_795_146_300)));
    }

    #[test]
    fn a_whole_market_brings_its_accounts() {
        let config =
            Args::parse_from(["kite-sim", "--load", "1200,2400,14", "--frame-every", "250", "--tls"]);
        let config = config.into_config().unwrap();
        assert_eq!((config.apps.len(), config.apps[13].api_key.as_str()), (14, "load14"));
        assert_eq!(config.whole_market.unwrap().frame_every, Duration::from_millis(250));
        assert!(config.tls);
    }

    #[test]
    fn a_script_with_a_mistake_is_named() {
        let args = Args::parse_from(["kite-sim", "--faults", "/nowhere/storm.toml"]);
        let error = args.into_config().unwrap_err();
        assert!(error.starts_with("/nowhere/storm.toml: "), "{error}");
    }
}
