use super::*;
use crate::fault::FaultPlan;
use crate::faults::tests::faults;
use crate::faults::{Faults, Who};

const NOW: UnixNanos = UnixNanos::from_secs(1_795_163_400);

struct Bench {
    faults: Faults,
    shaper: Shaper,
}

impl Bench {
    fn new(plans: impl IntoIterator<Item = Fault>) -> Self {
        let mut bench = Self { faults: faults(1.0), shaper: Shaper::new(1) };
        for fault in plans {
            bench.faults.add(FaultPlan::new(fault)).unwrap();
        }
        bench.look();
        bench
    }

    fn look(&mut self) {
        let who = Who { number: 1, api_key: "simkey".into() };
        self.shaper.set(self.faults.orders(&who, 0).lasting);
    }

    /// The tokens that a reader makes out of what is written for a frame of `tokens`.
    fn read(&mut self, tokens: &[u32]) -> Vec<u32> {
        let pieces = self.shaper.ticks(&frame(tokens), NOW);
        let read = |piece: &Piece| -> Vec<u32> {
            packets(&piece.bytes[..piece.honest]).filter_map(token_of).collect()
        };
        pieces.iter().flat_map(read).collect()
    }

    fn did(&self) -> (u64, u64, u64) {
        let did = self.faults.list()[0].did;
        (did.frames, did.packets, did.texts)
    }
}

/// Full packets of `tokens`.
fn frame(tokens: &[u32]) -> Bytes {
    let packets: Vec<[u8; 184]> = tokens
        .iter()
        .map(|token| {
            let mut packet = [7; 184];
            packet[..4].copy_from_slice(&token.to_be_bytes());
            packet
        })
        .collect();
    build(&packets.iter().map(|packet| &packet[..]).collect::<Vec<_>>())
}

fn tokens(tokens: &[u32]) -> Vec<InstrumentToken> {
    tokens.iter().map(|token| InstrumentToken(*token)).collect()
}

#[tokio::test]
async fn nothing_to_bear_is_nothing_done() {
    let mut bench = Bench::new([Fault::Reset]);
    let frame = frame(&[1, 2]);
    assert!(bench.shaper.is_clear());
    assert_eq!(bench.shaper.ticks(&frame, NOW), [Piece { honest: frame.len(), bytes: frame }]);
}

#[tokio::test]
async fn a_collapse_keeps_its_share_and_the_seed_decides_which() {
    let kept = || {
        let mut bench = Bench::new([Fault::RateCollapse { percent: 10.0 }]);
        let all: Vec<u32> = (0..5_000).collect();
        let kept = bench.read(&all);
        assert_eq!(bench.did(), (0, 5_000 - kept.len() as u64, 0));
        kept
    };
    let first = kept();
    assert!((400..600).contains(&first.len()), "{}", first.len());
    assert_eq!(first, kept());
}

#[tokio::test]
async fn silent_tokens_are_left_out_and_an_empty_frame_is_none() {
    let mut bench = Bench::new([Fault::SilentTokens { tokens: tokens(&[2, 3]) }]);
    assert_eq!(bench.read(&[1, 2, 3, 4]), [1, 4]);
    assert!(bench.shaper.ticks(&frame(&[2]), NOW).is_empty());
    assert_eq!(bench.did().1, 3);
}

#[tokio::test]
async fn a_token_never_live_stays_so_until_it_is_subscribed_after_the_fault() {
    let mut bench = Bench::new([Fault::NeverLive { tokens: Vec::new() }]);
    let subscribe = TickerRequest::Subscribe(tokens(&[1, 2]));
    // 2 was there before.
    bench.shaper.commanded(&subscribe, &tokens(&[1]), NOW);
    assert_eq!(bench.read(&[1, 2]), [2]);
    bench.faults.clear();
    bench.look();
    assert_eq!(bench.read(&[1, 2]), [2]);
    bench.shaper.commanded(&subscribe, &[], NOW);
    assert_eq!(bench.read(&[1, 2]), [1, 2]);
    assert!(bench.shaper.is_clear());
}

