//! Margins and charges of orders that are asked about: the documented shapes, with rates that are round numbers.

use std::sync::Arc;

use axum::extract::{FromRequest, Request, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::portfolio::priced;
use super::{Refused, authorize, query, success, value};
use crate::limits::Class;
use crate::server::Shared;

/// Most orders of one question.
const MOST: usize = 200;

/// Of the notional of a derivative that can lose without limit.
const SPAN: f64 = 0.11;
const EXPOSURE: f64 = 0.02;

#[derive(Deserialize)]
struct Asked {
    exchange: String,
    tradingsymbol: String,
    transaction_type: String,
    #[serde(default)]
    variety: String,
    #[serde(default)]
    product: String,
    #[serde(default)]
    order_type: String,
    quantity: f64,
    #[serde(default)]
    price: f64,
    #[serde(default)]
    average_price: f64,
}

/// What one order needs, in rupees.
struct Need {
    span: f64,
    exposure: f64,
    premium: f64,
    full: f64,
    turnover: f64,
}

/// `POST /margins/orders`.
pub(super) async fn orders(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Refused> {
    let (asked, compact) = read(&shared, request).await?;
    let rows: Result<Vec<Value>, Refused> =
        asked.iter().map(|order| Ok(row(order, &order.need(&shared)?, compact))).collect();
    Ok(success(rows?))
}

/// `POST /margins/basket`: long options pay for short ones, as far as they go.
pub(super) async fn basket(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Refused> {
    let (asked, compact) = read(&shared, request).await?;
    let needs: Result<Vec<Need>, Refused> = asked.iter().map(|order| order.need(&shared)).collect();
    let needs = needs?;
    let rows: Vec<Value> = asked.iter().zip(&needs).map(|(order, need)| row(order, need, compact)).collect();
    let mut all = Need { span: 0.0, exposure: 0.0, premium: 0.0, full: 0.0, turnover: 0.0 };
    for need in &needs {
        all.span += need.span;
        all.exposure += need.exposure;
        all.premium += need.premium;
        all.full += need.full;
    }
    let hedged = needs.iter().any(|need| need.premium > 0.0) && all.span > 0.0;
    let after = Need { span: if hedged { all.span * 0.4 } else { all.span }, ..all };
    let mut answer = json!({
        "initial": total(&all, compact), "final": total(&after, compact), "orders": rows,
    });
    if !compact {
        answer["charges"] = charges("", "", "", 0.0);
    }
    Ok(success(answer))
}

/// `POST /charges/orders`: the virtual contract note.
pub(super) async fn contract_note(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response, Refused> {
    let (asked, _) = read(&shared, request).await?;
    let row = |order: &Asked| {
        if order.average_price <= 0.0 {
            return Err(Refused::input("Invalid `average_price`."));
        }
        let turnover = order.average_price * order.quantity;
        Ok(json!({
            "transaction_type": order.transaction_type, "tradingsymbol": order.tradingsymbol,
            "exchange": order.exchange, "variety": order.variety, "product": order.product,
            "order_type": order.order_type, "quantity": order.quantity, "price": order.average_price,
            "charges": charges(&order.exchange, &order.tradingsymbol, &order.transaction_type, turnover),
        }))
    };
    let rows: Result<Vec<Value>, Refused> = asked.iter().map(row).collect();
    Ok(success(rows?))
}

/// The orders, and whether the answer is to be compact.
async fn read(shared: &Shared, request: Request) -> Result<(Vec<Asked>, bool), Refused> {
    authorize(shared, request.headers(), Class::Other)?;
    let compact = value(&query(request.uri()), "mode").is_some_and(|mode| mode == "compact");
    let asked = axum::Json::<Vec<Asked>>::from_request(request, &()).await;
    let asked = asked
        .map(|axum::Json(asked)| asked)
        .map_err(|_| Refused::input("Expected a JSON array of orders."))?;
    match asked.len() {
        0 => Err(Refused::input("Expected at least one order.")),
        too_many if too_many > MOST => {
            Err(Refused::input(format!("Maximum {MOST} orders are allowed per request.")))
        }
        _ => Ok((asked, compact)),
    }
}

fn row(order: &Asked, need: &Need, compact: bool) -> Value {
    let total = need.span + need.exposure + need.premium + need.full;
    let kind = if order.exchange == "MCX" { "commodity" } else { "equity" };
    let names = json!({
        "type": kind, "tradingsymbol": order.tradingsymbol, "exchange": order.exchange, "total": total,
    });
    if compact {
        return names;
    }
    let charges = charges(&order.exchange, &order.tradingsymbol, &order.transaction_type, need.turnover);
    whole(names, need, 1, charges)
}

fn total(need: &Need, compact: bool) -> Value {
    let total = need.span + need.exposure + need.premium + need.full;
    let names = json!({ "type": "", "tradingsymbol": "", "exchange": "", "total": total });
    if compact { names } else { whole(names, need, 0, charges("", "", "", 0.0)) }
}

fn whole(mut names: Value, need: &Need, leverage: u32, charges: Value) -> Value {
    let rest = json!({
        "span": need.span, "exposure": need.exposure, "option_premium": need.premium, "additional": 0, "bo": 0,
        "cash": 0, "var": need.full, "pnl": { "realised": 0, "unrealised": 0 }, "leverage": leverage,
        "charges": charges,
    });
    if let (Value::Object(names), Value::Object(rest)) = (&mut names, rest) {
        names.extend(rest);
    }
    names
}

/// Brokerage of 0.03 percent, twenty rupees at most; taxes of one rate each.
fn charges(exchange: &str, symbol: &str, side: &str, turnover: f64) -> Value {
    let is_option = symbol.ends_with("CE") || symbol.ends_with("PE");
    let (tax, tax_type) = match exchange {
        "" => (0.0, ""),
        "MCX" => (turnover * 0.0001, "ctt"),
        "NSE" | "BSE" => (turnover * 0.001, "stt"),
        _ if side == "SELL" => (turnover * if is_option { 0.0015 } else { 0.0005 }, "stt"),
        _ => (0.0, "stt"),
    };
    let exchange_charge = turnover * 0.000_03;
    let regulator = turnover * 0.000_001;
    let brokerage = (turnover * 0.0003).min(20.0);
    let stamp = if side == "BUY" { turnover * 0.000_03 } else { 0.0 };
    let gst = (brokerage + exchange_charge + regulator) * 0.18;
    json!({
        "transaction_tax": tax, "transaction_tax_type": tax_type, "exchange_turnover_charge": exchange_charge,
        "sebi_turnover_charge": regulator, "brokerage": brokerage, "stamp_duty": stamp,
        "gst": { "igst": gst, "cgst": 0, "sgst": 0, "total": gst },
        "total": tax + exchange_charge + regulator + brokerage + stamp + gst,
    })
}

// === impl Asked ===

impl Asked {
    fn need(&self, shared: &Shared) -> Result<Need, Refused> {
        let symbol = format!("{}:{}", self.exchange, self.tradingsymbol);
        let unknown = || {
            Refused::input(
                "The instrument you are placing an order for has either expired or does not exist.",
            )
        };
        let at = priced(shared, &symbol).ok_or_else(unknown)?;
        if self.quantity <= 0.0 {
            return Err(Refused::input("Invalid `quantity`."));
        }
        let turnover = self.quantity * if self.price > 0.0 { self.price } else { at.last };
        let none = Need { span: 0.0, exposure: 0.0, premium: 0.0, full: 0.0, turnover };
        let is_option = self.tradingsymbol.ends_with("CE") || self.tradingsymbol.ends_with("PE");
        Ok(match self.exchange.as_str() {
            "NSE" | "BSE" => Need { full: turnover, ..none },
            _ if is_option && self.transaction_type == "BUY" => Need { premium: turnover, ..none },
            _ => {
                let underlying = if is_option { strike(&self.tradingsymbol) } else { at.last };
                let notional = self.quantity * underlying;
                Need { span: notional * SPAN, exposure: notional * EXPOSURE, ..none }
            }
        })
    }
}

/// The last digits before `CE` or `PE`: good enough for the size of a notional.
fn strike(symbol: &str) -> f64 {
    let digits: String =
        symbol[..symbol.len() - 2].chars().rev().take_while(char::is_ascii_digit).take(5).collect();
    digits.chars().rev().collect::<String>().parse().unwrap_or_default()
}
