//! An account as somebody wrote it, and the check that makes an [`Account`] of it, telling every mistake at once.

use std::fmt::Display;
use std::net::IpAddr;

use market_model::UnixNanos;
use zeroize::Zeroize;

use super::AccountDefaults;
use crate::account::{Account, AccountLimits, AccountName, AccountSecrets};
use crate::secret::Secret;

/// The names of all fields, as every source spells them.
pub(super) const FIELDS: [&str; 19] = [
    "name",
    "api_key",
    "api_secret",
    "access_token",
    "token_obtained",
    "user_id",
    "trading_account",
    "password",
    "totp_seed",
    "rest_url",
    "ticker_url",
    "simulated",
    "enabled",
    "priority",
    "weight",
    "connections",
    "tokens_per_connection",
    "registered_addresses",
    "automatic_login",
];

/// A value as it was written. Texts may be secrets, so it has no `Debug`.
pub(super) enum Written {
    Text(String),
    Integer(i64),
    Bool(bool),
    List(Vec<String>),
    /// Nothing was said after all.
    Null,
    /// Something that no field takes, in words.
    Other(&'static str),
}

/// One field as it was written.
pub(super) struct Field {
    pub(super) name: String,
    /// For messages, such as `line 7`.
    pub(super) place: String,
    pub(super) value: Written,
}

/// One account as it was written.
pub(super) struct Draft {
    /// For messages, such as `line 6`.
    pub(super) place: String,
    pub(super) fields: Vec<Field>,
}

/// Where the value of a name is found.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Checks drafts of one source.
pub(super) struct Checker<'a> {
    /// The source, such as a file name.
    pub(super) origin: &'a str,
    pub(super) defaults: &'a AccountDefaults,
    /// Values for `${NAME}`; `None` where a source has no business with our environment.
    pub(super) variables: Option<Lookup<'a>>,
    pub(super) problems: Vec<String>,
}

impl Drop for Field {
    fn drop(&mut self) {
        if let Written::Text(text) = &mut self.value {
            text.zeroize();
        }
    }
}

// === impl Checker ===

