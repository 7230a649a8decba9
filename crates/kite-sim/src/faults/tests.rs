use super::*;
use crate::config::{App, Limits};

const START: UnixNanos = UnixNanos::from_secs(1_795_163_400);

/// A list of faults with one app, `simkey`.
pub(crate) fn faults(speed: f64) -> Faults {
    let accounts = Accounts::new(vec![App::default()], Limits::default(), 1, START);
    Faults::new(SimClock::scaled(START, speed), Stream::new(1, 1), Arc::new(Mutex::new(accounts)))
}

fn who(number: u64) -> Who {
    Who { number, api_key: "simkey".into() }
}

fn states(faults: &Faults) -> Vec<FaultState> {
    faults.list().iter().map(|report| report.state).collect()
}

#[tokio::test(start_paused = true)]
async fn a_fault_waits_acts_and_ends_on_the_simulators_clock() {
    let faults = faults(10.0);
    let second = Duration::from_secs;
    faults.add(FaultPlan::new(Fault::Mute).at(second(20)).lasting(second(30))).unwrap();
    assert_eq!(states(&faults), [FaultState::Waiting]);
    tokio::time::advance(second(2)).await;
    assert_eq!(states(&faults), [FaultState::Active]);
    let report = faults.list().remove(0);
    assert_eq!((report.since, report.until), (START + second(20), Some(START + second(50))));
    tokio::time::advance(second(3)).await;
    assert_eq!(states(&faults), [FaultState::Over]);
}

#[tokio::test(start_paused = true)]
async fn a_target_is_everybody_an_app_a_connection_or_those_present() {
    let faults = faults(1.0);
    let (one, two) = (who(1), Who { number: 2, api_key: "other".into() });
    faults.opened(&one);
    let concerns =
        |faults: &Faults| [&one, &two, &who(3)].map(|who| !faults.orders(who, 0).lasting.is_empty());
    for (plan, expected) in [
        (FaultPlan::new(Fault::Mute), [true, true, true]),
        (FaultPlan::new(Fault::Mute).api_key("simkey"), [true, false, true]),
        (FaultPlan::new(Fault::Mute).connection(2), [false, true, false]),
        (FaultPlan::new(Fault::Mute).present(), [true, false, false]),
        (FaultPlan::new(Fault::ExpireToken), [false, false, false]),
    ] {
        let id = faults.add(plan).unwrap();
        assert_eq!(concerns(&faults), expected);
        assert!(faults.remove(id));
        assert!(!faults.remove(id));
    }
}

#[tokio::test(start_paused = true)]
async fn what_happens_once_is_seen_once_by_those_who_were_there() {
    let faults = faults(1.0);
    let began = faults.opened(&who(1));
    faults.add(FaultPlan::new(Fault::Reset)).unwrap();
    let orders = faults.orders(&who(1), began);
    assert_eq!(orders.once.len(), 1);
    assert!(faults.orders(&who(1), orders.order).once.is_empty());
    let late = faults.opened(&who(2));
    assert!(faults.orders(&who(2), late).once.is_empty());
    assert_eq!(states(&faults), [FaultState::Over]);
}

#[tokio::test(start_paused = true)]
async fn times_are_used_up() {
    let faults = faults(1.0);
    let refuse = Fault::Refuse { door: Door::Rest, status: 503, html: false, path: Some("/quote".into()) };
    faults.add(FaultPlan::new(refuse).times(2)).unwrap();
    let met = |door, path| faults.at_door(door, None, path).len();
    assert_eq!(met(Door::Rest, "/user/profile"), 0);
    assert_eq!(met(Door::Handshake, "/quote"), 0);
    assert_eq!(
        [met(Door::Rest, "/quote"), met(Door::Rest, "/quote/ltp"), met(Door::Rest, "/quote")],
        [1, 1, 0]
    );
    let report = faults.list().remove(0);
    assert_eq!((report.state, report.did.requests), (FaultState::Over, 2));
}

#[tokio::test(start_paused = true)]
async fn lists_are_bounded_and_plans_checked() {
    let faults = faults(1.0);
    for _ in 0..REMEMBERED + 10 {
        faults.add(FaultPlan::new(Fault::Reset)).unwrap();
    }
    assert_eq!(faults.list().len(), REMEMBERED);
    let waiting = FaultPlan::new(Fault::Mute).at(Duration::from_secs(60));
    assert!(faults.add_all(vec![waiting; MOST + 1]).is_err());
    let error =
        faults.add(FaultPlan::new(Fault::Restart { down: Duration::ZERO }).connection(1)).unwrap_err();
    assert_eq!(error.to_string(), "fault: `restart` does not take a connection");
    assert!(faults.get(FaultId(1)).is_none());
}
