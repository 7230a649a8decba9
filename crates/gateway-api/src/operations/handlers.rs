//! From requests to operations and back.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderMap, StatusCode, Uri, header};
use serde::Deserialize;
use serde_json::Value;

use super::{LoginAnswer, NewAccount, Operation, WishBody};
use crate::error::{Refusal, Success};
use crate::page::{POLICY, escape};
use crate::router::Door;

/// Most rows of one search.
const MOST_FOUND: usize = 200;

type Shared = State<Arc<Door>>;
type Answer = Result<Success<Value>, Refusal>;
type InPath = Result<Path<String>, PathRejection>;

async fn ask(door: &Door, operation: Operation) -> Answer {
    Ok(Success(door.state.operations.carry_out(operation).await?))
}

/// As [`ask`], for what changes something: a page from elsewhere must not.
async fn command(door: &Door, headers: &HeaderMap, operation: Operation) -> Answer {
    if !door.is_origin_allowed(headers) {
        return Err(Refusal::origin());
    }
    ask(door, operation).await
}

fn in_path(part: InPath) -> Result<String, Refusal> {
    part.map(|Path(text)| text).map_err(|_| Refusal::path())
}

/// The body, or `usage`; the parser's own words may quote a secret.
fn body<T>(body: Result<Json<T>, JsonRejection>, usage: &str) -> Result<T, Refusal> {
    body.map(|Json(body)| body).map_err(|_| Refusal::input(usage))
}

// === accounts ===

pub(crate) async fn list_accounts(State(door): Shared) -> Answer {
    ask(&door, Operation::Accounts).await
}

pub(crate) async fn add_account(
    State(door): Shared,
    headers: HeaderMap,
    account: Result<Json<NewAccount>, JsonRejection>,
) -> Answer {
    let usage = "send JSON: {\"name\": \"...\", \"api_key\": \"...\", \"api_secret\": \"...\"}; /openapi.json has the other fields";
    command(&door, &headers, Operation::AddAccount(body(account, usage)?)).await
}

pub(crate) async fn remove_account(State(door): Shared, headers: HeaderMap, account: InPath) -> Answer {
    command(&door, &headers, Operation::RemoveAccount { account: in_path(account)? }).await
}

pub(crate) async fn unbar_account(State(door): Shared, headers: HeaderMap, account: InPath) -> Answer {
    command(&door, &headers, Operation::UnbarAccount { account: in_path(account)? }).await
}

/// Sends the browser to the broker.
pub(crate) async fn login(State(door): Shared, account: InPath) -> Result<Response, Refusal> {
    let Success(answer) = ask(&door, Operation::LoginAddress { account: in_path(account)? }).await?;
    let url = answer["url"].as_str().unwrap_or_default().to_owned();
    Ok((StatusCode::FOUND, [(header::LOCATION, url)]).into_response())
}

/// Where the broker sends the browser back to: a person reads the answer.
pub(crate) async fn callback(State(door): Shared, uri: Uri) -> Response {
    let answer = LoginAnswer(uri.query().unwrap_or_default().to_owned());
    let outcome = door.state.operations.carry_out(Operation::FinishLogin(answer)).await;
    let (status, title, text) = match outcome {
        Ok(data) => {
            let account = data["account"].as_str().unwrap_or_default().to_owned();
            (StatusCode::OK, "Logged in", format!("Account {account} has its token for today."))
        }
        Err(error) => (StatusCode::BAD_REQUEST, "Not logged in", error.to_string()),
    };
    let page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>\
         <link rel=stylesheet href=/page.css><main><h1>{title}</h1><p>{}</p><p><a href=/>To the page</a></p></main></html>",
        escape(&text)
    );
    (status, [(header::CONTENT_SECURITY_POLICY, POLICY)], Html(page)).into_response()
}

// === instruments ===

#[derive(Deserialize)]
pub(crate) struct SearchParameters {
    search: String,
    limit: Option<usize>,
}

