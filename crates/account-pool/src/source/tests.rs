//! What each source accepts, how it refuses, and how sources are merged.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::error::Problems;
use crate::secret::Secret;
use crate::testing::account;

fn variables(pairs: &[(&str, &str)]) -> Variables {
    let map: BTreeMap<String, String> =
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Arc::new(move |name: &str| map.get(name).cloned())
}

async fn read(ending: &str, text: &str, values: &[(&str, &str)]) -> Result<Loaded, Vec<String>> {
    let mut file = tempfile::Builder::new().suffix(ending).tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let path = file.path().to_owned();
    let source = FileSource::new(path.clone(), variables(values), AccountDefaults::default());
    match source.load().await {
        Ok(loaded) => Ok(loaded),
        Err(AccountError::Source(Problems(problems))) => {
            let prefix = format!("{}, ", path.display());
            Err(problems.into_iter().map(|problem| problem.replace(&prefix, "")).collect())
        }
        Err(other) => panic!("{other}"),
    }
}

async fn check_problems(ending: &str, text: &str, expect: &[&str]) {
    let problems = read(ending, text, &[("EMPTY", ""), ("KEY", "hush")]).await.unwrap_err();
    assert_eq!(problems.len(), expect.len(), "{problems:#?}");
    for (problem, part) in problems.iter().zip(expect) {
        assert!(problem.contains(part), "`{problem}` does not say `{part}`");
        assert!(!problem.contains("hush"), "a secret is shown: {problem}");
    }
}

const TOML: &str = r#"
# two accounts
[[account]]
name = "main"
api_key = "${KEY}"
api_secret = "s-${SECRET}-s"
user_id = "AB1234"
registered_addresses = ["203.0.113.7", "2001:db8::1"]
priority = 1
connections = 2

[[account]]
name = "second"
api_key = "k2"
simulated = true
rest_url = "http://127.0.0.1:9"
weight = "${WEIGHT}"
token_obtained = 2026-11-20T08:45:00+05:30
"#;

const YAML: &str = "
# two accounts
account:
  - name: main
    api_key: ${KEY}
    api_secret: 's-${SECRET}-s'
    user_id: AB1234
    registered_addresses: [203.0.113.7, '2001:db8::1']
    priority: 1
    connections: 2

  - name: second
    api_key: k2
    simulated: true
    rest_url: http://127.0.0.1:9
    weight: ${WEIGHT}
    token_obtained: 2026-11-20T08:45:00+05:30
";

#[tokio::test]
async fn toml_and_yaml_say_the_same() {
    let values = [("KEY", "k\"1\n[[account]]"), ("SECRET", "${KEY}"), ("WEIGHT", "5")];
    let (toml, yaml) =
        (read(".toml", TOML, &values).await.unwrap(), read(".yaml", YAML, &values).await.unwrap());
    for loaded in [&toml, &yaml] {
        let [main, second] = &loaded.accounts[..] else { panic!("{loaded:?}") };
        // A value is only ever a value, whatever is in it.
        assert_eq!(main.api_key.expose(), "k\"1\n[[account]]");
        assert_eq!(main.secrets.api_secret, Some(Secret::new("s-${KEY}-s")));
        assert_eq!((main.trading_account.as_str(), main.priority, main.limits.connections), ("AB1234", 1, 2));
        assert_eq!(main.registered_addresses.len(), 2);
        assert_eq!(main.rest_url, "https://api.kite.trade");
        assert!(main.enabled && !main.simulated && second.simulated);
        assert_eq!((second.weight, second.trading_account.as_str()), (5, "second"));
        assert_eq!(second.secrets.token_obtained.unwrap().to_string(), "2026-11-20T03:15:00Z");
    }
    let lines = |loaded: &Loaded| -> Vec<String> {
        loaded.accounts.iter().map(|account| account.origin.split(", ").last().unwrap().to_owned()).collect()
    };
    assert_eq!(lines(&toml), ["line 3", "line 12"]);
    assert_eq!(lines(&yaml), ["line 4", "line 12"]);
}

#[tokio::test]
async fn every_mistake_is_told_at_once_with_its_line() {
    let toml = "[[account]]\nname = \"a b\"\napikey = \"hush\"\nrest_url = \"ftp://x\"\napi_secret = \"${NO}\"\nweight = 0\n[[account]]\napi_key = \" \"\nregistered_addresses = \"1.2.3\"\napi_secret = 7\n";
    let mut problems = read(".toml", toml, &[]).await.unwrap_err();
    let line = |problem: &String| {
        problem.trim_start_matches("line ").split(':').next().unwrap().parse::<u32>().unwrap()
    };
    assert!(problems.iter().all(|problem| !problem.contains("hush")), "{problems:#?}");
    problems.sort_by_key(line);
    let expect = [
        "line 3: there is no field `apikey`",
        "line 5: api_secret: ${NO} is not set",
        "line 2: the name `a b` has letters",
        "line 4: rest_url is an address",
        "line 6: weight is a number from 1 to 1000",
        "line 8: api_key is empty",
        "line 7: the account has no name",
        "line 10: api_secret is a text in quotes, not a number",
        "line 9: registered_addresses: `1.2.3` is not an address",
        "line 1: account `unnamed` has no api_key",
        "line 7: account `unnamed` has no api_key",
    ];
    for part in expect {
        assert!(problems.iter().any(|problem| problem.contains(part)), "nobody says `{part}`: {problems:#?}");
    }
    assert_eq!(problems.len(), expect.len(), "{problems:#?}");
}

