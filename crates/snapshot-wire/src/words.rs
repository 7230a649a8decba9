//! The words that small enums are published as.

use market_model::{DisconnectReason, GapCause, SubscriptionState};
use tick_pipeline::{ForwardSource, NoGreeks, Quality, SnapshotCause, StaleCause};

/// What a case is called that this version has no word for yet.
const OTHER: &str = "other";

/// `greeks.forward_source`.
pub const fn forward_source_word(source: ForwardSource) -> &'static str {
    match source {
        ForwardSource::Parity => "parity",
        ForwardSource::Future => "future",
        ForwardSource::SpotCarry => "spot_carry",
    }
}

/// `greeks.quality`.
pub const fn quality_word(quality: Quality) -> &'static str {
    match quality {
        Quality::Good => "good",
        Quality::Wide => "wide",
        Quality::LastPrice => "last_price",
        Quality::InTheMoneySide => "in_the_money_side",
    }
}

/// `greeks_reason`.
pub const fn no_greeks_word(reason: NoGreeks) -> &'static str {
    match reason {
        NoGreeks::UnknownExpiry => "unknown_expiry",
        NoGreeks::Expired => "expired",
        NoGreeks::NoForward => "no_forward",
        NoGreeks::NoPrice => "no_price",
        NoGreeks::BelowIntrinsic => "below_intrinsic",
        NoGreeks::AtIntrinsic => "at_intrinsic",
        NoGreeks::AboveMaximum => "above_maximum",
        NoGreeks::Unsolvable => "unsolvable",
        _ => OTHER,
    }
}

/// `stale_cause`.
pub const fn stale_cause_word(cause: StaleCause) -> &'static str {
    match cause {
        StaleCause::Feed(cause) => gap_cause_word(cause),
        StaleCause::TokenLost => "token_lost",
        StaleCause::RateCollapse => "rate_collapse",
        StaleCause::TokenSilent => "token_silent",
        StaleCause::Rejected => "rejected",
        StaleCause::Unsubscribed => "unsubscribed",
        StaleCause::Forward => "forward",
        _ => OTHER,
    }
}

/// `cause` of a gap.
pub const fn gap_cause_word(cause: GapCause) -> &'static str {
    match cause {
        GapCause::Disconnected => "disconnected",
        GapCause::Silent => "silent",
        GapCause::Overrun => "overrun",
        GapCause::Undecodable => "undecodable",
        _ => OTHER,
    }
}

/// `cause` of a tick.
pub(crate) const fn snapshot_cause_word(cause: SnapshotCause) -> &'static str {
    match cause {
        SnapshotCause::Tick => "tick",
        SnapshotCause::Forward => "forward",
        SnapshotCause::Staleness => "staleness",
    }
}

/// `reason` of a lost connection.
pub(crate) const fn disconnect_word(reason: &DisconnectReason) -> &'static str {
    match reason {
        DisconnectReason::ClosedByServer(_) => "closed_by_server",
        DisconnectReason::Io(_) => "io",
        DisconnectReason::NoHeartbeat(_) => "no_heartbeat",
        DisconnectReason::NoPong(_) => "no_pong",
        DisconnectReason::RateCollapse => "rate_collapse",
        DisconnectReason::Rotation => "rotation",
        DisconnectReason::TaskFailed => "task_failed",
        DisconnectReason::TokenRefused => "token_refused",
        DisconnectReason::HandshakeStatus(_) => "handshake_status",
        DisconnectReason::ConnectTimeout => "connect_timeout",
        DisconnectReason::TokenRenewed => "token_renewed",
        DisconnectReason::Requested => "requested",
        _ => OTHER,
    }
}

/// `state` of a subscription.
pub(crate) const fn subscription_word(state: SubscriptionState) -> &'static str {
    match state {
        SubscriptionState::Requested => "requested",
        SubscriptionState::Sent => "sent",
        SubscriptionState::Live => "live",
        SubscriptionState::Silent => "silent",
        SubscriptionState::Rejected => "rejected",
        SubscriptionState::Removed => "removed",
        _ => OTHER,
    }
}
