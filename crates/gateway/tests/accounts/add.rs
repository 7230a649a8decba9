//! An account added over the API with password and seed: sealed, never shown, and able to log in by itself.

use kite_sim::{App, SimConfig};
use serde_json::json;

use crate::house::House;

const MASTER_KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

#[tokio::test]
async fn an_added_account_logs_in_by_itself_and_shows_no_secret() {
    let second = App { access_token: None, ..App::numbered(1) };
    let apps = vec![App::default(), second.clone()];
    let house = House::new(SimConfig { apps, ..SimConfig::default() }).await;
    let settings =
        [house.accounts_file("access_token = \"simtoken\""), ("GATEWAY_MASTER_KEY", MASTER_KEY.to_owned())];
    let mut shown = String::new();
    house
        .run(&settings, async |gateway| {
            let mut new = json!({
                "name": "second", "api_key": second.api_key, "api_secret": second.api_secret, "simulated": true,
                "user_id": second.user_id, "password": second.password, "totp_seed": "no seed!",
                "automatic_login": true, "registered_addresses": ["203.0.113.7"],
                "rest_url": format!("http://{}", house.broker), "ticker_url": format!("ws://{}", house.broker),
            });
            let (status, refusal) = gateway.send("POST", "/v1/accounts", &new.to_string()).await;
            assert_eq!(status, 400, "{refusal}");
            assert!(refusal["message"].as_str().unwrap().contains("totp seed"), "{refusal}");
            new["totp_seed"] = json!(second.totp_seed);
            new["user_id"] = json!(null);
            let (status, refusal) = gateway.send("POST", "/v1/accounts", &new.to_string()).await;
            assert_eq!((status, &refusal["message"]), (400, &json!("automatic_login needs the user_id too")));
            new["user_id"] = json!(second.user_id);
            let (status, answer) = gateway.send("POST", "/v1/accounts", &new.to_string()).await;
            assert_eq!(status, 200, "{answer}");
            assert!(answer["data"]["warning"].as_str().unwrap().contains("at your own risk"), "{answer}");
            let row = async || gateway.get("/health").await["accounts"][1].clone();
            gateway.until("it has logged in by itself", async || row().await["token"] == "valid").await;
            assert_eq!(row().await["registered_addresses"], json!(["203.0.113.7"]));
            shown = format!("{answer}{}{}", gateway.get("/health").await, gateway.get("/v1/accounts").await);
        })
        .await;
    shown.push_str(&house.story.lines().join("\n"));
    for file in std::fs::read_dir(house.data()).unwrap().map(|entry| entry.unwrap().path()) {
        if file.is_file() && file.extension().is_none_or(|ending| ending != "toml") {
            shown.push_str(&String::from_utf8_lossy(&std::fs::read(file).unwrap()));
        }
    }
    assert!(shown.contains("second"), "the database was looked at");
    for secret in [&second.password, &second.totp_seed, &second.api_secret] {
        assert!(!shown.contains(secret.as_str()), "{secret} is shown");
    }
}