#[tokio::test]
async fn files_of_another_shape_are_refused_without_quoting_them() {
    check_problems(".toml", "api_key = \"hush", &["line 1"]).await;
    check_problems(".toml", "[account]\napi_key = \"hush\"\n", &["line 1: write accounts as"]).await;
    check_problems(".toml", "", &["no [[account]]"]).await;
    check_problems(".toml", "[[account]]\nname=\"a\"\nname=\"hush\"\n", &["line 3"]).await;
    check_problems(".yaml", "account:\n  - name: [hush\n", &["not YAML"]).await;
    check_problems(".yaml", "- hush\n", &["not YAML, or not a list"]).await;
    check_problems(".yaml", "account: hush\n", &["line 1: write accounts as a list"]).await;
    check_problems(".yml", "account:\n  - hush\n", &["line 2: an account is a map"]).await;
    check_problems(".yaml", "", &["no `account:` list"]).await;
    check_problems(
        ".yaml",
        "account:\n  - name: a\n    api_key: 0123\n",
        &["line 3: api_key is a text in quotes", "no api_key"],
    )
    .await;
    check_problems(".yaml", "account:\n  - name: a\n    api_key: k\n    password: ${KEY\n", &["not closed"])
        .await;
    check_problems(
        ".toml",
        "[[account]]\nname=\"a\"\napi_key=\"k\"\nautomatic_login=true\npassword=\"hush\"\n",
        &["no api_secret", "no totp_seed", "no user_id"],
    )
    .await;
}

#[tokio::test]
async fn a_file_that_others_can_read_is_told() {
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    file.write_all(b"[[account]]\nname = \"a\"\napi_key = \"k\"\n").unwrap();
    let source = FileSource::new(file.path().to_owned(), variables(&[]), AccountDefaults::default());
    assert_eq!(source.load().await.unwrap().warning, None);
    std::fs::set_permissions(file.path(), PermissionsExt::from_mode(0o644)).unwrap();
    assert!(source.load().await.unwrap().warning.unwrap().contains("chmod 600"));
}

#[tokio::test]
async fn the_environment_is_one_account_or_none() {
    let load =
        |account| async move { EnvironmentSource::new(account, AccountDefaults::default()).load().await };
    assert_eq!(load(EnvironmentAccount::default()).await.unwrap().accounts, []);
    let lost =
        EnvironmentAccount { access_token: Some(Secret::new("hush")), ..EnvironmentAccount::default() };
    let error = load(lost).await.unwrap_err().to_string();
    assert!(
        error.contains("KITE_ACCESS_TOKEN is set but KITE_API_KEY is not") && !error.contains("hush"),
        "{error}"
    );
    let whole = EnvironmentAccount {
        api_key: Some(Secret::new("k${X}")),
        api_secret: Some(Secret::new("s")),
        access_token: Some(Secret::new("t")),
        simulated: true,
    };
    let loaded = load(whole).await.unwrap();
    let [main] = &loaded.accounts[..] else { panic!() };
    assert_eq!((main.name.as_str(), main.api_key.expose(), main.simulated), ("main", "k${X}", true));
    assert_eq!(main.secrets.access_token, Some(Secret::new("t")));
}

// === user service ===

#[derive(Clone, Default)]
struct Answers(Arc<Mutex<Vec<Scripted>>>);

