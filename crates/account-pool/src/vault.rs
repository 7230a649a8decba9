//! Envelope encryption of secrets at rest: each blob has a data key of its own, sealed by a master key.
//!
//! ```text
//! 1 byte   version (1)
//! 8 bytes  id of the master key
//! 12       nonce of the data key
//! 48       data key (32), sealed by the master key, with its tag (16)
//! 12       nonce of the content
//! n + 16   content, sealed by the data key, with its tag
//! ```
//!
//! Both seals are AES-256-GCM-SIV, so that a repeated nonce gives away no key, and both are bound to the version, the
//! key id, the account and the field: a blob moved to another row or column does not open.

mod fernet;
mod master;

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use zeroize::{Zeroize, Zeroizing};

pub use fernet::{FernetKey, FernetRefused};
pub use master::{MasterKeySource, load_master_key};

use crate::account::SecretField;
use crate::error::AccountError;
use crate::secret::Secret;

const VERSION: u8 = 1;
const KEY_ID_LEN: usize = 8;
const DATA_KEY_LEN: usize = 32;
const TAG_LEN: usize = 16;
const HEADER_LEN: usize = 1 + KEY_ID_LEN;
const WRAPPED_LEN: usize = NONCE_LEN + DATA_KEY_LEN + TAG_LEN;
const LEAST_LEN: usize = HEADER_LEN + WRAPPED_LEN + NONCE_LEN + TAG_LEN;

/// Which master key sealed a blob: the first bytes of a digest of the key, which say nothing about it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; KEY_ID_LEN]);

/// A master key: 32 random bytes.
pub struct MasterKey {
    id: KeyId,
    key: LessSafeKey,
}

/// A secret as the database keeps it.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedSecret(Vec<u8>);

/// Seals with one master key and opens with that one and, while a `rekey` is under way, with older ones.
#[derive(Debug)]
pub struct Vault {
    current: MasterKey,
    older: Vec<MasterKey>,
}

// === impl KeyId ===

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// === impl MasterKey ===

impl MasterKey {
    /// From 32 bytes, which are overwritten.
    fn from_bytes(mut bytes: [u8; DATA_KEY_LEN]) -> Result<Self, AccountError> {
        let mut labelled = Zeroizing::new(b"kite-gateway master key id v1:".to_vec());
        labelled.extend_from_slice(&bytes);
        let mut id = [0; KEY_ID_LEN];
        id.copy_from_slice(&digest(&SHA256, &labelled).as_ref()[..KEY_ID_LEN]);
        let key = UnboundKey::new(&AES_256_GCM_SIV, &bytes);
        bytes.zeroize();
        let key = key.map_err(|_| AccountError::MasterKey("the cipher refuses it".to_owned()))?;
        Ok(Self { id: KeyId(id), key: LessSafeKey::new(key) })
    }

    /// Which one it is.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// Whether this key opens `sealed`'s outer seal at all, whatever is in it.
    fn wrapped(&self, sealed: &SealedSecret) -> bool {
        sealed.key_id() == Some(self.id)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKey").field("id", &self.id).finish_non_exhaustive()
    }
}

// === impl SealedSecret ===

impl SealedSecret {
    /// From the bytes of a database column.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// For a database column.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Which master key sealed it; `None` when it is not such a blob.
    pub fn key_id(&self) -> Option<KeyId> {
        let id = self.0.get(1..HEADER_LEN)?;
        (self.0.len() >= LEAST_LEN && self.0[0] == VERSION).then(|| {
            let mut bytes = [0; KEY_ID_LEN];
            bytes.copy_from_slice(id);
            KeyId(bytes)
        })
    }
}

impl fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[sealed, {} bytes]", self.0.len())
    }
}

// === impl Vault ===

impl Vault {
    /// Seals and opens with `current`.
    pub fn new(current: MasterKey) -> Self {
        Self { current, older: Vec::new() }
    }

    /// Also opens what `older` sealed.
    #[must_use]
    pub fn with_older(mut self, older: MasterKey) -> Self {
        if older.id != self.current.id {
            self.older.push(older);
        }
        self
    }

    /// The key that new blobs are sealed with.
    pub const fn key_id(&self) -> KeyId {
        self.current.id
    }

    /// Whether one of the keys sealed `sealed`. Says nothing about damage.
    pub fn knows(&self, sealed: &SealedSecret) -> bool {
        self.key_of(sealed).is_some()
    }

