//! Why no tick flows, in one answer: the way of a tick from configuration to consumer, each step looked at.

mod offline;
mod online;

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::{ApiClient, Call, CallError};
use crate::config::{Config, ConfigError, Env};

/// Between two looks at the counters: enough for a tick of whatever ticks at all.
const BETWEEN: Duration = Duration::from_millis(1500);

/// How a step is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Not wrong, but worth knowing.
    Note,
    /// Ticks are missing because of it, or will be.
    Bad,
}

/// One step and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The step: `configuration`, `gateway`, `database`, `accounts`, ...
    pub step: &'static str,
    /// How it is doing.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do about it; empty when nothing.
    pub advice: String,
}

/// Everything that was found, in the order of a tick's way.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diagnosis {
    /// The steps.
    pub findings: Vec<Finding>,
}

/// Looks at everything there is to look at.
///
/// # Cancel safety
/// Nothing is changed by it.
pub async fn examine(env: &dyn Env, file: Option<&Path>) -> Diagnosis {
    let mut diagnosis = Diagnosis::default();
    let config = match Config::read(env, file) {
        Ok(config) => config,
        Err(ConfigError(problems)) => {
            for problem in problems {
                diagnosis.bad("configuration", problem, "mend it; `--check` reads it again");
            }
            return diagnosis;
        }
    };
    let sources = match config.accounts.configured.len() {
        0 => "no account in environment or file".to_owned(),
        count => format!("{count} account(s) in environment or file"),
    };
    diagnosis.good("configuration", format!("can be read, {sources}"));
    let client = ApiClient::new(config.listen, config.api_key.clone());
    match look(&client).await {
        Ok((before, after, instances)) => {
            online::examine(&mut diagnosis, &before, &after, instances.as_ref());
        }
        Err(error @ CallError::Unreachable { .. }) => {
            diagnosis.bad("gateway", error.to_string(), "start it; what follows was found without it");
            offline::examine(&mut diagnosis, &config).await;
        }
        Err(error) => {
            diagnosis.bad("gateway", error.to_string(), "look whether GATEWAY_API_KEY is the same here");
        }
    }
    diagnosis
}

/// Two reports, so that what counts can be seen to move; and the leases, when the database answers.
async fn look(client: &ApiClient) -> Result<(Value, Value, Option<Value>), CallError> {
    let before = client.call(&Call::get("/health")).await?;
    tokio::time::sleep(BETWEEN).await;
    let after = client.call(&Call::get("/health")).await?;
    Ok((before, after, client.call(&Call::instances()).await.ok()))
}

// === impl Diagnosis ===

impl Diagnosis {
    /// Whether ticks are missing for a reason that was found.
    pub fn is_bad(&self) -> bool {
        self.findings.iter().any(|finding| finding.verdict == Verdict::Bad)
    }

    /// As rows for a table or a program.
    pub fn rows(&self) -> Value {
        let rows = self.findings.iter().map(|finding| {
            json!({
                "step": finding.step,
                "verdict": finding.verdict.as_str(),
                "found": finding.found,
                "advice": finding.advice,
            })
        });
        rows.collect()
    }

    /// As lines for a person.
    pub fn lines(&self) -> String {
        let width = self.findings.iter().map(|finding| finding.step.len()).max().unwrap_or(0);
        let mut text = String::new();
        for finding in &self.findings {
            let mark = match finding.verdict {
                Verdict::Good => "ok  ",
                Verdict::Note => "note",
                Verdict::Bad => "BAD ",
            };
            text.push_str(&format!("{mark}  {:width$}  {}\n", finding.step, finding.found));
            if !finding.advice.is_empty() {
                text.push_str(&format!("      {:width$}  -> {}\n", "", finding.advice));
            }
        }
        text
    }

    fn good(&mut self, step: &'static str, found: impl Into<String>) {
        self.add(step, Verdict::Good, found.into(), "");
    }

    fn note(&mut self, step: &'static str, found: impl Into<String>, advice: &str) {
        self.add(step, Verdict::Note, found.into(), advice);
    }

    fn bad(&mut self, step: &'static str, found: impl Into<String>, advice: &str) {
        self.add(step, Verdict::Bad, found.into(), advice);
    }

    fn add(&mut self, step: &'static str, verdict: Verdict, found: String, advice: &str) {
        self.findings.push(Finding { step, verdict, found, advice: advice.to_owned() });
    }
}

// === impl Verdict ===

impl Verdict {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Note => "note",
            Self::Bad => "bad",
        }
    }
}
