//! A private Postgres server.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tokio_postgres::NoTls;

use super::watchdog::{Watched, as_nobody, give_to_nobody};

/// A server on a private port and folder; stopped when dropped.
#[derive(Debug)]
pub struct PostgresServer {
    process: Watched,
    bin: PathBuf,
    folder: PathBuf,
    port: u16,
    options: ServerOptions,
}

/// How a server is run.
#[derive(Debug, Clone, Default)]
pub struct ServerOptions {
    /// Whether commits are flushed, so that they outlive a killed server.
    pub flush: bool,
    /// Whether the user `kite` needs its password `s3cret`; the user `admin` never needs one.
    pub password: bool,
    /// Certificate and key in PEM, for TLS.
    pub tls: Option<(String, String)>,
    /// Further settings, `name=value`.
    pub settings: Vec<String>,
}

// === impl PostgresServer ===

impl PostgresServer {
    /// `None`, with a printed line, when there is no Postgres here.
    pub fn start(options: &ServerOptions) -> Option<Self> {
        let bin = programs()?;
        let folder =
            tempfile::Builder::new().prefix("sql-store-").tempdir().expect("a temporary folder").keep();
        give_to_nobody(&folder);
        let data = folder.join("data");
        let mut initdb = Command::new(bin.join("initdb"));
        initdb.args([
            "--no-sync",
            "--no-instructions",
            "--username=admin",
            "--auth=trust",
            "--encoding=UTF8",
        ]);
        initdb.args(["--locale=C", "-D"]).arg(&data).current_dir(&folder).stdout(Stdio::null());
        assert!(as_nobody(&mut initdb).status().expect("initdb").success(), "initdb failed");
        if options.password {
            let rules = "host all admin 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
            std::fs::write(data.join("pg_hba.conf"), rules).expect("pg_hba.conf");
        }
        if let Some((certificate, key)) = &options.tls {
            for (name, text) in [("server.crt", certificate), ("server.key", key)] {
                let file = data.join(name);
                std::fs::write(&file, text).expect("a file of TLS");
                give_to_nobody(&file);
                let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
                std::fs::set_permissions(&file, mode).expect("its mode");
            }
        }
        let port = free_port();
        let process = run(&bin, &folder, port, options);
        let server = Self { process, bin, folder, port, options: options.clone() };
        server.wait_until_ready();
        Some(server)
    }

    /// Where a database of it is.
    pub fn url(&self, database: &str) -> String {
        let user = if self.options.password { "kite:s3cret" } else { "admin" };
        format!("postgres://{user}@127.0.0.1:{}/{database}", self.port)
    }

    /// Its port on 127.0.0.1.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Makes a database that the user of [`PostgresServer::url`] owns.
    pub async fn create_database(&self, name: &str) {
        if self.options.password {
            let user = "do $$ begin
                if not exists (select from pg_roles where rolname = 'kite') then
                    create role kite login password 's3cret';
                end if;
            end $$";
            self.admin(user).await;
            self.admin(&format!("create database {name} owner kite")).await;
        } else {
            self.admin(&format!("create database {name}")).await;
        }
    }

    /// Runs statements as the superuser on the database `postgres`.
    pub async fn admin(&self, sql: &str) {
        self.admin_on("postgres", sql).await;
    }

    /// Runs statements as the superuser.
    pub async fn admin_on(&self, database: &str, sql: &str) {
        let url = format!("postgres://admin@127.0.0.1:{}/{database}", self.port);
        let (client, connection) =
            tokio_postgres::connect(&url, NoTls).await.expect("the superuser connects");
        let (answer, _) = tokio::join!(
            async {
                let answer = client.batch_execute(sql).await;
                drop(client);
                answer
            },
            connection
        );
        answer.expect("a statement of the superuser");
    }

    /// Waits until nothing is under way in this database: a killed client's last commit may come after its death.
    pub async fn until_alone(&self, database: &str) {
        let wait = format!(
            "do $$ begin
                while exists (select from pg_stat_activity where datname = '{database}' and state <> 'idle') loop
                    perform pg_sleep(0.002);
                    perform pg_stat_clear_snapshot();
                end loop;
            end $$"
        );
        self.admin(&wait).await;
    }

