//! The moment between taking a connection and using it.

use std::io;
use std::sync::Mutex;

use futures_util::future::FutureExt;
use kite_wire::Variety;
use kite_wire::api::{Call, CancelOrder, GetOrders};
use metrics::Counter;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;
use crate::rest::{Delivery, RestConfig};
use crate::{ByteStream, Connect, Endpoint};

/// Leaves the far ends of its connections to the test.
#[derive(Default)]
struct Ends(Mutex<Vec<DuplexStream>>);

impl Connect for Ends {
    fn connect(&self, _endpoint: &Endpoint) -> BoxFuture<'static, io::Result<Box<dyn ByteStream>>> {
        let (near, far) = duplex(1024);
        self.0.lock().unwrap().push(far);
        async { Ok(Box::new(near) as Box<dyn ByteStream>) }.boxed()
    }
}

fn rig() -> (Arc<Ends>, Arc<Pool>, Identity) {
    let ends = Arc::new(Ends::default());
    let endpoint = Endpoint { host: "kite.test".to_owned(), port: 80, tls: false };
    let pool = Pool::new(ends.clone(), endpoint, RestConfig::default(), Counter::noop());
    let token = watch::Sender::new(Some(AccessToken::new("t"))).subscribe();
    (ends, pool, Identity { authority: "kite.test".into(), api_key: ApiKey::new("k"), token })
}

fn cancel() -> ApiRequest {
    CancelOrder { variety: Variety::Regular, order_id: "1".to_owned(), parent_order_id: None }.request()
}

#[tokio::test(start_paused = true)]
async fn an_order_that_finds_its_connection_closed_comes_back_unsent() {
    let (ends, pool, identity) = rig();
    for reused in [false, true] {
        let mut lease = pool.lease_new().await.unwrap();
        lease.is_reused = reused;
        ends.0.lock().unwrap().clear();
        // Everything that can happen happens: the connection learns that it is closed.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let error = send(&pool, &identity, lease, &cancel()).await.err().unwrap();
        assert!(matches!(error, RestError::NotSent(_)), "{error}");
        assert_eq!(error.delivery(), Delivery::NotSent);
        assert!(ends.0.lock().unwrap().is_empty(), "no other connection is tried for an order");
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_that_finds_its_kept_connection_closed_takes_a_new_one() {
    let (ends, pool, identity) = rig();
    let mut lease = pool.lease_new().await.unwrap();
    lease.is_reused = true;
    ends.0.lock().unwrap().clear();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let answer = async {
        // The read opens its new connection before this is polled again.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let mut far = ends.0.lock().unwrap().pop().unwrap();
        far.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        far.read_u8().await.unwrap();
        far
    };
    let request = GetOrders.request();
    let (sent, _far) = tokio::join!(send(&pool, &identity, lease, &request), answer);
    assert_eq!(sent.ok().unwrap().1.status(), StatusCode::NO_CONTENT);
}
