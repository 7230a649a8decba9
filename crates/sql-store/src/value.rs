//! What goes into a statement and what comes out of it.

use crate::StoreError;

/// The kinds of value both engines keep without loss. A truth value is an [`Kind::Int`] of 0 or 1, an instant one of
/// microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `bigint`.
    Int,
    /// `double precision`.
    Real,
    /// `text`.
    Text,
    /// `bytea`.
    Blob,
}

/// One value of a parameter or a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Absent.
    Null,
    /// A whole number.
    Int(i64),
    /// A number with a fraction; not NaN.
    Real(f64),
    /// Text without NUL.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// One row of an answer; columns count from 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub(crate) statement: &'static str,
    pub(crate) values: Vec<Value>,
}

// === impl Kind ===

impl Kind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Real => "real",
            Self::Text => "text",
            Self::Blob => "blob",
        }
    }
}

// === impl Value ===

impl Value {
    /// What is wrong with this value as a parameter of kind `kind`.
    pub(crate) fn misfit(&self, kind: Kind) -> Option<String> {
        match (self, kind) {
            // One engine keeps NaN as null and takes NUL in text, the other does not: both refuse.
            (Self::Real(real), Kind::Real) if real.is_nan() => Some("is not a number".to_owned()),
            (Self::Text(text), Kind::Text) if text.contains('\0') => Some("holds a NUL byte".to_owned()),
            (Self::Null, _)
            | (Self::Int(_), Kind::Int)
            | (Self::Real(_), Kind::Real)
            | (Self::Text(_), Kind::Text)
            | (Self::Blob(_), Kind::Blob) => None,
            _ => Some(format!("is {}, the statement takes {}", self.kind(), kind.as_str())),
        }
    }

    const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Int(_) => Kind::Int.as_str(),
            Self::Real(_) => Kind::Real.as_str(),
            Self::Text(_) => Kind::Text.as_str(),
            Self::Blob(_) => Kind::Blob.as_str(),
        }
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Self::Int(value.into())
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Int(value.into())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Int(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Self::Blob(value)
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::Blob(value.to_vec())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

// === impl Row ===

impl Row {
    /// A whole number.
    ///
    /// # Errors
    /// [`StoreError::Column`] when the column is absent, null or of another kind; so for all that follow.
    pub fn int(&self, column: usize) -> Result<i64, StoreError> {
        self.opt_int(column)?.ok_or_else(|| self.wrong(column, "int"))
    }

    /// A truth value kept as 0 or 1.
    ///
    /// # Errors
    /// As [`Row::int`], and for any other number.
    pub fn bool(&self, column: usize) -> Result<bool, StoreError> {
        match self.int(column)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.wrong(column, "0 or 1")),
        }
    }

    /// A number with a fraction.
    ///
    /// # Errors
    /// As [`Row::int`].
    pub fn real(&self, column: usize) -> Result<f64, StoreError> {
        self.opt_real(column)?.ok_or_else(|| self.wrong(column, "real"))
    }

    /// Text.
    ///
    /// # Errors
    /// As [`Row::int`].
    pub fn text(&self, column: usize) -> Result<&str, StoreError> {
        self.opt_text(column)?.ok_or_else(|| self.wrong(column, "text"))
    }

    /// Bytes.
    ///
    /// # Errors
    /// As [`Row::int`].
    pub fn blob(&self, column: usize) -> Result<&[u8], StoreError> {
        self.opt_blob(column)?.ok_or_else(|| self.wrong(column, "blob"))
    }

    /// A whole number or null.
    ///
    /// # Errors
    /// [`StoreError::Column`] when the column is absent or of another kind; so for all that follow.
    pub fn opt_int(&self, column: usize) -> Result<Option<i64>, StoreError> {
        match self.values.get(column) {
            Some(Value::Int(value)) => Ok(Some(*value)),
            Some(Value::Null) => Ok(None),
            _ => Err(self.wrong(column, "int or null")),
        }
    }

    /// A number with a fraction or null.
    ///
    /// # Errors
    /// As [`Row::opt_int`].
    pub fn opt_real(&self, column: usize) -> Result<Option<f64>, StoreError> {
        match self.values.get(column) {
            Some(Value::Real(value)) => Ok(Some(*value)),
            Some(Value::Null) => Ok(None),
            _ => Err(self.wrong(column, "real or null")),
        }
    }

    /// Text or null.
    ///
    /// # Errors
    /// As [`Row::opt_int`].
    pub fn opt_text(&self, column: usize) -> Result<Option<&str>, StoreError> {
        match self.values.get(column) {
            Some(Value::Text(value)) => Ok(Some(value)),
            Some(Value::Null) => Ok(None),
            _ => Err(self.wrong(column, "text or null")),
        }
    }

    /// Bytes or null.
    ///
    /// # Errors
    /// As [`Row::opt_int`].
    pub fn opt_blob(&self, column: usize) -> Result<Option<&[u8]>, StoreError> {
        match self.values.get(column) {
            Some(Value::Blob(value)) => Ok(Some(value)),
            Some(Value::Null) => Ok(None),
            _ => Err(self.wrong(column, "blob or null")),
        }
    }

    /// Every value in the order of the columns.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    fn wrong(&self, column: usize, wanted: &'static str) -> StoreError {
        let found = self.values.get(column).map_or("absent", Value::kind);
        StoreError::Column { statement: self.statement, column, wanted, found }
    }
}
