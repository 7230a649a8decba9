//! Which contracts are listed, and when they expire.

use jiff::civil::{Date, Time};
use jiff::{Timestamp, ToSpan};

use crate::answer::{Answer, Fact};
use crate::calendar::{Calendar, ist};
use crate::days::{Plan, is_weekend, timetable};
use crate::facts::{ExpiryRuleRow, ExpiryTime, Trading};
use crate::session::Session;

/// How far ahead contracts are looked for: eight half-yearly ones behind three quarterly ones reach five years.
const HORIZON_YEARS: i64 = 6;
/// Days in a row an exchange may be closed before an expiry is no longer moved; the bound keeps a bad override finite.
const LONGEST_CLOSURE: i64 = 14;

/// One listed expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Expiry {
    /// The last trading day of the contracts.
    pub date: Date,
    /// The day the rule names, before it gave way to a holiday.
    pub nominal: Date,
    /// Which row of contracts it belongs to on the day asked for.
    pub kind: ExpiryKind,
    /// The rule is doubtful, or the date lies beyond the published holiday lists and may still move.
    pub doubtful: bool,
    /// How many contracts the exchange lists is doubtful, so this one may not be among them.
    pub listing_doubtful: bool,
}

/// Which row of contracts an expiry belongs to. A December contract is half-yearly, then quarterly, then monthly
/// as it draws near.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ExpiryKind {
    /// Every week but the one of the monthly expiry.
    Weekly,
    /// Last of the month.
    Monthly,
    /// March, June, September, December, behind the monthly ones.
    Quarterly,
    /// June and December, behind the quarterly ones.
    HalfYearly,
}

// === impl ExpiryKind ===

impl ExpiryKind {
    /// Every name a data file may use.
    pub const NAMES: &'static [&'static str] = &["weekly", "monthly", "quarterly", "half_yearly"];

    /// The name used in data files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Quarterly => "quarterly",
            Self::HalfYearly => "half_yearly",
        }
    }

    /// The value with that name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "weekly" => Some(Self::Weekly),
            "monthly" => Some(Self::Monthly),
            "quarterly" => Some(Self::Quarterly),
            "half_yearly" => Some(Self::HalfYearly),
            _ => None,
        }
    }

    fn has_month(self, month: i8) -> bool {
        match self {
            Self::Weekly | Self::Monthly => true,
            Self::Quarterly => month % 3 == 0,
            Self::HalfYearly => month % 6 == 0,
        }
    }
}

// === impl Calendar ===

impl Calendar {
    /// The expiries of `underlying` listed on the day `on`, soonest first; one that expires on that day is in it.
    ///
    /// A name without rules of its own gets those of stocks: that says when a stock's contracts expire, not that the
    /// stock has any. Dates beyond the holiday lists avoid the fixed-date national holidays and are doubtful.
    pub fn expiries(&self, exchange: &str, underlying: &str, on: Date) -> Answer<Vec<Expiry>> {
        if self.inner.days.plan(exchange, on).is_none() {
            return Answer::Unknown;
        }
        let rules = self.rules(exchange, underlying);
        let mut listed = Vec::new();
        let mut after = None;
        for kind in [ExpiryKind::Weekly, ExpiryKind::Monthly, ExpiryKind::Quarterly, ExpiryKind::HalfYearly] {
            let in_force = rules.iter().rfind(|rule| rule.kind == kind && rule.span.contains(on));
            let Some(count) = in_force.map(|rule| rule.count) else { continue };
            let horizon = on.saturating_add(HORIZON_YEARS.years());
            let behind = |expiry: &Expiry| after.is_none_or(|after| expiry.nominal > after);
            let dates: Vec<Expiry> =
                self.dates(&rules, kind, on, horizon).filter(behind).take(count).collect();
            if kind != ExpiryKind::Weekly {
                after = dates.last().map(|expiry| expiry.nominal).or(after);
            }
            listed.extend(dates);
        }
        if listed.is_empty() {
            return Answer::Unknown;
        }
        listed.sort_unstable_by_key(|expiry| (expiry.date, expiry.kind));
        Answer::Known(listed)
    }

    /// Every weekly and monthly expiry of `underlying` from `first` to `last`, both included, listed yet or not.
    ///
    /// `Unknown` when no rule covers that time. See [`Calendar::expiries`] for names without rules of their own.
    pub fn expiry_dates(
        &self,
        exchange: &str,
        underlying: &str,
        first: Date,
        last: Date,
    ) -> Answer<Vec<Expiry>> {
        let rules = self.rules(exchange, underlying);
        let weekly = self.dates(&rules, ExpiryKind::Weekly, first, last);
        let mut dates: Vec<Expiry> =
            weekly.chain(self.dates(&rules, ExpiryKind::Monthly, first, last)).collect();
        if dates.is_empty() {
            return Answer::Unknown;
        }
        dates.sort_unstable_by_key(|expiry| (expiry.date, expiry.kind));
        Answer::Known(dates)
    }

    /// When trading in contracts expiring on `expiry` ends.
    pub fn expiry_instant(&self, exchange: &str, expiry: Date) -> Answer<Timestamp> {
        self.expiry_instant_fact(exchange, expiry).value()
    }

