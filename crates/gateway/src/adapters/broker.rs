//! The broker's REST side for the parts that need a little of it: the instrument dump and the session exchange.

use std::sync::Arc;
use std::time::Duration;

use account_pool::{
    Account, AccountName, AccountPool, ExchangeRequest, IstDay, KiteLogin, LoginRefused, NewSession,
    ReadCall, ReadClass, ReadError, ReadFailure, ReadLease, ReadScope, ReadVerdict, Secret,
};
use instrument_registry::{DumpReader, DumpSource, DumpWriter};
use kite_client::{AccessToken, ApiKey, DumpStream, KiteRest, RestError, RestMetrics, TcpTls};
use kite_wire::api::{GetInstruments, GetOrders};
use kite_wire::rest::OrderUpdate;
use market_model::Instrument;
use tokio::time::Instant;

/// How long a read may wait for its turn at the broker.
const TURN: Duration = Duration::from_secs(20);

/// Accounts that are asked for one dump.
const MOST_ACCOUNTS: usize = 4;

/// Makes calls on behalf of accounts, at the pace their limits allow.
#[derive(Clone)]
pub(crate) struct Broker {
    pub(crate) pool: Arc<AccountPool>,
    pub(crate) connector: TcpTls,
    pub(crate) metrics: RestMetrics,
}

/// Why a read on an account brought nothing.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct NotRead(#[from] RestError);

/// Why an order book was not read. A token that is refused here is left for the ticker to find out, which tells every
/// consumer; were it taken away first, nobody would be told.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct BookNotRead(#[from] RestError);

// === impl Broker ===

impl Broker {
    fn rest(&self, account: &Account, token: Option<&Secret>) -> Result<KiteRest, RestError> {
        let api_key = ApiKey::new(account.api_key.expose());
        let token = token.map(|token| AccessToken::new(token.expose()));
        let token = tokio::sync::watch::Sender::new(token).subscribe();
        let rest = KiteRest::following(&account.rest_url, api_key, token)
            .map_err(|error| RestError::Unreachable(error.to_string()))?;
        Ok(rest.with_connector(self.connector.clone()).with_metrics(self.metrics.clone()))
    }

    /// How many orders of `day` the book of `account` shows, whoever placed them.
    ///
    /// # Errors
    /// Why it was not read.
    ///
    /// # Cancel safety
    /// Nothing is changed by it.
    pub(crate) async fn orders_of(
        &self,
        account: &AccountName,
        day: IstDay,
    ) -> Result<u64, ReadError<BookNotRead>> {
        let call = ReadCall {
            class: ReadClass::Other,
            scope: ReadScope::Only(account.clone()),
            deadline: Instant::now() + TURN,
            most_accounts: 1,
        };
        let book = self.pool.read(&call, |lease| async move {
            Ok(self.rest(&lease.account, Some(&lease.token))?.call(&GetOrders).await?)
        });
        Ok(orders_on(&book.await?, day))
    }

    async fn begin_dump(&self, lease: ReadLease) -> Result<DumpStream, NotRead> {
        let rest = self.rest(&lease.account, Some(&lease.token))?;
        Ok(rest.instruments_stream(&GetInstruments::default()).await?)
    }
}

impl ReadFailure for NotRead {
    fn verdict(&self) -> ReadVerdict {
        match &self.0 {
            error if error.is_too_fast() => ReadVerdict::Throttled { retry_after: None },
            error if error.is_token_lost() => ReadVerdict::TokenRefused,
            error if error.is_retryable() => ReadVerdict::Failing,
            _ => ReadVerdict::Final,
        }
    }
}

impl ReadFailure for BookNotRead {
    fn verdict(&self) -> ReadVerdict {
        match &self.0 {
            error if error.is_too_fast() => ReadVerdict::Throttled { retry_after: None },
            error if error.is_retryable() && !error.is_token_lost() => ReadVerdict::Failing,
            _ => ReadVerdict::Final,
        }
    }
}

impl DumpSource for Broker {
    async fn fetch(&self, into: &mut DumpWriter) -> Result<(), String> {
        let simulated = self.pool.accounts().first().is_some_and(|account| account.simulated);
        let call = ReadCall {
            class: ReadClass::Other,
            scope: ReadScope::Market { simulated },
            deadline: Instant::now() + TURN,
            most_accounts: MOST_ACCOUNTS,
        };
        let begun = self.pool.read(&call, |lease| self.begin_dump(lease)).await;
        let mut dump = begun.map_err(|error| error.to_string())?;
        while let Some(piece) = dump.next().await.map_err(|error| error.to_string())? {
            into.write(piece).await.map_err(|error| error.to_string())?;
        }
        Ok(())
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
        let rest = self.rest(request.account, None).map_err(|error| refused(&error))?;
        let session =
            rest.session().exchange(request.request_token.expose(), request.checksum.expose()).await;
        let session = session.map_err(|error| refused(&error))?;
        Ok(NewSession { access_token: Secret::new(session.access_token), user_id: session.profile.user_id })
    }

    async fn log_out(&self, account: &Account, access_token: &Secret) -> Result<(), LoginRefused> {
        let rest = self.rest(account, Some(access_token)).map_err(|error| refused(&error))?;
        rest.session().logout().await.map(drop).map_err(|error| refused(&error))
    }
}

/// Before the morning a book may still be yesterday's; a row without a time counts, to be on the safe side.
fn orders_on(book: &[OrderUpdate], day: IstDay) -> u64 {
    let of_day = |order: &&OrderUpdate| order.order_timestamp.is_none_or(|at| IstDay::of(at) == day);
    book.iter().filter(of_day).count() as u64
}

fn refused(error: &RestError) -> LoginRefused {
    match error {
        RestError::Refused(_) => LoginRefused::Refused(error.to_string()),
        _ => LoginRefused::Unreachable(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use market_model::UnixNanos;

    use super::*;

    #[test]
    fn orders_of_another_day_do_not_count() {
        let at = |seconds| OrderUpdate {
            order_timestamp: Some(UnixNanos::from_secs(seconds)),
            ..OrderUpdate::default()
        };
        // 2026-11-20 23:59:59 and 2026-11-21 00:00:00 in India.
        let book = [at(1_795_199_399), at(1_795_199_400), OrderUpdate::default()];
        assert_eq!(orders_on(&book, IstDay::of(UnixNanos::from_secs(1_795_199_400))), 2);
    }
}
