//! More is wanted than the accounts carry: the doctor says how much, and what goes without.

use gateway::doctor;
use kite_sim::{LoadConfig, SimConfig};

use crate::house::House;

#[tokio::test]
async fn what_is_refused_for_capacity_is_named() {
    // An account carries 3 x 3000.
    let load = Some(LoadConfig { instruments: 9_400, ticks_per_second: 0.1 });
    let house = House::new(SimConfig { load, ..SimConfig::default() }).await;
    let settings =
        [house.accounts_file("access_token = \"simtoken\""), ("GATEWAY_SUBSCRIBE", "NSE:*:ltp".to_owned())];
    house
        .run(&settings, async |gateway| {
            gateway
                .until("the plan is made", async || {
                    let health = gateway.get("/health").await;
                    health["subscriptions"]["refusals"].as_array().is_some_and(|lines| !lines.is_empty())
                })
                .await;
            let env = house.env(&[("GATEWAY_LISTEN", gateway.address.to_string())]);
            let diagnosis = doctor::examine(&env, None).await;
            let text = diagnosis.lines();
            assert!(diagnosis.is_bad(), "{text}");
            assert!(text.contains("the accounts in use have room for 9000"), "{text}");
            let refused = text.lines().find(|line| line.contains("environment.1` (NSE:*:ltp):")).unwrap();
            assert!(refused.contains("on no account, such as ") && refused.starts_with("BAD"), "{refused}");
            eprintln!("{text}");
        })
        .await;
}
