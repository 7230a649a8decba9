//! A service that ends with the test process, however that ends.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

/// Runs a program under a shell that holds the read end of a pipe: when this process is gone, even by `kill -9`, the
/// shell stops the program and removes its folder.
#[derive(Debug)]
pub(super) struct Watched {
    shell: Child,
    pipe: Option<ChildStdin>,
    pid: u32,
}

/// Stops with this signal, removes the folder unless the line says `keep`.
const SCRIPT: &str = r#"
signal=$1; folder=$2; shift 2
"$@" </dev/null >"$folder/log" 2>&1 &
echo $! >"$folder/pid"
pid=$!
read -r word
kill -CONT $pid 2>/dev/null
kill -"$signal" $pid 2>/dev/null
wait $pid
[ "$word" = keep ] || rm -rf "$folder"
"#;

/// Who a server runs as when we are root, which Postgres and PgBouncer refuse.
const NOBODY: u32 = 65534;

// === impl Watched ===

impl Watched {
    pub(super) fn start(signal: &str, folder: &Path, program: &Path, arguments: &[String]) -> Self {
        let _ = std::fs::remove_file(folder.join("pid"));
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT, "watched", signal]).arg(folder).arg(program).args(arguments);
        let mut shell = as_nobody(&mut command)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh");
        let pid = super::server::wait_for("the pid of a service", || {
            std::fs::read_to_string(folder.join("pid")).ok()?.trim().parse().ok()
        });
        let pipe = shell.stdin.take();
        Self { shell, pipe, pid }
    }

    pub(super) const fn pid(&self) -> u32 {
        self.pid
    }

    /// Ends the program and waits; the folder stays if `keep`.
    pub(super) fn stop(&mut self, keep: bool) {
        if let Some(mut pipe) = self.pipe.take() {
            let _ = pipe.write_all(if keep { b"keep\n" } else { b"\n" });
        }
        let _ = self.shell.wait();
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.stop(false);
    }
}

/// Runs the command as somebody who may run servers.
pub(super) fn as_nobody(command: &mut Command) -> &mut Command {
    if is_root() { command.uid(NOBODY).gid(NOBODY) } else { command }
}

/// Gives a folder to that somebody.
pub(super) fn give_to_nobody(folder: &Path) {
    if is_root() {
        std::os::unix::fs::chown(folder, Some(NOBODY), Some(NOBODY)).expect("chown as root");
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}
