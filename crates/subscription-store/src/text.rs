//! Wishes as people write them: `NIFTY:2w:25:full`, `NSE:INFY:quote`, `NSE:*:ltp`.
//!
//! ```text
//! instrument  EXCHANGE:SYMBOL[:mode][:option...]
//! exchange    EXCHANGE:*[:mode][:option...]
//! ladder      [EXCHANGE/]UNDERLYING[:expiries[:strikes[:mode]]][:option...]
//! expiries    2 | 2w | 2m | 2026-11-24+2026-12-29
//! option      priority=N | prefer=ACCOUNT | only=ACCOUNT, and of ladders calls | puts | nofutures | nospot
//! ```

use std::fmt;

use jiff::civil::Date;
use market_model::{Exchange, Mode};

use crate::wish::{MOST_EXPIRIES, WIDEST_LADDER, is_exchange};
use crate::{AccountPreference, Expiries, ExpiryCycle, Ladder, Priority, Sides, What, WishError, WishSpec};

/// Reads a comma-separated list of wishes for `owner`.
///
/// # Errors
/// One line per wish that cannot be read.
pub fn parse_wishes(owner: &str, text: &str) -> Result<Vec<WishSpec>, Vec<String>> {
    let (mut wishes, mut problems) = (Vec::new(), Vec::new());
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match WishSpec::parse(owner, word) {
            Ok(wish) => wishes.push(wish),
            Err(problem) => problems.push(format!("`{}`: {problem}", word.escape_debug())),
        }
    }
    if problems.is_empty() { Ok(wishes) } else { Err(problems) }
}

impl WishSpec {
    /// Reads one wish for `owner`.
    ///
    /// # Errors
    /// [`WishError::Invalid`] with what is wrong.
    pub fn parse(owner: &str, text: &str) -> Result<Self, WishError> {
        let spec = parse(owner, text).map_err(|reason| WishError::Invalid { reason })?;
        spec.check()?;
        Ok(spec)
    }
}

impl What {
    /// Reads what [`What`]'s `Display` wrote.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        parse("-", text).map(|spec| spec.what)
    }
}

fn parse(owner: &str, text: &str) -> Result<WishSpec, String> {
    let mut parts = text.split(':').map(str::trim).peekable();
    let head = parts.next().unwrap_or_default();
    let mut spec = if is_exchange(head) {
        let exchange = Exchange::from_word(head);
        let what = match parts.next() {
            None | Some("") => return Err("the symbol is empty".to_owned()),
            Some("*") => What::Exchange { exchange },
            Some(symbol) => What::Instrument { exchange, tradingsymbol: symbol.into() },
        };
        WishSpec::new(owner, what)
    } else {
        let (exchange, underlying) = match head.split_once('/') {
            Some((exchange, name)) if is_exchange(exchange) => (Some(Exchange::from_word(exchange)), name),
            Some((exchange, _)) => return Err(format!("there is no exchange `{exchange}`")),
            None => (None, head),
        };
        if underlying.is_empty() {
            return Err("the underlying is empty".to_owned());
        }
        let mut positional = || parts.next_if(|part| !is_option(part));
        let expiries = positional().map_or(Ok(Expiries::nearest(1)), parse_expiries)?;
        let around = positional().map_or(Ok(10), parse_strikes)?;
        WishSpec::new(owner, What::Ladder(Ladder { exchange, ..Ladder::new(underlying, expiries, around) }))
    };
    if let Some(mode) = parts.next_if(|part| !is_option(part)) {
        let known = Mode::from_word(mode);
        spec.mode = known.ok_or_else(|| format!("the mode is ltp, quote or full, not `{mode}`"))?;
    }
    for option in parts {
        apply(&mut spec, option)?;
    }
    Ok(spec)
}

fn is_option(part: &str) -> bool {
    part.contains('=') || matches!(part, "calls" | "puts" | "nofutures" | "nospot")
}

fn apply(spec: &mut WishSpec, option: &str) -> Result<(), String> {
    let unknown = || {
        format!(
            "`{option}` is none of priority=, prefer=, only=, and of a ladder calls, puts, nofutures, nospot"
        )
    };
    match (option.split_once('='), &mut spec.what) {
        (Some(("priority", number)), _) => {
            let problem = || format!("the priority is a number from 0 to 255, not `{number}`");
            spec.priority = Priority(number.parse().map_err(|_| problem())?);
        }
        (Some(("prefer", account)), _) => spec.account = AccountPreference::Prefer(account.into()),
        (Some(("only", account)), _) => spec.account = AccountPreference::Only(account.into()),
        (None, What::Ladder(ladder)) => match option {
            "calls" => ladder.sides = Sides::Calls,
            "puts" => ladder.sides = Sides::Puts,
            "nofutures" => ladder.futures = false,
            "nospot" => ladder.spot = false,
            _ => return Err(unknown()),
        },
        _ => return Err(unknown()),
    }
    Ok(())
}