pub(crate) async fn search(
    State(door): Shared,
    parameters: Result<Query<SearchParameters>, QueryRejection>,
) -> Answer {
    let Query(parameters) =
        parameters.map_err(|_| Refusal::input("use search=<words> and limit=<at most this many>"))?;
    let limit = parameters.limit.unwrap_or(20).min(MOST_FOUND);
    ask(&door, Operation::SearchInstruments { words: parameters.search, limit }).await
}

#[derive(Deserialize)]
pub(crate) struct DayParameters {
    as_of: Option<String>,
}

pub(crate) async fn instrument(
    State(door): Shared,
    symbol: InPath,
    parameters: Result<Query<DayParameters>, QueryRejection>,
) -> Answer {
    let Query(parameters) = parameters.map_err(|_| Refusal::input("use as_of=YYYY-MM-DD"))?;
    ask(&door, Operation::Instrument { symbol: in_path(symbol)?, as_of: parameters.as_of }).await
}

#[derive(Deserialize)]
pub(crate) struct StrikeParameters {
    expiry: Option<String>,
    around: Option<usize>,
}

pub(crate) async fn strikes(
    State(door): Shared,
    underlying: InPath,
    parameters: Result<Query<StrikeParameters>, QueryRejection>,
) -> Answer {
    let Query(StrikeParameters { expiry, around }) = parameters
        .map_err(|_| Refusal::input("use expiry=YYYY-MM-DD and around=<number of strikes each side>"))?;
    ask(&door, Operation::Strikes { underlying: in_path(underlying)?, expiry, around }).await
}

pub(crate) async fn changes(State(door): Shared) -> Answer {
    ask(&door, Operation::InstrumentChanges).await
}

pub(crate) async fn refresh_instruments(State(door): Shared, headers: HeaderMap) -> Answer {
    command(&door, &headers, Operation::RefreshInstruments).await
}

// === subscriptions ===

const WISH_USAGE: &str =
    "send JSON: {\"wish\": \"NIFTY:2:20:full\"}, optionally with owner, priority, account";

pub(crate) async fn subscriptions(State(door): Shared) -> Answer {
    ask(&door, Operation::Subscriptions).await
}

pub(crate) async fn add_subscription(
    State(door): Shared,
    headers: HeaderMap,
    wish: Result<Json<WishBody>, JsonRejection>,
) -> Answer {
    command(&door, &headers, Operation::AddSubscription(body(wish, WISH_USAGE)?)).await
}

#[derive(Deserialize)]
pub(crate) struct VersionParameters {
    version: Option<u64>,
}

pub(crate) async fn change_subscription(
    State(door): Shared,
    headers: HeaderMap,
    id: InPath,
    version: Result<Query<VersionParameters>, QueryRejection>,
    wish: Result<Json<WishBody>, JsonRejection>,
) -> Answer {
    let version = version.ok().and_then(|Query(parameters)| parameters.version);
    let version = version.ok_or_else(|| Refusal::input("say which version you saw: ?version=<number>"))?;
    let wish = body(wish, WISH_USAGE)?;
    command(&door, &headers, Operation::ChangeSubscription { id: in_path(id)?, version, wish }).await
}

pub(crate) async fn remove_subscription(
    State(door): Shared,
    headers: HeaderMap,
    id: InPath,
    version: Result<Query<VersionParameters>, QueryRejection>,
) -> Answer {
    let Query(VersionParameters { version }) =
        version.map_err(|_| Refusal::input("version is the number you saw"))?;
    command(&door, &headers, Operation::RemoveSubscription { id: in_path(id)?, version }).await
}

// === the plan ===

#[derive(Deserialize)]
pub(crate) struct PlanParameters {
    symbol: Option<String>,
}

pub(crate) async fn plan(
    State(door): Shared,
    parameters: Result<Query<PlanParameters>, QueryRejection>,
) -> Answer {
    let Query(PlanParameters { symbol }) =
        parameters.map_err(|_| Refusal::input("use symbol=<token or EXCHANGE:TRADINGSYMBOL>"))?;
    ask(&door, Operation::Plan { symbol }).await
}

pub(crate) async fn instances(State(door): Shared) -> Answer {
    ask(&door, Operation::Instances).await
}
