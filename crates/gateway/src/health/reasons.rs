//! Why a connection ended, in words for an operator, and what to do about it.

use market_model::DisconnectReason;

const BY_ITSELF: &str = "it is made anew by itself";

/// What happened.
pub(super) fn words(reason: &DisconnectReason) -> String {
    use DisconnectReason as Why;
    match reason {
        Why::ClosedByServer(Some(code)) => format!("the broker closed it with code {code}"),
        Why::ClosedByServer(None) => "the broker closed it".to_owned(),
        Why::Io(error) => format!("the network failed: {error}"),
        Why::NoHeartbeat(after) => format!("nothing came for {} s, not even a heartbeat", after.as_secs()),
        Why::NoPong(after) => format!("pings were not answered for {} s", after.as_secs()),
        Why::RateCollapse => "ticks had fallen far below the usual rate".to_owned(),
        Why::Rotation => "it was old and made way for a new one".to_owned(),
        Why::TaskFailed => "the part that serves it failed".to_owned(),
        Why::TokenRefused => "the broker refused the access token".to_owned(),
        Why::HandshakeStatus(status) => format!("the broker answered the handshake with status {status}"),
        Why::ConnectTimeout => "connecting took too long".to_owned(),
        Why::TokenRenewed => "it belonged to the access token before this one".to_owned(),
        Why::Requested => "it was asked for, or no longer needed".to_owned(),
        _ => "for a reason this version has no words for".to_owned(),
    }
}

/// What to do about it.
pub(super) fn next_step(reason: &DisconnectReason) -> &'static str {
    use DisconnectReason as Why;
    match reason {
        Why::Io(_) | Why::ConnectTimeout => {
            "it is tried again by itself; if it stays so, look at the network, KITE_TICKER_URL and KITE_ADDRESS_FAMILY"
        }
        Why::NoHeartbeat(_) | Why::NoPong(_) => {
            "it is made anew by itself; if it happens often, look at the network and at the load of this machine"
        }
        Why::TokenRefused => "log in (`accounts login`) or hand a token over (`accounts token`)",
        Why::HandshakeStatus(429) => {
            "it is tried again later; is the api key in use elsewhere? three connections are all it may have"
        }
        Why::HandshakeStatus(_) => "it is tried again later by itself; the broker may be down",
        Why::TaskFailed => "it was started again; the log says more, please report it",
        Why::Rotation | Why::TokenRenewed | Why::Requested => "nothing, this is as it should be",
        _ => BY_ITSELF,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn no_reason_reads_like_code() {
        use DisconnectReason as Why;
        for (reason, says, step) in [
            (Why::ClosedByServer(Some(1006)), "closed it with code 1006", BY_ITSELF),
            (Why::ClosedByServer(None), "the broker closed it", BY_ITSELF),
            (Why::Io("connection reset".into()), "failed: connection reset", "KITE_ADDRESS_FAMILY"),
            (Why::NoHeartbeat(Duration::from_secs(5)), "nothing came for 5 s", "network"),
            (Why::NoPong(Duration::from_secs(10)), "not answered for 10 s", "load of this machine"),
            (Why::RateCollapse, "below the usual rate", BY_ITSELF),
            (Why::Rotation, "made way", "nothing"),
            (Why::TaskFailed, "failed", "report it"),
            (Why::TokenRefused, "refused the access token", "accounts login"),
            (Why::HandshakeStatus(429), "status 429", "in use elsewhere"),
            (Why::HandshakeStatus(503), "status 503", "may be down"),
            (Why::ConnectTimeout, "too long", "KITE_TICKER_URL"),
            (Why::TokenRenewed, "before this one", "nothing"),
            (Why::Requested, "asked for", "nothing"),
        ] {
            let (told, advice) = (words(&reason), next_step(&reason));
            assert!(told.contains(says), "{told}");
            assert!(advice.contains(step), "{advice}");
            for code in ["Some", "None", "(", "\"", "::"] {
                assert!(!told.contains(code), "{told}");
            }
        }
    }
}
