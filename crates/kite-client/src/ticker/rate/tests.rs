use super::*;

const STEP: Duration = Duration::from_millis(250);
const NFO: u32 = 2;
const MCX: u32 = 7;

/// A trading day on one connection, quarter second by quarter second.
struct Day {
    watch: RateWatch,
    now: Instant,
    at: UnixNanos,
    ticks: f64,
    told: Vec<(UnixNanos, RateNews)>,
}

/// A moment of the Indian day.
fn ist(hour: i64, minute: i64) -> UnixNanos {
    UnixNanos::from_secs(1_800_000_000 / 86_400 * 86_400 + hour * 3600 + minute * 60 - 19_800)
}

fn load(judged: Judged, units: f64) -> Load {
    Load { judged, units }
}

impl Day {
    fn new(profile: &RateProfile, from: UnixNanos, load: Load) -> Self {
        let mut watch = RateWatch::new(profile, 0, Duration::from_secs(10));
        watch.carries(load);
        Self { watch, now: Instant::now(), at: from, ticks: 0.0, told: Vec::new() }
    }

    /// Until `to`, at the rate that `rate` says for the seconds gone by since it began.
    fn run(&mut self, to: UnixNanos, rate: impl Fn(f64) -> f64) {
        let from = self.at;
        while self.at < to {
            self.now += STEP;
            self.at = self.at + STEP;
            self.ticks += rate(self.at.saturating_since(from).as_secs_f64()) * STEP.as_secs_f64();
            let news = self.watch.observe(self.now, self.at, self.ticks as u64);
            self.told.extend(news.map(|news| (self.at, news)));
        }
    }

    /// What was told since the last call: a word, and how long after `since`.
    fn told(&mut self, since: UnixNanos) -> Vec<(&'static str, f64)> {
        let word = |news| match news {
            RateNews::Collapsed { .. } => "collapsed",
            RateNews::Restored { .. } => "restored",
            RateNews::Dataless(_) => "dataless",
        };
        let told = std::mem::take(&mut self.told);
        told.into_iter().map(|(at, news)| (word(news), at.saturating_since(since).as_secs_f64())).collect()
    }

    fn profile(&mut self) -> RateProfile {
        self.watch.settle();
        RateProfile { slots: self.watch.slots(0).collect() }
    }
}

/// A usual day: a fast open, a slow fall to 35 % at lunch, back up, and at 15:15 the cash market stops.
fn usual_day(profile: &RateProfile) -> Day {
    let mut day = Day::new(profile, ist(9, 15), load(Judged::InSession, 3000.0));
    day.run(ist(9, 30), |_| 4000.0);
    day.run(ist(12, 0), |_| 2500.0);
    day.run(ist(12, 40), |second| 2500.0 - second * 0.677);
    day.run(ist(14, 0), |_| 875.0);
    day.run(ist(15, 15), |_| 3000.0);
    day.run(ist(15, 40), |_| 1100.0);
    day
}

#[test]
fn a_usual_day_has_no_alarm() {
    let mut day = usual_day(&RateProfile::default());
    assert_eq!(day.told(ist(9, 15)), []);
    day.watch.carries(load(Judged::Not, 0.0));
    day.run(ist(18, 0), |_| 0.0);
    assert_eq!(day.told(ist(9, 15)), [], "nobody trades");
    let profile = day.profile();
    assert_eq!(profile.slots.len(), 26, "from 09:15 to 15:40: {profile}");
    assert_eq!(usual_day(&profile).told(ist(9, 15)), [], "nor on the next day");
}

#[test]
fn a_fall_to_2_5_percent_is_told_within_ten_seconds_and_so_is_its_end() {
    let mut day = Day::new(&RateProfile::default(), ist(10, 0), load(Judged::InSession, 3000.0));
    day.run(ist(10, 10), |_| 2000.0);
    day.run(ist(10, 12), |_| 50.0);
    let told = day.told(ist(10, 10));
    assert!(matches!(told[..], [("collapsed", after)] if after <= 7.0), "{told:?}");
    assert!(day.watch.is_collapsed());
    let baseline = day.watch.baseline(day.at).unwrap();
    assert!((1950.0..=2000.0).contains(&baseline), "{baseline}");
    day.run(ist(11, 30), |_| 50.0);
    assert_eq!(day.told(ist(10, 12)), [], "once, and it never becomes the usual");
    day.run(ist(11, 31), |_| 1900.0);
    let told = day.told(ist(11, 30));
    assert!(matches!(told[..], [("restored", after)] if after <= 5.0), "{told:?}");
}

#[test]
fn with_a_profile_a_day_that_starts_collapsed_is_found_at_once() {
    let profile = usual_day(&RateProfile::default()).profile();
    let mut day = Day::new(&profile, ist(9, 15), load(Judged::InSession, 2000.0));
    day.run(ist(9, 17), |_| 66.0);
    let told = day.told(ist(9, 15));
    assert!(matches!(told[..], [("collapsed", after)] if after <= 7.5), "{told:?}");
    // A quiet day is not a collapsed one.
    let mut day = Day::new(&profile, ist(9, 15), load(Judged::InSession, 3000.0));
    day.run(ist(10, 0), |_| 250.0);
    assert_eq!(day.told(ist(9, 15)), []);
}

#[test]
fn without_a_profile_the_first_minute_is_no_alarm() {
    let mut day = Day::new(&RateProfile::default(), ist(9, 15), load(Judged::InSession, 3000.0));
    day.run(ist(9, 45), |_| 66.0);
    assert_eq!(day.told(ist(9, 15)), []);
}

