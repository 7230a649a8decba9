//! Orders: sent once, and the truth about what became of them.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use kite_client::{Delivery, RestConfig, RestError};
use kite_wire::api::{CancelOrder, GetProfile, GetSips, GttLeg, GttSpec, ModifyOrder, PlaceGtt, PlaceOrder};
use kite_wire::rest::Placed;
use kite_wire::{GttType, OrderType, Product, TransactionType, Variety};
use market_model::{Exchange, Price};
use resilience::{BreakerConfig, BreakerState};
use tokio::sync::Notify;

use crate::double::{Door, Kite, Reply, http, later, ok, page, refusal};

const PLACED: &str = r#"{"order_id":"1914227164488687616"}"#;

fn order() -> PlaceOrder {
    let mut order = PlaceOrder::regular(
        (Exchange::Nse, "INFY"),
        (TransactionType::Buy, 1),
        Product::Cnc,
        OrderType::Limit,
    );
    order.price = Some(Price::from_paise(141_295));
    order.tag = Some("kg1".to_owned());
    order
}

/// What is known after one order that met `kite`, and how many requests Kite read.
async fn check(kite: &Kite, delivery: Delivery, seen: usize) -> RestError {
    let error = kite.rest().orders().place(&order()).await.unwrap_err();
    assert_eq!(error.delivery(), delivery, "{error}");
    assert_eq!(kite.seen().len(), seen, "{error}");
    error
}

