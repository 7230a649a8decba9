//! The queue of one stream client: bounded, and honest about what it lost.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use market_model::InstrumentToken;
use rustc_hash::FxHashMap;
use tick_pipeline::{HealthRecord, StaleCause};

/// What happens when a client reads more slowly than the market moves. The client chooses at connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SlowPolicy {
    /// The newest tick of each instrument replaces the one that waits.
    #[default]
    Conflate,
    /// Every tick waits its turn; the oldest are dropped when the queue is full, and the client is told how many.
    DropOldest,
    /// Every tick waits its turn; a full queue ends the connection.
    Disconnect,
}

/// What waits for one client. Not shared; the client's lock is around it.
#[derive(Debug)]
pub(crate) struct ClientQueue {
    policy: SlowPolicy,
    /// Ticks that may wait, unless they are conflated.
    capacity: usize,
    /// Room beyond `capacity` for the values that subscriptions begin with.
    room: usize,
    order: VecDeque<InstrumentToken>,
    /// With [`SlowPolicy::Conflate`]: the newest tick of each token in `order`.
    newest: FxHashMap<InstrumentToken, Bytes>,
    /// With the other policies: beside `order`, tick by tick.
    ticks: VecDeque<Bytes>,
    staleness: FxHashMap<InstrumentToken, Option<StaleCause>>,
    health: VecDeque<Arc<HealthRecord>>,
    control: VecDeque<String>,
    dropped: u64,
    overflowed: bool,
    held: bool,
}

/// What came of an offered tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offered {
    Queued,
    /// It replaced an older one of the same instrument.
    Conflated,
    /// The oldest was dropped for it.
    Dropped,
    /// The queue is full and the client is to be disconnected.
    Overflow,
}

/// What a client is sent next, in this order.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) control: Vec<String>,
    /// Messages that were dropped before all that follows.
    pub(crate) dropped: u64,
    pub(crate) health: Vec<Arc<HealthRecord>>,
    pub(crate) staleness: Vec<(InstrumentToken, Option<StaleCause>)>,
    pub(crate) ticks: Vec<Bytes>,
}

/// Health records and answers that may wait. Both are rare; a client that lets this many pile up has stopped reading.
const CONTROL_CAPACITY: usize = 256;

// === impl ClientQueue ===

impl ClientQueue {
    pub(crate) fn new(policy: SlowPolicy, capacity: usize) -> Self {
        Self {
            policy,
            capacity: capacity.max(1),
            room: 0,
            order: VecDeque::new(),
            newest: FxHashMap::default(),
            ticks: VecDeque::new(),
            staleness: FxHashMap::default(),
            health: VecDeque::new(),
            control: VecDeque::new(),
            dropped: 0,
            overflowed: false,
            held: false,
        }
    }

    /// Makes the queue long enough to hold one more value of each of `subscribed` instruments.
    pub(crate) fn make_room_for(&mut self, subscribed: usize) {
        self.room = self.room.max(subscribed);
    }

    pub(crate) fn push_tick(&mut self, token: InstrumentToken, tick: Bytes) -> Offered {
        if self.policy == SlowPolicy::Conflate {
            // Bounded by the number of instruments the client may subscribe.
            if self.newest.insert(token, tick).is_some() {
                return Offered::Conflated;
            }
            self.order.push_back(token);
            return Offered::Queued;
        }
        let mut outcome = Offered::Queued;
        if self.ticks.len() >= self.capacity + self.room {
            if self.policy == SlowPolicy::Disconnect {
                self.overflowed = true;
                return Offered::Overflow;
            }
            self.ticks.pop_front();
            self.order.pop_front();
            self.dropped += 1;
            outcome = Offered::Dropped;
        }
        self.order.push_back(token);
        self.ticks.push_back(tick);
        outcome
    }

    pub(crate) fn push_staleness(&mut self, token: InstrumentToken, cause: Option<StaleCause>) {
        self.staleness.insert(token, cause);
    }

    /// Health is never conflated: a client that cannot even take it is disconnected.
    pub(crate) fn push_health(&mut self, record: Arc<HealthRecord>) {
        if self.health.len() >= CONTROL_CAPACITY {
            self.overflowed = true;
            return;
        }
        self.health.push_back(record);
    }

    pub(crate) fn push_control(&mut self, message: String) {
        if self.control.len() >= CONTROL_CAPACITY {
            self.overflowed = true;
            return;
        }
        self.control.push_back(message);
    }

    /// Forgets what waits for an instrument that is no longer wanted.
    pub(crate) fn forget(&mut self, unwanted: impl Fn(InstrumentToken) -> bool) {
        self.staleness.retain(|&token, _| !unwanted(token));
        if self.policy == SlowPolicy::Conflate {
            self.newest.retain(|&token, _| !unwanted(token));
            self.order.retain(|&token| !unwanted(token));
            return;
        }
        let kept: Vec<bool> = self.order.iter().map(|&token| !unwanted(token)).collect();
        let (mut order, mut ticks) = (kept.iter(), kept.iter());
        self.order.retain(|_| order.next().copied().unwrap_or(true));
        self.ticks.retain(|_| ticks.next().copied().unwrap_or(true));
    }

    /// Holds ticks back, or lets them go again.
    pub(crate) const fn hold(&mut self, held: bool) {
        self.held = held;
    }

    /// Whether the client fell too far behind and must go.
    pub(crate) const fn has_overflowed(&self) -> bool {
        self.overflowed
    }

