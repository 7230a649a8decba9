//! A look at everything before it is decoded, for whoever records it.

use market_model::{ConnectionId, FeedEvent, UnixNanos};
use tokio_tungstenite::tungstenite::Bytes;

/// What kind of websocket message the bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TapKind {
    /// Packets, or a heartbeat of one byte.
    Binary,
    /// JSON text.
    Text,
}

/// Sees every frame before it is decoded and every event that is not ticks, in the order in which one connection
/// says them. While one socket of a connection takes the place of another, the frames of both pass here, so an
/// instrument may be seen twice. Connections run at the same time, so calls for different ones may overlap.
///
/// It is called on the way from the socket to the feed: it must not block, and it should allocate nothing. Cloning
/// the bytes copies a pointer, but keeps the memory they stand in; hold no more of them than a bounded queue does.
pub trait FrameTap: Send + Sync + 'static {
    /// A message left the socket at `ts_recv`. Damaged frames come as they are.
    fn frame(&self, connection: &ConnectionId, ts_recv: UnixNanos, kind: TapKind, bytes: &Bytes);

    /// Something other than ticks was said. Holes of cause [`Overrun`](market_model::GapCause::Overrun) are not: the
    /// frames that the feed had no room for did pass here.
    fn event(&self, event: &FeedEvent);
}
