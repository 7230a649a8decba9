//! A network to the database that can be made bad.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How the network is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Everything passes.
    Good,
    /// What is asked passes, what is answered does not.
    Deaf,
    /// Connections stand, nothing passes.
    BlackHole,
    /// Every connection is closed, new ones too.
    Cut,
}

/// Listens on its own port and forwards to another until dropped.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    network: Arc<watch::Sender<Network>>,
    _task: JoinSet<()>,
}

// === impl Proxy ===

impl Proxy {
    /// In front of `127.0.0.1:target`.
    pub async fn start(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("its number").port();
        let network = Arc::new(watch::channel(Network::Good).0);
        let mut task = JoinSet::new();
        task.spawn(accept(listener, target, network.clone()));
        Self { port, network, _task: task }
    }

    /// Where clients connect to.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Changes the network for all connections.
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
    if *network.borrow() == Network::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect(("127.0.0.1", target)).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (up, down) = (network.clone(), network.clone());
    tokio::select! {
        () = way(from_client, to_server, up, &[Network::Good, Network::Deaf]) => {}
        () = way(from_server, to_client, down, &[Network::Good]) => {}
        _ = network.wait_for(|network| *network == Network::Cut) => {}
    }
}

async fn way(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut network: watch::Receiver<Network>,
    passes: &[Network],
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if network.wait_for(|network| passes.contains(network)).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
