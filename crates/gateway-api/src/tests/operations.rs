use super::*;
use crate::{LoginAnswer, WishBody};

fn wish(text: &str) -> WishBody {
    WishBody { wish: text.into(), owner: None, priority: None, account: None }
}

#[tokio::test]
async fn requests_become_operations() {
    let served = Served::new().await;
    let text = String::from;
    let asked = [
        ("GET", "/v1/accounts", "", Operation::Accounts),
        ("DELETE", "/v1/accounts/a", "", Operation::RemoveAccount { account: text("a") }),
        ("POST", "/v1/accounts/a/unbar", "", Operation::UnbarAccount { account: text("a") }),
        (
            "GET",
            "/v1/instruments?search=nifty%20ce",
            "",
            Operation::SearchInstruments { words: text("nifty ce"), limit: 20 },
        ),
        (
            "GET",
            "/v1/instruments?search=x&limit=9999",
            "",
            Operation::SearchInstruments { words: text("x"), limit: 200 },
        ),
        (
            "GET",
            "/v1/instruments/NSE:M%26M?as_of=2026-11-19",
            "",
            Operation::Instrument { symbol: text("NSE:M&M"), as_of: Some(text("2026-11-19")) },
        ),
        (
            "GET",
            "/v1/underlyings/NIFTY/strikes?around=5",
            "",
            Operation::Strikes { underlying: text("NIFTY"), expiry: None, around: Some(5) },
        ),
        ("GET", "/v1/instruments/changes", "", Operation::InstrumentChanges),
        ("POST", "/v1/instruments/refresh", "", Operation::RefreshInstruments),
        ("GET", "/v1/subscriptions", "", Operation::Subscriptions),
        (
            "POST",
            "/v1/subscriptions",
            r#"{"wish":"NIFTY:2:20:full"}"#,
            Operation::AddSubscription(wish("NIFTY:2:20:full")),
        ),
        (
            "PUT",
            "/v1/subscriptions/7?version=3",
            r#"{"wish":"NSE:INFY:ltp"}"#,
            Operation::ChangeSubscription { id: text("7"), version: 3, wish: wish("NSE:INFY:ltp") },
        ),
        ("DELETE", "/v1/subscriptions/7", "", Operation::RemoveSubscription { id: text("7"), version: None }),
        ("GET", "/v1/plan?symbol=408065", "", Operation::Plan { symbol: Some(text("408065")) }),
        ("GET", "/v1/instances", "", Operation::Instances),
    ];
    for (method, path, body, wanted) in asked {
        let answer = served.send_body(method, path, &[("content-type", "application/json")], body).await;
        assert_eq!(answer.status.as_u16(), 200, "{method} {path}: {}", answer.text());
        assert_eq!(served.operations.asked.lock().unwrap().pop(), Some(wanted), "{method} {path}");
    }
}

#[tokio::test]
async fn a_login_goes_to_the_broker_and_comes_back() {
    let served = Served::new().await;
    let answer = served.get("/v1/accounts/main/login").await;
    assert_eq!(answer.status.as_u16(), 302);
    assert_eq!(answer.headers["location"], "https://kite.example/login?v=3");
    let back = "/kite/callback?action=login&status=success&request_token=r3quest&state=s";
    let answer = served.get(back).await;
    assert_eq!(answer.status.as_u16(), 200);
    assert!(answer.text().contains("Account main has its token"), "{}", answer.text());
    let wanted = LoginAnswer("action=login&status=success&request_token=r3quest&state=s".into());
    assert_eq!(format!("{wanted:?}"), "LoginAnswer([redacted])");
    assert_eq!(served.operations.asked.lock().unwrap().pop(), Some(Operation::FinishLogin(wanted)));
    let refusal = OperationError::Refused("the broker says <no>".into());
    *served.operations.refusal.lock().unwrap() = Some(refusal);
    let answer = served.get(back).await;
    assert_eq!(answer.status.as_u16(), 400);
    assert!(answer.text().contains("the broker says &lt;no&gt;"), "{}", answer.text());
}

#[tokio::test]
async fn what_cannot_be_carried_out_has_the_status_of_its_kind() {
    let served = Served::new().await;
    for (error, status) in [
        (OperationError::Input("bad wish".into()), 400),
        (OperationError::NotFound("no account `x`".into()), 404),
        (OperationError::Conflict("version 4 by now".into()), 409),
        (OperationError::Unavailable("the database is down".into()), 503),
        (OperationError::Refused("wrong checksum".into()), 502),
    ] {
        let says = error.to_string();
        *served.operations.refusal.lock().unwrap() = Some(error);
        let answer = served.get("/v1/subscriptions").await;
        assert_eq!(answer.status.as_u16(), status);
        assert_eq!(answer.json()["message"], json!(says));
    }
    *served.operations.refusal.lock().unwrap() = None;
    for (method, path, body, says) in [
        ("POST", "/v1/accounts", r#"{"name":"a","api_secret":"s3cret"}"#, "api_key"),
        ("POST", "/v1/accounts", r#"{"name":"a","api_key":"k","password":["s3cret"]}"#, "api_key"),
        ("POST", "/v1/subscriptions", "{}", "wish"),
        ("PUT", "/v1/subscriptions/7", r#"{"wish":"NSE:INFY:ltp"}"#, "?version="),
        ("GET", "/v1/instruments", "", "search="),
    ] {
        let answer = served.send_body(method, path, &[("content-type", "application/json")], body).await;
        assert_eq!(answer.status.as_u16(), 400, "{path}");
        assert!(answer.text().contains(says) && !answer.text().contains("s3cret"), "{}", answer.text());
    }
    let elsewhere = [("content-type", "application/json"), ("origin", "https://evil.example")];
    served.operations.asked.lock().unwrap().clear();
    for (method, path, body) in [
        ("POST", "/v1/subscriptions", r#"{"wish":"NSE:INFY:ltp"}"#),
        ("DELETE", "/v1/accounts/main", ""),
        ("POST", "/v1/accounts/main/unbar", ""),
        ("POST", "/v1/instruments/refresh", ""),
    ] {
        assert_eq!(served.send_body(method, path, &elsewhere, body).await.status.as_u16(), 403, "{path}");
    }
    assert!(served.operations.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_instance_without_the_role_only_reports() {
    let config = ApiConfig { reports_only: true, ..ApiConfig::default() };
    let served = Served::with(Setup { config, ..Setup::default() }).await;
    for (path, status) in
        [("/readyz", 200), ("/health", 200), ("/metrics", 200), ("/v1/accounts", 404), ("/", 404)]
    {
        assert_eq!(served.get(path).await.status.as_u16(), status, "{path}");
    }
    assert!(served.operations.asked.lock().unwrap().is_empty());
}
