//! Feed events as bytes. One byte says which event, its fields follow in a fixed order; numbers are as in `number`.

use std::sync::Arc;
use std::time::Duration;

use market_model::{
    ConnectionId, DisconnectReason, FeedEvent, Gap, GapCause, InstrumentToken, Mode, RateCollapse, Silence,
    SubscriptionChange, SubscriptionState, TokenGap, TokenLoss, UnixNanos,
};

use crate::number::{put, put_bytes, put_signed, take, take_bytes, take_signed};

/// Appends `event`. `false`, and nothing appended, when it has no form in this version: ticks are recorded as the
/// frames they came in.
pub(crate) fn encode(event: &FeedEvent, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    let known = write(event, out).is_some();
    if !known {
        out.truncate(start);
    }
    known
}

/// Reads an event; `None` when it is one of a later version, or damaged.
pub(crate) fn decode(bytes: &[u8]) -> Option<FeedEvent> {
    let mut input = Input(bytes);
    let event = read(&mut input)?;
    input.0.is_empty().then_some(event)
}

fn write(event: &FeedEvent, out: &mut Vec<u8>) -> Option<()> {
    match event {
        FeedEvent::Connected { connection, at } => {
            head(out, 1, connection);
            time(out, *at);
        }
        FeedEvent::Reconnecting { connection, at, attempt, delay, reason } => {
            head(out, 2, connection);
            time(out, *at);
            put(out, u64::from(*attempt));
            duration(out, *delay);
            write_reason(out, reason)?;
        }
        FeedEvent::Reconnected { connection, at, attempts } => {
            head(out, 3, connection);
            time(out, *at);
            put(out, u64::from(*attempts));
        }
        FeedEvent::Disconnected { connection, at, reason } => {
            head(out, 4, connection);
            time(out, *at);
            write_reason(out, reason)?;
        }
        FeedEvent::Gap(gap) => {
            head(out, 5, &gap.connection);
            time(out, gap.from);
            time(out, gap.to);
            out.push(cause_byte(gap.cause)?);
            out.push(u8::from(gap.tokens.is_some()) | u8::from(gap.lost_ticks.is_some()) << 1);
            if let Some(tokens) = &gap.tokens {
                put(out, tokens.len() as u64);
                tokens.iter().for_each(|token| put(out, u64::from(token.0)));
            }
            if let Some(lost) = gap.lost_ticks {
                put(out, lost);
            }
        }
        FeedEvent::Silent(silence) => {
            head(out, 6, &silence.connection);
            time(out, silence.since);
        }
        FeedEvent::SilenceEnded { connection, at } => {
            head(out, 7, connection);
            time(out, *at);
        }
        FeedEvent::TokenGaps { connection, cause, gaps } => {
            head(out, 8, connection);
            out.push(cause_byte(*cause)?);
            put(out, gaps.len() as u64);
            for gap in gaps {
                put(out, u64::from(gap.token.0));
                time(out, gap.from);
                time(out, gap.to);
            }
        }
        FeedEvent::RateCollapse(collapse) => {
            head(out, 9, &collapse.connection);
            time(out, collapse.at);
            double(out, collapse.rate);
            double(out, collapse.baseline);
        }
        FeedEvent::RateRestored { connection, at, rate } => {
            head(out, 10, connection);
            time(out, *at);
            double(out, *rate);
        }
        FeedEvent::Rotated { connection, at, overlap, reason } => {
            head(out, 11, connection);
            time(out, *at);
            duration(out, *overlap);
            write_reason(out, reason)?;
        }
        FeedEvent::TokenLost(loss) => {
            out.push(12);
            put_bytes(out, loss.account.as_bytes());
            put_bytes(out, loss.detail.as_bytes());
        }
        FeedEvent::TokenRestored { account } => {
            out.push(13);
            put_bytes(out, account.as_bytes());
        }
        FeedEvent::Subscriptions { connection, changes } => {
            head(out, 14, connection);
            put(out, changes.len() as u64);
            for change in changes {
                put(out, u64::from(change.token.0));
                out.extend([mode_byte(change.mode), state_byte(change.state)?]);
            }
        }
        _ => return None,
    }
    Some(())
}

