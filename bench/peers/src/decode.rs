//! Frames of 100 packets to ticks.

use std::error::Error;
use std::hint::black_box;

use kite_wire::{Frame, Packets, decode_frame};
use kiteticker_async_manager::Tick as ManagerTick;

use crate::market::Market;
use crate::report::Report;
use crate::rounds::race;
use crate::sample::{self, PACKETS};

const ROUNDS: usize = 1_001;
const CALLS: u32 = 50;

/// Full mode, quote mode, and a mixture.
pub fn run(report: &mut Report) -> Result<(), Box<dyn Error>> {
    let market = Market::new()?;
    for (title, frame) in sample::frames(&market)? {
        frame_race(report, title, &frame);
    }
    Ok(())
}

fn frame_race(report: &mut Report, title: &str, frame: &[u8]) {
    let mut copy = vec![0; frame.len()];
    let (mut ticks, mut manager_ticks) = (Vec::new(), Vec::<ManagerTick>::new());
    let mut candidates: Vec<(&'static str, Box<dyn FnMut() + '_>)> = vec![
        (
            "memcpy of the frame",
            Box::new(|| {
                copy.copy_from_slice(black_box(frame));
                black_box(&mut copy);
            }),
        ),
        (
            "kite-wire, view of 3 fields",
            Box::new(|| {
                for packet in packets(frame).flatten() {
                    black_box((packet.token(), packet.last_price(), packet.mode()));
                }
            }),
        ),
        (
            "kite-wire, eager, vector kept",
            Box::new(|| {
                packets(frame).decode_into(&mut ticks, |error| panic!("{error}"));
                black_box(&mut ticks);
            }),
        ),
        (
            "kite-wire, eager, new vector each frame",
            Box::new(|| {
                let mut ticks = Vec::with_capacity(PACKETS);
                packets(frame).decode_into(&mut ticks, |error| panic!("{error}"));
                black_box(ticks);
            }),
        ),
        (
            "kiteticker-async-manager 0.4.1, eager",
            Box::new(|| {
                manager_ticks.clear();
                let mut rest = black_box(&frame[2..]);
                while let Some((len, after)) = rest.split_first_chunk() {
                    let (packet, after) = after.split_at(usize::from(u16::from_be_bytes(*len)));
                    manager_ticks.extend(ManagerTick::try_from(packet).ok());
                    rest = after;
                }
                black_box(&mut manager_ticks);
            }),
        ),
        (
            "kiteconnect 1.0.1, eager",
            Box::new(|| {
                black_box(kiteconnect::ticker::parse_binary(black_box(frame)));
            }),
        ),
    ];
    let times = race(ROUNDS, CALLS, &mut candidates);
    let lines: Vec<_> =
        candidates.iter().zip(times).map(|((name, _), time)| (*name, time / PACKETS as f64)).collect();
    report.lines(title, "ns per packet", &lines);
    let [copy, _, kept, _, manager, official] = lines.as_slice() else { return };
    report.say(&format!(
        "eager: {:.1} x memcpy, 1/{:.1} of the manager, 1/{:.1} of the official crate",
        kept.1 / copy.1,
        manager.1 / kept.1,
        official.1 / kept.1
    ));
}

fn packets(frame: &[u8]) -> Packets<'_> {
    match decode_frame(black_box(frame)) {
        Frame::Ticks(packets) => packets,
        Frame::Heartbeat => panic!("the sample has packets"),
    }
}
