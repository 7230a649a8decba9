//! What the way from the socket to decoded ticks costs, beside a plain read of the same bytes, in CPU time of the
//! one thread that reads. Rounds of all variants take turns; medians are printed.
//!
//! `cargo run --release -p kite-client --example socket_cost -- [FRAMES] [FRAMES_PER_SECOND] [SO_RCVBUF] [READ_BUFFER]`; without a pace as fast as it goes, `0` leaves the buffer to the kernel.
//! `ONLY=1` runs one of the four variants alone, for a profiler. `ORDER=mixed` sends instruments in an order that is
//! not the one of the subscription but the same every round, `ORDER=random` another order every time. `KEEP=1` does
//! not give the vectors of ticks back.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that fails may panic")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kite_client::{
    AccessToken, ApiKey, ConnectionLimits, SocketConfig, Ticker, TickerConfig, TickerCredentials,
    TickerMetrics,
};
use kite_wire::FrameBuilder;
use market_model::{
    FeedEvent, FullTick, InstrumentToken, Mode, Price, Subscription, SubscriptionSet, SystemClock, Tick,
    TickBody,
};
use tokio::io::AsyncReadExt;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use tokio_util::sync::CancellationToken;

const PACKETS: u32 = 100;
const INSTRUMENTS: u32 = 3000;
const ROUNDS: usize = 7;

#[derive(Clone, Copy, Debug, PartialEq)]
struct Plan {
    frames: usize,
    per_second: Option<u32>,
    receive_buffer: Option<u32>,
    read_buffer: usize,
}

#[derive(Clone)]
struct Server {
    port: u16,
    root: CertificateDer<'static>,
}

/// The instruments in the order in which they are sent, over and over.
fn order() -> Vec<u32> {
    let mut seed = 1u64;
    let mut mixed = || {
        let mut numbers: Vec<u32> = (0..INSTRUMENTS).collect();
        for left in (1..numbers.len()).rev() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            numbers.swap(left, (seed >> 33) as usize % (left + 1));
        }
        numbers
    };
    match std::env::var("ORDER").as_deref() {
        Ok("mixed") => mixed(),
        Ok("random") => (0..10).flat_map(|_| mixed()).collect(),
        _ => (0..INSTRUMENTS).collect(),
    }
}

/// Frames that name every instrument equally often, each with its websocket header.
fn frames() -> Vec<Vec<u8>> {
    let frame = |numbers: &[u32]| {
        let mut frame = FrameBuilder::new();
        for (packet, number) in (0..PACKETS).zip(numbers) {
            let token = InstrumentToken(number * 256 + 2);
            let body = TickBody::Full(FullTick::default());
            frame.push(&Tick { token, last_price: Price::from_paise(i64::from(packet)), body }).unwrap();
        }
        let payload = frame.finish();
        let length = u16::try_from(payload.len()).unwrap();
        let mut message = vec![0x82, 126];
        message.extend(length.to_be_bytes());
        message.extend(payload);
        message
    };
    order().chunks(PACKETS as usize).map(frame).collect()
}

/// Serves one connection of `variant`.
fn serve(listener: &TcpListener, tls: &Arc<ServerConfig>, plan: Plan, variant: Variant) {
    let (stream, _) = listener.accept().unwrap();
    stream.set_nodelay(true).unwrap();
    if variant.tls {
        let connection = ServerConnection::new(tls.clone()).unwrap();
        write(StreamOwned::new(connection, stream), plan, variant);
    } else {
        write(stream, plan, variant);
    }
}

fn write<S: Read + Write>(mut stream: S, plan: Plan, variant: Variant) {
    let frames = frames();
    if variant.ticker {
        let mut socket = tokio_tungstenite::tungstenite::accept(stream).map_err(|_| "handshake").unwrap();
        // Until the last command has come: subscribe and mode, a thousand tokens each.
        for _ in 0..2 * INSTRUMENTS / 1000 {
            drop(socket.read().unwrap());
        }
        pump(socket.get_mut(), &frames, plan);
        // The client ends the connection.
        while socket.read().is_ok() {}
    } else {
        let mut start = [0];
        stream.read_exact(&mut start).unwrap();
        pump(&mut stream, &frames, plan);
        drop(stream.read(&mut start));
    }
}

