//! Reads blobs of the former service, which were Fernet tokens: AES-128-CBC under an HMAC-SHA256, in URL-safe base64.
//!
//! Only to import them; nothing here makes one.

use std::time::Duration;

use aws_lc_rs::cipher::{AES_128, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use data_encoding::BASE64URL;
use market_model::UnixNanos;
use zeroize::Zeroizing;

use crate::secret::Secret;

const VERSION: u8 = 0x80;
const TIME_LEN: usize = 8;
const IV_LEN: usize = 16;
const MAC_LEN: usize = 32;
const BLOCK_LEN: usize = 16;
/// What a token made on another machine may be ahead of our clock.
const MOST_SKEW: Duration = Duration::from_secs(60);

/// The 32 bytes of a Fernet key: half for the HMAC, half for the cipher.
pub struct FernetKey {
    signing: hmac::Key,
    encryption: Zeroizing<[u8; 16]>,
}

/// Why a Fernet token was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FernetRefused {
    /// The key is not 32 bytes in URL-safe base64.
    #[error("the key is not 32 bytes in url-safe base64")]
    Key,
    /// Not URL-safe base64 with padding.
    #[error("it is not url-safe base64")]
    Encoding,
    /// Cut, or of a length that no token has.
    #[error("it has a length that no token has")]
    Length,
    /// Another version.
    #[error("it is of another version than 0x80")]
    Version,
    /// Damaged, or made with another key.
    #[error("it is damaged, or was made with another key")]
    Signature,
    /// Older than allowed.
    #[error("it is older than allowed")]
    TooOld,
    /// From the future.
    #[error("it is from the future")]
    Future,
    /// The content does not end as padded content does.
    #[error("its padding is wrong")]
    Padding,
    /// The content is not text.
    #[error("its content is not text")]
    NotText,
}

// === impl FernetKey ===

impl FernetKey {
    /// Reads the text form: 32 bytes in URL-safe base64.
    ///
    /// # Errors
    /// [`FernetRefused::Key`].
    pub fn parse(text: &Secret) -> Result<Self, FernetRefused> {
        let bytes = BASE64URL.decode(text.expose().trim().as_bytes()).map_err(|_| FernetRefused::Key)?;
        let bytes = Zeroizing::new(bytes);
        let (signing, encryption) = bytes.split_at_checked(16).ok_or(FernetRefused::Key)?;
        let encryption = <[u8; 16]>::try_from(encryption).map_err(|_| FernetRefused::Key)?;
        Ok(Self {
            signing: hmac::Key::new(hmac::HMAC_SHA256, signing),
            encryption: Zeroizing::new(encryption),
        })
    }

    /// Opens `token`. With `within`, a token older than that at the given moment, or from its future, is refused; an
    /// import passes `None`, because secrets at rest are old.
    ///
    /// # Errors
    /// Why not.
    pub fn open(&self, token: &str, within: Option<(Duration, UnixNanos)>) -> Result<Secret, FernetRefused> {
        let token = token.trim();
        // The decoder would take a second padded text after the first one.
        if token.trim_end_matches('=').contains('=') {
            return Err(FernetRefused::Encoding);
        }
        let bytes = BASE64URL.decode(token.as_bytes()).map_err(|_| FernetRefused::Encoding)?;
        // The signature is last, so everything else is told apart only after it was checked.
        let signed = bytes.len().checked_sub(MAC_LEN).ok_or(FernetRefused::Length)?;
        let (signed, mac) = bytes.split_at(signed);
        match signed.first() {
            Some(&VERSION) => {}
            Some(_) => return Err(FernetRefused::Version),
            None => return Err(FernetRefused::Length),
        }
        let Some((made_at, rest)) = signed[1..].split_first_chunk::<TIME_LEN>() else {
            return Err(FernetRefused::Length);
        };
        let Some((iv, content)) = rest.split_first_chunk::<IV_LEN>() else {
            return Err(FernetRefused::Length);
        };
        hmac::verify(&self.signing, signed, mac).map_err(|_| FernetRefused::Signature)?;
        if let Some((most, now)) = within {
            let made_at =
                UnixNanos::from_secs(i64::try_from(u64::from_be_bytes(*made_at)).unwrap_or(i64::MAX));
            if now.saturating_since(made_at) > most {
                return Err(FernetRefused::TooOld);
            }
            if made_at.saturating_since(now) > MOST_SKEW {
                return Err(FernetRefused::Future);
            }
        }
        if content.is_empty() || content.len() % BLOCK_LEN != 0 {
            return Err(FernetRefused::Length);
        }
        self.decrypt(*iv, content)
    }

    fn decrypt(&self, iv: [u8; IV_LEN], content: &[u8]) -> Result<Secret, FernetRefused> {
        let key =
            UnboundCipherKey::new(&AES_128, self.encryption.as_slice()).map_err(|_| FernetRefused::Key)?;
        let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).map_err(|_| FernetRefused::Key)?;
        let mut plain = Zeroizing::new(content.to_vec());
        let plain = key
            .decrypt(&mut plain, DecryptionContext::Iv128(FixedLength::from(iv)))
            .map_err(|_| FernetRefused::Padding)?;
        std::str::from_utf8(plain).map(Secret::new).map_err(|_| FernetRefused::NotText)
    }
}

impl std::fmt::Debug for FernetKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FernetKey([redacted])")
    }
}