#[tokio::test(start_paused = true)]
async fn orders_are_placed_changed_and_cancelled() {
    let slices = r#"[{"order_id":"1"},{"error":{"code":400,"error_type":"MarginException","message":"m"}}]"#;
    let kite = Kite::replies([ok(PLACED), ok(slices), ok(PLACED), ok(PLACED)]);
    let rest = kite.rest();
    let ids = |placed: &Placed| placed.order_ids().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(ids(&rest.orders().place(&order()).await.unwrap()), ["1914227164488687616"]);
    assert_eq!(ids(&rest.orders().place(&order()).await.unwrap()), ["1"]);
    let mut change = ModifyOrder::new(Variety::Regular, "1914227164488687616");
    change.quantity = Some(2);
    assert_eq!(rest.orders().modify(&change).await.unwrap().order_id, "1914227164488687616");
    let cancel =
        CancelOrder { variety: Variety::Regular, order_id: "19142".to_owned(), parent_order_id: None };
    rest.orders().cancel(&cancel).await.unwrap();
    let seen = kite.seen();
    assert_eq!(seen[0].line, "POST /orders/regular HTTP/1.1");
    assert_eq!(
        seen[0].body,
        "exchange=NSE&tradingsymbol=INFY&transaction_type=BUY&quantity=1&product=CNC&order_type=LIMIT&price=1412.95&tag=kg1"
    );
    assert!(seen[0].headers.contains("content-type: application/x-www-form-urlencoded"));
    assert_eq!(seen[2].line, "PUT /orders/regular/1914227164488687616 HTTP/1.1");
    assert_eq!(seen[3].line, "DELETE /orders/regular/19142 HTTP/1.1");
    assert_eq!(kite.opened(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_never_left_is_not_sent() {
    check(&Kite::default().doors([Door::Refused]), Delivery::NotSent, 0).await;
    let hangs = Kite::default().doors([Door::Hangs]);
    check(&hangs, Delivery::NotSent, 0).await;
    assert_eq!(hangs.opened(), 1, "an order is not tried again");
    let kite = Kite::default();
    let cancel = CancelOrder { variety: Variety::Regular, order_id: String::new(), parent_order_id: None };
    let error = kite.rest().orders().cancel(&cancel).await.unwrap_err();
    assert!(matches!(error, RestError::Unsendable { .. }), "{error}");
    assert_eq!((error.delivery(), kite.seen().len()), (Delivery::NotSent, 0));
}

#[tokio::test(start_paused = true)]
async fn what_may_have_arrived_is_unknown() {
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n{\"status\":\"succ".to_vec();
    for reply in [
        Reply::Close(Vec::new()),
        Reply::Close(b"HTTP/1.1 200".to_vec()),
        Reply::Close(cut),
        Reply::Close(b"garbage\r\n\r\n".to_vec()),
        Reply::Silence,
        later(11, ok(PLACED)),
        page("502 Bad Gateway"),
        page("200 OK"),
        refusal("503 Service Unavailable", "NetworkException", "Request failed (kitetrade-oms)"),
        refusal("504 Gateway Timeout", "DataException", "m"),
        refusal("500 Internal Server Error", "GeneralException", "m"),
        ok("{}"),
        ok("[]"),
        Reply::Keep(http("200 OK", "", "{}")),
    ] {
        check(&Kite::replies([reply]), Delivery::Unknown, 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_kite_refuses_is_rejected() {
    for (status, kind) in [
        ("400 Bad Request", "InputException"),
        ("400 Bad Request", "MarginException"),
        ("428 Precondition Required", "HoldingException"),
        ("403 Forbidden", "TokenException"),
        ("403 Forbidden", "PermissionException"),
        ("429 Too Many Requests", "NetworkException"),
    ] {
        let error = check(&Kite::replies([refusal(status, kind, "because")]), Delivery::Rejected, 1).await;
        assert_eq!(error.api().unwrap().message, "because");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_within_the_longer_patience_counts() {
    let kite = Kite::replies([later(9, ok(PLACED))]);
    assert!(kite.rest().orders().place(&order()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_connection_seen_to_close_is_replaced_before_the_order() {
    let close = Arc::new(Notify::new());
    let answer = http("200 OK", "", format!(r#"{{"data":{PLACED}}}"#));
    let kite = Kite::replies([Reply::CloseWhenTold(answer, close.clone()), ok(PLACED)]);
    let rest = kite.rest();
    rest.orders().place(&order()).await.unwrap();
    close.notify_one();
    tokio::time::sleep(Duration::from_millis(1)).await;
    rest.orders().place(&order()).await.unwrap();
    assert_eq!((kite.opened(), kite.seen().len()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_closes_under_the_order_is_told_as_it_was() {
    // The request was read, then the connection closed: it may have been placed.
    let kite = Kite::replies([ok(PLACED), Reply::Close(Vec::new()), ok(PLACED)]);
    let rest = kite.rest();
    rest.orders().place(&order()).await.unwrap();
    let error = rest.orders().place(&order()).await.unwrap_err();
    assert_eq!((error.delivery(), kite.seen().len()), (Delivery::Unknown, 2), "{error}");

    // The close arrives in the moment the order is handed over. hyper takes the order first, so whether bytes of it left
    // cannot be proved, and nothing is claimed. (The other way round is a test of `transport`.)
    let close = Arc::new(Notify::new());
    let answer = http("200 OK", "", format!(r#"{{"data":{PLACED}}}"#));
    let kite = Kite::replies([Reply::CloseWhenTold(answer, close.clone()), ok(PLACED)]);
    let rest = kite.rest();
    rest.orders().place(&order()).await.unwrap();
    let (orders, second) = (rest.orders(), order());
    let mut placing = Box::pin(orders.place(&second));
    close.notify_one();
    // Hands the request to the connection before the runtime lets any task see the close.
    let handed_over = poll_fn(|cx| Poll::Ready(placing.as_mut().poll(cx).is_pending())).await;
    assert!(handed_over);
    let error = placing.await.unwrap_err();
    assert_eq!((error.delivery(), kite.seen().len()), (Delivery::Unknown, 1), "{error}");
    assert_eq!(kite.opened(), 1, "an order is not sent twice");
}

#[tokio::test(start_paused = true)]
async fn a_warm_connection_is_used_by_the_next_order() {
    let kite = Kite::replies([ok(r#"{"user_id":"AB1234"}"#), ok(PLACED)]);
    let rest = kite.rest();
    rest.orders().warm().await.unwrap();
    rest.call(&GetProfile).await.unwrap();
    rest.orders().place(&order()).await.unwrap();
    assert_eq!(kite.seen().iter().map(|seen| seen.connection).collect::<Vec<_>>(), [1, 0]);
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_does_not_stop_orders() {
    let breaker = BreakerConfig { failures_to_open: 1, ..BreakerConfig::default() };
    let kite = Kite::replies([page("502 Bad Gateway"), ok(PLACED)]);
    let rest = kite.rest().with_config(RestConfig { breaker, tries: 1, ..RestConfig::default() });
    assert!(rest.call(&GetProfile).await.is_err());
    assert_eq!(rest.breaker_state(), BreakerState::Open);
    assert!(rest.call(&GetSips).await.is_err());
    assert!(rest.orders().place(&order()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn every_other_change_is_sent_once_too() {
    let leg = GttLeg {
        trigger_value: Price::from_paise(70_200),
        transaction_type: TransactionType::Sell,
        quantity: 1,
        order_type: OrderType::Limit,
        product: Product::Cnc,
        price: Price::from_paise(70_250),
    };
    let gtt = PlaceGtt(GttSpec {
        kind: GttType::Single,
        exchange: Exchange::Nse,
        tradingsymbol: "INFY".to_owned(),
        instrument_token: None,
        last_price: Price::from_paise(74_200),
        legs: vec![leg],
    });
    let kite = Kite::replies([page("503 Service Unavailable"), ok(r#"{"trigger_id":1}"#)]);
    let error = kite.rest().call(&gtt).await.unwrap_err();
    assert_eq!((error.delivery(), kite.seen().len()), (Delivery::Unknown, 1));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(kite.seen().len(), 1);
}
