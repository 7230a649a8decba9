//! Accounts of the former service, with secrets that its own kind of token seals.

use aws_lc_rs::cipher::{AES_128, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::hmac;
use data_encoding::BASE64URL;
use gateway::{Config, FERNET_KEY, import_fernet};
use kite_sim::{App, SimConfig};

use crate::house::House;

const MASTER_KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
/// Half for the signature, half for the cipher.
const FORMER: [u8; 32] = *b"sixteen to sign.sixteen to hide.";

/// A token as the former service made them.
fn fernet(text: &str) -> String {
    let (sign, hide) = FORMER.split_at(16);
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_128, hide).unwrap()).unwrap();
    let mut sealed = text.as_bytes().to_vec();
    let context = key.encrypt(&mut sealed).unwrap();
    let mut token = vec![0x80];
    token.extend(1_700_000_000_u64.to_be_bytes());
    token.extend(<&[u8]>::try_from(&context).unwrap());
    token.extend(sealed);
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, sign), &token);
    token.extend(mac.as_ref());
    BASE64URL.encode(&token)
}

#[tokio::test]
async fn accounts_are_taken_over_sealed_and_used() {
    let app = App { access_token: None, ..App::default() };
    let house = House::new(SimConfig { apps: vec![app.clone()], ..SimConfig::default() }).await;
    let broker = house.broker;
    let file = |api_key: &str| {
        let text = format!(
            "[[account]]\nname = \"former\"\napi_key = \"{api_key}\"\napi_secret = \"{}\"\npassword = \"{}\"\n\
             totp_seed = \"{}\"\nuser_id = \"{}\"\nautomatic_login = true\nsimulated = true\n\
             rest_url = \"http://{broker}\"\nticker_url = \"ws://{broker}\"\n",
            fernet(&app.api_secret),
            fernet(&app.password),
            fernet(&app.totp_seed),
            app.user_id,
        );
        std::path::PathBuf::from(house.write("former.toml", &text))
    };
    let settings = [("GATEWAY_MASTER_KEY", MASTER_KEY.to_owned())];
    let config = Config::read(&house.env(&settings), None).unwrap();
    let mut env = house.env(&settings);

    let refused = import_fernet(&config, &env, &file(&fernet("simkey"))).await.unwrap_err().to_string();
    assert!(refused.contains("GATEWAY_FERNET_KEY is not set"), "{refused}");
    env.insert(FERNET_KEY.to_owned(), BASE64URL.encode(&[7; 32]));
    let refused = import_fernet(&config, &env, &file(&fernet("simkey"))).await.unwrap_err().to_string();
    assert!(
        refused.contains("account `former`, api_key: it is damaged, or was made with another key"),
        "{refused}"
    );
    env.insert(FERNET_KEY.to_owned(), BASE64URL.encode(&FORMER));
    let refused = import_fernet(&config, &env, &file("plain-text")).await.unwrap_err().to_string();
    assert!(refused.contains("account `former`, api_key"), "{refused}");

    let done = import_fernet(&config, &env, &file(&fernet("simkey"))).await.unwrap();
    assert_eq!((&done["accounts_taken_over"], &done["names"][0]), (&1.into(), &"former".into()), "{done}");
    let twice = import_fernet(&config, &env, &file(&fernet("simkey"))).await.unwrap_err().to_string();
    assert!(twice.contains("the name is taken"), "{twice}");

    // With the master key alone: it logs in with what was imported, and ticks.
    house
        .run(&settings, async |gateway| {
            gateway.ticking().await;
            assert_eq!(gateway.account().await["from"], "database");
        })
        .await;
    let database = std::fs::read(house.data().join("gateway.db")).unwrap();
    let database = String::from_utf8_lossy(&database).into_owned();
    for secret in [&app.password, &app.totp_seed, &app.api_secret] {
        assert!(!database.contains(secret.as_str()));
    }
}
