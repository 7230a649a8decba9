//! Gets what the tests need: from PATH if it is there, else with apt when we may, else it says what to install.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{Outcome, cargo, on_path, output, run, work_dir};

const PYTHON_PACKAGES: [&str; 5] =
    ["kiteconnect==5.2.2", "redis==8.1.0", "pandas==3.1.1", "polars==2.1.0", "pyarrow==26.0.1"];
const NODE_PACKAGES: [&str; 1] = ["kiteconnect@5.3.0"];
const CARGO_DENY: (&str, &str) = ("cargo-deny", "0.20.2");
const CARGO_MUTANTS: (&str, &str) = ("cargo-mutants", "27.1.0");

/// Programs and folders the tests are told about.
pub(crate) struct Tools {
    pub(crate) redis_server: PathBuf,
    /// The folder with initdb and postgres.
    pub(crate) postgres_bin: PathBuf,
    pub(crate) pgbouncer: PathBuf,
    pub(crate) python: PathBuf,
    pub(crate) node: PathBuf,
    pub(crate) node_modules: PathBuf,
    pub(crate) chromium: PathBuf,
}

/// Finds or installs everything the test step needs.
pub(crate) fn test_tools() -> Outcome<Tools> {
    let missing: Vec<&Need> = NEEDS.iter().filter(|need| need.find().is_none()).collect();
    if !missing.is_empty() {
        let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
        apt_install(&packages)?;
    }
    let found = |program: &str| {
        NEEDS
            .iter()
            .find(|need| need.programs[0] == program)
            .and_then(Need::find)
            .ok_or_else(|| format!("`{program}` is still not on PATH after the installation"))
    };
    let (python, node) = (python_with_packages(&found("python3")?)?, found("node")?);
    Ok(Tools {
        redis_server: found("redis-server")?,
        postgres_bin: folder_of(&found("initdb")?)?,
        pgbouncer: found("pgbouncer")?,
        python,
        node_modules: node_packages(&found("npm")?)?,
        node,
        chromium: found("chromium")?,
    })
}

/// LLVM's own tools for coverage.
pub(crate) struct LlvmTools {
    pub(crate) profdata: PathBuf,
    pub(crate) cov: PathBuf,
}

/// The tools of LLVM `major`: profiles are only read by the version that wrote them.
pub(crate) fn llvm_tools(major: &str) -> Outcome<LlvmTools> {
    let (profdata, cov) = (format!("llvm-profdata-{major}"), format!("llvm-cov-{major}"));
    if on_path(&profdata).is_none() || on_path(&cov).is_none() {
        apt_install(&[&format!("llvm-{major}")])?;
    }
    let found = |program: &str| {
        on_path(program).ok_or_else(|| format!("`{program}` is not on PATH, install llvm-{major}"))
    };
    Ok(LlvmTools { profdata: found(&profdata)?, cov: found(&cov)? })
}

/// The dependency checker.
pub(crate) fn cargo_deny() -> Outcome<PathBuf> {
    cargo_tool(CARGO_DENY)
}

/// The mutation tester.
pub(crate) fn cargo_mutants() -> Outcome<PathBuf> {
    cargo_tool(CARGO_MUTANTS)
}

/// The tool on PATH, or one built without optimisation into the target folder.
fn cargo_tool((name, version): (&str, &str)) -> Outcome<PathBuf> {
    if let Some(found) = on_path(name) {
        return Ok(found);
    }
    let home = work_dir().join(name);
    let program = home.join("bin").join(name);
    if !program.is_file() {
        run(cargo()
            .args(["install", name, "--locked", "--quiet", "--version", version, "--root"])
            .arg(&home)
            .env("CARGO_TARGET_DIR", home.join("build"))
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"))?;
        let _ = std::fs::remove_dir_all(home.join("build"));
    }
    Ok(program)
}

// === programs ===

struct Need {
    /// Any one of these will do.
    programs: &'static [&'static str],
    package: &'static str,
}

