//! Where Postgres is, from a URL.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use tokio_postgres::config::SslMode;

use crate::StoreError;

/// `postgres://user:password@host:5432/database?sslmode=verify-full&sslrootcert=/path/ca.pem`.
///
/// `sslmode` is `disable`, `prefer` (the default), `require`, `verify-ca` or `verify-full`, with libpq's meaning;
/// `sslrootcert` is a PEM file or `system` for the roots that browsers trust. Other parameters are those of libpq
/// that `tokio-postgres` knows. Shows itself without user and password.
#[derive(Clone)]
pub struct PostgresUrl {
    settings: Box<tokio_postgres::Config>,
    shown: String,
    pub(super) check: ServerCheck,
    pub(super) roots: Roots,
}

/// How much the server has to prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ServerCheck {
    /// Nothing: encrypted against listening only.
    Nothing,
    /// That a trusted authority knows it.
    Authority,
    /// That, and its name.
    AuthorityAndName,
}

/// Whom to trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Roots {
    /// Mozilla's list.
    Web,
    /// The certificates of a PEM file.
    File(PathBuf),
}

// === impl PostgresUrl ===

impl PostgresUrl {
    pub(super) fn settings(&self) -> &tokio_postgres::Config {
        &self.settings
    }
}

impl FromStr for PostgresUrl {
    type Err = StoreError;

    fn from_str(url: &str) -> Result<Self, StoreError> {
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut mode, mut roots, mut rest) = ("prefer", None, Vec::new());
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("sslmode", value)) => mode = value,
                Some(("sslrootcert", "")) => {
                    return Err(StoreError::Url("sslrootcert names no file".to_owned()));
                }
                Some(("sslrootcert", "system")) => roots = Some(Roots::Web),
                Some(("sslrootcert", file)) => roots = Some(Roots::File(file.into())),
                _ => rest.push(parameter),
            }
        }
        let (ssl, check) = match (mode, &roots) {
            ("disable", _) => (SslMode::Disable, ServerCheck::Nothing),
            ("prefer", _) => (SslMode::Prefer, ServerCheck::Nothing),
            // As libpq: a root certificate that is given is used.
            ("require", None) => (SslMode::Require, ServerCheck::Nothing),
            ("require" | "verify-ca", _) => (SslMode::Require, ServerCheck::Authority),
            ("verify-full", _) => (SslMode::Require, ServerCheck::AuthorityAndName),
            _ => {
                let known = "disable, prefer, require, verify-ca or verify-full";
                return Err(StoreError::Url(format!("sslmode is one of {known}")));
            }
        };
        let plain = if rest.is_empty() { place.to_owned() } else { format!("{place}?{}", rest.join("&")) };
        let mut settings: tokio_postgres::Config = plain.parse().map_err(|error| of_parse(&error))?;
        settings.ssl_mode(ssl);
        if settings.get_hosts().is_empty() && settings.get_hostaddrs().is_empty() {
            return Err(StoreError::Url("it names no host".to_owned()));
        }
        if settings.get_application_name().is_none() {
            settings.application_name("kite-gateway");
        }
        let after_scheme = place.split_once("://").map_or(place, |(_, rest)| rest);
        // A raw `@` in a password must not leak what follows it.
        let shown = after_scheme.rsplit('@').next().unwrap_or_default().to_owned();
        Ok(Self { settings: Box::new(settings), shown, check, roots: roots.unwrap_or(Roots::Web) })
    }
}

fn of_parse(error: &tokio_postgres::Error) -> StoreError {
    let cause = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    StoreError::Url(cause)
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresUrl({self})")
    }
}
