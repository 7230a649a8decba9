//! What can stand on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// A gateway for Zerodha's Kite Connect. Without a command it runs; without an account it runs on its own simulated
/// market. The commands ask or tell the gateway that runs.
///
/// Every setting is an environment variable or a line in the file; docs/configuration.md lists them.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Arguments {
    /// TOML file with settings; the environment wins over it.
    #[arg(long, env = "GATEWAY_CONFIG", value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// Read the configuration, say what is wrong with it, and stop.
    #[arg(long)]
    pub(crate) check: bool,
    /// How answers are shown; a table on a terminal, JSON elsewhere.
    #[arg(long, value_name = "FORM", global = true)]
    pub(crate) output: Option<Output>,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Broker accounts.
    #[command(subcommand)]
    Accounts(Accounts),
    /// What can be traded, today and on earlier days.
    #[command(subcommand)]
    Instruments(Instruments),
    /// What is wanted from the feed.
    #[command(subcommand)]
    Subscriptions(Subscriptions),
    /// Which account carries how much; with a symbol, why that one is where it is.
    Plan {
        /// Token or EXCHANGE:TRADINGSYMBOL.
        symbol: Option<String>,
    },
    /// The instances that share the database, and what each holds.
    Instances,
    /// Explain why no tick flows.
    Doctor,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Accounts {
    /// Every account: its token, who streams it, what it carries.
    List,
    /// Keep an account in the database. Secrets are read from standard input, one `name=value` a line: api_key,
    /// api_secret, password, totp_seed.
    Add {
        name: String,
        /// The broker's user id.
        #[arg(long)]
        user_id: Option<String>,
        /// An address that its orders may come from; repeat for a second one.
        #[arg(long = "registered-address", value_name = "ADDRESS")]
        registered_addresses: Vec<String>,
        /// It logs in by itself, with password and totp_seed; at your own risk, read docs/accounts.md first.
        #[arg(long)]
        automatic_login: bool,
        /// Share of the instruments it should carry.
        #[arg(long)]
        weight: Option<u32>,
        /// Where its REST API is.
        #[arg(long)]
        rest_url: Option<String>,
        /// Where its ticker is.
        #[arg(long)]
        ticker_url: Option<String>,
        /// Those addresses are a simulator.
        #[arg(long)]
        simulated: bool,
    },
    /// Take an account out of the database.
    Remove {
        name: String,
        /// Really.
        #[arg(long)]
        yes: bool,
    },
    /// Hand over today's access token, read from standard input.
    Token { name: String },
    /// Show where to log in.
    Login { name: String },
    /// Let the account log in by itself again, after what the broker refused was corrected.
    Unbar { name: String },
    /// Make the account's connections anew.
    Reconnect { name: String },
    /// Take over accounts of the former service: an accounts file whose secrets are Fernet tokens of the key in
    /// GATEWAY_FERNET_KEY. Stop the gateways first.
    ImportFernet { file: PathBuf },
    /// Seal every stored secret under a new master key, given by GATEWAY_NEW_MASTER_KEY. Stop the gateways first.
    Rekey,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Instruments {
    /// What matches all the words, by symbol or name.
    Search {
        #[arg(required = true)]
        words: Vec<String>,
        /// At most this many.
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// One instrument.
    Show {
        /// Token or EXCHANGE:TRADINGSYMBOL.
        symbol: String,
        /// As it was on this day, YYYY-MM-DD.
        #[arg(long, value_name = "DAY")]
        as_of: Option<String>,
    },
    /// The strikes of one expiry.
    Strikes {
        /// The name derivatives carry, such as NIFTY.
        underlying: String,
        /// YYYY-MM-DD; the nearest one when absent.
        #[arg(long, value_name = "DAY")]
        expiry: Option<String>,
        /// This many on each side of the money.
        #[arg(long)]
        around: Option<usize>,
    },
    /// What the last dump changed.
    Changes,
    /// Ask the broker for the dump now.
    Refresh,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Subscriptions {
    /// Every wish.
    List,
    /// One more wish.
    Add(Wish),
    /// Another text, owner or priority for a wish.
    Change {
        id: String,
        /// The version you saw.
        #[arg(long)]
        version: u64,
        #[command(flatten)]
        wish: Wish,
    },
    /// A wish less.
    Remove {
        id: String,
        /// The version you saw; any when absent.
        #[arg(long)]
        version: Option<u64>,
        /// Really.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Wish {
    /// As in GATEWAY_SUBSCRIBE: NIFTY:2:20:full, NSE:INFY:quote, NSE:*:ltp.
    pub(crate) wish: String,
    /// Who wants it.
    #[arg(long)]
    pub(crate) owner: Option<String>,
    /// Wishes of a higher number keep their place when there is too little room.
    #[arg(long)]
    pub(crate) priority: Option<u8>,
    /// The account that should carry it.
    #[arg(long)]
    pub(crate) account: Option<String>,
}
