//! What can go wrong, as data.

use std::collections::BTreeMap;
use std::time::Duration;

use market_model::{InstrumentToken, Mode, SessionPhase};

use crate::server::{Ending, Garbage};

/// Something that happens at one moment, and for how long where that makes sense. `which` counts the open sockets
/// of the server, wrapping around.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing passes between gateway and server; what was on its way is lost.
    Partition(Duration),
    /// Nothing passes to the server.
    PartitionToServer(Duration),
    /// Nothing passes to the gateway.
    PartitionToGateway(Duration),
    /// Everything waits on its way.
    Hold(Duration),
    /// Everything takes up to this long.
    Slow(Duration, Duration),
    /// The server's host goes down, and comes up later.
    Restart(Duration),
    /// A socket ends.
    End(u64, Ending),
    /// All sockets end.
    EndAll(Ending),
    /// A socket writes neither ticks nor heartbeats, but answers pings.
    Mute(u64, Duration),
    /// A socket reads nothing.
    Deaf(u64, Duration),
    /// A socket does neither, for good: the other end is gone and nobody said so.
    HalfOpen(u64),
    /// The next handshakes are refused.
    Refuse(u16, u64),
    /// Handshakes are answered late.
    SlowHandshakes(Duration, Duration),
    /// A frame is not what it should be.
    Garble(u64, Garbage),
    /// Only so many of a hundred ticks are written.
    RateCollapse(u64, Duration),
    /// Some instruments do not tick.
    SilentTokens(Vec<InstrumentToken>, Duration),
    /// Subscriptions come alive late.
    LateSubscriptions(Duration, Duration),
    /// So many commands are ignored; nobody is told, and only a repeat helps.
    LoseCommands(u32),
    /// Order updates.
    Texts(u64, u64),
    /// Everything ticks so many times at once.
    Burst(u64),
    /// A new login, accepted at once; the former one is refused from then on.
    Renew,
    /// The login is no longer accepted, and open sockets end; a new login arrives later.
    Expire(Duration),
    /// Exactly this is wanted from now on.
    Want(BTreeMap<InstrumentToken, Mode>),
    /// An operator asks for a reconnect.
    Reconnect(u8),
    /// Nothing is taken from the ticker.
    FeedStall(Duration),
    /// A sink's delivery hangs.
    SinkStall(usize, Duration),
    /// A sink fails every delivery.
    SinkFails(usize, Duration),
    /// A sink's task is thrown away and started again.
    SinkRestart(usize),
    /// The wall clock is corrected by so many milliseconds.
    ClockJump(i64),
    /// The exchanges do something else now.
    Session(SessionPhase),
    /// Another catalog, which lacks so many shares.
    Catalog(u32),
}
