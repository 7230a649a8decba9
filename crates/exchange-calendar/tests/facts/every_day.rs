//! What must hold for every exchange on every day.

use exchange_calendar::{Answer, Calendar, Day, Scope, Session, SessionKind};

use crate::covered;

const EXCHANGES: [&str; 8] = ["BCD", "BFO", "BSE", "CDS", "MCX", "NCO", "NFO", "NSE"];

#[test]
fn every_day_has_an_answer_or_says_why_not() {
    let calendar = Calendar::builtin();
    assert_eq!(calendar.exchanges().collect::<Vec<_>>(), EXCHANGES);
    let mut unknown = Vec::new();
    for exchange in EXCHANGES {
        for date in covered() {
            match calendar.day(exchange, date) {
                Answer::Known(Day::Open { sessions, .. }) => {
                    assert!(!sessions.is_empty(), "{exchange} {date}");
                }
                Answer::Known(Day::Closed { reason, .. }) => assert!(!reason.is_empty(), "{exchange} {date}"),
                Answer::Unknown => {
                    assert!(calendar.unknown_because(exchange, date).is_some(), "{exchange} {date}");
                    unknown.push(format!("{exchange} {date}"));
                }
            }
        }
    }
    // Muhurat 2026 on all eight; six currency days of 2025; both Budget days for commodities.
    assert_eq!(unknown.len(), 8 + 2 * 6 + 2 * 2, "{unknown:?}");
}

#[test]
fn sessions_are_in_order_and_apart() {
    let calendar = Calendar::builtin();
    let apart = |sessions: &[Session], group: Scope| {
        let mine: Vec<_> = sessions
            .iter()
            .filter(|session| session.scope.covers(group) && !session.kind.is_window())
            .collect();
        mine.windows(2).all(|pair| pair[0].end <= pair[1].start)
    };
    for exchange in EXCHANGES {
        for date in covered() {
            let Answer::Known(day) = calendar.day(exchange, date) else { continue };
            let sessions = day.sessions();
            assert!(sessions.is_sorted_by_key(|session| session.start), "{exchange} {date}");
            assert!(sessions.iter().all(|session| session.start < session.end), "{exchange} {date}");
            for name in Scope::NAMES {
                assert!(apart(sessions, Scope::from_name(name).unwrap()), "{exchange} {date} {name}");
            }
            if let Day::Open { .. } = day {
                assert!(day.open() < day.close(), "{exchange} {date} has no continuous trading");
            }
        }
    }
}

#[test]
fn an_expiry_is_a_trading_day_with_a_last_moment() {
    let calendar = Calendar::builtin();
    for (exchange, underlying) in
        [("NFO", "NIFTY"), ("NFO", "BANKNIFTY"), ("NFO", "SBIN"), ("BFO", "SENSEX"), ("BFO", "BANKEX")]
    {
        for on in covered() {
            let listed = calendar.expiries(exchange, underlying, on).known().unwrap();
            assert!(listed.is_sorted_by(|a, b| a.date < b.date), "{underlying} {on}: {listed:?}");
            for expiry in listed {
                assert!(on <= expiry.date && expiry.date <= expiry.nominal, "{underlying} {on}: {expiry:?}");
                if !expiry.doubtful {
                    assert_eq!(
                        calendar.is_trading_day(exchange, expiry.date),
                        Answer::Known(true),
                        "{expiry:?}"
                    );
                }
                let last = calendar.expiry_instant(exchange, expiry.date);
                assert!(last.is_known(), "{underlying} {expiry:?}");
            }
        }
    }
}

#[test]
fn expiring_contracts_end_with_continuous_trading() {
    let calendar = Calendar::builtin();
    for date in covered() {
        let Answer::Known(end) = calendar.expiry_instant("NFO", date) else { continue };
        let before = end.checked_sub(jiff::SignedDuration::from_secs(1)).unwrap();
        assert_eq!(
            calendar.session_at("NFO", before),
            Answer::Known(Some(SessionKind::Continuous)),
            "{date}"
        );
        assert_eq!(calendar.session_at("NFO", end), Answer::Known(None), "{date}");
    }
}

#[test]
fn next_and_previous_trading_day_are_each_other() {
    let calendar = Calendar::builtin();
    for exchange in ["NSE", "BFO"] {
        let (first, last) = calendar.range(exchange).known().unwrap();
        let days = calendar.trading_days(exchange, first, last).known().unwrap();
        for pair in days.windows(2) {
            assert_eq!(calendar.next_trading_day(exchange, pair[0]), Answer::Known(pair[1]));
            assert_eq!(calendar.previous_trading_day(exchange, pair[1]), Answer::Known(pair[0]));
        }
    }
}

#[test]
fn cash_and_derivatives_of_one_exchange_keep_the_same_days() {
    let calendar = Calendar::builtin();
    for date in covered() {
        for (cash, derivatives) in [("NSE", "NFO"), ("BSE", "BFO"), ("NSE", "BSE")] {
            assert_eq!(
                calendar.is_trading_day(cash, date),
                calendar.is_trading_day(derivatives, date),
                "{date}"
            );
        }
    }
}

#[test]
fn every_fact_says_where_it_comes_from_and_why_it_is_doubted() {
    let doubts = Calendar::builtin().doubts().len();
    assert!(doubts > 30, "{doubts}");
    for doubt in Calendar::builtin().doubts() {
        assert!(!doubt.source.is_empty() && !doubt.doubt.unwrap().is_empty() && !doubt.value.is_empty());
    }
}

#[test]
fn it_is_cheap_to_share() {
    fn shared<T: Send + Sync + Clone + 'static>(_: &T) {}
    let calendar = Calendar::builtin();
    shared(&calendar);
    assert_eq!(size_of::<Calendar>(), size_of::<usize>());
}
