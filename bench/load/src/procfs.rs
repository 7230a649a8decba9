//! What a process has used, from `/proc`.

use std::io;
use std::time::Duration;

/// CPU time, memory, threads and descriptors of one process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    pub(crate) rss_bytes: u64,
    pub(crate) threads: u64,
    pub(crate) descriptors: usize,
}

impl Usage {
    pub(crate) fn of(process: u32) -> io::Result<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
        // The second field is the program's name in parentheses and may hold spaces; count from its end.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
        let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        // utime and stime are in ticks of 1/100 s on every Linux that matters; rss is in pages of 4 KiB.
        Ok(Self {
            cpu: Duration::from_millis(10 * (number(11) + number(12))),
            rss_bytes: number(21) * 4096,
            threads: number(17),
            descriptors: std::fs::read_dir(format!("/proc/{process}/fd"))?.count(),
        })
    }
}