impl Checker<'_> {
    /// Every account that has no mistakes; what is wrong with the others is added to the problems.
    pub(super) fn check_all(&mut self, drafts: Vec<Draft>) -> Vec<Account> {
        let mut accounts: Vec<Account> = Vec::with_capacity(drafts.len());
        for mut draft in drafts {
            let before = self.problems.len();
            let account = self.check(&mut draft);
            if accounts.iter().any(|other| other.name == account.name) {
                self.problem(&draft.place, format_args!("the name `{}` is used twice", account.name));
            }
            if self.problems.len() == before {
                accounts.push(account);
            }
        }
        accounts
    }

    /// An account whatever it takes; it is only worth something when no problem was added.
    fn check(&mut self, draft: &mut Draft) -> Account {
        self.check_names(draft);
        self.resolve(draft);
        let place = draft.place.clone();
        let name = self.name(draft);
        let api_key = self.secret(draft, "api_key");
        if api_key.is_none() {
            self.problem(&place, format_args!("account `{name}` has no api_key"));
        }
        let user_id = self.text(draft, "user_id");
        let trading_account = self.text(draft, "trading_account").or_else(|| user_id.clone());
        let limits = self.defaults.limits;
        let automatic_login = self.bool(draft, "automatic_login", false);
        let secrets = AccountSecrets {
            api_secret: self.secret(draft, "api_secret"),
            access_token: self.secret(draft, "access_token"),
            token_obtained: self.moment(draft, "token_obtained"),
            password: self.secret(draft, "password"),
            totp_seed: self.secret(draft, "totp_seed"),
        };
        if automatic_login {
            let needed = [
                ("api_secret", secrets.api_secret.is_none()),
                ("password", secrets.password.is_none()),
                ("totp_seed", secrets.totp_seed.is_none()),
                ("user_id", user_id.is_none()),
            ];
            for (field, _) in needed.iter().filter(|(_, missing)| *missing) {
                self.problem(&place, format_args!("account `{name}` has automatic_login but no {field}"));
            }
        }
        Account {
            api_key: api_key.unwrap_or_else(|| Secret::new("")),
            secrets,
            trading_account: trading_account.unwrap_or_else(|| name.to_string()),
            user_id,
            rest_url: self.url(draft, "rest_url", ["https://", "http://"], &self.defaults.rest_url.clone()),
            ticker_url: self.url(draft, "ticker_url", ["wss://", "ws://"], &self.defaults.ticker_url.clone()),
            simulated: self.bool(draft, "simulated", false),
            enabled: self.bool(draft, "enabled", true),
            priority: self.number(draft, "priority", 0, 0, 1000),
            weight: self.number(draft, "weight", 1, 1, 1000),
            limits: AccountLimits {
                connections: self.number(draft, "connections", limits.connections, 1, 16),
                tokens_per_connection: self.number(
                    draft,
                    "tokens_per_connection",
                    limits.tokens_per_connection,
                    1,
                    100_000,
                ),
            },
            registered_addresses: self.addresses(draft, "registered_addresses"),
            automatic_login,
            origin: format!("{}, {place}", self.origin),
            name,
        }
    }

    fn check_names(&mut self, draft: &Draft) {
        for (index, field) in draft.fields.iter().enumerate() {
            if !FIELDS.contains(&field.name.as_str()) {
                self.problem(
                    &field.place,
                    format_args!(
                        "there is no field `{}`; there are {}",
                        shown(&field.name),
                        FIELDS.join(", ")
                    ),
                );
            } else if draft.fields[..index].iter().any(|other| other.name == field.name) {
                self.problem(&field.place, format_args!("{} is said twice", field.name));
            }
        }
    }

    /// Puts values in the place of `${NAME}`, after the file was read: a value cannot change the file's structure.
    fn resolve(&mut self, draft: &mut Draft) {
        let Some(variables) = self.variables else { return };
        for field in &mut draft.fields {
            let Written::Text(text) = &mut field.value else { continue };
            match resolve(text, variables) {
                Ok(resolved) => {
                    text.zeroize();
                    *text = resolved;
                }
                Err(problems) => {
                    for problem in problems {
                        self.problems
                            .push(format!("{}, {}: {}: {problem}", self.origin, field.place, field.name));
                    }
                    // Said; not to be complained about once more.
                    field.value = Written::Text("x".to_owned());
                }
            }
        }
    }

    fn name(&mut self, draft: &Draft) -> AccountName {
        // Any valid name will do once there is a problem.
        let nobody = AccountName::unnamed;
        let place = place_of(draft, "name").to_owned();
        let Some(text) = self.text(draft, "name") else {
            self.problem(&place, "the account has no name");
            return nobody();
        };
        AccountName::new(&text).unwrap_or_else(|wrong| {
            self.problem(&place, format_args!("the name `{}` {wrong}", shown(&text)));
            nobody()
        })
    }

    fn text(&mut self, draft: &Draft, name: &str) -> Option<String> {
        match find(draft, name)? {
            Written::Text(text) if text.trim().is_empty() => {
                self.problem(place_of(draft, name), format_args!("{name} is empty"));
                None
            }
            Written::Text(text) => Some(text.clone()),
            Written::Null => None,
            // A key that looks like a number would lose its leading zeros.
            other => self.mistyped(draft, name, "a text in quotes", other),
        }
    }

    fn secret(&mut self, draft: &Draft, name: &str) -> Option<Secret> {
        self.text(draft, name).map(Secret::new)
    }

    fn bool(&mut self, draft: &Draft, name: &str, default: bool) -> bool {
        let read = match find(draft, name) {
            None | Some(Written::Null) => return default,
            Some(Written::Bool(value)) => return *value,
            Some(Written::Text(text)) if text == "true" => Some(true),
            Some(Written::Text(text)) if text == "false" => Some(false),
            Some(other) => self.mistyped(draft, name, "true or false", other),
        };
        read.unwrap_or(default)
    }

    fn number(&mut self, draft: &Draft, name: &str, default: u32, least: u32, most: u32) -> u32 {
        let number = match find(draft, name) {
            None | Some(Written::Null) => return default,
            Some(Written::Integer(number)) => Some(*number),
            Some(Written::Text(text)) => text.trim().parse().ok(),
            Some(_) => None,
        };
        match number.and_then(|number| u32::try_from(number).ok()) {
            Some(number) if (least..=most).contains(&number) => number,
            _ => {
                self.problem(
                    place_of(draft, name),
                    format_args!("{name} is a number from {least} to {most}"),
                );
                default
            }
        }
    }

    fn moment(&mut self, draft: &Draft, name: &str) -> Option<UnixNanos> {
        let text = self.text(draft, name)?;
        let at = text.parse::<jiff::Timestamp>().ok().and_then(|at| i64::try_from(at.as_nanosecond()).ok());
        if at.is_none() {
            let problem = format_args!("{name} is a time such as 2026-11-20T08:45:00+05:30");
            self.problem(place_of(draft, name), problem);
        }
        at.map(UnixNanos)
    }

    fn url(&mut self, draft: &Draft, name: &str, schemes: [&str; 2], default: &str) -> String {
        let Some(url) = self.text(draft, name) else { return default.to_owned() };
        let rest = schemes.iter().find_map(|scheme| url.strip_prefix(scheme));
        if rest.is_none_or(|rest| rest.is_empty() || rest.contains(['@', ' ', '\r', '\n'])) {
            let problem =
                format_args!("{name} is an address that begins with {} or {}", schemes[0], schemes[1]);
            self.problem(place_of(draft, name), problem);
        }
        url
    }

    fn addresses(&mut self, draft: &Draft, name: &str) -> Vec<IpAddr> {
        let texts: Vec<&str> = match find(draft, name) {
            None | Some(Written::Null) => return Vec::new(),
            Some(Written::Text(text)) => text.split(',').collect(),
            Some(Written::List(texts)) => texts.iter().map(String::as_str).collect(),
            Some(other) => {
                self.mistyped::<()>(draft, name, "a list of addresses", other);
                return Vec::new();
            }
        };
        let mut addresses = Vec::with_capacity(texts.len());
        for text in texts.into_iter().map(str::trim) {
            match text.parse() {
                Ok(address) => addresses.push(address),
                Err(_) => self.problem(
                    place_of(draft, name),
                    format_args!("{name}: `{}` is not an address such as 203.0.113.7", shown(text)),
                ),
            }
        }
        addresses
    }

    fn mistyped<T>(&mut self, draft: &Draft, name: &str, wanted: &str, found: &Written) -> Option<T> {
        let found = match found {
            Written::Text(_) => "a text",
            Written::Integer(_) => "a number",
            Written::Bool(_) => "true or false",
            Written::List(_) => "a list",
            Written::Null => "nothing",
            Written::Other(words) => words,
        };
        self.problem(place_of(draft, name), format_args!("{name} is {wanted}, not {found}"));
        None
    }

    pub(super) fn problem(&mut self, place: &str, problem: impl Display) {
        self.problems.push(format!("{}, {place}: {problem}", self.origin));
    }
}

