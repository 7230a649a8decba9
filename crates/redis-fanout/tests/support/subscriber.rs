//! A consumer that speaks plain RESP, comes back when it is cut off, and keeps the books of what it saw.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use market_model::{Clock, SystemClock};
use snapshot_wire::decode::TicksMessage;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What a consumer can tell from what it received.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    pub batches: u64,
    /// Ticks of the batches received.
    pub received: u64,
    /// Ticks that were published between two batches received, and did not arrive.
    pub missed: u64,
    /// Number of the newest batch.
    pub last_seq: u64,
    /// Ticks published so far, as the newest batch says.
    pub last_total: u64,
    /// Batches that came after a newer one.
    pub old_after_new: u64,
    /// Age of the oldest batch when it arrived.
    pub oldest: Duration,
    /// How often it subscribed.
    pub subscriptions: u64,
    totals: HashMap<(String, String), u64>,
}

/// Receives in the background until dropped.
pub struct Subscriber {
    ledger: Arc<Mutex<Ledger>>,
    _task: JoinSet<()>,
}

// === impl Subscriber ===

impl Subscriber {
    pub fn start(port: u16) -> Self {
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let mut tasks = JoinSet::new();
        tasks.spawn(receive_for_ever(port, ledger.clone()));
        Self { ledger, _task: tasks }
    }

    pub fn ledger(&self) -> Ledger {
        self.ledger.lock().unwrap().clone()
    }

    /// Forgets the age of what came so far.
    pub fn reset_oldest(&self) {
        self.ledger.lock().unwrap().oldest = Duration::ZERO;
    }
}

async fn receive_for_ever(port: u16, ledger: Arc<Mutex<Ledger>>) {
    let mut again = tokio::time::interval(Duration::from_millis(5));
    loop {
        again.tick().await;
        let _ = receive(port, &ledger).await;
    }
}

async fn receive(port: u16, ledger: &Mutex<Ledger>) -> std::io::Result<()> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
    socket.write_all(b"PSUBSCRIBE kg:v1:tick:*\r\n").await?;
    let mut reader = BufReader::new(socket);
    loop {
        let words = next_array(&mut reader).await?;
        match &words[..] {
            [kind, _, channel, payload] if kind == b"pmessage" => {
                let channel = String::from_utf8_lossy(channel).into_owned();
                ledger.lock().unwrap().note(channel, payload);
            }
            _ => ledger.lock().unwrap().subscriptions += 1,
        }
    }
}

/// The next array of texts and numbers.
async fn next_array(reader: &mut BufReader<TcpStream>) -> std::io::Result<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    for _ in 0..next_length(reader, '*').await? {
        let mut line = String::new();
        reader.read_line(&mut line).await?;
        match line.trim().strip_prefix('$') {
            Some(length) => {
                let mut word = vec![0; length.parse::<usize>().unwrap() + 2];
                reader.read_exact(&mut word).await?;
                word.truncate(word.len() - 2);
                words.push(word);
            }
            None => words.push(line.into_bytes()),
        }
    }
    Ok(words)
}

async fn next_length(reader: &mut BufReader<TcpStream>, kind: char) -> std::io::Result<usize> {
    let mut line = String::new();
    if reader.read_line(&mut line).await? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    let length = line.trim().strip_prefix(kind).and_then(|length| length.parse().ok());
    length.ok_or_else(|| std::io::Error::other(line))
}

// === impl Ledger ===

impl Ledger {
    /// The rule of `docs/redis.md`.
    fn note(&mut self, channel: String, payload: &[u8]) {
        let batch: TicksMessage = serde_json::from_slice(payload).unwrap();
        let (count, total) = (batch.tick_count.unwrap(), batch.tick_total.unwrap());
        let start = total - count;
        let before = self.totals.entry((channel, batch.source.unwrap())).or_insert(start);
        if start < *before {
            // It was missed until now.
            self.old_after_new += 1;
            self.missed -= count;
        } else {
            self.missed += start - *before;
            *before = total;
        }
        self.received += count;
        self.batches += 1;
        (self.last_seq, self.last_total) = (batch.seq, total);
        let age = SystemClock.now().0 - batch.ts_publish;
        self.oldest = self.oldest.max(Duration::from_nanos(age.max(0) as u64));
    }
}