    /// `kill -9` of the server and its children. Start it again with [`PostgresServer::start_again`].
    pub fn kill(&mut self) {
        let killed = self.signal_all("KILL");
        self.process.stop(true);
        // One that is still dying keeps the shared memory, and the next server refuses to start.
        wait_for("the end of postgres", || (!killed.iter().any(|pid| runs(*pid))).then_some(()));
    }

    /// Starts it after a kill, on the same data.
    pub fn start_again(&mut self) {
        self.process = run(&self.bin, &self.folder, self.port, &self.options);
        self.wait_until_ready();
    }

    /// `STOP` freezes the server with its children, `CONT` lets them go on.
    pub fn signal(&self, name: &str) {
        self.signal_all(name);
    }

    /// Answers whom it signalled.
    fn signal_all(&self, name: &str) -> Vec<u32> {
        let server = self.process.pid();
        // The parent first when it is stopped or killed, so that it starts no further child.
        let all: Vec<u32> = std::iter::once(server).chain(children_of(server)).collect();
        let pids = all.iter().map(u32::to_string);
        let _ = Command::new("kill").arg(format!("-{name}")).args(pids).stderr(Stdio::null()).status();
        all
    }

    fn wait_until_ready(&self) {
        let mut check = Command::new(self.bin.join("pg_isready"));
        check.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
        wait_for("postgres", || {
            if !runs(self.process.pid()) {
                panic!(
                    "postgres has ended: {}",
                    std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
                );
            }
            check.status().ok()?.success().then_some(())
        });
    }
}

fn run(bin: &Path, folder: &Path, port: u16, options: &ServerOptions) -> Watched {
    let mut arguments = vec!["-D".to_owned(), folder.join("data").display().to_string()];
    let flush = if options.flush { "on" } else { "off" };
    let mut settings = vec![
        format!("port={port}"),
        "listen_addresses=127.0.0.1".to_owned(),
        format!("unix_socket_directories={}", folder.display()),
        "shared_buffers=16MB".to_owned(),
        "max_connections=100".to_owned(),
        format!("fsync={flush}"),
        format!("synchronous_commit={flush}"),
        format!("full_page_writes={flush}"),
    ];
    if options.tls.is_some() {
        settings.push("ssl=on".to_owned());
    }
    settings.extend(options.settings.iter().cloned());
    for setting in settings {
        arguments.extend(["-c".to_owned(), setting]);
    }
    // A lock file of a killed server whose pid another process has now.
    let _ = std::fs::remove_file(folder.join("data/postmaster.pid"));
    Watched::start("QUIT", folder, &bin.join("postgres"), &arguments)
}

fn children_of(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").expect("/proc");
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| status_of(*pid).is_some_and(|(_, its)| its == parent)).collect()
}

/// Whether it is there and not dead already.
fn runs(pid: u32) -> bool {
    status_of(pid).is_some_and(|(state, _)| state != 'Z')
}

/// State and parent of a process.
fn status_of(pid: u32) -> Option<(char, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut words = stat.rsplit(')').next()?.split_whitespace();
    Some((words.next()?.chars().next()?, words.next()?.parse().ok()?))
}

/// The folder with initdb and postgres.
fn programs() -> Option<PathBuf> {
    let holds_all = |folder: &PathBuf| folder.join("initdb").is_file() && folder.join("pg_isready").is_file();
    let named = std::env::var_os("KITE_TEST_POSTGRES_BIN").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut debian: Vec<PathBuf> = debian.filter_map(|entry| Some(entry.ok()?.path().join("bin"))).collect();
    debian.sort();
    let mut found = named.into_iter().chain(std::env::split_paths(&path)).chain(debian.into_iter().rev());
    let found = found.find(holds_all);
    if found.is_none() {
        super::skipped("postgres", "KITE_TEST_POSTGRES_BIN");
    }
    found
}

/// A port nobody listens on.
pub(super) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its number").port()
}

/// Asks again until there is an answer.
#[expect(clippy::disallowed_methods, reason = "another process gives no event to wait for")]
pub(super) fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{what} does not start");
        std::thread::sleep(Duration::from_millis(10));
    }
}
