use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use exchange_calendar::ist;
use jiff::civil::{Date, DateTime, date};
use market_model::{Instrument, InstrumentToken, ManualClock};
use tokio::time::advance;

use super::*;
use crate::fixture::rows;
use crate::{DumpReader, DumpWriter, MemoryHistory, RegistryStatus, RowChange, StoredDay, Version};

/// What the next downloads bring.
enum Script {
    /// A dump of these lines, in chunks of a few bytes.
    Dump(String),
    /// A dump whose download breaks off.
    Broken(String),
    /// No answer.
    Refused,
    /// Never an answer.
    Silent,
}

#[derive(Clone, Default)]
struct Scripted {
    script: Arc<Mutex<VecDeque<Script>>>,
    fetched: Arc<Mutex<u32>>,
}

impl Scripted {
    fn next_is(&self, script: Script) {
        self.script.lock().unwrap().push_back(script);
    }

    fn fetched(&self) -> u32 {
        *self.fetched.lock().unwrap()
    }
}

impl DumpSource for Scripted {
    async fn fetch(&self, into: &mut DumpWriter) -> Result<(), String> {
        *self.fetched.lock().unwrap() += 1;
        let next = self.script.lock().unwrap().pop_front();
        let (text, whole) = match next {
            Some(Script::Dump(text)) => (text, true),
            Some(Script::Broken(text)) => (text, false),
            Some(Script::Silent) => return std::future::pending().await,
            Some(Script::Refused) | None => return Err("503 service unavailable".to_owned()),
        };
        for chunk in text.as_bytes().chunks(1000) {
            into.write(Bytes::copy_from_slice(chunk)).await.map_err(|error| error.to_string())?;
        }
        if whole { Ok(()) } else { Err("connection reset".to_owned()) }
    }

    fn rows(dump: DumpReader) -> Result<impl Iterator<Item = Result<Instrument, String>>, String> {
        let rows = kite_wire::parse_instruments(dump).map_err(|error| error.to_string())?;
        Ok(rows.map(|row| row.map(|row| row.into_instrument(None)).map_err(|error| error.to_string())))
    }
}

/// Shares the store between a gateway and the one after it, and can be down.
#[derive(Clone, Default)]
struct Shared {
    history: Arc<MemoryHistory>,
    down: Arc<Mutex<bool>>,
}

impl Shared {
    fn check(&self) -> Result<(), RegistryError> {
        if *self.down.lock().unwrap() {
            return Err(RegistryError::BadStoredRow {
                symbol: "the store is down".to_owned(),
                field: "everything",
            });
        }
        Ok(())
    }
}

impl InstrumentHistory for Shared {
    async fn head(&self) -> Result<Head, RegistryError> {
        self.check()?;
        self.history.head().await
    }
    async fn record(&self, head: Head, day: StoredDay, change: RowChange) -> Result<Head, RegistryError> {
        self.history.record(head, day, change).await
    }
    async fn rows(&self, day: Date) -> Result<Option<crate::AsOf<Vec<Instrument>>>, RegistryError> {
        self.history.rows(day).await
    }
    async fn by_token(
        &self,
        token: InstrumentToken,
        day: Date,
    ) -> Result<Option<crate::AsOf<Option<Instrument>>>, RegistryError> {
        self.history.by_token(token, day).await
    }
    async fn by_symbol(
        &self,
        exchange: &market_model::Exchange,
        tradingsymbol: &str,
        day: Date,
    ) -> Result<Option<crate::AsOf<Option<Instrument>>>, RegistryError> {
        self.history.by_symbol(exchange, tradingsymbol, day).await
    }
    async fn by_name(
        &self,
        exchange: &market_model::Exchange,
        name: &str,
        day: Date,
        limit: usize,
    ) -> Result<Option<crate::AsOf<Vec<Instrument>>>, RegistryError> {
        self.history.by_name(exchange, name, day, limit).await
    }
    async fn versions_of_symbol(
        &self,
        exchange: &market_model::Exchange,
        tradingsymbol: &str,
        limit: usize,
    ) -> Result<Vec<Version>, RegistryError> {
        self.history.versions_of_symbol(exchange, tradingsymbol, limit).await
    }
    async fn versions_of_token(
        &self,
        token: InstrumentToken,
        limit: usize,
    ) -> Result<Vec<Version>, RegistryError> {
        self.history.versions_of_token(token, limit).await
    }
    async fn days(&self, limit: usize) -> Result<Vec<StoredDay>, RegistryError> {
        self.history.days(limit).await
    }
    async fn forget_before(&self, day: Date) -> Result<(), RegistryError> {
        self.history.forget_before(day).await
    }
    async fn forget_after(&self, day: Date) -> Result<Head, RegistryError> {
        self.history.forget_after(day).await
    }
}

