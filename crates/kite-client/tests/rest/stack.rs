//! Retry, pace, timeout, breaker, connections: what happens between a call and the network.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use kite_client::{Delivery, Pace, PacePermit, PaceRefused, RestConfig, RestError, RestMetrics};
use kite_wire::api::{GetProfile, GetQuotes, RequestClass};
use metrics_util::MetricKind;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use resilience::{BackoffConfig, BreakerConfig, BreakerState};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::double::{Door, Kite, Reply, http, later, ok, page, refusal};

const PROFILE: &str = r#"{"user_id":"AB1234"}"#;

#[tokio::test(start_paused = true)]
async fn reads_are_tried_a_few_times_and_no_more() {
    type Refuse = fn(&str) -> Reply;
    let cases: [(Refuse, usize); 5] = [
        (page, 3),
        (|status| refusal(status, "NetworkException", "oms"), 3),
        (|_| refusal("403 Forbidden", "TokenException", "bad"), 1),
        (|_| refusal("400 Bad Request", "InputException", "bad"), 1),
        (|_| Reply::Close(Vec::new()), 3),
    ];
    for (reply, tries) in cases {
        let kite = Kite::replies((0..5).map(|_| reply("503 Service Unavailable")));
        assert!(kite.rest().call(&GetProfile).await.is_err());
        assert_eq!(kite.seen().len(), tries);
    }
    let kite = Kite::replies([ok(PROFILE)]).doors([Door::Refused, Door::Refused]);
    assert!(kite.rest().call(&GetProfile).await.is_ok());
    assert_eq!(kite.opened(), 3);
}

