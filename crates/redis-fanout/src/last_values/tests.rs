//! Nothing newer is lost, nothing older comes back, and memory has a bound.

use super::*;

#[test]
fn an_expiry_is_set_four_times_in_its_length_and_forgotten_after() {
    let (begin, expiry) = (Instant::now(), Duration::from_secs(400));
    let at = |seconds| begin + Duration::from_secs(seconds);
    let mut expiries = Expiries::default();
    let token = InstrumentToken(1);
    assert!(expiries.is_due(token, at(0), expiry));
    assert!(!expiries.is_due(token, at(99), expiry));
    assert!(expiries.is_due(token, at(100), expiry));
    assert!(!expiries.is_due(token, at(199), expiry));
    for n in 2..100_000 {
        assert!(expiries.is_due(InstrumentToken(n), at(u64::from(n)), expiry));
    }
    assert!(expiries.set.len() <= 1024, "{}", expiries.set.len());
}

fn head(seq: u64) -> Head {
    Head { seq, ts_publish: 0, source: Bytes::new(), sim: true }
}

fn value(token: u32, seq: u64) -> LastValue {
    LastValue { token: InstrumentToken(token), tick: Bytes::from(format!("{token}@{seq}")), head: head(seq) }
}

fn sorted(mut values: Vec<LastValue>) -> Vec<LastValue> {
    values.sort_by_key(|value| value.token);
    values
}

#[test]
fn what_failed_comes_back_unless_something_newer_waits() {
    let values = LastValues::default();
    values.restore([value(1, 10), value(2, 10)]);
    let failed = values.take();
    assert_eq!(failed.len(), 2);
    assert!(values.take().is_empty());
    values.restore([value(1, 11)]);
    values.restore(failed);
    assert_eq!(sorted(values.take()), [value(1, 11), value(2, 10)]);
}

/// Puts 10 ticks of about 1 kB as one payload.
fn put(values: &LastValues, first: u32, seq: u64) {
    let mut bytes = Vec::new();
    let mut ranges = Vec::new();
    for token in first..first + 10 {
        let start = bytes.len();
        bytes.extend_from_slice(format!("{token}@{seq}").repeat(100).as_bytes());
        ranges.push((InstrumentToken(token), start..bytes.len()));
    }
    let mut waiting = values.lock();
    let payload = waiting.hold(Bytes::from(bytes), head(seq));
    for (token, range) in ranges {
        waiting.places.insert(token, Place::new(payload, range));
    }
    waiting.tidy();
}

#[test]
fn memory_is_bounded_and_the_newest_survives_being_moved() {
    let values = LastValues::default();
    // 100 MB for 2000 instruments, one of them silent after its first tick.
    for seq in 0..10_000u64 {
        let first = if seq == 0 { 2000 } else { (seq % 200) as u32 * 10 };
        put(&values, first, seq);
        let waiting = values.lock();
        let held: usize = waiting.payloads.iter().map(|payload| payload.bytes.len()).max().unwrap();
        assert!(waiting.held + held < 3 * ALWAYS_HELD, "{} bytes are held", waiting.held);
        assert!(waiting.payloads.len() < 10_000);
    }
    let taken = sorted(values.take());
    assert_eq!(taken.len(), 2010);
    for value in taken {
        let token = value.token.0;
        let seq = if token >= 2000 { 0 } else { 9800 + u64::from(token / 10) };
        assert_eq!(value.head.seq, seq, "{token}");
        assert_eq!(value.tick, format!("{token}@{seq}").repeat(100), "{token}");
    }
    assert_eq!(values.lock().held, 0);
}
