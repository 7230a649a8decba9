//! From an address to a [`Wire`] that is authenticated and leads to a master.

use std::time::Duration;

use fred::types::config::{Config, Server, ServerConfig, TlsConnector};
use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::ServerName;

use super::commands::accepted;
use super::resp::{Commands, Reply};
use super::wire::{Socket, Wire};
use crate::RedisError;

/// Who we say we are.
struct Credentials<'a> {
    user: Option<&'a str>,
    password: Option<&'a str>,
}

/// A connection to what `config` names: a server, or the master that its sentinels name. Of several sentinels another
/// one is asked first with each `attempt`. Commands on it must be answered within `limit`.
pub(super) async fn dial(config: &Config, attempt: usize, limit: Duration) -> Result<Wire, RedisError> {
    let (host, port) = match &config.server {
        ServerConfig::Centralized { server } => (server.host.to_string(), server.port),
        ServerConfig::Sentinel { hosts, service_name, username, password } => {
            let credentials = Credentials { user: username.as_deref(), password: password.as_deref() };
            master(config, hosts, service_name, &credentials, attempt, limit).await?
        }
        _ => return Err(RedisError::Connect("the url names a cluster, not a server".to_owned())),
    };
    let mut wire = connect(config, &host, port, limit).await?;
    let credentials = Credentials { user: config.username.as_deref(), password: config.password.as_deref() };
    introduce(&mut wire, &credentials).await?;
    if let Some(database @ 1..) = config.database {
        accepted(wire.ask(Commands::of(&["SELECT", &database.to_string()])).await?)?;
    }
    Ok(wire)
}

/// Asks the sentinels one after another for the master's address.
async fn master(
    config: &Config,
    sentinels: &[Server],
    name: &str,
    credentials: &Credentials<'_>,
    attempt: usize,
    limit: Duration,
) -> Result<(String, u16), RedisError> {
    let mut last = RedisError::Connect("the url names no sentinel".to_owned());
    for at in 0..sentinels.len() {
        let sentinel = &sentinels[(attempt + at) % sentinels.len()];
        let asked = async {
            let mut wire = connect(config, &sentinel.host, sentinel.port, limit).await?;
            introduce(&mut wire, credentials).await?;
            let question = Commands::of(&["SENTINEL", "get-master-addr-by-name", name]);
            address_of(accepted(wire.ask(question).await?)?)
        };
        match asked.await {
            Ok(Some(address)) => return Ok(address),
            Ok(None) => {
                last = RedisError::Connect(format!("sentinel {sentinel} knows no master named `{name}`"));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn address_of(reply: Reply) -> Result<Option<(String, u16)>, RedisError> {
    match reply {
        Reply::Null => Ok(None),
        Reply::Array(parts) => match &parts[..] {
            [host, port] => {
                let address = host.text().zip(port.text().and_then(|port| port.parse().ok()));
                address.map(|(host, port)| Some((host.to_owned(), port)))
            }
            _ => None,
        }
        .ok_or_else(|| RedisError::Connect("the sentinel answers without an address".to_owned())),
        _ => Err(RedisError::Connect("the sentinel answers without an address".to_owned())),
    }
}

async fn connect(config: &Config, host: &str, port: u16, limit: Duration) -> Result<Wire, RedisError> {
    let failed = |error: std::io::Error| RedisError::Connect(error.to_string());
    let socket = TcpStream::connect((host, port)).await.map_err(failed)?;
    socket.set_nodelay(true).map_err(failed)?;
    // A connection that is given up takes what it has not sent with it: those prices are old.
    socket.set_zero_linger().map_err(failed)?;
    let socket = match config.tls.as_ref().map(|tls| &tls.connector) {
        None => Socket::Plain(socket),
        Some(TlsConnector::Rustls(tls)) => {
            let name = ServerName::try_from(host.to_owned()).map_err(|error| {
                RedisError::Connect(format!("`{host}` cannot be in a certificate: {error}"))
            })?;
            Socket::Tls(Box::new(tls.connect(name, socket).await.map_err(failed)?))
        }
    };
    Ok(Wire::new(socket, limit))
}

/// Says who we are, or at least hears the server once: one that is loading or full says so.
async fn introduce(wire: &mut Wire, credentials: &Credentials<'_>) -> Result<(), RedisError> {
    let Some(password) = credentials.password else {
        let heard = accepted(wire.ask(Commands::of(&["PING"])).await?);
        return match heard {
            // It has answered; what it allows is found when it is asked for.
            Ok(_) | Err(RedisError::Denied(_)) => Ok(()),
            Err(error) => Err(error),
        };
    };
    let login = match credentials.user {
        Some(user) => Commands::of(&["AUTH", user, password]),
        None => Commands::of(&["AUTH", password]),
    };
    match accepted(wire.ask(login).await?) {
        Err(RedisError::Reply(text)) => Err(RedisError::Credentials(text)),
        done => done.map(drop),
    }
}
