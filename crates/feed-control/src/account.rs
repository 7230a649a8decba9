//! Accounts as the planner sees them.

use std::sync::Arc;

/// An account that can carry instruments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountSlot {
    /// Its name in the configuration.
    pub id: Arc<str>,
    /// How many instruments it can carry: connections times instruments of each.
    pub capacity: usize,
    /// Its share of the load beside the others, 100 usually. With 50 it gets half as much.
    pub weight: u32,
    /// Whether it can be used. Every instance must see the same.
    pub state: AccountState,
    /// Whether this instance streams it (holds its lease). Only such accounts are told anything here; the plan is
    /// the same whoever holds them.
    pub held: bool,
}

/// Whether an account can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountState {
    /// It streams, or will as soon as it is told what.
    Ready,
    /// It does not stream, and why: its instruments go elsewhere at once.
    Lost(Arc<str>),
    /// It is being taken out of use: it gets nothing new, and what it has goes elsewhere as far as there is room.
    Draining,
}

impl AccountSlot {
    /// A ready account of this instance with the usual weight.
    pub fn ready(id: &str, capacity: usize) -> Self {
        Self { id: id.into(), capacity, weight: 100, state: AccountState::Ready, held: true }
    }

    /// Whether it may keep what it has.
    pub const fn is_usable(&self) -> bool {
        !matches!(self.state, AccountState::Lost(_))
    }

    /// Whether it may get more.
    pub const fn is_ready(&self) -> bool {
        matches!(self.state, AccountState::Ready)
    }
}

impl AccountState {
    /// A word for pages and logs.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Lost(_) => "lost",
            Self::Draining => "draining",
        }
    }
}
