//! Feed-health records as payloads.

use std::time::Duration;

use market_model::{ConnectionId, DisconnectReason, FeedEvent, SubscriptionChange, TokenGap, UnixNanos};
use tick_pipeline::HealthRecord;

use crate::batch::WireFormat;
use crate::json::Json;
use crate::msgpack::MessagePack;
use crate::words::{disconnect_word, gap_cause_word, subscription_word};
use crate::writer::{Format, Key, Writer, key};

/// The `type` a health record of `event` is published with; `None` for ticks, which are no health record, and for
/// events that this version has no shape for.
pub const fn health_type(event: &FeedEvent) -> Option<&'static str> {
    Some(match event {
        FeedEvent::Connected { .. } => "connected",
        FeedEvent::Reconnecting { .. } => "reconnecting",
        FeedEvent::Reconnected { .. } => "reconnected",
        FeedEvent::Disconnected { .. } => "disconnected",
        FeedEvent::Gap(_) => "gap",
        FeedEvent::Silent(_) => "silent",
        FeedEvent::SilenceEnded { .. } => "silence_ended",
        FeedEvent::TokenGaps { .. } => "token_gaps",
        FeedEvent::RateCollapse(_) => "rate_collapse",
        FeedEvent::RateRestored { .. } => "rate_restored",
        FeedEvent::Rotated { .. } => "rotated",
        FeedEvent::TokenLost(_) => "token_lost",
        FeedEvent::TokenRestored { .. } => "token_restored",
        FeedEvent::Subscriptions { .. } => "subscriptions",
        _ => return None,
    })
}

/// Appends `record` to `out` and answers its `type`; writes nothing when [`health_type`] has no answer.
pub fn encode_health(format: WireFormat, record: &HealthRecord, out: &mut Vec<u8>) -> Option<&'static str> {
    let kind = health_type(&record.event)?;
    match format {
        WireFormat::Json => append::<Json>(record, kind, out),
        WireFormat::MessagePack | WireFormat::Positional => append::<MessagePack>(record, kind, out),
    }
    Some(kind)
}

fn append<F: Format>(record: &HealthRecord, kind: &str, out: &mut Vec<u8>) {
    let mut writer = F::writer(std::mem::take(out), 0);
    write_record(&mut writer, record, kind);
    (*out, _) = writer.finish();
}

fn write_record(out: &mut impl Writer, record: &HealthRecord, kind: &str) {
    let map = out.open_map(key!("v"));
    out.unsigned(crate::VERSION);
    out.key(key!("type"));
    out.word(kind);
    out.key(key!("source"));
    out.text(&record.source);
    out.key(key!("seq"));
    out.unsigned(record.seq);
    out.key(key!("ts_publish"));
    out.signed(record.ts_publish.0);
    out.key(key!("sim"));
    out.boolean(record.sim);
    write_event(out, &record.event);
    out.close_map(map);
}