struct Gateway {
    registry: Registry,
    source: Scripted,
    store: Shared,
    clock: Arc<ManualClock>,
    stop: CancellationToken,
    task: tokio::task::JoinSet<TaskExit>,
}

fn at(text: &str) -> UnixNanos {
    let moment = ist().to_timestamp(text.parse::<DateTime>().unwrap()).unwrap();
    UnixNanos(i64::try_from(moment.as_nanosecond()).unwrap())
}

fn csv(rows: &[Instrument]) -> String {
    let mut text = "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,instrument_type,segment,exchange\n".to_owned();
    for row in rows {
        let (kind, strike) = match &row.kind {
            market_model::InstrumentKind::Option { strike, side, .. } => (side.as_str(), *strike),
            market_model::InstrumentKind::Future { .. } => ("FUT", market_model::Price::ZERO),
            _ => ("EQ", market_model::Price::ZERO),
        };
        let end = row.expiry().map(|end| end.date.to_string()).unwrap_or_default();
        text.push_str(&format!(
            "{},1,{},{},0.0,{end},{strike},{},{},{kind},{},{}\n",
            row.token, row.tradingsymbol, row.name, row.tick_size, row.lot_size, row.segment, row.exchange
        ));
    }
    text
}

impl Gateway {
    fn start(now: &str, store: Shared) -> Self {
        let (registry, requests) = Registry::new();
        let (source, clock) = (Scripted::default(), Arc::new(ManualClock::new(at(now))));
        let stop = CancellationToken::new();
        let refresher = Refresher::new(RefresherParts {
            registry: registry.clone(),
            requests,
            source: source.clone(),
            history: store.clone(),
            clock: clock.clone(),
            calendar: Calendar::builtin(),
            config: RefreshConfig::default(),
            metrics: RegistryMetrics::noop(),
        });
        let mut task = tokio::task::JoinSet::new();
        task.spawn(refresher.run(stop.clone()));
        Self { registry, source, store, clock, stop, task }
    }

    /// Lets wall clock and timers go on together, a second at a time.
    async fn pass(&self, by: Duration) {
        for _ in 0..by.as_secs() {
            self.clock.advance(Duration::from_secs(1));
            advance(Duration::from_secs(1)).await;
            self.settle().await;
        }
    }

