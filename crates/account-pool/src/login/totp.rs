//! Codes of the second factor: RFC 6238 with SHA-1, six digits, thirty seconds.

use aws_lc_rs::hmac;
use data_encoding::BASE32_NOPAD;
use market_model::UnixNanos;
use zeroize::Zeroizing;

use crate::secret::Secret;

const STEP_SECONDS: i64 = 30;
const DIGITS: u32 = 6;

/// Makes the codes of one seed.
pub struct Totp(hmac::Key);

/// The seed cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the totp seed is not base32 text of 10 bytes or more; copy the key shown beside the QR code")]
pub struct TotpSeedRefused;

// === impl Totp ===

impl Totp {
    /// Reads a seed as it is shown beside a QR code: base32 in any letter case, with spaces or padding or without.
    ///
    /// # Errors
    /// [`TotpSeedRefused`].
    pub fn from_seed(seed: &Secret) -> Result<Self, TotpSeedRefused> {
        let text: Zeroizing<Vec<u8>> = Zeroizing::new(
            seed.expose()
                .bytes()
                .filter(|byte| !matches!(byte, b' ' | b'-' | b'=' | b'\n'))
                .map(|byte| byte.to_ascii_uppercase())
                .collect(),
        );
        let bytes = Zeroizing::new(BASE32_NOPAD.decode(&text).map_err(|_| TotpSeedRefused)?);
        // Shorter ones are typing mistakes.
        if bytes.len() < 10 {
            return Err(TotpSeedRefused);
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &bytes)))
    }

    /// The code of `step`, six digits.
    pub fn code(&self, step: i64) -> Secret {
        Secret::new(self.digits(step, DIGITS))
    }

    /// The window of thirty seconds that `at` is in.
    pub const fn step_of(at: UnixNanos) -> i64 {
        at.as_secs().div_euclid(STEP_SECONDS)
    }

    /// When the window `step` begins.
    pub const fn begin_of(step: i64) -> UnixNanos {
        UnixNanos::from_secs(step.saturating_mul(STEP_SECONDS))
    }

    fn digits(&self, step: i64, digits: u32) -> String {
        let mac = hmac::sign(&self.0, &step.to_be_bytes());
        let mac = mac.as_ref();
        let offset = usize::from(mac.last().copied().unwrap_or_default() & 0x0f);
        let word = mac.get(offset..).and_then(|rest| rest.first_chunk::<4>()).copied().unwrap_or_default();
        let number = u64::from(u32::from_be_bytes(word) & 0x7fff_ffff) % 10_u64.pow(digits);
        format!("{number:0width$}", width = digits as usize)
    }
}

impl std::fmt::Debug for Totp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Totp([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_the_rfc_hold() {
        // RFC 6238 appendix B, SHA-1, eight digits; the seed is the ASCII text 12345678901234567890.
        let totp = Totp::from_seed(&Secret::new("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")).unwrap();
        for (seconds, code) in [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000, "65353130"),
        ] {
            let step = seconds / STEP_SECONDS;
            assert_eq!(totp.digits(step, 8), code, "at {seconds}");
            assert_eq!(totp.code(step).expose(), &code[2..], "at {seconds}");
        }
        assert_eq!(Totp::step_of(UnixNanos::from_secs(59)), 1);
        assert_eq!(Totp::begin_of(2), UnixNanos::from_secs(60));
    }

    #[test]
    fn a_seed_is_read_as_it_is_shown() {
        let plain = Totp::from_seed(&Secret::new("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")).unwrap();
        let shown = Totp::from_seed(&Secret::new("gezd gnbv gy3t qojq-gezd gnbv gy3t qojq==")).unwrap();
        assert_eq!(plain.code(5), shown.code(5));
        for bad in ["", "GEZD", "not base32!", "11111111111111111111"] {
            assert!(Totp::from_seed(&Secret::new(bad)).is_err(), "{bad}");
        }
    }
}
