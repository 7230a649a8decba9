//! Which exchanges trade now: read from the calendar, told to tickers and pipelines.

use std::sync::Arc;
use std::time::Duration;

use exchange_calendar::{Calendar, SessionKind};
use market_model::{Clock, Exchange, SessionPhase, Sessions};
use resilience::TaskExit;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::info;

/// How late an opening or a close may be noticed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Keeps `sessions` as the calendar says, until told to stop.
pub(crate) async fn follow(
    calendar: Calendar,
    clock: Arc<dyn Clock>,
    sessions: watch::Sender<Sessions>,
    stop: CancellationToken,
) -> TaskExit {
    let mut look = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return TaskExit::Cancelled,
            _ = look.tick() => {}
        }
        let now = at(&calendar, clock.as_ref());
        sessions.send_if_modified(|before| {
            let changed = *before != now;
            if changed {
                say(before, &now);
                before.clone_from(&now);
            }
            changed
        });
    }
}

/// What every exchange of the calendar is doing.
pub(crate) fn at(calendar: &Calendar, clock: &dyn Clock) -> Sessions {
    let Ok(now) = jiff::Timestamp::from_nanosecond(i128::from(clock.now().0)) else {
        return Sessions::default();
    };
    Sessions::new(calendar.exchanges().map(|exchange| {
        let phase = match calendar.session_at(exchange, now).known() {
            None => SessionPhase::Unknown,
            Some(session) => session.map_or(SessionPhase::Closed, phase_of),
        };
        (Exchange::from_word(exchange), phase)
    }))
}

fn phase_of(session: SessionKind) -> SessionPhase {
    use SessionKind as Kind;
    match session {
        kind if kind.is_continuous() => SessionPhase::Continuous,
        Kind::PreOpen | Kind::PreOpenEntry | Kind::PreOpenLimitOnly | Kind::PreOpenMatching => {
            SessionPhase::PreOpen
        }
        Kind::PreOpenBuffer => SessionPhase::PreOpen,
        // The closing price is taken from trades: its window runs beside continuous trading.
        Kind::ClosePriceWindow => SessionPhase::Continuous,
        Kind::BlockDeal => SessionPhase::PreOpen,
        _ => SessionPhase::Closing,
    }
}

fn say(before: &Sessions, now: &Sessions) {
    for (exchange, phase) in now.iter().filter(|(exchange, phase)| before.phase(exchange) != *phase) {
        let (was, is) = (before.phase(exchange).as_str(), phase.as_str());
        info!(exchange = exchange.as_str(), was, is, "session");
    }
}

#[cfg(test)]
mod tests {
    use market_model::{ManualClock, UnixNanos};

    use super::*;

    fn phases_at(ist: &str) -> (SessionPhase, SessionPhase, SessionPhase) {
        let instant: jiff::Timestamp = format!("{ist}+05:30").parse().unwrap();
        let clock = ManualClock::new(UnixNanos::from_secs(instant.as_second()));
        let sessions = at(&Calendar::builtin(), &clock);
        (sessions.phase(&Exchange::Nse), sessions.phase(&Exchange::Nfo), sessions.phase(&Exchange::Mcx))
    }

    #[test]
    fn a_friday_has_the_phases_of_the_calendar() {
        use SessionPhase::{Closed, Closing, Continuous, PreOpen};
        assert_eq!(phases_at("2026-11-20T08:30:00"), (Closed, Closed, Closed));
        assert_eq!(phases_at("2026-11-20T09:05:00").0, PreOpen);
        assert_eq!(phases_at("2026-11-20T12:30:00"), (Continuous, Continuous, Continuous));
        // Shares with derivatives have closed by auction since August 2026; derivatives trade on.
        assert_eq!(phases_at("2026-11-20T15:20:00"), (Closing, Continuous, Continuous));
        assert_eq!(phases_at("2026-11-20T20:00:00"), (Closed, Closed, Continuous));
        assert_eq!(phases_at("2026-11-21T12:30:00"), (Closed, Closed, Closed));
    }

    #[test]
    fn a_year_nobody_has_tables_for_is_unknown() {
        assert_eq!(phases_at("2040-01-02T12:30:00").0, SessionPhase::Unknown);
    }
}
