//! Migrations on Postgres, under an advisory lock that lives as long as a transaction: it works through a pooler.

use deadpool_postgres::Object;
use tokio_postgres::types::{ToSql, Type};

use super::PostgresEngine;
use super::sqlstate::{self, Scene};
use crate::StoreError;
use crate::migrate::{self, Applied, Migration, Schema};
use crate::statement::Dialect;

/// The letters `kite-sql`.
const LOCK: i64 = 0x6b69_7465_2d73_716c;

// === impl PostgresEngine ===

impl PostgresEngine {
    pub(crate) async fn migrate(&self, schemas: &[Schema]) -> Result<(), StoreError> {
        let limit = self.config.migration_timeout;
        let mut borrowed = self.borrow().await?;
        let Some(connection) = borrowed.connection.as_ref() else { return Err(StoreError::Closed) };
        let cancel = connection.cancel_token();
        match tokio::time::timeout(limit, self.migrate_on(connection, schemas)).await {
            Ok(outcome) => {
                borrowed.reusable = outcome.is_ok();
                outcome
            }
            Err(_) => {
                let _ = tokio::time::timeout(super::CANCEL, self.connector.cancel(cancel)).await;
                Err(StoreError::Timeout { statement: "migrate", limit, answered: false, may_have_run: true })
            }
        }
    }

    async fn migrate_on(&self, connection: &Object, schemas: &[Schema]) -> Result<(), StoreError> {
        loop {
            let limit = self.config.migration_timeout.as_millis();
            let begin = format!(
                "begin; set local statement_timeout = {limit}; set local lock_timeout = {limit};
                 set local idle_in_transaction_session_timeout = {limit};
                 select pg_advisory_xact_lock({LOCK})"
            );
            self.sql(connection, &begin).await?;
            // An error drops the connection, which undoes what was begun.
            match self.next_migration(connection, schemas).await? {
                Some((schema, migration)) => {
                    self.sql(connection, "commit").await?;
                    tracing::info!(component = schema.name, version = migration.version, "migration applied");
                }
                None => return self.sql(connection, "commit").await,
            }
        }
    }

    /// Applies the first migration that is missing.
    async fn next_migration(
        &self,
        connection: &Object,
        schemas: &[Schema],
    ) -> Result<Option<(Schema, Migration)>, StoreError> {
        let applied = self.applied(connection).await?;
        let Some((schema, migration)) = migrate::next(&applied, schemas)? else { return Ok(None) };
        let failed = |cause: StoreError| migration.failed(&schema, cause);
        self.sql(connection, &migration.text(Dialect::Postgres)).await.map_err(failed)?;
        let note = "insert into schema_migrations (component, version, name, checksum, applied_at)
                    values ($1, $2, $3, $4, (extract(epoch from clock_timestamp()) * 1000000)::bigint)";
        let checksum = migration.checksum();
        let values: [(&(dyn ToSql + Sync), Type); 4] = [
            (&schema.name, Type::TEXT),
            (&migration.version, Type::INT8),
            (&migration.name, Type::TEXT),
            (&checksum, Type::TEXT),
        ];
        let noted = connection.execute_typed(note, &values);
        noted.await.map_err(|error| failed(self.of(&error)))?;
        Ok(Some((schema, migration)))
    }

    async fn applied(&self, connection: &Object) -> Result<Vec<Applied>, StoreError> {
        // Asked before it is made, so that a user who may not make tables can run a program of the same version.
        let exists = "select to_regclass('schema_migrations') is not null";
        let exists = connection.query_typed(exists, &[]).await.map_err(|error| self.of(&error))?;
        if !exists.first().is_some_and(|row| row.try_get(0).unwrap_or(false)) {
            self.sql(connection, migrate::TABLE).await?;
        }
        let rows = connection.query_typed(migrate::APPLIED, &[]).await.map_err(|error| self.of(&error))?;
        let applied = |row: &tokio_postgres::Row| {
            Ok(Applied { component: row.try_get(0)?, version: row.try_get(1)?, checksum: row.try_get(2)? })
        };
        rows.iter().map(applied).collect::<Result<_, _>>().map_err(|error| self.of(&error))
    }

    async fn sql(&self, connection: &Object, text: &str) -> Result<(), StoreError> {
        connection.batch_execute(text).await.map_err(|error| self.of(&error))
    }

    fn of(&self, error: &tokio_postgres::Error) -> StoreError {
        let limit = self.config.migration_timeout;
        sqlstate::of_statement(Scene { database: self.database(), statement: "migrate", limit }, error)
    }
}
