//! Where raw settings come from: the process environment, or a map in a test.

use std::collections::BTreeMap;
use std::sync::Arc;

use account_pool::Variables;

/// A source of variables.
pub trait Env {
    /// The value of `name`; `None` when unset. An empty value counts as unset for the reader.
    fn get(&self, name: &str) -> Option<String>;

    /// The same for whoever reads a file again later.
    fn variables(&self) -> Variables;
}

/// The process environment.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessEnv;

impl Env for ProcessEnv {
    fn get(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn variables(&self) -> Variables {
        Arc::new(|name| std::env::var(name).ok())
    }
}

impl Env for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<String> {
        BTreeMap::get(self, name).cloned()
    }

    fn variables(&self) -> Variables {
        let values = self.clone();
        Arc::new(move |name| values.get(name).cloned())
    }
}

/// Replaces each `${NAME}` in `text` by its value.
///
/// # Errors
/// The names that are not set, in order.
pub(crate) fn resolve(text: &str, env: &dyn Env) -> Result<String, Vec<String>> {
    let (mut resolved, mut missing, mut rest) = (String::with_capacity(text.len()), Vec::new(), text);
    while let Some(start) = rest.find("${") {
        let (before, after) = rest.split_at(start);
        resolved.push_str(before);
        let Some(end) = after.find('}') else {
            rest = after;
            break;
        };
        let name = &after[2..end];
        match env.get(name) {
            Some(value) => resolved.push_str(&value),
            None => missing.push(name.to_owned()),
        }
        rest = &after[end + 1..];
    }
    resolved.push_str(rest);
    if missing.is_empty() { Ok(resolved) } else { Err(missing) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_resolved_inside_text() {
        let env = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
        assert_eq!(resolve("x ${A}${A} $B {", &env), Ok("x 11 $B {".to_owned()));
        assert_eq!(resolve("${A} ${B} ${C}", &env), Err(vec!["B".to_owned(), "C".to_owned()]));
        assert_eq!(resolve("open ${A", &env), Ok("open ${A".to_owned()));
    }
}
