//! The pages in `docs/` say what the code says. `cargo xtask docs` writes them anew.

#![expect(clippy::unwrap_used, reason = "tests")]

mod metrics;

use std::fmt::Write as _;
use std::path::PathBuf;

use gateway::SETTINGS;

#[test]
fn configuration_page() {
    let mut page = String::from(
        "# Configuration\n\n\
        <!-- Written by `cargo xtask docs` from crates/gateway/src/config/settings.rs; edit there. -->\n\n\
        Every setting is an environment variable and a line in a TOML file given by `--config FILE` (or `GATEWAY_CONFIG`). The environment wins. \
        `${NAME}` in either file is replaced by the variable. Every problem is reported in one go, with exit code 64; `--check` only reads and reports.\n\n\
        Secrets are marked; they never appear in logs, errors or `/health`.\n\n\
        | variable | in the file | default | meaning |\n| --- | --- | --- | --- |\n",
    );
    for setting in SETTINGS {
        let default =
            if setting.default.is_empty() { "-".to_owned() } else { format!("`{}`", setting.default) };
        let secret = if setting.secret { " **Secret.**" } else { "" };
        writeln!(page, "| `{}` | `{}` | {default} | {}{secret} |", setting.env, setting.key, setting.meaning)
            .unwrap();
    }
    page.push_str(
        "\n## Example\n\n```toml\n[gateway]\nlisten = \"127.0.0.1:8080\"\nsubscribe = \"NIFTY:2:25:full,NSE:RELIANCE:full\"\n\n\
        [redis]\nurl = \"redis://:${REDIS_PASSWORD}@127.0.0.1:6379\"\n\n[kite]\naccounts_file = \"accounts.toml\"\n```\n\n\
        and `accounts.toml`:\n\n```toml\n[[account]]\nname = \"main\"\napi_key = \"${KITE_KEY_MAIN}\"\naccess_token = \"${KITE_TOKEN_MAIN}\"\n```\n",
    );
    check_page("configuration.md", &page);
}

/// Holds the page against what the code says; with `UPDATE_DOCS` writes it first.
fn check_page(name: &str, expected: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "docs/{name} does not match the code; run `cargo xtask docs`");
}
