//! Subscribes to everything a simulator has over all its accounts and throws the ticks away: what the simulator alone
//! costs. `cargo run --release -p kite-sim --example drain -- 127.0.0.1:8765 14 20`: address, accounts, seconds.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use kite_wire::{TickerRequest, parse_instruments};
use market_model::{InstrumentToken, Mode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Tokens of a connection.
const TOKENS: usize = 3_000;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let addr: SocketAddr = args.next().ok_or("which address?")?.parse()?;
    let accounts: usize = args.next().ok_or("how many accounts?")?.parse()?;
    let seconds: u64 = args.next().ok_or("how many seconds?")?.parse()?;
    let tokens = tokens(addr).await?;
    let per_account = tokens.len().div_ceil(accounts);
    let mut tasks = JoinSet::new();
    for (account, tokens) in tokens.chunks(per_account).enumerate() {
        for tokens in tokens.chunks(TOKENS) {
            tasks.spawn(drain(addr, account + 1, tokens.to_vec(), Duration::from_secs(seconds)));
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

/// Every token of the dump that is made for load, or all when none is.
async fn tokens(addr: SocketAddr) -> Result<Vec<InstrumentToken>, Failure> {
    let stream = TcpStream::connect(addr).await?;
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
    account: usize,
    tokens: Vec<InstrumentToken>,
    time: Duration,
) -> Result<u64, Failure> {
    let url = format!("ws://{addr}/?api_key=load{account:02}&access_token=token{account:02}");
    let (socket, _) = tokio_tungstenite::connect_async(url).await?;
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
