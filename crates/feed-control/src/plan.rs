//! Which account carries which instrument, and why.

use std::fmt;
use std::sync::Arc;

use market_model::{InstrumentToken, Mode, Subscription, SubscriptionSet};
use subscription_store::{Priority, WishId};

use crate::desired::Desired;
use crate::place::Placer;
use crate::{AccountSlot, AccountState};

/// Where instruments are: what the next plan changes as little as it can.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Assignments {
    /// Names of accounts that the homes speak of; also former ones.
    pub(crate) names: Vec<Arc<str>>,
    /// By token.
    pub(crate) homes: Vec<(InstrumentToken, Home)>,
}

/// The account of an instrument and how it came there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Home {
    pub(crate) account: u16,
    pub(crate) why: Why,
    pub(crate) moved: Option<(u16, MoveCause)>,
}

/// Why an instrument is on its account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// Its wish asks for this account and no other.
    Only,
    /// Its wish prefers this account, and it had room.
    Preferred,
    /// The rest of its underlying was there.
    WithUnderlying,
    /// The account had the least load for its weight.
    Lightest,
    /// Its underlying did not fit on any account whole.
    Split,
    /// It was there for a wish that is gone, and nothing made it leave.
    Stayed,
}

/// Why an instrument left an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MoveCause {
    /// The account was lost.
    Lost,
    /// The account was taken out of use.
    Draining,
    /// The account is not in the configuration any more.
    Removed,
    /// The account could carry less than before.
    Shrunk,
    /// Room was made for an instrument that can be nowhere else.
    Displaced,
    /// Its wish asks for another account now.
    Asked,
}

/// Why an instrument is on no account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusedWhy {
    /// All accounts are full, and it matters less than what they carry.
    Capacity,
    /// The only account it may be on is full.
    AccountFull,
    /// The only account it may be on is lost or going out of use.
    AccountAway,
    /// The only account it may be on does not exist.
    UnknownAccount,
}

/// What a plan did with an instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placement {
    On(Home),
    Refused(RefusedWhy),
}

/// Every wanted instrument on one account or refused.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(crate) desired: Arc<Desired>,
    pub(crate) accounts: Vec<AccountLoad>,
    pub(crate) names: Vec<Arc<str>>,
    pub(crate) placements: Vec<Placement>,
    pub(crate) changes: PlanChanges,
}

/// An account and what a plan puts on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountLoad {
    /// The account as the plan saw it.
    pub slot: AccountSlot,
    /// How many instruments it carries.
    pub tokens: usize,
}

/// How a plan differs from the one before, in instruments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PlanChanges {
    /// Still where they were.
    pub kept: usize,
    /// On an account for the first time.
    pub placed: usize,
    /// On another account than before.
    pub moved: usize,
    /// On none.
    pub refused: usize,
    /// No longer wanted.
    pub dropped: usize,
}

/// A wish that is met in part or not at all because accounts are full or away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Which wish.
    pub wish: WishId,
    /// Its priority.
    pub priority: Priority,
    /// How many of its instruments are on no account.
    pub refused: usize,
    /// How many it wants.
    pub of: usize,
    /// One of them.
    pub first: InstrumentToken,
    /// Why that one is on none.
    pub why: RefusedWhy,
}

/// Why an instrument is where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Which.
    pub token: InstrumentToken,
    /// Kite's name for it.
    pub tradingsymbol: Box<str>,
    /// Its account and the reason, or why it has none.
    pub placement: Result<Placed, RefusedWhy>,
    /// The mode it is streamed in.
    pub mode: Mode,
    /// Who wants it: wish, its text, and its owner.
    pub wishes: Vec<(WishId, String, Arc<str>)>,
}

/// The account of an instrument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Its name.
    pub account: Arc<str>,
    /// Why this one.
    pub why: Why,
    /// The account it was on before, and why it left.
    pub moved: Option<(Arc<str>, MoveCause)>,
}

