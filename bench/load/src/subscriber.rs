//! A consumer of the tick channels that counts what it gets and, from the batches' own totals, what it missed.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// Reads on a thread of its own until Redis goes away.
pub(crate) struct Subscriber {
    seen: Arc<Mutex<Seen>>,
}

/// What has come so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) batches: u64,
    pub(crate) bytes: u64,
    /// Ticks that the batches stand for.
    pub(crate) ticks: u64,
    /// Ticks that came into no batch that was received.
    pub(crate) missed: u64,
    /// Batches whose total is smaller than the one before: never, if the order is kept.
    pub(crate) backwards: u64,
    /// Age of the last value of the newest batch, and the largest since [`Subscriber::take_age`].
    pub(crate) oldest_age: Duration,
}

impl Subscriber {
    pub(crate) fn start(redis_port: &str) -> io::Result<Self> {
        let mut socket = TcpStream::connect(format!("127.0.0.1:{redis_port}")).or_else(|_| {
            std::thread::sleep(Duration::from_millis(300));
            TcpStream::connect(format!("127.0.0.1:{redis_port}"))
        })?;
        socket.write_all(b"PSUBSCRIBE kg:v1:tick:*\r\n")?;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = seen.clone();
        std::thread::spawn(move || {
            let mut totals = HashMap::new();
            let mut input = BufReader::with_capacity(1 << 20, socket);
            while let Ok(Some(payload)) = next_payload(&mut input) {
                shared.lock().unwrap_or_else(PoisonError::into_inner).take(&payload, &mut totals);
            }
        });
        Ok(Self { seen })
    }

    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The largest age since the last call.
    pub(crate) fn take_age(&self) -> Duration {
        std::mem::take(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner).oldest_age)
    }

    pub(crate) fn summary(&self) -> String {
        let Seen { batches, ticks, missed, backwards, .. } = self.seen();
        format!("{ticks} ticks in {batches} batches, {missed} missed, {backwards} out of order")
    }
}

impl Seen {
    fn count(
        &mut self,
        bytes: usize,
        stream: Vec<u8>,
        (count, total): (u64, u64),
        totals: &mut HashMap<Vec<u8>, u64>,
    ) {
        self.batches += 1;
        self.bytes += bytes as u64;
        self.ticks += count;
        let before = totals.entry(stream).or_insert(total - count);
        match (total - count).checked_sub(*before) {
            Some(missed) => self.missed += missed,
            None => self.backwards += 1,
        }
        *before = total;
    }

    fn take(&mut self, payload: &[u8], totals: &mut HashMap<Vec<u8>, u64>) {
        if payload.first() != Some(&b'{') {
            if let Some((stream, count, total)) = positional_head(payload) {
                self.count(payload.len(), stream.to_vec(), (count, total), totals);
            }
            return;
        }
        // The head of a batch comes before its ticks.
        let head = &payload[..payload.len().min(400)];
        let (Some(count), Some(total)) = (number(head, b"\"tick_count\":"), number(head, b"\"tick_total\":"))
        else {
            return;
        };
        let stream = head.split(|byte| *byte == b'}').next().unwrap_or(head);
        let source =
            position(head, b"\"source\":\"").map_or(&[][..], |at| &head[at..(at + 24).min(head.len())]);
        let source = source.split(|byte| *byte == b'"').next().unwrap_or(source);
        self.count(payload.len(), [stream, source].concat(), (count, total), totals);
        let tail = &payload[payload.len().saturating_sub(600)..];
        if let Some(received) = number(tail, b"\"ts_recv\":") {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            self.oldest_age = self.oldest_age.max(now.saturating_sub(Duration::from_nanos(received)));
        }
    }
}

/// Topic and source as they are written, `tick_count` and `tick_total` of a payload by position.
fn positional_head(payload: &[u8]) -> Option<(&[u8], u64, u64)> {
    let [0x99, 1, rest @ ..] = payload else { return None };
    let mut left = rest.strip_prefix(&[0x93])?;
    for _ in 0..4 {
        left = match *left.first()? {
            short @ 0xa0..=0xbf => left.get(1 + usize::from(short & 31)..)?,
            0xd9 => left.get(2 + usize::from(*left.get(1)?)..)?,
            _ => return None,
        };
    }
    let stream = &rest[..rest.len() - left.len()];
    let (_seq, left) = unsigned(left)?;
    let (count, left) = unsigned(left)?;
    let (total, _) = unsigned(left)?;
    Some((stream, count, total))
}

fn unsigned(from: &[u8]) -> Option<(u64, &[u8])> {
    let length = match *from.first()? {
        small @ 0..=0x7f => return Some((u64::from(small), &from[1..])),
        0xcc => 1,
        0xcd => 2,
        0xce => 4,
        0xcf => 8,
        _ => return None,
    };
    let number = from.get(1..=length)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    Some((number, &from[1 + length..]))
}

fn position(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part).map(|at| at + part.len())
}

fn number(text: &[u8], name: &[u8]) -> Option<u64> {
    let digits = text[position(text, name)?..].iter().take_while(|byte| byte.is_ascii_digit());
    digits.map(|byte| u64::from(byte - b'0')).reduce(|number, digit| number * 10 + digit)
}

/// The payload of the next pattern message; `None` for other pushes.
fn next_payload(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    loop {
        let parts = header(input, b'*')?;
        let mut last = Vec::new();
        for _ in 0..parts {
            let line = line(input)?;
            if line.first() == Some(&b'$') {
                last = vec![0; length(&line)? + 2];
                input.read_exact(&mut last)?;
                last.truncate(last.len() - 2);
            }
        }
        if parts == 4 {
            return Ok(Some(last));
        }
    }
}

fn header(input: &mut impl BufRead, kind: u8) -> io::Result<usize> {
    let line = line(input)?;
    if line.first() != Some(&kind) {
        return Err(io::Error::other("not what Redis pushes"));
    }
    length(&line)
}

fn length(line: &[u8]) -> io::Result<usize> {
    let text = std::str::from_utf8(&line[1..]).map_err(io::Error::other)?;
    text.trim().parse().map_err(io::Error::other)
}

fn line(input: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    if input.read_until(b'\n', &mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line)
}