fn find<'a>(draft: &'a Draft, name: &str) -> Option<&'a Written> {
    draft.fields.iter().find(|field| field.name == name).map(|field| &field.value)
}

fn place_of<'a>(draft: &'a Draft, name: &str) -> &'a str {
    draft.fields.iter().find(|field| field.name == name).map_or(&draft.place, |field| &field.place)
}

/// A word that is safe to repeat: short, on one line.
fn shown(text: &str) -> String {
    text.chars().take(40).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Replaces each `${NAME}` by its value; values are not looked into again.
fn resolve(text: &str, variables: &dyn Fn(&str) -> Option<String>) -> Result<String, Vec<String>> {
    let (mut resolved, mut problems, mut rest) = (String::with_capacity(text.len()), Vec::new(), text);
    while let Some(start) = rest.find("${") {
        let (before, after) = rest.split_at(start);
        resolved.push_str(before);
        let Some(end) = after.find('}') else {
            problems.push("`${` is not closed by `}`".to_owned());
            rest = "";
            break;
        };
        let name = &after[2..end];
        match variables(name) {
            Some(value) => resolved.push_str(&value),
            None => problems.push(format!("${{{}}} is not set in the environment", shown(name))),
        }
        rest = &after[end + 1..];
    }
    resolved.push_str(rest);
    if problems.is_empty() { Ok(resolved) } else { Err(problems) }
}
