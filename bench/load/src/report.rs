//! What was measured: a table for people, JSON in the shape of `bench/peers` for `bench compare`.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Figures of one run.
pub(crate) struct Report {
    name: &'static str,
    machine: String,
    lines: Vec<(String, &'static str, f64)>,
}

// === impl Report ===

impl Report {
    /// Says what is measured, and on what.
    pub(crate) fn begin(name: &'static str) -> Self {
        let machine = machine();
        println!("# {name}\n{machine}");
        Self { name, machine, lines: Vec::new() }
    }

    /// Begins the table.
    pub(crate) fn table(&self) {
        println!("| measure | figure | unit |\n| --- | --- | --- |");
    }

    /// A line of the table.
    pub(crate) fn line(&mut self, measure: impl Into<String>, unit: &'static str, value: f64) {
        let measure = measure.into();
        let digits = if value.abs() < 10.0 { 3 } else { 1 };
        println!("| {measure} | {value:.digits$} | {unit} |");
        self.lines.push((measure, unit, value));
    }

    /// Writes the JSON, when a file is named.
    pub(crate) fn finish(self, file: Option<&Path>) -> std::io::Result<()> {
        let Some(file) = file else { return Ok(()) };
        let lines: Vec<String> = self
            .lines
            .iter()
            .filter(|(_, _, value)| value.is_finite())
            .map(|(measure, unit, value)| {
                format!(
                    r#"    {{"table": {:?}, "candidate": {measure:?}, "unit": {unit:?}, "value": {value}, "ratio": 1.0}}"#,
                    self.name
                )
            })
            .collect();
        let text = format!(
            "{{\n  \"bench\": {:?},\n  \"machine\": {:?},\n  \"lines\": [\n{}\n  ]\n}}\n",
            self.name,
            self.machine,
            lines.join(",\n")
        );
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(file, text)?;
        println!("\nwritten to {}", file.display());
        Ok(())
    }
}

/// Processor, cores, kernel, commit and load in one line.
fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let commit = Command::new("git")
        .args(["describe", "--always", "--dirty"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .map_or_else(|_| "?".to_owned(), |out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
    format!(
        "{} x {cores}, Linux {}, commit {commit}, load {}",
        model.unwrap_or("?"),
        kernel.trim(),
        load.split(' ').next().unwrap_or("?")
    )
}
