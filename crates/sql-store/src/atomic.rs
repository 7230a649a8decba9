//! Several statements that happen together or not at all.

use crate::{Row, Statement, StoreError, Value};

/// Statements for [`Database::atomic`](crate::Database::atomic), in the order they run.
///
/// ```
/// use sql_store::{Atomic, Kind, Statement};
/// static TAKE: Statement =
///     Statement::new("take", "update purse set coins = coins - $1 where id = $2", &[Kind::Int, Kind::Text]);
/// static GIVE: Statement =
///     Statement::new("give", "update purse set coins = coins + $1 where id = $2", &[Kind::Int, Kind::Text]);
/// let transfer = Atomic::new()
///     .execute(&TAKE, [5_i64.into(), "from".into()])
///     .expect_rows(1)
///     .execute(&GIVE, [5_i64.into(), "to".into()])
///     .expect_rows(1);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Atomic {
    pub(crate) steps: Vec<Step>,
}

/// What the steps of an [`Atomic`] brought, counted from 0 in the order they were added.
#[derive(Debug, Clone, PartialEq)]
pub struct AtomicOutcome(pub(crate) Vec<Done>);

/// One statement with the rows of parameters it runs for.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) statement: Statement,
    pub(crate) chunks: Vec<Chunk>,
    pub(crate) wants_rows: bool,
    /// How many rows it has to change or answer.
    pub(crate) guard: Option<u64>,
}

/// What one statement on the wire carries.
#[derive(Debug, Clone)]
pub(crate) struct Chunk {
    pub(crate) rows: usize,
    pub(crate) values: Vec<Value>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Done {
    pub(crate) changed: u64,
    pub(crate) rows: Vec<Row>,
}

// === impl Atomic ===

impl Atomic {
    /// Without statements.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a statement whose answer is how many rows it changed.
    #[must_use]
    pub fn execute(mut self, statement: &Statement, values: impl Into<Vec<Value>>) -> Self {
        self.steps.push(Step::one(statement, values.into(), false));
        self
    }

    /// Adds a statement that answers rows, `returning ..` for instance.
    #[must_use]
    pub fn query(mut self, statement: &Statement, values: impl Into<Vec<Value>>) -> Self {
        self.steps.push(Step::one(statement, values.into(), true));
        self
    }

    /// Adds one statement for many rows, as [`Database::execute_many`](crate::Database::execute_many). Without rows
    /// it runs nothing.
    #[must_use]
    pub fn execute_many(mut self, statement: &Statement, rows: impl IntoIterator<Item = Vec<Value>>) -> Self {
        self.steps.push(Step::many(statement, rows, false));
        self
    }

    /// The statement added last must change (or answer) exactly so many rows, else all is undone and the answer is
    /// [`StoreError::Conflict`].
    #[must_use]
    pub fn expect_rows(mut self, rows: u64) -> Self {
        if let Some(step) = self.steps.last_mut() {
            step.guard = Some(rows);
        }
        self
    }
}

// === impl AtomicOutcome ===

impl AtomicOutcome {
    /// How many rows this step changed; 0 for a step that does not exist.
    pub fn changed(&self, step: usize) -> u64 {
        self.0.get(step).map_or(0, |done| done.changed)
    }

    /// The rows this step answered.
    pub fn rows(&self, step: usize) -> &[Row] {
        self.0.get(step).map_or(&[], |done| &done.rows)
    }
}

// === impl Step ===

impl Step {
    pub(crate) fn one(statement: &Statement, values: Vec<Value>, wants_rows: bool) -> Self {
        Self { statement: *statement, chunks: vec![Chunk { rows: 1, values }], wants_rows, guard: None }
    }

    pub(crate) fn many(
        statement: &Statement,
        rows: impl IntoIterator<Item = Vec<Value>>,
        wants_rows: bool,
    ) -> Self {
        let (limit, mut chunks) = (statement.rows_per_chunk(), Vec::<Chunk>::new());
        for row in rows {
            // A row of the wrong length makes the whole chunk the wrong length, which the check finds.
            match chunks.last_mut() {
                Some(chunk) if chunk.rows < limit && row.len() == statement.kinds.len() => {
                    chunk.rows += 1;
                    chunk.values.extend(row);
                }
                _ => chunks.push(Chunk { rows: 1, values: row }),
            }
        }
        Self { statement: *statement, chunks, wants_rows, guard: None }
    }

    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let width = self.statement.kinds.len();
        self.chunks.iter().try_for_each(|chunk| {
            if chunk.rows == 1 || chunk.values.len() != chunk.rows * width {
                return self.statement.check(&chunk.values);
            }
            chunk.values.chunks(width).try_for_each(|row| self.statement.check(row))
        })
    }

    /// Holds what was done against the guard.
    pub(crate) fn satisfied_by(&self, done: &Done) -> Result<(), StoreError> {
        let found = if self.wants_rows { done.rows.len() as u64 } else { done.changed };
        match self.guard {
            Some(expected) if expected != found => {
                Err(StoreError::Conflict { statement: self.statement.name, expected, found })
            }
            _ => Ok(()),
        }
    }

    /// Whether it may change something.
    pub(crate) fn may_write(&self) -> bool {
        !self.statement.only_reads()
    }
}
