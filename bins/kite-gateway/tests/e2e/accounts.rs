//! Accounts from a shell: added with secrets on standard input, listed, let loose, taken out.

use std::io::Write;
use std::process::{Command, Stdio};

use kite_sim::{App, SimConfig};
use serde_json::Value;

use crate::process::{Gateway, command, until};
use crate::sim::Sim;

/// What `accounts ...` prints, with `input` on its standard input; an error with what it says on the other stream.
fn accounts(gateway: &Gateway, arguments: &[&str], input: &str) -> Result<Value, String> {
    let mut command: Command = command();
    command.arg("accounts").args(arguments).env("GATEWAY_LISTEN", gateway.addr.to_string());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    match output.status.success() {
        true => Ok(serde_json::from_slice(&output.stdout).unwrap()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

#[test]
fn an_account_is_added_with_its_secrets_from_standard_input() {
    let second = App { access_token: None, ..App::numbered(1) };
    let apps = vec![App::default(), second.clone()];
    let sim = Sim::start(SimConfig { apps, ..SimConfig::default() });
    let (rest, ticker) = (format!("http://{}", sim.addr), format!("ws://{}", sim.addr));
    let mut gateway = Gateway::start(&[
        ("KITE_API_KEY", "simkey"),
        ("KITE_ACCESS_TOKEN", "simtoken"),
        ("KITE_SIMULATED", "true"),
        ("KITE_REST_URL", &rest),
        ("KITE_TICKER_URL", &ticker),
        ("GATEWAY_MASTER_KEY", &"5a".repeat(32)),
        ("GATEWAY_SUBSCRIBE", "NSE:INFY:ltp"),
    ]);
    let add = ["add", "second", "--user-id", &second.user_id, "--simulated", "--automatic-login"];
    let add = [&add[..], &["--rest-url", &rest, "--ticker-url", &ticker]].concat();
    let App { api_key, api_secret, password, totp_seed, .. } = &second;
    let refused = accounts(&gateway, &add, &format!("api_key={api_key}\nsecret=x\n")).unwrap_err();
    assert!(refused.contains("totp_seed=..."), "{refused}");
    let input =
        format!("api_key={api_key}\napi_secret={api_secret}\npassword={password}\ntotp_seed={totp_seed}\n");
    let added = accounts(&gateway, &add, &input).unwrap();
    assert!(added["warning"].as_str().unwrap().contains("at your own risk"), "{added}");

    let mut listed = Value::Null;
    until("it has logged in by itself", || {
        listed = accounts(&gateway, &["list"], "").unwrap();
        listed[1]["token"] == "valid"
    });
    assert_eq!((&listed[1]["name"], &listed[1]["automatic_login"]), (&"second".into(), &"on".into()));
    let log = gateway.program.line_with("logged in without a human");
    for secret in [api_secret, password, totp_seed] {
        assert!(!format!("{added}{listed}{log}").contains(secret.as_str()), "{secret} is shown");
    }
    assert_eq!(accounts(&gateway, &["unbar", "second"], "").unwrap()["automatic_login"], "on");
    let refused = accounts(&gateway, &["unbar", "main"], "").unwrap_err();
    assert!(refused.contains("does not log in by itself"), "{refused}");
    let refused = accounts(&gateway, &["remove", "second"], "").unwrap_err();
    assert!(refused.contains("--yes"), "{refused}");
    accounts(&gateway, &["remove", "second", "--yes"], "").unwrap();
    until("it is gone", || accounts(&gateway, &["list"], "").unwrap().as_array().unwrap().len() == 1);
}
