//! Keys and tokens that cannot be printed by accident.

use std::fmt;

/// The public name of an app at Kite. Not a secret alone, but half of one, so it prints as `[redacted]` too.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ApiKey(Box<str>);

/// What a login earned; good until 06:00 IST of the next day (protocol section 2.3). Prints as `[redacted]`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct AccessToken(Box<str>);

macro_rules! redacted {
    ($($name:ident),*) => {$(
        // === impl redacted text ===

        impl $name {
            /// Wraps the text.
            pub fn new(text: impl Into<Box<str>>) -> Self {
                Self(text.into())
            }

            /// The text itself, for the one place that writes it to the wire.
            pub fn expose(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[redacted]")
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[redacted]")
            }
        }
    )*};
}

redacted!(ApiKey, AccessToken);

/// `text` without any of `secrets` in it.
pub(crate) fn scrub(text: &str, secrets: &[&str]) -> String {
    let mut clean = text.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        clean = clean.replace(secret, "[redacted]");
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_print() {
        let token = AccessToken::new("abc123");
        let key = ApiKey::new("key456");
        assert_eq!(format!("{token} {token:?} {key} {key:?}"), ["[redacted]"; 4].join(" "));
        assert_eq!(token.expose(), "abc123");
    }

    #[test]
    fn secrets_are_scrubbed_from_foreign_text() {
        let text = "bad token abc123 of key456";
        assert_eq!(scrub(text, &["abc123", "key456", ""]), "bad token [redacted] of [redacted]");
    }
}
