//! Two keepers over a model of the table, in a world where requests are lost, late, done but not answered, and
//! processes stop: at no moment do both believe that they hold one name.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use proptest::prelude::*;
use tokio::sync::watch;

use super::guard::{HeldLeases, LeaseGuard};
use super::keeper::Keeper;
use super::table::{InstanceRow, LeaseRow, LeaseTable, Round};
use super::{LeaseConfig, ManualUptime};
use crate::StoreError;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const KEEPERS: usize = 2;
/// One in so many: how much slower the second keeper's clock runs, within the margin.
const DRIFT: u32 = 20;

#[derive(Debug, Clone, Copy)]
enum Event {
    /// Time passes.
    Pass(u64),
    /// A keeper that rests begins its next round.
    Begin(usize),
    /// Its request is carried out and answered.
    Answer(usize),
    /// Carried out, the answer is lost.
    LoseAnswer(usize),
    /// Never arrives.
    LoseRequest(usize),
    /// Given up by the keeper, and carried out at a later [`Event::Arrive`].
    Delay(usize),
    /// The oldest delayed request is carried out.
    Arrive,
    /// The process is stopped, or goes on.
    Stop(usize),
    Continue(usize),
}

#[derive(Debug, Clone)]
enum Request {
    Round(Duration),
    Take(Duration, Vec<String>),
    Release(Vec<(String, i64)>),
    Leave,
}

/// The rows that a request answers.
#[derive(Debug, Clone, Default)]
struct Answer {
    round: Round,
    held: Vec<(String, i64)>,
}

/// The database: its clock and its tables.
#[derive(Debug, Default)]
struct Tables {
    now: Duration,
    leases: BTreeMap<String, (String, i64, Duration)>,
    instances: BTreeMap<String, (Duration, Duration)>,
}

/// The way from one keeper to the database.
#[derive(Debug, Default)]
struct Line {
    request: Option<(String, Request)>,
    answer: Option<Result<Answer, StoreError>>,
}

#[derive(Debug, Clone, Default)]
struct Model(Arc<Mutex<Line>>);

struct Process {
    id: Arc<str>,
    line: Model,
    uptime: Arc<ManualUptime>,
    held: watch::Receiver<HeldLeases>,
    begin: Arc<AtomicBool>,
    run: Pin<Box<dyn Future<Output = ()>>>,
    stopped: bool,
    /// Every guard that code in this process may have kept.
    guards: BTreeMap<(String, i64), Vec<LeaseGuard>>,
}

struct World {
    tables: Tables,
    processes: Vec<Process>,
    delayed: VecDeque<(String, Request)>,
    owners: BTreeMap<(String, i64), usize>,
}

// === impl Model ===

impl Model {
    async fn ask(&self, id: &str, request: Request) -> Result<Answer, StoreError> {
        self.0.lock().unwrap().request = Some((id.to_owned(), request));
        poll_fn(|_| self.0.lock().unwrap().answer.take().map_or(Poll::Pending, Poll::Ready)).await
    }
}

impl LeaseTable for Model {
    async fn round(&self, id: &str, ttl: Duration) -> Result<Round, StoreError> {
        Ok(self.ask(id, Request::Round(ttl)).await?.round)
    }

    async fn take(
        &self,
        id: &str,
        ttl: Duration,
        names: &[String],
    ) -> Result<Vec<(String, i64)>, StoreError> {
        Ok(self.ask(id, Request::Take(ttl, names.to_vec())).await?.held)
    }

    async fn release(&self, id: &str, leases: &[(String, i64)]) -> Result<(), StoreError> {
        self.ask(id, Request::Release(leases.to_vec())).await.map(drop)
    }

    async fn leave(&self, id: &str) -> Result<(), StoreError> {
        self.ask(id, Request::Leave).await.map(drop)
    }
}

// === impl Tables ===

