//! From the socket to decoded ticks over loopback, frames of 100 packets: our ticker beside reading the same bytes
//! and doing nothing with them. CPU of the reading thread.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use kite_client::{AccessToken, ApiKey, Ticker, TickerConfig, TickerCredentials, TickerMetrics};
use market_model::{FeedEvent, Mode, SubscriptionSet, SystemClock};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_util::sync::CancellationToken;

use crate::market::Market;
use crate::report::Report;
use crate::rounds::{median, thread_seconds};
use crate::sample::{self, PACKETS};
use crate::socket_server::{Trust, serve, trust};

const ROUNDS: usize = 5;
const FRAMES: usize = 8_000;

/// Plain and TLS.
pub fn run(report: &mut Report) -> Result<(), Box<dyn Error>> {
    let market = Market::new()?;
    let [(_, frame), ..] = sample::frames(&market)?;
    let trust = trust()?;
    let mut cpu = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        let tls = || Some(trust.acceptor.clone());
        cpu[0].push(raw(serve(&frame, None, false, 1)?, None, frame.len() + 4)?);
        cpu[1].push(ticker(serve(&frame, None, true, 1)?, None, &market)?);
        cpu[2].push(raw(serve(&frame, tls(), false, 1)?, Some(&trust), frame.len() + 4)?);
        cpu[3].push(ticker(serve(&frame, tls(), true, 1)?, Some(trust.certificate.clone()), &market)?);
    }
    let [raw, ticker, raw_tls, ticker_tls] = cpu.map(median);
    let unit = "ns of CPU per tick";
    report.lines("plain", unit, &[("raw TCP read", raw), ("kite-client, decoded ticks", ticker)]);
    report.lines("TLS", unit, &[("raw TLS read", raw_tls), ("kite-client, decoded ticks", ticker_tls)]);
    Ok(())
}

/// Reads the bytes of [`FRAMES`] frames into one buffer.
fn raw(address: SocketAddr, trust: Option<&Trust>, frame_len: usize) -> Result<f64, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let socket = TcpStream::connect(address).await?;
        match trust {
            None => read_all(socket, frame_len).await,
            Some(trust) => {
                let name = ServerName::try_from("127.0.0.1")?;
                read_all(TlsConnector::from(trust.client.clone()).connect(name, socket).await?, frame_len)
                    .await
            }
        }
    })
}

async fn read_all(mut stream: impl AsyncRead + Unpin, frame_len: usize) -> Result<f64, Box<dyn Error>> {
    let mut buffer = vec![0; 1 << 17];
    let mut left = FRAMES * frame_len;
    // Connections warm up first, as with the ticker.
    stream.read_exact(&mut buffer).await?;
    let begun = thread_seconds();
    while left > 0 {
        let got = stream.read(&mut buffer).await?;
        if got == 0 {
            return Err("the server hung up".into());
        }
        left = left.saturating_sub(got);
    }
    Ok((thread_seconds() - begun) * 1e9 / (FRAMES * PACKETS) as f64)
}

/// Runs a ticker on this thread until it has delivered the ticks of [`FRAMES`] frames.
fn ticker(
    address: SocketAddr,
    root: Option<CertificateDer<'static>>,
    market: &Market,
) -> Result<f64, Box<dyn Error>> {
    let scheme = if root.is_some() { "wss" } else { "ws" };
    let mut config = TickerConfig { url: format!("{scheme}://{address}"), ..TickerConfig::default() };
    config.limits.connections = 1;
    config.extra_roots.extend(root);
    let credentials = TickerCredentials {
        api_key: ApiKey::new("key"),
        access_token: AccessToken::new("token"),
        generation: 1,
    };
    let (_login, credentials) = tokio::sync::watch::channel(Some(credentials));
    let (account, clock) = (Arc::from("bench"), Arc::new(SystemClock));
    let (ticker, handle, mut streams) =
        Ticker::new(config, account, credentials, clock, TickerMetrics::noop())?;
    let mut wishes = SubscriptionSet::new();
    for row in market.catalog.instruments() {
        wishes.insert(row.token, Mode::Full);
    }
    handle.set_desired(wishes);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let shutdown = CancellationToken::new();
        let count = async {
            let (mut ticks, mut begun) = (0, 0.0);
            while let Some(event) = streams.feed.recv().await {
                let FeedEvent::Ticks(frame) = event else { continue };
                if ticks == 0 {
                    begun = thread_seconds();
                }
                ticks += frame.ticks.len();
                // As the pipeline does.
                streams.recycler.give(frame.ticks);
                if ticks > FRAMES * PACKETS {
                    break;
                }
            }
            let used = thread_seconds() - begun;
            shutdown.cancel();
            streams.feed.close();
            (ticks, used)
        };
        let (_, (ticks, used)) = tokio::join!(ticker.run(shutdown.clone()), count);
        if ticks == 0 { Err("the ticker delivered nothing".into()) } else { Ok(used * 1e9 / ticks as f64) }
    })
}
