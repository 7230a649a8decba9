//! A network between the gateway and Redis that can be made bad.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

/// How the network is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    Good,
    /// Each way takes this long.
    Slow(Duration),
    /// Bytes per second towards Redis.
    Narrow(usize),
    /// Connections stand, nothing passes.
    BlackHole,
    /// Every connection is closed, new ones too.
    Cut,
}

/// Listens on its own port and forwards to another until dropped.
pub struct Proxy {
    pub port: u16,
    network: Arc<watch::Sender<Network>>,
    _task: JoinSet<()>,
}

/// Longest line of bytes under way in the network.
const CHUNK: usize = 16 * 1024;

// === impl Proxy ===

impl Proxy {
    pub async fn start(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let network = Arc::new(watch::channel(Network::Good).0);
        let mut task = JoinSet::new();
        task.spawn(accept(listener, target, network.clone()));
        Self { port, network, _task: task }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn set(&self, network: Network) {
        self.network.send_replace(network);
    }
}

async fn accept(listener: TcpListener, target: u16, network: Arc<watch::Sender<Network>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((client, _)) = listener.accept() => {
                connections.spawn(forward(client, target, network.subscribe()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn forward(client: TcpStream, target: u16, mut network: watch::Receiver<Network>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", target)).await else { return };
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let (up, down) = (network.clone(), network.clone());
    tokio::select! {
        () = way(from_client, to_server, up, true) => {}
        () = way(from_server, to_client, down, false) => {}
        _ = network.wait_for(|network| *network == Network::Cut) => {}
    }
}

/// One direction: what is read is written when its time has come.
async fn way(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut network: watch::Receiver<Network>,
    is_up: bool,
) {
    let (queue, mut queued) = mpsc::channel::<(Instant, Vec<u8>)>(256);
    let delay = network.clone();
    let read = async {
        let mut buffer = vec![0; CHUNK];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            let wait = if let Network::Slow(wait) = *delay.borrow() { wait } else { Duration::ZERO };
            if queue.send((Instant::now() + wait, buffer[..length].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let write = async {
        while let Some((due, bytes)) = queued.recv().await {
            sleep_until(due).await;
            if network.wait_for(|network| *network != Network::BlackHole).await.is_err() {
                return;
            }
            let state = *network.borrow();
            if let Network::Narrow(rate) = state
                && is_up
            {
                sleep(Duration::from_secs_f64(bytes.len() as f64 / rate as f64)).await;
            }
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = read => {}
        () = write => {}
    }
}
