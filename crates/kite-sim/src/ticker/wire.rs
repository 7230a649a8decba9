//! The server's end of the WebSocket protocol (RFC 6455) by hand, because a library would answer pings that a fault
//! keeps unanswered, refuse what a fault has to send, and copy every frame once more.

use std::io::{self, IoSlice};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::socket::Socket;

/// Twenty times three thousand tokens of ten digits; a longer message ends the connection.
const LONGEST_MESSAGE: usize = 1024 * 1024;
/// Read at a time.
const READ: usize = 8 * 1024;

/// What a server writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opcode {
    Text = 0x1,
    Binary = 0x2,
    Close = 0x8,
    Pong = 0xa,
}

/// What a client says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Incoming {
    Text(String),
    Binary,
    Ping(Bytes),
    Pong,
    /// The payload of the closing frame.
    Close(Bytes),
}

/// A socket that speaks WebSocket.
#[derive(Debug)]
pub(super) struct Wire {
    socket: Socket,
    incoming: Inbox,
}

/// Bytes of a client that are not a message yet.
#[derive(Debug, Default)]
struct Inbox {
    bytes: BytesMut,
    /// The parts so far of a message in several frames, and whether it is text.
    parts: Option<(bool, Vec<u8>)>,
}

/// The client broke the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Violation;

// === impl Wire ===

