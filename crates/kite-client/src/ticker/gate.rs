//! What the connections of an account know together: which token was refused.

use std::sync::{Mutex, PoisonError};

use crate::TickerCredentials;

/// Shut while the newest token is one that the server refused. One refusal stops all connections, because they
/// share the token; otherwise each would be refused by itself.
#[derive(Debug, Default)]
pub(crate) struct TokenGate {
    refused: Mutex<Option<u64>>,
}

// === impl TokenGate ===

impl TokenGate {
    /// The server refused `generation`. Answers whether that is news.
    pub(crate) fn refuse(&self, generation: u64) -> bool {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.replace(generation) != Some(generation)
    }

    /// The server accepted a token. Answers whether one was refused before.
    pub(crate) fn accept(&self) -> bool {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.take().is_some()
    }

    /// Whether a token was refused and none accepted since.
    pub(crate) fn is_shut(&self) -> bool {
        self.refused_generation().is_some()
    }

    /// Whether these are worth a try.
    pub(crate) fn admits(&self, credentials: &TickerCredentials) -> bool {
        self.refused_generation() != Some(credentials.generation)
    }

    fn refused_generation(&self) -> Option<u64> {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AccessToken, ApiKey};

    #[test]
    fn a_refused_generation_is_not_tried_again() {
        let login = |generation| TickerCredentials {
            api_key: ApiKey::new("key"),
            access_token: AccessToken::new("token"),
            generation,
        };
        let gate = TokenGate::default();
        assert!(gate.admits(&login(1)));
        assert!(gate.refuse(1), "the first refusal is news");
        assert!(!gate.refuse(1), "the second is not");
        assert!(!gate.admits(&login(1)) && gate.admits(&login(2)) && gate.is_shut());
        assert!(gate.accept(), "back again");
        assert!(!gate.accept() && !gate.is_shut());
    }
}
