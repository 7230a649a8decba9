//! The user service over real HTTP on loopback: what is sent, what is bounded, what holds while it is down.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use account_pool::{
    AccountDefaults, AccountSource, FetchAnswer, FetchJson, FetchRequest, Secret, ServiceConfig,
    ServiceSource,
};
use http_body_util::{BodyExt, Empty, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A client as an adapter would write it: one connection per question, no redirects, a bounded body.
struct HyperFetch;

impl FetchJson for HyperFetch {
    async fn fetch(&self, ask: FetchRequest<'_>) -> Result<FetchAnswer, String> {
        let uri: hyper::Uri = ask.url.parse().map_err(|_| "not an address".to_owned())?;
        let host = uri.authority().ok_or("not an address")?.as_str().to_owned();
        let stream = TcpStream::connect(&host).await.map_err(|error| error.to_string())?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| error.to_string())?;
        let request = Request::get(uri.path_and_query().map_or("/", |path| path.as_str()))
            .header("host", host)
            .header("accept", "application/json")
            .header("authorization", format!("Bearer {}", ask.bearer.expose()))
            .body(Empty::<Bytes>::new())
            .map_err(|error| error.to_string())?;
        let talk = async {
            let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
            let status = answer.status().as_u16();
            let body = Limited::new(answer.into_body(), ask.most_bytes).collect().await;
            let body = body.map_err(|error| error.to_string())?.to_bytes().to_vec().into();
            Ok(FetchAnswer { status, body })
        };
        tokio::select! {
            answer = talk => answer,
            Err(error) = connection => Err(error.to_string()),
        }
    }
}

/// A user service that answers what it is told, to who has the token.
#[derive(Clone)]
struct Service(Arc<Mutex<(StatusCode, String)>>);

impl Service {
    fn say(&self, status: u16, body: impl Into<String>) {
        *self.0.lock().unwrap() = (StatusCode::from_u16(status).unwrap(), body.into());
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(header("accept").as_deref(), Some("application/json"));
        let (mut status, mut body) = self.0.lock().unwrap().clone();
        if header("authorization").as_deref() != Some("Bearer service-hush") {
            (status, body) = (StatusCode::UNAUTHORIZED, "no".to_owned());
        }
        let mut response = Response::new(Full::from(body));
        *response.status_mut() = status;
        response
    }
}

async fn serve(listener: TcpListener, service: Service) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let service = service.clone();
        connections.spawn(async move {
            let answer = service_fn(move |request| {
                let response = service.answer(&request);
                async move { Ok::<_, Infallible>(response) }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}

fn source(address: SocketAddr, token: &str) -> ServiceSource<HyperFetch> {
    let config = ServiceConfig {
        url: format!("http://{address}/v1/accounts"),
        token: Secret::new(token),
        timeout: Duration::from_secs(10),
        most_bytes: 4096,
        refresh: Duration::from_secs(60),
    };
    ServiceSource::new(config, AccountDefaults::default(), HyperFetch)
}

/// The example of docs/accounts.md, so that the page cannot be wrong.
fn documented_answer() -> String {
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/accounts.md")).unwrap();
    let after = page.split("<!-- user service answer -->").nth(1).unwrap();
    after.split("```json").nth(1).unwrap().split("```").next().unwrap().to_owned()
}

#[tokio::test]
async fn accounts_come_over_http_and_stay_when_it_goes_down() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = Service(Arc::new(Mutex::new((StatusCode::OK, documented_answer()))));
    let mut server = JoinSet::new();
    server.spawn(serve(listener, service.clone()));

    let good = source(address, "service-hush");
    let loaded = good.load().await.unwrap();
    assert_eq!(loaded.warning, None);
    let names: Vec<&str> = loaded.accounts.iter().map(|account| account.name.as_str()).collect();
    assert_eq!(names, ["main", "hedge"]);
    assert_eq!(loaded.accounts[0].registered_addresses.len(), 1);

    let stranger = source(address, "wrong-hush").load().await.unwrap_err().to_string();
    assert!(
        stranger.contains("check the service's bearer token") && !stranger.contains("hush"),
        "{stranger}"
    );
    service.say(200, " ".repeat(5000));
    let kept = good.load().await.unwrap();
    assert_eq!(kept.accounts, loaded.accounts);
    service.say(302, "");
    assert!(good.load().await.unwrap().warning.unwrap().contains("answered 302"));
    server.abort_all();
    while server.join_next().await.is_some() {}
    let kept = good.load().await.unwrap();
    assert_eq!(kept.accounts, loaded.accounts);
    assert!(kept.warning.unwrap().contains("the list of"));
}
