//! The table of paths: what the router serves, what `/openapi.json` says and what the metrics are labelled with.

/// One path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route {
    /// With parameters in braces, as OpenAPI and axum both write it.
    pub(crate) path: &'static str,
    /// One line for the API document; empty for the page's own files, which are not part of the interface.
    pub(crate) summary: &'static str,
    /// Whether the API key is asked for when one is configured.
    pub(crate) protected: bool,
    /// How it is asked, as OpenAPI writes it.
    pub(crate) method: &'static str,
}

const fn open(path: &'static str, summary: &'static str) -> Route {
    Route { path, summary, protected: false, method: "get" }
}

const fn protected(path: &'static str, summary: &'static str) -> Route {
    Route { path, summary, protected: true, method: "get" }
}

const fn command(method: &'static str, path: &'static str, summary: &'static str) -> Route {
    Route { path, summary, protected: true, method }
}

/// Every path this door answers.
pub(crate) const ROUTES: &[Route] = &[
    open("/", ""),
    open("/page.css", ""),
    open("/page.js", ""),
    open("/healthz", "Whether the process is alive."),
    open("/readyz", "Whether it can serve; says what is missing."),
    open("/openapi.json", "This description."),
    protected("/health", "The full report: connections, sinks, tasks, latency, streams."),
    protected("/metrics", "Metrics in Prometheus' text format."),
    protected("/v1/underlyings", "Underlyings that have derivatives, with their expiries."),
    protected(
        "/v1/chain/{underlying}",
        "The option chain of one expiry with Greeks and the forward they used.",
    ),
    protected("/v1/ticks/{symbol}", "The newest tick of one instrument."),
    command(
        "put",
        "/v1/accounts/{account}/access_token",
        "Hands over a new access token; the account's connections change over to it.",
    ),
    command(
        "post",
        "/v1/accounts/{account}/reconnect",
        "Makes one connection of an account anew, or all of them.",
    ),
    protected("/v1/stream", "WebSocket: ticks and feed health as they happen."),
    protected("/v1/events", "Server-sent events: the same messages for one fixed list of symbols."),
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
        assert_eq!(found("/v1/accounts/main/reconnect"), Some("/v1/accounts/{account}/reconnect"));
        for unknown in ["/v1/chain/", "/v1/chain/a/b", "/v2", "/healthz/", "/v1/accounts//reconnect", ""] {
            assert_eq!(found(unknown), None, "{unknown}");
        }
    }
}
