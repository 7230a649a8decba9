//! What reads bring, and how what they do not bring is named.

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use kite_client::{AccessToken, Delivery, RestConfig, RestError};
use kite_wire::ErrorKind;
use kite_wire::api::{GetLtp, GetMargins, GetOrders, GetProfile, OrderMargins};
use tokio::sync::watch;

use crate::double::{Kite, Reply, http, ok, page, refusal};

const PROFILE: &str = r#"{"user_id":"AB1234"}"#;

#[tokio::test(start_paused = true)]
async fn a_call_is_kites_and_its_answer_is_typed() {
    let kite = Kite::replies([ok(r#"{"NSE:M&M":{"instrument_token":519937,"last_price":300}}"#), ok("null")]);
    let rest = kite.rest();
    let quotes = rest.call(&GetLtp(vec!["NSE:M&M".to_owned()])).await.unwrap();
    assert_eq!(quotes["NSE:M&M"].last_price.to_string(), "300.00");
    assert_eq!(rest.call(&GetOrders).await.unwrap(), []);
    let seen = kite.seen();
    assert_eq!(seen[0].line, "GET /quote/ltp?i=NSE%3AM%26M HTTP/1.1");
    for header in [
        "host: kite.test",
        "x-kite-version: 3",
        "authorization: token key1:token1",
        "accept-encoding: gzip",
        "user-agent: kite-gateway/",
    ] {
        assert!(seen[0].headers.contains(header), "{header} in {}", seen[0].headers);
    }
    assert_eq!((kite.opened(), seen[1].connection), (1, 0), "the connection is kept");
}

#[tokio::test(start_paused = true)]
async fn a_calculation_is_a_read_with_a_body() {
    let kite = Kite::replies([page("503 Service Unavailable"), ok("[]")]);
    let margins = OrderMargins { orders: vec![], compact: true };
    assert_eq!(kite.rest().call(&margins).await.unwrap(), []);
    let seen = kite.seen();
    assert_eq!((seen.len(), seen[1].line.as_str()), (2, "POST /margins/orders?mode=compact HTTP/1.1"));
    assert!(seen[1].headers.contains("content-type: application/json") && seen[1].body == "[]");
}

#[tokio::test(start_paused = true)]
async fn refusals_are_told_apart_by_kites_name_for_them() {
    for (status, name, kind, retryable) in [
        ("403 Forbidden", "TokenException", ErrorKind::Token, false),
        ("403 Forbidden", "PermissionException", ErrorKind::Permission, false),
        ("403 Forbidden", "UserException", ErrorKind::User, false),
        ("400 Bad Request", "OrderException", ErrorKind::Order, false),
        ("400 Bad Request", "InputException", ErrorKind::Input, false),
        ("400 Bad Request", "MarginException", ErrorKind::Margin, false),
        ("428 Precondition Required", "HoldingException", ErrorKind::Holding, false),
        ("503 Service Unavailable", "NetworkException", ErrorKind::Network, true),
        ("429 Too Many Requests", "NetworkException", ErrorKind::Network, true),
        ("504 Gateway Timeout", "DataException", ErrorKind::Data, true),
        ("500 Internal Server Error", "GeneralException", ErrorKind::General, true),
        ("404 Not Found", "", ErrorKind::General, false),
        ("500 Internal Server Error", "NewException", ErrorKind::from_word("NewException"), true),
        ("200 OK", "InputException", ErrorKind::Input, false),
    ] {
        let rest = Kite::replies([refusal(status, name, "because")]).once();
        let error = rest.call(&GetProfile).await.unwrap_err();
        let api = error.api().unwrap_or_else(|| panic!("{status} {name}: {error}"));
        assert_eq!((&api.kind, api.message.as_str()), (&kind, "because"), "{status}");
        assert!(status.starts_with(&api.status.to_string()));
        assert_eq!(error.is_retryable(), retryable, "{status} {name}");
        assert_eq!(error.is_token_lost(), kind == ErrorKind::Token, "{status} {name}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_kite_is_said_to_be_so() {
    let body = r#"{"status":"error","message":"m","error_type":"InputException","data":{"hints":["switch_to_amo"]}}"#;
    let hinted = Kite::replies([Reply::Keep(http("400 Bad Request", "Retry-After: 7\r\n", body))]);
    let error = hinted.once().call(&GetProfile).await.unwrap_err();
    let api = error.api().unwrap();
    assert_eq!(api.data.as_ref().unwrap()["hints"][0], "switch_to_amo");
    assert_eq!(api.retry_after, Some(Duration::from_secs(7)));

    let said = async |reply: Reply| Kite::replies([reply]).once().call(&GetProfile).await.unwrap_err();
    for status in ["502 Bad Gateway", "403 Forbidden", "200 OK", "301 Moved"] {
        let error = said(page(status)).await;
        assert!(matches!(error, RestError::NotKite { .. }), "{status}: {error}");
        assert_eq!(error.is_retryable(), status.starts_with("502"));
    }
    assert!(said(page("429 Too Many Requests")).await.is_too_fast());
    let error = said(Reply::Keep(http("200 OK", "", r#"{"status":"success"}"#))).await;
    assert!(matches!(error, RestError::Unreadable(_)), "{error}");
    let error = said(Reply::Keep(http("200 OK", "", r#"{"data":{"exchanges":5}}"#))).await;
    assert!(matches!(error, RestError::Unreadable(_)), "{error}");
    let error = said(Reply::Keep(http("200 OK", "Content-Encoding: br\r\n", "x"))).await;
    assert!(matches!(error, RestError::Unreadable(_)), "{error}");
    let error = said(Reply::Close(b"garbage\r\n\r\n".to_vec())).await;
    assert!(matches!(error, RestError::Broken(_)), "{error}");
    let error = said(Reply::Close(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"data\"".to_vec())).await;
    assert!(matches!(error, RestError::Broken(_)), "{error}");
}

fn packed(text: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(text).unwrap();
    gzip.finish().unwrap()
}

#[tokio::test(start_paused = true)]
async fn bodies_come_packed_and_in_chunks() {
    let text = format!(r#"{{"status":"success","data":{PROFILE}}}"#);
    let gzip = packed(text.as_bytes());
    let mut chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for piece in text.as_bytes().chunks(7) {
        chunked.extend(format!("{:x}\r\n", piece.len()).bytes());
        chunked.extend([piece, b"\r\n"].concat());
    }
    let torn_chunks = chunked.clone();
    chunked.extend(b"0\r\n\r\n");
    let kite = Kite::replies([
        Reply::Keep(http("200 OK", "Content-Encoding: gzip\r\n", &gzip)),
        Reply::Keep(chunked),
        Reply::Close(torn_chunks),
        Reply::Close(http("200 OK", "Content-Encoding: gzip\r\n", &gzip[..gzip.len() - 9])),
    ]);
    let rest = kite.once();
    for _ in 0..2 {
        assert_eq!(rest.call(&GetProfile).await.unwrap().user_id, "AB1234");
    }
    assert_eq!(kite.opened(), 1);
    for _ in 0..2 {
        let error = rest.call(&GetProfile).await.unwrap_err();
        assert!(matches!(error, RestError::Broken(_)) && error.is_retryable(), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_packed_answer_is_believed_only_with_its_checksum_and_length() {
    let gzip = packed(format!(r#"{{"status":"success","data":{PROFILE}}}"#).as_bytes());
    let whole = gzip.len();
    // The text is whole in each of them; only the eight bytes at the end can tell.
    let torn = [1, 4, 8].map(|from_end| gzip[..whole - from_end].to_vec());
    let changed = [8, 4].map(|from_end| {
        let mut changed = gzip.clone();
        changed[whole - from_end] ^= 1;
        changed
    });
    for body in torn.into_iter().chain(changed) {
        let kite = Kite::replies([Reply::Keep(http("200 OK", "Content-Encoding: gzip\r\n", &body))]);
        let error = kite.once().call(&GetProfile).await.unwrap_err();
        assert!(matches!(error, RestError::Broken(_)) && error.is_retryable(), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn answers_are_bounded_packed_or_not() {
    let large = format!(r#"{{"data":"{}"}}"#, "x".repeat(5000));
    let bomb = packed(large.as_bytes());
    assert!(bomb.len() < 1000);
    for reply in [http("200 OK", "", &large), http("200 OK", "Content-Encoding: gzip\r\n", &bomb)] {
        let kite = Kite::replies([Reply::Keep(reply), ok(PROFILE)]);
        let rest = kite.rest().with_config(RestConfig { max_body: 1000, ..RestConfig::default() });
        let error = rest.call(&GetProfile).await.unwrap_err();
        assert!(matches!(error, RestError::TooLarge { limit: 1000 }), "{error}");
        assert_eq!(kite.seen().len(), 1, "it would be as large again");
        assert!(rest.call(&GetProfile).await.is_ok());
        assert_eq!(kite.opened(), 2, "the rest of it is not read");
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_token_is_used_by_the_next_call() {
    let kite = Kite::replies([ok(PROFILE), ok(PROFILE), ok(r#"{"access_token":"token3"}"#), ok("true")]);
    let (token, watched) = watch::channel(Some(AccessToken::new("token1")));
    let rest = kite.following(watched);
    rest.call(&GetProfile).await.unwrap();
    token.send_replace(Some(AccessToken::new("token2")));
    rest.call(&GetProfile).await.unwrap();
    token.send_replace(None);
    let error = rest.call(&GetMargins).await.unwrap_err();
    assert!(matches!(error, RestError::NoToken) && error.is_token_lost());
    assert_eq!(error.delivery(), Delivery::NotSent);
    assert!(matches!(rest.session().logout().await, Err(RestError::NoToken)));
    let session = rest.session().exchange("request1", "sum").await.unwrap();
    token.send_replace(Some(AccessToken::new(session.access_token)));
    assert!(rest.session().logout().await.unwrap());

    let seen = kite.seen();
    let authorized: Vec<_> = seen
        .iter()
        .map(|seen| seen.headers.contains(&"authorization: token key1:token".to_owned()))
        .collect();
    assert_eq!(authorized, [true, true, false, true]);
    assert!(seen[0].headers.contains("key1:token1") && seen[1].headers.contains("key1:token2"));
    assert_eq!(seen[2].line, "POST /session/token HTTP/1.1");
    assert_eq!(seen[2].body, "api_key=key1&request_token=request1&checksum=sum");
    assert_eq!(seen[3].line, "DELETE /session/token?api_key=key1&access_token=token3 HTTP/1.1");
    assert_eq!(seen.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn errors_do_not_repeat_key_and_token() {
    let kite = Kite::replies([refusal("403 Forbidden", "TokenException", "token token1 of key1 is bad")]);
    let error = kite.rest().call(&GetProfile).await.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("token [redacted] of [redacted] is bad"), "{shown}");
    assert!(!shown.contains("token1") && !shown.contains("key1"), "{shown}");
}
