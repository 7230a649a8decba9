//! Everything a simulator can be told, as plain data.

use std::net::IpAddr;
use std::time::Duration;

use market_model::UnixNanos;

use crate::SimError;
use crate::fault::FaultPlan;

/// How a simulated Kite behaves. [`SimConfig::default`] runs at once: one API key, real time, a market that never closes.
#[derive(Debug, Clone)]
pub struct SimConfig {
    /// Decides every price. Two simulators with one seed show the same market at the same instant.
    pub seed: u64,
    /// When the simulated clock starts; `None` means now.
    pub start: Option<UnixNanos>,
    /// Simulated seconds per real second. Ticks keep coming at the real rate; prices move this much faster.
    pub speed: f64,
    /// When the market trades.
    pub sessions: Sessions,
    /// The apps that may log in.
    pub apps: Vec<App>,
    /// What the server refuses.
    pub limits: Limits,
    /// How often a subscribed instrument ticks.
    pub ticks_per_second: f64,
    /// How often an index ticks.
    pub index_ticks_per_second: f64,
    /// What the market looks like.
    pub market: MarketConfig,
    /// Synthetic instruments for load, when wanted.
    pub load: Option<LoadConfig>,
    /// A whole market for load, when wanted.
    pub whole_market: Option<WholeMarket>,
    /// How many of the latest packets of each token `GET /sim/sent` remembers; 0 switches it off.
    pub sent_history: usize,
    /// Frames that may wait for a connection before it is dropped as too slow.
    ///
    /// A frame is made each 25 ms when something ticks, so 160 is four seconds of not reading on top of what the
    /// sockets hold.
    pub write_queue_frames: usize,
    /// What goes wrong, see [`fault_script`](crate::fault_script).
    pub faults: Vec<FaultPlan>,
    /// Whether the listener speaks TLS (https and wss), with a certificate made at the start.
    pub tls: bool,
}

/// When the simulated market trades.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sessions {
    /// At every instant of every day; the trading day is the calendar day in India.
    AlwaysOpen,
    /// In the exchange's continuous sessions. Outside them prices stand and nothing ticks.
    Calendar,
}

/// An app of the simulated developer console, with the one user who may log in to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// Names the app in every call.
    pub api_key: String,
    /// Signs the session exchange.
    pub api_secret: String,
    /// The user who logs in.
    pub user_id: String,
    /// Where the login page sends the browser.
    pub redirect_url: String,
    /// A token that is valid from the start and never dies, for clients that do not log in.
    pub access_token: Option<String>,
    /// What the user types in the web login; the login page's button needs none.
    pub password: String,
    /// The seed of the user's codes, base32.
    pub totp_seed: String,
    /// How many orders the day's book shows at the start, as of a user who has traded elsewhere already.
    pub orders_placed: u32,
}

/// What the server refuses. The defaults are Kite's published limits.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Whether requests over the rates below get 429.
    pub rate_limits: bool,
    /// `/quote`, `/quote/ohlc` and `/quote/ltp` together, per second and API key.
    pub quote_per_second: u32,
    /// Historical candles, per second and API key.
    pub historical_per_second: u32,
    /// Order requests, per second and API key.
    pub orders_per_second: u32,
    /// Everything else, per second and API key.
    pub other_per_second: u32,
    /// Where orders may come from; `None` does not look, an empty list is an app without a registered address.
    pub order_addresses: Option<Vec<IpAddr>>,
    /// Ticker connections per API key.
    pub connections: usize,
    /// Tokens per ticker connection.
    pub tokens_per_connection: usize,
    /// Instruments per `/quote`.
    pub quote_instruments: usize,
    /// Instruments per `/quote/ohlc` and `/quote/ltp`.
    pub ltp_instruments: usize,
    /// How long a request token can be exchanged.
    pub request_token_life: Duration,
    /// Whether a new login ends the token of the one before.
    pub login_replaces_token: bool,
}

/// What the market looks like.
#[derive(Debug, Clone)]
pub struct MarketConfig {
    /// Continuously compounded interest rate of forwards and discounting.
    pub rate: f64,
    /// Continuously compounded dividend yield of the indices.
    pub dividend_yield: f64,
    /// Strikes listed on each side of the money.
    pub strikes_each_side: u32,
    /// Expiries listed of each option chain.
    pub option_expiries: usize,
    /// Futures listed of each index.
    pub futures: usize,
    /// Moves of the whole market beside those of chance.
    pub moves: Vec<PlannedMove>,
    /// Lot sizes that the exchange changes.
    pub lot_revisions: Vec<LotRevision>,
}

/// From one instant to the next the market stands elsewhere.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlannedMove {
    /// When, on the simulated clock.
    pub at: UnixNanos,
    /// By how much, as a fraction of the price of what moves with the market: -0.03 is three percent down.
    pub fraction: f64,
}

/// From a day on, contracts on an index have another lot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LotRevision {
    /// The index as its contracts call it, such as `NIFTY`.
    pub underlying: String,
    /// The first day of the new lot.
    pub from: jiff::civil::Date,
    /// Units per lot.
    pub size: u32,
}

/// Synthetic equities `SIM00001`, `SIM00002`, ... on NSE for load tests.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoadConfig {
    /// How many.
    pub instruments: u32,
    /// How often each one ticks while subscribed.
    pub ticks_per_second: f64,
}