/// Puts everything that is wanted on accounts.
///
/// The same arguments give the same plan on every machine. What `before` has on an account that is still usable stays
/// there; the rest goes, an underlying at a time and the largest first, where the load is least for the account's weight.
/// Only when accounts are full does anything else move or fall out: what matters least, and of equals what is not
/// streamed yet.
pub fn plan(desired: &Arc<Desired>, accounts: &[AccountSlot], before: &Assignments) -> Plan {
    Placer::new(desired, accounts, before).run(before)
}

// === impl Plan ===

impl Plan {
    /// What was to be placed.
    pub fn desired(&self) -> &Arc<Desired> {
        &self.desired
    }

    /// The accounts by name, with their loads.
    pub fn accounts(&self) -> &[AccountLoad] {
        &self.accounts
    }

    /// How it differs from the plan before.
    pub const fn changes(&self) -> PlanChanges {
        self.changes
    }

    /// The account that carries `token`.
    pub fn account_of(&self, token: InstrumentToken) -> Option<&Arc<str>> {
        match self.placements[self.desired.find(token)?] {
            Placement::On(home) => Some(&self.names[usize::from(home.account)]),
            Placement::Refused(_) => None,
        }
    }

    /// What each account carries, in the order of [`accounts`](Self::accounts).
    pub fn sets(&self) -> Vec<SubscriptionSet> {
        let mut sets = vec![SubscriptionSet::new(); self.accounts.len()];
        for (wanted, placement) in self.desired.wanted.iter().zip(&self.placements) {
            if let Placement::On(home) = placement {
                sets[usize::from(home.account)].insert(wanted.token, wanted.mode);
            }
        }
        sets
    }

    /// Everything on an account, with the account's position in [`accounts`](Self::accounts).
    pub fn placed(&self) -> impl Iterator<Item = (Subscription, usize)> {
        self.desired.wanted.iter().zip(&self.placements).filter_map(|(wanted, placement)| match placement {
            Placement::On(home) => {
                let subscription = Subscription { token: wanted.token, mode: wanted.mode };
                Some((subscription, usize::from(home.account)))
            }
            Placement::Refused(_) => None,
        })
    }

    /// Where everything is, for the next plan.
    pub fn assignments(&self) -> Assignments {
        let mut names: Vec<Arc<str>> = Vec::new();
        let mut short = vec![None; self.names.len()];
        let mut name = |long: u16| {
            *short[usize::from(long)].get_or_insert_with(|| {
                names.push(self.names[usize::from(long)].clone());
                (names.len() - 1) as u16
            })
        };
        let mut homes = Vec::with_capacity(self.placements.len());
        for (wanted, placement) in self.desired.wanted.iter().zip(&self.placements) {
            if let Placement::On(home) = placement {
                let moved = home.moved.map(|(from, cause)| (name(from), cause));
                homes.push((wanted.token, Home { account: name(home.account), moved, ..*home }));
            }
        }
        Assignments { names, homes }
    }

    /// The wishes that are met in part or not at all, the most important first.
    pub fn refusals(&self) -> Vec<Refusal> {
        if self.changes.refused == 0 {
            return Vec::new();
        }
        let wishes = &self.desired.wishes;
        let mut counts = vec![(0, 0, None); wishes.len()];
        for (at, placement) in self.placements.iter().enumerate() {
            for claim in self.desired.claims_of(at) {
                let (refused, of, why) = &mut counts[claim.wish as usize];
                *of += 1;
                if let Placement::Refused(reason) = placement {
                    *refused += 1;
                    why.get_or_insert((self.desired.wanted[at].token, *reason));
                }
            }
        }
        let mut refusals: Vec<Refusal> = wishes
            .iter()
            .zip(counts)
            .filter_map(|(wish, (refused, of, why))| {
                let (wish, priority) = (wish.id.clone(), wish.spec.priority);
                let (first, why) = why?;
                Some(Refusal { wish, priority, refused, of, first, why })
            })
            .collect();
        refusals.sort_by(|a, b| b.priority.cmp(&a.priority).then_with(|| a.wish.cmp(&b.wish)));
        refusals
    }

