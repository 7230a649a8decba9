//! The gateway asked from a shell: every command is a request to the running gateway, shown as a table or as JSON.

mod http;
mod table;

use serde_json::{Value, json};

pub use http::{ApiClient, CallError};
pub use table::render;

/// One request of a command.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// HTTP method.
    pub method: &'static str,
    /// Path with its query, percent-encoded.
    pub path: String,
    /// JSON body.
    pub body: Option<Value>,
}

/// What a wish is sent with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WishArguments {
    /// As in `GATEWAY_SUBSCRIBE`.
    pub wish: String,
    /// Who wants it.
    pub owner: Option<String>,
    /// Which wishes keep their place when there is too little room.
    pub priority: Option<i32>,
    /// The account that should carry it.
    pub account: Option<String>,
}

// === impl Call ===

impl Call {
    /// A question.
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: "GET", path: path.into(), body: None }
    }

    /// `accounts list`.
    pub fn accounts() -> Self {
        Self::get("/v1/accounts")
    }

    /// `accounts add`.
    pub fn add_account(account: Value) -> Self {
        Self { method: "POST", path: "/v1/accounts".into(), body: Some(account) }
    }

    /// `accounts remove`.
    pub fn remove_account(name: &str) -> Self {
        Self { method: "DELETE", path: format!("/v1/accounts/{}", encode(name)), body: None }
    }

    /// `accounts unbar`.
    pub fn unbar(name: &str) -> Self {
        let path = format!("/v1/accounts/{}/unbar", encode(name));
        Self { method: "POST", path, body: None }
    }

    /// `accounts token`.
    pub fn hand_over(name: &str, access_token: &str) -> Self {
        Self {
            method: "PUT",
            path: format!("/v1/accounts/{}/access_token", encode(name)),
            body: Some(json!({ "access_token": access_token })),
        }
    }

    /// `accounts reconnect`.
    pub fn reconnect(name: &str) -> Self {
        let path = format!("/v1/accounts/{}/reconnect", encode(name));
        Self { method: "POST", path, body: Some(json!({})) }
    }

    /// `instruments search`.
    pub fn search(words: &str, limit: usize) -> Self {
        Self::get(format!("/v1/instruments?search={}&limit={limit}", encode(words)))
    }

    /// `instruments show`.
    pub fn instrument(symbol: &str, as_of: Option<&str>) -> Self {
        let day = as_of.map_or(String::new(), |day| format!("?as_of={}", encode(day)));
        Self::get(format!("/v1/instruments/{}{day}", encode(symbol)))
    }

    /// `instruments strikes`.
    pub fn strikes(underlying: &str, expiry: Option<&str>, around: Option<usize>) -> Self {
        let expiry = expiry.map(|day| format!("expiry={}", encode(day)));
        let around = around.map(|count| format!("around={count}"));
        let query: Vec<String> = expiry.into_iter().chain(around).collect();
        let joint = if query.is_empty() { "" } else { "?" };
        let path = format!("/v1/underlyings/{}/strikes{joint}{}", encode(underlying), query.join("&"));
        Self::get(path)
    }

    /// `instruments changes`.
    pub fn instrument_changes() -> Self {
        Self::get("/v1/instruments/changes")
    }

    /// `instruments refresh`.
    pub fn refresh_instruments() -> Self {
        Self { method: "POST", path: "/v1/instruments/refresh".into(), body: None }
    }

    /// `subscriptions list`.
    pub fn subscriptions() -> Self {
        Self::get("/v1/subscriptions")
    }

    /// `subscriptions add`.
    pub fn subscribe(wish: &WishArguments) -> Self {
        Self { method: "POST", path: "/v1/subscriptions".into(), body: Some(wish.body()) }
    }

    /// `subscriptions change`.
    pub fn change_subscription(id: &str, version: u64, wish: &WishArguments) -> Self {
        let path = format!("/v1/subscriptions/{}?version={version}", encode(id));
        Self { method: "PUT", path, body: Some(wish.body()) }
    }

    /// `subscriptions remove`.
    pub fn unsubscribe(id: &str, version: Option<u64>) -> Self {
        let version = version.map_or(String::new(), |version| format!("?version={version}"));
        Self { method: "DELETE", path: format!("/v1/subscriptions/{}{version}", encode(id)), body: None }
    }

    /// `plan`.
    pub fn plan(symbol: Option<&str>) -> Self {
        let symbol = symbol.map_or(String::new(), |symbol| format!("?symbol={}", encode(symbol)));
        Self::get(format!("/v1/plan{symbol}"))
    }

    /// `instances`.
    pub fn instances() -> Self {
        Self::get("/v1/instances")
    }
}

impl WishArguments {
    fn body(&self) -> Value {
        let mut body = json!({ "wish": self.wish });
        let optional = [
            ("owner", self.owner.as_ref().map(|owner| json!(owner))),
            ("priority", self.priority.map(|priority| json!(priority))),
            ("account", self.account.as_ref().map(|account| json!(account))),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                body[name] = value;
            }
        }
        body
    }
}

/// Percent-encodes what is not unreserved in RFC 3986.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_become_requests() {
        let path = |call: Call| format!("{} {}", call.method, call.path);
        for (call, expect) in [
            (
                Call::instrument("NSE:M&M", Some("2026-11-19")),
                "GET /v1/instruments/NSE%3AM%26M?as_of=2026-11-19",
            ),
            (Call::strikes("NIFTY", None, None), "GET /v1/underlyings/NIFTY/strikes"),
            (
                Call::strikes("NIFTY", Some("2026-11-24"), Some(5)),
                "GET /v1/underlyings/NIFTY/strikes?expiry=2026-11-24&around=5",
            ),
            (Call::unbar("main"), "POST /v1/accounts/main/unbar"),
            (Call::unsubscribe("a", None), "DELETE /v1/subscriptions/a"),
            (Call::plan(Some("NSE:NIFTY 50")), "GET /v1/plan?symbol=NSE%3ANIFTY%2050"),
        ] {
            assert_eq!(path(call), expect);
        }
        let wish =
            WishArguments { wish: "NSE:INFY:ltp".into(), priority: Some(3), ..WishArguments::default() };
        assert_eq!(Call::subscribe(&wish).body, Some(json!({ "wish": "NSE:INFY:ltp", "priority": 3 })));
    }
}
