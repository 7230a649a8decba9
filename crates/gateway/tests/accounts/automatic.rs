//! Logging in without a human: it works, a mistake stops it before the broker locks anybody, and the operator is told.

use std::time::Duration;

use kite_sim::{App, SimConfig};
use market_model::Clock;

use crate::house::{House, instant};

/// Lines of an account that logs in by itself; `seed` is that of its codes.
fn login(seed: &str) -> String {
    format!(
        "api_secret = \"simsecret\"\nuser_id = \"SIM001\"\npassword = \"simpassword\"\ntotp_seed = \"{seed}\"\n\
         automatic_login = true"
    )
}

/// A broker on a clock of its own that has given no token away.
async fn house(start: &str) -> House {
    let apps = vec![App { access_token: None, ..App::default() }];
    House::new(SimConfig { start: Some(instant(start)), apps, ..SimConfig::default() }).await
}

#[tokio::test]
async fn a_gateway_without_a_token_logs_in_by_itself_each_day() {
    let house = house("2026-11-20 09:20:00").await;
    let file = house.accounts_file(&login(&App::default().totp_seed));
    house
        .run(&[file], async |gateway| {
            gateway.ticking().await;
            let account = gateway.account().await;
            assert_eq!((&account["token"], &account["automatic_login"]), (&"valid".into(), &"on".into()));
            // The token dies at six, and not before five past is there another one.
            house.clock.put_forward(instant("2026-11-21 06:00:10")).unwrap();
            gateway.until("the token has died", async || gateway.account().await["token"] == "expired").await;
            let looked_at = async || house.clock.now() > instant("2026-11-21 06:00:13");
            gateway.until("it is looked at again", looked_at).await;
            assert_eq!(house.broker_json("/sim/status").await["web_logins"]["passwords"], 1);
            house.clock.put_forward(instant("2026-11-21 06:05:01")).unwrap();
            gateway.until("there is another", async || gateway.account().await["token"] == "valid").await;
            gateway.ticking().await;
        })
        .await;
    let log = house.story.lines().join("\n");
    assert_eq!(log.matches("at your own risk").count(), 1, "{log}");
    let again = log.lines().filter(|line| line.contains("logged in without a human")).count();
    assert_eq!(again, 2, "{log}");
    for secret in ["simpassword", "simsecret", &App::default().totp_seed] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[tokio::test]
async fn a_wrong_seed_bars_after_two_codes_until_the_operator_says_so() {
    // Near the end of a code's half minute, so that the second one is due soon.
    let house = house("2026-11-20 09:20:24").await;
    let file = house.accounts_file(&login("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"));
    house
        .run(std::slice::from_ref(&file), async |gateway| {
            let barred = async || gateway.account().await["automatic_login"] == "barred";
            gateway.until("the account is barred", barred).await;
            let says = gateway.account().await["automatic_login_problem"].as_str().unwrap().to_owned();
            assert!(says.contains("totp_seed") && says.contains("accounts unbar main"), "{says}");
            let (status, ready) = gateway.send("GET", "/readyz", "").await;
            assert!(status == 503 && ready.to_string().contains("accounts unbar main"), "{ready}");
            let tried = house.broker_json("/sim/status").await["web_logins"].clone();
            assert_eq!((&tried["passwords"], &tried["codes"]), (&1.into(), &2.into()), "{tried}");

            // Time changes nothing.
            let later = house.clock.now() + Duration::from_secs(3600);
            house.clock.put_forward(later).unwrap();
            let looked_at = async || house.clock.now() > later + Duration::from_millis(2500);
            gateway.until("it is looked at again", looked_at).await;
            assert_eq!(house.broker_json("/sim/status").await["web_logins"], tried);

            let (status, refusal) = gateway.send("POST", "/v1/accounts/other/unbar", "").await;
            assert_eq!(status, 404, "{refusal}");
            let kept = std::fs::read_dir(house.data().join("login-bars")).unwrap().count();
            assert_eq!(kept, 0, "the bar is in the database");
        })
        .await;

    // Another instance that shares the database does not try it once more.
    let elsewhere = tempfile::tempdir().unwrap();
    let settings = [
        file,
        ("GATEWAY_DATA_DIR", elsewhere.path().display().to_string()),
        ("DATABASE_URL", format!("embedded:{}", house.data().join("gateway.db").display())),
    ];
    house
        .run(&settings, async |gateway| {
            gateway
                .until("it knows of the bar", async || gateway.account().await["automatic_login"] == "barred")
                .await;
            let later = house.clock.now() + Duration::from_millis(2500);
            gateway.until("it is looked at again", async || house.clock.now() > later).await;
            assert_eq!(house.broker_json("/sim/status").await["web_logins"]["passwords"], 1);

            house.accounts_file(&login(&App::default().totp_seed));
            let (status, answer) = gateway.send("POST", "/v1/accounts/main/unbar", "").await;
            assert_eq!((status, &answer["data"]["automatic_login"]), (200, &"on".into()), "{answer}");
            gateway.ticking().await;
        })
        .await;
}