const NEEDS: [Need; 7] = [
    Need { programs: &["redis-server"], package: "redis-server" },
    Need { programs: &["initdb"], package: "postgresql" },
    Need { programs: &["pgbouncer"], package: "pgbouncer" },
    Need { programs: &["python3"], package: "python3-venv" },
    Need { programs: &["node", "nodejs"], package: "nodejs" },
    Need { programs: &["npm"], package: "npm" },
    Need { programs: &["chromium", "chromium-browser", "google-chrome"], package: "chromium" },
];

impl Need {
    fn find(&self) -> Option<PathBuf> {
        self.programs.iter().find_map(|program| on_path(program).or_else(|| beside_path(program)))
    }
}

/// Where Debian keeps servers that are not for everybody's PATH; the newest Postgres first.
fn beside_path(program: &str) -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    folders.sort();
    folders.push("/usr/sbin".into());
    folders.into_iter().rev().map(|folder| folder.join(program)).find(|candidate| candidate.is_file())
}

/// The folder a program is really in: Postgres finds its files from there.
fn folder_of(program: &Path) -> Outcome<PathBuf> {
    let real = program.canonicalize().map_err(|error| format!("{}: {error}", program.display()))?;
    Ok(real.parent().map_or(real.clone(), Path::to_path_buf))
}

/// The tests run private servers: what a package would start as a service stays off.
const NO_SERVICES: &str = "RUNLEVEL=1";

fn apt_install(packages: &[&str]) -> Outcome {
    let by_hand = format!("install what is missing: sudo apt-get install -y {}", packages.join(" "));
    if on_path("apt-get").is_none() {
        return Err(format!(
            "the tests need {}; this system has no apt-get, install them and run again",
            packages.join(", ")
        ));
    }
    let prefix: &[&str] = if output(Command::new("id").arg("-u")).as_deref() == Some("0") {
        &[]
    } else if output(Command::new("sudo").args(["-n", "true"])).is_some() {
        &["sudo", "-n"]
    } else {
        return Err(by_hand);
    };
    let apt = |arguments: &[&str]| {
        let words: Vec<&str> =
            [prefix, &["env", "DEBIAN_FRONTEND=noninteractive", NO_SERVICES, "apt-get"], arguments].concat();
        run(Command::new(words[0]).args(&words[1..]))
    };
    println!("  installing {}", packages.join(" "));
    apt(&["update", "-q"])
        .and_then(|()| apt(&[&["install", "-q", "-y", "--no-install-recommends"], packages].concat()))
        .map_err(|error| format!("{error}; {by_hand}"))
}

// === packages of the official clients ===

fn python_with_packages(python3: &Path) -> Outcome<PathBuf> {
    let home = work_dir().join("python");
    let python = home.join("bin/python");
    once(&home, &PYTHON_PACKAGES, || {
        if run(Command::new(python3).args(["-m", "venv", "--clear"]).arg(&home)).is_err() {
            apt_install(&[NEEDS[3].package])?;
            run(Command::new(python3).args(["-m", "venv", "--clear"]).arg(&home))?;
        }
        run(Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(PYTHON_PACKAGES))
    })?;
    Ok(python)
}

fn node_packages(npm: &Path) -> Outcome<PathBuf> {
    let home = work_dir().join("node");
    once(&home, &NODE_PACKAGES, || {
        std::fs::create_dir_all(&home).map_err(|error| error.to_string())?;
        run(Command::new(npm)
            .args([
                "install",
                "--no-save",
                "--no-package-lock",
                "--no-audit",
                "--no-fund",
                "--silent",
                "--prefix",
            ])
            .arg(&home)
            .args(NODE_PACKAGES))
    })?;
    Ok(home.join("node_modules"))
}

/// Runs `install` unless `home` says that exactly these packages were installed before.
fn once(home: &Path, packages: &[&str], install: impl FnOnce() -> Outcome) -> Outcome {
    let (stamp, wanted) = (home.join("installed"), packages.join("\n"));
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    install()?;
    std::fs::write(&stamp, wanted).map_err(|error| format!("cannot write {}: {error}", stamp.display()))
}
