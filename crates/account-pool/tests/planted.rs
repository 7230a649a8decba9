//! Secrets are planted everywhere a secret may be, and then looked for everywhere a text comes out.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use account_pool::testing::{RuntimeClock, ScriptedLogin, ScriptedWeb, account};
use account_pool::{
    Account, AccountBook, AccountDefaults, AccountName, AccountPool, AccountSource, AutoLogin, FileSource,
    LoginBars, LoginRefused, MasterKey, MasterKeySource, PoolConfig, PoolParts, SCHEMA, Secret,
    SqlAccountStore, TokenFiles, TokenKeeper, Vault, WebRefused, load_master_key,
};
use market_model::UnixNanos;
use metrics::NoopRecorder;
use sql_store::testing;
use tracing_subscriber::fmt::MakeWriter;

/// Each is unlike anything else in the outputs.
const PLANTED: [&str; 7] = [
    "planted-api-key-1",
    "planted-api-secret-2",
    "planted-access-token-3",
    "planted-password-4",
    "GEZDGNBVGY3TQOJQPLANTED5",
    "planted-request-token-6",
    "planted-api-key-of-another-7",
];

#[derive(Clone, Default)]
struct Collected(Arc<Mutex<Vec<u8>>>);

impl Write for Collected {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Collected {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Collected {
    fn say(&self, text: impl std::fmt::Debug) {
        self.0.lock().unwrap().extend_from_slice(format!("{text:?}\n{text:#?}\n").as_bytes());
    }

    fn error(&self, error: &dyn std::error::Error) {
        self.say(error);
        self.0.lock().unwrap().extend_from_slice(format!("{error}\n").as_bytes());
    }
}

fn planted() -> Account {
    let mut planted = account("main");
    planted.api_key = Secret::new(PLANTED[0]);
    planted.secrets.api_secret = Some(Secret::new(PLANTED[1]));
    planted.secrets.password = Some(Secret::new(PLANTED[3]));
    planted.secrets.totp_seed = Some(Secret::new(PLANTED[4]));
    (planted.user_id, planted.automatic_login) = (Some("AB1234".to_owned()), true);
    planted
}

fn check(what: &str, bytes: &[u8], except: &[&str]) {
    for secret in PLANTED.iter().filter(|secret| !except.contains(secret)) {
        let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
        assert!(!found, "{what} shows {secret}: {}", String::from_utf8_lossy(bytes));
    }
}

fn check_folder(folder: &Path) -> usize {
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            files += check_folder(&entry.path());
        } else {
            check(&entry.path().display().to_string(), &std::fs::read(entry.path()).unwrap(), &[]);
            files += 1;
        }
    }
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_shows_a_planted_secret() {
    let out = Collected::default();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(out.clone()).finish();
    let _logging = tracing::subscriber::set_default(subscriber);

    let database = testing::embedded().await;
    sql_store::migrate(&database.db, &[SCHEMA]).await.unwrap();
    let (key, key_text) = MasterKey::generate().unwrap();
    out.say((&key, &key_text));
    let store = Arc::new(SqlAccountStore::new(database.db.clone()));
    let book = Arc::new(AccountBook::new(store.clone(), Vault::new(key)));
    let folder = tempfile::tempdir().unwrap();
    let files = TokenFiles::within(folder.path());
    book.add(&planted()).await.unwrap();
    out.error(&book.add(&planted()).await.unwrap_err());
    out.error(&book.change(&planted(), 9).await.unwrap_err());
    out.say(book.accounts().await.unwrap());

    // A pool that logs in by itself, by redirect and by hand-over, against a broker that repeats what it is sent.
    let keepers: Vec<Arc<dyn TokenKeeper>> = vec![book.clone(), Arc::new(files.clone())];
    let clock = Arc::new(RuntimeClock::starting_at(UnixNanos::from_secs(1_795_145_400)));
    let parts =
        PoolParts { clock: clock.clone(), recorder: Arc::new(NoopRecorder), counts: store.clone(), keepers };
    let pool = AccountPool::new(PoolConfig::default(), parts);
    pool.set_accounts(&[planted()]).unwrap();
    let login = ScriptedLogin::default();
    let repeating = ScriptedLogin::default();
    repeating.say(Err(LoginRefused::Refused([PLANTED[0], PLANTED[1], PLANTED[5]].join(" "))));
    let request = Secret::new(PLANTED[5]);
    out.error(&pool.exchange(&repeating, "main", &request).await.unwrap_err());
    out.error(&pool.exchange(&repeating, "main", &request).await.unwrap_err());
    out.say(pool.begin_login("main").unwrap());
    out.error(
        &pool.finish_login(&login, &format!("request_token={}&state=x", PLANTED[5])).await.unwrap_err(),
    );
    let web = ScriptedWeb::default();
    web.refuse_password(WebRefused::Password([PLANTED[3], PLANTED[4], PLANTED[0]].join(" ")));
    let automatic = AutoLogin::new(web, clock, LoginBars::within(folder.path()), Duration::from_secs(5));
    AutoLogin::<ScriptedWeb>::warn(&[planted()]);
    out.error(&pool.log_in_automatically(&automatic, &login, "main").await.unwrap_err());
    out.say(automatic.barred(&AccountName::new("main").unwrap()));
    let generation = pool.hand_over("main", Secret::new(PLANTED[2]), None).await.unwrap();
    out.say((pool.status(), pool.board().view("main"), &pool, &book, &store));
    out.error(
        &pool
            .hand_over("main", Secret::new(format!("{} {}", PLANTED[0], PLANTED[2])), None)
            .await
            .unwrap_err(),
    );
    pool.board().refused("main", generation);

    // A file with every kind of mistake, and a key that is none.
    let path = folder.path().join("accounts.yaml");
    for text in [
        format!("account:\n  - name: a\n    api_key: [{}\n", PLANTED[6]),
        format!(
            "account:\n  - name: a\n    api_key: [{}]\n    password: {{x: {}}}\n",
            PLANTED[6], PLANTED[3]
        ),
        format!("account:\n  - name: a\n    api_key: \"{}\"\n    wrong: {}\n", PLANTED[6], PLANTED[3]),
    ] {
        std::fs::write(&path, text).unwrap();
        let source = FileSource::new(path.clone(), Arc::new(|_| None), AccountDefaults::default());
        out.error(&source.load().await.unwrap_err());
        out.say(&source);
    }
    std::fs::remove_file(&path).unwrap();
    let no_key = MasterKeySource::Value(Secret::new(PLANTED[1]));
    out.error(&load_master_key(&no_key).await.unwrap_err());
    out.say(no_key);

    let text = out.0.lock().unwrap().clone();
    check("a log, an error or Debug", &text, &[]);
    let shown = String::from_utf8_lossy(&text).into_owned();
    assert!(!shown.contains(key_text.expose()), "the master key is shown");
    for seen in ["access token taken", "access token refused", "automatic login", "[redacted]"] {
        assert!(shown.contains(seen), "the test looked at nothing: no `{seen}` in {shown}");
    }

    // The token file is the one place for a token in the clear, for its owner only.
    let file = std::fs::read(folder.path().join("tokens/main.json")).unwrap();
    assert!(file.windows(PLANTED[2].len()).any(|part| part == PLANTED[2].as_bytes()));
    check("the token file", &file, &[PLANTED[2]]);
    std::fs::remove_dir_all(folder.path().join("tokens")).unwrap();
    check_folder(folder.path());
    database.db.close().await;
    let files = check_folder(&database.folder().unwrap());
    assert!(files > 0, "no database file was looked at");
}
