//! Mutual funds, to be read: the documented shapes around three funds.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use market_model::UnixNanos;
use serde_json::{Value, json};

use super::{Refused, authorize, success};
use crate::clock::{ist, ist_text};
use crate::limits::Class;
use crate::server::Shared;

const DAY: Duration = Duration::from_secs(86_400);

/// ISIN, house, name, price.
const FUNDS: [(&str, &str, &str, f64); 3] = [
    ("INF209K01VD7", "BirlaSunLifeMutualFund_MF", "Aditya Birla Sun Life Liquid Fund - Direct Plan", 425.731),
    ("INF179K01VY8", "HDFCMutualFund_MF", "HDFC Balanced Advantage Fund - Direct Plan", 578.12),
    ("INF205K01NT8", "INVESCOMUTUALFUND_MF", "INVESCO INDIA TAX PLAN - DIRECT PLAN", 148.86),
];
const ORDER: &str = "271989e0-a64e-4cf3-b4e4-afb8f38dd203";
const SIP: &str = "892741486820670";

pub(super) async fn orders(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let user = user(&shared, &headers)?;
    Ok(success(json!([order(&user, shared.now())])))
}

pub(super) async fn order_of(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let user = user(&shared, &headers)?;
    match id == ORDER {
        true => Ok(success(order(&user, shared.now()))),
        false => Err(not_found("Couldn't find that `order_id`.")),
    }
}

pub(super) async fn sips(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Result<Response, Refused> {
    user(&shared, &headers)?;
    Ok(success(json!([sip(shared.now())])))
}

pub(super) async fn sip_of(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    user(&shared, &headers)?;
    match id == SIP {
        true => Ok(success(sip(shared.now()))),
        false => Err(not_found("Couldn't find that `sip_id`.")),
    }
}

pub(super) async fn holdings(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    user(&shared, &headers)?;
    Ok(success(FUNDS.iter().map(holding).collect::<Vec<_>>()))
}

pub(super) async fn holding_of(
    State(shared): State<Arc<Shared>>,
    Path(isin): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    user(&shared, &headers)?;
    let found = FUNDS.iter().find(|(symbol, ..)| *symbol == isin);
    found.map(|fund| success(holding(fund))).ok_or_else(|| not_found("Couldn't find that `isin`."))
}

/// The CSV of every fund.
pub(super) async fn instruments(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    user(&shared, &headers)?;
    let mut csv = String::from(
        "tradingsymbol,amc,name,purchase_allowed,redemption_allowed,minimum_purchase_amount,\
         purchase_amount_multiplier,minimum_additional_purchase_amount,minimum_redemption_quantity,\
         redemption_quantity_multiplier,dividend_type,scheme_type,plan,settlement_type,last_price,last_price_date\n",
    );
    let day = ist(shared.now() - DAY).date();
    for (isin, house, name, price) in FUNDS {
        csv.push_str(&format!(
            "{isin},{house},{name},1,1,1000.0,1.0,1000.0,0.001,0.001,growth,equity,direct,T3,{price},{day}\n"
        ));
    }
    Ok(([(header::CONTENT_TYPE, "text/csv")], csv).into_response())
}

fn user(shared: &Shared, headers: &HeaderMap) -> Result<String, Refused> {
    let caller = authorize(shared, headers, Class::Other)?;
    Ok(shared.accounts().app(caller.app).user_id.clone())
}

fn not_found(text: &str) -> Refused {
    Refused::new(StatusCode::NOT_FOUND, "GeneralException", text)
}

fn order(user: &str, now: UnixNanos) -> Value {
    let (isin, _, fund, price) = FUNDS[1];
    let day = ist(now - DAY).date().to_string();
    json!({
        "order_id": ORDER, "exchange_order_id": "254657127", "tradingsymbol": isin, "status": "COMPLETE",
        "status_message": "", "folio": null, "fund": fund, "order_timestamp": ist_text(now - DAY),
        "exchange_timestamp": day, "settlement_id": "2122061", "transaction_type": "BUY", "variety": "regular",
        "purchase_type": "FRESH", "quantity": 1000.0 / price, "amount": 1000.0, "last_price": price,
        "last_price_date": day, "average_price": price, "placed_by": user, "tag": null,
    })
}

fn sip(now: UnixNanos) -> Value {
    let (isin, _, fund, _) = FUNDS[0];
    json!({
        "sip_id": SIP, "tradingsymbol": isin, "fund": fund, "dividend_type": "growth", "transaction_type": "BUY",
        "status": "ACTIVE", "created": ist_text(now - 30 * DAY), "frequency": "weekly", "instalment_amount": 500.0,
        "instalments": -1, "pending_instalments": -1, "completed_instalments": 4,
        "last_instalment": ist_text(now - 2 * DAY), "next_instalment": ist(now + 5 * DAY).date().to_string(),
        "instalment_day": 0, "step_up": { "05-05": 10 }, "sip_type": "sip", "sip_reg_num": null, "trigger_price": 0,
        "tag": "coiniossip",
    })
}

fn holding(&(isin, _, fund, price): &(&str, &str, &str, f64)) -> Value {
    json!({
        "folio": "3108290884", "fund": fund, "tradingsymbol": isin, "average_price": price * 0.92, "last_price": price,
        "last_price_date": "", "pnl": 0, "quantity": 382.488, "pledged_quantity": 0,
    })
}