#[test]
fn other_wishes_are_no_collapse() {
    let mut day = Day::new(&RateProfile::default(), ist(10, 0), load(Judged::InSession, 3000.0));
    day.run(ist(10, 10), |_| 2000.0);
    day.watch.carries(load(Judged::InSession, 30.0));
    day.run(ist(10, 30), |_| 12.0);
    assert_eq!(day.told(ist(10, 0)), []);
    day.run(ist(10, 31), |_| 0.2);
    assert_eq!(day.told(ist(10, 30)).len(), 1, "it is judged by what it carries now");
}

#[test]
fn unknown_sessions_are_judged_by_the_last_minutes_only() {
    let profile = usual_day(&RateProfile::default()).profile();
    let mut day = Day::new(&profile, ist(10, 0), load(Judged::ByLastMinutes, 3000.0));
    day.run(ist(10, 10), |_| 0.0);
    assert_eq!(day.told(ist(10, 0)), [], "perhaps a holiday");
    day.run(ist(10, 20), |_| 2000.0);
    day.run(ist(11, 0), |_| 20.0);
    let told = day.told(ist(10, 20));
    assert!(
        matches!(told[..], [("collapsed", soon), ("restored", late)] if soon <= 7.0 && late > 1800.0),
        "{told:?}"
    );
}

#[test]
fn the_end_of_the_session_ends_a_collapse() {
    let mut day = Day::new(&RateProfile::default(), ist(15, 0), load(Judged::InSession, 3000.0));
    day.run(ist(15, 30), |_| 2000.0);
    day.run(ist(15, 40), |_| 20.0);
    day.watch.carries(load(Judged::Not, 0.0));
    day.run(ist(15, 41), |_| 0.0);
    let words: Vec<_> = day.told(ist(15, 0)).into_iter().map(|(word, _)| word).collect();
    assert_eq!(words, ["collapsed", "restored"]);
}

#[test]
fn the_last_slot_of_the_day_is_learned_when_trading_ends() {
    let mut day = Day::new(&RateProfile::default(), ist(15, 30), load(Judged::InSession, 3000.0));
    day.run(ist(15, 40), |_| 2000.0);
    assert!(!day.watch.take_learned(), "the slot is not over");
    day.watch.carries(load(Judged::Not, 0.0));
    day.run(ist(15, 41), |_| 0.0);
    assert!(day.watch.take_learned());
    assert_eq!(day.watch.slots(0).count(), 1);
}

#[test]
fn a_slow_connection_that_stops_is_dataless_after_its_time() {
    let mut day = Day::new(&RateProfile::default(), ist(10, 0), load(Judged::InSession, 5.0));
    day.run(ist(10, 5), |_| 3.0);
    day.run(ist(10, 6), |_| 0.0);
    let told = day.told(ist(10, 5));
    assert!(matches!(told[..], [("dataless", after)] if (9.5..=10.25).contains(&after)), "{told:?}");
    // A new socket that is as mute is no news.
    day.watch.interrupted();
    day.run(ist(10, 7), |_| 0.0);
    assert!(day.watch.is_dataless());
    day.run(ist(10, 8), |_| 3.0);
    assert!(!day.watch.is_dataless());
    assert_eq!(day.told(ist(10, 6)), []);
}

#[test]
fn chance_is_no_news_where_ticks_are_rare() {
    let mut day = Day::new(&RateProfile::default(), ist(10, 0), load(Judged::InSession, 5.0));
    day.run(ist(10, 30), |second| if second % 40.0 < 20.0 { 2.0 } else { 0.0 });
    assert_eq!(day.told(ist(10, 0)), []);
}

#[test]
fn a_stopped_process_does_not_blame_the_server() {
    let mut day = Day::new(&RateProfile::default(), ist(10, 0), load(Judged::InSession, 3000.0));
    day.run(ist(10, 5), |_| 2000.0);
    day.now += Duration::from_secs(60);
    day.run(ist(10, 6), |_| 2000.0);
    assert_eq!(day.told(ist(10, 0)), []);
}

#[test]
fn only_what_trades_now_counts() {
    let wish = |token: u32, mode| market_model::Subscription { token: InstrumentToken(token), mode };
    let wishes: SubscriptionSet = [
        wish(256 + NFO, Mode::Full),
        wish(512 + NFO, Mode::Ltp),
        wish(256 + MCX, Mode::Quote),
        wish(256, Mode::Full),
    ]
    .into_iter()
    .collect();
    let sessions = |nfo, mcx| Sessions::new([(Exchange::Nfo, nfo), (Exchange::Mcx, mcx)]);
    let check = |sessions: Sessions, judged, units| {
        assert_eq!(Load::of(&wishes, &sessions), load(judged, units), "{sessions:?}");
    };
    use SessionPhase::{Closed, Continuous, PreOpen};
    check(sessions(Continuous, Continuous), Judged::InSession, 2.5);
    check(sessions(Closed, Continuous), Judged::InSession, 1.0);
    check(sessions(PreOpen, Closed), Judged::ByLastMinutes, 1.0);
    check(Sessions::default(), Judged::ByLastMinutes, 3.5);
    let known = wishes.iter().filter(|wish| wish.token.segment_byte() != 0).collect();
    assert_eq!(Load::of(&known, &sessions(Closed, PreOpen)).judged, Judged::Not);
}
