//! A lane while it is connected: sends with a few commands under way, notes each outcome, gives up what hangs.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use super::{HealthJob, Lane, PublishJob};
use crate::connection::{Connection, LastWrite, Refused};
use crate::fault::RedisPart;
use crate::last_values::Expiries;
use crate::outcome::Outcome;
use crate::{Keys, RedisError};

/// Last values in one command: about the bytes of a group of batches, so that a batch never waits long behind them.
const LAST_VALUES_AT_ONCE: usize = 192;
/// Batches are sent together until they have this many bytes: above it the cost per byte is flat.
const BYTES_AT_ONCE: usize = 192 * 1024;
/// With so many bytes of batches under way the next ones wait for an answer. What is under way lies in payloads, in both
/// socket buffers and in Redis; with this little of it, most copies find it in the processor's cache. With four
/// megabytes under way a byte costs Redis twice the processor time (docs/performance.md); with less than this, four
/// processes on two cores wait for each other.
const BYTES_UNDER_WAY: usize = 512 * 1024;
/// But no longer than this: where answers take their time, the network is the limit and not the cache.
const ANSWERS_SOON: Duration = Duration::from_millis(1);
/// How often Redis is asked whether it is still there and still the master, so that a frozen one is noticed in two
/// seconds even when nothing is published.
const PING_EVERY: Duration = Duration::from_millis(500);

/// A command that has come to its end.
enum Done {
    Batches { result: Answer, outcomes: Vec<Outcome>, bytes: usize },
    LastValues { result: Answer, writes: Vec<LastWrite> },
    Health { result: Result<(), RedisError>, job: HealthJob },
    Ping { result: Result<(), RedisError> },
}

type Answer = Result<Option<Refused>, RedisError>;
type InFlight = FuturesUnordered<Pin<Box<dyn Future<Output = Done> + Send>>>;

/// Why [`Session::serve`] ended.
pub(super) enum Ended {
    /// The sink is gone and everything is flushed.
    InputClosed,
    /// The connection is of no use any more.
    Broken(RedisError),
}

/// A lane while it is connected.
pub(super) struct Session<'a> {
    lane: &'a mut Lane,
    keys: &'a Keys,
    connection: Connection,
    in_flight: InFlight,
    /// When the oldest command since the last answer was sent.
    unanswered_since: Option<Instant>,
    /// Of batches without an answer.
    bytes_under_way: usize,
    /// Until when batches wait for an answer when there are too many bytes under way.
    hold_until: Instant,
    last_queue: VecDeque<LastWrite>,
    last_in_flight: bool,
    health_in_flight: bool,
    /// Redis refused a health record for now; it is tried again with the next ping.
    health_refused: bool,
    /// Redis refused last values for now; they are tried again when they are due again.
    last_refused: bool,
    ping_in_flight: bool,
    /// Of this connection only: Redis may have lost its keys when the connection was lost.
    expiries: Expiries,
}

// === impl Session ===

impl<'a> Session<'a> {
    pub(super) fn new(lane: &'a mut Lane, keys: &'a Keys, connection: Connection) -> Self {
        Self {
            lane,
            keys,
            connection,
            in_flight: FuturesUnordered::new(),
            unanswered_since: None,
            bytes_under_way: 0,
            hold_until: Instant::now(),
            last_queue: VecDeque::new(),
            last_in_flight: false,
            health_in_flight: false,
            health_refused: false,
            last_refused: false,
            ping_in_flight: false,
            expiries: Expiries::default(),
        }
    }

    /// Runs until the connection is of no use or the sink is gone. Every batch taken from the lane has its outcome
    /// then.
    pub(super) async fn serve(mut self, unwritten: &mut Option<HealthJob>) -> Ended {
        let ended = match self.serve_until_broken(unwritten).await {
            Some(error) => Ended::Broken(error),
            None => {
                if timeout(self.lane.config.drain_timeout, self.flush(unwritten)).await.is_err() {
                    tracing::warn!(connection = self.lane.index, "redis not flushed in time");
                }
                Ended::InputClosed
            }
        };
        // What is still under way fails now that its connection goes; each command ends in an outcome.
        let Self { connection, mut in_flight, last_queue, lane, .. } = self;
        drop(connection);
        while let Some(done) = in_flight.next().await {
            lane.settle(done, unwritten);
        }
        lane.last_values.restore(last_queue.into_iter().map(|write| write.value));
        ended
    }

