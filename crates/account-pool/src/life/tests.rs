//! Tokens die on time, in any order of events and on any clock.

use jiff::Timestamp;
use jiff::civil::date;
use jiff::tz::Offset;
use proptest::prelude::*;

use super::*;

fn india() -> Offset {
    Offset::from_seconds(19_800).unwrap()
}

fn ist(day: i8, hour: i8, minute: i8) -> UnixNanos {
    let at = india().to_timestamp(date(2026, 11, day).at(hour, minute, 0, 0)).unwrap();
    UnixNanos(i64::try_from(at.as_nanosecond()).unwrap())
}

#[test]
fn a_token_dies_at_the_next_six_in_the_morning() {
    let config = LifeConfig::default();
    for (obtained, end) in [
        (ist(20, 9, 0), ist(21, 6, 0)),
        (ist(20, 5, 59), ist(20, 6, 0)),
        (ist(20, 6, 0), ist(21, 6, 0)),
        (ist(20, 23, 59), ist(21, 6, 0)),
        (ist(21, 0, 1), ist(21, 6, 0)),
        (ist(30, 12, 0), ist(30, 6, 0) + Duration::from_secs(86_400)),
    ] {
        assert_eq!(config.end_of(obtained), end, "{obtained}");
    }
    let late = LifeConfig { dies_at: Time::constant(7, 30, 0, 0), ..config };
    assert_eq!(late.end_of(ist(20, 7, 0)), ist(20, 7, 30));
    assert_eq!(config.end_of(UnixNanos(i64::MAX)), UnixNanos(i64::MAX), "beyond all calendars");
}

#[test]
fn a_day_of_a_token() {
    let mut life = TokenLife::new(LifeConfig::default());
    let mut at = |event, now| {
        let changed = life.apply(event, now);
        (changed, life.state().as_str(), life.generation().0)
    };
    let moved = TokenEvent::ClockMoved;
    assert_eq!(at(moved, ist(20, 8, 0)), (false, "none", 0));
    assert_eq!(at(TokenEvent::Exchanged, ist(20, 8, 30)), (true, "valid", 1));
    assert_eq!(at(moved, ist(21, 5, 29)), (false, "valid", 1));
    assert_eq!(at(moved, ist(21, 5, 30)), (true, "expiring", 1));
    assert_eq!(at(moved, ist(21, 6, 0)), (true, "expired", 1));
    // The clock was wrong.
    assert_eq!(at(moved, ist(20, 12, 0)), (true, "valid", 1));
    assert_eq!(at(moved, ist(21, 6, 0)), (true, "expired", 1));
    assert_eq!(at(TokenEvent::HandedOver { obtained: ist(21, 8, 0) }, ist(21, 9, 0)), (true, "valid", 2));
    assert_eq!(at(TokenEvent::Refused { generation: Generation(1) }, ist(21, 9, 1)), (false, "valid", 2));
    assert_eq!(at(TokenEvent::Refused { generation: Generation(2) }, ist(21, 9, 2)), (true, "refused", 2));
    assert_eq!(at(moved, ist(22, 9, 2)), (false, "refused", 2));
    assert_eq!(at(TokenEvent::Exchanged, ist(22, 9, 3)), (true, "valid", 3));
    assert_eq!(at(TokenEvent::LoggedOut { generation: Generation(2) }, ist(22, 9, 4)), (false, "valid", 3));
    assert_eq!(at(TokenEvent::LoggedOut { generation: Generation(3) }, ist(22, 9, 4)), (true, "none", 3));
}

#[test]
fn yesterdays_token_is_known_to_be_dead() {
    let mut life = TokenLife::new(LifeConfig::default());
    life.apply(TokenEvent::HandedOver { obtained: ist(19, 9, 0) }, ist(20, 9, 0));
    assert_eq!(life.state(), TokenState::Expired { since: ist(20, 6, 0) });
    assert_eq!(life.state().time_left(ist(20, 9, 0)), None);
}

#[test]
fn the_next_change_is_told() {
    let mut life = TokenLife::new(LifeConfig::default());
    assert_eq!(life.next_change(ist(20, 9, 0)), None);
    life.apply(TokenEvent::Exchanged, ist(20, 9, 0));
    assert_eq!(life.next_change(ist(20, 9, 0)), Some(ist(21, 5, 30)));
    assert_eq!(life.next_change(ist(21, 5, 30)), Some(ist(21, 6, 0)));
    assert_eq!(life.next_change(ist(21, 6, 0)), None);
}