    /// Seals `secret` for one field of one account.
    ///
    /// # Errors
    /// When the machine gives no random bytes.
    pub fn seal(
        &self,
        account: &str,
        field: SecretField,
        secret: &Secret,
    ) -> Result<SealedSecret, AccountError> {
        let no_random = |_| AccountError::Sealed("the machine gives no random bytes");
        let mut data_key = Zeroizing::new([0_u8; DATA_KEY_LEN]);
        let (mut key_nonce, mut nonce) = ([0; NONCE_LEN], [0; NONCE_LEN]);
        rand::fill(data_key.as_mut_slice()).map_err(no_random)?;
        rand::fill(&mut key_nonce).map_err(no_random)?;
        rand::fill(&mut nonce).map_err(no_random)?;

        let mut blob = Vec::with_capacity(LEAST_LEN + secret.expose().len());
        blob.push(VERSION);
        blob.extend_from_slice(&self.current.id.0);
        let bound = binding(&blob, account, field);
        blob.extend_from_slice(&key_nonce);
        blob.extend_from_slice(&encrypt(&self.current.key, key_nonce, &bound, data_key.as_slice())?);
        blob.extend_from_slice(&nonce);
        blob.extend_from_slice(&encrypt(&aead(&data_key)?, nonce, &bound, secret.expose().as_bytes())?);
        Ok(SealedSecret(blob))
    }

    /// Opens what [`Vault::seal`] made for the same account and field.
    ///
    /// # Errors
    /// [`AccountError::CannotOpen`] with the account when no key here sealed it, [`AccountError::Sealed`] when it is
    /// damaged or was sealed for another account or field.
    pub fn open(
        &self,
        account: &str,
        field: SecretField,
        sealed: &SealedSecret,
    ) -> Result<Secret, AccountError> {
        if sealed.key_id().is_none() {
            return Err(AccountError::Sealed("it is cut, or of a version that this program does not know"));
        }
        let key = self.key_of(sealed).ok_or_else(|| AccountError::CannotOpen(vec![account.to_owned()]))?;
        let (header, rest) = sealed.0.split_at(HEADER_LEN);
        let (wrapped, content) = rest.split_at(WRAPPED_LEN);
        let bound = binding(header, account, field);
        let data_key = decrypt(&key.key, wrapped, &bound)?;
        let data_key = <&[u8; DATA_KEY_LEN]>::try_from(data_key.as_slice())
            .map_err(|_| AccountError::Sealed("its data key has another length"))?;
        let mut plain = decrypt(&aead(data_key)?, content, &bound)?;
        let text =
            std::str::from_utf8(&plain).map_err(|_| AccountError::Sealed("its content is not text"))?;
        let secret = Secret::new(text);
        plain.zeroize();
        Ok(secret)
    }

    fn key_of(&self, sealed: &SealedSecret) -> Option<&MasterKey> {
        std::iter::once(&self.current).chain(&self.older).find(|key| key.wrapped(sealed))
    }
}

/// What a seal vouches for beside its content. Lengths keep `a` + `bc` apart from `ab` + `c`.
fn binding(header: &[u8], account: &str, field: SecretField) -> Vec<u8> {
    let mut bound = header.to_vec();
    for part in [account, field.as_str()] {
        bound.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bound.extend_from_slice(part.as_bytes());
    }
    bound
}

fn aead(key: &[u8; DATA_KEY_LEN]) -> Result<LessSafeKey, AccountError> {
    let key = UnboundKey::new(&AES_256_GCM_SIV, key);
    key.map(LessSafeKey::new).map_err(|_| AccountError::Sealed("the cipher refuses its data key"))
}

fn encrypt(
    key: &LessSafeKey,
    nonce: [u8; NONCE_LEN],
    bound: &[u8],
    plain: &[u8],
) -> Result<Vec<u8>, AccountError> {
    // The tag is written into the room reserved here; a reallocation would leave the plain text behind.
    let mut content = Vec::with_capacity(plain.len() + TAG_LEN);
    content.extend_from_slice(plain);
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(bound), &mut content)
        .map_err(|_| AccountError::Sealed("the content is too long"))?;
    Ok(content)
}

/// `sealed` is a nonce and what it was used for.
fn decrypt(key: &LessSafeKey, sealed: &[u8], bound: &[u8]) -> Result<Zeroizing<Vec<u8>>, AccountError> {
    let damaged = AccountError::Sealed("it is damaged, or was sealed for another account or field");
    let Some((nonce, content)) = sealed.split_first_chunk::<NONCE_LEN>() else {
        return Err(damaged);
    };
    let mut content = Zeroizing::new(content.to_vec());
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let Ok(plain) = key.open_in_place(nonce, Aad::from(bound), &mut content) else {
        return Err(damaged);
    };
    let length = plain.len();
    content.truncate(length);
    Ok(content)
}

#[cfg(test)]
mod tests;