    /// `None` when the sink is gone.
    async fn serve_until_broken(&mut self, unwritten: &mut Option<HealthJob>) -> Option<RedisError> {
        let room = self.lane.config.in_flight.max(1);
        let last_every = self.lane.config.last_values.map_or(PING_EVERY, |last| last.interval);
        let mut last_tick = interval(last_every.max(Duration::from_millis(1)));
        last_tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ping_tick = interval(PING_EVERY);
        ping_tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let hold = sleep_until(self.hold_until);
        tokio::pin!(hold);
        loop {
            if let Some(job) = unwritten.take_if(|_| !self.health_in_flight && !self.health_refused) {
                self.send_health(job);
            }
            if !self.last_in_flight && !self.last_queue.is_empty() && self.in_flight.len() < room {
                self.send_last_values();
            }
            let has_room = self.in_flight.len() < room;
            let takes_health = has_room && !self.health_in_flight && unwritten.is_none();
            let mut holds = has_room && self.bytes_under_way >= BYTES_UNDER_WAY;
            if holds && hold.deadline() != self.hold_until {
                hold.as_mut().reset(self.hold_until);
            }
            holds &= !hold.is_elapsed();
            tokio::select! {
                biased;
                error = self.connection.lost() => return Some(error),
                Some(done) = self.in_flight.next() => {
                    if let Some(error) = self.finish(done, unwritten) {
                        return Some(error);
                    }
                }
                _ = last_tick.tick() => {
                    self.last_refused = false;
                    self.queue_last_values();
                }
                _ = ping_tick.tick() => {
                    self.health_refused = false;
                    if !self.ping_in_flight {
                        self.ping_in_flight = true;
                        let ping = self.connection.ping();
                        self.send(async move { Done::Ping { result: ping.await } });
                    }
                }
                Some(job) = self.lane.health.recv(), if takes_health => self.send_health(job),
                () = &mut hold, if holds => {}
                job = self.lane.jobs.recv(), if has_room && !holds => match job {
                    Some(job) => self.send_batches(job),
                    None => return None,
                },
            }
        }
    }

    /// Sends what is left and awaits every answer.
    async fn flush(&mut self, unwritten: &mut Option<HealthJob>) {
        (self.health_refused, self.last_refused) = (false, false);
        loop {
            self.queue_last_values();
            if !self.last_in_flight && !self.last_queue.is_empty() {
                self.send_last_values();
            }
            if !self.health_in_flight
                && !self.health_refused
                && let Some(job) = unwritten.take().or_else(|| self.lane.health.try_recv().ok())
            {
                self.send_health(job);
            }
            let done = tokio::select! {
                biased;
                _ = self.connection.lost() => return,
                done = self.in_flight.next() => done,
            };
            let Some(done) = done else {
                return;
            };
            if self.finish(done, unwritten).is_some() {
                return;
            }
        }
    }

    fn send(&mut self, command: impl Future<Output = Done> + Send + 'static) {
        self.unanswered_since.get_or_insert_with(Instant::now);
        self.in_flight.push(Box::pin(command));
    }

    /// Sends a batch and those that wait behind it as one command.
    fn send_batches(&mut self, first: PublishJob) {
        let mut bytes = first.payload.len();
        let mut jobs = vec![first];
        while bytes < BYTES_AT_ONCE
            && let Ok(job) = self.lane.jobs.try_recv()
        {
            bytes += job.payload.len();
            jobs.push(job);
        }
        let publish = self.connection.publish(&jobs);
        let outcomes = jobs.into_iter().map(|job| job.outcome).collect();
        self.bytes_under_way += bytes;
        self.hold_until = Instant::now() + ANSWERS_SOON;
        self.send(async move { Done::Batches { result: publish.await, outcomes, bytes } });
    }

    fn send_health(&mut self, job: HealthJob) {
        self.health_in_flight = true;
        let append = self.connection.append(self.keys.health(), self.lane.config.health_records, &job);
        self.send(async move { Done::Health { result: append.await, job } });
    }

    fn send_last_values(&mut self) {
        self.last_in_flight = true;
        let count = self.last_queue.len().min(LAST_VALUES_AT_ONCE);
        let writes: Vec<LastWrite> = self.last_queue.drain(..count).collect();
        let write = self.connection.write_last(self.keys, &writes);
        self.send(async move { Done::LastValues { result: write.await, writes } });
    }

    /// Makes writes of what waits, once the ones before are sent.
    fn queue_last_values(&mut self) {
        let idle = self.last_queue.is_empty() && !self.last_refused;
        let Some(config) = self.lane.config.last_values.filter(|_| idle) else {
            return;
        };
        let now = Instant::now();
        for value in self.lane.last_values.take() {
            let expiry = self.expiries.is_due(value.token, now, config.expiry).then_some(config.expiry);
            self.last_queue.push_back(LastWrite { value, expiry });
        }
    }

