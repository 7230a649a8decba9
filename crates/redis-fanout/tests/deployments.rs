//! Redis as it is run elsewhere: a cluster, behind sentinels, with TLS, with an access list.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/redis.rs"]
mod support;

use std::process::Command;
use std::time::Duration;

use market_model::InstrumentToken;
use redis_fanout::LastValueReader;
use support::publisher::Publisher;
use support::{
    Listener, RedisServer, catalog, client, command, config, free_port, health_record, status_when,
};
use tick_pipeline::SnapshotSink;

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_takes_batches_last_values_and_health() {
    let bus = free_port().to_string();
    let options = ["--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1", "--cluster-port", &bus];
    let Some(server) = RedisServer::start(&options) else { return };
    let admin = client(&server.url()).await;
    command::<()>(&admin, &["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]).await.unwrap();
    let mut poll = tokio::time::interval(Duration::from_millis(10));
    while !command::<String>(&admin, &["CLUSTER", "INFO"]).await.unwrap().contains("cluster_state:ok") {
        poll.tick().await;
    }
    let mut listener = Listener::on(&server.url(), "kg:v1:tick:*").await;
    let url = server.url().replace("redis://", "redis-cluster://");
    let mut publisher = Publisher::start(&url, 50);
    publisher.publish().await.unwrap();
    publisher.sink.health(&health_record(1)).await.unwrap();
    assert_eq!(listener.next().await.0, "kg:v1:tick:NSE:NIFTY:equity");
    let (end, _) = publisher.finish().await;
    assert_eq!((end.batches, end.last_values, end.health_records, end.last_error), (1, 50, 1, None));
    // Its values are read back, over all slots.
    let reader = LastValueReader::new(&config(&url));
    let tokens: Vec<InstrumentToken> = catalog(50).instruments().iter().map(|row| row.token).collect();
    assert_eq!(reader.read(&tokens).await.unwrap().len(), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_lead_to_the_new_master() {
    let Some(mut master) = RedisServer::start(&[]) else { return };
    let replica = RedisServer::start(&["--replicaof", "127.0.0.1", &master.port.to_string()]).unwrap();
    let conf = master.folder().join("sentinel.conf");
    let text = format!(
        "sentinel monitor main 127.0.0.1 {} 1\nsentinel down-after-milliseconds main 300\n\
         sentinel failover-timeout main 3000\n",
        master.port
    );
    std::fs::write(&conf, text).unwrap();
    let sentinel = RedisServer::start(&[conf.to_str().unwrap(), "--sentinel"]).unwrap();
    let admin = client(&sentinel.url()).await;
    let mut poll = tokio::time::interval(Duration::from_millis(20));
    loop {
        poll.tick().await;
        let state: Vec<String> = command(&admin, &["SENTINEL", "MASTER", "main"]).await.unwrap();
        let replicas = state.iter().position(|word| word == "num-slaves").unwrap() + 1;
        if state[replicas] == "1" {
            break;
        }
    }

    let url = format!("redis-sentinel://127.0.0.1:{}?sentinelServiceName=main", sentinel.port);
    let mut publisher = Publisher::start(&url, 10);
    publisher.publish_until(|now| now.batches >= 5 && now.last_values > 0).await;
    master.kill();
    publisher.publish_until(|now| now.connected == 0).await;
    let before = publisher.status.now();
    publisher
        .publish_until(|now| now.batches >= before.batches + 5 && now.last_values > before.last_values + 10)
        .await;
    let promoted = client(&replica.url()).await;
    let seq: u64 = command(&promoted, &["HGET", "kg:v1:last:1", "seq"]).await.unwrap();
    assert!(seq > before.batches, "written to the promoted replica");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_rights_suffice() {
    let rights =
        "gateway on >secret resetchannels &kg:* ~kg:* -@all +publish +hset +pexpire +hmget +xadd +ping";
    let mut options = vec!["--user"];
    options.extend(rights.split(' '));
    let Some(server) = RedisServer::start(&options) else { return };
    let mut publisher = Publisher::start(&server.url().replace("redis://", "redis://gateway:secret@"), 3);
    publisher.sink.health(&health_record(1)).await.unwrap();
    publisher.publish_until(|now| now.batches > 0 && now.last_values > 0 && now.health_records == 1).await;
    assert_eq!(publisher.status.now().last_error, None);
    let reader = LastValueReader::new(&config(&server.url().replace("redis://", "redis://gateway:secret@")));
    assert_eq!(reader.read(&[InstrumentToken(1)]).await.unwrap().len(), 1);

    // A channel that is not allowed is an error with a name, and no reason to reconnect.
    command::<()>(&client(&server.url()).await, &["ACL", "SETUSER", "gateway", "resetchannels"])
        .await
        .unwrap();
    let lost = publisher.status.now().connections_lost;
    publisher.publish_until(|now| now.publish_failures > 0).await;
    let now = status_when(&publisher.status, |now| now.last_error.is_some()).await;
    assert!(now.last_error.unwrap().contains("NOPERM"));
    assert!(now.connections_lost <= lost + 2, "redis itself closes the connections of a changed user once");
}

/// The authority is given by an environment variable, as an operator does it, so the test runs itself once more.
#[tokio::test(flavor = "multi_thread")]
async fn tls_with_a_private_authority() {
    const PORT: &str = "REDIS_FANOUT_TEST_TLS_PORT";
    if let Ok(port) = std::env::var(PORT) {
        let mut publisher = Publisher::start(&format!("rediss://localhost:{port}"), 3);
        publisher.publish_until(|now| now.batches > 0 && now.last_values == 3).await;
        return;
    }
    let port = free_port();
    let folder = std::env::temp_dir().join(format!("redis-fanout-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let key = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, secret) = (folder.join("certificate.pem"), folder.join("key.pem"));
    std::fs::write(&certificate, key.cert.pem()).unwrap();
    std::fs::write(&secret, key.signing_key.serialize_pem()).unwrap();
    let (tls_port, certificate, secret) =
        (port.to_string(), certificate.to_str().unwrap(), secret.to_str().unwrap());
    let server = RedisServer::start(&[
        "--tls-port",
        &tls_port,
        "--tls-cert-file",
        certificate,
        "--tls-key-file",
        secret,
        "--tls-ca-cert-file",
        certificate,
        "--tls-auth-clients",
        "no",
    ]);
    if server.is_some() {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["tls_with_a_private_authority", "--exact", "--nocapture"])
            .env(PORT, &tls_port)
            .env("SSL_CERT_FILE", certificate)
            .output()
            .unwrap();
        assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
        // Without the authority the connection is refused, with the reason.
        let mut publisher = Publisher::start(&format!("rediss://localhost:{port}"), 1);
        publisher.publish_until(|now| now.publish_failures > 0).await;
        let error = publisher.status.now().last_error.unwrap();
        assert!(error.contains("UnknownIssuer"), "{error}");
    }
    let _ = std::fs::remove_dir_all(&folder);
}
