//! Turning raw texts into a [`Config`], collecting every problem on the way.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use kite_client::AddressFamily;
use snapshot_wire::WireFormat;

use account_pool::{AccountDefaults, AccountLimits, EnvironmentAccount, MasterKeySource};
use subscription_store::{WishSpec, parse_wishes};

use super::accounts::{AccountSettings, ServiceSettings};
use super::env::{Env, resolve};
use super::settings::{SETTINGS, by_env};
use super::{
    BatchConfig, Config, ConfigError, LinkConfig, LogConfig, RecordConfig, RedisConfig, Roles, SimSettings,
};
use crate::secret::Secret;

/// Variables the design names for parts that are not built yet: said, not silently ignored.
const NOT_YET: [&str; 6] = [
    "GATEWAY_KITE_LISTEN",
    "JWT_ISSUER",
    "JWT_AUDIENCE",
    "JWKS_URL",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_SERVICE_NAME",
];

pub(super) fn read(env: &dyn Env, file: Option<&Path>) -> Result<Config, ConfigError> {
    let mut reader = Reader::open(env, file);
    let config = reader.config();
    if reader.problems.is_empty() { Ok(config) } else { Err(ConfigError(reader.problems)) }
}

struct Reader<'a> {
    env: &'a dyn Env,
    file: toml::Table,
    problems: Vec<String>,
}

impl<'a> Reader<'a> {
    fn open(env: &'a dyn Env, path: Option<&Path>) -> Self {
        let mut problems = Vec::new();
        let file = path.map_or_else(toml::Table::new, |path| read_table(path, env, &mut problems));
        Self { env, file, problems }
    }

    fn config(&mut self) -> Config {
        let production = self.word("GATEWAY_ENV", &["development", "production"]) == "production";
        let listen = self.parsed("GATEWAY_LISTEN", "an address such as 127.0.0.1:8080");
        let api_key = self.text("GATEWAY_API_KEY").map(Secret::new);
        let allow_remote = self.flag("GATEWAY_ALLOW_REMOTE");
        let config = Config {
            listen: listen.unwrap_or_else(|| std::net::SocketAddr::from(([127, 0, 0, 1], 0))),
            api_key,
            data_dir: PathBuf::from(self.text("GATEWAY_DATA_DIR").unwrap_or_default()),
            wishes: self.wishes(),
            rate: self.number("GATEWAY_RATE", -0.5..=1.0),
            shutdown_deadline: Duration::from_secs(self.number("GATEWAY_SHUTDOWN_SECONDS", 1..=300)),
            calendar_overrides: self.file_content("GATEWAY_CALENDAR_FILE"),
            batch: BatchConfig {
                window: Duration::from_millis(self.number("BATCH_WINDOW_MS", 1..=1000)),
                max_ticks: self.number("BATCH_MAX_TICKS", 1..=100_000),
                max_bytes: self.number("BATCH_MAX_BYTES", 1024..=16_777_216),
                equity_per_symbol: self.word("BATCH_EQUITY_CHANNELS", &["shared", "per_symbol"])
                    == "per_symbol",
            },
            redis: self.redis(),
            database: self.text("DATABASE_URL").map(Secret::new),
            instance: self.instance(),
            roles: self.roles(),
            clock_look: Duration::from_millis(self.number("GATEWAY_CLOCK_LOOK_MS", 10..=60_000)),
            lease: Duration::from_secs(self.number("GATEWAY_LEASE_SECONDS", 3..=60)),
            sole_instance: self.flag("GATEWAY_SOLE_INSTANCE"),
            link: self.link(),
            record: self.record(),
            sink_queue_bytes: self.number("SINK_QUEUE_BYTES", 1_048_576..=17_179_869_184),
            accounts: self.accounts(),
            sim: SimSettings {
                seed: self.number("SIM_SEED", 0..=u64::MAX),
                speed: self.number("SIM_SPEED", 0.1..=1000.0),
                load: self.load(),
            },
            log: LogConfig {
                json: self.word("LOG_FORMAT", &["pretty", "json"]) == "json",
                level: self
                    .parsed("LOG_LEVEL", "error, warn, info, debug or trace")
                    .unwrap_or(tracing::Level::INFO),
                file_bytes: self.number("LOG_FILE_BYTES", 65_536..=u64::MAX),
                files: self.number("LOG_FILES", 1..=1000),
            },
            notices: self.notices(),
        };
        if production {
            self.check_production(&config, allow_remote);
        }
        config
    }

