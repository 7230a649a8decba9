//! `/v1/events`: the stream as server-sent events, for clients that only listen.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::unfold;
use http::{HeaderMap, header};
use serde::Deserialize;
use snapshot_wire::{BatchEncoder, WireFormat};
use tokio::time::{Instant, sleep_until};

use crate::error::Refusal;
use crate::hub::{ClientOptions, Connected, Denied, Outbox};
use crate::router::Door;
use crate::stream::outgoing::{Numberer, Outgoing, OutgoingBody};
use crate::stream::{MAX_BYTES, MAX_TICKS, moved, policy};
use crate::symbols::{Wish, date_in_india};

#[derive(Debug, Default, Deserialize)]
pub(crate) struct EventParameters {
    /// Symbols as on the stream, separated by commas.
    symbols: Option<String>,
    policy: Option<String>,
    api_key: Option<String>,
}

pub(crate) async fn open(
    State(door): State<Arc<Door>>,
    parameters: Result<Query<EventParameters>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let Query(parameters) =
        parameters.map_err(|_| Refusal::input("use symbols, policy and api_key only once each"))?;
    if !door.is_origin_allowed(&headers) {
        return Err(Refusal::origin());
    }
    let allowed = match parameters.api_key.as_deref() {
        Some(shown) => door.is_key(shown),
        None => door.is_key_shown(&headers),
    };
    if !allowed {
        return Err(Refusal::key());
    }
    let options = ClientOptions {
        policy: policy(parameters.policy.as_deref())?,
        format: WireFormat::Json,
        capacity: door.config.stream.queue_capacity,
        max_subscriptions: door.config.stream.max_subscriptions,
    };
    let connected = door.state.hub.connect(options);
    subscribe(&door, &connected, parameters.symbols.as_deref().unwrap_or_default())?;
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(unfold(Events::new(door, connected), Events::next))).into_response())
}

fn subscribe(door: &Door, connected: &Connected, symbols: &str) -> Result<(), Refusal> {
    let mut encoder = BatchEncoder::new(WireFormat::Json);
    let (catalog, now) = (door.catalog(), door.state.clock.now());
    let mut symbols = symbols.split(',').map(str::trim).filter(|symbol| !symbol.is_empty()).peekable();
    if symbols.peek().is_none() {
        return Err(Refusal::input("name what to listen to: symbols=NSE:INFY,chain:NIFTY"));
    }
    for symbol in symbols {
        let wish = Wish::parse(symbol)?;
        connected.subscribe(wish, Some(&mut encoder), &catalog, now).map_err(|denied| match denied {
            Denied::Unknown(unknown) => unknown.into(),
            Denied::TooMany { .. } | Denied::NotSubscribed => Refusal::input(denied.to_string()),
        })?;
    }
    Ok(())
}

/// The body of one answer. It is asked for its next piece when the socket has room, so a slow reader conflates.
struct Events {
    door: Arc<Door>,
    connected: Connected,
    catalog: tokio::sync::watch::Receiver<Arc<market_model::InstrumentCatalog>>,
    numberer: Numberer,
    outbox: Outbox,
}

// === impl Events ===

impl Events {
    fn new(door: Arc<Door>, connected: Connected) -> Self {
        let numberer = Numberer::new(WireFormat::Json, door.state.sim);
        Self { catalog: door.state.catalog.clone(), door, connected, numberer, outbox: Outbox::default() }
    }

    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        loop {
            if !self.connected.take(&mut self.outbox, MAX_TICKS, MAX_BYTES) {
                self.connected.count_slow_disconnect();
                return None;
            }
            if !self.outbox.is_empty() {
                let mut messages = Vec::new();
                self.numberer.number(&mut self.outbox, self.door.state.clock.now(), &mut messages);
                return Some((Ok(messages.iter().map(event).collect::<String>().into()), self));
            }
            let beat_at = Instant::now() + self.door.config.stream.heartbeat;
            tokio::select! {
                biased;
                () = self.door.shutdown.cancelled() => return None,
                () = self.connected.woken() => {}
                () = moved(&mut self.catalog) => {
                    let listed = self.catalog.borrow_and_update().clone();
                    self.connected.move_to(&listed, date_in_india(self.door.state.clock.now()));
                }
                // A comment, which clients skip; writing it finds out whether the client is still there.
                () = sleep_until(beat_at) => return Some((Ok(Bytes::from_static(b": heartbeat\n\n")), self)),
            }
        }
    }
}

fn event(message: &Outgoing) -> String {
    let OutgoingBody::Text(data) = &message.body else { return String::new() };
    let id = message.seq.map(|seq| format!("id: {seq}\n")).unwrap_or_default();
    format!("{id}event: {}\ndata: {data}\n\n", message.kind)
}
