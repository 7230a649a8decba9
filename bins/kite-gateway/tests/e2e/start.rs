//! Starting and stopping: bad configurations, taken ports, unwritable folders, SIGTERM.

use std::net::TcpListener;

use crate::process::{Gateway, Program, command};

fn check_refused(settings: &[(&str, &str)], code: i32, parts: &[&str]) {
    let (status, lines) = Program::start(command().envs(settings.iter().copied())).end();
    let text = lines.join("\n");
    assert_eq!(status.code(), Some(code), "{text}");
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in:\n{text}");
    }
    assert!(!text.contains("panicked"), "{text}");
}

#[test]
fn every_configuration_problem_is_named_and_the_exit_code_is_64() {
    check_refused(
        &[("GATEWAY_LISTEN", "here"), ("SIM_SPEED", "fast"), ("LOG_FORMAT", "xml")],
        64,
        &["3 problem(s)", "GATEWAY_LISTEN", "SIM_SPEED", "LOG_FORMAT"],
    );
}

#[test]
fn a_taken_port_is_one_clear_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = tempfile::tempdir().unwrap();
    let settings =
        [("GATEWAY_LISTEN", address.as_str()), ("GATEWAY_DATA_DIR", data.path().to_str().unwrap())];
    check_refused(&settings, 1, &[&address, "GATEWAY_LISTEN"]);
}

#[test]
fn an_unwritable_data_folder_is_one_clear_line() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let folder = file.path().join("below-a-file");
    check_refused(
        &[("GATEWAY_DATA_DIR", folder.to_str().unwrap())],
        1,
        &["GATEWAY_DATA_DIR", "cannot be written"],
    );
}

#[test]
fn sigterm_drains_and_exits_0() {
    let gateway = Gateway::start(&[]).ready();
    gateway.program.signal("TERM");
    let (status, lines) = gateway.program.end();
    assert_eq!(status.code(), Some(0), "{}", lines.join("\n"));
    assert!(lines.iter().any(|line| line.contains("drained")), "{}", lines.join("\n"));
}