/// Status and body, or why there is none.
type Scripted = Result<(u16, &'static str), &'static str>;

impl FetchJson for Answers {
    async fn fetch(&self, request: FetchRequest<'_>) -> Result<FetchAnswer, String> {
        assert_eq!((request.url, request.bearer.expose()), ("http://users/v1/accounts?x=y", "tok-hush"));
        let next = self.0.lock().unwrap().pop();
        match next {
            Some(Ok((status, body))) => Ok(FetchAnswer { status, body: body.as_bytes().to_vec().into() }),
            Some(Err(problem)) => Err(problem.to_owned()),
            None => std::future::pending().await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_good_list_holds_while_the_service_is_down() {
    let answers = Answers::default();
    let config = ServiceConfig {
        url: "http://users/v1/accounts?x=y".to_owned(),
        token: Secret::new("tok-hush"),
        timeout: Duration::from_secs(2),
        most_bytes: 200,
        refresh: Duration::from_secs(60),
    };
    let service = ServiceSource::new(config, AccountDefaults::default(), answers.clone());
    let say = |answer| answers.0.lock().unwrap().push(answer);
    say(Err("refused for tok-hush"));
    let error = service.load().await.unwrap_err().to_string();
    assert!(error.contains("refused for [redacted]") && !error.contains("x=y"), "{error}");

    say(Ok((200, r#"{"v":1,"accounts":[{"name":"a","api_key":"${HOME}","priority":3,"password":null}]}"#)));
    let good = service.load().await.unwrap();
    assert_eq!((good.accounts[0].api_key.expose(), good.accounts[0].priority), ("${HOME}", 3));
    assert_eq!(good.warning, None);

    for (answer, words) in [
        (Err("connection refused"), "connection refused"),
        (Ok((500, "hush")), "answered 500"),
        (Ok((401, "hush")), "bearer token"),
        (Ok((200, "<html>hush")), "not a JSON object"),
        (Ok((200, r#"{"v":2,"accounts":[]}"#)), "`v` is not 1"),
        (Ok((200, r#"{"v":1}"#)), "not a list"),
        (
            Ok((200, r#"{"v":1,"accounts":[{"name":"b","api_key":"hush","nme":"x"}]}"#)),
            "account 1: there is no field `nme`",
        ),
        (Ok((200, Box::leak(" ".repeat(201).into_boxed_str()))), "more than 200 bytes"),
    ] {
        say(answer);
        let kept = service.load().await.unwrap();
        assert_eq!(kept.accounts, good.accounts);
        let warning = kept.warning.unwrap();
        assert!(
            warning.contains(words) && warning.contains("s ago holds") && !warning.contains("hush"),
            "{warning}"
        );
    }
    let kept = service.load().await.unwrap();
    assert!(kept.warning.unwrap().contains("no answer within 2000 ms"));
    say(Ok((200, r#"{"v":1,"accounts":[]}"#)));
    assert_eq!(service.load().await.unwrap(), Loaded::new(Vec::new()));
}

// === merging ===

struct Fixed(&'static str, Mutex<Vec<Account>>);

impl AccountSource for Arc<Fixed> {
    fn name(&self) -> String {
        self.0.to_owned()
    }
    fn load(&self) -> Loading<'_> {
        let accounts = self.1.lock().unwrap().clone();
        Box::pin(async move { Ok(Loaded::new(accounts)) })
    }
}

fn from(origin: &str, name: &str, key: &str) -> Account {
    Account { origin: origin.to_owned(), api_key: Secret::new(key), ..account(name) }
}

#[test]
fn the_first_of_a_name_wins_and_one_key_is_one_account() {
    let merged =
        merge([vec![from("env", "a", "k1")], vec![from("file", "a", "k2"), from("file", "b", "k2")]])
            .unwrap();
    let shown: Vec<_> = merged.accounts.iter().map(|a| (a.name.as_str(), a.origin.as_str())).collect();
    assert_eq!(shown, [("a", "env"), ("b", "file")]);
    assert_eq!(merged.notices, ["account `a` of file is not used, the one of env comes first"]);
    let error = merge([vec![from("env", "a", "k1")], vec![from("file", "b", "k1")]]).unwrap_err().to_string();
    assert!(
        error.contains("`b` (file) has the api_key of account `a` (env)") && !error.contains("k1"),
        "{error}"
    );
}

#[tokio::test]
async fn a_refresh_is_taken_whole_or_not_at_all() {
    let source = Arc::new(Fixed("test", Mutex::new(vec![from("x", "a", "k1"), from("x", "b", "k2")])));
    let directory = AccountDirectory::new(vec![Box::new(Arc::clone(&source))]);
    let refreshed = directory.refresh().await.unwrap();
    assert_eq!(refreshed.added.len(), 2);
    assert_eq!(directory.refresh().await.unwrap(), Refreshed::default());
    *source.1.lock().unwrap() = vec![Account { weight: 4, ..from("x", "a", "k1") }, from("x", "c", "k3")];
    let refreshed = directory.refresh().await.unwrap();
    let names = |names: &[crate::account::AccountName]| {
        names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        (names(&refreshed.added), names(&refreshed.removed), names(&refreshed.changed)),
        ("c".into(), "b".into(), "a".into())
    );
    *source.1.lock().unwrap() = vec![Account { simulated: false, ..from("x", "a", "k1") }];
    assert!(directory.refresh().await.unwrap_err().to_string().contains("restart for that"));
    assert_eq!(directory.accounts().len(), 2);
}