    fn check_production(&mut self, config: &Config, allow_remote: bool) {
        let length = config.api_key.as_ref().map_or(0, |key| key.expose().chars().count());
        if length < 32 {
            self.problems.push(format!(
                "GATEWAY_API_KEY: production needs a key of 32 or more characters, this one has {length}"
            ));
        }
        if !config.listen.ip().is_loopback() && !allow_remote {
            self.problems.push(format!(
                "GATEWAY_LISTEN: {} can be reached from outside without TLS; listen on 127.0.0.1, or set GATEWAY_ALLOW_REMOTE=true behind a TLS proxy",
                config.listen
            ));
        }
    }

    // === groups ===

    fn wishes(&mut self) -> Vec<WishSpec> {
        let text = self.text("GATEWAY_SUBSCRIBE").unwrap_or_default();
        parse_wishes("configuration", &text).unwrap_or_else(|problems| {
            self.problems.extend(problems.into_iter().map(|problem| format!("GATEWAY_SUBSCRIBE: {problem}")));
            Vec::new()
        })
    }

    fn redis(&mut self) -> Option<RedisConfig> {
        let namespace = self.text("REDIS_NAMESPACE").unwrap_or_default();
        let format = match self.word("REDIS_PAYLOAD", &["json", "msgpack", "msgpack_positional"]) {
            "msgpack" => WireFormat::MessagePack,
            "msgpack_positional" => WireFormat::Positional,
            _ => WireFormat::Json,
        };
        let pool = self.number("REDIS_POOL", 1..=16);
        let compat_channels = self.flag("REDIS_COMPAT_CHANNELS");
        let last_values_ms: u64 = self.number("REDIS_LAST_VALUES_MS", 0..=60_000);
        let last_values_every = (last_values_ms > 0).then(|| Duration::from_millis(last_values_ms));
        let url = self.text("REDIS_URL")?;
        if !url.starts_with("redis") || !url.contains("://") {
            self.problems.push(
                "REDIS_URL: not a redis://, rediss://, redis-cluster:// or redis-sentinel:// address".into(),
            );
        }
        Some(RedisConfig {
            url: Secret::new(url),
            namespace,
            format,
            pool,
            last_values_every,
            compat_channels,
        })
    }

    fn accounts(&mut self) -> AccountSettings {
        let defaults = AccountDefaults {
            rest_url: self.text("KITE_REST_URL").unwrap_or_default(),
            ticker_url: self.text("KITE_TICKER_URL").unwrap_or_default(),
            limits: AccountLimits {
                connections: self.number("KITE_CONNECTIONS", 1..=16),
                tokens_per_connection: self.number("KITE_TOKENS_PER_CONNECTION", 1..=100_000),
            },
        };
        for (name, url, schemes) in [
            ("KITE_REST_URL", &defaults.rest_url, ["http://", "https://"]),
            ("KITE_TICKER_URL", &defaults.ticker_url, ["ws://", "wss://"]),
        ] {
            if !schemes.iter().any(|scheme| url.starts_with(scheme)) {
                self.problems
                    .push(format!("{name}: `{url}` does not begin with {} or {}", schemes[0], schemes[1]));
            }
        }
        let mut secret = |env| self.text(env).map(Secret::new);
        let environment = EnvironmentAccount {
            api_key: secret("KITE_API_KEY"),
            api_secret: secret("KITE_API_SECRET"),
            access_token: secret("KITE_ACCESS_TOKEN"),
            simulated: self.flag("KITE_SIMULATED"),
        };
        let mut settings = AccountSettings {
            environment,
            file: self.text("KITE_ACCOUNTS_FILE").map(PathBuf::from),
            service: self.service(),
            defaults,
            variables: self.env.variables(),
            master_key: self.master_key(),
            reload_every: Duration::from_secs(self.number("KITE_ACCOUNTS_SECONDS", 5..=86_400)),
            login_url: self.text("KITE_LOGIN_URL").unwrap_or_default(),
            configured: Vec::new(),
        };
        if settings.file.is_some() && settings.environment.api_key.is_some() {
            self.problems.push("KITE_ACCOUNTS_FILE and KITE_API_KEY are both set; use one of them".into());
        }
        if let Err(problems) = settings.read() {
            self.problems.extend(problems);
        }
        settings
    }

