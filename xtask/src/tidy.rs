//! What the repository asks of itself that no compiler checks.

use std::fs;
use std::path::{Path, PathBuf};

use crate::process::{Outcome, root};

/// Longer files hold more than one idea.
const MOST_LINES: usize = 500;

/// Checks every crate and every source file; all problems in one go.
pub(crate) fn check() -> Outcome {
    let mut problems = Vec::new();
    let architecture = fs::read_to_string(root().join("docs/architecture.md")).unwrap_or_default();
    for package in folders(&root().join("crates")) {
        let name = package.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !architecture.contains(&format!("`{name}`")) {
            problems.push(format!("docs/architecture.md does not name the crate {name}"));
        }
        if !fs::read_to_string(package.join("src/lib.rs")).is_ok_and(|text| text.contains("//! ```")) {
            problems.push(format!("{name}/src/lib.rs has no example"));
        }
    }
    for package in ["crates", "bins"].iter().flat_map(|kind| folders(&root().join(kind))) {
        let manifest = fs::read_to_string(package.join("Cargo.toml")).unwrap_or_default();
        if !manifest.contains("\ndescription = \"") || manifest.contains("description = \"\"") {
            problems.push(format!("{} has no description", package.display()));
        }
        check_sources(&package, &mut problems);
    }
    check_sources(&root().join("xtask"), &mut problems);
    if problems.is_empty() {
        Ok(())
    } else {
        Err(format!("{} problem(s):\n{}", problems.len(), problems.join("\n")))
    }
}

fn check_sources(folder: &Path, problems: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            check_sources(&path, problems);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).unwrap_or_default();
            let is_test =
                path.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs");
            let shown = path.strip_prefix(root()).unwrap_or(&path).display().to_string();
            if !text.starts_with("//!") && !is_test {
                problems.push(format!("{shown} does not open with what it is for"));
            }
            if path.file_name().is_some_and(|name| name == "mod.rs") {
                problems.push(format!("{shown}: name the file after its module"));
            }
            let lines = text.lines().count();
            if lines > MOST_LINES {
                problems.push(format!("{shown} has {lines} lines, more than {MOST_LINES}"));
            }
        }
    }
}

fn folders(within: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(within).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}
