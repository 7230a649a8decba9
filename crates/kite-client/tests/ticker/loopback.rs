//! The real connector: TCP on the loopback interface, with and without TLS.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kite_client::{KiteError, Ticker, TickerConfig, TickerCredentials, TickerMetrics};
use market_model::{Mode, SystemClock};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_util::sync::CancellationToken;

use crate::rig::{describe, login, wishes};
use crate::server::Peer;

const WANTED: [(u32, Mode); 2] = [(408_065, Mode::Full), (738_561, Mode::Ltp)];

/// A certificate for `localhost` and the server side that shows it.
fn certificate() -> (CertificateDer<'static>, TlsAcceptor) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let server = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    (certificate, TlsAcceptor::from(Arc::new(server)))
}

async fn listen(scheme: &str) -> (TcpListener, TickerConfig) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = TickerConfig { url: format!("{scheme}://localhost:{port}"), ..TickerConfig::default() };
    (listener, config)
}

type Login = watch::Sender<Option<TickerCredentials>>;

fn start(
    config: TickerConfig,
) -> (kite_client::TickerHandle, kite_client::TickerStreams, JoinSet<()>, Login) {
    let (sender, credentials) = watch::channel(Some(login(1)));
    let clock = Arc::new(SystemClock);
    let (ticker, handle, streams) =
        Ticker::new(config, Arc::from("acc"), credentials, clock, TickerMetrics::noop()).unwrap();
    handle.set_desired(wishes(&WANTED));
    let mut task = JoinSet::new();
    task.spawn(async move {
        ticker.run(CancellationToken::new()).await;
    });
    (handle, streams, task, sender)
}

#[tokio::test]
async fn ticks_come_over_tcp() {
    let (listener, config) = listen("ws").await;
    let (_handle, mut streams, _task, _login) = start(config);
    let (stream, _) = listener.accept().await.unwrap();
    let mut peer = Peer::upgrade(stream).await;
    peer.carries(&WANTED).await;
    peer.ticks(&WANTED).await;
    loop {
        let event = describe(streams.feed.recv().await.unwrap());
        if event.starts_with("ticks") {
            assert_eq!(event, "ticks 0 408065:full 738561:ltp");
            break;
        }
    }
}

#[tokio::test]
async fn ticks_come_over_tls_with_a_root_of_our_own() {
    let (root, acceptor) = certificate();
    let (listener, mut config) = listen("wss").await;
    config.extra_roots = vec![root];
    let (_handle, mut streams, _task, _login) = start(config);
    let (stream, _) = listener.accept().await.unwrap();
    let mut peer = Peer::upgrade(acceptor.accept(stream).await.unwrap()).await;
    assert_eq!(peer.uri.query(), Some("api_key=key&access_token=token1"));
    peer.carries(&WANTED).await;
    peer.ticks(&WANTED).await;
    while !describe(streams.feed.recv().await.unwrap()).starts_with("ticks") {}
}

