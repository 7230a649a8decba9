//! Faults as people write them: a TOML script, and JSON for the admin endpoint, with errors that say what is allowed.

use std::time::Duration;

use market_model::InstrumentToken;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::span::Span;
use super::{Door, Fault, FaultPlan, Target};
use crate::SimError;

/// The words for faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Word {
    Mute,
    NoPong,
    HalfOpen,
    Reset,
    Drop,
    Close,
    Refuse,
    Delay,
    TruncatedFrame,
    UnknownPacket,
    WrongLength,
    BigFrame,
    Overlong,
    RateCollapse,
    SilentTokens,
    NeverLive,
    LateSubscription,
    DuplicateText,
    ReorderText,
    Text,
    ExpireToken,
    Restart,
}

/// Every field that any fault takes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    fault: Word,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<Span>,
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    lasts: Option<Span>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    times: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    api_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    connection: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    present: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    door: Option<Door>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    html: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<Span>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    percent: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    length: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    packets: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bytes: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tokens: Option<Vec<u32>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    texts: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    down: Option<Span>,
}

/// A script file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Script {
    #[serde(default)]
    fault: Vec<toml::Spanned<Written>>,
}

/// Longest message a fault may make.
const LONGEST_MESSAGE: usize = 64 * 1024 * 1024;

/// Reads a TOML script: a `[[fault]]` table for each, as `docs/simulator.md` shows them.
///
/// # Errors
/// [`SimError::Fault`] that names the line and says what is allowed there.
pub fn fault_script(text: &str) -> Result<Vec<FaultPlan>, SimError> {
    let script: Script = toml::from_str(text).map_err(|error| SimError::Fault {
        place: line_of(text, error.span().map_or(0, |span| span.start)),
        problem: error.message().to_owned(),
    })?;
    let plan = |written: toml::Spanned<Written>| {
        let place = line_of(text, written.span().start);
        plan(written.into_inner()).map_err(|problem| SimError::Fault { place, problem })
    };
    script.fault.into_iter().map(plan).collect()
}

/// One fault as a JSON object, or several as an array of them.
///
/// # Errors
/// [`SimError::Fault`] that names the place and says what is allowed there.
pub(crate) fn from_json(body: &[u8]) -> Result<Vec<FaultPlan>, SimError> {
    let is_list = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    let written: Result<Vec<Written>, _> = match is_list {
        true => serde_json::from_slice(body),
        false => serde_json::from_slice(body).map(|one| vec![one]),
    };
    let written = written.map_err(|error| {
        // The place is at the end of the library's text; it comes first here as in a script.
        let text = error.to_string();
        let problem = text.rsplit_once(" at line ").map_or(text.as_str(), |(problem, _)| problem);
        let place = format!("line {} column {}", error.line(), error.column());
        SimError::Fault { place, problem: problem.to_owned() }
    })?;
    let count = written.len();
    let numbered = |(at, written): (usize, Written)| {
        let place = if count == 1 { "fault".to_owned() } else { format!("fault {}", at + 1) };
        plan(written).map_err(|problem| SimError::Fault { place, problem })
    };
    written.into_iter().enumerate().map(numbered).collect()
}

/// The plan as [`from_json`] reads it.
pub(crate) fn to_json(plan: &FaultPlan) -> Value {
    serde_json::to_value(written(plan)).unwrap_or_default()
}

fn line_of(text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    format!("line {}", before.matches('\n').count() + 1)
}

// === impl Word ===

impl Word {
    fn text(self) -> String {
        serde_json::to_value(self).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// The fields it takes beside `fault` and `at`.
    const fn fields(self) -> &'static [&'static str] {
        const FRAMES: &[&str] = &["percent", "for", "times", "api_key", "connection", "present"];
        const TOKENS: &[&str] = &["tokens", "for", "api_key", "connection", "present"];
        match self {
            Self::Mute | Self::NoPong | Self::HalfOpen | Self::DuplicateText | Self::ReorderText => {
                &["for", "times", "api_key", "connection", "present"]
            }
            Self::Reset | Self::Drop => &["api_key", "connection"],
            Self::Close => &["code", "reason", "api_key", "connection"],
            Self::Refuse => &["door", "status", "html", "path", "for", "times", "api_key"],
            Self::Delay => &["door", "by", "for", "times", "api_key"],
            Self::TruncatedFrame | Self::WrongLength => FRAMES,
            Self::UnknownPacket => &["percent", "length", "for", "times", "api_key", "connection", "present"],
            Self::BigFrame => &["packets", "for", "times", "api_key", "connection", "present"],
            Self::Overlong => &["bytes", "for", "times", "api_key", "connection", "present"],
            Self::RateCollapse => &["percent", "for", "api_key", "connection", "present"],
            Self::SilentTokens | Self::NeverLive => TOKENS,
            Self::LateSubscription => &["by", "tokens", "for", "api_key", "connection", "present"],
            Self::Text => &["texts", "api_key", "connection"],
            Self::ExpireToken => &["for", "api_key"],
            Self::Restart => &["down"],
        }
    }
}