fn parse_expiries(word: &str) -> Result<Expiries, String> {
    if word.contains('-') {
        let read =
            |day: &str| day.parse::<Date>().map_err(|_| format!("`{day}` is not a date such as 2026-11-24"));
        let mut dates = word.split('+').map(read).collect::<Result<Vec<_>, _>>()?;
        dates.sort_unstable();
        dates.dedup();
        return Ok(Expiries::Dates(dates));
    }
    let (number, cycle) = match word.as_bytes().last() {
        Some(b'w') => (&word[..word.len() - 1], ExpiryCycle::Weekly),
        Some(b'm') => (&word[..word.len() - 1], ExpiryCycle::Monthly),
        _ => (word, ExpiryCycle::Any),
    };
    match number.parse::<u8>() {
        Ok(count) if usize::from(count) <= MOST_EXPIRIES => Ok(Expiries::Nearest { count, cycle }),
        _ => Err(format!("the number of expiries is a number from 0 to {MOST_EXPIRIES}, not `{word}`")),
    }
}

fn parse_strikes(word: &str) -> Result<u16, String> {
    let number = word.parse::<u16>().ok().filter(|number| *number <= WIDEST_LADDER);
    number.ok_or_else(|| format!("the number of strikes is a number from 0 to {WIDEST_LADDER}, not `{word}`"))
}

// === impl Expiries ===

impl Expiries {
    /// The nearest `count` of every kind.
    pub const fn nearest(count: u8) -> Self {
        Self::Nearest { count, cycle: ExpiryCycle::Any }
    }
}

// === impl Display ===

impl fmt::Display for Expiries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nearest { count, cycle: ExpiryCycle::Any } => count.fmt(f),
            Self::Nearest { count, cycle: ExpiryCycle::Weekly } => write!(f, "{count}w"),
            Self::Nearest { count, cycle: ExpiryCycle::Monthly } => write!(f, "{count}m"),
            Self::Dates(dates) => dates.iter().enumerate().try_for_each(|(at, date)| {
                if at > 0 {
                    f.write_str("+")?;
                }
                date.fmt(f)
            }),
        }
    }
}

impl fmt::Display for What {
    /// The text without a mode: `NSE:INFY`, `NSE:*`, `NIFTY:2w:25:calls`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, None)
    }
}

impl fmt::Display for WishSpec {
    /// The shortest text that [`WishSpec::parse`] reads as the same wish of the same owner.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.what.write(f, Some(self.mode))?;
        if self.priority != Priority::default() {
            write!(f, ":priority={}", self.priority.0)?;
        }
        match &self.account {
            AccountPreference::Any => Ok(()),
            AccountPreference::Prefer(account) => write!(f, ":prefer={account}"),
            AccountPreference::Only(account) => write!(f, ":only={account}"),
        }
    }
}

impl What {
    fn write(&self, f: &mut fmt::Formatter<'_>, mode: Option<Mode>) -> fmt::Result {
        match self {
            Self::Instrument { exchange, tradingsymbol } => write!(f, "{exchange}:{tradingsymbol}")?,
            Self::Exchange { exchange } => write!(f, "{exchange}:*")?,
            Self::Ladder(Ladder { exchange, underlying, expiries, around, .. }) => {
                if let Some(exchange) = exchange {
                    write!(f, "{exchange}/")?;
                }
                write!(f, "{underlying}:{expiries}:{around}")?;
            }
        }
        if let Some(mode) = mode {
            write!(f, ":{}", mode.as_str())?;
        }
        let Self::Ladder(ladder) = self else { return Ok(()) };
        f.write_str(match ladder.sides {
            Sides::Both => "",
            Sides::Calls => ":calls",
            Sides::Puts => ":puts",
        })?;
        f.write_str(if ladder.futures { "" } else { ":nofutures" })?;
        f.write_str(if ladder.spot { "" } else { ":nospot" })
    }
}

#[cfg(test)]
mod tests;
