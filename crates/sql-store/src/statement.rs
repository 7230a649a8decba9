//! A named statement: its text and the kinds of its parameters.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::{Kind, StoreError, Value};

/// One SQL statement for both engines.
///
/// Parameters are `$1`, `$2`, ...; each first appears after the one before it, because the embedded engine numbers
/// them by first appearance. A `static` with a wrong order or count does not compile.
///
/// ```
/// use sql_store::{Kind, Statement};
/// static RENAME: Statement =
///     Statement::new("rename", "update account set name = $1 where id = $2", &[Kind::Text, Kind::Int]);
/// ```
/// ```compile_fail
/// use sql_store::{Kind, Statement};
/// static SWAPPED: Statement =
///     Statement::new("rename", "update account set name = $2 where id = $1", &[Kind::Int, Kind::Text]);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Statement {
    pub(crate) name: &'static str,
    postgres: &'static str,
    embedded: &'static str,
    pub(crate) kinds: &'static [Kind],
}

/// Which text of a statement an engine takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Postgres,
    Embedded,
}

/// Fewer than either engine's limit (65,535 and 32,766).
const MAX_PARAMETERS: usize = 30_000;

// === impl Statement ===

impl Statement {
    /// A statement whose text is the same for both engines. `name` is what errors and logs call it.
    ///
    /// # Panics
    /// When the parameters in the text do not match `kinds` in number, or appear out of order. In a `static` or
    /// `const` that is an error of compilation.
    pub const fn new(name: &'static str, sql: &'static str, kinds: &'static [Kind]) -> Self {
        Self::for_engines(name, sql, sql, kinds)
    }

    /// A statement that must differ between the engines; the parameters are the same.
    ///
    /// # Panics
    /// As [`Statement::new`].
    pub const fn for_engines(
        name: &'static str,
        postgres: &'static str,
        embedded: &'static str,
        kinds: &'static [Kind],
    ) -> Self {
        check_parameters(postgres, kinds.len());
        check_parameters(embedded, kinds.len());
        Self { name, postgres, embedded, kinds }
    }

    /// What errors and logs call it.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) const fn text(&self, dialect: Dialect) -> &'static str {
        match dialect {
            Dialect::Postgres => self.postgres,
            Dialect::Embedded => self.embedded,
        }
    }

    /// Whether it changes nothing, as far as its words tell: a `select`, or a `with` without a word that writes.
    pub(crate) fn only_reads(&self) -> bool {
        let lower = self.embedded.trim_start().to_ascii_lowercase();
        let mut words = lower.split(|next: char| !next.is_ascii_alphanumeric() && next != '_');
        match words.next() {
            Some("select") => true,
            Some("with") => !words.any(|word| matches!(word, "insert" | "update" | "delete")),
            _ => false,
        }
    }

    /// How many rows of parameters one statement carries.
    pub(crate) fn rows_per_chunk(&self) -> usize {
        MAX_PARAMETERS / self.kinds.len().max(1)
    }

    /// The text for `rows` rows: its one `values (..)` list is repeated.
    pub(crate) fn text_for_rows(
        &self,
        dialect: Dialect,
        rows: usize,
    ) -> Result<Cow<'static, str>, StoreError> {
        let text = self.text(dialect);
        if rows == 1 {
            return Ok(Cow::Borrowed(text));
        }
        let (open, close) = values_list(text).ok_or_else(|| {
            self.misuse("takes many rows only if it has one list `values ($1, ..)` with every parameter")
        })?;
        let (list, count) = (&text[open..close], self.kinds.len());
        let outside = highest_parameter(&text[..open]).max(highest_parameter(&text[close..]));
        if highest_parameter(list) != count || outside != 0 {
            return Err(self.misuse("takes many rows only if every parameter stands in its `values` list"));
        }
        let mut repeated = String::with_capacity(text.len() + list.len() * 2 * rows);
        repeated.push_str(&text[..close]);
        for row in 1..rows {
            repeated.push_str(", ");
            push_shifted(&mut repeated, list, row * count, dialect);
        }
        repeated.push_str(&text[close..]);
        Ok(Cow::Owned(repeated))
    }

    /// Refuses values that do not fit the parameters.
    pub(crate) fn check(&self, values: &[Value]) -> Result<(), StoreError> {
        if values.len() != self.kinds.len() {
            let problem = format!("takes {} values, {} were given", self.kinds.len(), values.len());
            return Err(self.misuse(&problem));
        }
        let misfit = |(at, (value, &kind)): (usize, (&Value, &Kind))| {
            value.misfit(kind).map(|problem| format!("parameter ${} {problem}", at + 1))
        };
        match values.iter().zip(self.kinds).enumerate().find_map(misfit) {
            Some(problem) => Err(self.misuse(&problem)),
            None => Ok(()),
        }
    }

    fn misuse(&self, problem: &str) -> StoreError {
        StoreError::Parameters { statement: self.name, problem: problem.into() }
    }
}

