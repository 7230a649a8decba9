use super::*;

const TOKEN: &str = "/v1/accounts/main/access_token";
const RECONNECT: &str = "/v1/accounts/main/reconnect";

#[tokio::test]
async fn commands_are_carried_out_and_answered() {
    let served = Served::new().await;
    let answer = served.command("PUT", TOKEN, r#"{"access_token":" new "}"#).await;
    assert_eq!(answer.json(), json!({ "status": "success", "data": { "account": "main" } }));
    served.command("POST", RECONNECT, "{}").await;
    served.command("POST", RECONNECT, r#"{"connection":0}"#).await;
    let told = served.control.told.lock().unwrap().clone();
    assert_eq!(told, ["token new", "reconnect None", "reconnect Some(0)"]);
}

#[tokio::test]
async fn a_command_that_cannot_be_carried_out_says_why_and_never_repeats_a_token() {
    let served = Served::new().await;
    for (method, path, body, status, says) in [
        ("PUT", TOKEN, r#"{"access_token":""}"#, 400, "no access token"),
        ("PUT", TOKEN, r#"{"token":"s3cret"}"#, 400, "access_token"),
        ("PUT", TOKEN, "s3cret", 400, "send JSON"),
        ("PUT", "/v1/accounts/other/access_token", r#"{"access_token":"s3cret"}"#, 404, "no account `other`"),
        ("POST", RECONNECT, r#"{"connection":9}"#, 404, "no connection 9"),
        ("POST", RECONNECT, r#"{"connection":-1}"#, 400, "send JSON"),
    ] {
        let answer = served.command(method, path, body).await;
        assert_eq!(answer.status.as_u16(), status, "{path} {body}: {:?}", answer.body);
        assert!(answer.text().contains(says), "{path} {body}: {}", answer.text());
        assert!(!answer.text().contains("s3cret"), "{}", answer.text());
    }
    assert!(served.control.told.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_page_from_elsewhere_commands_nothing() {
    let served = Served::new().await;
    let headers = [("content-type", "application/json"), ("origin", "https://evil.example")];
    let answer = served.send_body("POST", RECONNECT, &headers, "{}").await;
    assert_eq!((answer.status.as_u16(), served.control.told.lock().unwrap().len()), (403, 0));
    // A form, which a browser sends anywhere without asking, is no JSON.
    let answer = served.send_body("POST", RECONNECT, &[("content-type", "text/plain")], "{}").await;
    assert_eq!((answer.status.as_u16(), served.control.told.lock().unwrap().len()), (400, 0));
}

impl Served {
    async fn command(&self, method: &str, path: &str, body: &str) -> Answer {
        self.send_body(method, path, &[("content-type", "application/json")], body).await
    }
}
