//! The two SHA-256 proofs of Kite Connect: of a login and of a postback.

use std::fmt::Write as _;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::rest::lenient::id;

/// What `/session/token` and, with a refresh token, `/session/refresh_token` want as `checksum`: lower-case hex of
/// `api_key + token + api_secret` (protocol section 2.2).
pub fn session_checksum(api_key: &str, token: &str, api_secret: &str) -> String {
    digest([api_key, token, api_secret])
}

/// What a postback carries as `checksum`: lower-case hex of `order_id + order_timestamp + api_secret`, the time exactly
/// as in the body (protocol section 16).
pub fn postback_checksum(order_id: &str, order_timestamp: &str, api_secret: &str) -> String {
    digest([order_id, order_timestamp, api_secret])
}

/// Whether the checksum in a postback's body was made with `api_secret`. `false` also for a body that is no postback.
pub fn is_genuine_postback(body: &[u8], api_secret: &str) -> bool {
    #[derive(Deserialize)]
    struct Proof {
        #[serde(deserialize_with = "id::deserialize")]
        order_id: String,
        order_timestamp: String,
        checksum: String,
    }
    serde_json::from_slice::<Proof>(body).is_ok_and(|Proof { order_id, order_timestamp, checksum }| {
        same(&checksum, &postback_checksum(&order_id, &order_timestamp, api_secret))
    })
}

fn digest(parts: [&str; 3]) -> String {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    let mut text = String::with_capacity(64);
    for byte in hash.finalize() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Equal, in a time that does not say where they differ.
fn same(left: &str, right: &str) -> bool {
    let pairs = left.bytes().zip(right.bytes());
    left.len() == right.len() && pairs.fold(0, |difference, (left, right)| difference | (left ^ right)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_over_the_plain_concatenation() {
        // printf abc | sha256sum
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(session_checksum("a", "b", "c"), abc);
        assert_eq!(postback_checksum("", "ab", "c"), abc);
    }

    #[test]
    fn only_the_right_secret_proves_a_postback() {
        let proof = postback_checksum("220303000308932", "2022-03-03 09:24:25", "secret");
        let body = |id: &str| {
            format!(r#"{{"order_id":{id},"order_timestamp":"2022-03-03 09:24:25","checksum":"{proof}"}}"#)
        };
        assert!(is_genuine_postback(body(r#""220303000308932""#).as_bytes(), "secret"));
        assert!(is_genuine_postback(body("220303000308932").as_bytes(), "secret"));
        assert!(!is_genuine_postback(body(r#""220303000308932""#).as_bytes(), "other"));
        assert!(!is_genuine_postback(body(r#""220303000308933""#).as_bytes(), "secret"));
        assert!(!is_genuine_postback(br#"{"checksum":""}"#, "secret"));
        assert!(!is_genuine_postback(b"<html>", "secret"));
    }
}
