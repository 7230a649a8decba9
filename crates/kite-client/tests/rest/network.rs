//! The same over real sockets, where it differs: addresses, refused connections.

use kite_client::{AccessToken, ApiKey, Delivery, KiteError, KiteRest, RestError};
use kite_wire::Variety;
use kite_wire::api::{CancelOrder, GetProfile};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::double::http;

fn rest(address: &str) -> KiteRest {
    KiteRest::new(&format!("http://{address}"), ApiKey::new("key1"), AccessToken::new("token1")).unwrap()
}

#[tokio::test]
async fn a_call_goes_over_tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let rest = rest(&address);
    let serve = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(socket.read_u8().await.unwrap());
        }
        socket.write_all(&http("200 OK", "", r#"{"data":{"user_id":"AB1234"}}"#)).await.unwrap();
        (socket, String::from_utf8(request).unwrap())
    };
    let (answer, (_socket, request)) = tokio::join!(rest.call(&GetProfile), serve);
    assert_eq!(answer.unwrap().user_id, "AB1234");
    assert!(request.to_lowercase().contains(&format!("host: {address}\r\n")), "{request}");
}

#[tokio::test]
async fn nobody_there_means_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let cancel = CancelOrder { variety: Variety::Regular, order_id: "1".to_owned(), parent_order_id: None };
    let error = rest(&address).orders().cancel(&cancel).await.unwrap_err();
    assert!(matches!(error, RestError::Unreachable(_)), "{error}");
    assert_eq!(error.delivery(), Delivery::NotSent);
}

#[test]
fn addresses_that_are_none_are_refused() {
    for url in ["", "kite", "ws://api.kite.trade", "https://", "https://me@api.kite.trade"] {
        let made = KiteRest::new(url, ApiKey::new("key1"), AccessToken::new("token1"));
        assert!(matches!(made, Err(KiteError::InvalidUrl { .. })), "{url}");
    }
}