    /// Notes how a command ended; an error means that the connection is to be given up.
    fn finish(&mut self, done: Done, unwritten: &mut Option<HealthJob>) -> Option<RedisError> {
        match &done {
            Done::LastValues { .. } => self.last_in_flight = false,
            Done::Health { .. } => self.health_in_flight = false,
            Done::Ping { .. } => self.ping_in_flight = false,
            Done::Batches { bytes, .. } => self.bytes_under_way -= bytes,
        }
        let verdict = match done.error() {
            None => {
                self.unanswered_since = None;
                None
            }
            Some(error) if error.is_answer() => {
                self.unanswered_since = None;
                if !error.is_final() {
                    self.postpone(&done);
                }
                error.needs_reconnect().then(|| error.clone())
            }
            Some(error) => self.hanging(error),
        };
        self.lane.settle(done, unwritten);
        verdict
    }

    /// Redis stores nothing at present: it is asked again a little later, and last values go back to where newer
    /// ones replace them. Those that were refused one by one (their slot moves) hold up no others.
    fn postpone(&mut self, done: &Done) {
        match done {
            Done::Health { .. } => self.health_refused = true,
            Done::LastValues { result: Ok(Some(refused)), writes } if refused.items.len() < writes.len() => {}
            Done::LastValues { .. } => {
                self.last_refused = true;
                self.lane.last_values.restore(self.last_queue.drain(..).map(|write| write.value));
            }
            Done::Batches { .. } | Done::Ping { .. } => {}
        }
    }

    fn hanging(&self, error: &RedisError) -> Option<RedisError> {
        let silent = self.unanswered_since.map(|since| since.elapsed());
        match silent {
            _ if error.needs_reconnect() => Some(error.clone()),
            Some(silent) if silent >= self.lane.config.frozen_after => Some(RedisError::Frozen(silent)),
            _ => None,
        }
    }
}

// === impl outcomes ===

impl Done {
    /// What went wrong, in whole or in part.
    fn error(&self) -> Option<&RedisError> {
        match self {
            Self::Batches { result, .. } | Self::LastValues { result, .. } => match result {
                Ok(refused) => refused.as_ref().map(|refused| &refused.error),
                Err(error) => Some(error),
            },
            Self::Health { result, .. } | Self::Ping { result } => result.as_ref().err(),
        }
    }

    const fn part(&self) -> RedisPart {
        match self {
            Self::Batches { .. } => RedisPart::Ticks,
            Self::LastValues { .. } => RedisPart::LastValues,
            Self::Health { .. } => RedisPart::Health,
            Self::Ping { .. } => RedisPart::Connection,
        }
    }
}

impl Lane {
    /// Counts how a command ended, tells the breaker, and keeps what can be tried again.
    fn settle(&self, done: Done, unwritten: &mut Option<HealthJob>) {
        if let Some(error) = done.error() {
            self.shared.failed(done.part(), error);
        }
        match done {
            Done::Batches { result: Ok(None), outcomes, .. } => {
                outcomes.into_iter().for_each(Outcome::published);
            }
            Done::Batches { result: Ok(Some(refused)), outcomes, .. } => {
                let (failed, published) = split(outcomes, &refused.items);
                published.into_iter().for_each(Outcome::published);
                self.shared.failed(RedisPart::Ticks, &refused.error);
                drop(failed);
            }
            // Each outcome counts itself as failed.
            Done::Batches { result: Err(_), outcomes, .. } => drop(outcomes),
            Done::LastValues { result: Ok(None), writes } => {
                self.shared.faults.clear(RedisPart::LastValues);
                self.shared.last_values_written(writes.len() as u64);
            }
            Done::LastValues { result: Ok(Some(refused)), writes } => {
                let (failed, written) = split(writes, &refused.items);
                self.shared.last_values_written(written.len() as u64);
                self.last_values_failed(failed, &refused.error);
            }
            Done::LastValues { result: Err(error), writes } => self.last_values_failed(writes, &error),
            Done::Health { result: Ok(()), .. } => self.shared.health_written(),
            // Redis does not want it and will not want it later.
            Done::Health { result: Err(error), .. } if error.is_final() => self.shared.health_dropped(),
            // It may stand in the stream already; a second copy has the same `source` and `seq`.
            Done::Health { result: Err(_), job } => *unwritten = Some(job),
            Done::Ping { result } => {
                if result.is_ok() {
                    self.shared.answers();
                }
            }
        }
    }

    fn last_values_failed(&self, writes: Vec<LastWrite>, error: &RedisError) {
        self.shared.last_values_failed(writes.len() as u64);
        if !error.is_final() {
            self.last_values.restore(writes.into_iter().map(|write| write.value));
        }
    }
}

/// Those at the given places, and the others.
fn split<T>(all: Vec<T>, places: &[usize]) -> (Vec<T>, Vec<T>) {
    let mut at = 0;
    all.into_iter().partition(|_| {
        at += 1;
        places.contains(&(at - 1))
    })
}