const fn check_parameters(sql: &str, count: usize) {
    let bytes = sql.as_bytes();
    let (mut at, mut highest, mut quoted) = (0, 0, false);
    while at < bytes.len() {
        if bytes[at] == b'\'' {
            quoted = !quoted;
        } else if bytes[at] == b'$' && !quoted {
            let mut number = 0;
            while at + 1 < bytes.len() && bytes[at + 1].is_ascii_digit() {
                at += 1;
                number = number * 10 + (bytes[at] - b'0') as usize;
            }
            assert!(number >= 1, "a `$` in the statement is not followed by a number");
            assert!(number <= highest + 1, "`$n` must first appear in ascending order");
            if number > highest {
                highest = number;
            }
        }
        at += 1;
    }
    assert!(highest == count, "the statement has another number of parameters than kinds");
}

/// Where the list after the first `values` begins and ends.
fn values_list(text: &str) -> Option<(usize, usize)> {
    let lower = text.to_ascii_lowercase();
    let mut from = 0;
    while let Some(found) = lower[from..].find("values") {
        from += found + "values".len();
        let open = from + text[from..].find(|next: char| !next.is_whitespace())?;
        if text[open..].starts_with('(') {
            let mut depth = 0_i32;
            for (at, next) in text[open..].char_indices() {
                depth += i32::from(next == '(') - i32::from(next == ')');
                if depth == 0 {
                    return Some((open, open + at + 1));
                }
            }
        }
    }
    None
}

fn highest_parameter(text: &str) -> usize {
    text.split('$').skip(1).filter_map(|rest| digits(rest).parse().ok()).max().unwrap_or(0)
}

fn digits(text: &str) -> &str {
    &text[..text.find(|next: char| !next.is_ascii_digit()).unwrap_or(text.len())]
}

fn push_shifted(to: &mut String, list: &str, by: usize, dialect: Dialect) {
    // `$3` is a name to SQLite, which looks each up among all before it; `?3` is a number.
    let sign = if dialect == Dialect::Embedded { '?' } else { '$' };
    let mut parts = list.split('$');
    to.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let number = digits(part);
        let shifted = number.parse::<usize>().unwrap_or(0) + by;
        // Writing to a String cannot fail.
        let _ = write!(to, "{sign}{shifted}{}", &part[number.len()..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static INSERT: Statement = Statement::new(
        "insert",
        "insert into t (a, b) values ($1, coalesce($2, 0)) on conflict (a) do update set b = excluded.b",
        &[Kind::Text, Kind::Int],
    );

    #[test]
    fn the_list_of_values_is_repeated_with_numbers_going_on() {
        assert_eq!(
            INSERT.text_for_rows(Dialect::Postgres, 3).unwrap(),
            "insert into t (a, b) values ($1, coalesce($2, 0)), ($3, coalesce($4, 0)), ($5, coalesce($6, 0)) \
             on conflict (a) do update set b = excluded.b"
        );
        let embedded = INSERT.text_for_rows(Dialect::Embedded, 2).unwrap();
        assert!(embedded.contains("values ($1, coalesce($2, 0)), (?3, coalesce(?4, 0)) on"), "{embedded}");
        assert_eq!(INSERT.text_for_rows(Dialect::Embedded, 1).unwrap(), INSERT.text(Dialect::Embedded));
    }

    #[test]
    fn a_parameter_outside_of_the_list_cannot_be_repeated() {
        let check = |statement: Statement| {
            let refused = statement.text_for_rows(Dialect::Postgres, 2).unwrap_err();
            assert!(refused.to_string().contains("many rows"), "{refused}");
        };
        check(Statement::new("none", "delete from t where a = $1", &[Kind::Text]));
        let after = "insert into t (a) values ($1) on conflict (a) do update set b = $2";
        check(Statement::new("after", after, &[Kind::Text, Kind::Int]));
        let before = "with x as (select $1) insert into t (a) values ($2)";
        check(Statement::new("before", before, &[Kind::Text, Kind::Text]));
    }

    #[test]
    fn values_are_held_against_the_kinds() {
        let check = |values: &[Value], expect: &str| {
            let refused = INSERT.check(values).unwrap_err().to_string();
            assert!(refused.contains(expect), "{refused}");
        };
        INSERT.check(&["a".into(), Value::Null]).unwrap();
        check(&["a".into()], "takes 2 values, 1 were given");
        check(&[1_i64.into(), 1_i64.into()], "parameter $1 is int, the statement takes text");
        check(&["a\0b".into(), 1_i64.into()], "parameter $1 holds a NUL byte");
    }

    #[test]
    #[should_panic(expected = "ascending order")]
    fn parameters_out_of_order_are_refused() {
        let _ = Statement::new("swapped", "select $2, $1", &[Kind::Int, Kind::Int]);
    }

    #[test]
    fn a_dollar_in_quotes_is_no_parameter() {
        let _ = Statement::new("quoted", "select '$9', $1", &[Kind::Int]);
    }
}
