//! Orders of the day: what the broker's book shows counts, once, whatever is restarted.

use kite_sim::{App, SimConfig};

use crate::house::House;

#[tokio::test]
async fn the_order_book_is_counted_at_the_start_and_a_restart_counts_it_once() {
    let apps = vec![App { orders_placed: 37, ..App::default() }];
    let house = House::new(SimConfig { apps, ..SimConfig::default() }).await;
    let file = house.accounts_file("access_token = \"simtoken\"");
    for start in 1..=2 {
        house
            .run(std::slice::from_ref(&file), async |gateway| {
                let counted = async || gateway.account().await["orders"]["order_book_counted"] == true;
                gateway.until("the book is counted", counted).await;
                let orders = gateway.account().await["orders"].clone();
                assert_eq!(
                    (&orders["today"], &orders["saved"]),
                    (&37.into(), &true.into()),
                    "start {start}: {orders}"
                );
                let metrics = gateway.get("/metrics").await;
                let called = metrics.as_str().unwrap().lines().any(|line| {
                    line.starts_with("kite_rest_requests_total")
                        && line.contains(r#"outcome="ok""#)
                        && !line.ends_with(" 0")
                });
                assert!(called, "{metrics}");
            })
            .await;
    }
    let log = house.story.lines().join("\n");
    assert_eq!(log.matches("counted from the order book").count(), 2, "one read a start\n{log}");
}
