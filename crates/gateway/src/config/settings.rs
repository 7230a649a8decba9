//! Every setting in one table: its variable, its place in the file, its default and what it means.

/// One setting, as documented and as read.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The environment variable; it wins over the file.
    pub env: &'static str,
    /// Dotted place in the TOML file.
    pub key: &'static str,
    /// What holds when neither is set; empty for "not set".
    pub default: &'static str,
    /// What it does and in what form it is written.
    pub meaning: &'static str,
    /// Whether the value must never be shown.
    pub secret: bool,
}

const fn open(env: &'static str, key: &'static str, default: &'static str, meaning: &'static str) -> Setting {
    Setting { env, key, default, meaning, secret: false }
}

const fn secret(env: &'static str, key: &'static str, meaning: &'static str) -> Setting {
    Setting { env, key, default: "", meaning, secret: true }
}

/// Every setting there is. `docs/configuration.md` is written from this table.
pub const SETTINGS: &[Setting] = &[
    open("GATEWAY_LISTEN", "gateway.listen", "127.0.0.1:8080", "Address of the HTTP API and the page."),
    open(
        "GATEWAY_ENV",
        "gateway.env",
        "development",
        "`development` or `production`. Production needs an API key of 32 or more characters and a loopback address.",
    ),
    open(
        "GATEWAY_ALLOW_REMOTE",
        "gateway.allow_remote",
        "false",
        "`true` permits a non-loopback address without TLS in production, for instance behind a TLS proxy.",
    ),
    secret(
        "GATEWAY_API_KEY",
        "gateway.api_key",
        "Key that clients must send as `X-API-Key` or `Authorization: Bearer`. Without one the API is open to whoever can reach the address.",
    ),
    open(
        "GATEWAY_DATA_DIR",
        "gateway.data_dir",
        "data",
        "Folder for log files, token files, the embedded database and what is learned about usual tick rates; made if absent.",
    ),
    open(
        "GATEWAY_SUBSCRIBE",
        "gateway.subscribe",
        "NIFTY:2:25:full,BANKNIFTY:1:25:full,SENSEX:2:25:full,NSE:*:quote",
        "What to stream, comma-separated. `NIFTY:2:25:full` is the index, its futures and the 2 nearest expiries, 25 strikes either side of the money, in full mode. `NSE:INFY:quote` is one instrument, `NSE:*:ltp` a whole exchange.",
    ),
    open(
        "GATEWAY_RATE",
        "gateway.rate",
        "0.065",
        "Discount rate for Greeks: a fraction, continuously compounded.",
    ),
    open(
        "GATEWAY_SHUTDOWN_SECONDS",
        "gateway.shutdown_seconds",
        "10",
        "How long a stopping gateway may take to drain, 1 to 300.",
    ),
    open(
        "GATEWAY_CALENDAR_FILE",
        "gateway.calendar_file",
        "",
        "TOML file that extends or overrides the built-in exchange calendar.",
    ),
    secret(
        "DATABASE_URL",
        "database.url",
        "`postgres://user:password@host/name` for state that instances share, `embedded:FILE` for a file of this process alone; a file in the data folder when empty. docs/database.md.",
    ),
    open(
        "GATEWAY_INSTANCE",
        "gateway.instance",
        "",
        "What this process is called among those that share the database; the machine's name when empty.",
    ),
    open(
        "GATEWAY_ROLES",
        "gateway.roles",
        "feed,api",
        "What this process does: `feed` takes leases of accounts and streams them, `api` serves the API and the page. Health and metrics are always served.",
    ),
    open(
        "GATEWAY_LEASE_SECONDS",
        "gateway.lease_seconds",
        "6",
        "How long an instance that died keeps its accounts, 3 to 60.",
    ),
    open(
        "GATEWAY_SOLE_INSTANCE",
        "gateway.sole_instance",
        "false",
        "`true` says that no other instance is ever started on this database: then the feed goes on for as long as the database is away. Not believed while another instance is seen.",
    ),
    open(
        "GATEWAY_CLOCK_LOOK_MS",
        "gateway.clock_look_ms",
        "30000",
        "How often the wall clock is looked at for what happens by the hour: tokens that die, dumps that are due. Smaller where a simulated clock jumps.",
    ),
    secret(
        "GATEWAY_MASTER_KEY",
        "gateway.master_key",
        "Seals the secrets of accounts in the database: 32 bytes in base64 or hexadecimal digits.",
    ),
    open(
        "GATEWAY_MASTER_KEY_FILE",
        "gateway.master_key_file",
        "",
        "A file of mode 0600 with that key, in place of the variable.",
    ),
    open(
        "GATEWAY_MASTER_KEY_COMMAND",
        "gateway.master_key_command",
        "",
        "A shell command that prints that key within 10 seconds, in place of the variable.",
    ),
    open(
        "BATCH_WINDOW_MS",
        "batch.window_ms",
        "5",
        "How long ticks are gathered for the next batch after one has left, in milliseconds, 1 to 1000.",
    ),
    open("BATCH_MAX_TICKS", "batch.max_ticks", "1000", "Most ticks in a batch."),
    open("BATCH_MAX_BYTES", "batch.max_bytes", "262144", "Most bytes in a batch, estimated before encoding."),
    open(
        "BATCH_EQUITY_CHANNELS",
        "batch.equity_channels",
        "shared",
        "`shared` publishes the shares without derivatives of an exchange on one channel, `per_symbol` each on its own, at several times the cost.",
    ),
    open(
        "SINK_QUEUE_BYTES",
        "batch.sink_queue_bytes",
        "67108864",
        "Most bytes of values that may wait for a slow sink, per sink. Above it the newest value of each instrument stays and older ones go, counted.",
    ),
    open(
        "REDIS_URL",
        "redis.url",
        "",
        "Publishes to Redis when set: `redis://`, `rediss://` (TLS), `redis-cluster://` or `redis-sentinel://`.",
    ),
    open("REDIS_NAMESPACE", "redis.namespace", "kg", "First part of every channel and key."),
    open("REDIS_PAYLOAD", "redis.payload", "json", "`json`, `msgpack` or `msgpack_positional`."),
    open("REDIS_POOL", "redis.pool", "2", "Connections to Redis, 1 to 16."),
    open(
        "REDIS_LAST_VALUES_MS",
        "redis.last_values_ms",
        "1000",
        "How often the hashes with the last value of each instrument are brought up to date, in milliseconds, up to 60000; 0 stores none. What waits is held in memory: about 3 KB an instrument.",
    ),
    open(
        "REDIS_COMPAT_CHANNELS",
        "redis.compat_channels",
        "false",
        "`true` also publishes on the former service's channels `ticker:<underlying>:options` and `ticker:<underlying>:underlying`.",
    ),
    open(
        "KITE_ACCOUNTS_FILE",
        "kite.accounts_file",
        "",
        "TOML or YAML file with one `account` per broker account; docs/accounts.md has its fields. `${VAR}` is resolved.",
    ),
    secret(
        "KITE_API_KEY",
        "kite.api_key",
        "API key of a single account, instead of a file. With neither, the gateway runs on its own simulated market.",
    ),
    secret(
        "KITE_API_SECRET",
        "kite.api_secret",
        "API secret of that account; with it the page and `accounts login` can log in.",
    ),
    secret(
        "KITE_ACCESS_TOKEN",
        "kite.access_token",
        "Today's access token of that account. Without one the gateway waits for a login or a hand-over.",
    ),
    open(
        "KITE_USERS_URL",
        "kite.users_url",
        "",
        "Address of an HTTP service that lists accounts; docs/accounts.md has its contract.",
    ),
    secret("KITE_USERS_TOKEN", "kite.users_token", "What that service asks for, sent as a bearer token."),
    open(
        "KITE_ACCOUNTS_SECONDS",
        "kite.accounts_seconds",
        "30",
        "How often accounts are read again from file, database and service, 5 to 86400 seconds.",
    ),
    open(
        "KITE_LOGIN_URL",
        "kite.login_url",
        "https://kite.zerodha.com/connect/login",
        "Where users log in. The app's redirect URL must be this gateway's `/kite/callback`.",
    ),
    open("KITE_REST_URL", "kite.rest_url", "https://api.kite.trade", "Where Kite's REST API is."),
    open("KITE_TICKER_URL", "kite.ticker_url", "wss://ws.kite.trade", "Where Kite's ticker is."),
    open(
        "KITE_SIMULATED",
        "kite.simulated",
        "false",
        "`true` when those addresses are a simulator: every payload then says so.",
    ),
    open(
        "KITE_CONNECTIONS",
        "kite.connections",
        "3",
        "Ticker connections per account, 1 to 16. Kite allows 3.",
    ),
    open(
        "KITE_TOKENS_PER_CONNECTION",
        "kite.tokens_per_connection",
        "3000",
        "Instruments per ticker connection. Kite allows 3000.",
    ),
    open(
        "KITE_CA_FILE",
        "kite.ca_file",
        "",
        "PEM file with certificates trusted beside the public roots, for a simulator or a proxy with TLS of its own.",
    ),
    open(
        "KITE_ADDRESS_FAMILY",
        "kite.address_family",
        "any",
        "`any`, `v4` or `v6`: the family of addresses used to reach the broker. Orders must come from the registered static address.",
    ),
    open(
        "KITE_LOCAL_ADDRESS",
        "kite.local_address",
        "",
        "Address of this machine that connections to the broker leave from, when it has several.",
    ),
    open(
        "KITE_ADDRESS_SOURCE",
        "kite.address_source",
        "",
        "Address of a service that answers with the address it was asked from, as plain text or as `ip` in JSON. It is asked every 15 minutes and compared with `registered_addresses`; nobody is asked when empty.",
    ),
    open(
        "KITE_ROTATE_HOURS",
        "kite.rotate_hours",
        "0",
        "A ticker connection of this age is replaced by a new one before the old one is closed; 0 for never.",
    ),
    open(
        "KITE_ON_RATE_COLLAPSE",
        "kite.on_rate_collapse",
        "reconnect",
        "`reconnect` makes a connection anew when its tick rate collapses, `alarm` only says so.",
    ),
    open(
        "RECORD_DIR",
        "record.folder",
        "",
        "Folder for recordings of the raw feed; nothing is recorded when empty. docs/recording.md has the format.",
    ),
    open(
        "RECORD_MAX_BYTES",
        "record.max_bytes",
        "21474836480",
        "Above this size the oldest recordings are deleted.",
    ),
    open("RECORD_MAX_DAYS", "record.max_days", "30", "Recordings older than this are deleted, 1 to 3650."),
    open("SIM_SEED", "sim.seed", "1", "Seed of the simulated market: the same seed gives the same prices."),
    open("SIM_SPEED", "sim.speed", "1", "How fast simulated time runs, 0.1 to 1000."),
    open(
        "SIM_LOAD",
        "sim.load",
        "",
        "Load mode: `9000x2` adds 9000 synthetic instruments at 2 ticks per second each, and streams them in full mode.",
    ),
    open(
        "LOG_FORMAT",
        "log.format",
        "pretty",
        "`pretty` or `json`, on standard output. The file is always JSON lines.",
    ),
    open("LOG_LEVEL", "log.level", "info", "`error`, `warn`, `info`, `debug` or `trace`."),
    open("LOG_FILE_BYTES", "log.file_bytes", "67108864", "Size at which the log file is rotated."),
    open("LOG_FILES", "log.files", "10", "How many rotated log files are kept, at most 30 days each."),
];

/// The setting read from `env`.
pub(crate) fn by_env(env: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.env == env)
}
