//! How a database is reached: a Postgres pool or an embedded SQLite file under one set of statements.
//!
//! ```
//! // Nothing to see yet.
//! ```