/// A second opinion: the whole history is kept and judged anew at each step.
#[derive(Default)]
struct History {
    tokens: Vec<(UnixNanos, Option<UnixNanos>, bool)>,
}

impl History {
    fn note(&mut self, event: TokenEvent, now: UnixNanos) {
        let newest = self.tokens.len() as u64;
        match event {
            TokenEvent::HandedOver { obtained } => self.tokens.push((obtained, None, false)),
            TokenEvent::Exchanged => self.tokens.push((now, None, false)),
            TokenEvent::Refused { generation } if generation.0 == newest && newest > 0 => {
                let last = self.tokens.last_mut().unwrap();
                if !last.2 && last.1.is_none() {
                    last.1 = Some(now);
                }
            }
            TokenEvent::LoggedOut { generation } if generation.0 == newest && newest > 0 => {
                self.tokens.last_mut().unwrap().2 = true;
            }
            _ => {}
        }
    }

    fn judge(&self, now: UnixNanos) -> &'static str {
        let Some((obtained, refused, out)) = self.tokens.last() else { return "none" };
        // Asks a calendar where the code counts seconds.
        let at = Timestamp::from_nanosecond(i128::from(obtained.0)).unwrap();
        let six = india().to_timestamp(india().to_datetime(at).date().at(6, 0, 0, 0)).unwrap();
        let end = if six > at { six } else { six + jiff::SignedDuration::from_hours(24) };
        let end = UnixNanos(i64::try_from(end.as_nanosecond()).unwrap());
        match () {
            () if *out => "none",
            () if refused.is_some() => "refused",
            () if now >= end => "expired",
            () if now >= end - Duration::from_secs(1800) => "expiring",
            () => "valid",
        }
    }
}

fn moments() -> impl Strategy<Value = UnixNanos> {
    // Four days at odd seconds, often right at the edges.
    prop_oneof![
        (0..4 * 86_400_i64).prop_map(|secs| ist(20, 0, 0) + Duration::from_secs(secs as u64)),
        (20..24_i8, prop::sample::select(vec![(5, 29), (5, 30), (5, 59), (6, 0), (6, 1)]))
            .prop_map(|(day, (hour, minute))| ist(day, hour, minute)),
    ]
}

fn events() -> impl Strategy<Value = TokenEvent> {
    prop_oneof![
        moments().prop_map(|obtained| TokenEvent::HandedOver { obtained }),
        Just(TokenEvent::Exchanged),
        (0..6_u64).prop_map(|n| TokenEvent::Refused { generation: Generation(n) }),
        Just(TokenEvent::ClockMoved),
        (0..6_u64).prop_map(|n| TokenEvent::LoggedOut { generation: Generation(n) }),
    ]
}

proptest! {
    #[test]
    fn any_order_of_events_agrees_with_the_history(story in prop::collection::vec((events(), moments()), 0..40)) {
        let (mut life, mut history) = (TokenLife::new(LifeConfig::default()), History::default());
        for (event, now) in story {
            let before = (life.generation(), life.state());
            let changed = life.apply(event, now);
            history.note(event, now);
            prop_assert_eq!(life.state().as_str(), history.judge(now));
            prop_assert_eq!(life.generation().0, history.tokens.len() as u64);
            prop_assert!(life.generation() >= before.0);
            prop_assert_eq!(changed, before != (life.generation(), life.state()));
            if let Some(next) = life.next_change(now) {
                // Nothing changes by itself before the moment that is told, and something does then.
                let mut later = life.clone();
                prop_assert!(!later.apply(TokenEvent::ClockMoved, UnixNanos(next.0 - 1)));
                prop_assert!(later.apply(TokenEvent::ClockMoved, next));
            }
            prop_assert_eq!(life.state().is_usable(), life.state().time_left(now).is_some());
        }
    }

    #[test]
    fn looking_at_the_clock_leaves_no_trace(
        story in prop::collection::vec((events(), moments()), 1..20),
        looks in prop::collection::vec(moments(), 0..20),
    ) {
        let (mut plain, mut watched) =
            (TokenLife::new(LifeConfig::default()), TokenLife::new(LifeConfig::default()));
        let mut looks = looks.into_iter().cycle().take(40);
        for (event, now) in story {
            plain.apply(event, now);
            watched.apply(event, now);
            if let Some(look) = looks.next() {
                watched.apply(TokenEvent::ClockMoved, look);
                watched.apply(TokenEvent::ClockMoved, now);
            }
            prop_assert_eq!(plain.state(), watched.state());
        }
    }
}
