//! The net under typed redaction: a writer that removes secrets from every line, whatever wrote them.

use std::io::{self, Write};
use std::sync::Arc;

use tracing_subscriber::fmt::MakeWriter;

const HIDDEN: &str = "[redacted]";

/// Shorter secrets are not looked for: whatever has them in it by chance would lose its words.
const LEAST: usize = 8;

/// What precedes a secret in addresses, headers and forms.
const MARKERS: [&str; 11] = [
    "access_token=",
    "api_key=",
    "api_secret=",
    "request_token=",
    "refresh_token=",
    "enctoken=",
    "checksum=",
    "authorization: token ",
    "password=",
    "totp_seed=",
    "twofa_value=",
];

/// Removes known secrets, values behind telling names, e-mail addresses and Indian mobile numbers.
#[derive(Debug, Clone)]
pub struct Redactor {
    secrets: Arc<[String]>,
}

impl Redactor {
    /// Knows these values to be secret. They are found where they stand as a word of their own; those of under eight
    /// characters are left to the types that print `[redacted]`, because as a net they would catch other words.
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        Self { secrets: secrets.into_iter().filter(|secret| secret.len() >= LEAST).collect() }
    }

    /// Puts the filter in front of a writer.
    pub(super) fn over<W>(self, inner: W) -> RedactedWriter<W> {
        RedactedWriter { redactor: self, inner }
    }

    /// `line` without what must not be shown.
    pub fn clean(&self, line: &str) -> String {
        let mut cleaned = line.to_owned();
        for secret in self.secrets.iter() {
            cleaned = hide_word(cleaned, secret);
        }
        for marker in MARKERS {
            cleaned = hide_after(&cleaned, marker);
        }
        let cleaned = hide_words(&cleaned, is_email_character, |word| {
            word.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'))
        });
        hide_words(
            &cleaned,
            |c| c.is_ascii_alphanumeric() || c == '_' || c == '.' || c == '+',
            is_mobile_number,
        )
    }
}

/// Hides `secret` wherever it does not go on to the left or right as one longer word.
fn hide_word(line: String, secret: &str) -> String {
    let belongs = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let (mut cleaned, mut from) = (String::new(), 0);
    for (at, _) in line.match_indices(secret) {
        let (before, after) = (&line[..at], &line[at + secret.len()..]);
        let goes_on_left = belongs(before.chars().next_back()) && belongs(secret.chars().next());
        let goes_on_right = belongs(after.chars().next()) && belongs(secret.chars().next_back());
        if !goes_on_left && !goes_on_right {
            cleaned.push_str(&line[from..at]);
            cleaned.push_str(HIDDEN);
            from = at + secret.len();
        }
    }
    if from == 0 {
        return line;
    }
    cleaned.push_str(&line[from..]);
    cleaned
}

fn hide_after(line: &str, marker: &str) -> String {
    let (mut cleaned, mut from) = (String::with_capacity(line.len()), 0);
    let lower = line.to_ascii_lowercase();
    while let Some(at) = lower[from..].find(marker) {
        let start = from + at + marker.len();
        let end =
            line[start..].find([' ', '&', '"', '\'', '\n', ',', ')', '}']).map_or(line.len(), |n| start + n);
        cleaned.push_str(&line[from..start]);
        cleaned.push_str(HIDDEN);
        from = end;
    }
    cleaned.push_str(&line[from..]);
    cleaned
}

/// Hides each longest run of `belongs` characters that is `secret`.
fn hide_words(line: &str, belongs: impl Fn(char) -> bool, secret: impl Fn(&str) -> bool) -> String {
    let (mut cleaned, mut rest) = (String::with_capacity(line.len()), line);
    while let Some(start) = rest.find(&belongs) {
        let length = rest[start..].find(|c| !belongs(c)).unwrap_or(rest.len() - start);
        let (before, word) = (&rest[..start], &rest[start..start + length]);
        cleaned.push_str(before);
        cleaned.push_str(if secret(word) { HIDDEN } else { word });
        rest = &rest[start + length..];
    }
    cleaned.push_str(rest);
    cleaned
}

fn is_email_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '@' | '.' | '_' | '-' | '+')
}

fn is_mobile_number(word: &str) -> bool {
    let digits = word.strip_prefix("+91").unwrap_or(word);
    digits.len() == 10
        && digits.bytes().all(|b| b.is_ascii_digit())
        && matches!(digits.as_bytes()[0], b'6'..=b'9')
}

// === impl writer ===

/// A [`MakeWriter`] whose lines pass a [`Redactor`].
pub(super) struct RedactedWriter<W> {
    redactor: Redactor,
    inner: W,
}

/// One line on its way.
pub(super) struct RedactedLine<'a, W> {
    redactor: &'a Redactor,
    inner: W,
}

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for RedactedWriter<M> {
    type Writer = RedactedLine<'a, M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        RedactedLine { redactor: &self.redactor, inner: self.inner.make_writer() }
    }
}

impl<W: Write> Write for RedactedLine<'_, W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.inner.write_all(self.redactor.clean(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_pass() {
        let redactor = Redactor::new(["s3cr3t-token".to_owned(), "abc".to_owned()]);
        for (line, cleaned) in [
            ("token s3cr3t-token!", "token [redacted]!"),
            (
                "GET /?api_key=k1&access_token=t1 HTTP",
                "GET /?api_key=[redacted]&access_token=[redacted] HTTP",
            ),
            ("Authorization: token k:t", "Authorization: token [redacted]"),
            ("mail to someone@example.com now", "mail to [redacted] now"),
            ("call 9876543210 or +919876543210", "call [redacted] or [redacted]"),
            ("order 1914227164488687616 at 1795141234 abc", "order 1914227164488687616 at 1795141234 abc"),
            ("user@localhost é ₹", "user@localhost é ₹"),
        ] {
            assert_eq!(redactor.clean(line), cleaned);
        }
    }

    #[test]
    fn a_short_secret_or_a_part_of_a_word_eats_no_text() {
        let secrets = ["gate", "gateway", "password1", "token-1.x", "se$ret/+="];
        let redactor = Redactor::new(secrets.map(str::to_owned));
        for (line, cleaned) in [
            ("kite-gateway is up, the gate is open", "kite-gateway is up, the gate is open"),
            ("password1 and password12 and my_password1", "[redacted] and password12 and my_password1"),
            ("key:password1, \"password1\"", "key:[redacted], \"[redacted]\""),
            ("token-1.x token-1.xy a/token-1.x", "[redacted] token-1.xy a/[redacted]"),
            ("=se$ret/+=&é password1", "=[redacted]&é [redacted]"),
        ] {
            assert_eq!(redactor.clean(line), cleaned);
        }
    }
}
