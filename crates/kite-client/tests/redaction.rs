//! What we log never contains a key or a token, whatever goes wrong. Alone in its process, because
//! a log subscriber of one thread misses call sites that another thread reaches first.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may panic")]

#[expect(dead_code, reason = "shared with the other tests")]
#[path = "ticker/rig.rs"]
mod rig;
#[expect(dead_code, reason = "shared with the other tests")]
#[path = "ticker/server.rs"]
mod server;

use std::io;
use std::sync::{Arc, Mutex};

use http::StatusCode;
use kite_client::AccessToken;
use market_model::Mode;
use tracing_subscriber::fmt::MakeWriter;

use crate::rig::{Rig, config, login};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test(start_paused = true)]
async fn no_secret_is_logged() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(lines.clone())
        .with_ansi(false)
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let mut first = login(1);
    first.access_token = AccessToken::new("topsecret1");
    let mut rig = Rig::start_with(config(), Some(first));
    rig.want(&[(1, Mode::Full)]);
    rig.kite.refuse(StatusCode::BAD_GATEWAY, "upstream of ?access_token=topsecret1 is down").await;
    rig.kite.accept().await.close(1011).await;
    rig.kite.refuse(StatusCode::FORBIDDEN, "topsecret1 is not valid").await;
    while !rig.news().await.starts_with("token lost") {}
    let mut second = login(2);
    second.access_token = AccessToken::new("topsecret2");
    rig.credentials.send_replace(Some(second));
    rig.kite.accept().await.carries(&[(1, Mode::Full)]).await;
    rig.stop().await;
    let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    for said in ["upstream of", "is not valid", "ticker connection stands", "connection=acc/0"] {
        assert!(log.contains(said), "{said} in {log}");
    }
    assert!(!log.contains("topsecret"), "{log}");
}
