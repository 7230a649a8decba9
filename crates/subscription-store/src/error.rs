//! Why a wish could not be kept, changed or read.

use crate::WishId;

/// What went wrong with a wish.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WishError {
    /// It cannot be understood, or no text could say it.
    #[error("{reason}")]
    Invalid {
        /// What is wrong.
        reason: String,
    },
    /// There is no such wish.
    #[error("there is no wish `{id}`")]
    NotFound {
        /// The id.
        id: WishId,
    },
    /// Another wish has this id.
    #[error("the id `{id}` is taken by a wish of version {current}; change that one or take another id")]
    AlreadyExists {
        /// The id.
        id: WishId,
        /// The version of the wish that has it.
        current: u64,
    },
    /// Somebody changed the wish meanwhile.
    #[error("wish `{id}` is at version {current}, not {given}; read it again and decide anew")]
    Stale {
        /// The id.
        id: WishId,
        /// The version the change was made for.
        given: u64,
        /// The version it has.
        current: u64,
    },
    /// The owner has as many wishes as allowed.
    #[error("`{owner}` has {most} wishes, the most allowed; delete one or widen one")]
    TooManyOfOwner {
        /// Whose.
        owner: Box<str>,
        /// The limit.
        most: usize,
    },
    /// All owners together have as many wishes as allowed.
    #[error("there are {most} wishes, the most allowed; delete one or widen one")]
    TooMany {
        /// The limit.
        most: usize,
    },
    /// A row was written by a newer version, or by hand.
    #[error("wish `{id}` cannot be read: {reason}; upgrade or delete it")]
    Unreadable {
        /// The id as it is kept.
        id: Box<str>,
        /// What is wrong with it.
        reason: String,
    },
    /// Another instance has kept a newer plan.
    #[error("the plan kept is of generation {current}, not {given}")]
    StalePlan {
        /// The generation the new one was made from.
        given: u64,
        /// The generation that is kept.
        current: u64,
    },
    /// Another writer was faster several times in a row, or the database did not do as told.
    #[error("the wish could not be written because others write all the time; try again")]
    Contended,
    /// The database did not do it.
    #[error("wishes cannot be reached: {reason}")]
    Unavailable {
        /// What the database said.
        reason: String,
    },
}

impl WishError {
    /// Whether asking for something else would help, as opposed to waiting: the 4xx of an API.
    pub const fn is_callers(&self) -> bool {
        !matches!(self, Self::Contended | Self::Unavailable { .. })
    }
}