impl Tables {
    fn serve(&mut self, id: &str, request: Request) -> Answer {
        let (now, mut answer) = (self.now, Answer::default());
        match request {
            Request::Round(ttl) => {
                self.instances.entry(id.to_owned()).or_insert((now, now)).1 = now + ttl;
                for (name, (holder, fence, expires)) in &mut self.leases {
                    if holder == id && *expires > now {
                        *expires = now + ttl;
                        answer.round.renewed.push((name.clone(), *fence));
                    }
                }
                let live = self.instances.iter().filter(|(_, (_, expires))| *expires > now);
                let instance = |(id, (since, _)): (&String, &(Duration, Duration))| InstanceRow {
                    id: id.clone(),
                    age: now - *since,
                };
                answer.round.instances = live.map(instance).collect();
                let lease =
                    |(name, (holder, fence, expires)): (&String, &(String, i64, Duration))| LeaseRow {
                        name: name.clone(),
                        holder: holder.clone(),
                        fence: *fence,
                        remaining: expires.saturating_sub(now),
                    };
                answer.round.leases = self.leases.iter().map(lease).collect();
            }
            Request::Take(ttl, names) => {
                for name in names {
                    let row = self.leases.entry(name.clone()).or_default();
                    if row.2 <= now {
                        *row = (id.to_owned(), row.1 + 1, now + ttl);
                        answer.held.push((name, row.1));
                    }
                }
            }
            Request::Release(leases) => {
                for (name, fence) in leases {
                    let row = self.leases.get_mut(&name).filter(|row| row.0 == id && row.1 == fence);
                    if let Some(row) = row {
                        *row = (String::new(), fence, Duration::ZERO);
                    }
                }
            }
            Request::Leave => {
                self.instances.remove(id);
            }
        }
        answer
    }
}

// === impl World ===

impl World {
    fn new() -> Self {
        Self::with_sole(&[])
    }

    /// The keepers in `sole` are said to be alone.
    fn with_sole(sole: &[usize]) -> Self {
        let names: BTreeSet<String> = NAMES.into_iter().map(ToOwned::to_owned).collect();
        let process = |number: usize| {
            let (line, uptime) = (Model::default(), Arc::new(ManualUptime::default()));
            // Clocks that have nothing in common.
            uptime.advance(Duration::from_secs(300 * number as u64 + 1));
            let names = watch::channel(Arc::new(names.clone())).1;
            let sole = sole.contains(&number);
            let config = LeaseConfig { sole, ..LeaseConfig::new(format!("i{number}")) };
            let mut keeper = Keeper::new(line.clone(), config, names, Arc::new(uptime.clone()));
            let (id, held, begin) =
                (keeper.id().clone(), keeper.subscribe(), Arc::new(AtomicBool::new(true)));
            let may_begin = begin.clone();
            let run = Box::pin(async move {
                loop {
                    let begun = |_: &mut Context<'_>| {
                        if may_begin.swap(false, Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
                    };
                    poll_fn(begun).await;
                    keeper.round().await;
                }
            });
            Process { id, line, uptime, held, begin, run, stopped: false, guards: BTreeMap::new() }
        };
        let tables = Tables { now: Duration::from_secs(86_400), ..Tables::default() };
        Self {
            tables,
            processes: (0..KEEPERS).map(process).collect(),
            delayed: VecDeque::new(),
            owners: BTreeMap::new(),
        }
    }

    fn happen(&mut self, event: Event) {
        self.act(event);
        // A process looks at its leases before anything else runs in it.
        self.check();
        self.poll();
        self.check();
    }

    /// What the event does, and what the processes make of it.
    fn step(&mut self, event: Event) {
        self.act(event);
        self.poll();
    }

    fn act(&mut self, event: Event) {
        let lost = || Err(StoreError::Lost { statement: "model", cause: "the model's will".to_owned() });
        match event {
            Event::Pass(millis) => {
                let by = Duration::from_millis(millis);
                self.tables.now += by;
                self.processes[0].uptime.advance(by);
                self.processes[1].uptime.advance(by - by / DRIFT);
            }
            Event::Begin(at) => self.processes[at].begin.store(true, Ordering::SeqCst),
            Event::Answer(at) => {
                if let Some((id, request)) = self.request(at) {
                    let answer = self.tables.serve(&id, request);
                    self.answer(at, Ok(answer));
                }
            }
            Event::LoseAnswer(at) => {
                if let Some((id, request)) = self.request(at) {
                    self.tables.serve(&id, request);
                    self.answer(at, lost());
                }
            }
            Event::LoseRequest(at) => {
                if self.request(at).is_some() {
                    self.answer(at, lost());
                }
            }
            Event::Delay(at) => {
                if let Some(request) = self.request(at) {
                    self.delayed.push_back(request);
                    self.answer(at, lost());
                }
            }
            Event::Arrive => {
                if let Some((id, request)) = self.delayed.pop_front() {
                    self.tables.serve(&id, request);
                }
            }
            Event::Stop(at) => self.processes[at].stopped = true,
            Event::Continue(at) => self.processes[at].stopped = false,
        }
    }

    fn request(&self, at: usize) -> Option<(String, Request)> {
        self.processes[at].line.0.lock().unwrap().request.take()
    }

