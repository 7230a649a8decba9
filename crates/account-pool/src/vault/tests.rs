//! Seals hold, keys are found where the operator put them, and blobs of the former service open.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use market_model::UnixNanos;
use proptest::prelude::*;

use super::*;

fn key(fill: u8) -> MasterKey {
    MasterKey::from_bytes([fill; 32]).unwrap()
}

fn hush() -> Secret {
    Secret::new("hush-hush")
}

// === seals ===

#[test]
fn a_seal_opens_for_its_own_account_and_field_only() {
    let vault = Vault::new(key(1));
    let sealed = vault.seal("a", SecretField::ApiSecret, &hush()).unwrap();
    assert_eq!(vault.open("a", SecretField::ApiSecret, &sealed).unwrap(), hush());
    for (account, field) in [("b", SecretField::ApiSecret), ("a", SecretField::Password)] {
        let error = vault.open(account, field, &sealed).unwrap_err();
        assert!(matches!(error, AccountError::Sealed(_)), "{error}");
    }
    let again = vault.seal("a", SecretField::ApiSecret, &hush()).unwrap();
    assert_ne!(sealed, again, "two seals of one text must differ");
    assert!(!sealed.as_bytes().windows(4).any(|part| part == b"hush"));
}

#[test]
fn another_key_names_the_account() {
    let sealed = Vault::new(key(1)).seal("a", SecretField::Password, &hush()).unwrap();
    let error = Vault::new(key(2)).open("a", SecretField::Password, &sealed).unwrap_err();
    assert!(matches!(&error, AccountError::CannotOpen(names) if names == &["a"]), "{error}");
    let both = Vault::new(key(2)).with_older(key(1));
    assert_eq!(both.open("a", SecretField::Password, &sealed).unwrap(), hush());
    assert_eq!(both.seal("a", SecretField::Password, &hush()).unwrap().key_id(), Some(key(2).id()));
}

#[test]
fn nothing_shows_a_key() {
    let vault = Vault::new(key(7)).with_older(key(8));
    let sealed = vault.seal("a", SecretField::Password, &hush()).unwrap();
    let shown = format!("{vault:?} {sealed:?}");
    assert!(!shown.contains("hush") && !shown.contains("7, 7"), "{shown}");
}

proptest! {
    #[test]
    fn no_changed_byte_opens(text in "\\PC{0,80}", at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let vault = Vault::new(key(1));
        let sealed = vault.seal("acc", SecretField::TotpSeed, &Secret::new(text.as_str())).unwrap();
        let opened = vault.open("acc", SecretField::TotpSeed, &sealed).unwrap();
        prop_assert_eq!(opened.expose(), text.as_str());
        let mut bytes = sealed.as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(vault.open("acc", SecretField::TotpSeed, &SealedSecret::from_bytes(bytes)).is_err());
    }

    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let sealed = SealedSecret::from_bytes(bytes);
        prop_assert!(Vault::new(key(1)).open("a", SecretField::ApiKey, &sealed).is_err());
    }
}

#[test]
fn a_cut_blob_is_refused() {
    let vault = Vault::new(key(1));
    let sealed = vault.seal("a", SecretField::ApiKey, &hush()).unwrap();
    for length in 0..sealed.as_bytes().len() {
        let cut = SealedSecret::from_bytes(sealed.as_bytes()[..length].to_vec());
        assert!(vault.open("a", SecretField::ApiKey, &cut).is_err(), "{length} bytes opened");
    }
}

// === where the key comes from ===

#[test]
fn a_key_is_read_in_every_spelling() {
    let (made, text) = MasterKey::generate().unwrap();
    assert_eq!(MasterKey::parse(&text).unwrap().id(), made.id());
    let hex = Secret::new("Ab".repeat(32));
    let base64 = Secret::new(format!(" {}\n", BASE64.encode(&[0xab; 32])));
    let url = Secret::new(data_encoding::BASE64URL_NOPAD.encode(&[0xab; 32]));
    for text in [&hex, &base64, &url] {
        assert_eq!(MasterKey::parse(text).unwrap().id(), key(0xab).id());
    }
    for text in ["", "hush", &"a".repeat(63), &BASE64.encode(&[1; 31])] {
        let error = MasterKey::parse(&Secret::new(text)).unwrap_err().to_string();
        assert!(error.contains("openssl rand -base64 32") && !error.contains("hush"), "{error}");
    }
}

use data_encoding::BASE64;

