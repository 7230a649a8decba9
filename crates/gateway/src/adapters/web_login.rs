//! The broker's web login as a browser would use it: forms, cookies, redirects followed by hand (protocol section 2.7).

use std::collections::BTreeMap;
use std::time::Duration;

use account_pool::{Account, SecondFactor, Secret, WebLogin, WebRefused, WebSession};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Uri, header};
use http_body_util::Full;
use kite_client::TcpTls;
use serde_json::Value;
use tokio::time::timeout;

use super::http::{Answer, NoAnswer, exchange};

/// One page or answer may take this long.
const PATIENCE: Duration = Duration::from_secs(15);
/// A login page is some hundred KB at most.
const MOST_BYTES: usize = 2 * 1024 * 1024;
/// The broker's own redirects between its login page and the app's address.
const MOST_REDIRECTS: usize = 8;
const MOST_COOKIES: usize = 32;

/// Opens visits to the site that `login_url` is on, or to an account's simulator.
pub(crate) struct BrokerPages {
    pub(crate) connector: TcpTls,
    pub(crate) login_url: String,
}

/// One visit with its cookies.
pub(crate) struct Visit {
    connector: TcpTls,
    /// Scheme and host of the site; empty when the address makes no sense.
    site: String,
    cookies: BTreeMap<String, String>,
}

// === impl BrokerPages ===

impl WebLogin for BrokerPages {
    type Session = Visit;

    fn open(&self, account: &Account) -> Visit {
        let address = if account.simulated { &account.rest_url } else { &self.login_url };
        let site = site_of(address).unwrap_or_default();
        Visit { connector: self.connector.clone(), site, cookies: BTreeMap::new() }
    }
}

// === impl Visit ===

impl WebSession for Visit {
    async fn password(&mut self, user_id: &str, password: &Secret) -> Result<SecondFactor, WebRefused> {
        let form = [("user_id", user_id), ("password", password.expose())];
        let data = self.post("/api/login", &form, WebRefused::Password).await?;
        let text = |name: &str| data[name].as_str().map(str::to_owned);
        match (text("request_id"), text("twofa_type")) {
            (Some(request_id), kind) => {
                Ok(SecondFactor { request_id, kind: kind.unwrap_or_else(|| "totp".to_owned()) })
            }
            (None, _) => Err(WebRefused::Human("its answer to the password asks for no code".to_owned())),
        }
    }

    async fn second_factor(
        &mut self,
        user_id: &str,
        request_id: &str,
        code: &Secret,
    ) -> Result<(), WebRefused> {
        let form = [
            ("user_id", user_id),
            ("request_id", request_id),
            ("twofa_value", code.expose()),
            ("twofa_type", "totp"),
        ];
        self.post("/api/twofa", &form, WebRefused::Code).await.map(drop)
    }

    async fn authorise(&mut self, login_url: &str) -> Result<Secret, WebRefused> {
        let mut url = login_url.to_owned();
        for _ in 0..MOST_REDIRECTS {
            let answer = self.ask(Request::get(&url), Bytes::new()).await?;
            let Some(location) =
                answer.headers.get(header::LOCATION).filter(|_| answer.status.is_redirection())
            else {
                return Err(stuck(&answer));
            };
            let location = location.to_str().unwrap_or_default();
            let next = if location.starts_with('/') {
                format!("{}{location}", self.site)
            } else {
                location.to_owned()
            };
            let query = next.split_once('?').map_or("", |(_, query)| query);
            let query = query.split('#').next().unwrap_or_default();
            if site_of(&next).as_deref() != Some(&self.site) || query.contains("request_token=") {
                return Ok(Secret::new(query));
            }
            url = next;
        }
        Err(WebRefused::Human("its login page sends the visitor round in circles".to_owned()))
    }
}

impl Visit {
    /// The `data` of the answer to a form. `refused` is what a refusal in the broker's own words means here.
    async fn post(
        &mut self,
        path: &str,
        form: &[(&str, &str)],
        refused: fn(String) -> WebRefused,
    ) -> Result<Value, WebRefused> {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = Request::post(format!("{}{path}", self.site))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json");
        let answer = self.ask(request, form.into()).await?;
        let body = serde_json::from_slice::<Value>(&answer.body).ok();
        match body {
            Some(mut body) if answer.status.is_success() && body["status"] == "success" => {
                Ok(body["data"].take())
            }
            _ if is_busy(answer.status) => Err(WebRefused::Unreachable(answer.status.to_string())),
            Some(body) if body["status"] == "error" => {
                let words = body["message"].as_str().unwrap_or("without a reason");
                Err(refused(words.chars().take(200).collect()))
            }
            _ => Err(stuck(&answer)),
        }
    }

    async fn ask(&mut self, request: http::request::Builder, body: Bytes) -> Result<Answer, WebRefused> {
        let mut request =
            request.header(header::USER_AGENT, concat!("kite-gateway/", env!("CARGO_PKG_VERSION")));
        if !self.cookies.is_empty() {
            let pairs: Vec<String> =
                self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header(header::COOKIE, pairs.join("; "));
        }
        let request = request.body(Full::new(body));
        let request = request.map_err(|_| WebRefused::NotSent("its address cannot be read".to_owned()))?;
        match timeout(PATIENCE, exchange(&self.connector, request, MOST_BYTES)).await {
            Ok(Ok(answer)) => {
                self.keep_cookies(&answer.headers);
                Ok(answer)
            }
            Ok(Err(NoAnswer::NotSent(problem))) => Err(WebRefused::NotSent(problem)),
            Ok(Err(NoAnswer::Broken(problem))) => Err(WebRefused::Unreachable(problem)),
            Err(_) => Err(WebRefused::Unreachable(format!("no answer within {} s", PATIENCE.as_secs()))),
        }
    }

    fn keep_cookies(&mut self, headers: &HeaderMap) {
        let lines = headers.get_all(header::SET_COOKIE).iter().filter_map(|line| line.to_str().ok());
        for (name, value) in lines.filter_map(|line| line.split(';').next()?.trim().split_once('=')) {
            if self.cookies.len() < MOST_COOKIES || self.cookies.contains_key(name) {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

/// An answer that is neither a yes nor a no.
fn stuck(answer: &Answer) -> WebRefused {
    match answer.status {
        status if is_busy(status) => WebRefused::Unreachable(status.to_string()),
        StatusCode::OK => {
            WebRefused::Human("a page that does not go on by itself, such as consent".to_owned())
        }
        status => WebRefused::Human(format!("status {status} on the way")),
    }
}

fn is_busy(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

/// Scheme and host of an address.
fn site_of(address: &str) -> Option<String> {
    let uri: Uri = address.parse().ok()?;
    Some(format!("{}://{}", uri.scheme_str()?, uri.authority()?))
}
