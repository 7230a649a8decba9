//! Migrations: forward only, each once, each whole, under a lock.

use aws_lc_rs::digest::{SHA256, digest};

use crate::statement::Dialect;
use crate::{Database, StoreError};

/// The tables of one component, as the migrations that make them.
#[derive(Debug, Clone, Copy)]
pub struct Schema {
    /// The component. Never changed once a database has it.
    pub name: &'static str,
    /// Versions 1, 2, 3 and so on. New ones are added at the end; one that was ever applied is never edited.
    pub migrations: &'static [Migration],
}

/// One step forward.
///
/// A line that ends in `-- postgres` or `-- embedded` is only for that engine; all others are for both.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Its place: 1 for the first.
    pub version: i64,
    /// What it does, for the reader of the table.
    pub name: &'static str,
    /// Any number of statements.
    pub sql: &'static str,
}

/// Brings every schema to its newest version, in the order given. Instances that start together wait for each
/// other; each migration is one transaction.
///
/// # Errors
/// [`StoreError::NewerDatabase`] and [`StoreError::MigrationChanged`] before anything is changed;
/// [`StoreError::Migration`] with the migrations before the failed one applied.
///
/// # Cancel safety
/// Dropping the future leaves whole migrations only.
pub async fn migrate(database: &Database, schemas: &[Schema]) -> Result<(), StoreError> {
    database.migrate(schemas).await
}

/// A row of the table that says what was applied.
#[derive(Debug, Clone)]
pub(crate) struct Applied {
    pub(crate) component: String,
    pub(crate) version: i64,
    pub(crate) checksum: String,
}

pub(crate) const TABLE: &str = "create table schema_migrations (
    component text not null,
    version bigint not null,
    name text not null,
    checksum text not null,
    applied_at bigint not null,
    primary key (component, version)
)";
pub(crate) const APPLIED: &str = "select component, version, checksum from schema_migrations";

/// The first migration that is missing; `None` when there is none.
pub(crate) fn next(
    applied: &[Applied],
    schemas: &[Schema],
) -> Result<Option<(Schema, Migration)>, StoreError> {
    for schema in schemas {
        check(applied, schema)?;
    }
    let missing = |schema: &Schema, migration: &Migration| {
        !applied.iter().any(|row| row.component == schema.name && row.version == migration.version)
    };
    Ok(schemas.iter().find_map(|schema| {
        let migration = schema.migrations.iter().find(|migration| missing(schema, migration))?;
        Some((*schema, *migration))
    }))
}

fn check(applied: &[Applied], schema: &Schema) -> Result<(), StoreError> {
    let newest = schema.migrations.len() as i64;
    let in_order = (1_i64..).zip(schema.migrations).all(|(version, migration)| migration.version == version);
    if !in_order {
        let problem = format!("of `{}` must have the versions 1, 2, 3, ..", schema.name);
        return Err(StoreError::Parameters { statement: "migrations", problem });
    }
    for row in applied.iter().filter(|row| row.component == schema.name) {
        let component = || schema.name.to_owned();
        let known = usize::try_from(row.version - 1).ok().and_then(|at| schema.migrations.get(at));
        let Some(migration) = known else {
            let database = applied.iter().filter(|other| other.component == schema.name);
            return Err(StoreError::NewerDatabase {
                component: component(),
                database: database.map(|row| row.version).max().unwrap_or(row.version),
                program: newest,
            });
        };
        if migration.checksum() != row.checksum {
            return Err(StoreError::MigrationChanged { component: component(), version: row.version });
        }
    }
    Ok(())
}

// === impl Migration ===

impl Migration {
    /// The text for one engine.
    pub(crate) fn text(&self, dialect: Dialect) -> String {
        let (ours, theirs) = match dialect {
            Dialect::Postgres => ("-- postgres", "-- embedded"),
            Dialect::Embedded => ("-- embedded", "-- postgres"),
        };
        let lines = self.sql.lines().filter(|line| !line.trim_end().ends_with(theirs));
        lines.flat_map(|line| [line.trim_end().trim_end_matches(ours), "\n"]).collect()
    }

    /// SHA-256 of the text, in hexadecimal; the ends of lines do not count.
    pub(crate) fn checksum(&self) -> String {
        let text = self.sql.replace("\r\n", "\n");
        digest(&SHA256, text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Gives the failure of this migration its name.
    pub(crate) fn failed(&self, schema: &Schema, cause: StoreError) -> StoreError {
        StoreError::Migration {
            component: schema.name.to_owned(),
            version: self.version,
            cause: Box::new(cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Migration = Migration { version: 1, name: "one", sql: "create table a (x bigint)" };
    const SECOND: Migration = Migration { version: 2, name: "two", sql: "create table b (x bigint)" };
    const SCHEMA: Schema = Schema { name: "s", migrations: &[FIRST, SECOND] };

    fn applied(version: i64, checksum: &str) -> Applied {
        Applied { component: "s".to_owned(), version, checksum: checksum.to_owned() }
    }

    #[test]
    fn the_first_missing_one_is_next() {
        let check = |rows: &[Applied], expect: Option<i64>| {
            let found = next(rows, &[SCHEMA]).unwrap();
            assert_eq!(found.map(|(_, migration)| migration.version), expect);
        };
        check(&[], Some(1));
        check(&[applied(1, &FIRST.checksum())], Some(2));
        check(&[applied(1, &FIRST.checksum()), applied(2, &SECOND.checksum())], None);
    }

    #[test]
    fn a_newer_database_and_an_edited_migration_are_refused() {
        let check = |rows: &[Applied], expect: &str| {
            let refused = next(rows, &[SCHEMA]).unwrap_err().to_string();
            assert!(refused.contains(expect), "{refused}");
        };
        let newer = [applied(1, &FIRST.checksum()), applied(3, "x"), applied(4, "x")];
        check(&newer, "`s` stands at 4, the program knows 2");
        check(&[applied(1, "other")], "migration 1 of `s` differs");
    }

    #[test]
    fn versions_have_no_holes() {
        let refused = next(&[], &[Schema { name: "s", migrations: &[SECOND] }]).unwrap_err();
        assert!(refused.to_string().contains("1, 2, 3"), "{refused}");
    }

    #[test]
    fn a_line_can_belong_to_one_engine() {
        let migration = Migration {
            version: 1,
            name: "m",
            sql: "create table a (x bigint)\n  with (fillfactor = 70) -- postgres\n  strict -- embedded\n;\n",
        };
        let words = |dialect| migration.text(dialect).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words(Dialect::Postgres), "create table a (x bigint) with (fillfactor = 70) ;");
        assert_eq!(words(Dialect::Embedded), "create table a (x bigint) strict ;");
    }
}
