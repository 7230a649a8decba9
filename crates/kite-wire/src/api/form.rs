//! `application/x-www-form-urlencoded`, which query strings and most bodies of Kite are.

use std::borrow::Cow;

/// A text that is not url-encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormError {
    /// A `%` without two hexadecimal digits after it.
    #[error("a % without two hexadecimal digits at byte {at}")]
    Percent {
        /// Where it stands in the name or value.
        at: usize,
    },
    /// The bytes do not spell UTF-8.
    #[error("a name or value is not UTF-8")]
    NotUtf8,
}

/// Writes pairs as `a=1&b=x+y`: a space becomes `+`, everything but letters, digits and `-._~` becomes `%XX`.
pub fn encode_form<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (name, value) in pairs {
        if !text.is_empty() {
            text.push('&');
        }
        encode(name, true, &mut text);
        text.push('=');
        encode(value, true, &mut text);
    }
    text
}

/// Reads `a=1&b=x+y`; names may repeat, a name without `=` has an empty value, empty parts are left out.
///
/// # Errors
/// [`FormError`] names what is not encoded as it should.
pub fn decode_form(text: &str) -> Result<Vec<(String, String)>, FormError> {
    let parts = text.split('&').filter(|part| !part.is_empty());
    let pairs = parts.map(|part| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        Ok((decode(name)?, decode(value)?))
    });
    pairs.collect()
}

/// One segment of a path: like a value, but a space is `%20`, because `+` means itself there.
pub(super) fn encode_segment(segment: &str, path: &mut String) {
    encode(segment, false, path);
}

fn encode(text: &str, space_is_plus: bool, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            b' ' if space_is_plus => out.push('+'),
            _ => {
                out.push('%');
                out.push(char::from(HEX[usize::from(byte >> 4)]));
                out.push(char::from(HEX[usize::from(byte & 15)]));
            }
        }
    }
}

fn decode(text: &str) -> Result<String, FormError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let digit = |at: usize| tail.get(at).and_then(|digit| char::from(*digit).to_digit(16));
                let (Some(high), Some(low)) = (digit(0), digit(1)) else {
                    return Err(FormError::Percent { at: text.len() - tail.len() - 1 });
                };
                rest = &tail[2..];
                (high * 16 + low) as u8
            }
            other => *other,
        });
    }
    String::from_utf8(bytes).map_err(|_| FormError::NotUtf8)
}

/// Value of a form field, with as little copying as the source allows.
pub(super) type Value = Cow<'static, str>;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn blanks_and_ampersands_survive() {
        let text = encode_form([("i", "NSE:INFY"), ("i", "NSE:NIFTY 50"), ("i", "NSE:M&M")]);
        assert_eq!(text, "i=NSE%3AINFY&i=NSE%3ANIFTY+50&i=NSE%3AM%26M");
        let back = decode_form(&text).unwrap();
        assert_eq!(back[2], ("i".to_owned(), "NSE:M&M".to_owned()));
        assert_eq!(decode_form("a&&b=%e2%82%B9&c=x%20y").unwrap()[1].1, "₹");
    }

    #[test]
    fn what_is_not_encoded_is_named() {
        for (text, error) in [
            ("a=%", FormError::Percent { at: 0 }),
            ("a=xy%2", FormError::Percent { at: 2 }),
            ("%zz=1", FormError::Percent { at: 0 }),
            ("a=%+1", FormError::Percent { at: 0 }),
            ("a=%ff", FormError::NotUtf8),
        ] {
            assert_eq!(decode_form(text), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_pairs_go_both_ways(pairs: Vec<(String, String)>) {
            let text = encode_form(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert_eq!(decode_form(&text).unwrap(), pairs);
        }

        #[test]
        fn any_text_has_an_answer(text: String) {
            let _ = decode_form(&text);
        }
    }
}
