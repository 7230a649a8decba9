//! What can go wrong here: little, because everything is in memory.

/// An error of feed control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FeedControlError {
    /// A kept plan was written by another version, or is damaged.
    #[error("the kept plan cannot be read; a new one is made, which may move instruments between accounts")]
    Footing,
}
