//! What the connections of an account know together: which token was refused.

use tokio::sync::watch;

use crate::TickerCredentials;

/// So many refused tokens are remembered. The answer to a handshake comes within seconds, and a login takes longer.
const REMEMBERED: usize = 8;

/// Shut while the newest token is one that the server refused. One refusal stops all connections, because they
/// share the token; otherwise each would be refused by itself.
#[derive(Debug)]
pub(crate) struct TokenGate {
    /// More than one, because the refusal of a former token may come after that of a newer one. The newest last.
    refused: watch::Sender<Vec<u64>>,
}

// === impl TokenGate ===

impl TokenGate {
    /// An open one.
    pub(crate) fn new() -> Self {
        Self { refused: watch::Sender::new(Vec::new()) }
    }

    /// The server refused `generation`. Answers whether that is news.
    pub(crate) fn refuse(&self, generation: u64) -> bool {
        self.refused.send_if_modified(|refused| {
            let is_news = !refused.contains(&generation);
            if is_news {
                refused.push(generation);
                let surplus = refused.len().saturating_sub(REMEMBERED);
                refused.drain(..surplus);
            }
            is_news
        })
    }

    /// The server accepted a token. Answers whether one was refused before.
    pub(crate) fn accept(&self) -> bool {
        self.refused.send_if_modified(|refused| !std::mem::take(refused).is_empty())
    }

    /// Whether a token was refused and none accepted since.
    pub(crate) fn is_shut(&self) -> bool {
        !self.refused.borrow().is_empty()
    }

    /// Whether these are worth a try.
    pub(crate) fn admits(&self, credentials: &TickerCredentials) -> bool {
        !self.refused.borrow().contains(&credentials.generation)
    }

    /// To wait for the next change with.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Vec<u64>> {
        self.refused.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AccessToken, ApiKey};

    fn login(generation: u64) -> TickerCredentials {
        TickerCredentials { api_key: ApiKey::new("key"), access_token: AccessToken::new("token"), generation }
    }

    #[test]
    fn a_refused_generation_is_not_admitted_until_one_is_accepted() {
        let gate = TokenGate::new();
        assert!(gate.admits(&login(1)));
        assert!(gate.refuse(1), "the first refusal is news");
        assert!(!gate.refuse(1), "the second is not");
        assert!(!gate.admits(&login(1)) && gate.admits(&login(2)) && gate.is_shut());
        assert!(gate.accept(), "back again");
        assert!(!gate.accept() && !gate.is_shut() && gate.admits(&login(1)));
    }

    #[test]
    fn a_late_refusal_of_a_former_token_does_not_admit_the_newer_one_again() {
        let gate = TokenGate::new();
        assert!(gate.refuse(2) && gate.refuse(1));
        assert!(!gate.admits(&login(2)) && !gate.admits(&login(1)) && gate.admits(&login(3)));
        assert!((3..100).all(|generation| gate.refuse(generation)));
        assert_eq!(gate.refused.borrow().len(), REMEMBERED);
        assert!(!gate.admits(&login(99)));
    }
}