/// Over TCP and in real time, because only there a frame and a deadline become ready in the same moment.
#[tokio::test]
async fn a_process_that_was_stopped_does_not_blame_the_server() {
    let (listener, mut config) = listen("ws").await;
    config.silence_after = Duration::from_millis(100);
    let (handle, _streams, _task, _login) = start(config);
    let (stream, _) = listener.accept().await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut peer = Peer::upgrade(stream).await;
    for beat in 1..=10 {
        peer.heartbeat().await;
        // Stands for a machine that sleeps: nothing in this thread runs.
        let stopped = Instant::now();
        while stopped.elapsed() < Duration::from_millis(120) {
            std::hint::spin_loop();
        }
        while handle.status().connections[0].frames < beat {
            assert_eq!(handle.status().connections[0].handshakes, 1, "after {beat} beats");
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(handle.status().connections[0].handshakes, 1);
}

#[tokio::test]
async fn a_certificate_nobody_vouches_for_is_refused() {
    let (_unknown_root, acceptor) = certificate();
    let (listener, config) = listen("wss").await;
    let (_handle, mut streams, _task, _login) = start(config);
    let (stream, _) = listener.accept().await.unwrap();
    assert!(acceptor.accept(stream).await.is_err());
    loop {
        let event = describe(streams.feed.recv().await.unwrap());
        if event.starts_with("reconnecting") {
            assert!(event.contains("certificate"), "{event}");
            break;
        }
    }
}

/// The next event whose words begin with `prefix`.
async fn until(streams: &mut kite_client::TickerStreams, prefix: &str) -> String {
    loop {
        let event = describe(streams.feed.recv().await.unwrap());
        if event.starts_with(prefix) {
            return event;
        }
    }
}

#[tokio::test]
async fn after_a_restart_of_the_server_ticks_are_back_within_the_first_delay_and_a_tenth() {
    let (listener, mut config) = listen("ws").await;
    config.backoff.jitter = 0.0;
    let delay = config.backoff.initial;
    let (_handle, mut streams, _task, _login) = start(config);
    let mut peer = Peer::upgrade(listener.accept().await.unwrap().0).await;
    peer.carries(&WANTED).await;
    peer.ticks(&WANTED).await;
    until(&mut streams, "ticks").await;
    let address = listener.local_addr().unwrap();
    drop((peer, listener));
    let fell = Instant::now();
    let listener = TcpListener::bind(address).await.unwrap();
    let mut peer = Peer::upgrade(listener.accept().await.unwrap().0).await;
    peer.carries(&WANTED).await;
    peer.ticks(&WANTED).await;
    assert_eq!(until(&mut streams, "ticks").await, "ticks 0 408065:full 738561:ltp");
    let away = fell.elapsed();
    assert!(away <= delay + delay / 10, "{away:?}");
}

#[tokio::test]
async fn a_renewed_token_is_live_within_two_seconds_without_a_hole() {
    let (root, acceptor) = certificate();
    let (listener, mut config) = listen("wss").await;
    config.extra_roots = vec![root];
    let (handle, mut streams, _task, credentials) = start(config);
    let accept =
        async || Peer::upgrade(acceptor.accept(listener.accept().await.unwrap().0).await.unwrap()).await;
    let mut old = accept().await;
    old.carries(&WANTED).await;
    old.ticks(&WANTED).await;
    until(&mut streams, "ticks").await;
    credentials.send_replace(Some(login(2)));
    let renewed = Instant::now();
    let mut new = accept().await;
    assert_eq!(new.uri.query(), Some("api_key=key&access_token=token2"));
    new.carries(&WANTED).await;
    new.ticks(&WANTED).await;
    until(&mut streams, "ticks").await;
    let told = until(&mut streams, "").await;
    assert!(!told.starts_with("gap"), "{told}");
    assert_eq!(old.closed().await, Some(1000));
    let rotated = until(&mut streams, "rotated").await;
    assert!(rotated.ends_with("TokenRenewed"), "{rotated}");
    assert!(renewed.elapsed() < Duration::from_secs(2), "{:?}", renewed.elapsed());
    assert_eq!(handle.status().connections[0].generation, Some(2));
}

#[tokio::test]
async fn a_certificate_for_another_name_says_so() {
    let (root, acceptor) = certificate();
    let (listener, mut config) = listen("wss").await;
    config.url = config.url.replace("localhost", "127.0.0.1");
    config.extra_roots = vec![root];
    let (_handle, mut streams, _task, _login) = start(config);
    let (stream, _) = listener.accept().await.unwrap();
    assert!(acceptor.accept(stream).await.is_err());
    let told = until(&mut streams, "reconnecting").await;
    assert!(told.contains("the certificate is not for 127.0.0.1 but for"), "{told}");
}

#[test]
fn settings_that_cannot_work_are_refused_by_name() {
    let check = |change: fn(&mut TickerConfig), text: &str| {
        let mut config = TickerConfig::default();
        change(&mut config);
        let (_sender, credentials) = watch::channel(None);
        let clock = Arc::new(SystemClock);
        let made = Ticker::new(config, Arc::from("acc"), credentials, clock, TickerMetrics::noop());
        let error: KiteError = made.err().expect(text);
        assert_eq!(error.to_string(), text);
    };
    check(
        |config| config.url = "https://ws.kite.trade".to_owned(),
        "the url is not usable: its scheme is neither ws nor wss; write scheme://host:port",
    );
    check(|config| config.feed_capacity = 1, "ticker setting feed_capacity is not usable: at least 2");
    check(
        |config| config.limits.connections = 0,
        "ticker setting limits.connections is not usable: at least 1",
    );
}
