//! A Kite that does exactly what a test tells it: one dump, one answer to handshakes, frames on demand.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_tungstenite::tungstenite::{Message, WebSocket, accept};

const DUMP: &str = "\
instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,instrument_type,segment,exchange
408065,1594,INFY,INFOSYS,0.0,,0.0,0.05,1,EQ,NSE,NSE
738561,2885,RELIANCE,RELIANCE INDUSTRIES,0.0,,0.0,0.05,1,EQ,NSE,NSE
";

/// The server; it lives as long as the test process.
pub(crate) struct FakeKite {
    pub(crate) addr: SocketAddr,
    state: Arc<State>,
    frames: Sender<Vec<u8>>,
}

struct State {
    refuse: AtomicBool,
    handshakes: AtomicUsize,
    commands: Mutex<Vec<String>>,
    frames: Mutex<Receiver<Vec<u8>>>,
}

impl FakeKite {
    /// Listens on a free port. With `refuse`, handshakes are answered 403 until [`FakeKite::accept`].
    pub(crate) fn start(refuse: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (frames, receiver) = channel();
        let state = Arc::new(State {
            refuse: AtomicBool::new(refuse),
            handshakes: AtomicUsize::new(0),
            commands: Mutex::new(Vec::new()),
            frames: Mutex::new(receiver),
        });
        let shared = state.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let state = shared.clone();
                std::thread::spawn(move || state.serve(socket));
            }
        });
        Self { addr, state, frames }
    }

    /// Settings that point a gateway here.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("KITE_API_KEY", "fake-api-key".to_owned()),
            ("KITE_ACCESS_TOKEN", "fake-access-token".to_owned()),
            ("KITE_REST_URL", format!("http://{}", self.addr)),
            ("KITE_TICKER_URL", format!("ws://{}", self.addr)),
            ("GATEWAY_SUBSCRIBE", "NSE:*:full".to_owned()),
        ]
    }

    /// Sends one binary frame on the connection that stands.
    pub(crate) fn send(&self, frame: Vec<u8>) {
        self.frames.send(frame).unwrap();
    }

    /// Handshakes asked for so far.
    pub(crate) fn handshakes(&self) -> usize {
        self.state.handshakes.load(Ordering::SeqCst)
    }

    /// Whether a text command that holds `part` has arrived.
    pub(crate) fn was_told(&self, part: &str) -> bool {
        self.state.commands.lock().unwrap().iter().any(|command| command.contains(part))
    }
}

impl State {
    fn serve(&self, mut socket: TcpStream) {
        let mut head = [0; 4096];
        let length = socket.peek(&mut head).unwrap_or(0);
        let head = String::from_utf8_lossy(&head[..length]).to_ascii_lowercase();
        if !head.contains("upgrade: websocket") {
            let _ = socket.read(&mut [0; 4096]);
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{DUMP}",
                DUMP.len()
            );
            let _ = socket.write_all(answer.as_bytes());
            return;
        }
        self.handshakes.fetch_add(1, Ordering::SeqCst);
        if self.refuse.load(Ordering::SeqCst) {
            let _ = socket.read(&mut [0; 4096]);
            let _ =
                socket.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            return;
        }
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        if let Ok(stream) = accept(socket) {
            self.stream(stream);
        }
    }

    /// Sends what the test wants and a heartbeat now and then; notes the commands.
    fn stream(&self, mut stream: WebSocket<TcpStream>) {
        loop {
            match stream.read() {
                Ok(Message::Text(command)) => self.commands.lock().unwrap().push(command.to_string()),
                Ok(_) => {}
                Err(tokio_tungstenite::tungstenite::Error::Io(error))
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) => {}
                Err(_) => return,
            }
            let frame = self.frames.lock().unwrap().try_recv().unwrap_or_else(|_| vec![0]);
            if stream.send(Message::binary(frame)).is_err() {
                return;
            }
        }
    }
}
