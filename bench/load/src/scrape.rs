//! Reading a Prometheus page.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::net::TcpStream;

/// One scrape.
pub(crate) struct Page(String);

/// Asks `addr` for `path` and returns the body.
pub(crate) fn get(addr: &str, path: &str) -> io::Result<String> {
    ask(addr, "GET", path, "")
}

/// Sends `body` to `path` and returns the answer's body.
pub(crate) fn post(addr: &str, path: &str, body: &str) -> io::Result<String> {
    ask(addr, "POST", path, body)
}

fn ask(addr: &str, method: &str, path: &str, body: &str) -> io::Result<String> {
    let mut socket = TcpStream::connect(addr)?;
    let length = body.len();
    write!(
        socket,
        "{method} {path} HTTP/1.0\r\nHost: {addr}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    let mut text = String::new();
    socket.read_to_string(&mut text)?;
    match text.split_once("\r\n\r\n") {
        Some((head, body)) if head.split(' ').nth(1).is_some_and(|status| status.starts_with('2')) => {
            Ok(body.to_owned())
        }
        _ => Err(io::Error::other(format!("{path} answered {text:.300}"))),
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

    /// The same over the series that have all these labels.
    pub(crate) fn sum_where(&self, name: &str, labels: &[&str]) -> f64 {
        let has_all = |text: &str| labels.iter().all(|label| text.contains(label));
        let ours = self.samples().filter(|(found, labels, _)| *found == name && has_all(labels));
        ours.map(|(_, _, value)| value).sum()
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