async fn refused(source: MasterKeySource) -> String {
    load_master_key(&source).await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_key_file_must_be_private() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "{}", "cd".repeat(32)).unwrap();
    let source = || MasterKeySource::File(file.path().to_owned());
    let mode = |mode| std::fs::set_permissions(file.path(), PermissionsExt::from_mode(mode)).unwrap();
    for open in [0o640, 0o604, 0o620] {
        mode(open);
        let error = refused(source()).await;
        assert!(error.contains("chmod 600"), "{error}");
    }
    for private in [0o600, 0o400] {
        mode(private);
        assert_eq!(load_master_key(&source()).await.unwrap().id(), key(0xcd).id());
    }
    assert!(refused(MasterKeySource::File("/no/such".into())).await.contains("cannot be opened"));
    assert!(refused(MasterKeySource::File("/tmp".into())).await.contains("not a plain file"));
    std::fs::write(file.path(), vec![b'a'; 4096]).unwrap();
    assert!(refused(source()).await.contains("more than 1024 bytes"));
}

#[tokio::test]
async fn a_key_command_is_bounded() {
    let source = |line: &str, millis| MasterKeySource::Command {
        line: line.to_owned(),
        timeout: Duration::from_millis(millis),
    };
    let printed = format!("echo {}", "ef".repeat(32));
    assert_eq!(load_master_key(&source(&printed, 10_000)).await.unwrap().id(), key(0xef).id());
    assert!(refused(source("sleep 60", 50)).await.contains("took longer"));
    assert!(refused(source("echo hush; exit 3", 10_000)).await.contains("failed"));
    assert!(refused(source("yes hush", 10_000)).await.contains("more than 1024 bytes"));
    let error = refused(source("echo hush; echo hush >&2", 10_000)).await;
    assert!(error.contains("printed no key") && !error.contains("hush"), "{error}");
}

// === blobs of the former service ===

/// Vectors of the Fernet specification, as facts: token, seconds after 1985-10-26T01:20:00-07:00, what it opens to.
const FERNET_SECRET: &str = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
const FERNET_EPOCH: i64 = 499_162_800;

fn check_fernet(token: &str, after: i64, expect: Result<&str, FernetRefused>) {
    let key = FernetKey::parse(&Secret::new(FERNET_SECRET)).unwrap();
    let now = UnixNanos::from_secs(FERNET_EPOCH + after);
    let opened = key.open(token, Some((Duration::from_secs(60), now)));
    assert_eq!(opened.as_ref().map(Secret::expose), expect.as_ref().copied(), "{token}");
}

#[test]
fn fernet_vectors_open_and_are_refused() {
    use FernetRefused::*;
    let good = "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==";
    check_fernet(good, 1, Ok("hello"));
    check_fernet(&format!("{good}trailingdata"), 1, Err(Encoding));
    for (token, after, why) in [
        // incorrect mac
        (
            "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykQUFBQUFBQUFBQQ==",
            1,
            Signature,
        ),
        // too short
        ("gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPA==", 1, Length),
        // invalid base64
        (
            "%%%%%%%%%%%%%AECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykRtfsH-p1YsUD2Q==",
            1,
            Encoding,
        ),
        // payload size not a multiple of the block size
        (
            "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPOm73QeoCk9uGib28Xe5vz6oxq5nmxbx_v7mrfyudzUm",
            1,
            Length,
        ),
        // payload padding error
        (
            "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0ODz4LEpdELGQAad7aNEHbf-JkLPIpuiYRLQ3RtXatOYREu2FWke6CnJNYIbkuKNqOhw==",
            1,
            Padding,
        ),
        // far in the future
        (
            "gAAAAAAdwStRAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAnja1xKYyhd-Y6mSkTOyTGJmw2Xc2a6kBd-iX9b_qXQcw==",
            1,
            Future,
        ),
        // too old
        (
            "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykRtfsH-p1YsUD2Q==",
            91,
            TooOld,
        ),
        // incorrect initialisation vector
        (
            "gAAAAAAdwJ6xBQECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAkLhFLHpGtDBRLRTZeUfWgHSv49TF2AUEZ1TIvcZjK1zQ==",
            1,
            Padding,
        ),
        // characters that base64 does not have, and those of its other alphabet
        (
            "*gAAAAAAdwJ6wAAECAwQFBgcI!CQoLDA0ODy021?cpGVWKZ_eEwC@GM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==",
            1,
            Encoding,
        ),
        (
            "gAAAAAAdwJ6wAAEC/AwQFBgcICQoLDA0ODy+021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==",
            1,
            Encoding,
        ),
    ] {
        check_fernet(token, after, Err(why));
    }
    check_fernet("", 1, Err(Length));
}

#[test]
fn an_import_does_not_mind_the_age() {
    let key = FernetKey::parse(&Secret::new(FERNET_SECRET)).unwrap();
    let old = "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==";
    assert_eq!(key.open(old, None).unwrap().expose(), "hello");
    for bad in ["", "x", &FERNET_SECRET[..40]] {
        assert_eq!(FernetKey::parse(&Secret::new(bad)).err(), Some(FernetRefused::Key));
    }
}