fn write_event(out: &mut impl Writer, event: &FeedEvent) {
    match event {
        FeedEvent::Connected { connection, at } | FeedEvent::SilenceEnded { connection, at } => {
            write_connection(out, connection);
            write_instant(out, key!("at"), *at);
        }
        FeedEvent::Reconnecting { connection, at, attempt, delay, reason } => {
            write_connection(out, connection);
            write_instant(out, key!("at"), *at);
            write_count(out, key!("attempt"), u64::from(*attempt));
            write_count(out, key!("delay_ms"), millis(*delay));
            write_reason(out, reason);
        }
        FeedEvent::Reconnected { connection, at, attempts } => {
            write_connection(out, connection);
            write_instant(out, key!("at"), *at);
            write_count(out, key!("attempts"), u64::from(*attempts));
        }
        FeedEvent::Disconnected { connection, at, reason } => {
            write_connection(out, connection);
            write_instant(out, key!("at"), *at);
            write_reason(out, reason);
        }
        FeedEvent::Gap(gap) => {
            write_connection(out, &gap.connection);
            write_instant(out, key!("from"), gap.from);
            write_instant(out, key!("to"), gap.to);
            out.key(key!("cause"));
            out.word(gap_cause_word(gap.cause));
            if let Some(tokens) = &gap.tokens {
                out.key(key!("instrument_tokens"));
                out.open_array(tokens.len());
                for (index, token) in tokens.iter().enumerate() {
                    out.item(index);
                    out.unsigned(u64::from(token.0));
                }
                out.close_array();
            }
            if let Some(lost) = gap.lost_ticks {
                write_count(out, key!("lost_ticks"), lost);
            }
        }
        FeedEvent::Silent(silence) => {
            write_connection(out, &silence.connection);
            write_instant(out, key!("since"), silence.since);
        }
        FeedEvent::RateCollapse(collapse) => {
            write_connection(out, &collapse.connection);
            write_instant(out, key!("at"), collapse.at);
            write_rate(out, key!("rate"), collapse.rate);
            write_rate(out, key!("baseline"), collapse.baseline);
        }
        FeedEvent::RateRestored { connection, at, rate } => {
            write_connection(out, connection);
            write_instant(out, key!("at"), *at);
            write_rate(out, key!("rate"), *rate);
        }
        FeedEvent::Rotated { connection, at, overlap, reason } => {
            write_connection(out, connection);
            write_instant(out, key!("at"), *at);
            write_count(out, key!("overlap_ms"), millis(*overlap));
            write_reason(out, reason);
        }
        FeedEvent::TokenGaps { connection, cause, gaps } => {
            write_connection(out, connection);
            out.key(key!("cause"));
            out.word(gap_cause_word(*cause));
            write_token_gaps(out, gaps);
        }
        FeedEvent::TokenLost(loss) => {
            write_account(out, &loss.account);
            out.key(key!("detail"));
            out.text(&loss.detail);
        }
        FeedEvent::TokenRestored { account } => write_account(out, account),
        FeedEvent::Subscriptions { connection, changes } => {
            write_connection(out, connection);
            write_changes(out, changes);
        }
        _ => {}
    }
}

fn write_connection(out: &mut impl Writer, connection: &ConnectionId) {
    write_account(out, &connection.account);
    write_count(out, key!("connection"), u64::from(connection.index));
}

fn write_account(out: &mut impl Writer, account: &str) {
    out.key(key!("account"));
    out.text(account);
}

fn write_instant(out: &mut impl Writer, key: Key, at: UnixNanos) {
    out.key(key);
    out.signed(at.0);
}

fn write_rate(out: &mut impl Writer, key: Key, ticks_per_second: f64) {
    out.key(key);
    out.double(ticks_per_second);
}

fn write_count(out: &mut impl Writer, key: Key, count: u64) {
    out.key(key);
    out.unsigned(count);
}

fn write_reason(out: &mut impl Writer, reason: &DisconnectReason) {
    out.key(key!("reason"));
    out.word(disconnect_word(reason));
    match reason {
        DisconnectReason::ClosedByServer(Some(code)) | DisconnectReason::HandshakeStatus(code) => {
            write_count(out, key!("code"), u64::from(*code));
        }
        DisconnectReason::NoHeartbeat(after) | DisconnectReason::NoPong(after) => {
            write_count(out, key!("after_ms"), millis(*after));
        }
        DisconnectReason::Io(error) => {
            out.key(key!("detail"));
            out.text(error);
        }
        _ => {}
    }
}

fn write_changes(out: &mut impl Writer, changes: &[SubscriptionChange]) {
    out.key(key!("changes"));
    out.open_array(changes.len());
    for (index, change) in changes.iter().enumerate() {
        out.item(index);
        let map = out.open_map(key!("instrument_token"));
        out.unsigned(u64::from(change.token.0));
        out.key(key!("mode"));
        out.word(change.mode.as_str());
        out.key(key!("state"));
        out.word(subscription_word(change.state));
        out.close_map(map);
    }
    out.close_array();
}

fn write_token_gaps(out: &mut impl Writer, gaps: &[TokenGap]) {
    out.key(key!("gaps"));
    out.open_array(gaps.len());
    for (index, gap) in gaps.iter().enumerate() {
        out.item(index);
        let map = out.open_map(key!("instrument_token"));
        out.unsigned(u64::from(gap.token.0));
        write_instant(out, key!("from"), gap.from);
        write_instant(out, key!("to"), gap.to);
        out.close_map(map);
    }
    out.close_array();
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
