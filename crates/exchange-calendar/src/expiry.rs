//! Which contracts are listed, and when they expire.

use jiff::Timestamp;
use jiff::civil::Date;

use crate::answer::{Answer, Fact};
use crate::calendar::{Calendar, ist};
use crate::days::{Plan, is_weekend, timetable};
use crate::facts::{ExpiryRuleRow, ExpiryTime, Trading};

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
            let mut dates = self.nominal_dates(&rules, kind, on);
            dates.retain(|expiry| expiry.date >= on && after.is_none_or(|after| expiry.nominal > after));
            dates.truncate(count);
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

    /// When trading in contracts expiring on `expiry` ends.
    pub fn expiry_instant(&self, exchange: &str, expiry: Date) -> Answer<Timestamp> {
        self.expiry_instant_fact(exchange, expiry).value()
    }

    /// [`Calendar::expiry_instant`] with its source and doubt.
    ///
    /// Beyond the holiday lists the hours in force at their end are taken to stay; `Unknown` on a known holiday.
    pub fn expiry_instant_fact(&self, exchange: &str, expiry: Date) -> Answer<Fact<'_, Timestamp>> {
        let rules = &self.inner.facts.expiry_times;
        let serves = |row: &&crate::facts::ExpiryTimeRow| {
            row.span.contains(expiry) && row.exchanges.iter().any(|name| name == exchange)
        };
        let Some(row) = rules.iter().rfind(serves) else { return Answer::Unknown };
        let plan = self.inner.days.plan(exchange, expiry);
        let hours = match plan {
            Some(Plan::Closed { .. }) => return Answer::Unknown,
            Some(Plan::Open { sessions, .. }) => Some(&**sessions),
            Some(Plan::Unknown { .. }) => None,
            None => timetable(&self.inner.facts, exchange, expiry).map(|row| &*row.sessions),
        };
        let time = match row.at {
            ExpiryTime::At(time) => Some(time),
            ExpiryTime::SessionEnd => hours.and_then(|sessions| {
                let main = sessions.iter().filter(|session| session.kind.is_continuous());
                main.filter(|session| session.scope.is_main()).map(|session| session.end).max()
            }),
        };
        let beyond = "beyond the published holiday lists, the present hours are taken to stay";
        let doubt = row.origin.doubt.as_deref().or(plan.is_none().then_some(beyond));
        let instant = time.and_then(|time| ist().to_timestamp(expiry.to_datetime(time)).ok());
        instant.map(|value| Fact { value, source: &row.origin.source, doubt }).into()
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

    /// Every expiry of one kind from just before `on` as far ahead as its rules can list, soonest first.
    fn nominal_dates(&self, rules: &[&ExpiryRuleRow], kind: ExpiryKind, on: Date) -> Vec<Expiry> {
        // Six years hold the longest list, eight half-yearly contracts behind three quarterly ones; half a year of weeks is plenty.
        let days = if kind == ExpiryKind::Weekly { 190 } else { 6 * 366 };
        let mut dates = Vec::new();
        let dates_ahead = on.saturating_sub(jiff::Span::new().days(10)).series(jiff::Span::new().days(1));
        for nominal in dates_ahead.take(days) {
            let rule = rules.iter().rfind(|rule| rule.kind == kind && rule.span.contains(nominal));
            let Some(rule) = rule.filter(|rule| rule.weekday == nominal.weekday()) else { continue };
            let is_last = is_last_of_month(nominal);
            let wanted = match kind {
                ExpiryKind::Weekly => !is_last,
                _ => is_last && kind.has_month(nominal.month()),
            };
            if wanted {
                let (date, certain) = self.shifted(&rule.exchange, nominal);
                let doubtful = !certain || rule.origin.doubt.is_some();
                let listing_doubtful = rule.count_doubt.is_some();
                dates.push(Expiry { date, nominal, kind, doubtful, listing_doubtful });
            }
        }
        dates
    }

    /// `nominal`, or the trading day before it; and whether every date on the way was known.
    fn shifted(&self, exchange: &str, nominal: Date) -> (Date, bool) {
        let (mut date, mut certain) = (nominal, true);
        // No run of closed days comes near two weeks; the bound keeps bad overrides from looping.
        for _ in 0..14 {
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
            date = date.saturating_sub(jiff::Span::new().days(1));
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

fn is_last_of_month(date: Date) -> bool {
    date.day() + 7 > date.days_in_month()
}
