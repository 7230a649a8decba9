//! Subscribes to everything a simulator has over all its accounts and throws the ticks away: what the simulator alone
//! costs. `cargo run --release -p kite-sim --example drain -- 127.0.0.1:8765 14 20 [sim.pem]`: address, accounts,
//! seconds, and the certificate of a simulator that speaks TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use kite_wire::{TickerRequest, parse_instruments};
use market_model::{InstrumentToken, Mode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Tokens of a connection.
const TOKENS: usize = 3_000;

trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Socket for S {}

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let addr: SocketAddr = args.next().ok_or("which address?")?.parse()?;
    let accounts: usize = args.next().ok_or("how many accounts?")?.parse()?;
    let seconds: u64 = args.next().ok_or("how many seconds?")?.parse()?;
    let tls = args.next().map(|path| connector(&path)).transpose()?;
    let tokens = tokens(addr, tls.as_ref()).await?;
    let per_account = tokens.len().div_ceil(accounts);
    let mut tasks = JoinSet::new();
    for (account, tokens) in tokens.chunks(per_account).enumerate() {
        for tokens in tokens.chunks(TOKENS) {
            let time = Duration::from_secs(seconds);
            tasks.spawn(drain(addr, tls.clone(), account + 1, tokens.to_vec(), time));
        }
    }
    let (connections, mut bytes) = (tasks.len(), 0);
    while let Some(drained) = tasks.join_next().await {
        bytes += drained??;
    }
    let packets = bytes as f64 / 186.0 / seconds as f64;
    #[expect(clippy::print_stdout, reason = "this is what the example is for")]
    {
        println!("{} tokens, {connections} connections, about {packets:.0} full packets/s", tokens.len());
    }
    Ok(())
}

/// Trusts the certificate at `path` and nothing else.
fn connector(path: &str) -> Result<TlsConnector, Failure> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(path)?)?;
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth())))
}

async fn connect(addr: SocketAddr, tls: Option<&TlsConnector>) -> Result<Box<dyn Socket>, Failure> {
    let stream = TcpStream::connect(addr).await?;
    Ok(match tls {
        None => Box::new(stream),
        Some(tls) => Box::new(tls.connect(ServerName::from(addr.ip()), stream).await?),
    })
}

/// Every token of the dump that is made for load, or all when none is.
async fn tokens(addr: SocketAddr, tls: Option<&TlsConnector>) -> Result<Vec<InstrumentToken>, Failure> {
    let stream = connect(addr, tls).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);
    let request = http::Request::get("/instruments").header("host", "sim").body(Empty::<Bytes>::new())?;
    let body = sender.send_request(request).await?.into_body().collect().await?.to_bytes();
    let rows: Vec<_> = parse_instruments(&body[..])?.collect::<Result<_, _>>()?;
    let made = rows.iter().filter(|row| row.tradingsymbol.starts_with("SIM")).map(|row| row.token);
    let made: Vec<InstrumentToken> = made.collect();
    Ok(if made.is_empty() { rows.iter().map(|row| row.token).collect() } else { made })
}

/// Reads bytes for `time` without looking at them.
async fn drain(
    addr: SocketAddr,
    tls: Option<TlsConnector>,
    account: usize,
    tokens: Vec<InstrumentToken>,
    time: Duration,
) -> Result<u64, Failure> {
    let url = format!("ws://{addr}/?api_key=load{account:02}&access_token=token{account:02}");
    let (socket, _) = tokio_tungstenite::client_async(url, connect(addr, tls.as_ref()).await?).await?;
    let mut stream = socket.into_inner();
    stream.write_all(&masked(&TickerRequest::Mode(Mode::Full, tokens).to_json())).await?;
    let mut buffer = vec![0; 256 * 1024];
    let (mut bytes, mut began) = (0, None);
    loop {
        let read = stream.read(&mut buffer).await? as u64;
        let began = *began.get_or_insert_with(Instant::now);
        bytes += read;
        if read == 0 || began.elapsed() > time {
            return Ok(bytes);
        }
    }
}

/// A client's text frame with a mask of zeros.
fn masked(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81, 0x80 | 127];
    frame.extend((text.len() as u64).to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    frame
}
