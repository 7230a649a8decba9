//! Whether a connection still lives: frames, heartbeats, our own pings and their answers.
//!
//! Synchronous. Any frame counts as life; Kite sends a one-byte heartbeat every one to two seconds when it has
//! nothing else to say (protocol section 17.3).

use std::time::Duration;

use tokio::time::Instant;

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing before the given moment.
    WaitUntil(Instant),
    /// Send a ping now; ask again after.
    SendPing,
    /// No frame of any kind for this long.
    Mute(Duration),
    /// Frames arrive, but our pings are no longer answered: what we write does not get through.
    PongMissing(Duration),
}

/// The times that decide it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LivenessTimes {
    pub(crate) silence_after: Duration,
    pub(crate) ping_every: Duration,
    pub(crate) pong_timeout: Duration,
}

/// The liveness of one socket.
#[derive(Debug)]
pub(crate) struct Liveness {
    times: LivenessTimes,
    last_frame: Instant,
    next_ping: Instant,
    /// The oldest ping without an answer.
    unanswered: Option<Instant>,
    /// Only a server that has answered once is judged by its answers.
    answers_pings: bool,
}

// === impl Liveness ===

impl Liveness {
    /// A socket that stands since `now`. `answers_pings`: whether this server is known to answer.
    pub(crate) fn new(times: LivenessTimes, answers_pings: bool, now: Instant) -> Self {
        Self { times, last_frame: now, next_ping: now + times.ping_every, unanswered: None, answers_pings }
    }

    /// A frame of any kind arrived.
    pub(crate) fn frame(&mut self, now: Instant) {
        self.last_frame = now;
    }

    /// A pong arrived.
    pub(crate) fn pong(&mut self) {
        self.unanswered = None;
        self.answers_pings = true;
    }

    /// Whether the server has ever answered a ping.
    pub(crate) const fn answers_pings(&self) -> bool {
        self.answers_pings
    }

    /// What is due at `now`.
    pub(crate) fn check(&mut self, now: Instant) -> Verdict {
        let quiet = now.saturating_duration_since(self.last_frame);
        if quiet >= self.times.silence_after {
            return Verdict::Mute(quiet);
        }
        let waiting = self.unanswered.filter(|_| self.answers_pings);
        if let Some(since) = waiting {
            let waited = now.saturating_duration_since(since);
            if waited >= self.times.pong_timeout {
                return Verdict::PongMissing(waited);
            }
        }
        if now >= self.next_ping {
            self.next_ping = now + self.times.ping_every;
            self.unanswered.get_or_insert(now);
            return Verdict::SendPing;
        }
        let mute_at = self.last_frame + self.times.silence_after;
        let pong_by = waiting.map_or(mute_at, |since| since + self.times.pong_timeout);
        Verdict::WaitUntil(mute_at.min(pong_by).min(self.next_ping))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: LivenessTimes = LivenessTimes {
        silence_after: Duration::from_secs(5),
        ping_every: Duration::from_millis(2500),
        pong_timeout: Duration::from_secs(10),
    };

    fn secs(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn a_socket_without_frames_is_mute_after_its_time() {
        let start = Instant::now();
        let mut liveness = Liveness::new(TIMES, false, start);
        assert_eq!(liveness.check(start), Verdict::WaitUntil(start + secs(2.5)));
        assert_eq!(liveness.check(start + secs(2.5)), Verdict::SendPing);
        assert_eq!(liveness.check(start + secs(2.5)), Verdict::WaitUntil(start + secs(5.0)));
        assert_eq!(liveness.check(start + secs(5.0)), Verdict::Mute(secs(5.0)));
        liveness.frame(start + secs(5.0));
        assert_eq!(liveness.check(start + secs(5.0)), Verdict::SendPing);
    }

    #[test]
    fn a_server_that_stops_answering_pings_is_found_although_frames_arrive() {
        let start = Instant::now();
        let mut liveness = Liveness::new(TIMES, true, start);
        let mut found = None;
        for tenth in 0..200 {
            let now = start + secs(f64::from(tenth) / 10.0);
            liveness.frame(now);
            if let Verdict::PongMissing(waited) = liveness.check(now) {
                found = Some((tenth, waited));
                break;
            }
        }
        assert_eq!(found, Some((125, secs(10.0))), "ten seconds after the ping at 2.5 s");
    }

    #[test]
    fn a_server_that_never_answered_is_not_judged_by_it() {
        let start = Instant::now();
        let mut liveness = Liveness::new(TIMES, false, start);
        for second in 0..60 {
            let now = start + secs(f64::from(second));
            liveness.frame(now);
            let verdict = liveness.check(now);
            assert!(!matches!(verdict, Verdict::PongMissing(_)), "{second}: {verdict:?}");
        }
        assert!(!liveness.answers_pings());
        liveness.pong();
        assert!(liveness.answers_pings());
    }
}
