//! What a wish is.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use jiff::civil::Date;
use market_model::{Exchange, Mode};

use crate::WishError;

/// Ids that begin so belong to wishes of the configuration, which are never stored.
const CONFIGURED: &str = "environment.";
/// No name is longer than this; a payload that shows a hundred of them stays readable.
pub(crate) const LONGEST_NAME: usize = 64;
/// Strikes either side of the money; no chain has more.
pub(crate) const WIDEST_LADDER: u16 = 500;
/// Expiries of one ladder.
pub(crate) const MOST_EXPIRIES: usize = 50;

/// The exchanges a wish may name.
pub(crate) const EXCHANGES: [Exchange; 10] = [
    Exchange::Nse,
    Exchange::Bse,
    Exchange::Nfo,
    Exchange::Bfo,
    Exchange::Cds,
    Exchange::Bcd,
    Exchange::Mcx,
    Exchange::Nco,
    Exchange::Global,
    Exchange::NseIx,
];

/// Names a wish: 1 to 64 of `a-z`, `0-9`, `.`, `_`, `-`. Chosen by the caller or random.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WishId(Arc<str>);

/// How much a wish matters: when accounts cannot carry everything, the lowest number goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(pub u8);

impl Default for Priority {
    /// 100, so that there is room above and below.
    fn default() -> Self {
        Self(100)
    }
}

/// Which account a wish would like to be streamed over.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum AccountPreference {
    /// Whichever has room.
    #[default]
    Any,
    /// This one when it has room at the moment the instrument is placed. What is placed stays where it is.
    Prefer(Arc<str>),
    /// This one or none.
    Only(Arc<str>),
}

/// A wish as somebody writes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WishSpec {
    /// Who wants it: a strategy, a person, a part of the gateway.
    pub owner: Arc<str>,
    /// How much it matters.
    pub priority: Priority,
    /// How much of each tick is wanted.
    pub mode: Mode,
    /// Over which account.
    pub account: AccountPreference,
    /// What is wanted.
    pub what: What,
}

/// A wish as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Its name.
    pub id: WishId,
    /// Grows with every change, and never comes back, not even when the wish is deleted and made again.
    pub version: u64,
    /// What it asks for.
    pub spec: WishSpec,
}

/// What can be wanted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum What {
    /// One instrument.
    Instrument {
        /// Where it is listed.
        exchange: Exchange,
        /// Kite's name for it.
        tradingsymbol: Box<str>,
    },
    /// Everything an exchange lists.
    Exchange {
        /// Which.
        exchange: Exchange,
    },
    /// Options near the money, and what they are written on.
    Ladder(Ladder),
}

/// Options near the money of some expiries of an underlying. The ladder follows the market.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ladder {
    /// Where its options are listed; needed only where several exchanges have the name (`GOLD` on MCX and NCO).
    pub exchange: Option<Exchange>,
    /// The name derivatives carry, such as `NIFTY`.
    pub underlying: Box<str>,
    /// Which expiries.
    pub expiries: Expiries,
    /// How many strikes either side of the one nearest to the forward.
    pub around: u16,
    /// Calls, puts or both.
    pub sides: Sides,
    /// Its futures too.
    pub futures: bool,
    /// The index or share itself too.
    pub spot: bool,
}

/// Which expiries of an underlying. Days are those of India.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Expiries {
    /// The nearest ones that have not ended; the next one moves in when one ends.
    Nearest {
        /// How many; with none only spot and futures are wanted.
        count: u8,
        /// Of which kind.
        cycle: ExpiryCycle,
    },
    /// These days, in ascending order, each until it has ended.
    Dates(Vec<Date>),
}

/// Kinds of expiries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ExpiryCycle {
    /// Every expiry.
    #[default]
    Any,
    /// Those that are not the last of their month.
    Weekly,
    /// The last of each month.
    Monthly,
}

/// Which options of a strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Sides {
    /// Call and put.
    #[default]
    Both,
    /// Calls only.
    Calls,
    /// Puts only.
    Puts,
}

// === impl WishId ===

