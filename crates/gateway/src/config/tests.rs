//! What the configuration reader accepts and how it refuses.

use std::collections::BTreeMap;
use std::io::Write;

use super::*;

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn check_problems(pairs: &[(&str, &str)], expect: &[&str]) {
    let ConfigError(problems) = Config::read(&env(pairs), None).unwrap_err();
    assert_eq!(problems.len(), expect.len(), "{problems:#?}");
    for (problem, part) in problems.iter().zip(expect) {
        assert!(problem.contains(part), "`{problem}` does not say `{part}`");
    }
}

#[test]
fn nothing_set_is_the_simulated_market() {
    let config = Config::read(&env(&[]), None).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert!(config.accounts.configured.is_empty() && config.redis.is_none() && config.api_key.is_none());
    assert_eq!(config.batch.window, Duration::from_millis(5));
    assert_eq!(config.wishes.len(), 4);
    assert_eq!(config.notices, Vec::<String>::new());
}

#[test]
fn every_problem_is_reported_at_once() {
    check_problems(
        &[
            ("GATEWAY_ENV", "prod"),
            ("GATEWAY_LISTEN", "8080"),
            ("GATEWAY_SUBSCRIBE", "NIFTY:x,NSE:"),
            ("GATEWAY_RATE", "6.5"),
            ("BATCH_WINDOW_MS", "0"),
            ("REDIS_URL", "localhost:6379"),
            ("KITE_ACCESS_TOKEN", "t"),
            ("GATEWAY_ROLES", "feed,door"),
            ("SIM_LOAD", "lots"),
            ("LOG_LEVEL", "loud"),
        ],
        &[
            "GATEWAY_ENV: `prod` is not one of development, production",
            "GATEWAY_LISTEN",
            "GATEWAY_SUBSCRIBE: `NIFTY:x`",
            "GATEWAY_SUBSCRIBE: `NSE:`",
            "GATEWAY_RATE",
            "BATCH_WINDOW_MS",
            "REDIS_URL",
            "GATEWAY_ROLES: `door`",
            "KITE_ACCESS_TOKEN is set but KITE_API_KEY is not",
            "SIM_LOAD",
            "LOG_LEVEL",
        ],
    );
}

#[test]
fn production_needs_a_key_and_a_safe_address() {
    check_problems(
        &[("GATEWAY_ENV", "production"), ("GATEWAY_LISTEN", "0.0.0.0:80"), ("GATEWAY_API_KEY", "short")],
        &["32 or more characters", "without TLS"],
    );
    let key = "k".repeat(32);
    let safe = env(&[("GATEWAY_ENV", "production"), ("GATEWAY_API_KEY", &key)]);
    assert!(Config::read(&safe, None).is_ok());
}

#[test]
fn the_environment_wins_over_the_file() {
    let file = file(
        "[gateway]\nlisten = \"127.0.0.1:9000\"\nrate = 0.07\n[redis]\nurl = \"redis://:${PW}@h:1\"\n[batch]\nwindow_ms = 100\n",
    );
    let env = env(&[("GATEWAY_LISTEN", "127.0.0.1:9001"), ("PW", "hush")]);
    let config = Config::read(&env, Some(file.path())).unwrap();
    assert_eq!(config.listen.port(), 9001);
    assert_eq!(config.rate, 0.07);
    assert_eq!(config.batch.window, Duration::from_millis(100));
    assert_eq!(config.redis.as_ref().unwrap().url.expose(), "redis://:hush@h:1");
    assert!(!format!("{config:?}").contains("hush"), "a secret is shown");
    assert!(config.secrets().contains(&"hush".to_owned()), "the log filter does not know the password");
}

#[test]
fn unknown_and_unreadable_files_are_named() {
    let misspelt = file("[gateway]\nlisen = \"127.0.0.1:9000\"\n[extra]\n");
    let ConfigError(problems) = Config::read(&env(&[]), Some(misspelt.path())).unwrap_err();
    assert!(problems[0].contains("no setting `gateway.lisen`"), "{problems:?}");
    let broken = file("[gateway\n");
    let ConfigError(problems) = Config::read(&env(&[]), Some(broken.path())).unwrap_err();
    assert!(problems[0].contains("near line 1"), "{problems:?}");
    let ConfigError(problems) = Config::read(&env(&[]), Some(std::path::Path::new("/no/such"))).unwrap_err();
    assert!(problems[0].contains("cannot read /no/such"), "{problems:?}");
}

#[test]
fn accounts_come_from_a_file_with_variables() {
    let accounts = file(
        "[[account]]\nname = \"a\"\napi_key = \"ka\"\naccess_token = \"${TOKEN_A}\"\n[[account]]\nname = \"b\"\napi_key = \"kb\"\naccess_token = \"tb\"\nsimulated = true\nticker_url = \"ws://127.0.0.1:1\"\n",
    );
    let path = accounts.path().to_str().unwrap();
    let config = Config::read(&env(&[("KITE_ACCOUNTS_FILE", path), ("TOKEN_A", "ta")]), None).unwrap();
    let accounts = &config.accounts.configured;
    assert_eq!(accounts[0].secrets.access_token.as_ref().unwrap().expose(), "ta");
    assert_eq!(accounts[0].ticker_url, "wss://ws.kite.trade");
    assert!(accounts[1].simulated && !accounts[0].simulated);
    assert!(config.secrets().contains(&"ta".to_owned()) && !format!("{config:?}").contains("\"ta\""));

    let twice = file(
        "[[account]]\nname = \"a b\"\napi_key = \"\"\naccess_token = \"t\"\n[[account]]\nname = \"a b\"\napi_key = \"k\"\naccess_token = \"t\"\n",
    );
    let ConfigError(problems) =
        Config::read(&env(&[("KITE_ACCOUNTS_FILE", twice.path().to_str().unwrap())]), None).unwrap_err();
    assert_eq!(problems.len(), 4, "{problems:#?}");

    let secret = file("[[account]]\nname = \"a\"\napi_key = hush\n");
    let ConfigError(problems) =
        Config::read(&env(&[("KITE_ACCOUNTS_FILE", secret.path().to_str().unwrap())]), None).unwrap_err();
    assert!(!problems[0].contains("hush") && problems[0].contains("line 3"), "{problems:?}");
}

#[test]
fn settings_for_parts_to_come_are_said() {
    let config = Config::read(&env(&[("JWT_ISSUER", "https://issuer.example")]), None).unwrap();
    assert!(config.notices[0].contains("JWT_ISSUER"));
}
