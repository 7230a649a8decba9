//! The HTTP service that lists accounts.

use account_pool::{FetchAnswer, FetchJson, FetchRequest};
use http::{Request, header};
use http_body_util::Full;
use kite_client::TcpTls;

use super::http::exchange;

/// Asks over one connection at a time.
pub(crate) struct UserService(pub(crate) TcpTls);

impl FetchJson for UserService {
    async fn fetch(&self, request: FetchRequest<'_>) -> Result<FetchAnswer, String> {
        let asked = Request::get(request.url)
            .header(header::ACCEPT, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {}", request.bearer.expose()))
            .body(Full::default())
            .map_err(|_| "its address, or its token, cannot be sent".to_owned())?;
        let answer = exchange(&self.0, asked, request.most_bytes).await.map_err(|error| error.to_string())?;
        Ok(FetchAnswer { status: answer.status.as_u16(), body: answer.body.to_vec().into() })
    }
}
