use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const SILENT_AFTER: Duration = Duration::from_secs(30);
const DEFAULT_MODE: Mode = Mode::Quote;

/// A server as section 17.2 of the protocol describes it: no acknowledgement, no memory beyond the connection.
#[derive(Debug, Default, PartialEq)]
struct Server(BTreeMap<u32, Mode>);

impl Server {
    fn apply(&mut self, command: &TickerRequest) {
        match command {
            TickerRequest::Subscribe(tokens) => {
                for token in tokens {
                    self.0.entry(token.0).or_insert(DEFAULT_MODE);
                }
            }
            TickerRequest::Unsubscribe(tokens) => {
                for token in tokens {
                    self.0.remove(&token.0);
                }
            }
            TickerRequest::Mode(mode, tokens) => {
                for token in tokens {
                    self.0.insert(token.0, *mode);
                }
            }
        }
    }
}

fn wishes(list: &[(u32, Mode)]) -> SubscriptionSet {
    (list.iter()).map(|&(token, mode)| Subscription { token: InstrumentToken(token), mode }).collect()
}

fn ledger() -> SubscriptionLedger {
    SubscriptionLedger::new(3, SILENT_AFTER)
}

fn drain(ledger: &mut SubscriptionLedger, now: Instant) -> Vec<String> {
    let mut commands = Vec::new();
    while let Some(command) = ledger.next_command() {
        commands.push(command.to_json());
        ledger.written(now);
    }
    commands
}

fn states(ledger: &mut SubscriptionLedger) -> Vec<(u32, SubscriptionState)> {
    let changes = ledger.take_changes();
    changes.iter().map(|change| (change.token.0, change.state)).collect()
}

use SubscriptionState::{Live, Rejected, Removed, Requested, Sent, Silent};

#[test]
fn commands_are_batched_and_modes_are_always_written() {
    let mut ledger = ledger();
    ledger.set_desired(&wishes(&[
        (1, Mode::Full),
        (2, Mode::Quote),
        (3, Mode::Full),
        (4, Mode::Full),
        (5, Mode::Full),
    ]));
    assert_eq!(
        drain(&mut ledger, Instant::now()),
        [
            r#"{"a":"subscribe","v":[1,2,3]}"#,
            r#"{"a":"subscribe","v":[4,5]}"#,
            r#"{"a":"mode","v":["full",[1,3,4]]}"#,
            r#"{"a":"mode","v":["quote",[2]]}"#,
            r#"{"a":"mode","v":["full",[5]]}"#,
        ]
    );
    assert_eq!(ledger.next_command(), None);
    assert_eq!(ledger.served(), 5);
}

#[test]
fn a_difference_sends_only_the_difference_and_removals_first() {
    let mut ledger = ledger();
    ledger.set_desired(&wishes(&[(1, Mode::Full), (2, Mode::Full), (3, Mode::Ltp)]));
    drain(&mut ledger, Instant::now());
    ledger.set_desired(&wishes(&[(2, Mode::Full), (3, Mode::Quote), (9, Mode::Ltp)]));
    assert_eq!(
        drain(&mut ledger, Instant::now()),
        [
            r#"{"a":"unsubscribe","v":[1]}"#,
            r#"{"a":"subscribe","v":[9]}"#,
            r#"{"a":"mode","v":["quote",[3]]}"#,
            r#"{"a":"mode","v":["ltp",[9]]}"#,
        ]
    );
}

#[test]
fn a_token_goes_from_requested_over_sent_to_live_and_only_by_the_wanted_mode() {
    let mut ledger = ledger();
    ledger.set_desired(&wishes(&[(7, Mode::Full)]));
    assert_eq!(states(&mut ledger), [(7, Requested)]);
    drain(&mut ledger, Instant::now());
    assert_eq!(states(&mut ledger), [(7, Sent)]);
    assert!(ledger.ticked(InstrumentToken(7), Mode::Quote, UnixNanos(0)));
    assert_eq!(states(&mut ledger), []);
    assert!(ledger.ticked(InstrumentToken(7), Mode::Full, UnixNanos(0)));
    assert_eq!(states(&mut ledger), [(7, Live)]);
    assert!(ledger.ticked(InstrumentToken(7), Mode::Full, UnixNanos(0)));
    assert_eq!(states(&mut ledger), []);
    ledger.set_desired(&wishes(&[]));
    assert_eq!(states(&mut ledger), [(7, Removed)]);
    assert!(!ledger.ticked(InstrumentToken(7), Mode::Full, UnixNanos(0)));
    assert_eq!(ledger.counts(), SubscriptionCounts::default());
}

#[test]
fn a_token_that_never_ticks_is_silent_after_its_time_and_speaks_again() {
    let mut ledger = ledger();
    let start = Instant::now();
    ledger.set_desired(&wishes(&[(7, Mode::Full), (8, Mode::Full)]));
    drain(&mut ledger, start);
    ledger.ticked(InstrumentToken(8), Mode::Full, UnixNanos(0));
    ledger.take_changes();
    ledger.sweep(start + SILENT_AFTER - Duration::from_millis(1));
    assert_eq!(states(&mut ledger), []);
    ledger.sweep(start + SILENT_AFTER);
    assert_eq!(states(&mut ledger), [(7, Silent)]);
    assert_eq!(ledger.in_state(Silent, 10), [InstrumentToken(7)]);
    ledger.ticked(InstrumentToken(7), Mode::Full, UnixNanos(0));
    assert_eq!(states(&mut ledger), [(7, Live)]);
}

