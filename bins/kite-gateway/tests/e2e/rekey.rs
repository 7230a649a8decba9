//! `accounts rekey` killed at any moment: every secret opens under the old key or the new one, and it can be run again.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use account_pool::testing::account;
use account_pool::{AccountBook, KeptToken, MasterKey, SCHEMA, Secret, SqlAccountStore, Vault};
use market_model::UnixNanos;
use sql_store::{Database, DatabaseConfig, EmbeddedConfig, StoreMetrics};

use crate::process::{Program, command};

const ACCOUNTS: usize = 60;
const ROUNDS: u32 = 30;

fn key(fill: u32) -> String {
    format!("{fill:064x}")
}

fn vault(fill: u32) -> Vault {
    Vault::new(master(fill))
}

fn master(fill: u32) -> MasterKey {
    MasterKey::parse(&Secret::new(key(fill))).unwrap()
}

/// The store of a gateway that does not run.
async fn open(data: &Path) -> (Database, SqlAccountStore) {
    let file = EmbeddedConfig::new(data.join("gateway.db"));
    let database = Database::open(DatabaseConfig::Embedded(file), StoreMetrics::noop()).await.unwrap();
    sql_store::migrate(&database, &[SCHEMA]).await.unwrap();
    (database.clone(), SqlAccountStore::new(database))
}

/// How many accounts and tokens `vault` opens; an error when it does not open one of them.
async fn opens(data: &Path, vault: Vault) -> Result<(usize, usize), String> {
    let (database, store) = open(data).await;
    let book = AccountBook::new(store, vault);
    let opened = async {
        let accounts: Vec<_> = book.accounts().await?.into_iter().map(|stored| stored.account).collect();
        let tokens = book.kept_tokens(&accounts).await?;
        for (account, token) in accounts.iter().zip(&tokens) {
            let secret = account.secrets.password.as_ref().map(Secret::expose);
            assert_eq!(secret, Some(format!("password of {}", account.name).as_str()));
            assert_eq!(token.as_ref().map(|kept| kept.token.expose()), Some("todays-token"));
        }
        Ok::<_, account_pool::AccountError>((accounts.len(), tokens.iter().flatten().count()))
    };
    let opened = opened.await.map_err(|error| error.to_string());
    database.close().await;
    opened
}

fn rekey(data: &Path, old: u32, new: u32) -> Command {
    let mut command = command();
    command
        .args(["accounts", "rekey"])
        .env("GATEWAY_DATA_DIR", data)
        .env("GATEWAY_MASTER_KEY", key(old))
        .env("GATEWAY_NEW_MASTER_KEY", key(new));
    command
}

/// Runs it to its end; how long it took.
fn finish(data: &Path, old: u32, new: u32) -> Duration {
    let begun = Instant::now();
    let (status, lines) = Program::start(&mut rekey(data, old, new)).end();
    assert!(status.success(), "{}", lines.join("\n"));
    begun.elapsed()
}

#[test]
fn a_killed_rekey_leaves_every_secret_under_one_key_or_the_other() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let data = tempfile::tempdir().unwrap();
    runtime.block_on(async {
        let (database, store) = open(data.path()).await;
        let book = AccountBook::new(store, vault(1));
        for number in 0..ACCOUNTS {
            let mut account = account(&format!("a{number}"));
            account.secrets.password = Some(Secret::new(format!("password of {}", account.name)));
            book.add(&account).await.unwrap();
            let kept = KeptToken { token: Secret::new("todays-token"), obtained: UnixNanos(1) };
            book.keep_token(&account, &kept).await.unwrap();
        }
        database.close().await;
    });
    let whole = finish(data.path(), 1, 2);
    let (mut killed, mut before, mut after) = (0, 0, 0);
    for round in 2..ROUNDS + 2 {
        let (old, new) = (round, round + 1);
        let mut program = Program::start(&mut rekey(data.path(), old, new));
        // Most of the work is in the last third, most of the rest is starting.
        let at = whole.mul_f64(f64::from((round * 7) % ROUNDS) / f64::from(ROUNDS) * 0.9 + 0.2);
        std::thread::park_timeout(at);
        killed += u32::from(program.kill());
        drop(program);
        let both = vault(new).with_older(master(old));
        let there = runtime.block_on(opens(data.path(), both)).unwrap();
        assert_eq!(there, (ACCOUNTS, ACCOUNTS), "round {round}");
        // All of it is under one of them.
        match runtime.block_on(opens(data.path(), vault(new))) {
            Ok(_) => after += 1,
            Err(_) => {
                before += 1;
                runtime.block_on(opens(data.path(), vault(old))).unwrap();
            }
        }
        finish(data.path(), old, new);
        assert_eq!(runtime.block_on(opens(data.path(), vault(new))), Ok((ACCOUNTS, ACCOUNTS)));
    }
    eprintln!(
        "{ROUNDS} rounds of {whole:?}: {killed} killed while it ran, {before} left the old key, {after} the new one"
    );
    assert!(killed > 0 && before > 0, "it was never killed in time");
}