impl Wire {
    /// `read` is what came behind the handshake.
    pub(super) fn new(socket: Socket, read: &[u8]) -> Self {
        Self { socket, incoming: Inbox { bytes: BytesMut::from(read), parts: None } }
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// The next message; `None` when the client is gone or broke the protocol.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn next(&mut self) -> Option<Incoming> {
        loop {
            match self.incoming.take() {
                Ok(Some(message)) => return Some(message),
                Ok(None) => {}
                Err(Violation) => return None,
            }
            self.incoming.bytes.reserve(READ);
            match self.socket.read_buf(&mut self.incoming.bytes).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Writes a message as one frame.
    ///
    /// # Errors
    /// What the socket says.
    ///
    /// # Cancel safety
    /// None: a frame may be left half written, and nothing may be written after that.
    pub(super) async fn write(&mut self, opcode: Opcode, payload: &[u8]) -> io::Result<()> {
        let (header, len) = header(opcode, payload.len());
        let mut header = &header[..len];
        let mut payload = payload;
        while !header.is_empty() || !payload.is_empty() {
            let parts = [IoSlice::new(header), IoSlice::new(payload)];
            let written = self.socket.write_vectored(&parts).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            let of_header = written.min(header.len());
            header = &header[of_header..];
            payload = &payload[written - of_header..];
        }
        self.socket.flush().await
    }

    /// Ends the connection in order.
    pub(super) async fn finish(&mut self) {
        // The client may be gone already.
        let _ = self.socket.shutdown().await;
    }
}

/// A frame's header and its length. A server does not mask.
fn header(opcode: Opcode, payload: usize) -> ([u8; 10], usize) {
    let mut header = [0; 10];
    header[0] = 0x80 | opcode as u8;
    match payload {
        0..126 => {
            header[1] = payload as u8;
            (header, 2)
        }
        126..65_536 => {
            header[1] = 126;
            header[2..4].copy_from_slice(&(payload as u16).to_be_bytes());
            (header, 4)
        }
        _ => {
            header[1] = 127;
            header[2..].copy_from_slice(&(payload as u64).to_be_bytes());
            (header, 10)
        }
    }
}

// === impl Inbox ===

impl Inbox {
    /// The next whole message, if its bytes have come.
    fn take(&mut self) -> Result<Option<Incoming>, Violation> {
        while let Some((first, payload)) = self.frame()? {
            let is_final = first & 0x80 != 0;
            match first & 0x0f {
                0x0 => {
                    let (is_text, mut message) = self.parts.take().ok_or(Violation)?;
                    if message.len() + payload.len() > LONGEST_MESSAGE {
                        return Err(Violation);
                    }
                    message.extend_from_slice(&payload);
                    match is_final {
                        true => return whole(is_text, message).map(Some),
                        false => self.parts = Some((is_text, message)),
                    }
                }
                opcode @ (0x1 | 0x2) if self.parts.is_none() => match is_final {
                    true => return whole(opcode == 0x1, payload.to_vec()).map(Some),
                    false => self.parts = Some((opcode == 0x1, payload.to_vec())),
                },
                0x8 => return Ok(Some(Incoming::Close(payload))),
                0x9 => return Ok(Some(Incoming::Ping(payload))),
                0xa => return Ok(Some(Incoming::Pong)),
                _ => return Err(Violation),
            }
        }
        Ok(None)
    }

    /// The first byte and the unmasked payload of the next frame, if its bytes have come.
    fn frame(&mut self) -> Result<Option<(u8, Bytes)>, Violation> {
        let [first, second, ..] = self.bytes[..] else { return Ok(None) };
        let is_masked = second & 0x80 != 0;
        let is_control = first & 0x08 != 0;
        let (len, at) = match second & 0x7f {
            126 => match self.bytes.get(2..4) {
                Some(bytes) => (u64::from(u16::from_be_bytes([bytes[0], bytes[1]])), 4),
                None => return Ok(None),
            },
            127 => match self.bytes.get(2..10).and_then(|bytes| bytes.first_chunk()) {
                Some(bytes) => (u64::from_be_bytes(*bytes), 10),
                None => return Ok(None),
            },
            len => (u64::from(len), 2),
        };
        let is_too_long = len > if is_control { 125 } else { LONGEST_MESSAGE as u64 };
        if !is_masked || first & 0x70 != 0 || is_too_long || (is_control && first & 0x80 == 0) {
            return Err(Violation);
        }
        let end = at + 4 + len as usize;
        if self.bytes.len() < end {
            return Ok(None);
        }
        let mut frame = self.bytes.split_to(end);
        let mask = [frame[at], frame[at + 1], frame[at + 2], frame[at + 3]];
        frame.advance(at + 4);
        for (byte, key) in frame.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= key;
        }
        Ok(Some((first, frame.freeze())))
    }
}

fn whole(is_text: bool, message: Vec<u8>) -> Result<Incoming, Violation> {
    match is_text {
        true => String::from_utf8(message).map(Incoming::Text).map_err(|_| Violation),
        false => Ok(Incoming::Binary),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client's frame with the mask 1, 2, 3, 4.
    fn client(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match payload.len() {
            len @ 0..126 => frame.push(0x80 | len as u8),
            len => {
                frame.push(0x80 | 126);
                frame.extend((len as u16).to_be_bytes());
            }
        }
        frame.extend([1, 2, 3, 4]);
        frame.extend(payload.iter().zip([1, 2, 3, 4].iter().cycle()).map(|(byte, key)| byte ^ key));
        frame
    }

    fn inbox(bytes: &[u8]) -> Inbox {
        Inbox { bytes: BytesMut::from(bytes), parts: None }
    }

    #[test]
    fn messages_come_whole_however_their_bytes_arrive() {
        let long = "x".repeat(300);
        let mut bytes = client(0x81, long.as_bytes());
        bytes.extend(client(0x01, b"in "));
        bytes.extend(client(0x89, b"ping"));
        bytes.extend(client(0x80, b"parts"));
        bytes.extend(client(0x82, &[1, 2]));
        bytes.extend(client(0x88, &[3, 232]));
        let mut inbox = inbox(&[]);
        let mut seen = Vec::new();
        for byte in bytes {
            inbox.bytes.extend_from_slice(&[byte]);
            seen.extend(inbox.take().unwrap());
        }
        let expected = [
            Incoming::Text(long),
            Incoming::Ping("ping".into()),
            Incoming::Text("in parts".to_owned()),
            Incoming::Binary,
            Incoming::Close(Bytes::from_static(&[3, 232])),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn what_breaks_the_protocol_is_refused() {
        let unmasked = [0x81, 1, b'x'];
        let huge = [0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0];
        for bytes in [
            &unmasked[..],
            &huge,
            &client(0xc1, b"reserved bit"),
            &client(0x80, b"nothing to continue"),
            &client(0x09, b"control in parts"),
            &client(0x83, b"unknown"),
            &client(0x81, &[0xff, 0xfe]),
            &[client(0x01, b"a"), client(0x81, b"b")].concat(),
        ] {
            assert_eq!(inbox(bytes).take(), Err(Violation), "{bytes:?}");
        }
    }

    #[test]
    fn a_header_has_three_sizes() {
        let of = |payload| {
            let (bytes, len) = header(Opcode::Binary, payload);
            bytes[..len].to_vec()
        };
        assert_eq!(of(125), [0x82, 125]);
        assert_eq!(of(126), [0x82, 126, 0, 126]);
        assert_eq!(of(65_536), [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }
}
