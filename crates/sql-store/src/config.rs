//! Where the database is and how hard it is tried.

use std::path::PathBuf;
use std::time::Duration;

use crate::StoreError;
use crate::postgres::PostgresUrl;

/// Which engine, and its settings.
#[derive(Debug, Clone)]
pub enum DatabaseConfig {
    /// A server, shared by every instance.
    Postgres(PostgresConfig),
    /// A file of this machine, for one instance.
    Embedded(EmbeddedConfig),
}

/// How Postgres is reached.
#[derive(Debug, Clone)]
pub struct PostgresConfig {
    /// Where it is and who we are.
    pub url: PostgresUrl,
    /// Connections at most. Statements are short, so a few serve many callers.
    pub max_connections: usize,
    /// How long making a connection may take: address, TLS and login together.
    pub connect_timeout: Duration,
    /// How long a call waits for a free connection.
    pub acquire_timeout: Duration,
    /// How long a call may take once it has a connection.
    pub statement_timeout: Duration,
    /// How long the migrations of one start may take, waiting for another instance's included.
    pub migration_timeout: Duration,
}

/// How the embedded file is kept.
#[derive(Debug, Clone)]
pub struct EmbeddedConfig {
    /// The file; made when it is not there, its folder is not.
    pub path: PathBuf,
    /// Threads that read. 0 counts as 1.
    pub readers: usize,
    /// Calls that may wait for the writer and for the readers, each. More wait outside, for `acquire_timeout`.
    pub queue: usize,
    /// Writes that share one flush to the disk at most.
    pub group: usize,
    /// How long a call waits for a place in the queue.
    pub acquire_timeout: Duration,
    /// How long a call may take once it has one.
    pub statement_timeout: Duration,
    /// How long the migrations of one start may take.
    pub migration_timeout: Duration,
    /// `false` leaves flushing to the system: only for tests and throw-away data.
    pub durable: bool,
}

// === impl DatabaseConfig ===

impl DatabaseConfig {
    /// From `postgres://user:password@host:5432/name` or `embedded:/path/to/file.db`, with default settings.
    ///
    /// # Errors
    /// [`StoreError::Url`] when it is neither, or something in it cannot be understood.
    pub fn from_url(url: &str) -> Result<Self, StoreError> {
        match url.split_once(':') {
            Some(("embedded", "")) => {
                Err(StoreError::Url("name a file: embedded:/path/to/file.db".to_owned()))
            }
            Some(("embedded", path)) => Ok(Self::Embedded(EmbeddedConfig::new(path))),
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres(PostgresConfig::new(url.parse()?))),
            _ => Err(StoreError::Url("it begins with neither postgres:// nor embedded:".to_owned())),
        }
    }
}

// === impl PostgresConfig ===

impl PostgresConfig {
    /// The defaults.
    pub const fn new(url: PostgresUrl) -> Self {
        Self {
            url,
            max_connections: 8,
            connect_timeout: Duration::from_secs(3),
            acquire_timeout: Duration::from_secs(1),
            statement_timeout: Duration::from_secs(5),
            migration_timeout: Duration::from_secs(120),
        }
    }
}

// === impl EmbeddedConfig ===

impl EmbeddedConfig {
    /// The defaults.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            readers: 2,
            queue: 1024,
            group: 256,
            acquire_timeout: Duration::from_secs(1),
            statement_timeout: Duration::from_secs(5),
            migration_timeout: Duration::from_secs(120),
            durable: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_chooses_the_engine() {
        let check = |url: &str, expect: Result<&str, &str>| match (DatabaseConfig::from_url(url), expect) {
            (Ok(DatabaseConfig::Postgres(config)), Ok(shown)) => assert_eq!(config.url.to_string(), shown),
            (Ok(DatabaseConfig::Embedded(config)), Ok(path)) => {
                assert_eq!(config.path, PathBuf::from(path));
            }
            (Err(error), Err(part)) => {
                assert!(error.to_string().contains(part), "{url}: {error}");
                assert!(!error.to_string().contains("s3cret"), "{error}");
            }
            (got, expect) => panic!("{url}: {got:?}, expected {expect:?}"),
        };
        check("embedded:/var/lib/kite/gateway.db", Ok("/var/lib/kite/gateway.db"));
        check("embedded:gateway.db", Ok("gateway.db"));
        check("embedded:", Err("name a file"));
        check("postgres://kite:s3cret@db.example:6432/kite?sslmode=verify-full", Ok("db.example:6432/kite"));
        check("postgresql://db.example/kite", Ok("db.example/kite"));
        check("postgres://kite:s3cret@db.example:port/kite", Err("port"));
        check("postgres://kite:s3cret@db.example/kite?sslmode=maybe", Err("sslmode"));
        check("postgres://kite:s3cret@db.example/kite?sslrootcert=", Err("sslrootcert"));
        check("postgres://kite:s3cret@db.example/kite?colour=red", Err("colour"));
        check("mysql://kite:s3cret@db.example/kite", Err("neither postgres:// nor embedded:"));
        check("", Err("neither"));
    }
}
