//! The smallest HTTP client that can ask our own servers.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Asks with GET and waits for the whole answer.
pub(crate) fn get(addr: SocketAddr, path: &str) -> io::Result<Answer> {
    send(addr, "GET", path, "")
}

/// Sends `json` with `method` and waits for the whole answer.
pub(crate) fn send(addr: SocketAddr, method: &str, path: &str, json: &str) -> io::Result<Answer> {
    let mut socket = TcpStream::connect(addr)?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    let length = json.len();
    write!(
        socket,
        "{method} {path} HTTP/1.0\r\nHost: {addr}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{json}"
    )?;
    let mut text = Vec::new();
    socket.read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let malformed = || io::Error::other(format!("not an HTTP answer: {text:.200}"));
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(malformed)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(malformed)?;
    Ok(Answer { status, body: body.to_owned() })
}
