//! The writer of one connection: connects, sends with a few commands under way, gives up what hangs, begins again.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use resilience::{Backoff, Permit};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::connection::{Connection, Connector, LastWrite};
use crate::last_values::{Expiries, LastValues};
use crate::status::Shared;
use crate::{Keys, RedisConfig, RedisError};

/// Last values in one pipeline: about the bytes of two batches.
const LAST_VALUES_PER_PIPELINE: usize = 128;
/// How often an idle connection is asked whether Redis is still there, so that a frozen one is noticed in two
/// seconds even when nothing is published.
const PING_EVERY: Duration = Duration::from_millis(500);

/// A batch to publish.
pub(crate) struct PublishJob {
    pub(crate) channel: String,
    pub(crate) legacy_channel: Option<String>,
    pub(crate) payload: Bytes,
    pub(crate) permit: Permit,
    pub(crate) handed_over: Instant,
}

/// A health record to append.
#[derive(Clone)]
pub(crate) struct HealthJob {
    pub(crate) kind: &'static str,
    pub(crate) source: Arc<str>,
    pub(crate) payload: Bytes,
}

/// What a lane is made of.
pub(crate) struct Lane {
    pub(crate) index: usize,
    pub(crate) config: Arc<RedisConfig>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) jobs: mpsc::Receiver<PublishJob>,
    pub(crate) health: mpsc::Receiver<HealthJob>,
    pub(crate) last_values: Arc<LastValues>,
}

/// A command that has come to its end.
enum Done {
    Batch { result: Result<(), RedisError>, permit: Permit, bytes: usize, handed_over: Instant },
    LastValues { result: Result<(), RedisError>, writes: Vec<LastWrite> },
    Health { result: Result<(), RedisError>, job: HealthJob },
    Ping { result: Result<(), RedisError> },
}

type InFlight = FuturesUnordered<Pin<Box<dyn Future<Output = Done> + Send>>>;

/// Why [`Session::serve`] ended.
enum Ended {
    /// The sink is gone and everything is flushed.
    InputClosed,
    /// The connection is of no use any more.
    Broken(RedisError),
}

/// A lane while it is connected.
struct Session<'a> {
    lane: &'a mut Lane,
    keys: &'a Keys,
    connection: Connection,
    in_flight: InFlight,
    /// When the oldest command since the last answer was sent.
    unanswered_since: Option<Instant>,
    last_queue: VecDeque<LastWrite>,
    last_in_flight: bool,
    health_in_flight: bool,
    /// Of this connection only: Redis may have lost its keys when the connection was lost.
    expiries: Expiries,
}

// === impl Lane ===

impl Lane {
    /// Runs until the sink is dropped, then flushes. A health record that could not be written is kept and comes
    /// first on the next connection.
    pub(crate) async fn run(mut self) {
        let mut unwritten = None;
        self.run_until_closed(&mut unwritten).await;
        let waiting = std::iter::from_fn(|| self.health.try_recv().ok());
        let lost = unwritten.into_iter().chain(waiting).map(|_| self.shared.health_dropped()).count();
        if lost > 0 {
            tracing::warn!(connection = self.index, lost, "health records not written to redis");
        }
    }

    async fn run_until_closed(&mut self, unwritten: &mut Option<HealthJob>) {
        let connector = Connector::new(&self.config);
        let keys = Keys::new(&self.config.namespace);
        let mut backoff = Backoff::new(self.config.reconnect, self.index as u64);
        // Nothing is refused before Redis had a chance.
        let mut opened = connector.open().await;
        loop {
            let error = match opened {
                Ok(connection) => {
                    tracing::info!(connection = self.index, "redis connected");
                    self.shared.connected();
                    backoff.reset();
                    let ended = Session::new(self, &keys, connection).serve(unwritten).await;
                    self.shared.disconnected();
                    match ended {
                        Ended::InputClosed => return,
                        Ended::Broken(error) => {
                            self.shared.connection_lost();
                            error
                        }
                    }
                }
                Err(error) => error,
            };
            let delay = backoff.next();
            if self.shared.note_error(&error) {
                tracing::warn!(connection = self.index, %error, retry_ms = delay.as_millis(), "redis unusable");
            } else {
                tracing::debug!(connection = self.index, %error, retry_ms = delay.as_millis(), "redis unusable");
            }
            let next = async {
                sleep(delay).await;
                connector.open().await
            };
            opened = match self.refusing(next).await {
                Some(opened) => opened,
                None => return,
            };
        }
    }

    /// Awaits `wait` while refusing every batch that comes; `None` when the sink is gone.
    async fn refusing<T>(&mut self, wait: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(wait);
        loop {
            tokio::select! {
                biased;
                done = &mut wait => return Some(done),
                job = self.jobs.recv() => {
                    let job = job?;
                    self.shared.batch_failed();
                    self.shared.breaker.failure(job.permit, Instant::now());
                }
            }
        }
    }
}

// === impl Session ===

impl<'a> Session<'a> {
    fn new(lane: &'a mut Lane, keys: &'a Keys, connection: Connection) -> Self {
        Self {
            lane,
            keys,
            connection,
            in_flight: FuturesUnordered::new(),
            unanswered_since: None,
            last_queue: VecDeque::new(),
            last_in_flight: false,
            health_in_flight: false,
            expiries: Expiries::default(),
        }
    }

