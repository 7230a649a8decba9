//! The instrument dump over real HTTP: what is read, and how each refusal is named.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use kite_client::{AccessToken, ApiKey, KiteError, KiteRest, RestError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Answers one request with `answer`; returns what the client got and what it asked.
async fn exchange(answer: Vec<u8>) -> (Result<Vec<u8>, RestError>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let rest = KiteRest::new(&url, ApiKey::new("key"), AccessToken::new("token")).unwrap();
    let serve = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).await.unwrap();
            request.push(byte[0]);
        }
        socket.write_all(&answer).await.unwrap();
        String::from_utf8(request).unwrap()
    };
    let (got, request) = tokio::join!(rest.instruments(), serve);
    (got.map(|bytes| bytes.to_vec()), request)
}

fn http(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[tokio::test]
async fn a_dump_is_read_plain_and_compressed() {
    let (got, request) = exchange(http("200 OK", "Content-Type: text/csv\r\n", b"a,b\n")).await;
    assert_eq!(got.unwrap(), b"a,b\n");
    let request = request.to_lowercase();
    for part in [
        "get /instruments http/1.1",
        "x-kite-version: 3",
        "authorization: token key:token",
        "accept-encoding: gzip",
    ] {
        assert!(request.contains(part), "{request}");
    }
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(b"a,b\n").unwrap();
    let packed = packed.finish().unwrap();
    let (got, _) = exchange(http("200 OK", "Content-Encoding: gzip\r\n", &packed)).await;
    assert_eq!(got.unwrap(), b"a,b\n");
    let (got, _) = exchange(http("200 OK", "Content-Encoding: gzip\r\n", &packed[..packed.len() - 9])).await;
    assert!(got.unwrap_err().is_retryable(), "a torn archive may be whole next time");
}

#[tokio::test]
async fn refusals_keep_kites_words_and_say_whether_to_try_again() {
    let body = br#"{"status":"error","message":"Incorrect `api_key` or `access_token`.","error_type":"TokenException"}"#;
    let (got, _) = exchange(http("403 Forbidden", "", body)).await;
    let error = got.unwrap_err();
    assert!(
        matches!(&error, RestError::Refused { status: 403, error_type, .. } if error_type == "TokenException")
    );
    assert!(!error.is_retryable());
    assert!(!error.to_string().contains("key:token"));

    let (got, _) = exchange(http("502 Bad Gateway", "", b"<html>bad gateway</html>")).await;
    let error = got.unwrap_err();
    assert!(matches!(error, RestError::NotKite { status: 502 }) && error.is_retryable());

    let (got, _) = exchange(b"garbage\r\n\r\n".to_vec()).await;
    assert!(matches!(got.unwrap_err(), RestError::Network(_)));
    let (got, _) = exchange(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort".to_vec()).await;
    assert!(matches!(got.unwrap_err(), RestError::Network(_)), "a cut answer is no dump");
}

#[test]
fn addresses_that_are_none_are_refused() {
    for url in ["", "kite", "ws://api.kite.trade", "https://"] {
        let made = KiteRest::new(url, ApiKey::new("key"), AccessToken::new("token"));
        assert!(matches!(made, Err(KiteError::InvalidUrl { .. })), "{url}");
    }
}
