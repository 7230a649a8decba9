//! The address that orders leave from: what the gateway says about it is what the broker does about it.

use std::net::{IpAddr, SocketAddr};

use gateway::doctor;
use kite_sim::SimConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::house::{House, Running};

const REGISTERED: &str = "127.0.0.9";

/// A broker that takes orders from one address only.
async fn house() -> House {
    let mut config = SimConfig::default();
    config.limits.order_addresses = Some(vec![REGISTERED.parse().unwrap()]);
    House::new(config).await
}

fn settings(house: &House, more: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    let account = format!("access_token = \"simtoken\"\nregistered_addresses = [\"{REGISTERED}\"]");
    let more = more.iter().map(|(name, value)| (*name, (*value).to_owned()));
    more.chain([house.accounts_file(&account)]).collect()
}

/// The status that an order from `local` is answered with.
async fn order_from(local: &str, broker: SocketAddr) -> u16 {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(local.parse::<IpAddr>().unwrap(), 0)).unwrap();
    let mut socket = socket.connect(broker).await.unwrap();
    let request =
        "POST /orders/regular HTTP/1.0\r\nAuthorization: token simkey:simtoken\r\nContent-Length: 0\r\n\r\n";
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

/// What the doctor finds about addresses.
async fn finds(gateway: &Running<'_>) -> String {
    let env = gateway.house.env(&[("GATEWAY_LISTEN", gateway.address.to_string())]);
    let diagnosis = doctor::examine(&env, None).await;
    let found = diagnosis.findings.iter().filter(|finding| finding.step == "address");
    found.map(|finding| format!("{} {}\n", finding.verdict.as_str(), finding.found)).collect()
}

#[tokio::test]
async fn a_registered_address_is_good_and_the_broker_agrees() {
    let house = house().await;
    let source = format!("http://{}/sim/address", house.broker);
    let more = [("KITE_LOCAL_ADDRESS", REGISTERED), ("KITE_ADDRESS_SOURCE", source.as_str())];
    house
        .run(&settings(&house, &more), async |gateway| {
            gateway.until("it is judged", async || !gateway.account().await["order_address"].is_null()).await;
            let account = gateway.account().await;
            assert_eq!(account["order_address_is_good"], true, "{account}");
            assert_eq!(gateway.get("/health").await["address"]["ipv4"], REGISTERED);
            let found = finds(gateway).await;
            assert!(found.starts_with("good main: orders leave from a registered address"), "{found}");
            gateway.ticking().await;
        })
        .await;
    assert_eq!(
        order_from(REGISTERED, house.broker).await,
        503,
        "the address is taken, the order system is down"
    );
}

#[tokio::test]
async fn another_address_is_told_before_an_order_is_refused_for_it() {
    let house = house().await;
    let source = format!("http://{}/sim/address", house.broker);
    house
        .run(&settings(&house, &[("KITE_ADDRESS_SOURCE", &source)]), async |gateway| {
            gateway.until("it is judged", async || !gateway.account().await["order_address"].is_null()).await;
            let account = gateway.account().await;
            let says = account["order_address"].as_str().unwrap();
            assert!(says.contains("the broker sees 127.0.0.1, which is not registered"), "{says}");
            let found = finds(gateway).await;
            assert!(found.starts_with("note main: the broker sees 127.0.0.1"), "{found}");
        })
        .await;
    let log = house.story.lines().join("\n");
    assert!(log.lines().any(|line| line.contains("WARN") && line.contains("developer console")), "{log}");
    assert_eq!(order_from("127.0.0.1", house.broker).await, 403);
}

#[tokio::test]
async fn nobody_outside_is_asked_unless_named_and_a_pinned_family_holds_for_every_connection() {
    let house = house().await;
    // Once with any family, so that the instruments are there and the ticker has something to ask for.
    house.run(&settings(&house, &[]), async |gateway| gateway.ticking().await).await;
    // The broker has an IPv4 address only.
    house
        .run(&settings(&house, &[("KITE_ADDRESS_FAMILY", "v6")]), async |gateway| {
            let refused = "no address of the allowed kind";
            gateway.send("POST", "/v1/instruments/refresh", "").await;
            gateway
                .until("REST is held to the family", async || {
                    gateway.get("/health").await["instrument_list"]["failure"].to_string().contains(refused)
                })
                .await;
            let connection = async || gateway.get("/health").await["connections"][0].clone();
            gateway
                .until("so is the ticker", async || {
                    connection().await["last_reason"].to_string().contains(refused)
                })
                .await;
            let step = connection().await["next_step"].to_string();
            assert!(step.contains("KITE_ADDRESS_FAMILY"), "{step}");
            assert!(gateway.get("/health").await["address"].is_null());
            let found = finds(gateway).await;
            assert!(found.contains("is not checked"), "{found}");
        })
        .await;
    let log = house.story.lines().join("\n");
    assert!(!log.contains("sees 127.0.0.1"), "{log}");
}
