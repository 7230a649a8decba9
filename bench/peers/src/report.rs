//! What was measured: a table for people, JSON for `compare`.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value, json};

/// Figures under construction; each is printed as soon as it is there.
pub struct Report {
    name: String,
    machine: String,
    lines: Vec<Value>,
}

// === impl Report ===

impl Report {
    /// Says what is measured, and on what.
    pub fn begin(name: &str) -> Self {
        let machine = machine();
        println!("# {name}\n{machine}");
        Self { name: name.to_owned(), machine, lines: Vec::new() }
    }

    /// Begins a table. `reference` names the line that the ratios refer to.
    pub fn table(&mut self, title: &str, unit: &str, reference: &str) {
        println!("\n## {title}\n| candidate | {unit} | x {reference} |\n| --- | --- | --- |");
    }

    /// A line of the table `title`.
    pub fn line(&mut self, title: &str, candidate: &str, unit: &str, value: f64, reference: f64) {
        let ratio = value / reference;
        println!("| {candidate} | {value:.*} | {ratio:.2} |", if value < 100.0 { 1 } else { 0 });
        self.lines.push(
            json!({ "table": title, "candidate": candidate, "unit": unit, "value": value, "ratio": ratio }),
        );
    }

    /// A whole table: the first candidate is the reference.
    pub fn lines(&mut self, title: &str, unit: &str, lines: &[(&str, f64)]) {
        let Some((reference, first)) = lines.first() else { return };
        self.table(title, unit, reference);
        for (candidate, value) in lines {
            self.line(title, candidate, unit, *value, *first);
        }
    }

    /// A sentence below the table, for people only.
    pub fn say(&mut self, text: &str) {
        println!("{text}");
    }

    /// Writes the JSON.
    pub fn finish(self, file: &Path) -> Result<(), Box<dyn Error>> {
        let mut all = Map::new();
        all.insert("bench".to_owned(), self.name.into());
        all.insert("machine".to_owned(), self.machine.into());
        all.insert("lines".to_owned(), self.lines.into());
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(file, serde_json::to_string_pretty(&Value::Object(all))? + "\n")?;
        println!("\nwritten to {}", file.display());
        Ok(())
    }
}

/// Processor, cores, kernel, compiler and commit in one line.
fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let asked = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
        output.map_or_else(|_| "?".to_owned(), |out| String::from_utf8_lossy(&out.stdout).trim().to_owned())
    };
    format!(
        "{} x {cores}, Linux {}, {}, commit {}, load {}",
        model.unwrap_or("?"),
        kernel.trim(),
        asked("rustc", &["--version"]),
        asked("git", &["describe", "--always", "--dirty"]),
        load.split(' ').next().unwrap_or("?"),
    )
}