    /// Waits until the task has nothing to do at this moment: timers stand still meanwhile.
    async fn settle(&self) {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    /// Waits for a status, while blocking threads work.
    async fn until(&self, reached: impl Fn(&RegistryStatus) -> bool) {
        let mut status = self.registry.watch_status();
        status.wait_for(|status| reached(status)).await.unwrap();
    }

    async fn end(mut self) {
        self.stop.cancel();
        assert_eq!(self.task.join_next().await.unwrap().unwrap(), TaskExit::Cancelled);
    }

    fn summary(&self) -> (Origin, String, usize) {
        let summary = self.registry.summary(self.clock.now());
        (summary.origin, summary.day.map(|day| day.to_string()).unwrap_or_default(), summary.listed)
    }
}

fn failed(status: &RegistryStatus) -> Option<(u32, String)> {
    status.failure.as_ref().map(|failure| (failure.tries, failure.reason.to_string()))
}

#[tokio::test(start_paused = true)]
async fn a_dump_is_fetched_at_start_and_every_trading_morning() {
    let gateway = Gateway::start("2026-11-19T09:00:00", Shared::default());
    gateway.source.next_is(Script::Dump(csv(&rows())));
    gateway.until(|status| status.stored.is_some()).await;
    assert_eq!(gateway.summary(), (Origin::Download, "2026-11-19".into(), rows().len()));
    assert_eq!(
        gateway.registry.status().latest.unwrap().to_string(),
        format!("2026-11-19: {} instruments, the first ones", rows().len())
    );

    let mut changed = rows();
    changed.retain(|row| row.tradingsymbol.as_ref() != "NIFTYBEES");
    for row in changed.iter_mut().filter(|row| row.name.as_ref() == "INFY") {
        row.lot_size = 400;
    }
    gateway.source.next_is(Script::Dump(csv(&changed)));
    gateway.clock.set(at("2026-11-20T08:34:30"));
    gateway.pass(Duration::from_secs(29)).await;
    assert_eq!(gateway.source.fetched(), 1, "before its time");
    tokio::time::resume();
    gateway.clock.set(at("2026-11-20T08:35:01"));
    let report = gateway.registry.refresh().await.unwrap();
    assert_eq!(
        report.to_string(),
        "2026-11-20: 36 instruments, 1 gone (NSE:NIFTYBEES share), lot of 2 changed (NFO:INFY 65 -> 400 in 2); before: 37 on 2026-11-19"
    );
    assert_eq!(gateway.store.history.days(9).await.unwrap().len(), 2);
    gateway.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_schedule_wakes_by_itself_even_when_the_clock_was_set() {
    let gateway = Gateway::start("2026-11-19T09:00:00", Shared::default());
    gateway.source.next_is(Script::Dump(csv(&rows())));
    gateway.until(|status| status.stored.is_some()).await;
    // Somebody sets the clock to tomorrow: the minute's look finds the dump due.
    gateway.source.next_is(Script::Dump(csv(&rows())));
    gateway.clock.set(at("2026-11-20T10:00:00"));
    gateway.until(|status| status.stored == Some(date(2026, 11, 20))).await;
    assert_eq!(gateway.source.fetched(), 2);
    assert!(gateway.registry.status().latest.unwrap().is_unchanged());
    // And back: yesterday's dump is not fetched again.
    gateway.clock.set(at("2026-11-20T09:30:00"));
    gateway.pass(Duration::from_secs(180)).await;
    assert_eq!(gateway.source.fetched(), 2);
    gateway.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_believed_leaves_the_last_good_one_and_is_tried_again() {
    let gateway = Gateway::start("2026-11-19T09:00:00", Shared::default());
    gateway.source.next_is(Script::Dump(csv(&rows())));
    gateway.until(|status| status.stored.is_some()).await;
    let good = gateway.registry.current();
    gateway.clock.set(at("2026-11-20T09:00:00"));
    let whole = csv(&rows());
    let thrice: String = std::iter::once(&*whole)
        .chain([&*whole, &*whole].map(|text| text.split_once('\n').unwrap().1))
        .collect();
    let few = whole.lines().take(19).map(|line| format!("{line}\n")).collect::<String>();
    for (script, expect) in [
        (Script::Refused, "instrument dump cannot be fetched: 503 service unavailable".to_owned()),
        (
            Script::Broken(whole[..2_000].to_owned()),
            "instrument dump cannot be fetched: connection reset".to_owned(),
        ),
        (Script::Dump(String::new()), "instrument dump is empty".to_owned()),
        (
            Script::Dump("<html>502</html>\n".repeat(5_000)),
            "HTML page instead of an instrument dump".to_owned(),
        ),
        (Script::Dump(whole[..2_000].to_owned()), "instrument dump is cut off after 2000 bytes".to_owned()),
        (
            Script::Dump(few),
            "instrument dump has 18 rows, the last good one 37: fewer than 19 are not believed".to_owned(),
        ),
        (Script::Dump(thrice), "instrument dump has more than 74 rows, which is not believed".to_owned()),
    ] {
        gateway.source.next_is(script);
        let failure = gateway.registry.refresh().await.unwrap_err().to_string();
        assert!(failure.starts_with(&expect), "{failure}");
        assert!(Arc::ptr_eq(&good, &gateway.registry.current()));
    }
    let status = gateway.registry.status();
    assert!(failed(&status).unwrap().0 >= 7);
    // The next try comes by itself.
    gateway.source.next_is(Script::Dump(whole));
    gateway.until(|status| status.failure.is_none()).await;
    assert_eq!(gateway.summary().1, "2026-11-20");
    gateway.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_download_that_does_not_end_is_given_up() {
    let gateway = Gateway::start("2026-11-20T09:00:00", Shared::default());
    gateway.source.next_is(Script::Silent);
    while gateway.source.fetched() == 0 {
        tokio::task::yield_now().await;
    }
    // The parser's thread waits for the dump, and while it does the clock stands still by itself.
    gateway.settle().await;
    advance(Duration::from_secs(121)).await;
    gateway.until(|status| failed(status).is_some()).await;
    let (tries, reason) = failed(&gateway.registry.status()).unwrap();
    assert_eq!((tries, reason.as_str()), (1, "instrument dump cannot be fetched: not done after 120s"));
    gateway.end().await;
}

#[tokio::test(start_paused = true)]
async fn tries_back_off_and_say_when_the_next_one_comes() {
    let gateway = Gateway::start("2026-11-20T09:00:00", Shared::default());
    gateway.until(|status| failed(status).is_some_and(|(tries, _)| tries == 6)).await;
    assert_eq!(gateway.source.fetched(), 6);
    gateway.settle().await;
    let next = gateway.registry.status().next_refresh.unwrap();
    let wait = next.saturating_since(gateway.clock.now()).as_secs();
    // 5 s doubled five times, up to a fifth of it random.
    assert!((128..=160).contains(&wait), "{wait}");
    assert_eq!(gateway.summary(), (Origin::None, String::new(), 0));
    gateway.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_starts_while_the_broker_is_down_has_yesterdays_instruments() {
    let store = Shared::default();
    let yesterday = Gateway::start("2026-11-19T09:00:00", store.clone());
    yesterday.source.next_is(Script::Dump(csv(&rows())));
    yesterday.until(|status| status.stored.is_some()).await;
    yesterday.end().await;

    let today = Gateway::start("2026-11-20T09:00:00", store.clone());
    today.until(|status| failed(status).is_some()).await;
    assert_eq!(today.summary(), (Origin::Stored, "2026-11-19".into(), rows().len()));
    assert_eq!(today.registry.summary(today.clock.now()).age, Some(Duration::from_secs(86_400)));
    assert!(
        today.registry.current().find("NFO:NIFTY29DEC2625000CE").unwrap().expiry().unwrap().instant.is_some()
    );
    today.source.next_is(Script::Dump(csv(&rows())));
    today.until(|status| status.stored == Some(date(2026, 11, 20))).await;
    assert_eq!(today.summary().0, Origin::Download);
    today.end().await;

    // Once more the same day: what is stored is today's, nothing is fetched.
    let again = Gateway::start("2026-11-20T12:00:00", store);
    again.until(|status| status.stored.is_some()).await;
    again.pass(Duration::from_secs(130)).await;
    assert_eq!(
        (again.summary(), again.source.fetched()),
        ((Origin::Stored, "2026-11-20".into(), rows().len()), 0)
    );
    again.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_costs_no_instruments_and_gets_the_day_later() {
    let store = Shared::default();
    *store.down.lock().unwrap() = true;
    let gateway = Gateway::start("2026-11-20T09:00:00", store.clone());
    gateway.source.next_is(Script::Dump(csv(&rows())));
    gateway.until(|status| status.latest.is_some() && status.store_failure.is_some()).await;
    assert_eq!(gateway.summary().0, Origin::Download);
    *store.down.lock().unwrap() = false;
    gateway.until(|status| status.stored == Some(date(2026, 11, 20)) && status.store_failure.is_none()).await;
    assert_eq!((gateway.source.fetched(), store.history.days(9).await.unwrap().len()), (1, 1));
    gateway.end().await;
}

#[tokio::test(start_paused = true)]
async fn requests_that_come_together_are_one_refresh() {
    let gateway = Gateway::start("2026-11-20T09:00:00", Shared::default());
    gateway.source.next_is(Script::Dump(csv(&rows())));
    gateway.until(|status| status.stored.is_some()).await;
    for _ in 0..3 {
        gateway.source.next_is(Script::Dump(csv(&rows())));
    }
    let before = gateway.source.fetched();
    let (a, b, c) =
        tokio::join!(gateway.registry.refresh(), gateway.registry.refresh(), gateway.registry.refresh());
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(gateway.source.fetched() - before, 1);
    let registry = gateway.registry.clone();
    gateway.end().await;
    assert_eq!(registry.refresh().await.unwrap_err(), RegistryError::NotRunning);
}
