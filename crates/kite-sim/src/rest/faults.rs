//! `/sim/faults`: what goes wrong, by request.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};

use super::Refused;
use crate::clock::ist_text;
use crate::fault::{FaultId, from_json, to_json};
use crate::faults::FaultReport;
use crate::server::Shared;

/// `GET /sim/faults`: every fault with what it did.
pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Response {
    let faults: Vec<Value> = shared.faults.list().iter().map(report).collect();
    axum::Json(json!({ "time": ist_text(shared.now()), "faults": faults })).into_response()
}

/// `GET /sim/faults/{id}`.
pub(super) async fn one(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    let found = name(&id)?;
    let fault = shared.faults.get(found).ok_or_else(unknown)?;
    Ok(axum::Json(report(&fault)).into_response())
}

/// `POST /sim/faults`: one fault or an array of them. Answers with their names.
pub(super) async fn add(State(shared): State<Arc<Shared>>, body: Bytes) -> Result<Response, Refused> {
    let plans = from_json(&body).map_err(|error| Refused::input(error.to_string()))?;
    let ids = shared.faults.add_all(plans).map_err(|error| Refused::input(error.to_string()))?;
    let ids: Vec<u64> = ids.into_iter().map(|id| id.0).collect();
    Ok((StatusCode::CREATED, axum::Json(json!({ "ids": ids }))).into_response())
}

/// `DELETE /sim/faults/{id}`.
pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    match shared.faults.remove(name(&id)?) {
        true => Ok(axum::Json(json!({ "removed": true })).into_response()),
        false => Err(unknown()),
    }
}

/// `DELETE /sim/faults`: all of them.
pub(super) async fn clear(State(shared): State<Arc<Shared>>) -> Response {
    shared.faults.clear();
    axum::Json(json!({ "removed": true })).into_response()
}

fn name(id: &str) -> Result<FaultId, Refused> {
    id.parse().map(FaultId).map_err(|_| Refused::input("Invalid id: it is the number that POST answered."))
}

fn unknown() -> Refused {
    Refused::new(StatusCode::NOT_FOUND, "GeneralException", "No such fault, or it is over.")
}

fn report(report: &FaultReport) -> Value {
    let did = &report.did;
    json!({
        "id": report.id.0,
        "state": report.state.as_str(),
        "since": ist_text(report.since),
        "until": report.until.map(ist_text),
        "plan": to_json(&report.plan),
        "did": {
            "connections": did.connections,
            "requests": did.requests,
            "frames": did.frames,
            "packets": did.packets,
            "texts": did.texts,
        },
    })
}
