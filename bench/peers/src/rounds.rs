//! Taking turns and taking time.

use std::time::Instant;

/// Seconds this thread has had a processor.
pub fn thread_seconds() -> f64 {
    seconds("/proc/thread-self/schedstat")
}

/// Seconds that all threads of a process have had a processor, to a hundredth.
pub fn process_seconds(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2);
    ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn seconds(schedstat: &str) -> f64 {
    let text = std::fs::read_to_string(schedstat).unwrap_or_default();
    text.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1e9
}

/// Median nanoseconds of one call of each candidate; they take turns, `calls` calls a round. Rounds are short, so
/// that most of them run undisturbed.
pub fn race(rounds: usize, calls: u32, candidates: &mut [(&'static str, Box<dyn FnMut() + '_>)]) -> Vec<f64> {
    let mut times = vec![Vec::with_capacity(rounds); candidates.len()];
    for _ in 0..rounds {
        for ((_, candidate), times) in candidates.iter_mut().zip(&mut times) {
            let begun = Instant::now();
            for _ in 0..calls {
                candidate();
            }
            times.push(begun.elapsed().as_secs_f64() * 1e9 / f64::from(calls));
        }
    }
    times.into_iter().map(median).collect()
}

/// The middle one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
