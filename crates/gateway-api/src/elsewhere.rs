//! Values of instruments that other instances stream: asked for when a question concerns them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use market_model::{InstrumentCatalog, InstrumentToken};

use crate::error::Refusal;
use crate::latest::{LatestValue, LatestValues};
use crate::router::Door;

/// Knows what other instances stream, and reads it from where they write it.
pub trait Elsewhere: Send + Sync + 'static {
    /// Whether another instance streams `token`, so that its value here, if there is one, is an old one.
    fn streams(&self, token: InstrumentToken) -> bool;

    /// The newest values of `tokens` as far as there are any. What is not current is marked stale.
    ///
    /// Must answer within a second or two, also when what it asks is down: then with a text that says so.
    fn read(&self, tokens: Vec<InstrumentToken>, catalog: Arc<InstrumentCatalog>) -> Reading;
}

/// Values on their way.
pub type Reading = Pin<Box<dyn Future<Output = Result<Vec<LatestValue>, String>> + Send>>;

/// There is no other instance.
#[derive(Debug, Clone, Copy)]
pub struct NobodyElse;

impl Elsewhere for NobodyElse {
    fn streams(&self, _: InstrumentToken) -> bool {
        false
    }

    fn read(&self, _: Vec<InstrumentToken>, _: Arc<InstrumentCatalog>) -> Reading {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
}

// === impl Door ===

impl Door {
    /// The newest values of `tokens` at least, whoever streams them.
    ///
    /// # Errors
    /// When another instance streams some of them and cannot be read: an answer without them would look whole.
    pub(crate) async fn newest(
        &self,
        tokens: Vec<InstrumentToken>,
        catalog: &Arc<InstrumentCatalog>,
    ) -> Result<Arc<LatestValues>, Refusal> {
        let elsewhere = &self.state.elsewhere;
        let others: Vec<_> = tokens.iter().copied().filter(|token| elsewhere.streams(*token)).collect();
        if others.is_empty() {
            return Ok(self.state.latest.clone());
        }
        let read = elsewhere.read(others, catalog.clone()).await;
        let values = read.map_err(|why| {
            Refusal::unavailable(format!("another instance streams what is asked for, and {why}"))
        })?;
        let newest = LatestValues::new();
        self.state.latest.each(tokens, |value| newest.put_newer(value.clone()));
        values.into_iter().for_each(|value| newest.put_newer(value));
        Ok(Arc::new(newest))
    }
}