fn head(out: &mut Vec<u8>, tag: u8, connection: &ConnectionId) {
    out.push(tag);
    put_bytes(out, connection.account.as_bytes());
    out.push(connection.index);
}

fn time(out: &mut Vec<u8>, at: UnixNanos) {
    put_signed(out, at.0);
}

fn duration(out: &mut Vec<u8>, length: Duration) {
    put(out, u64::try_from(length.as_nanos()).unwrap_or(u64::MAX));
}

fn double(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn write_reason(out: &mut Vec<u8>, reason: &DisconnectReason) -> Option<()> {
    match reason {
        DisconnectReason::ClosedByServer(None) => out.push(1),
        DisconnectReason::ClosedByServer(Some(code)) => {
            out.push(2);
            put(out, u64::from(*code));
        }
        DisconnectReason::Io(text) => {
            out.push(3);
            put_bytes(out, text.as_bytes());
        }
        DisconnectReason::NoHeartbeat(after) => {
            out.push(4);
            duration(out, *after);
        }
        DisconnectReason::NoPong(after) => {
            out.push(5);
            duration(out, *after);
        }
        DisconnectReason::RateCollapse => out.push(6),
        DisconnectReason::Rotation => out.push(7),
        DisconnectReason::TaskFailed => out.push(8),
        DisconnectReason::TokenRefused => out.push(9),
        DisconnectReason::HandshakeStatus(status) => {
            out.push(10);
            put(out, u64::from(*status));
        }
        DisconnectReason::ConnectTimeout => out.push(11),
        DisconnectReason::TokenRenewed => out.push(12),
        DisconnectReason::Requested => out.push(13),
        _ => return None,
    }
    Some(())
}

const CAUSES: [GapCause; 4] =
    [GapCause::Disconnected, GapCause::Silent, GapCause::Overrun, GapCause::Undecodable];
const STATES: [SubscriptionState; 6] = [
    SubscriptionState::Requested,
    SubscriptionState::Sent,
    SubscriptionState::Live,
    SubscriptionState::Silent,
    SubscriptionState::Rejected,
    SubscriptionState::Removed,
];
const MODES: [Mode; 3] = [Mode::Ltp, Mode::Quote, Mode::Full];

fn cause_byte(cause: GapCause) -> Option<u8> {
    CAUSES.iter().position(|known| *known == cause).map(|at| at as u8)
}

fn state_byte(state: SubscriptionState) -> Option<u8> {
    STATES.iter().position(|known| *known == state).map(|at| at as u8)
}

const fn mode_byte(mode: Mode) -> u8 {
    match mode {
        Mode::Ltp => 0,
        Mode::Quote => 1,
        Mode::Full => 2,
    }
}

fn read(input: &mut Input<'_>) -> Option<FeedEvent> {
    let tag = input.byte()?;
    if let 12 | 13 = tag {
        let account = input.text()?;
        return Some(match tag {
            12 => FeedEvent::TokenLost(TokenLoss { account, detail: input.text()? }),
            _ => FeedEvent::TokenRestored { account },
        });
    }
    let connection = ConnectionId { account: input.text()?, index: input.byte()? };
    Some(match tag {
        1 => FeedEvent::Connected { connection, at: input.time()? },
        2 => FeedEvent::Reconnecting {
            connection,
            at: input.time()?,
            attempt: input.small()?,
            delay: input.duration()?,
            reason: input.reason()?,
        },
        3 => FeedEvent::Reconnected { connection, at: input.time()?, attempts: input.small()? },
        4 => FeedEvent::Disconnected { connection, at: input.time()?, reason: input.reason()? },
        5 => FeedEvent::Gap(read_gap(connection, input)?),
        6 => FeedEvent::Silent(Silence { connection, since: input.time()? }),
        7 => FeedEvent::SilenceEnded { connection, at: input.time()? },
        8 => {
            let cause = input.cause()?;
            let gap = |input: &mut Input<'_>| {
                Some(TokenGap { token: input.token()?, from: input.time()?, to: input.time()? })
            };
            FeedEvent::TokenGaps { connection, cause, gaps: input.list(gap)? }
        }
        9 => FeedEvent::RateCollapse(RateCollapse {
            connection,
            at: input.time()?,
            rate: input.double()?,
            baseline: input.double()?,
        }),
        10 => FeedEvent::RateRestored { connection, at: input.time()?, rate: input.double()? },
        11 => FeedEvent::Rotated {
            connection,
            at: input.time()?,
            overlap: input.duration()?,
            reason: input.reason()?,
        },
        14 => {
            let change = |input: &mut Input<'_>| {
                let token = input.token()?;
                let mode = *MODES.get(usize::from(input.byte()?))?;
                let state = *STATES.get(usize::from(input.byte()?))?;
                Some(SubscriptionChange { token, mode, state })
            };
            FeedEvent::Subscriptions { connection, changes: input.list(change)? }
        }
        _ => return None,
    })
}