/// Shares, futures and option chains as many as on all exchanges together, from packets made beforehand.
///
/// A share has the symbol `SIM` and four letters; three quarters of the instruments are shares with derivatives and
/// these derivatives: three months of futures and of 61 strikes. Implied volatilities can be solved and agree.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WholeMarket {
    /// How many instruments.
    pub instruments: u32,
    /// How many packets per second when all of them are subscribed.
    pub ticks_per_second: f64,
    /// How often each connection gets a frame; in steps of 25 ms.
    pub frame_every: Duration,
}

// === impl SimConfig ===

impl SimConfig {
    /// Whether a simulator can run so.
    ///
    /// # Errors
    /// [`SimError::Config`] for the first value that makes no sense.
    pub(crate) fn check(&self) -> Result<(), SimError> {
        let refuse = |setting, problem: &str| Err(SimError::Config { setting, problem: problem.to_owned() });
        let rate_is_fine = |rate: f64| (0.1..=40.0).contains(&rate);
        if !(self.speed > 0.0 && self.speed <= 1e6) {
            return refuse("speed", "must be above 0 and at most 1000000");
        }
        if !rate_is_fine(self.ticks_per_second) || !rate_is_fine(self.index_ticks_per_second) {
            return refuse("ticks_per_second", "must be from 0.1 to 40");
        }
        if let Some(load) = self.load {
            if !rate_is_fine(load.ticks_per_second) {
                return refuse("load ticks_per_second", "must be from 0.1 to 40");
            }
            if load.instruments > 200_000 {
                return refuse("load instruments", "must be at most 200000");
            }
        }
        if let Some(whole) = self.whole_market {
            if !(100..=250_000).contains(&whole.instruments) {
                return refuse("whole market instruments", "must be from 100 to 250000");
            }
            if !rate_is_fine(whole.rate()) {
                return refuse(
                    "whole market ticks_per_second",
                    "must be from 0.1 to 40 times the instruments",
                );
            }
            if whole.frame_every > Duration::from_secs(1) {
                return refuse("whole market frame_every", "must be at most a second");
            }
        }
        if self.apps.is_empty() {
            return refuse("apps", "at least one is needed");
        }
        for (at, app) in self.apps.iter().enumerate() {
            if self.apps[..at].iter().any(|other| other.api_key == app.api_key) {
                return refuse("apps", "two apps have the same api key");
            }
        }
        if self.market.moves.iter().any(|planned| !(planned.fraction > -0.9 && planned.fraction < 9.0)) {
            return refuse("market moves", "must be above -0.9 and below 9");
        }
        if self.write_queue_frames == 0 {
            return refuse("write_queue_frames", "must be at least 1");
        }
        if self.market.strikes_each_side > 400 || self.market.option_expiries > 12 || self.market.futures > 3
        {
            return refuse("market", "at most 400 strikes each side, 12 expiries and 3 futures");
        }
        Ok(())
    }
}

// === impl WholeMarket ===

impl WholeMarket {
    /// `instruments` that tick `ticks_per_second` times together, a frame each 100 ms for every connection.
    pub const fn new(instruments: u32, ticks_per_second: f64) -> Self {
        Self { instruments, ticks_per_second, frame_every: Duration::from_millis(100) }
    }

    /// Ticks per second of one instrument.
    pub(crate) fn rate(&self) -> f64 {
        self.ticks_per_second / f64::from(self.instruments)
    }
}

// === impl App ===

impl App {
    /// App number `number` of a load test: key `load01`, secret `secret01`, token `token01`, user `LOAD01`.
    pub fn numbered(number: u32) -> Self {
        Self {
            api_key: format!("load{number:02}"),
            api_secret: format!("secret{number:02}"),
            user_id: format!("LOAD{number:02}"),
            access_token: Some(format!("token{number:02}")),
            ..Self::default()
        }
    }
}

// === impl defaults ===

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            start: None,
            speed: 1.0,
            sessions: Sessions::AlwaysOpen,
            apps: vec![App::default()],
            limits: Limits::default(),
            ticks_per_second: 1.0,
            index_ticks_per_second: 2.0,
            market: MarketConfig::default(),
            load: None,
            whole_market: None,
            sent_history: 0,
            write_queue_frames: 160,
            faults: Vec::new(),
            tls: false,
        }
    }
}

impl Default for App {
    /// The app that the documentation uses: key `simkey`, secret `simsecret`, user `SIM001`, token `simtoken`, password
    /// `simpassword`, seed `SIMULATEDSEEDFORTHECODESONLY2345`.
    fn default() -> Self {
        Self {
            api_key: "simkey".to_owned(),
            api_secret: "simsecret".to_owned(),
            user_id: "SIM001".to_owned(),
            redirect_url: "http://127.0.0.1:8080/kite/callback".to_owned(),
            access_token: Some("simtoken".to_owned()),
            password: "simpassword".to_owned(),
            totp_seed: "SIMULATEDSEEDFORTHECODESONLY2345".to_owned(),
            orders_placed: 0,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rate_limits: true,
            quote_per_second: 1,
            historical_per_second: 3,
            orders_per_second: 10,
            other_per_second: 10,
            order_addresses: None,
            connections: 3,
            tokens_per_connection: 3000,
            quote_instruments: 500,
            ltp_instruments: 1000,
            request_token_life: Duration::from_secs(300),
            login_replaces_token: true,
        }
    }
}

impl Default for MarketConfig {
    fn default() -> Self {
        Self {
            rate: 0.065,
            dividend_yield: 0.012,
            strikes_each_side: 40,
            option_expiries: 6,
            futures: 3,
            moves: Vec::new(),
            lot_revisions: Vec::new(),
        }
    }
}