    fn service(&mut self) -> Option<ServiceSettings> {
        let url = self.text("KITE_USERS_URL")?;
        if !url.starts_with("http://") && !url.starts_with("https://") {
            self.problems.push(format!("KITE_USERS_URL: `{url}` does not begin with http:// or https://"));
        }
        let Some(token) = self.text("KITE_USERS_TOKEN") else {
            self.problems.push("KITE_USERS_URL is set but KITE_USERS_TOKEN is not".into());
            return None;
        };
        Some(ServiceSettings { url, token: Secret::new(token) })
    }

    fn master_key(&mut self) -> Option<MasterKeySource> {
        let value = self.text("GATEWAY_MASTER_KEY").map(|key| MasterKeySource::Value(Secret::new(key)));
        let file = self.text("GATEWAY_MASTER_KEY_FILE").map(|path| MasterKeySource::File(path.into()));
        let command = self
            .text("GATEWAY_MASTER_KEY_COMMAND")
            .map(|line| MasterKeySource::Command { line, timeout: Duration::from_secs(10) });
        let mut sources = value.into_iter().chain(file).chain(command);
        let first = sources.next();
        if sources.next().is_some() {
            self.problems.push(
                "set one of GATEWAY_MASTER_KEY, GATEWAY_MASTER_KEY_FILE and GATEWAY_MASTER_KEY_COMMAND, not several".into(),
            );
        }
        first
    }

    /// The machine's name when none is given.
    fn instance(&mut self) -> String {
        let named = self.text("GATEWAY_INSTANCE");
        let host = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        let name = named.or_else(host).unwrap_or_default().trim().to_owned();
        let usable = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        match (1..=64).contains(&name.len()) && name.chars().all(usable) {
            true => name,
            false if self.text("GATEWAY_INSTANCE").is_some() => {
                self.problems.push(format!(
                    "GATEWAY_INSTANCE: `{name}` has more than 64 characters or others than letters, digits, `-`, `_`, `.`"
                ));
                name
            }
            false => "gateway".to_owned(),
        }
    }

    fn roles(&mut self) -> Roles {
        let text = self.text("GATEWAY_ROLES").unwrap_or_default();
        let mut roles = Roles { feed: false, api: false };
        for word in text.split(',').map(str::trim) {
            match word {
                "feed" => roles.feed = true,
                "api" => roles.api = true,
                _ => self.problems.push(format!("GATEWAY_ROLES: `{word}` is not one of feed, api")),
            }
        }
        roles
    }

    fn link(&mut self) -> LinkConfig {
        let hours: u32 = self.number("KITE_ROTATE_HOURS", 0..=168);
        let family = match self.word("KITE_ADDRESS_FAMILY", &["any", "v4", "v6"]) {
            "v4" => AddressFamily::V4,
            "v6" => AddressFamily::V6,
            _ => AddressFamily::Any,
        };
        let local_address: Option<std::net::IpAddr> =
            self.parsed("KITE_LOCAL_ADDRESS", "an address such as 203.0.113.7");
        if let Some(local) = local_address {
            let other = if local.is_ipv4() { AddressFamily::V6 } else { AddressFamily::V4 };
            if family == other {
                self.problems
                    .push(format!("KITE_LOCAL_ADDRESS: {local} is not of KITE_ADDRESS_FAMILY's family"));
            }
        }
        let address_source = self.text("KITE_ADDRESS_SOURCE");
        let schemes = ["http://", "https://"];
        if let Some(url) = address_source.as_ref().filter(|url| !schemes.iter().any(|s| url.starts_with(s))) {
            let problem = format!("KITE_ADDRESS_SOURCE: `{url}` does not begin with http:// or https://");
            self.problems.push(problem);
        }
        LinkConfig {
            address_source,
            extra_roots: self.file_content("KITE_CA_FILE"),
            family,
            local_address,
            rotate_after: (hours > 0).then(|| Duration::from_secs(u64::from(hours) * 3600)),
            reconnect_on_rate_collapse: self.word("KITE_ON_RATE_COLLAPSE", &["reconnect", "alarm"])
                == "reconnect",
        }
    }

    fn record(&mut self) -> Option<RecordConfig> {
        let max_bytes = self.number("RECORD_MAX_BYTES", 16_777_216..=u64::MAX);
        let days: u32 = self.number("RECORD_MAX_DAYS", 1..=3650);
        Some(RecordConfig {
            folder: PathBuf::from(self.text("RECORD_DIR")?),
            max_bytes,
            max_age: Duration::from_secs(u64::from(days) * 86_400),
        })
    }

