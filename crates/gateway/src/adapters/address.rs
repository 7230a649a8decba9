//! A service that answers with the address it was asked from.

use std::net::IpAddr;
use std::time::Duration;

use account_pool::{Family, ObserveAddress};
use http::{Request, header};
use http_body_util::Full;
use kite_client::{AddressFamily, SocketConfig, TcpTls};
use serde_json::Value;
use tokio::time::timeout;

use super::http::exchange;

const PATIENCE: Duration = Duration::from_secs(10);
const MOST_BYTES: usize = 16 * 1024;

/// Asks `url` over one family at a time, with the sockets that connections to the broker are made with.
pub(crate) struct AddressService {
    pub(crate) connector: TcpTls,
    pub(crate) sockets: SocketConfig,
    pub(crate) url: String,
}

impl ObserveAddress for AddressService {
    async fn observe(&self, family: Family) -> Result<Option<IpAddr>, String> {
        // A chosen local address decides the family of every connection.
        if self.sockets.local_address.is_some_and(|local| local.is_ipv4() != (family == Family::V4)) {
            return Ok(None);
        }
        let pinned = match family {
            Family::V4 => AddressFamily::V4,
            Family::V6 => AddressFamily::V6,
        };
        let connector = self.connector.clone().with_sockets(SocketConfig { family: pinned, ..self.sockets });
        let request = Request::get(&self.url)
            .header(header::ACCEPT, "text/plain, application/json")
            .header(header::USER_AGENT, concat!("kite-gateway/", env!("CARGO_PKG_VERSION")))
            .body(Full::default())
            .map_err(|_| "KITE_ADDRESS_SOURCE cannot be read".to_owned())?;
        let answer = timeout(PATIENCE, exchange(&connector, request, MOST_BYTES)).await;
        let answer = answer
            .map_err(|_| format!("{family}: no answer within {} s", PATIENCE.as_secs()))?
            .map_err(|error| format!("{family}: {error}"))?;
        if !answer.status.is_success() {
            return Err(format!("{family}: it answered {}", answer.status));
        }
        match address_in(&String::from_utf8_lossy(&answer.body)) {
            Some(address) => Ok(Some(address)),
            None => Err(format!("{family}: there is no address in its answer")),
        }
    }
}

/// The address as plain text, or as `ip` or `address` of a JSON object.
fn address_in(body: &str) -> Option<IpAddr> {
    let text = body.trim();
    text.parse().ok().or_else(|| {
        let json: Value = serde_json::from_str(text).ok()?;
        let found = ["ip", "address"].into_iter().find_map(|name| json[name].as_str());
        found.or_else(|| json.as_str())?.trim().parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_in_the_usual_answers() {
        for (body, found) in [
            ("203.0.113.7\n", Some("203.0.113.7")),
            ("2001:db8::1", Some("2001:db8::1")),
            (r#"{"ip":"203.0.113.7","country":"IN"}"#, Some("203.0.113.7")),
            (r#"{"address": "2001:db8::1"}"#, Some("2001:db8::1")),
            (r#""203.0.113.7""#, Some("203.0.113.7")),
            ("<html>203.0.113.7</html>", None),
            ("", None),
        ] {
            assert_eq!(address_in(body), found.map(|text| text.parse().unwrap()), "{body}");
        }
    }
}