    /// Ticks that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.order.len()
    }

    /// Takes what is next: everything but ticks, and at most `max_ticks` of those, at most about `max_bytes` long.
    pub(crate) fn take(&mut self, out: &mut Outbox, max_ticks: usize, max_bytes: usize) {
        out.clear();
        out.control.extend(self.control.drain(..));
        out.dropped = std::mem::take(&mut self.dropped);
        out.health.extend(self.health.drain(..));
        out.staleness.extend(self.staleness.drain());
        let mut bytes = 0;
        let max_ticks = if self.held { 0 } else { max_ticks };
        while out.ticks.len() < max_ticks && bytes < max_bytes {
            let Some(token) = self.order.pop_front() else { break };
            let tick = match self.policy {
                SlowPolicy::Conflate => self.newest.remove(&token),
                SlowPolicy::DropOldest | SlowPolicy::Disconnect => self.ticks.pop_front(),
            };
            if let Some(tick) = tick {
                bytes += tick.len();
                out.ticks.push(tick);
            }
        }
    }
}

// === impl Outbox ===

impl Outbox {
    pub(crate) fn is_empty(&self) -> bool {
        self.control.is_empty()
            && self.dropped == 0
            && self.health.is_empty()
            && self.staleness.is_empty()
            && self.ticks.is_empty()
    }

    fn clear(&mut self) {
        self.control.clear();
        self.dropped = 0;
        self.health.clear();
        self.staleness.clear();
        self.ticks.clear();
    }
}

// === impl SlowPolicy ===

impl SlowPolicy {
    /// The policy called `word` on the wire.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Conflate, Self::DropOldest, Self::Disconnect]
            .into_iter()
            .find(|policy| policy.as_str() == word)
    }

    /// Its word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Conflate => "conflate",
            Self::DropOldest => "drop_oldest",
            Self::Disconnect => "disconnect",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(queue: &mut ClientQueue, ticks: &[(u32, &'static str)]) -> Vec<Offered> {
        let push =
            |&(token, tick)| queue.push_tick(InstrumentToken(token), Bytes::from_static(str::as_bytes(tick)));
        ticks.iter().map(push).collect()
    }

    fn taken(queue: &mut ClientQueue) -> (String, u64) {
        let mut out = Outbox::default();
        queue.take(&mut out, 100, usize::MAX);
        (
            out.ticks.iter().map(|tick| str::from_utf8(tick).unwrap()).collect::<Vec<_>>().join(" "),
            out.dropped,
        )
    }

    const BURST: [(u32, &str); 5] = [(1, "a1"), (2, "b1"), (1, "a2"), (3, "c1"), (1, "a3")];

    #[test]
    fn conflation_keeps_the_newest_of_each_in_the_order_they_fell_due() {
        let mut queue = ClientQueue::new(SlowPolicy::Conflate, 2);
        let outcomes = offer(&mut queue, &BURST);
        assert_eq!(outcomes.iter().filter(|&&outcome| outcome == Offered::Conflated).count(), 2);
        assert_eq!(taken(&mut queue), ("a3 b1 c1".into(), 0));
        offer(&mut queue, &BURST[..1]);
        assert_eq!(taken(&mut queue), ("a1".into(), 0), "a taken instrument queues anew");
    }

    #[test]
    fn drop_oldest_counts_what_it_lost_once() {
        let mut queue = ClientQueue::new(SlowPolicy::DropOldest, 2);
        offer(&mut queue, &BURST);
        assert_eq!(taken(&mut queue), ("c1 a3".into(), 3));
        assert_eq!(taken(&mut queue), (String::new(), 0));
    }

    #[test]
    fn disconnect_gives_up_when_full() {
        let mut queue = ClientQueue::new(SlowPolicy::Disconnect, 2);
        assert_eq!(offer(&mut queue, &BURST)[2], Offered::Overflow);
        assert!(queue.has_overflowed());
    }

    #[test]
    fn what_is_no_longer_wanted_is_not_sent() {
        for policy in [SlowPolicy::Conflate, SlowPolicy::DropOldest] {
            let mut queue = ClientQueue::new(policy, 10);
            offer(&mut queue, &[(1, "a1"), (2, "b1"), (3, "c1")]);
            queue.forget(|token| token == InstrumentToken(2));
            assert_eq!(taken(&mut queue).0, "a1 c1");
        }
    }

    #[test]
    fn one_message_is_bounded_in_ticks_and_bytes() {
        let mut queue = ClientQueue::new(SlowPolicy::Conflate, 10);
        offer(&mut queue, &[(1, "a1"), (2, "b1"), (3, "c1"), (4, "d1")]);
        let mut out = Outbox::default();
        queue.take(&mut out, 1, usize::MAX);
        assert_eq!(out.ticks.len(), 1);
        queue.take(&mut out, 9, 3);
        assert_eq!((out.ticks.len(), queue.waiting()), (2, 1));
    }

    #[test]
    fn a_client_that_ignores_its_answers_is_given_up() {
        let mut queue = ClientQueue::new(SlowPolicy::Conflate, 10);
        for _ in 0..=CONTROL_CAPACITY {
            queue.push_control("{}".into());
        }
        assert!(queue.has_overflowed());
    }

    #[test]
    fn words() {
        assert_eq!(SlowPolicy::from_word("drop_oldest"), Some(SlowPolicy::DropOldest));
        assert_eq!(SlowPolicy::from_word("Conflate"), None);
    }
}
