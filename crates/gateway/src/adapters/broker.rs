//! The broker's REST side for the parts that need a little of it: the instrument dump and the session exchange.

use std::sync::Arc;

use account_pool::{
    Account, AccountDirectory, ExchangeRequest, KiteLogin, LoginRefused, NewSession, Secret, TokenBoard,
};
use instrument_registry::{DumpReader, DumpSource, DumpWriter};
use kite_client::{AccessToken, ApiKey, KiteRest, RestError, TcpTls};
use kite_wire::api::GetInstruments;
use market_model::Instrument;
use tracing::warn;

use crate::feed::usable_token;

/// Makes clients of accounts.
#[derive(Clone)]
pub(crate) struct Broker {
    pub(crate) directory: Arc<AccountDirectory>,
    pub(crate) tokens: Arc<TokenBoard>,
    pub(crate) connector: TcpTls,
}

/// Why one account brought no dump.
enum NoDump {
    /// Nothing came, so another account may try.
    Nothing(String),
    /// It broke off on the way.
    BrokenOff(String),
}

// === impl Broker ===

impl Broker {
    fn rest(&self, account: &Account, token: Option<String>) -> Result<KiteRest, String> {
        let api_key = ApiKey::new(account.api_key.expose());
        let token = token.map(AccessToken::new);
        let token = tokio::sync::watch::Sender::new(token).subscribe();
        let rest =
            KiteRest::following(&account.rest_url, api_key, token).map_err(|error| error.to_string())?;
        Ok(rest.with_connector(self.connector.clone()))
    }

    /// Accounts that may be asked, the most important first.
    fn readers(&self) -> Vec<(Account, String)> {
        let accounts = self.directory.accounts();
        let usable = accounts.iter().filter(|account| account.enabled).filter_map(|account| {
            let view = self.tokens.view(account.name.as_str())?;
            Some((account.clone(), usable_token(account, &view)?))
        });
        let mut readers: Vec<_> = usable.collect();
        readers.sort_by_key(|(account, _)| account.priority);
        readers
    }

    async fn dump(&self, account: &Account, token: String, into: &mut DumpWriter) -> Result<(), NoDump> {
        let nothing = |error: &RestError| NoDump::Nothing(format!("account {}: {error}", account.name));
        let rest = self.rest(account, Some(token)).map_err(NoDump::Nothing)?;
        let mut dump = match rest.instruments_stream(&GetInstruments::default()).await {
            Ok(dump) => dump,
            Err(error) => {
                if error.is_token_lost() {
                    let generation = self.tokens.view(account.name.as_str()).map(|view| view.generation);
                    if let Some(generation) = generation {
                        self.tokens.refused(account.name.as_str(), generation);
                    }
                }
                return Err(nothing(&error));
            }
        };
        loop {
            match dump.next().await {
                Ok(Some(piece)) => {
                    into.write(piece).await.map_err(|error| NoDump::BrokenOff(error.to_string()))?;
                }
                Ok(None) => return Ok(()),
                Err(error) => return Err(NoDump::BrokenOff(format!("account {}: {error}", account.name))),
            }
        }
    }
}

impl DumpSource for Broker {
    async fn fetch(&self, into: &mut DumpWriter) -> Result<(), String> {
        let readers = self.readers();
        if readers.is_empty() {
            return Err("no account has a usable access token".to_owned());
        }
        let mut problems = Vec::new();
        for (account, token) in readers {
            match self.dump(&account, token, into).await {
                Ok(()) => return Ok(()),
                Err(NoDump::BrokenOff(problem)) => return Err(problem),
                Err(NoDump::Nothing(problem)) => {
                    warn!(problem, "no instrument dump from this account, asking the next");
                    problems.push(problem);
                }
            }
        }
        Err(problems.join("; "))
    }

    fn rows(dump: DumpReader) -> Result<impl Iterator<Item = Result<Instrument, String>>, String> {
        let rows = kite_wire::parse_instruments(dump).map_err(|error| error.to_string())?;
        Ok(rows.map(|row| match row {
            Ok(row) => Ok(row.into_instrument(None)),
            Err(error) => Err(error.to_string()),
        }))
    }
}

impl KiteLogin for Broker {
    async fn exchange(&self, request: ExchangeRequest<'_>) -> Result<NewSession, LoginRefused> {
        let rest = self.rest(request.account, None).map_err(LoginRefused::Unreachable)?;
        let session =
            rest.session().exchange(request.request_token.expose(), request.checksum.expose()).await;
        let session = session.map_err(|error| refused(&error))?;
        Ok(NewSession { access_token: Secret::new(session.access_token), user_id: session.profile.user_id })
    }

    async fn log_out(&self, account: &Account, access_token: &Secret) -> Result<(), LoginRefused> {
        let rest =
            self.rest(account, Some(access_token.expose().to_owned())).map_err(LoginRefused::Unreachable)?;
        rest.session().logout().await.map(drop).map_err(|error| refused(&error))
    }
}

fn refused(error: &RestError) -> LoginRefused {
    match error {
        RestError::Refused(_) => LoginRefused::Refused(error.to_string()),
        _ => LoginRefused::Unreachable(error.to_string()),
    }
}