/// What `written` means, or what is wrong with it.
fn plan(written: Written) -> Result<FaultPlan, String> {
    let name = written.fault.text();
    let takes = written.fault.fields();
    let keys = serde_json::to_value(&written).unwrap_or_default();
    for key in keys.as_object().into_iter().flat_map(|fields| fields.keys()) {
        if key != "fault" && key != "at" && !takes.contains(&key.as_str()) {
            let allowed = takes.join("`, `");
            return Err(format!("`{name}` does not take `{key}`: it takes `at`, `{allowed}`"));
        }
    }
    let need = |field: &str| format!("`{name}` needs `{field}`");
    let percent = |default: Option<f64>| match written.percent.or(default) {
        Some(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        Some(percent) => Err(format!("percent {percent} is not from 0 to 100")),
        None => Err(need("percent")),
    };
    let door = |allowed: &[Door]| match written.door {
        Some(door) if allowed.contains(&door) => Ok(door),
        Some(_) => Err(format!("`{name}` works at the doors `rest` and `handshake`")),
        None => Err(need("door")),
    };
    let tokens: Vec<InstrumentToken> =
        written.tokens.iter().flatten().map(|token| InstrumentToken(*token)).collect();
    let by = written.by.map(|span| span.0).ok_or_else(|| need("by"));
    let fault = match written.fault {
        Word::Mute => Fault::Mute,
        Word::NoPong => Fault::NoPong,
        Word::HalfOpen => Fault::HalfOpen,
        Word::Reset => Fault::Reset,
        Word::Drop => Fault::Drop,
        Word::Close => Fault::Close {
            code: within("code", written.code.unwrap_or(1001), 1000, 4999)?,
            reason: written.reason.clone().unwrap_or_default(),
        },
        Word::Refuse => Fault::Refuse {
            door: door(&[Door::Rest, Door::Handshake])?,
            status: within("status", written.status.ok_or_else(|| need("status"))?, 400, 599)?,
            html: written.html.unwrap_or(false),
            path: written.path.clone(),
        },
        Word::Delay => Fault::Delay { door: door(&[Door::Rest, Door::Handshake, Door::Accept])?, by: by? },
        Word::TruncatedFrame => Fault::TruncatedFrame { percent: percent(Some(100.0))? },
        Word::UnknownPacket => {
            Fault::UnknownPacket { percent: percent(Some(100.0))?, length: written.length }
        }
        Word::WrongLength => Fault::WrongLength { percent: percent(Some(100.0))? },
        Word::BigFrame => Fault::BigFrame { packets: written.packets.unwrap_or(3_000) },
        Word::Overlong => Fault::Overlong {
            bytes: within("bytes", written.bytes.unwrap_or(16 * 1024 * 1024 + 1), 2, LONGEST_MESSAGE)?,
        },
        Word::RateCollapse => Fault::RateCollapse { percent: percent(None)? },
        Word::SilentTokens if tokens.is_empty() => return Err(need("tokens")),
        Word::SilentTokens => Fault::SilentTokens { tokens },
        Word::NeverLive => Fault::NeverLive { tokens },
        Word::LateSubscription => Fault::LateSubscription { tokens, by: by? },
        Word::DuplicateText => Fault::DuplicateText,
        Word::ReorderText => Fault::ReorderText,
        Word::Text => Fault::Text { texts: written.texts.clone().ok_or_else(|| need("texts"))? },
        Word::ExpireToken => Fault::ExpireToken,
        Word::Restart => Fault::Restart { down: written.down.map_or(Duration::from_secs(1), |span| span.0) },
    };
    let target = match (written.api_key, written.connection) {
        (None, None) => Target::All,
        (Some(api_key), None) => Target::ApiKey(api_key),
        (None, Some(connection)) => Target::Connection(connection),
        (Some(_), Some(_)) => return Err("give `api_key` or `connection`, not both".to_owned()),
    };
    // A message that long is enough once.
    let enough = matches!(fault, Fault::BigFrame { .. } | Fault::Overlong { .. }) && written.lasts.is_none();
    let plan = FaultPlan {
        fault,
        target,
        present: written.present.unwrap_or(false),
        at: written.at.map_or(Duration::ZERO, |span| span.0),
        lasts: written.lasts.map(|span| span.0),
        times: written.times.or(enough.then_some(1)),
    };
    plan.check()?;
    Ok(plan)
}

fn within<T: PartialOrd + std::fmt::Display>(field: &str, value: T, least: T, most: T) -> Result<T, String> {
    match value < least || value > most {
        true => Err(format!("{field} {value} is not from {least} to {most}")),
        false => Ok(value),
    }
}

// === impl FaultPlan ===

impl FaultPlan {
    /// What makes no sense, whichever door the plan came by.
    pub(crate) fn check(&self) -> Result<(), String> {
        let fields = written(self).fault.fields();
        let refuse = |what: &str| Err(format!("`{}` does not take {what}", written(self).fault.text()));
        match (&self.fault, &self.target) {
            (Fault::UnknownPacket { length: Some(8 | 28 | 32 | 44 | 184), .. }, _) => {
                Err("`length` is that of a mode: choose another".to_owned())
            }
            (Fault::Close { reason, .. }, _) if reason.len() > 123 => {
                Err("`reason` has more than 123 bytes".to_owned())
            }
            (Fault::Close { code, .. }, _) => within("code", *code, 1000, 4999).map(|_| ()),
            (Fault::Overlong { bytes }, _) => within("bytes", *bytes, 2, LONGEST_MESSAGE).map(|_| ()),
            (Fault::Refuse { status, .. }, _) => within("status", *status, 400, 599).map(|_| ()),
            (Fault::Delay { door: Door::Accept, .. }, Target::ApiKey(_)) => {
                Err("nobody is known at the door `accept`: leave out `api_key`".to_owned())
            }
            (_, Target::Connection(_)) if !fields.contains(&"connection") => refuse("a connection"),
            (_, Target::ApiKey(_)) if !fields.contains(&"api_key") => refuse("an api key"),
            _ if self.times == Some(0) => Err("`times` must be at least 1".to_owned()),
            _ if self.times.is_some() && !fields.contains(&"times") => refuse("`times`"),
            _ if self.lasts.is_some() && !fields.contains(&"for") => refuse("`for`"),
            _ => Ok(()),
        }
    }
}

/// `plan` as it would be written.
fn written(plan: &FaultPlan) -> Written {
    let mut written = Written {
        fault: Word::Mute,
        at: (!plan.at.is_zero()).then_some(Span(plan.at)),
        lasts: plan.lasts.map(Span),
        times: plan.times,
        api_key: None,
        connection: None,
        present: plan.present.then_some(true),
        code: None,
        reason: None,
        door: None,
        status: None,
        html: None,
        path: None,
        by: None,
        percent: None,
        length: None,
        packets: None,
        bytes: None,
        tokens: None,
        texts: None,
        down: None,
    };
    match &plan.target {
        Target::All => {}
        Target::ApiKey(api_key) => written.api_key = Some(api_key.clone()),
        Target::Connection(number) => written.connection = Some(*number),
    }
    let numbers = |tokens: &[InstrumentToken]| {
        (!tokens.is_empty()).then(|| tokens.iter().map(|token| token.0).collect::<Vec<u32>>())
    };
    written.fault = match &plan.fault {
        Fault::Mute => Word::Mute,
        Fault::NoPong => Word::NoPong,
        Fault::HalfOpen => Word::HalfOpen,
        Fault::Reset => Word::Reset,
        Fault::Drop => Word::Drop,
        Fault::Close { code, reason } => {
            written.code = Some(*code);
            written.reason = (!reason.is_empty()).then(|| reason.clone());
            Word::Close
        }
        Fault::Refuse { door, status, html, path } => {
            (written.door, written.status) = (Some(*door), Some(*status));
            (written.html, written.path) = (html.then_some(true), path.clone());
            Word::Refuse
        }
        Fault::Delay { door, by } => {
            (written.door, written.by) = (Some(*door), Some(Span(*by)));
            Word::Delay
        }
        Fault::TruncatedFrame { percent } => {
            written.percent = Some(*percent);
            Word::TruncatedFrame
        }
        Fault::UnknownPacket { percent, length } => {
            (written.percent, written.length) = (Some(*percent), *length);
            Word::UnknownPacket
        }
        Fault::WrongLength { percent } => {
            written.percent = Some(*percent);
            Word::WrongLength
        }
        Fault::BigFrame { packets } => {
            written.packets = Some(*packets);
            Word::BigFrame
        }
        Fault::Overlong { bytes } => {
            written.bytes = Some(*bytes);
            Word::Overlong
        }
        Fault::RateCollapse { percent } => {
            written.percent = Some(*percent);
            Word::RateCollapse
        }
        Fault::SilentTokens { tokens } => {
            written.tokens = numbers(tokens);
            Word::SilentTokens
        }
        Fault::NeverLive { tokens } => {
            written.tokens = numbers(tokens);
            Word::NeverLive
        }
        Fault::LateSubscription { tokens, by } => {
            (written.tokens, written.by) = (numbers(tokens), Some(Span(*by)));
            Word::LateSubscription
        }
        Fault::DuplicateText => Word::DuplicateText,
        Fault::ReorderText => Word::ReorderText,
        Fault::Text { texts } => {
            written.texts = Some(texts.clone());
            Word::Text
        }
        Fault::ExpireToken => Word::ExpireToken,
        Fault::Restart { down } => {
            written.down = Some(Span(*down));
            Word::Restart
        }
    };
    written
}

#[cfg(test)]
mod tests;
