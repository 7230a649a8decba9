//! Accounts from an HTTP user service: taken as they come and go, and kept while it is down.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use kite_sim::{App, SimConfig};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::house::{House, Running};

/// A user service that answers what it is told, to who has its token.
struct Service {
    address: SocketAddr,
    answer: Arc<Mutex<(u16, String)>>,
    _tasks: JoinSet<()>,
}

impl Service {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(Mutex::new((200, String::new())));
        let told = answer.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let answer = told.lock().unwrap().clone();
                serve(socket, answer).await;
            }
        });
        Self { address, answer, _tasks: tasks }
    }

    fn say(&self, status: u16, accounts: &[serde_json::Value]) {
        *self.answer.lock().unwrap() = (status, json!({ "v": 1, "accounts": accounts }).to_string());
    }
}

async fn serve(mut socket: TcpStream, (status, body): (u16, String)) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match socket.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let known = head.starts_with("get /accounts ") && head.contains("authorization: bearer service-hush\r\n");
    let (status, body) = if known { (status, body) } else { (401, String::new()) };
    let length = body.len();
    let text =
        format!("HTTP/1.1 {status} Said\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    let _ = socket.write_all(text.as_bytes()).await;
}

fn account(house: &House, name: &str, app: &App) -> serde_json::Value {
    json!({
        "name": name, "api_key": app.api_key, "access_token": app.access_token, "simulated": true,
        "rest_url": format!("http://{}", house.broker), "ticker_url": format!("ws://{}", house.broker),
    })
}

async fn names(gateway: &Running<'_>) -> Vec<String> {
    let rows = gateway.get("/v1/accounts").await["data"].as_array().unwrap().clone();
    rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn accounts_of_a_user_service_come_stay_and_go() {
    let apps = vec![App::numbered(1), App::numbered(2)];
    let house = House::new(SimConfig { apps: apps.clone(), ..SimConfig::default() }).await;
    let service = Service::start().await;
    let (first, second) = (account(&house, "first", &apps[0]), account(&house, "second", &apps[1]));
    service.say(200, std::slice::from_ref(&first));
    let settings = [
        ("KITE_USERS_URL", format!("http://{}/accounts", service.address)),
        ("KITE_USERS_TOKEN", "service-hush".to_owned()),
        ("KITE_ACCOUNTS_SECONDS", "5".to_owned()),
    ];
    house
        .run(&settings, async |gateway| {
            gateway.ticking().await;
            let from = gateway.account().await["from"].as_str().unwrap().to_owned();
            assert!(from.starts_with("user service http://"), "{from}");

            service.say(200, &[first.clone(), second.clone()]);
            gateway.until("there are two", async || names(gateway).await == ["first", "second"]).await;
            gateway
                .until("the second is streamed", async || {
                    gateway.get("/health").await["accounts"][1]["streamed_here"] == true
                })
                .await;

            service.say(500, &[]);
            let held = async || house.story.lines().iter().any(|line| line.contains("s ago holds"));
            gateway.until("the list of before holds", held).await;
            assert_eq!(names(gateway).await, ["first", "second"]);
            gateway.ticking().await;

            service.say(200, std::slice::from_ref(&second));
            gateway.until("the first is gone", async || names(gateway).await == ["second"]).await;
            gateway.ticking().await;
        })
        .await;
    let log = house.story.lines().join("\n");
    assert!(!log.contains("service-hush") && !log.contains("token01"), "{log}");
}
