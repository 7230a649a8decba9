//! Candidates that take turns, and the median of each, in processor time: on a busy machine the clock counts others.

use std::hint::black_box;

use cpu_time::ThreadTime;

type Work<'a> = Box<dyn FnMut(&mut dyn FnMut(f64)) + 'a>;

/// A race over one workload.
pub struct Bench<'a> {
    options: usize,
    candidates: Vec<(String, &'static str, Work<'a>, Vec<f64>)>,
    only: Option<&'a str>,
}

impl<'a> Bench<'a> {
    /// A race of the candidates whose name and task contain `only`.
    pub fn new(options: usize, only: Option<&'a str>) -> Self {
        Self { options, candidates: Vec::new(), only }
    }

    /// Adds a candidate for a task; the first one of a task is the rival the others are compared with. It hands
    /// results to the sink so that nothing is optimised away.
    pub fn candidate(&mut self, name: &str, task: &'static str, work: impl FnMut(&mut dyn FnMut(f64)) + 'a) {
        if self.only.is_some_and(|only| !format!("{name} {task}").contains(only)) {
            return;
        }
        self.candidates.push((name.to_owned(), task, Box::new(work), Vec::new()));
    }

    /// Runs all candidates in turn, `rounds` times, prints medians, ratios and minima.
    pub fn run(mut self, rounds: usize) {
        // Long enough to forget what the candidate before left in the caches and predictors.
        let passes = 240_000_usize.div_ceil(self.options);
        for _ in 0..rounds {
            for (_, _, work, times) in &mut self.candidates {
                let start = ThreadTime::now();
                for _ in 0..passes {
                    work(&mut |x| {
                        black_box(x);
                    });
                }
                times.push(start.elapsed().as_nanos() as f64 / (passes * self.options) as f64);
            }
        }
        let results: Vec<_> = self
            .candidates
            .into_iter()
            .map(|(name, task, _, mut times)| {
                times.sort_by(f64::total_cmp);
                (name, task, times[times.len() / 2], times[0])
            })
            .collect();
        for (name, task, median, least) in &results {
            let rival_task = match *task {
                "iv+9" => "iv+5",
                "price+9" => "price+5",
                task => task,
            };
            let rival =
                results.iter().find(|(_, t, ..)| *t == rival_task).map_or(f64::NAN, |(_, _, ns, _)| *ns);
            println!("  {name:24} {task:8} {median:8.2} ns {:7.1} x {least:8.2}", rival / median);
        }
    }
}
