//! A text that is never shown and does not outlive its owner in memory.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A secret text: `Debug` and `Display` print `[redacted]`, its memory is overwritten when it is dropped, and two are
/// compared in constant time.
///
/// It can neither be serialised nor hashed; who needs the content says so with [`Secret::expose`].
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret(Box<str>);

// === impl Secret ===

impl Secret {
    /// Hides `text`. A `String` with spare room is copied once and the original overwritten.
    pub fn new(text: impl Into<String>) -> Self {
        let mut text = text.into();
        let kept = Box::from(text.as_str());
        text.zeroize();
        Self(kept)
    }

    /// The content, for the one who sends it to where it belongs.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is anything in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        verify_slices_are_equal(self.0.as_bytes(), other.0.as_bytes()).is_ok()
    }
}

impl Eq for Secret {}

/// `text` without any of `secrets` in it, for messages that come from elsewhere and may repeat what was sent.
pub(crate) fn scrub<'a>(text: &str, secrets: impl IntoIterator<Item = &'a Secret>) -> String {
    let mut clean = text.to_owned();
    for secret in secrets {
        if !secret.is_empty() {
            clean = clean.replace(secret.expose(), "[redacted]");
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print() {
        let secret = Secret::new("hush");
        assert_eq!(format!("{secret} {secret:?}"), "[redacted] [redacted]");
        assert_eq!(secret.expose(), "hush");
        assert!(secret == Secret::new(String::from("hush")) && secret != Secret::new("hus"));
    }

    #[test]
    fn foreign_text_is_scrubbed() {
        let secrets = [Secret::new("abc"), Secret::new("")];
        assert_eq!(scrub("bad abc, abc", &secrets), "bad [redacted], [redacted]");
    }
}
