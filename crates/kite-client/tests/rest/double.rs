//! A Kite in memory that answers by a script, so that time can be paused and every cut be placed exactly.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use kite_client::{AccessToken, ApiKey, ByteStream, Connect, Endpoint, KiteRest, RestConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

/// What happens to the next request.
pub(crate) enum Reply {
    /// These bytes, and the connection stays.
    Keep(Vec<u8>),
    /// These bytes, and the connection is closed.
    Close(Vec<u8>),
    /// Nothing for so long, then the same as within.
    After(Duration, Box<Reply>),
    /// These bytes, and the connection closes when told.
    CloseWhenTold(Vec<u8>, Arc<Notify>),
    /// Nothing, for ever.
    Silence,
}

/// What happens to the next connection.
pub(crate) enum Door {
    Open,
    Refused,
    Hangs,
}

#[derive(Default)]
struct Script {
    replies: VecDeque<Reply>,
    doors: VecDeque<Door>,
    seen: Vec<Seen>,
    opened: usize,
    tasks: JoinSet<()>,
}

/// A request that arrived whole.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) connection: usize,
    pub(crate) line: String,
    pub(crate) headers: String,
    pub(crate) body: String,
}

#[derive(Clone, Default)]
pub(crate) struct Kite(Arc<Mutex<Script>>);

impl Kite {
    pub(crate) fn replies(replies: impl IntoIterator<Item = Reply>) -> Self {
        let kite = Self::default();
        kite.0.lock().unwrap().replies.extend(replies);
        kite
    }

    pub(crate) fn doors(self, doors: impl IntoIterator<Item = Door>) -> Self {
        self.0.lock().unwrap().doors.extend(doors);
        self
    }

    pub(crate) fn then(&self, reply: Reply) {
        self.0.lock().unwrap().replies.push_back(reply);
    }

    /// A client with the token `token1`.
    pub(crate) fn rest(&self) -> KiteRest {
        self.following(watch::Sender::new(Some(AccessToken::new("token1"))).subscribe())
    }

    pub(crate) fn following(&self, token: watch::Receiver<Option<AccessToken>>) -> KiteRest {
        let rest = KiteRest::following("http://kite.test", ApiKey::new("key1"), token).unwrap();
        rest.with_connector(self.clone())
    }

    /// A client that tries everything once.
    pub(crate) fn once(&self) -> KiteRest {
        self.rest().with_config(RestConfig { tries: 1, ..RestConfig::default() })
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.0.lock().unwrap().seen.clone()
    }

    /// How many connections were opened, refused ones included.
    pub(crate) fn opened(&self) -> usize {
        self.0.lock().unwrap().opened
    }

    async fn serve(self, connection: usize, mut stream: DuplexStream) {
        while let Some(seen) = read_request(connection, &mut stream).await {
            let reply = {
                let mut script = self.0.lock().unwrap();
                script.seen.push(seen);
                script.replies.pop_front()
            };
            let mut reply =
                reply.unwrap_or_else(|| Reply::Close(http("599 Not In The Script", "", "<html>")));
            while let Reply::After(wait, then) = reply {
                tokio::time::sleep(wait).await;
                reply = *then;
            }
            match reply {
                Reply::Keep(bytes) => drop(stream.write_all(&bytes).await),
                Reply::Close(bytes) => return drop(stream.write_all(&bytes).await),
                Reply::CloseWhenTold(bytes, told) => {
                    drop(stream.write_all(&bytes).await);
                    return told.notified().await;
                }
                Reply::Silence | Reply::After(..) => std::future::pending().await,
            }
        }
    }
}

impl Connect for Kite {
    fn connect(&self, endpoint: &Endpoint) -> BoxFuture<'static, io::Result<Box<dyn ByteStream>>> {
        assert_eq!((endpoint.host.as_str(), endpoint.port, endpoint.tls), ("kite.test", 80, false));
        let mut script = self.0.lock().unwrap();
        let connection = script.opened;
        script.opened += 1;
        match script.doors.pop_front().unwrap_or(Door::Open) {
            Door::Open => {
                let (near, far) = duplex(64 * 1024);
                script.tasks.spawn(self.clone().serve(connection, far));
                async move { Ok(Box::new(near) as Box<dyn ByteStream>) }.boxed()
            }
            Door::Refused => async { Err(io::ErrorKind::ConnectionRefused.into()) }.boxed(),
            Door::Hangs => std::future::pending().boxed(),
        }
    }
}

async fn read_request(connection: usize, stream: &mut DuplexStream) -> Option<Seen> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let (line, headers) = head.split_once("\r\n").unwrap();
    let headers = headers.to_lowercase();
    let length = headers.lines().find_map(|header| header.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.ok()?;
    let body = String::from_utf8(body).unwrap();
    Some(Seen { connection, line: line.to_owned(), headers, body })
}

/// An answer of HTTP, with its length.
pub(crate) fn http(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A success with `data`, on a connection that stays.
pub(crate) fn ok(data: &str) -> Reply {
    Reply::Keep(http("200 OK", "", format!(r#"{{"status":"success","data":{data}}}"#)))
}

/// Kite's refusal.
pub(crate) fn refusal(status: &str, kind: &str, message: &str) -> Reply {
    let body = format!(r#"{{"status":"error","message":"{message}","error_type":"{kind}","data":null}}"#);
    Reply::Keep(http(status, "", body))
}

/// The error page of a gateway in front of Kite.
pub(crate) fn page(status: &str) -> Reply {
    Reply::Keep(http(status, "Content-Type: text/html\r\n", "<html><body>bad gateway</body></html>"))
}

pub(crate) fn later(seconds: u64, reply: Reply) -> Reply {
    Reply::After(Duration::from_secs(seconds), Box::new(reply))
}
