//! Words of a query, and those among them that describe a contract.

use jiff::civil::Date;
use market_model::{Instrument, InstrumentKind, OptionSide, Price};

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];

/// What a word says about a contract.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Term {
    Future,
    Side(OptionSide),
    /// A number: the strike, the day of the month, or the year.
    Number {
        strike: Option<Price>,
        small: i16,
    },
    /// `NOV`, `24NOV`, `24NOV26`, `NOV26`.
    Ends {
        day: Option<i8>,
        month: i8,
        year: Option<i16>,
    },
    /// `2026-11-24`, which arrives as three words elsewhere; kept whole by [`words`].
    On(Date),
}

/// The words of a text in capitals: runs of letters, digits, `&` and of points and dashes between digits.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !(letter.is_alphanumeric() || matches!(letter, '&' | '.' | '-')))
        .flat_map(split_dashes)
        .map(|word| word.trim_matches('.'))
        .filter(|word| !word.is_empty())
}

/// A date keeps its dashes, everything else (`CENTRALBK-BE`) is two words.
fn split_dashes(word: &str) -> impl Iterator<Item = &str> {
    let is_date = word.len() == 10 && word.parse::<Date>().is_ok();
    word.split(move |letter| letter == '-' && !is_date)
}

// === impl Term ===

impl Term {
    pub(super) fn parse(word: &str) -> Option<Self> {
        match word {
            "FUT" | "FUTURE" | "FUTURES" => return Some(Self::Future),
            "CE" | "CALL" | "CALLS" => return Some(Self::Side(OptionSide::Call)),
            "PE" | "PUT" | "PUTS" => return Some(Self::Side(OptionSide::Put)),
            _ => {}
        }
        if word.len() == 10
            && let Ok(date) = word.parse()
        {
            return Some(Self::On(date));
        }
        if word.starts_with(|first: char| first.is_ascii_digit())
            && let Ok(strike) = word.parse()
        {
            let small = word.parse().unwrap_or(-1);
            return Some(Self::Number { strike: Some(strike), small });
        }
        let letters = word.find(|letter: char| letter.is_ascii_alphabetic())?;
        let (day, rest) = word.split_at(letters);
        let (month, year) = rest.split_at_checked(3)?;
        let month = MONTHS.iter().position(|name| *name == month)?;
        let day = if day.is_empty() { None } else { Some(day.parse().ok()?) };
        let year = if year.is_empty() { None } else { Some(year.parse().ok()?) };
        Some(Self::Ends { day, month: i8::try_from(month).ok()? + 1, year })
    }

    /// Whether it is true of `row`.
    pub(super) fn fits(&self, row: &Instrument) -> bool {
        let Some(end) = row.expiry().map(|expiry| expiry.date) else { return false };
        let option = match &row.kind {
            InstrumentKind::Option { strike, side, .. } => Some((*strike, *side)),
            _ => None,
        };
        let in_year = |year: i16| end.year() == year || end.year() % 100 == year;
        match self {
            Self::Future => option.is_none(),
            Self::Side(wanted) => option.is_some_and(|(_, side)| side == *wanted),
            Self::On(date) => end == *date,
            Self::Number { strike, small } => {
                option.is_some_and(|(at, _)| Some(at) == *strike)
                    || i16::from(end.day()) == *small
                    || in_year(*small)
            }
            Self::Ends { day, month, year } => {
                end.month() == *month && day.is_none_or(|day| end.day() == day) && year.is_none_or(in_year)
            }
        }
    }
}
