//! Commands: one request to the running gateway each, and the answer shown.

use std::io::{IsTerminal, Read, Write};
use std::process::ExitCode;

use gateway::cli::{ApiClient, Call, WishArguments, render};
use gateway::{Config, ProcessEnv, doctor, import_fernet, rekey};
use serde_json::{Value, json};

use crate::args::{Accounts, Arguments, Command, Instruments, Output, Subscriptions, Wish};
use crate::{EXIT_CONFIG, EXIT_START};

/// What standard input may hold: some lines of secrets.
const MOST_INPUT: u64 = 64 * 1024;

/// Carries out `command`.
pub(crate) async fn run(arguments: &Arguments, command: &Command) -> ExitCode {
    let output = arguments.output.unwrap_or(match std::io::stdout().is_terminal() {
        true => Output::Table,
        false => Output::Json,
    });
    if let Command::Doctor = command {
        let diagnosis = doctor::examine(&ProcessEnv, arguments.config.as_deref()).await;
        let text = match output {
            Output::Table => diagnosis.lines(),
            Output::Json => json_text(&diagnosis.rows()),
        };
        say(&text);
        return if diagnosis.is_bad() { ExitCode::from(EXIT_START) } else { ExitCode::SUCCESS };
    }
    let config = match Config::read(&ProcessEnv, arguments.config.as_deref()) {
        Ok(config) => config,
        Err(problems) => return refuse(&problems.to_string(), EXIT_CONFIG),
    };
    let answer = match command {
        Command::Accounts(Accounts::Rekey) => {
            rekey(&config, &ProcessEnv).await.map_err(|error| error.to_string())
        }
        Command::Accounts(Accounts::ImportFernet { file }) => {
            import_fernet(&config, &ProcessEnv, file).await.map_err(|error| error.to_string())
        }
        command => match call(command) {
            Ok(call) => {
                let client = ApiClient::new(config.listen, config.api_key.clone());
                client.call(&call).await.map_err(|error| error.to_string())
            }
            Err(problem) => return refuse(&problem, EXIT_CONFIG),
        },
    };
    match answer {
        Ok(value) => {
            let value = match command {
                Command::Accounts(Accounts::Login { name }) => login(&config, name, &value),
                _ => value,
            };
            say(&match output {
                Output::Table => render(&value),
                Output::Json => json_text(&value),
            });
            ExitCode::SUCCESS
        }
        Err(problem) => refuse(&problem, EXIT_START),
    }
}

/// The request of a command.
fn call(command: &Command) -> Result<Call, String> {
    Ok(match command {
        Command::Accounts(accounts) => match accounts {
            Accounts::List | Accounts::Rekey | Accounts::ImportFernet { .. } => Call::accounts(),
            Accounts::Add {
                name,
                user_id,
                registered_addresses,
                automatic_login,
                weight,
                rest_url,
                ticker_url,
                simulated,
            } => {
                let mut account = json!({
                    "name": name, "simulated": simulated, "automatic_login": automatic_login,
                    "registered_addresses": registered_addresses,
                });
                let optional = [
                    ("user_id", user_id.as_ref().map(|text| json!(text))),
                    ("weight", weight.map(|weight| json!(weight))),
                    ("rest_url", rest_url.as_ref().map(|text| json!(text))),
                    ("ticker_url", ticker_url.as_ref().map(|text| json!(text))),
                ];
                let secrets = secrets(&input()?)?;
                for (field, value) in optional
                    .into_iter()
                    .filter_map(|(field, value)| Some((field.to_owned(), value?)))
                    .chain(secrets)
                {
                    account[field] = value;
                }
                Call::add_account(account)
            }
            Accounts::Remove { name, yes } => {
                really(*yes, &format!("takes account `{name}` and its secrets out of the database"))?;
                Call::remove_account(name)
            }
            Accounts::Token { name } => Call::hand_over(name, input()?.trim()),
            // The gateway knows the account; the address is its own.
            Accounts::Login { name: _ } => Call::accounts(),
            Accounts::Unbar { name } => Call::unbar(name),
            Accounts::Reconnect { name } => Call::reconnect(name),
        },
        Command::Instruments(instruments) => match instruments {
            Instruments::Search { words, limit } => Call::search(&words.join(" "), *limit),
            Instruments::Show { symbol, as_of } => Call::instrument(symbol, as_of.as_deref()),
            Instruments::Strikes { underlying, expiry, around } => {
                Call::strikes(underlying, expiry.as_deref(), *around)
            }
            Instruments::Changes => Call::instrument_changes(),
            Instruments::Refresh => Call::refresh_instruments(),
        },
        Command::Subscriptions(subscriptions) => match subscriptions {
            Subscriptions::List => Call::subscriptions(),
            Subscriptions::Add(wish) => Call::subscribe(&wish_of(wish)),
            Subscriptions::Change { id, version, wish } => {
                Call::change_subscription(id, *version, &wish_of(wish))
            }
            Subscriptions::Remove { id, version, yes } => {
                really(*yes, &format!("takes wish `{id}` back"))?;
                Call::unsubscribe(id, *version)
            }
        },
        Command::Plan { symbol } => Call::plan(symbol.as_deref()),
        Command::Instances | Command::Doctor => Call::instances(),
    })
}

fn wish_of(wish: &Wish) -> WishArguments {
    WishArguments {
        wish: wish.wish.clone(),
        owner: wish.owner.clone(),
        priority: wish.priority.map(i32::from),
        account: wish.account.clone(),
    }
}

/// Where to log in: the gateway sends the browser on to the broker.
fn login(config: &Config, name: &str, accounts: &Value) -> Value {
    let known = accounts.as_array().is_some_and(|rows| rows.iter().any(|row| row["name"] == *name));
    match known {
        true => json!({
            "open": format!("http://{}/v1/accounts/{name}/login", config.listen),
            "then": "log in there; the broker sends the browser back to /kite/callback of this gateway",
        }),
        false => json!({ "problem": format!("there is no account `{name}`") }),
    }
}

/// `name=value` lines.
fn secrets(text: &str) -> Result<Vec<(String, Value)>, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let pairs = lines.map(|line| match line.split_once('=') {
        Some((name @ ("api_key" | "api_secret" | "password" | "totp_seed"), value)) => {
            Ok((name.to_owned(), json!(value.trim())))
        }
        _ => Err("standard input holds lines of api_key=..., api_secret=..., password=... and totp_seed=..."
            .to_owned()),
    });
    pairs.collect()
}

fn input() -> Result<String, String> {
    let mut stdin = std::io::stdin();
    if stdin.is_terminal() {
        eprintln!("reading standard input; end with Ctrl-D");
    }
    let mut text = String::new();
    let read = Read::by_ref(&mut stdin).take(MOST_INPUT).read_to_string(&mut text);
    read.map_err(|error| format!("standard input cannot be read: {error}")).map(|_| text)
}

fn really(yes: bool, what: &str) -> Result<(), String> {
    if yes { Ok(()) } else { Err(format!("this {what}; say --yes to do it")) }
}

fn json_text(value: &Value) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

fn say(text: &str) {
    // Nothing can be done when the reader is gone.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

fn refuse(problem: &str, code: u8) -> ExitCode {
    eprintln!("{problem}");
    ExitCode::from(code)
}