fn read_gap(connection: ConnectionId, input: &mut Input<'_>) -> Option<Gap> {
    let (from, to, cause) = (input.time()?, input.time()?, input.cause()?);
    let flags = input.byte()?;
    let tokens = match flags & 1 {
        0 => None,
        _ => Some(input.list(Input::token)?.into()),
    };
    let lost_ticks = match flags & 2 {
        0 => None,
        _ => Some(take(&mut input.0)?),
    };
    Some(Gap { connection, from, to, cause, tokens, lost_ticks })
}

/// What is left to read.
struct Input<'b>(&'b [u8]);

// === impl Input ===

impl Input<'_> {
    fn byte(&mut self) -> Option<u8> {
        crate::format::take(&mut self.0).map(|[byte]| byte)
    }

    fn small(&mut self) -> Option<u32> {
        take(&mut self.0)?.try_into().ok()
    }

    fn token(&mut self) -> Option<InstrumentToken> {
        self.small().map(InstrumentToken)
    }

    fn time(&mut self) -> Option<UnixNanos> {
        take_signed(&mut self.0).map(UnixNanos)
    }

    fn duration(&mut self) -> Option<Duration> {
        take(&mut self.0).map(Duration::from_nanos)
    }

    fn double(&mut self) -> Option<f64> {
        crate::format::take(&mut self.0).map(f64::from_le_bytes)
    }

    fn text(&mut self) -> Option<Arc<str>> {
        std::str::from_utf8(take_bytes(&mut self.0)?).ok().map(Arc::from)
    }

    fn cause(&mut self) -> Option<GapCause> {
        CAUSES.get(usize::from(self.byte()?)).copied()
    }

    fn list<T>(&mut self, item: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let len = usize::try_from(take(&mut self.0)?).ok()?;
        // Every item has at least one byte, so a damaged length asks for no more memory than there are bytes.
        if len > self.0.len() {
            return None;
        }
        (0..len).map(|_| item(self)).collect()
    }

    fn reason(&mut self) -> Option<DisconnectReason> {
        Some(match self.byte()? {
            1 => DisconnectReason::ClosedByServer(None),
            2 => DisconnectReason::ClosedByServer(Some(self.small()?.try_into().ok()?)),
            3 => DisconnectReason::Io(self.text()?),
            4 => DisconnectReason::NoHeartbeat(self.duration()?),
            5 => DisconnectReason::NoPong(self.duration()?),
            6 => DisconnectReason::RateCollapse,
            7 => DisconnectReason::Rotation,
            8 => DisconnectReason::TaskFailed,
            9 => DisconnectReason::TokenRefused,
            10 => DisconnectReason::HandshakeStatus(self.small()?.try_into().ok()?),
            11 => DisconnectReason::ConnectTimeout,
            12 => DisconnectReason::TokenRenewed,
            13 => DisconnectReason::Requested,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reasons() -> Vec<DisconnectReason> {
        use DisconnectReason as R;
        let second = Duration::from_millis(1500);
        vec![
            R::ClosedByServer(None),
            R::ClosedByServer(Some(1006)),
            R::Io("connection reset by peer".into()),
            R::NoHeartbeat(second),
            R::NoPong(second),
            R::RateCollapse,
            R::Rotation,
            R::TaskFailed,
            R::TokenRefused,
            R::HandshakeStatus(429),
            R::ConnectTimeout,
            R::TokenRenewed,
            R::Requested,
        ]
    }

    fn events() -> Vec<FeedEvent> {
        let connection = ConnectionId { account: "alpha".into(), index: 2 };
        let (at, to) = (UnixNanos(1_800_000_000_123_456_789), UnixNanos(1_800_000_001_000_000_000));
        let token = InstrumentToken(408_065);
        let gap = |tokens, lost_ticks| {
            let connection = connection.clone();
            FeedEvent::Gap(Gap { connection, from: at, to, cause: GapCause::Overrun, tokens, lost_ticks })
        };
        let change = |state| SubscriptionChange { token, mode: Mode::Full, state };
        let mut events = vec![
            FeedEvent::Connected { connection: connection.clone(), at },
            FeedEvent::Reconnected { connection: connection.clone(), at, attempts: 7 },
            gap(None, None),
            gap(Some([token].into()), None),
            gap(None, Some(12)),
            gap(Some([].into()), Some(0)),
            FeedEvent::Silent(Silence { connection: connection.clone(), since: at }),
            FeedEvent::SilenceEnded { connection: connection.clone(), at },
            FeedEvent::TokenGaps {
                connection: connection.clone(),
                cause: GapCause::Silent,
                gaps: vec![TokenGap { token, from: at, to }; 3],
            },
            FeedEvent::RateCollapse(RateCollapse {
                connection: connection.clone(),
                at,
                rate: 1.5,
                baseline: 99.0,
            }),
            FeedEvent::RateRestored { connection: connection.clone(), at, rate: 98.25 },
            FeedEvent::TokenLost(TokenLoss { account: "alpha".into(), detail: "403".into() }),
            FeedEvent::TokenRestored { account: "alpha".into() },
            FeedEvent::Subscriptions { connection: connection.clone(), changes: STATES.map(change).into() },
        ];
        for reason in reasons() {
            let (connection, delay) = (connection.clone(), Duration::from_secs(2));
            let disconnected =
                FeedEvent::Disconnected { connection: connection.clone(), at, reason: reason.clone() };
            let rotated = FeedEvent::Rotated {
                connection: connection.clone(),
                at,
                overlap: delay,
                reason: reason.clone(),
            };
            events.extend([
                disconnected,
                rotated,
                FeedEvent::Reconnecting { connection, at, attempt: 3, delay, reason },
            ]);
        }
        events
    }

    #[test]
    fn every_event_comes_back_and_no_part_of_it_is_taken_for_another() {
        for event in events() {
            let mut bytes = Vec::new();
            assert!(encode(&event, &mut bytes), "{event:?}");
            assert_eq!(decode(&bytes).as_ref(), Some(&event));
            for length in 0..bytes.len() {
                assert_eq!(decode(&bytes[..length]), None, "{event:?} cut to {length} bytes");
            }
            bytes.push(0);
            assert_eq!(decode(&bytes), None, "{event:?} with a byte behind it");
        }
    }

    #[test]
    fn ticks_are_no_event_and_later_tags_are_refused() {
        let connection = ConnectionId { account: "alpha".into(), index: 0 };
        let frame = market_model::TickFrame { connection, ts_recv: UnixNanos(0), ticks: Vec::new() };
        let mut bytes = vec![9];
        assert!(!encode(&FeedEvent::Ticks(frame), &mut bytes));
        assert_eq!(bytes, [9]);
        assert_eq!(decode(&[200, 1, b'a', 0]), None);
    }
}