#[tokio::test]
async fn a_late_subscription_goes_live_in_time() {
    let by = Duration::from_secs(5);
    let mut bench = Bench::new([Fault::LateSubscription { tokens: tokens(&[1]), by }]);
    let both = tokens(&[1, 2]);
    bench.shaper.commanded(&TickerRequest::Subscribe(both.clone()), &both, NOW);
    assert_eq!(bench.read(&[1, 2]), [2]);
    let read = bench.shaper.ticks(&frame(&[1, 2]), NOW + by);
    assert_eq!(packets(&read[0].bytes).count(), 2);
}

#[tokio::test]
async fn a_cut_or_a_wrong_length_leaves_honest_packets_before_it() {
    for fault in [Fault::TruncatedFrame { percent: 100.0 }, Fault::WrongLength { percent: 100.0 }] {
        let mut bench = Bench::new([fault.clone()]);
        let mut lengths = std::collections::BTreeSet::new();
        for _ in 0..50 {
            let whole = frame(&[1, 2, 3, 4]);
            let piece = bench.shaper.ticks(&whole, NOW).remove(0);
            assert_ne!(piece.bytes, whole);
            assert_eq!(piece.bytes[..piece.honest], whole[..piece.honest]);
            // What a reader gets before the damage is what is counted as honest.
            let honest = packets(&piece.bytes[..piece.honest]).count();
            assert!((0..4).contains(&honest));
            assert_eq!(piece.honest, 2 + honest * 186);
            if matches!(fault, Fault::TruncatedFrame { .. }) {
                assert_eq!(packets(&piece.bytes).count(), honest);
            }
            lengths.insert(honest);
        }
        assert!(lengths.len() == 4, "{fault:?}: {lengths:?}");
        assert_eq!(bench.did().0, 50);
    }
}

#[tokio::test]
async fn an_unknown_packet_costs_nobody_anything() {
    let mut bench = Bench::new([Fault::UnknownPacket { percent: 100.0, length: None }]);
    for _ in 0..50 {
        let piece = bench.shaper.ticks(&frame(&[1, 2, 3]), NOW).remove(0);
        assert_eq!(packets(&piece.bytes).count(), 4);
        assert_eq!(packets(&piece.bytes).filter_map(token_of).collect::<Vec<_>>(), [1, 2, 3]);
    }
}

#[tokio::test]
async fn a_big_frame_repeats_its_packets_and_an_overlong_message_comes_on_top() {
    let mut bench = Bench::new([Fault::BigFrame { packets: 3_000 }, Fault::Overlong { bytes: 70_000 }]);
    let pieces = bench.shaper.ticks(&frame(&[1, 2]), NOW);
    assert_eq!(packets(&pieces[0].bytes).count(), 3_000);
    assert_eq!(pieces[0].bytes.len(), 2 + 3_000 * 186);
    assert_eq!((pieces[1].bytes.len(), pieces[1].honest), (70_000, 0));
    assert_eq!(bench.did(), (1, 2_998, 0));
}

#[tokio::test]
async fn a_share_of_frames_is_a_share() {
    let mut bench = Bench::new([Fault::TruncatedFrame { percent: 20.0 }]);
    let cut = (0..1_000).filter(|_| bench.read(&[1]).is_empty()).count();
    assert!((150..250).contains(&cut), "{cut}");
}

#[tokio::test(start_paused = true)]
async fn texts_come_twice_or_in_the_wrong_order() {
    let mut bench = Bench::new([Fault::DuplicateText]);
    assert_eq!(bench.shaper.text("a".to_owned()), ["a", "a"]);
    let mut bench = Bench::new([Fault::ReorderText]);
    assert!(bench.shaper.text("a".to_owned()).is_empty());
    assert_eq!(bench.shaper.text("b".to_owned()), ["b", "a"]);
    assert!(bench.shaper.text("c".to_owned()).is_empty());
    assert_eq!(bench.shaper.lonely_text(), None);
    tokio::time::advance(ALONE).await;
    assert_eq!(bench.shaper.lonely_text().as_deref(), Some("c"));
    assert_eq!(bench.shaper.lonely_text(), None);
}
