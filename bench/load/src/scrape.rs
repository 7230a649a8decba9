//! Reading a Prometheus page.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::net::TcpStream;

/// One scrape.
pub(crate) struct Page(String);

/// Asks `addr` for `path` and returns the body.
pub(crate) fn get(addr: &str, path: &str) -> io::Result<String> {
    let mut socket = TcpStream::connect(addr)?;
    write!(socket, "GET {path} HTTP/1.0\r\nHost: {addr}\r\n\r\n")?;
    let mut text = String::new();
    socket.read_to_string(&mut text)?;
    match text.split_once("\r\n\r\n") {
        Some((head, body)) if head.split(' ').nth(1) == Some("200") => Ok(body.to_owned()),
        _ => Err(io::Error::other(format!("{path} answered {:.100}", text))),
    }
}

impl Page {
    pub(crate) fn scrape(addr: &str) -> io::Result<Self> {
        get(addr, "/metrics").map(Self)
    }

    /// The sum of a metric over its labels.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        self.samples().filter(|(found, _, _)| *found == name).map(|(_, _, value)| value).sum()
    }

    /// Every latency histogram: its name and its labels without `le`.
    pub(crate) fn histograms(&self) -> BTreeSet<(String, String)> {
        let buckets = self.samples().filter_map(|(name, labels, _)| {
            Some((name.strip_suffix("_bucket")?.to_owned(), without_bound(labels)))
        });
        buckets.filter(|(name, _)| name.contains("latency")).collect()
    }

    /// The upper bound of the bucket in which `share` of what came between two scrapes lies.
    pub(crate) fn percentile(now: &Self, before: &Self, name: &str, labels: &str, share: f64) -> Option<f64> {
        let (now, before) = (now.buckets(name, labels), before.buckets(name, labels));
        let counts: Vec<(f64, f64)> = now
            .iter()
            .map(|(bound, count)| {
                let earlier =
                    before.iter().find(|(other, _)| other == bound).map_or(0.0, |(_, count)| *count);
                (*bound, count - earlier)
            })
            .collect();
        let all = counts.last()?.1;
        (all > 0.0)
            .then(|| counts.iter().find(|(_, count)| *count >= share * all).map(|(bound, _)| *bound))?
    }

    fn buckets(&self, name: &str, labels: &str) -> Vec<(f64, f64)> {
        let wanted = format!("{name}_bucket");
        let ours = self.samples().filter(|(found, all, _)| *found == wanted && without_bound(all) == labels);
        ours.filter_map(|(_, all, count)| {
            let bound = all.split("le=\"").nth(1)?.split('"').next()?;
            Some((bound.replace("+Inf", "inf").parse().ok()?, count))
        })
        .collect()
    }

    fn samples(&self) -> impl Iterator<Item = (&str, &str, f64)> {
        self.0.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            Some((name, labels.trim_end_matches('}'), value.parse().ok()?))
        })
    }
}

fn without_bound(labels: &str) -> String {
    let kept: Vec<&str> =
        labels.split(',').filter(|label| !label.starts_with("le=") && !label.is_empty()).collect();
    if kept.is_empty() { String::new() } else { format!("{{{}}}", kept.join(",")) }
}
