//! Why a REST call brought nothing, and what it may have done all the same.

use std::time::Duration;

use kite_wire::ErrorKind;
use kite_wire::rest::ErrorBody;
use resilience::CircuitOpen;
use serde_json::Value;

use super::pace::PaceRefused;

/// What is known about a call that changes something and did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// Not one byte of it left: it may be sent again.
    NotSent,
    /// Kite has read it and said no: final.
    Rejected,
    /// It may or may not have happened. Look it up before anything else; no client order id exists, so by its tag.
    Unknown,
}

/// Kite said no, in its own words.
#[derive(Debug, Clone, PartialEq)]
pub struct KiteApiError {
    /// HTTP status; shared by several kinds, so never branch on it alone.
    pub status: u16,
    /// Kite's class of the error.
    pub kind: ErrorKind,
    /// Kite's text, without the key and the token of this client.
    pub message: String,
    /// Mostly `None`; an object with hints in some refusals.
    pub data: Option<Value>,
    /// How long to wait, if the answer said so. Whether Kite ever does is unconfirmed.
    pub retry_after: Option<Duration>,
}

/// Why a REST call brought nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestError {
    /// Kite said no.
    #[error("kite answered {} {}: {}", .0.status, .0.kind, .0.message)]
    Refused(Box<KiteApiError>),
    /// An answer that is not Kite's, such as the error page of a gateway in front of it.
    #[error("the answer is not kite's: status {status}")]
    NotKite {
        /// HTTP status.
        status: u16,
    },
    /// Kite answered, but not what the documents say. What is in it is not shown, because it may be a secret.
    #[error("kite's answer cannot be read: {0}")]
    Unreadable(String),
    /// No connection could be opened.
    #[error("cannot reach kite's rest api: {0}")]
    Unreachable(String),
    /// The connection was gone before anything of the request was written to it.
    #[error("the connection ended before the request was sent: {0}")]
    NotSent(String),
    /// The connection broke after the request, or a part of it, was written.
    #[error("the connection to kite broke before the whole answer: {0}")]
    Broken(String),
    /// No whole answer in time.
    #[error("kite's rest api did not answer within {0:?}")]
    Timeout(Duration),
    /// An answer that is larger than any answer should be.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The bound.
        limit: usize,
    },
    /// There is no access token.
    #[error("there is no access token, log in first")]
    NoToken,
    /// The pace keeper did not let the call go.
    #[error(transparent)]
    Paced(#[from] PaceRefused),
    /// The last calls failed, so this one was not tried.
    #[error("kite's rest api keeps failing: {0}")]
    BreakerOpen(#[from] CircuitOpen),
    /// The request cannot be sent as it is.
    #[error("the request cannot be sent: {reason}")]
    Unsendable {
        /// What is wrong with it.
        reason: &'static str,
    },
}

// === impl KiteApiError ===

impl KiteApiError {
    pub(super) fn new(status: u16, body: ErrorBody, retry_after: Option<Duration>) -> Self {
        let kind = body.kind();
        Self { status, kind, message: body.message, data: body.data, retry_after }
    }

    /// Whether the call was one too many for its rate limit.
    pub const fn is_too_fast(&self) -> bool {
        self.status == 429
    }

    fn delivery(&self) -> Delivery {
        // These say what is wrong with the request or its sender, so nothing was done.
        let names_the_fault = matches!(
            self.kind,
            ErrorKind::Token
                | ErrorKind::Permission
                | ErrorKind::User
                | ErrorKind::Input
                | ErrorKind::Margin
                | ErrorKind::Holding
        );
        // 408 is a timeout. Of the rest of 4xx, Kite did not act; of 5xx it may have handed the order on and lost the
        // answer ("the API could not read the order system's answer").
        let by_status = (400..500).contains(&self.status) && self.status != 408;
        if names_the_fault || by_status { Delivery::Rejected } else { Delivery::Unknown }
    }
}

// === impl RestError ===

impl RestError {
    /// Whether the same read may succeed later without anybody doing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Refused(error) => error.is_too_fast() || error.status >= 500,
            Self::NotKite { status } => *status == 429 || *status >= 500,
            Self::Unreachable(_) | Self::NotSent(_) | Self::Broken(_) | Self::Timeout(_) => true,
            Self::Paced(refused) => refused.retry_after.is_some(),
            Self::BreakerOpen(_) => true,
            Self::Unreadable(_) | Self::TooLarge { .. } | Self::NoToken | Self::Unsendable { .. } => false,
        }
    }

    /// What is known about a call that changes something and ended like this.
    pub fn delivery(&self) -> Delivery {
        match self {
            Self::Refused(error) => error.delivery(),
            // Whoever counts requests has not passed it on. Other foreign pages may stand before or behind the order
            // system.
            Self::NotKite { status: 429 } => Delivery::Rejected,
            Self::NotKite { .. }
            | Self::Unreadable(_)
            | Self::Broken(_)
            | Self::Timeout(_)
            | Self::TooLarge { .. } => Delivery::Unknown,
            Self::Unreachable(_)
            | Self::NotSent(_)
            | Self::NoToken
            | Self::Paced(_)
            | Self::BreakerOpen(_)
            | Self::Unsendable { .. } => Delivery::NotSent,
        }
    }

    /// Kite's own words, when it was Kite who refused.
    pub fn api(&self) -> Option<&KiteApiError> {
        match self {
            Self::Refused(error) => Some(error),
            _ => None,
        }
    }

    /// Whether the session is at fault: only a new login helps. Not every 403 is that.
    pub fn is_token_lost(&self) -> bool {
        matches!(self, Self::NoToken) || self.api().is_some_and(|error| error.kind == ErrorKind::Token)
    }

    /// Whether the call was one too many for its rate limit, whoever said so.
    pub fn is_too_fast(&self) -> bool {
        matches!(self, Self::NotKite { status: 429 }) || self.api().is_some_and(KiteApiError::is_too_fast)
    }

    /// Whether it says that Kite, or the way to it, is not well. A refusal that answers the request does not.
    pub(super) fn is_failure_of_kite(&self) -> bool {
        match self {
            Self::Refused(error) => error.status >= 500,
            Self::NotKite { status } => *status >= 500,
            Self::Unreachable(_) | Self::NotSent(_) | Self::Broken(_) | Self::Timeout(_) => true,
            _ => false,
        }
    }

    /// How long Kite, the breaker or the pace keeper want the caller to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(error) => error.retry_after,
            Self::BreakerOpen(open) => Some(open.retry_after),
            Self::Paced(refused) => refused.retry_after,
            _ => None,
        }
    }

    /// A word for metrics.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            _ if self.is_too_fast() => "too_fast",
            Self::Refused(_) => "refused",
            Self::NotKite { .. } => "not_kite",
            Self::Unreadable(_) | Self::TooLarge { .. } => "unreadable",
            Self::Unreachable(_) | Self::NotSent(_) => "unreachable",
            Self::Broken(_) => "broken",
            Self::Timeout(_) => "timeout",
            Self::NoToken | Self::Paced(_) | Self::BreakerOpen(_) | Self::Unsendable { .. } => "not_tried",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, kind: &str) -> RestError {
        let body = ErrorBody::new(kind, "m");
        RestError::Refused(Box::new(KiteApiError::new(status, body, None)))
    }

    #[test]
    fn an_order_is_rejected_only_when_kite_says_that_it_did_nothing() {
        for (status, kind, delivery) in [
            (400, "InputException", Delivery::Rejected),
            (400, "MarginException", Delivery::Rejected),
            (428, "HoldingException", Delivery::Rejected),
            (403, "TokenException", Delivery::Rejected),
            (403, "PermissionException", Delivery::Rejected),
            (500, "InputException", Delivery::Rejected),
            (429, "NetworkException", Delivery::Rejected),
            (400, "OrderException", Delivery::Rejected),
            (400, "SomethingNewException", Delivery::Rejected),
            (500, "OrderException", Delivery::Unknown),
            (503, "NetworkException", Delivery::Unknown),
            (504, "DataException", Delivery::Unknown),
            (500, "GeneralException", Delivery::Unknown),
            (500, "SomethingNewException", Delivery::Unknown),
            (408, "GeneralException", Delivery::Unknown),
            (200, "GeneralException", Delivery::Unknown),
        ] {
            assert_eq!(refused(status, kind).delivery(), delivery, "{status} {kind}");
        }
        assert_eq!(RestError::NotKite { status: 502 }.delivery(), Delivery::Unknown);
        assert_eq!(RestError::NotKite { status: 429 }.delivery(), Delivery::Rejected);
        assert_eq!(RestError::NoToken.delivery(), Delivery::NotSent);
    }

    #[test]
    fn a_lost_token_is_told_from_other_refusals() {
        assert!(refused(403, "TokenException").is_token_lost());
        assert!(!refused(403, "PermissionException").is_token_lost());
        assert!(refused(429, "NetworkException").is_too_fast() && refused(429, "X").is_retryable());
        assert!(!refused(403, "PermissionException").is_retryable());
    }
}