    fn load(&mut self) -> Option<(u32, f64)> {
        let text = self.text("SIM_LOAD")?;
        let parsed = text.split_once('x').and_then(|(instruments, rate)| {
            let instruments =
                instruments.trim().parse().ok().filter(|count| (1..=200_000).contains(count))?;
            let rate = rate.trim().parse().ok().filter(|rate| (0.01..=100.0).contains(rate))?;
            Some((instruments, rate))
        });
        if parsed.is_none() {
            self.problems.push(format!(
                "SIM_LOAD: `{text}` is not INSTRUMENTSxRATE such as 9000x2 (1 to 200000 instruments, 0.01 to 100 ticks per second)"
            ));
        }
        parsed
    }

    fn notices(&self) -> Vec<String> {
        let set = NOT_YET.iter().filter(|name| self.env.get(name).is_some_and(|value| !value.is_empty()));
        set.map(|name| format!("{name} is set, but this version has no use for it yet")).collect()
    }

    // === single values ===

    /// What is set for `env`: the variable, else the file's value, else the default; `None` when empty.
    fn text(&mut self, env: &str) -> Option<String> {
        let setting = by_env(env)?;
        if let Some(value) = self.env.get(env).filter(|value| !value.is_empty()) {
            return Some(value);
        }
        let from_file = setting.key.split('.').try_fold(None::<&toml::Value>, |found, part| {
            let table = match found {
                None => Some(&self.file),
                Some(value) => value.as_table(),
            };
            table.and_then(|table| table.get(part)).map(Some)
        });
        let value = match from_file.flatten() {
            Some(toml::Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => setting.default.to_owned(),
        };
        (!value.is_empty()).then_some(value)
    }

    fn parsed<T: FromStr>(&mut self, env: &str, expected: &str) -> Option<T> {
        let text = self.text(env)?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.problems.push(format!("{env}: `{text}` is not {expected}"));
        }
        parsed
    }

    fn number<T: FromStr + PartialOrd + Display + Copy>(&mut self, env: &str, range: RangeInclusive<T>) -> T {
        let text = self.text(env).unwrap_or_default();
        match text.parse() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let (least, most) = (range.start(), range.end());
                self.problems.push(format!("{env}: `{text}` is not a number from {least} to {most}"));
                *least
            }
        }
    }

    fn word(&mut self, env: &str, words: &[&'static str]) -> &'static str {
        let text = self.text(env).unwrap_or_default();
        words.iter().find(|word| **word == text).copied().unwrap_or_else(|| {
            self.problems.push(format!("{env}: `{text}` is not one of {}", words.join(", ")));
            words[0]
        })
    }

    fn flag(&mut self, env: &str) -> bool {
        self.word(env, &["false", "true"]) == "true"
    }

    fn file_content(&mut self, env: &str) -> Option<String> {
        let path = self.text(env)?;
        std::fs::read_to_string(&path)
            .map_err(|error| self.problems.push(format!("{env}: cannot read {path}: {error}")))
            .ok()
    }
}

fn read_table(path: &Path, env: &dyn Env, problems: &mut Vec<String>) -> toml::Table {
    let shown = path.display();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            problems.push(format!("--config: cannot read {shown}: {error}"));
            return toml::Table::new();
        }
    };
    let text = resolve(&text, env).unwrap_or_else(|missing| {
        problems
            .extend(missing.iter().map(|name| format!("{shown}: ${{{name}}} is not set in the environment")));
        text.clone()
    });
    let table: toml::Table = match text.parse() {
        Ok(table) => table,
        Err(error) => {
            let error: toml::de::Error = error;
            let line = error.span().map_or(0, |span| text[..span.start.min(text.len())].lines().count());
            problems.push(format!("{shown}, near line {line}: {}", error.message()));
            return toml::Table::new();
        }
    };
    for (section, value) in &table {
        let keys: Vec<String> = match value.as_table() {
            Some(entries) => entries.keys().map(|key| format!("{section}.{key}")).collect(),
            None => vec![section.clone()],
        };
        let unknown = keys.iter().filter(|key| !SETTINGS.iter().any(|setting| setting.key == key.as_str()));
        problems.extend(unknown.map(|key| format!("{shown}: there is no setting `{key}`")));
    }
    table
}
