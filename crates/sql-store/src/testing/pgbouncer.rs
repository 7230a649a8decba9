//! A private PgBouncer in transaction mode.

use std::net::TcpStream;
use std::path::PathBuf;

use super::server::{PostgresServer, free_port, wait_for};
use super::watchdog::{Watched, give_to_nobody};

/// A pooler in front of a server; stopped when dropped.
#[derive(Debug)]
pub struct PgBouncer {
    _process: Watched,
    port: u16,
}

// === impl PgBouncer ===

impl PgBouncer {
    /// `None`, with a printed line, when there is no PgBouncer here. `settings` are further lines of its file.
    pub fn start(server: &PostgresServer, settings: &str) -> Option<Self> {
        let program = program()?;
        let folder =
            tempfile::Builder::new().prefix("sql-store-").tempdir().expect("a temporary folder").keep();
        let port = free_port();
        let config = folder.join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={} user=admin\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\n\
             default_pool_size = 4\nmax_client_conn = 100\n{settings}\n",
            server.port()
        );
        std::fs::write(&config, text).expect("pgbouncer.ini");
        give_to_nobody(&config);
        give_to_nobody(&folder);
        let process = Watched::start("KILL", &folder, &program, &[config.display().to_string()]);
        wait_for("pgbouncer", || TcpStream::connect(("127.0.0.1", port)).ok());
        Some(Self { _process: process, port })
    }

    /// Where a database behind it is.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://admin@127.0.0.1:{}/{database}", self.port)
    }
}

fn program() -> Option<PathBuf> {
    let named = std::env::var_os("KITE_TEST_PGBOUNCER").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    let found = named.or_else(|| folders.map(|folder| folder.join("pgbouncer")).find(|file| file.is_file()));
    if found.is_none() {
        super::skipped("pgbouncer", "KITE_TEST_PGBOUNCER");
    }
    found
}