#[test]
fn a_limit_error_refuses_the_newest_subscriptions_until_a_tick_disagrees() {
    let mut ledger = ledger();
    ledger.set_desired(&wishes(&[(1, Mode::Full)]));
    drain(&mut ledger, Instant::now());
    ledger.set_desired(&wishes(&[(1, Mode::Full), (2, Mode::Full), (3, Mode::Full)]));
    drain(&mut ledger, Instant::now());
    ledger.ticked(InstrumentToken(2), Mode::Full, UnixNanos(0));
    ledger.take_changes();
    assert_eq!(ledger.refused(), 1);
    assert_eq!(states(&mut ledger), [(3, Rejected)]);
    ledger.ticked(InstrumentToken(3), Mode::Full, UnixNanos(0));
    assert_eq!(states(&mut ledger), [(3, Live)]);
}

#[test]
fn everything_is_requested_again_after_a_disconnect() {
    let mut ledger = ledger();
    ledger.set_desired(&wishes(&[(1, Mode::Full), (2, Mode::Ltp)]));
    let first = drain(&mut ledger, Instant::now());
    ledger.ticked(InstrumentToken(1), Mode::Full, UnixNanos(0));
    ledger.take_changes();
    ledger.disconnected();
    assert_eq!(states(&mut ledger), [(1, Requested), (2, Requested)]);
    assert_eq!(ledger.served(), 0);
    assert_eq!(drain(&mut ledger, Instant::now()), first);
}

#[test]
fn a_wish_that_comes_back_before_its_command_needs_none() {
    let mut ledger = ledger();
    let start = Instant::now();
    ledger.set_desired(&wishes(&[(1, Mode::Full), (2, Mode::Full)]));
    drain(&mut ledger, start);
    ledger.set_desired(&wishes(&[(1, Mode::Ltp)]));
    ledger.set_desired(&wishes(&[(1, Mode::Full), (2, Mode::Full)]));
    assert_eq!(ledger.next_command(), None);
    ledger.take_changes();
    ledger.sweep(start);
    ledger.sweep(start + SILENT_AFTER);
    assert_eq!(states(&mut ledger), [(1, Silent), (2, Silent)]);
}

#[derive(Debug, Clone)]
enum Step {
    Desire(BTreeMap<u32, Mode>),
    /// Take and write this many commands.
    Write(usize),
    /// Take a command that never reaches the server, because the socket dies.
    LoseWrite,
    Tick(u32),
    LimitError,
    Sweep(u64),
    Reconnect,
}

fn mode() -> impl Strategy<Value = Mode> {
    prop::sample::select(vec![Mode::Ltp, Mode::Quote, Mode::Full])
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::btree_map(0u32..12, mode(), 0..12).prop_map(Step::Desire),
        4 => (1usize..4).prop_map(Step::Write),
        1 => Just(Step::LoseWrite),
        4 => (0u32..12).prop_map(Step::Tick),
        1 => Just(Step::LimitError),
        1 => (0u64..40).prop_map(Step::Sweep),
        1 => Just(Step::Reconnect),
    ]
}

proptest! {
    #[test]
    fn the_server_ends_up_with_what_is_wanted(steps in prop::collection::vec(step(), 1..40)) {
        let mut ledger = ledger();
        let mut server = Server::default();
        let mut desired = BTreeMap::new();
        let mut now = Instant::now();
        let mut told: BTreeMap<u32, SubscriptionState> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Desire(next) => {
                    let list: Vec<_> = next.iter().map(|(token, mode)| (*token, *mode)).collect();
                    ledger.set_desired(&wishes(&list));
                    desired = next;
                }
                Step::Write(commands) => {
                    for command in (0..commands).map_while(|_| ledger.next_command()).collect::<Vec<_>>() {
                        server.apply(&command);
                    }
                    ledger.written(now);
                }
                Step::LoseWrite => {
                    ledger.next_command();
                    server = Server::default();
                    ledger.disconnected();
                }
                Step::Tick(token) => {
                    if let Some(mode) = server.0.get(&token) {
                        let wanted = ledger.ticked(InstrumentToken(token), *mode, UnixNanos(0));
                        prop_assert_eq!(wanted, desired.contains_key(&token));
                    }
                }
                Step::LimitError => {
                    ledger.refused();
                }
                Step::Sweep(seconds) => {
                    now += Duration::from_secs(seconds);
                    ledger.sweep(now);
                }
                Step::Reconnect => {
                    server = Server::default();
                    ledger.disconnected();
                }
            }
            prop_assert_eq!(ledger.counts().total(), desired.len());
            for change in ledger.take_changes() {
                told.insert(change.token.0, change.state);
            }
        }
        while let Some(command) = ledger.next_command() {
            server.apply(&command);
            ledger.written(now);
        }
        prop_assert_eq!(&server.0, &desired);
        prop_assert_eq!(ledger.counts().requested, 0, "all is written");
        for token in desired.keys() {
            ledger.ticked(InstrumentToken(*token), server.0[token], UnixNanos(0));
        }
        prop_assert_eq!(ledger.counts().live, desired.len(), "a tick proves each");
        for change in ledger.take_changes() {
            told.insert(change.token.0, change.state);
        }
        told.retain(|_, state| *state != Removed);
        let expected: BTreeMap<u32, SubscriptionState> = desired.keys().map(|token| (*token, Live)).collect();
        prop_assert_eq!(told, expected, "the changes add up to the truth");
    }
}
