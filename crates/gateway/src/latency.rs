//! Percentiles of the last minute, read from the histograms that `/metrics` shows.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value, json};

/// Reads of the histograms that are kept: with one each five seconds, about a minute.
const KEPT: usize = 12;

/// Which histogram shows which hop. Of a metric with several series, all are added.
const HOPS: [(&str, &str); 4] = [
    ("exchange to socket (1 s stamps)", "tick_event_latency_seconds"),
    ("socket to batch", "tick_processing_latency_seconds"),
    ("batch to sink", "sink_delivery_latency_seconds"),
    ("greeks of a poll", "greeks_calculation_latency_seconds"),
];

/// Cumulative counts by upper bound, in seconds; the last bound is infinite.
type Buckets = Vec<(f64, f64)>;

/// Histograms over a sliding window.
#[derive(Debug, Default)]
pub(crate) struct LatencyWindow {
    reads: Mutex<VecDeque<BTreeMap<&'static str, Buckets>>>,
}

impl LatencyWindow {
    /// Takes one read of the metrics page.
    pub(crate) fn read(&self, page: &str) {
        let read = HOPS.iter().map(|(hop, metric)| (*hop, buckets(page, metric))).collect();
        let mut reads = self.reads.lock().unwrap_or_else(PoisonError::into_inner);
        reads.push_back(read);
        if reads.len() > KEPT {
            reads.pop_front();
        }
    }

    /// `{"<hop>": {"p50", "p90", "p99", "max"}}` in seconds, each the upper bound of its bucket.
    pub(crate) fn percentiles(&self) -> Value {
        let reads = self.reads.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(oldest), Some(newest)) = (reads.front(), reads.back()) else { return json!({}) };
        let hops = newest.iter().filter_map(|(hop, now)| {
            let before = oldest.get(hop).filter(|_| reads.len() > 1);
            let counts: Buckets = now
                .iter()
                .enumerate()
                .map(|(at, (bound, count))| {
                    (*bound, count - before.and_then(|b| b.get(at)).map_or(0.0, |b| b.1))
                })
                .collect();
            let of = |share| quantile(&counts, share);
            Some((
                (*hop).to_owned(),
                json!({ "p50": of(0.5)?, "p90": of(0.9)?, "p99": of(0.99)?, "max": of(1.0)? }),
            ))
        });
        Value::Object(hops.collect::<Map<_, _>>())
    }
}

fn buckets(page: &str, metric: &str) -> Buckets {
    let mut sums: Buckets = Vec::new();
    for line in page.lines() {
        let Some(rest) = line.strip_prefix(metric).and_then(|rest| rest.strip_prefix("_bucket{")) else {
            continue;
        };
        let bound = rest.split("le=\"").nth(1).and_then(|text| text.split('"').next());
        let count = rest.rsplit(' ').next().and_then(|count| count.parse::<f64>().ok());
        let (Some(bound), Some(count)) = (bound, count) else { continue };
        let bound = bound.parse().unwrap_or(f64::INFINITY);
        match sums.iter_mut().find(|(held, _)| *held == bound) {
            Some((_, sum)) => *sum += count,
            None => sums.push((bound, count)),
        }
    }
    sums.sort_by(|a, b| a.0.total_cmp(&b.0));
    sums
}

/// The upper bound of the bucket that holds the `share`; the largest finite bound for what lies above it.
fn quantile(counts: &Buckets, share: f64) -> Option<f64> {
    let all = counts.last()?.1;
    let (bound, _) = counts.iter().find(|(_, count)| all > 0.0 && *count >= share * all)?;
    let largest = counts.iter().rev().find(|(bound, _)| bound.is_finite())?.0;
    Some(bound.min(largest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(counts: [u32; 3]) -> String {
        let [a, b, c] = counts;
        format!(
            "# TYPE tick_processing_latency_seconds histogram\n\
             tick_processing_latency_seconds_bucket{{source=\"a\",le=\"0.001\"}} {a}\n\
             tick_processing_latency_seconds_bucket{{source=\"a\",le=\"0.01\"}} {b}\n\
             tick_processing_latency_seconds_bucket{{source=\"a\",le=\"+Inf\"}} {c}\n\
             tick_processing_latency_seconds_bucket{{source=\"b\",le=\"0.001\"}} 0\n\
             tick_processing_latency_seconds_sum 1\n"
        )
    }

    #[test]
    fn percentiles_are_of_the_window_not_of_all_time() {
        let window = LatencyWindow::default();
        assert_eq!(window.percentiles(), json!({}));
        window.read(&page([1000, 1000, 1000]));
        window.read(&page([1050, 1099, 1100]));
        assert_eq!(
            window.percentiles(),
            json!({ "socket to batch": { "p50": 0.001, "p90": 0.01, "p99": 0.01, "max": 0.01 } })
        );
        for _ in 0..KEPT {
            window.read(&page([1050, 1099, 1100]));
        }
        assert_eq!(window.percentiles(), json!({}), "nothing came in this window");
    }
}