impl WishId {
    /// The id written as `text`.
    ///
    /// # Errors
    /// [`WishError::Invalid`] when it has other characters, is empty, too long, or begins like those of the
    /// configuration.
    pub fn new(text: &str) -> Result<Self, WishError> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        if text.is_empty() || text.len() > LONGEST_NAME || !text.bytes().all(allowed) {
            let reason = format!("the id `{}` is not 1 to 64 of a-z 0-9 . _ -", text.escape_debug());
            return Err(WishError::Invalid { reason });
        }
        if text.starts_with(CONFIGURED) {
            let reason = format!("ids that begin with `{CONFIGURED}` belong to the configuration");
            return Err(WishError::Invalid { reason });
        }
        Ok(Self(text.into()))
    }

    /// An id nobody has used: 128 random bits.
    pub fn random() -> Self {
        let half = || RandomState::new().build_hasher().finish();
        Self(format!("{:016x}{:016x}", half(), half()).into())
    }

    /// The id of the wish at position `at` of the configuration.
    pub fn configured(at: usize) -> Self {
        Self(format!("{CONFIGURED}{}", at + 1).into())
    }

    /// Whether it names a wish of the configuration.
    pub fn is_configured(&self) -> bool {
        self.0.starts_with(CONFIGURED)
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WishId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

// === impl WishSpec ===

impl WishSpec {
    /// `what` in full mode for `owner`, with the usual priority, over any account.
    pub fn new(owner: &str, what: What) -> Self {
        Self {
            owner: owner.into(),
            priority: Priority::default(),
            mode: Mode::Full,
            account: AccountPreference::Any,
            what,
        }
    }

    /// Whether it can be kept and written as text. What it names may still not exist.
    ///
    /// # Errors
    /// [`WishError::Invalid`] with the first thing that is wrong.
    pub fn check(&self) -> Result<(), WishError> {
        let problem = check_name("owner", &self.owner)
            .or_else(|| self.account.name().and_then(|name| check_name("account", name)))
            .or_else(|| self.what.problem());
        match problem {
            None => Ok(()),
            Some(reason) => Err(WishError::Invalid { reason }),
        }
    }
}

// === impl AccountPreference ===

impl AccountPreference {
    /// The account it names.
    pub fn name(&self) -> Option<&Arc<str>> {
        match self {
            Self::Any => None,
            Self::Prefer(name) | Self::Only(name) => Some(name),
        }
    }
}

// === impl What ===

impl What {
    fn problem(&self) -> Option<String> {
        match self {
            Self::Instrument { exchange, tradingsymbol } => {
                check_exchange(exchange).or_else(|| match &**tradingsymbol {
                    "*" => Some("a symbol is not `*`: that is the whole exchange".to_owned()),
                    symbol => check_name("symbol", symbol),
                })
            }
            Self::Exchange { exchange } => check_exchange(exchange),
            Self::Ladder(ladder) => ladder.problem(),
        }
    }
}

// === impl Ladder ===

impl Ladder {
    /// Both sides of the strikes around the money, with spot and futures.
    pub fn new(underlying: &str, expiries: Expiries, around: u16) -> Self {
        Self {
            exchange: None,
            underlying: underlying.into(),
            expiries,
            around,
            sides: Sides::Both,
            futures: true,
            spot: true,
        }
    }

    fn problem(&self) -> Option<String> {
        let name = &*self.underlying;
        if let Some(problem) = check_name("underlying", name) {
            return Some(problem);
        }
        if name.contains('/') {
            return Some(format!("the underlying `{name}` has a `/`"));
        }
        match &self.exchange {
            Some(exchange) if !EXCHANGES.contains(exchange) => return check_exchange(exchange),
            // `BSE:1:10` would be an instrument of the exchange.
            None if is_exchange(name) => {
                return Some(format!("`{name}` is an exchange too; say where its options are: NFO/{name}"));
            }
            _ => {}
        }
        if self.around > WIDEST_LADDER {
            return Some(format!("{} strikes either side are more than {WIDEST_LADDER}", self.around));
        }
        match &self.expiries {
            Expiries::Nearest { count, .. } if usize::from(*count) > MOST_EXPIRIES => {
                Some(format!("{count} expiries are more than {MOST_EXPIRIES}"))
            }
            Expiries::Dates(dates) if dates.is_empty() || dates.len() > MOST_EXPIRIES => {
                Some(format!("{} expiry dates are not 1 to {MOST_EXPIRIES}", dates.len()))
            }
            Expiries::Dates(dates) if !dates.is_sorted_by(|a, b| a < b) => {
                Some("expiry dates are not in ascending order".to_owned())
            }
            Expiries::Dates(dates) if dates.iter().any(|date| !(2000..=2100).contains(&date.year())) => {
                Some("an expiry date is not between the years 2000 and 2100".to_owned())
            }
            _ => None,
        }
    }
}

// === impl ExpiryCycle, Sides ===

impl Sides {
    /// Whether calls are wanted.
    pub const fn calls(self) -> bool {
        matches!(self, Self::Both | Self::Calls)
    }

    /// Whether puts are wanted.
    pub const fn puts(self) -> bool {
        matches!(self, Self::Both | Self::Puts)
    }
}

pub(crate) fn is_exchange(word: &str) -> bool {
    EXCHANGES.iter().any(|exchange| exchange.as_str() == word)
}

fn check_exchange(exchange: &Exchange) -> Option<String> {
    let known = EXCHANGES.contains(exchange);
    (!known).then(|| format!("there is no exchange `{}`", exchange.as_str().escape_debug()))
}

/// What separates the parts of a wish's text cannot be in a name.
fn check_name(what: &str, name: &str) -> Option<String> {
    let shown = || name.escape_debug().to_string();
    if name.is_empty() {
        Some(format!("the {what} is empty"))
    } else if name.len() > LONGEST_NAME {
        Some(format!("the {what} has more than {LONGEST_NAME} bytes"))
    } else if name.trim() != name {
        Some(format!("the {what} `{}` begins or ends with a space", shown()))
    } else if name.chars().any(|c| c.is_control() || matches!(c, ',' | ':' | '=')) {
        Some(format!("the {what} `{}` has a comma, a colon, an equals or a control character", shown()))
    } else {
        None
    }
}
