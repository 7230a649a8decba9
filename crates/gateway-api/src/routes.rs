//! The table of paths: what the router serves, what `/openapi.json` says and what the metrics are labelled with.

/// One path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route {
    /// With parameters in braces, as OpenAPI and axum both write it.
    pub(crate) path: &'static str,
    /// Method, as OpenAPI writes it, and one line for the API document; the line is empty for the page's own files,
    /// which are not part of the interface.
    pub(crate) methods: &'static [(&'static str, &'static str)],
    /// Whether the API key is asked for when one is configured.
    pub(crate) protected: bool,
}

const fn open(path: &'static str, methods: &'static [(&'static str, &'static str)]) -> Route {
    Route { path, methods, protected: false }
}

const fn protected(path: &'static str, methods: &'static [(&'static str, &'static str)]) -> Route {
    Route { path, methods, protected: true }
}

/// Every path this door answers. Of two that serve one path the first counts.
pub(crate) const ROUTES: &[Route] = &[
    open("/", &[("get", "")]),
    open("/page.css", &[("get", "")]),
    open("/page.js", &[("get", "")]),
    open("/healthz", &[("get", "Whether the process is alive.")]),
    open("/readyz", &[("get", "Whether it can serve; says what is missing.")]),
    open("/openapi.json", &[("get", "This description.")]),
    open("/kite/callback", &[("get", "Where the broker's login sends the browser back to.")]),
    protected("/health", &[("get", "The full report: connections, sinks, tasks, latency, streams.")]),
    protected("/metrics", &[("get", "Metrics in Prometheus' text format.")]),
    protected("/v1/underlyings", &[("get", "Underlyings that have derivatives, with their expiries.")]),
    protected(
        "/v1/underlyings/{underlying}/strikes",
        &[("get", "The strikes of one expiry, or those around the money.")],
    ),
    protected(
        "/v1/chain/{underlying}",
        &[("get", "The option chain of one expiry with Greeks and the forward they used.")],
    ),
    protected("/v1/ticks/{symbol}", &[("get", "The newest tick of one instrument.")]),
    protected("/v1/instruments", &[("get", "Instruments whose symbol or name matches.")]),
    protected("/v1/instruments/changes", &[("get", "What the last dump changed.")]),
    protected("/v1/instruments/refresh", &[("post", "Asks the broker for the dump now.")]),
    protected("/v1/instruments/{symbol}", &[("get", "One instrument, today or on an earlier day.")]),
    protected(
        "/v1/accounts",
        &[
            ("get", "Every account: its token, who streams it, what it carries."),
            ("post", "Keeps one more account in the database."),
        ],
    ),
    protected("/v1/accounts/{account}", &[("delete", "Takes an account out of the database.")]),
    protected("/v1/accounts/{account}/login", &[("get", "Sends the browser to the broker's login.")]),
    protected(
        "/v1/accounts/{account}/unbar",
        &[("post", "Lets an account log in by itself again after it was barred from it.")],
    ),
    protected(
        "/v1/accounts/{account}/access_token",
        &[("put", "Hands over a new access token; the account's connections change over to it.")],
    ),
    protected(
        "/v1/accounts/{account}/reconnect",
        &[("post", "Makes one connection of an account anew, or all of them.")],
    ),
    protected("/v1/subscriptions", &[("get", "Every wish."), ("post", "One more wish.")]),
    protected(
        "/v1/subscriptions/{id}",
        &[
            ("put", "Another text, owner or priority for a wish that still has the version seen."),
            ("delete", "A wish less."),
        ],
    ),
    protected(
        "/v1/plan",
        &[("get", "Which account carries how much; with a symbol, why it is where it is.")],
    ),
    protected("/v1/instances", &[("get", "The instances that share the database, and what each holds.")]),
    protected("/v1/stream", &[("get", "WebSocket: ticks and feed health as they happen.")]),
    protected(
        "/v1/events",
        &[("get", "Server-sent events: the same messages for one fixed list of symbols.")],
    ),
];

// === impl Route ===

impl Route {
    /// Where the route that serves `path` stands in [`ROUTES`]; their number when none does.
    pub(crate) fn index_of(path: &str) -> usize {
        ROUTES.iter().position(|route| route.serves(path)).unwrap_or(ROUTES.len())
    }

    fn serves(&self, path: &str) -> bool {
        match self.path.split_once('{') {
            None => self.path == path,
            Some((prefix, rest)) => {
                let suffix = rest.split_once('}').map_or("", |(_, suffix)| suffix);
                let value = path.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(suffix));
                value.is_some_and(|value| !value.is_empty() && !value.contains('/'))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_find_their_route() {
        let found = |path| ROUTES.get(Route::index_of(path)).map(|route| route.path);
        assert_eq!(found("/"), Some("/"));
        assert_eq!(found("/v1/chain/NIFTY"), Some("/v1/chain/{underlying}"));
        assert_eq!(found("/v1/ticks/NSE:NIFTY%2050"), Some("/v1/ticks/{symbol}"));
        assert_eq!(found("/v1/instruments/changes"), Some("/v1/instruments/changes"));
        assert_eq!(found("/v1/instruments/NSE:INFY"), Some("/v1/instruments/{symbol}"));
        assert_eq!(found("/v1/accounts/main/reconnect"), Some("/v1/accounts/{account}/reconnect"));
        for unknown in ["/v1/chain/", "/v1/chain/a/b", "/v2", "/healthz/", "/v1/accounts//reconnect", ""] {
            assert_eq!(found(unknown), None, "{unknown}");
        }
    }
}
