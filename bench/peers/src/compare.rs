//! Two results of the same benchmark, line by line.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use serde_json::Value;

/// Prints how every line changed.
pub fn run(before: &Path, after: &Path) -> Result<(), Box<dyn Error>> {
    let (before, after) = (read(before)?, read(after)?);
    println!("before: {}\nafter:  {}\n", before["machine"], after["machine"]);
    let old = lines(&before);
    println!(
        "| line | unit | before | after | change | ratio before | ratio after |\n| --- | --- | --- | --- | --- | --- | --- |"
    );
    for (name, line) in lines(&after) {
        let number = |line: &Value, field: &str| line[field].as_f64().unwrap_or(f64::NAN);
        let (value, ratio) = (number(line, "value"), number(line, "ratio"));
        let unit = line["unit"].as_str().unwrap_or_default();
        match old.get(&name) {
            Some(old) => {
                let (was, was_ratio) = (number(old, "value"), number(old, "ratio"));
                let change = 100.0 * (value / was - 1.0);
                println!(
                    "| {name} | {unit} | {was:.1} | {value:.1} | {change:+.1} % | {was_ratio:.2} | {ratio:.2} |"
                );
            }
            None => println!("| {name} | {unit} | - | {value:.1} | new | - | {ratio:.2} |"),
        }
    }
    Ok(())
}

fn read(file: &Path) -> Result<Value, Box<dyn Error>> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(serde_json::from_str(&text)?)
}

fn lines(result: &Value) -> BTreeMap<String, &Value> {
    let lines = result["lines"].as_array().map(Vec::as_slice).unwrap_or_default();
    let name = |line: &Value| format!("{}: {}", text(line, "table"), text(line, "candidate"));
    lines.iter().map(|line| (name(line), line)).collect()
}

fn text<'v>(line: &'v Value, field: &str) -> &'v str {
    line[field].as_str().unwrap_or_default()
}
