//! The ticker's address, and the request that opens a connection there.

use std::fmt;

use http::{HeaderValue, Uri};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;

use crate::{KiteError, TickerCredentials};

/// Where to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Name or address, IPv6 without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Whether TLS is spoken.
    pub tls: bool,
}

/// The checked address of a ticker.
#[derive(Clone)]
pub(crate) struct TickerUrl {
    pub(crate) endpoint: Endpoint,
    scheme: &'static str,
    authority: String,
    /// Path and, when the address has one, its query with a `&` at the end.
    path: String,
}

// === impl TickerUrl ===

impl TickerUrl {
    pub(crate) fn parse(url: &str) -> Result<Self, KiteError> {
        let invalid = |reason| KiteError::InvalidUrl { reason };
        let uri: Uri = url.trim().parse().map_err(|_| invalid("it is not an address"))?;
        let (scheme, tls) = match uri.scheme_str() {
            Some("ws") => ("ws", false),
            Some("wss") => ("wss", true),
            _ => return Err(invalid("its scheme is neither ws nor wss")),
        };
        let authority = uri.authority().ok_or(invalid("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(invalid("it has a user name, which Kite does not know"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(invalid("it has no host"));
        }
        let path = match uri.query() {
            Some(query) if !query.is_empty() => format!("{}?{query}&", uri.path()),
            _ => format!("{}?", uri.path()),
        };
        Ok(Self {
            endpoint: Endpoint {
                host: host.to_owned(),
                port: uri.port_u16().unwrap_or(if tls { 443 } else { 80 }),
                tls,
            },
            scheme,
            authority: authority.to_string(),
            path,
        })
    }

    /// The handshake request. It carries the token in its address (protocol section 17.1): never log it.
    pub(crate) fn request(&self, credentials: &TickerCredentials) -> Result<Request, KiteError> {
        let address = format!(
            "{}://{}{}api_key={}&access_token={}",
            self.scheme,
            self.authority,
            self.path,
            PercentEncoded(credentials.api_key.expose()),
            PercentEncoded(credentials.access_token.expose()),
        );
        let unusable = KiteError::InvalidUrl { reason: "key and token do not make a request" };
        let mut request = address.into_client_request().map_err(|_| unusable)?;
        (request.headers_mut()).insert("x-kite-version", HeaderValue::from_static("3"));
        Ok(request)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "wss" } else { "ws" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

/// RFC 3986: everything but unreserved characters becomes `%XX`.
struct PercentEncoded<'a>(&'a str);

impl fmt::Display for PercentEncoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    write!(f, "{}", char::from(byte))?;
                }
                _ => write!(f, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AccessToken, ApiKey};

    fn check(url: &str, endpoint: &str, request: &str) {
        let url = TickerUrl::parse(url).unwrap();
        assert_eq!(url.endpoint.to_string(), endpoint);
        let credentials = TickerCredentials {
            api_key: ApiKey::new("key"),
            access_token: AccessToken::new("to&k/n"),
            generation: 1,
        };
        let made = url.request(&credentials).unwrap();
        assert_eq!(made.uri().path_and_query().unwrap(), request);
        assert_eq!(made.headers()["x-kite-version"], "3");
        assert_eq!(made.headers()["host"], url.authority);
    }

    #[test]
    fn addresses_become_requests() {
        let login = "api_key=key&access_token=to%26k%2Fn";
        check("wss://ws.kite.trade", "wss://ws.kite.trade:443", &format!("/?{login}"));
        check("ws://127.0.0.1:8000/ws", "ws://127.0.0.1:8000", &format!("/ws?{login}"));
        check("ws://[::1]:9/", "ws://::1:9", &format!("/?{login}"));
        check("ws://sim/a?uid=1", "ws://sim:80", &format!("/a?uid=1&{login}"));
    }

    #[test]
    fn what_is_no_ticker_address_is_refused() {
        for url in ["", "kite", "https://ws.kite.trade", "wss://me@ws.kite.trade", "ws:///path"] {
            assert!(matches!(TickerUrl::parse(url), Err(KiteError::InvalidUrl { .. })), "{url}");
        }
    }
}
