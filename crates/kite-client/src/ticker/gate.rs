//! What the connections of an account know together: which token was refused.

use tokio::sync::watch;

use crate::TickerCredentials;

/// Shut while the newest token is one that the server refused. One refusal stops all connections, because they
/// share the token; otherwise each would be refused by itself.
#[derive(Debug)]
pub(crate) struct TokenGate {
    refused: watch::Sender<Option<u64>>,
}

// === impl TokenGate ===

impl TokenGate {
    /// An open one.
    pub(crate) fn new() -> Self {
        Self { refused: watch::Sender::new(None) }
    }

    /// The server refused `generation`. Answers whether that is news.
    pub(crate) fn refuse(&self, generation: u64) -> bool {
        self.refused.send_replace(Some(generation)) != Some(generation)
    }

    /// The server accepted a token. Answers whether one was refused before.
    pub(crate) fn accept(&self) -> bool {
        self.refused.send_if_modified(|refused| refused.take().is_some())
    }

    /// Whether a token was refused and none accepted since.
    pub(crate) fn is_shut(&self) -> bool {
        self.refused.borrow().is_some()
    }

    /// Whether these are worth a try.
    pub(crate) fn admits(&self, credentials: &TickerCredentials) -> bool {
        *self.refused.borrow() != Some(credentials.generation)
    }

    /// To wait for the next change with.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Option<u64>> {
        self.refused.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AccessToken, ApiKey};

    #[test]
    fn a_refused_generation_is_not_admitted_until_one_is_accepted() {
        let login = |generation| TickerCredentials {
            api_key: ApiKey::new("key"),
            access_token: AccessToken::new("token"),
            generation,
        };
        let gate = TokenGate::new();
        assert!(gate.admits(&login(1)));
        assert!(gate.refuse(1), "the first refusal is news");
        assert!(!gate.refuse(1), "the second is not");
        assert!(!gate.admits(&login(1)) && gate.admits(&login(2)) && gate.is_shut());
        assert!(gate.accept(), "back again");
        assert!(!gate.accept() && !gate.is_shut() && gate.admits(&login(1)));
    }
}