    /// [`Calendar::expiry_instant`] with its source and doubt.
    ///
    /// Nothing expires on a day off: `Unknown` on a holiday, a Muhurat day and a weekend. Beyond the holiday lists, and
    /// on a day nothing certain is known of, the ordinary hours of that time are taken, with that as the doubt.
    pub fn expiry_instant_fact(&self, exchange: &str, expiry: Date) -> Answer<Fact<'_, Timestamp>> {
        let mut rules = self.inner.facts.expiry_times.iter();
        let rule =
            rules.rfind(|row| row.span.contains(expiry) && row.exchanges.iter().any(|name| name == exchange));
        let Some(rule) = rule else { return Answer::Unknown };
        let ordinary = || timetable(&self.inner.facts, exchange, expiry).map(|row| &*row.sessions);
        let plan = self.inner.days.plan(exchange, expiry);
        let hours = match plan {
            Some(Plan::Open { sessions, trading_day: true, .. }) => Some(&**sessions),
            Some(Plan::Unknown { trading_day, .. }) if *trading_day != Some(false) => ordinary(),
            None if !is_weekend(expiry.weekday()) => ordinary(),
            _ => None,
        };
        let Some(close) = hours.and_then(last_close) else { return Answer::Unknown };
        let time = match rule.at {
            ExpiryTime::At(time) => time.min(close),
            ExpiryTime::SessionEnd => close,
        };
        let beyond = "beyond the published holiday lists; the present hours are taken to stay";
        let doubt = match plan {
            _ if rule.origin.doubt.is_some() => rule.origin.doubt.as_deref(),
            Some(Plan::Unknown { note, .. }) => Some(note.as_str()),
            Some(_) => None,
            None => Some(beyond),
        };
        let instant = ist().to_timestamp(expiry.to_datetime(time)).ok();
        instant.map(|value| Fact { value, source: &rule.origin.source, doubt }).into()
    }

    /// The rows for `underlying`, or the ones for everything else on that exchange.
    fn rules(&self, exchange: &str, underlying: &str) -> Vec<&ExpiryRuleRow> {
        let named = |name: &str| -> Vec<&ExpiryRuleRow> {
            let rows = self.inner.facts.expiry_rules.iter();
            let matching = rows.filter(|row| row.exchange == exchange);
            matching.filter(|row| row.underlyings.iter().any(|known| known == name)).collect()
        };
        let own = named(underlying);
        if own.is_empty() { named("*") } else { own }
    }

    /// Every expiry of one kind from `first` to `last`, by actual date, soonest first.
    fn dates<'a>(
        &'a self,
        rules: &'a [&'a ExpiryRuleRow],
        kind: ExpiryKind,
        first: Date,
        last: Date,
    ) -> impl Iterator<Item = Expiry> + 'a {
        // A nominal date may lie behind `last` when a holiday pulls the actual one before it.
        let until = last.saturating_add(LONGEST_CLOSURE.days());
        let nominal = first.series(1.day()).take_while(move |date| *date <= until);
        let expiries = nominal.filter_map(move |nominal| self.expiry_on(rules, kind, nominal));
        expiries.filter(move |expiry| first <= expiry.date && expiry.date <= last)
    }

    /// The expiry of that kind which the rules name for `nominal`, if they do.
    fn expiry_on(&self, rules: &[&ExpiryRuleRow], kind: ExpiryKind, nominal: Date) -> Option<Expiry> {
        let rule = rules.iter().rfind(|rule| rule.kind == kind && rule.span.contains(nominal))?;
        let in_last_week = nominal.day() + 7 > nominal.days_in_month();
        let wanted = match kind {
            ExpiryKind::Weekly => !in_last_week,
            _ => in_last_week && kind.has_month(nominal.month()),
        };
        if !wanted || rule.weekday != nominal.weekday() {
            return None;
        }
        let (date, certain) = self.shifted(&rule.exchange, nominal);
        Some(Expiry {
            date,
            nominal,
            kind,
            doubtful: !certain || rule.origin.doubt.is_some(),
            listing_doubtful: rule.count_doubt.is_some(),
        })
    }

    /// `nominal`, or the trading day before it; and whether every date on the way was known.
    fn shifted(&self, exchange: &str, nominal: Date) -> (Date, bool) {
        let (mut date, mut certain) = (nominal, true);
        for _ in 0..LONGEST_CLOSURE {
            let open = match self.is_trading_day(exchange, date) {
                Answer::Known(open) => open,
                Answer::Unknown => {
                    certain = false;
                    self.presumed_open(exchange, date)
                }
            };
            if open {
                return (date, certain);
            }
            date = date.saturating_sub(1.day());
        }
        (date, false)
    }

    /// Beyond the lists: weekends and the holidays that never move are closed.
    fn presumed_open(&self, exchange: &str, date: Date) -> bool {
        let mut rows = self.inner.facts.days.iter();
        let row = rows.rfind(|row| row.date == date && row.exchanges.iter().any(|name| name == exchange));
        match row.map(|row| &row.trading) {
            Some(Trading::None) => false,
            Some(_) => true,
            None => !is_weekend(date.weekday()),
        }
    }
}

fn last_close(sessions: &[Session]) -> Option<Time> {
    let trading = sessions.iter().filter(|session| session.kind.is_continuous() && session.scope.is_main());
    trading.map(|session| session.end).max()
}
