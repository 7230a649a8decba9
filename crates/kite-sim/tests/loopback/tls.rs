//! The simulator over TLS.

use std::sync::Arc;

use futures_util::StreamExt;
use kite_sim::{Fault, FaultPlan, SimConfig, Simulator};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::client::{Sim, relaxed};

async fn connect(sim: &Sim, roots: RootCertStore) -> std::io::Result<TlsStream<TcpStream>> {
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let connector = TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()));
    let stream = TcpStream::connect(sim.addr).await?;
    connector.connect(ServerName::try_from("127.0.0.1").unwrap(), stream).await
}

async fn websocket(sim: &Sim, roots: RootCertStore) -> WebSocketStream<TlsStream<TcpStream>> {
    let stream = connect(sim, roots).await.unwrap();
    let url = format!("wss://{}/?api_key=simkey&access_token=simtoken", sim.addr);
    tokio_tungstenite::client_async(url, stream).await.unwrap().0
}

#[tokio::test]
async fn a_client_that_trusts_the_certificate_gets_ticks_and_faults() {
    let config = SimConfig { tls: true, ..relaxed() };
    let simulator = Simulator::bind(config, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let mut roots = RootCertStore::empty();
    let certificate = simulator.certificate().unwrap().as_bytes();
    roots.add(CertificateDer::from_pem_slice(certificate).unwrap()).unwrap();
    let sim = Sim::run(simulator);
    let mut socket = websocket(&sim, roots.clone()).await;
    let greeting = socket.next().await.unwrap().unwrap();
    assert!(matches!(&greeting, Message::Text(text) if text.contains("instruments_meta")), "{greeting}");
    sim.faults.add(FaultPlan::new(Fault::Reset)).unwrap();
    let error = loop {
        match socket.next().await.unwrap() {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("reset"), "{error}");
    // Without trust there is no connection, and the next client is served.
    assert!(connect(&sim, RootCertStore::empty()).await.is_err());
    websocket(&sim, roots).await.next().await.unwrap().unwrap();
}
