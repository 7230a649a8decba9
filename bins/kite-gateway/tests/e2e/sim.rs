//! A simulator in the test's own process.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::channel;
use std::thread::JoinHandle;

use kite_sim::{Faults, SimConfig, Simulator};
use tokio_util::sync::CancellationToken;

/// A simulator in this process, with a runtime of its own.
pub(crate) struct Sim {
    pub(crate) addr: SocketAddr,
    pub(crate) faults: Faults,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Sim {
    pub(crate) fn start(config: SimConfig) -> Self {
        let (send, receive) = channel();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let sim = Simulator::bind(config, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
                send.send((sim.addr(), sim.faults())).unwrap();
                sim.run(stopped).await;
            });
        });
        let (addr, faults) = receive.recv().unwrap();
        Self { addr, faults, stop, thread: Some(thread) }
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.stop.cancel();
        self.thread.take().map(JoinHandle::join);
    }
}