    async fn serve(mut self, unwritten: &mut Option<HealthJob>) -> Ended {
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
        lane.last_values.restore(last_queue.into_iter().map(|write| write.value).collect());
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
        loop {
            if let Some(job) = unwritten.take_if(|_| !self.health_in_flight) {
                self.send_health(job);
            }
            if !self.last_in_flight && !self.last_queue.is_empty() && self.in_flight.len() < room {
                self.send_last_values();
            }
            let has_room = self.in_flight.len() < room;
            tokio::select! {
                biased;
                error = self.connection.lost() => return Some(error),
                Some(done) = self.in_flight.next() => {
                    if let Some(error) = self.finish(done, unwritten) {
                        return Some(error);
                    }
                }
                _ = last_tick.tick() => self.queue_last_values(),
                _ = ping_tick.tick() => {
                    if self.in_flight.is_empty() {
                        let ping = self.connection.ping();
                        self.send(async move { Done::Ping { result: ping.await } });
                    }
                }
                Some(job) = self.lane.health.recv(), if has_room && !self.health_in_flight => {
                    self.send_health(job);
                }
                job = self.lane.jobs.recv(), if has_room => match job {
                    Some(job) => self.send_batch(job),
                    None => return None,
                },
            }
        }
    }

    /// Sends what is left and awaits every answer.
    async fn flush(&mut self, unwritten: &mut Option<HealthJob>) {
        loop {
            self.queue_last_values();
            if !self.last_in_flight && !self.last_queue.is_empty() {
                self.send_last_values();
            }
            if !self.health_in_flight
                && let Some(job) = unwritten.take().or_else(|| self.lane.health.try_recv().ok())
            {
                self.send_health(job);
            }
            match self.in_flight.next().await {
                Some(done) => {
                    if self.finish(done, unwritten).is_some() {
                        return;
                    }
                }
                None => return,
            }
        }
    }

    fn send(&mut self, command: impl Future<Output = Done> + Send + 'static) {
        self.unanswered_since.get_or_insert_with(Instant::now);
        self.in_flight.push(Box::pin(command));
    }

    fn send_batch(&mut self, job: PublishJob) {
        let PublishJob { channel, legacy_channel, payload, permit, handed_over } = job;
        let bytes = payload.len();
        let publish = self.connection.publish(channel, legacy_channel, payload);
        self.send(async move { Done::Batch { result: publish.await, permit, bytes, handed_over } });
    }

    fn send_health(&mut self, job: HealthJob) {
        self.health_in_flight = true;
        let append = self.connection.append(self.keys.health(), self.lane.config.health_records, &job);
        self.send(async move { Done::Health { result: append.await, job } });
    }

    fn send_last_values(&mut self) {
        self.last_in_flight = true;
        let count = self.last_queue.len().min(LAST_VALUES_PER_PIPELINE);
        let writes: Vec<LastWrite> = self.last_queue.drain(..count).collect();
        let write = self.connection.write_last(&writes);
        self.send(async move { Done::LastValues { result: write.await, writes } });
    }

    /// Makes writes of what waits, once the ones before are sent.
    fn queue_last_values(&mut self) {
        let Some(config) = self.lane.config.last_values.filter(|_| self.last_queue.is_empty()) else {
            return;
        };
        let now = Instant::now();
        for value in self.lane.last_values.take() {
            let expiry = self.expiries.is_due(value.token, now, config.expiry).then_some(config.expiry);
            self.last_queue.push_back(LastWrite { key: self.keys.last(value.token), value, expiry });
        }
    }

    /// Notes how a command ended; an error means that the connection is to be given up.
    fn finish(&mut self, done: Done, unwritten: &mut Option<HealthJob>) -> Option<RedisError> {
        match &done {
            Done::LastValues { .. } => self.last_in_flight = false,
            Done::Health { .. } => self.health_in_flight = false,
            Done::Batch { .. } | Done::Ping { .. } => {}
        }
        let verdict = match done.result() {
            Err(error) if !error.is_answer() => self.hanging(error),
            Err(error) => {
                self.unanswered_since = None;
                error.needs_reconnect().then(|| error.clone())
            }
            Ok(()) => {
                self.unanswered_since = None;
                None
            }
        };
        self.lane.settle(done, unwritten);
        verdict
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
    const fn result(&self) -> &Result<(), RedisError> {
        match self {
            Self::Batch { result, .. }
            | Self::LastValues { result, .. }
            | Self::Health { result, .. }
            | Self::Ping { result } => result,
        }
    }
}

impl Lane {
    /// Counts how a command ended, tells the breaker, and keeps what can be tried again.
    fn settle(&self, done: Done, unwritten: &mut Option<HealthJob>) {
        if let Err(error) = done.result()
            && self.shared.note_error(error)
        {
            tracing::warn!(connection = self.index, %error, "redis command failed");
        }
        match done {
            Done::Batch { result: Ok(()), permit, bytes, handed_over } => {
                self.shared.breaker.success(permit);
                self.shared.batch_published(bytes, handed_over.elapsed());
            }
            Done::Batch { result: Err(_), permit, .. } => {
                self.shared.breaker.failure(permit, Instant::now());
                self.shared.batch_failed();
            }
            Done::LastValues { result: Ok(()), writes } => {
                self.shared.last_values_written(writes.len() as u64);
            }
            Done::LastValues { result: Err(error), writes } => {
                self.shared.last_values_failed(writes.len() as u64);
                if error.is_answer() && !error.needs_reconnect() {
                    return;
                }
                self.last_values.restore(writes.into_iter().map(|write| write.value).collect());
            }
            Done::Health { result: Ok(()), .. } => self.shared.health_written(),
            // Redis does not want it and will not want it later.
            Done::Health { result: Err(error), .. } if error.is_answer() && !error.needs_reconnect() => {
                self.shared.health_dropped();
            }
            // It may stand in the stream already; a second copy has the same `source` and `seq`.
            Done::Health { result: Err(_), job } => *unwritten = Some(job),
            Done::Ping { .. } => {}
        }
    }
}