    /// Why `token` is where it is; `None` when nobody wants it.
    pub fn explain(&self, token: InstrumentToken) -> Option<Explanation> {
        let at = self.desired.find(token)?;
        let placement = match self.placements[at] {
            Placement::On(Home { account, why, moved }) => {
                let name = |at: u16| self.names[usize::from(at)].clone();
                Ok(Placed {
                    account: name(account),
                    why,
                    moved: moved.map(|(from, cause)| (name(from), cause)),
                })
            }
            Placement::Refused(why) => Err(why),
        };
        let wishes = self.desired.wishes_for(token);
        let tradingsymbol = self.desired.catalog.by_token(token)?.tradingsymbol.clone();
        Some(Explanation {
            token,
            tradingsymbol,
            placement,
            mode: self.desired.wanted[at].mode,
            wishes: wishes
                .map(|(wish, _)| (wish.id.clone(), wish.spec.to_string(), wish.spec.owner.clone()))
                .collect(),
        })
    }

    /// Whether an account that was usable in this plan is not in `now`, or is no longer this instance's: a reason to
    /// plan at once.
    pub(crate) fn has_lost(&self, now: &[AccountSlot]) -> bool {
        self.accounts.iter().any(|load| {
            let before = &load.slot;
            let now = now.iter().find(|slot| slot.id == before.id);
            before.is_usable() && now.is_none_or(|now| !now.is_usable() || now.held != before.held)
        })
    }
}

// === impl Assignments ===

impl Assignments {
    /// How many instruments it knows the account of.
    pub fn len(&self) -> usize {
        self.homes.len()
    }

    /// Whether nothing is anywhere.
    pub fn is_empty(&self) -> bool {
        self.homes.is_empty()
    }
}

// === impl words ===

impl Why {
    /// The reason as a clause.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Only => "its wish asks for this account and no other",
            Self::Preferred => "its wish prefers this account",
            Self::WithUnderlying => "the rest of its underlying was there",
            Self::Lightest => "the account had the least load for its weight",
            Self::Split => "its underlying did not fit on any account whole",
            Self::Stayed => "it was there for a wish that is gone",
        }
    }
}

impl MoveCause {
    /// The cause as a clause.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "was lost",
            Self::Draining => "was taken out of use",
            Self::Removed => "left the configuration",
            Self::Shrunk => "could carry less than before",
            Self::Displaced => "had to make room",
            Self::Asked => "is not the one its wish asks for",
        }
    }
}

impl RefusedWhy {
    /// The reason as a clause.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Capacity => "all accounts are full and what they carry matters more",
            Self::AccountFull => "the only account it may be on is full",
            Self::AccountAway => "the only account it may be on is lost or going out of use",
            Self::UnknownAccount => "the only account it may be on does not exist",
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}) is ", self.token, self.tradingsymbol)?;
        match &self.placement {
            Ok(placed) => {
                write!(f, "on `{}` in mode {}: {}", placed.account, self.mode.as_str(), placed.why.as_str())?;
                if let Some((from, cause)) = &placed.moved {
                    write!(f, "; it came from `{from}`, which {}", cause.as_str())?;
                }
            }
            Err(why) => write!(f, "on no account: {}", why.as_str())?,
        }
        f.write_str("; wanted by")?;
        self.wishes.iter().enumerate().try_for_each(|(at, (id, text, owner))| {
            write!(f, "{} `{id}` of {owner} ({text})", if at == 0 { "" } else { "," })
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wish, priority, refused, of, why, .. } = self;
        write!(f, "wish `{wish}` (priority {}): {refused} of {of} instruments on no account: ", priority.0)?;
        f.write_str(why.as_str())
    }
}

impl AccountLoad {
    /// Instruments it could carry beyond those it has.
    pub(crate) fn room(&self) -> usize {
        match self.slot.state {
            AccountState::Ready => self.slot.capacity.saturating_sub(self.tokens),
            AccountState::Lost(_) | AccountState::Draining => 0,
        }
    }
}

#[cfg(test)]
mod tests;
