//! What wishes come to on a given day at given prices.

use std::fmt;
use std::sync::Arc;

use jiff::civil::Date;
use market_model::{
    Exchange, InstrumentCatalog, InstrumentSlot, InstrumentToken, Mode, Price, SubscriptionSet, UnderlyingId,
    UnixNanos,
};
use subscription_store::{Expiries, Priority, Wish, WishId};

use crate::{ChainKey, ReferenceSource};

/// Every instrument that is wanted, and why.
#[derive(Debug, Clone, Default)]
pub struct Desired {
    pub(crate) wanted: Vec<Wanted>,
    pub(crate) claims: Vec<Claim>,
    pub(crate) wishes: Arc<[Wish]>,
    pub(crate) catalog: Arc<InstrumentCatalog>,
    pub(crate) account_names: Vec<Arc<str>>,
    pub(crate) unmet: Vec<Unmet>,
    pub(crate) ladders: Vec<LadderStanding>,
    pub(crate) watched: Vec<Watched>,
    pub(crate) valid_until: Option<UnixNanos>,
}

/// One instrument that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Which.
    pub token: InstrumentToken,
    /// Its underlying; what belongs together should be on one account.
    pub group: UnderlyingId,
    /// The richest mode any wish asks for.
    pub mode: Mode,
    /// The highest priority of its wishes.
    pub priority: Priority,
    pub(crate) account: Pinned,
    pub(crate) claims: (u32, u32),
}

/// The account an instrument is asked for on, by position among the names; of several wishes the highest priority's
/// word counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Pinned {
    Any,
    Prefer(u16),
    Only(u16),
}

/// A wish wants an instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) token: InstrumentToken,
    pub(crate) slot: InstrumentSlot,
    pub(crate) wish: u32,
    pub(crate) mode: Mode,
}

/// A chain whose price decides what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Watched {
    pub(crate) key: ChainKey,
    pub(crate) underlying: UnderlyingId,
    pub(crate) chain: usize,
}

/// Where the ladder of one wish stands on one expiry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LadderStanding {
    /// Whose.
    pub wish: WishId,
    /// Which options.
    pub chain: ChainKey,
    /// The strike in the middle.
    pub centre: Price,
    /// The lowest strike.
    pub lowest: Price,
    /// The highest strike.
    pub highest: Price,
    /// The price it follows; `None` while it stands on the centre kept from before.
    pub price: Option<(Price, ReferenceSource)>,
}

/// A wish, or a part of one, that cannot be met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmet {
    /// Whose.
    pub wish: WishId,
    /// Why.
    pub reason: UnmetReason,
}

/// Why a wish, or a part of one, cannot be met.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnmetReason {
    /// The exchange does not list the symbol today.
    UnknownSymbol {
        /// The exchange.
        exchange: Exchange,
        /// The symbol.
        symbol: Box<str>,
    },
    /// The exchange lists nothing.
    EmptyExchange {
        /// The exchange.
        exchange: Exchange,
    },
    /// The contract has ended.
    Expired {
        /// Symbol or underlying.
        name: Box<str>,
        /// Its last day.
        on: Date,
    },
    /// No derivatives carry the name.
    UnknownUnderlying {
        /// The name as it was asked for.
        name: Box<str>,
    },
    /// The underlying has no such expiry.
    NoExpiry {
        /// The underlying.
        underlying: Box<str>,
        /// What was asked for.
        expiries: Expiries,
    },
    /// Strikes wait for a first price; spot or future are subscribed to get it.
    WaitingForPrice {
        /// The underlying.
        underlying: Box<str>,
        /// The expiry.
        expiry: Date,
    },
    /// All wishes together name more instruments than can be thought about.
    TooMuch {
        /// The limit.
        most: usize,
    },
}

// === impl Desired ===

impl Desired {
    /// Every instrument, by token.
    pub fn wanted(&self) -> &[Wanted] {
        &self.wanted
    }

    /// How many instruments are wanted.
    pub fn len(&self) -> usize {
        self.wanted.len()
    }

    /// Whether nothing is wanted.
    pub fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    /// What is wanted, as a set.
    pub fn set(&self) -> SubscriptionSet {
        let each = self.wanted.iter();
        each.map(|wanted| market_model::Subscription { token: wanted.token, mode: wanted.mode }).collect()
    }

    /// What cannot be met.
    pub fn unmet(&self) -> &[Unmet] {
        &self.unmet
    }

    /// Where the ladders stand.
    pub fn ladders(&self) -> &[LadderStanding] {
        &self.ladders
    }

    /// The wishes it was made from.
    pub fn wishes(&self) -> &Arc<[Wish]> {
        &self.wishes
    }

    /// The catalog it was made with.
    pub fn catalog(&self) -> &Arc<InstrumentCatalog> {
        &self.catalog
    }

    /// When the first of what is wanted ends, so that it has to be made anew.
    pub const fn valid_until(&self) -> Option<UnixNanos> {
        self.valid_until
    }

    /// The wishes that want `token`, with the mode each asks for.
    pub fn wishes_for(&self, token: InstrumentToken) -> impl Iterator<Item = (&Wish, Mode)> {
        let claims = self.find(token).map_or(&[][..], |at| self.claims_of(at));
        claims.iter().map(|claim| (&self.wishes[claim.wish as usize], claim.mode))
    }

    pub(crate) fn find(&self, token: InstrumentToken) -> Option<usize> {
        self.wanted.binary_search_by_key(&token, |wanted| wanted.token).ok()
    }

    pub(crate) fn claims_of(&self, at: usize) -> &[Claim] {
        let (from, to) = self.wanted[at].claims;
        &self.claims[from as usize..to as usize]
    }
}

// === impl UnmetReason ===

impl fmt::Display for UnmetReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownSymbol { exchange, symbol } => {
                write!(f, "{exchange} does not list `{symbol}` today")
            }
            Self::EmptyExchange { exchange } => write!(f, "{exchange} lists nothing today"),
            Self::Expired { name, on } => write!(f, "`{name}` ended on {on}"),
            Self::UnknownUnderlying { name } => write!(f, "there is no underlying `{name}` today"),
            Self::NoExpiry { underlying, expiries } => {
                write!(f, "`{underlying}` has no expiry that is `{expiries}`")
            }
            Self::WaitingForPrice { underlying, expiry } => {
                write!(f, "the strikes of `{underlying}` {expiry} wait for a first price")
            }
            Self::TooMuch { most } => write!(f, "all wishes together name more than {most} instruments"),
        }
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wish `{}`: {}", self.wish, self.reason)
    }
}
