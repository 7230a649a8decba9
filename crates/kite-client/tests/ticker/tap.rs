//! What a recorder sees.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use kite_client::{FrameTap, TapKind};
use market_model::{ConnectionId, FeedEvent, Mode, UnixNanos};

use crate::rig::{Rig, config, describe, login};

#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl FrameTap for Notes {
    fn frame(&self, connection: &ConnectionId, ts_recv: UnixNanos, kind: TapKind, bytes: &Bytes) {
        let said = format!("{connection} {kind:?} {} bytes at {}", bytes.len(), ts_recv.0);
        self.0.lock().unwrap().push(said);
    }

    fn event(&self, event: &FeedEvent) {
        self.0.lock().unwrap().push(describe(event.clone()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_tap_sees_every_frame_as_it_came_and_every_event_in_order() {
    let notes = Arc::new(Notes::default());
    let tap = notes.clone();
    let mut settings = config();
    settings.feed_capacity = 2;
    let mut rig = Rig::start_made(settings, Some(login(1)), |ticker| ticker.with_tap(tap));
    let mut peer = rig.kite.accept().await;
    peer.heartbeat().await;
    peer.bytes(vec![0xff; 50]).await;
    peer.text("not json").await;
    // The feed has room for one more event: a frame that it drops was seen all the same.
    peer.ticks(&[(1, Mode::Ltp)]).await;
    peer.ticks(&[(2, Mode::Ltp)]).await;
    peer.close(1011).await;
    let mut peer = rig.kite.accept().await;
    peer.heartbeat().await;
    let frames = [
        "connected 0",
        "acc/0 Binary 1 bytes at 0",
        "acc/0 Binary 50 bytes at 0",
        "acc/0 Text 8 bytes at 0",
        "acc/0 Binary 12 bytes at 0",
        "acc/0 Binary 12 bytes at 0",
        "gap 0 Undecodable 0..0 ms tokens None lost Some(65535)",
        "reconnecting 0 try 1 in 1s: ClosedByServer(Some(1011))",
        "reconnected 0 after 1",
        "acc/0 Binary 1 bytes at 1000000000",
        "gap 0 Disconnected 0..1000 ms tokens None lost None",
    ];
    while notes.0.lock().unwrap().len() < frames.len() {
        tokio::task::yield_now().await;
    }
    assert_eq!(*notes.0.lock().unwrap(), frames);
}
