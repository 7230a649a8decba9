//! `/v1/stream`: the WebSocket handshake. What is said afterwards stands in `protocol`, who says it in `session`.

pub(crate) mod outgoing;
pub(crate) mod protocol;
mod session;
pub(crate) use session::{MAX_BYTES, MAX_TICKS, moved};

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use snapshot_wire::WireFormat;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tracing::debug;

use crate::error::Refusal;
use crate::hub::{ClientOptions, SlowPolicy};
use crate::router::Door;
use crate::server::AfterUpgrade;

/// What a client chooses at connect.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct StreamParameters {
    pub(crate) policy: Option<String>,
    format: Option<String>,
    pub(crate) api_key: Option<String>,
}

pub(crate) async fn open(
    State(door): State<Arc<Door>>,
    parameters: Result<Query<StreamParameters>, QueryRejection>,
    mut request: Request,
) -> Result<Response, Refusal> {
    let Query(parameters) =
        parameters.map_err(|_| Refusal::input("use policy, format and api_key only once each"))?;
    let headers = request.headers();
    let accept = accept_key(headers).ok_or_else(Refusal::upgrade)?;
    if !door.is_origin_allowed(headers) {
        return Err(Refusal::origin());
    }
    let authenticated = match parameters.api_key.as_deref() {
        Some(shown) if door.is_key(shown) => true,
        Some(_) => return Err(Refusal::key()),
        None => door.is_key_shown(headers),
    };
    let options = ClientOptions {
        policy: policy(parameters.policy.as_deref())?,
        format: format(parameters.format.as_deref())?,
        capacity: door.config.stream.queue_capacity,
        max_subscriptions: door.config.stream.max_subscriptions,
    };
    let upgrade = hyper::upgrade::on(&mut request);
    let after = request.extensions().get::<AfterUpgrade>().cloned().ok_or_else(Refusal::upgrade)?;
    after.put(Box::pin(async move {
        match upgrade.await {
            Ok(upgraded) => {
                let config = websocket_config(door.config.stream.max_message_bytes);
                let socket =
                    WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config))
                        .await;
                session::run(socket, door, options, authenticated).await;
            }
            Err(error) => debug!(%error, "the connection went away during the upgrade"),
        }
    }));
    let switching = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept)
        .body(Body::empty());
    switching.map_err(|_| Refusal::upgrade()).map(IntoResponse::into_response)
}

pub(crate) fn policy(word: Option<&str>) -> Result<SlowPolicy, Refusal> {
    let policy = word.map_or(Some(SlowPolicy::default()), SlowPolicy::from_word);
    policy.ok_or_else(|| Refusal::input("policy is one of conflate, drop_oldest, disconnect"))
}

fn format(word: Option<&str>) -> Result<WireFormat, Refusal> {
    match word {
        None | Some("json") => Ok(WireFormat::Json),
        Some("msgpack") => Ok(WireFormat::MessagePack),
        Some("msgpack_positional") => Ok(WireFormat::Positional),
        Some(_) => Err(Refusal::input("format is one of json, msgpack, msgpack_positional")),
    }
}

/// The answer to a proper handshake (RFC 6455, section 4.2.1).
fn accept_key(headers: &HeaderMap) -> Option<String> {
    let has = |name: HeaderName, wanted: &str| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case(wanted))
    };
    let proper = has(header::CONNECTION, "upgrade")
        && has(header::UPGRADE, "websocket")
        && has(header::SEC_WEBSOCKET_VERSION, "13");
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|_| proper)?;
    Some(derive_accept_key(key.as_bytes()))
}

fn websocket_config(max_message_bytes: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        // Clients say little; the default of 128 KiB is allocated for each of them.
        .read_buffer_size(4 * 1024)
        .write_buffer_size(16 * 1024)
        // Room for a few messages; a client that reads nothing then holds its writer up, which conflates.
        .max_write_buffer_size(4 * 1024 * 1024)
        .max_message_size(Some(max_message_bytes))
        .max_frame_size(Some(max_message_bytes))
}
