//! Accounts from a TOML or YAML file. Both become the same drafts, so both have the same fields and messages.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

use super::draft::{Checker, Draft, Field, Written};
use super::{AccountDefaults, AccountSource, Loaded, Loading, yaml};
use crate::error::{AccountError, Problems};

/// Thousands of accounts fit.
const MOST_BYTES: u64 = 4 * 1024 * 1024;

/// Where the values of `${NAME}` come from.
pub type Variables = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// A TOML file (`[[account]]` tables) or, by its ending `.yaml` or `.yml`, a YAML file (`account:` list).
#[derive(Clone)]
pub struct FileSource {
    path: PathBuf,
    variables: Variables,
    defaults: AccountDefaults,
}

impl FileSource {
    /// Read anew at each load.
    pub fn new(path: PathBuf, variables: Variables, defaults: AccountDefaults) -> Self {
        Self { path, variables, defaults }
    }

    fn read(&self) -> Result<Loaded, AccountError> {
        let shown = self.path.display().to_string();
        let fail = |problems: Vec<String>| AccountError::Source(Problems(problems));
        let (text, open) =
            read_text(&self.path).map_err(|problem| fail(vec![format!("{shown}: {problem}")]))?;
        let ending = self.path.extension().map(|ending| ending.to_ascii_lowercase());
        let is_yaml = ending.is_some_and(|ending| ending == "yaml" || ending == "yml");
        let drafts = if is_yaml { yaml::drafts(&text) } else { toml_drafts(&text) };
        let drafts = drafts.map_err(|problems| {
            fail(problems.into_iter().map(|problem| format!("{shown}, {problem}")).collect())
        })?;
        if drafts.is_empty() {
            let wanted = if is_yaml { "no `account:` list" } else { "no [[account]]" };
            return Err(fail(vec![format!("{shown}: {wanted} in it")]));
        }
        let variables = &*self.variables;
        let mut checker = Checker {
            origin: &shown,
            defaults: &self.defaults,
            variables: Some(&|name| variables(name)),
            problems: Vec::new(),
        };
        let accounts = checker.check_all(drafts);
        if !checker.problems.is_empty() {
            return Err(fail(checker.problems));
        }
        let warning = open.then(|| format!("{shown} can be read by others; run `chmod 600 {shown}`"));
        Ok(Loaded { accounts, warning })
    }
}

impl AccountSource for FileSource {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Reads a small file in place; the executor is held up for as long as the disk takes.
    fn load(&self) -> Loading<'_> {
        Box::pin(async move { self.read() })
    }
}

impl std::fmt::Debug for FileSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileSource").field("path", &self.path).finish_non_exhaustive()
    }
}

/// The text, and whether others can read it too.
fn read_text(path: &Path) -> Result<(Zeroizing<String>, bool), String> {
    let file = File::open(path).map_err(|error| format!("cannot be opened: {error}"))?;
    let meta = file.metadata().map_err(|error| format!("cannot be examined: {error}"))?;
    let mut text =
        Zeroizing::new(String::with_capacity(usize::try_from(meta.len().min(MOST_BYTES)).unwrap_or(0) + 1));
    let read = file.take(MOST_BYTES + 1).read_to_string(&mut text);
    read.map_err(|error| format!("cannot be read: {error}"))?;
    if text.len() as u64 > MOST_BYTES {
        return Err(format!("has more than {MOST_BYTES} bytes"));
    }
    Ok((text, meta.mode() & 0o077 != 0))
}

/// Every `[[account]]`, or every mistake that keeps the file from being TOML. The parser's own words are kept where they
/// do not quote the file, which may hold secrets.
fn toml_drafts(text: &str) -> Result<Vec<Draft>, Vec<String>> {
    let line = |at: usize| format!("line {}", 1 + text[..at.min(text.len())].matches('\n').count());
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let tell = |error: &toml::de::Error| {
            let place = error.span().map_or_else(|| "somewhere".to_owned(), |span| line(span.start));
            format!("{place}: {}", error.message())
        };
        return Err(errors.iter().map(tell).collect());
    }
    let (mut drafts, mut problems) = (Vec::new(), Vec::new());
    for (key, value) in table.into_inner() {
        let place = line(key.span().start);
        let DeValue::Array(rows) = value.into_inner() else {
            problems.push(format!("{place}: write accounts as [[account]] tables, nothing else"));
            continue;
        };
        if key.get_ref() != "account" {
            problems.push(format!("{place}: there is only [[account]] in this file"));
            continue;
        }
        for row in rows {
            let place = line(row.span().start);
            let DeValue::Table(fields) = row.into_inner() else {
                problems.push(format!("{place}: an account is a table"));
                continue;
            };
            let field = |(name, value): (toml::Spanned<_>, toml::Spanned<DeValue<'_>>)| {
                let place = line(name.span().start);
                Field {
                    place,
                    name: std::borrow::Cow::into_owned(name.into_inner()),
                    value: written(value.into_inner()),
                }
            };
            drafts.push(Draft { place, fields: fields.into_iter().map(field).collect() });
        }
    }
    if problems.is_empty() { Ok(drafts) } else { Err(problems) }
}

fn written(value: DeValue<'_>) -> Written {
    match value {
        DeValue::String(text) => Written::Text(text.into_owned()),
        DeValue::Boolean(value) => Written::Bool(value),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Written::Integer(number),
            Err(_) => Written::Other("a number of that size"),
        },
        DeValue::Datetime(at) => Written::Text(at.to_string()),
        DeValue::Array(items) => {
            let text = |item: toml::Spanned<DeValue<'_>>| match item.into_inner() {
                DeValue::String(text) => Some(text.into_owned()),
                _ => None,
            };
            let texts: Option<Vec<String>> = items.into_iter().map(text).collect();
            texts.map_or(Written::Other("a list of other things than texts"), Written::List)
        }
        DeValue::Float(_) => Written::Other("a number with a fraction"),
        DeValue::Table(_) => Written::Other("a table"),
    }
}