fn pump(stream: &mut impl Write, frames: &[Vec<u8>], plan: Plan) {
    let started = Instant::now();
    for number in 0..plan.frames {
        if let Some(per_second) = plan.per_second {
            let due = Duration::from_secs_f64(number as f64 / f64::from(per_second));
            if let Some(wait) = due.checked_sub(started.elapsed()) {
                #[expect(clippy::disallowed_methods, reason = "a thread that plays the server")]
                std::thread::sleep(wait);
            }
        }
        if stream.write_all(&frames[number % frames.len()]).is_err() {
            return;
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Variant {
    ticker: bool,
    tls: bool,
}

/// CPU time of this thread so far.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}

async fn read_plainly(server: &Server, plan: Plan, tls: bool) -> Duration {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    if let Some(bytes) = plan.receive_buffer {
        socket.set_recv_buffer_size(bytes).unwrap();
    }
    let stream = socket.connect(([127, 0, 0, 1], server.port).into()).await.unwrap();
    let total: usize = (0..plan.frames).map(|_| 4 + 2 + PACKETS as usize * 186).sum();
    if !tls {
        return drain(stream, total).await;
    }
    let mut roots = RootCertStore::empty();
    roots.add(server.root.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    drain(TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap(), total).await
}

async fn drain<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
    mut stream: S,
    total: usize,
) -> Duration {
    tokio::io::AsyncWriteExt::write_all(&mut stream, &[1]).await.unwrap();
    tokio::io::AsyncWriteExt::flush(&mut stream).await.unwrap();
    let mut buffer = vec![0; 64 * 1024];
    let before = cpu();
    let mut seen = 0;
    while seen < total {
        seen += stream.read(&mut buffer).await.unwrap();
    }
    cpu() - before
}

async fn tick(server: &Server, plan: Plan, tls: bool) -> Duration {
    let config = TickerConfig {
        url: format!("{}://localhost:{}", if tls { "wss" } else { "ws" }, server.port),
        limits: ConnectionLimits { connections: 1, tokens_per_connection: 3000 },
        extra_roots: vec![server.root.clone()],
        sockets: SocketConfig {
            receive_buffer: plan.receive_buffer,
            read_buffer: plan.read_buffer,
            ..SocketConfig::default()
        },
        ..TickerConfig::default()
    };
    let login = TickerCredentials {
        api_key: ApiKey::new("key"),
        access_token: AccessToken::new("token"),
        generation: 1,
    };
    let (_login, credentials) = tokio::sync::watch::channel(Some(login));
    let (ticker, handle, mut streams) =
        Ticker::new(config, Arc::from("cost"), credentials, Arc::new(SystemClock), TickerMetrics::noop())
            .unwrap();
    let wish = |number| Subscription { token: InstrumentToken(number * 256 + 2), mode: Mode::Full };
    handle.set_desired((0..INSTRUMENTS).map(wish).collect::<SubscriptionSet>());
    let stop = CancellationToken::new();
    let give_back = std::env::var_os("KEEP").is_none();
    let listen = async {
        let expected = (plan.frames * PACKETS as usize) as u64;
        let (mut ticks, mut frames) = (0, 0u64);
        let mut before = None;
        while let Some(event) = streams.feed.recv().await {
            if let FeedEvent::Ticks(frame) = event {
                before.get_or_insert_with(cpu);
                ticks += frame.ticks.len() as u64;
                frames += 1;
                if give_back {
                    streams.recycler.give(frame.ticks);
                }
                // Seldom, because asking is not what is measured.
                let ask = frames.is_multiple_of(64) || ticks == expected;
                if ask && handle.status().connections[0].packets >= expected - 64 * u64::from(PACKETS) {
                    break;
                }
            }
        }
        let spent = cpu() - before.unwrap();
        stop.cancel();
        while streams.feed.recv().await.is_some() {}
        spent
    };
    tokio::join!(listen, ticker.run(stop.clone())).0
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|word| word.parse::<u32>().unwrap());
    let plan = Plan {
        frames: arguments.next().unwrap_or(20_000) as usize,
        per_second: arguments.next().filter(|pace| *pace > 0),
        receive_buffer: arguments.next().filter(|bytes| *bytes > 0),
        read_buffer: arguments.next().map_or(SocketConfig::default().read_buffer, |bytes| bytes as usize),
    };
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let root = made.cert.der().clone();
    let tls = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![root.clone()], key)
        .unwrap();
    let tls = Arc::new(tls);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server { port: listener.local_addr().unwrap().port(), root };
    let variants = [(false, false), (true, false), (false, true), (true, true)]
        .map(|(ticker, tls)| Variant { ticker, tls });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let only = std::env::var("ONLY").ok().and_then(|number| number.parse::<usize>().ok());
    let mut spent = [const { Vec::new() }; 4];
    println!("{plan:?}, {} bytes each, median of {ROUNDS} rounds", 6 + 186 * PACKETS);
    for _ in 0..ROUNDS {
        for (number, (variant, spent)) in variants.iter().zip(&mut spent).enumerate() {
            if only.is_some_and(|only| only != number) {
                spent.push(0.0);
                continue;
            }
            let time = std::thread::scope(|scope| {
                let server_side = || serve(&listener, &tls, plan, *variant);
                std::thread::Builder::new()
                    .name("server".to_owned())
                    .spawn_scoped(scope, server_side)
                    .unwrap();
                runtime.block_on(async {
                    if variant.ticker {
                        tick(&server, plan, variant.tls).await
                    } else {
                        read_plainly(&server, plan, variant.tls).await
                    }
                })
            });
            spent.push(time.as_secs_f64() * 1e6 / plan.frames as f64);
        }
    }
    let median = spent.map(|mut spent| {
        spent.sort_by(f64::total_cmp);
        spent[ROUNDS / 2]
    });
    for (pair, name) in median.chunks(2).zip(["tcp", "tls"]) {
        println!(
            "{name}: plain read {:.2} us a frame, ticker {:.2} us, ratio {:.2}",
            pair[0],
            pair[1],
            pair[1] / pair[0]
        );
    }
}