    fn answer(&self, at: usize, answer: Result<Answer, StoreError>) {
        self.processes[at].line.0.lock().unwrap().answer = Some(answer);
    }

    fn poll(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        for process in self.processes.iter_mut().filter(|process| !process.stopped) {
            // Nothing wakes it: twice lets it see an answer and ask again.
            for _ in 0..2 {
                let _ = process.run.as_mut().poll(&mut context);
            }
            for guard in process.held.borrow_and_update().values() {
                let key = (guard.name().to_string(), guard.fence());
                let known = process.guards.entry(key).or_default();
                if known.last().is_none_or(|last| !last.is_same(guard)) {
                    known.push(guard.clone());
                }
            }
        }
    }

    fn check(&mut self) {
        let mut holders = BTreeMap::new();
        for (at, process) in self.processes.iter().enumerate() {
            for ((name, fence), guards) in &process.guards {
                let owner = self.owners.entry((name.clone(), *fence)).or_insert(at);
                assert_eq!(*owner, at, "fence {fence} of {name} was given twice");
                if !guards.iter().any(LeaseGuard::is_held) {
                    continue;
                }
                assert_eq!(holders.insert(name.clone(), at), None, "two hold {name}");
                let (holder, current, expires) = &self.tables.leases[name];
                assert_eq!((&**holder, *current), (&*process.id, *fence), "{name} is believed to be held");
                assert!(*expires > self.tables.now, "{name} is held longer than in the database");
            }
        }
    }
}

#[test]
fn one_that_is_said_to_be_alone_keeps_its_leases_while_the_database_is_away() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _timers = runtime.enter();
    let rounds = |world: &mut World, event: fn(usize) -> Event, at: usize, count: usize| {
        for _ in 0..count {
            let by = Duration::from_secs(1);
            world.tables.now += by;
            world.processes.iter().for_each(|process| process.uptime.advance(by));
            world.processes[at].begin.store(true, Ordering::SeqCst);
            world.poll();
            for _ in 0..3 {
                world.step(event(at));
            }
        }
    };
    let held = |world: &World, at: usize| {
        world.processes[at].held.borrow().values().filter(|guard| guard.is_held()).count()
    };
    for (sole, kept) in [(&[][..], 0), (&[0], NAMES.len())] {
        let mut world = World::with_sole(sole);
        rounds(&mut world, Event::Answer, 0, 3);
        assert_eq!(held(&world, 0), NAMES.len());
        rounds(&mut world, Event::LoseRequest, 0, 30);
        assert_eq!(held(&world, 0), kept, "{sole:?}");
        // The database is back, and nobody took anything.
        rounds(&mut world, Event::Answer, 0, 3);
        assert_eq!(held(&world, 0), NAMES.len());
        // Another is there after all: the word is not believed any more.
        rounds(&mut world, Event::Answer, 1, 2);
        rounds(&mut world, Event::Answer, 0, 2);
        rounds(&mut world, Event::LoseRequest, 0, 30);
        assert_eq!(held(&world, 0), 0, "{sole:?}");
    }
}

fn event() -> impl Strategy<Value = Event> {
    let keeper = || 0..KEEPERS;
    prop_oneof![
        6 => (0..1_500_u64).prop_map(Event::Pass),
        6 => keeper().prop_map(Event::Begin),
        10 => keeper().prop_map(Event::Answer),
        1 => keeper().prop_map(Event::LoseAnswer),
        1 => keeper().prop_map(Event::LoseRequest),
        1 => keeper().prop_map(Event::Delay),
        1 => Just(Event::Arrive),
        1 => keeper().prop_map(Event::Stop),
        2 => keeper().prop_map(Event::Continue),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn never_do_two_hold_one_name(events in prop::collection::vec(event(), 1..250)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _timers = runtime.enter();
        let mut world = World::new();
        for event in events {
            world.happen(event);
        }
        // When the trouble is over, every name is held again, and the shares are even.
        for at in 0..KEEPERS {
            world.happen(Event::Continue(at));
            world.happen(Event::LoseRequest(at));
        }
        for _ in 0..120 {
            world.happen(Event::Pass(250));
            for at in 0..KEEPERS {
                world.happen(Event::Begin(at));
                for _ in 0..4 {
                    world.happen(Event::Answer(at));
                }
            }
        }
        for process in &world.processes {
            prop_assert_eq!(process.held.borrow().len(), NAMES.len() / KEEPERS);
        }
    }
}