#[tokio::test(start_paused = true)]
async fn waits_grow_are_jittered_and_honour_what_the_answer_asks() {
    let backoff = BackoffConfig { jitter: 0.5, ..RestConfig::default().backoff };
    let mut waits = Vec::new();
    for _ in 0..5 {
        let kite = Kite::replies([page("502 Bad Gateway"), page("502 Bad Gateway"), ok(PROFILE)]);
        let rest = kite.rest().with_config(RestConfig { backoff, ..RestConfig::default() });
        let begun = Instant::now();
        rest.call(&GetProfile).await.unwrap();
        waits.push(begun.elapsed());
    }
    let shortest = (backoff.initial + backoff.initial.mul_f64(backoff.multiplier)).mul_f64(0.5);
    assert!(waits.iter().all(|wait| *wait >= shortest && *wait < shortest * 2 + Duration::from_millis(9)));
    waits.dedup();
    assert!(waits.len() > 1, "no jitter");

    let asks = |seconds: u64| {
        let body = r#"{"status":"error","message":"Too many requests","error_type":"NetworkException"}"#;
        Reply::Keep(http("429 Too Many Requests", &format!("Retry-After: {seconds}\r\n"), body))
    };
    let kite = Kite::replies([asks(3), ok(PROFILE)]);
    let begun = Instant::now();
    kite.rest().call(&GetProfile).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(3));
    let kite = Kite::replies([asks(300), ok(PROFILE)]);
    assert!(kite.rest().call(&GetProfile).await.unwrap_err().is_too_fast(), "nobody waits five minutes");
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_ends_its_try_and_only_that() {
    let kite = Kite::replies([later(8, ok(PROFILE)), later(6, ok(PROFILE))]);
    let begun = Instant::now();
    assert_eq!(kite.rest().call(&GetProfile).await.unwrap().user_id, "AB1234");
    assert!(begun.elapsed() > Duration::from_secs(13));
    assert_eq!(kite.opened(), 2, "the late answer's connection is not used again");

    let kite = Kite::replies((0..3).map(|_| Reply::Silence));
    let error = kite.rest().call(&GetProfile).await.unwrap_err();
    assert!(matches!(error, RestError::Timeout(after) if after == Duration::from_secs(7)), "{error}");

    let kite = Kite::replies([ok(PROFILE)]).doors([Door::Hangs]);
    let error = kite.once().call(&GetProfile).await.unwrap_err();
    assert!(matches!(error, RestError::Unreachable(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_idle_too_long_is_not_used() {
    let kite = Kite::replies([ok(PROFILE), ok(PROFILE), ok(PROFILE)]);
    let rest = kite.rest();
    for (idle, connections) in [(0, 1), (14, 1), (16, 2)] {
        tokio::time::sleep(Duration::from_secs(idle)).await;
        rest.call(&GetProfile).await.unwrap();
        assert_eq!(kite.opened(), connections, "after {idle} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_that_meets_a_closing_connection_is_sent_once_more() {
    // Seen before the call: another connection is taken.
    let close = Arc::new(Notify::new());
    let answer = http("200 OK", "", format!(r#"{{"data":{PROFILE}}}"#));
    let kite = Kite::replies([Reply::CloseWhenTold(answer, close.clone()), ok(PROFILE)]);
    let rest = kite.once();
    rest.call(&GetProfile).await.unwrap();
    close.notify_one();
    tokio::time::sleep(Duration::from_millis(1)).await;
    rest.call(&GetProfile).await.unwrap();
    assert_eq!((kite.opened(), kite.seen().len()), (2, 2));
    // Seen only when the request was written: it is sent again without a wait, and not as one of the tries.
    kite.then(Reply::Close(Vec::new()));
    kite.then(ok(PROFILE));
    let begun = Instant::now();
    rest.call(&GetProfile).await.unwrap();
    assert_eq!((kite.opened(), kite.seen().len()), (3, 4));
    assert!(begun.elapsed() < Duration::from_millis(10));
    // On a new connection it is a failure like any other.
    let kite = Kite::replies([Reply::Close(Vec::new())]);
    assert!(matches!(kite.once().call(&GetProfile).await, Err(RestError::Broken(_))));
    assert_eq!(kite.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn many_callers_share_a_bounded_number_of_connections() {
    let kite = Kite::replies((0..10).map(|_| later(1, ok(PROFILE))));
    let config =
        RestConfig { max_connections: 2, read_timeout: Duration::from_secs(60), ..RestConfig::default() };
    let rest = kite.rest().with_config(RestConfig { connect_timeout: Duration::from_secs(60), ..config });
    let calls = (0..10).map(|_| rest.call(&GetProfile));
    let begun = Instant::now();
    let answers = futures_util::future::join_all(calls).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!((kite.opened(), begun.elapsed().as_secs()), (2, 5));
}

#[derive(Default)]
struct Keeper {
    asked: Mutex<Vec<RequestClass>>,
    too_fast: Mutex<Vec<RequestClass>>,
    in_flight: Arc<()>,
    wait: Duration,
    refuses: bool,
}

impl Pace for Keeper {
    fn acquire(&self, class: RequestClass) -> BoxFuture<'static, Result<PacePermit, PaceRefused>> {
        self.asked.lock().unwrap().push(class);
        let (permit, wait, refuses) = (self.in_flight.clone(), self.wait, self.refuses);
        async move {
            tokio::time::sleep(wait).await;
            match refuses {
                true => Err(PaceRefused { reason: "the day is used up".to_owned(), retry_after: None }),
                false => Ok(PacePermit::new(permit)),
            }
        }
        .boxed()
    }

    fn too_fast(&self, class: RequestClass) {
        self.too_fast.lock().unwrap().push(class);
    }
}

#[tokio::test(start_paused = true)]
async fn every_try_asks_the_pace_keeper_and_a_429_is_told_to_it() {
    let kite = Kite::replies([
        refusal("429 Too Many Requests", "NetworkException", "Too many requests"),
        page("429 Too Many Requests"),
        ok("{}"),
    ]);
    // Longer than the timeout of a try: waiting for our turn is nobody's failure.
    let keeper = Arc::new(Keeper { wait: Duration::from_secs(20), ..Keeper::default() });
    let rest = kite.rest().with_pace(keeper.clone());
    assert!(rest.call(&GetQuotes(vec!["NSE:INFY".to_owned()])).await.unwrap().is_empty());
    assert_eq!(*keeper.asked.lock().unwrap(), [RequestClass::Quote; 3]);
    assert_eq!(*keeper.too_fast.lock().unwrap(), [RequestClass::Quote; 2]);
    assert_eq!(Arc::strong_count(&keeper.in_flight), 1, "permits are given back");

    let kite = Kite::replies([]);
    let keeper = Arc::new(Keeper { refuses: true, ..Keeper::default() });
    let error = kite.rest().with_pace(keeper).call(&GetProfile).await.unwrap_err();
    assert_eq!(error.to_string(), "the call was not let go: the day is used up");
    assert_eq!((error.delivery(), kite.opened()), (Delivery::NotSent, 0));
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_held_until_the_answer_is_there() {
    let kite = Kite::replies([later(2, ok(PROFILE))]);
    let keeper = Arc::new(Keeper::default());
    let rest = kite.rest().with_pace(keeper.clone());
    let watch = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Arc::strong_count(&keeper.in_flight)
    };
    let (answer, in_flight) = tokio::join!(rest.call(&GetProfile), watch);
    answer.unwrap();
    assert_eq!((in_flight, Arc::strong_count(&keeper.in_flight)), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn the_breaker_opens_probes_and_closes() {
    let breaker =
        BreakerConfig { failures_to_open: 3, open_for: Duration::from_secs(30), ..BreakerConfig::default() };
    let kite = Kite::replies((0..3).map(|_| page("502 Bad Gateway")));
    let recorder = DebuggingRecorder::new();
    let rest = kite
        .rest()
        .with_config(RestConfig { breaker, tries: 1, ..RestConfig::default() })
        .with_metrics(RestMetrics::register(&recorder));
    for _ in 0..3 {
        assert_eq!(rest.breaker_state(), BreakerState::Closed);
        assert!(rest.call(&GetProfile).await.is_err());
    }
    assert_eq!(rest.breaker_state(), BreakerState::Open);
    let error = rest.call(&GetProfile).await.unwrap_err();
    assert!(matches!(error, RestError::BreakerOpen(_)), "{error}");
    assert_eq!((error.delivery(), kite.seen().len()), (Delivery::NotSent, 3));

    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(rest.breaker_state(), BreakerState::HalfOpen);
    // A refusal is an answer: Kite is well.
    kite.then(refusal("400 Bad Request", "InputException", "m"));
    assert!(rest.call(&GetProfile).await.is_err());
    assert_eq!(rest.breaker_state(), BreakerState::Closed);

    let counted: Vec<_> = recorder.snapshotter().snapshot().into_vec();
    let count = |name: &str, label: &str| {
        let matching = counted.iter().filter(|(key, ..)| {
            key.kind() == MetricKind::Counter
                && key.key().name() == name
                && key.key().labels().any(|found| found.value() == label)
        });
        matching
            .map(|(.., value)| if let DebugValue::Counter(count) = value { *count } else { 0 })
            .sum::<u64>()
    };
    assert_eq!(count("kite_rest_requests_total", "not_kite"), 3);
    assert_eq!(count("kite_rest_requests_total", "not_tried"), 1);
    assert_eq!(count("kite_rest_requests_total", "refused"), 1);
    assert_eq!(count("circuit_breaker_opened_total", "kite_rest"), 1);
}
