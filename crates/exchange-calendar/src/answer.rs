//! What a question to the calendar can come back with.

/// An answer from the tables, or the admission that they do not reach that far.
///
/// `Unknown` never means "no": a day outside the tables may well be a trading day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use]
pub enum Answer<T> {
    /// The tables say so.
    Known(T),
    /// Outside the tables, or the exchange had not published it when they were written.
    Unknown,
}

/// A value together with where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fact<'a, T> {
    /// The value itself.
    pub value: T,
    /// The circular or notice that says so.
    pub source: &'a str,
    /// What is not certain about it; `None` when nothing is.
    pub doubt: Option<&'a str>,
}

// === impl Answer ===

impl<T> Answer<T> {
    /// The value, when there is one.
    pub fn known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown => None,
        }
    }

    /// Whether the tables had an answer.
    pub const fn is_known(&self) -> bool {
        matches!(self, Self::Known(_))
    }

    /// The answer with its value changed.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Answer<U> {
        self.known().map(change).into()
    }
}

impl<T> Answer<Fact<'_, T>> {
    /// The bare value, when source and doubt do not matter.
    pub fn value(self) -> Answer<T> {
        self.map(|fact| fact.value)
    }
}

impl<T> From<Option<T>> for Answer<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Unknown, Self::Known)
    }
}
