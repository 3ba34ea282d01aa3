//! The `reap` command as a process: exit codes, help, and readers that go away.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

fn reap(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_reap")).args(args).output().unwrap()
}

fn data(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(name).display().to_string()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn check_understands_a_good_configuration() {
    let output = reap(&["check", &data("base.toml")]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("stop_loss at bid ≤ 60600.88 USDT"));
    let json = reap(&["check", "--json", &data("base.toml")]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["ok"], true);
    assert_eq!(json["positions"][1], "naked");
}

#[test]
fn check_refuses_a_bad_one_with_every_mistake() {
    let file = std::env::temp_dir().join(format!("reap-cli-{}.toml", std::process::id()));
    std::fs::write(&file, "[gates]\nliveness = 3\nmax_leg_skew = 4\n").unwrap();
    let name = file.display().to_string();
    let output = reap(&["check", &name]);
    assert_eq!(output.status.code(), Some(2));
    let expected = format!(
        "{name}:2: gates.liveness = 3: a bare number has no unit; write \"3s\" or \"3ms\"\n\
         {name}:3: gates.max_leg_skew = 4: a bare number has no unit; write \"4s\" or \"4ms\"\n"
    );
    assert_eq!(text(&output.stderr), expected);
    let json = reap(&["check", "--json", &name]);
    assert_eq!(json.status.code(), Some(2));
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["ok"], false);
    assert_eq!(json["errors"][1]["line"], 3);
    std::fs::remove_file(file).unwrap();
}

#[test]
fn what_cannot_be_read_or_is_no_command_is_bad_input() {
    for args in [
        &["check", "/nonexistent/file.toml"][..],
        &["check", "/"],
        &["check"],
        &["chekc"],
        &["check", "--jsno"],
        &["check", env!("CARGO_BIN_EXE_reap")],
    ] {
        let output = reap(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", text(&output.stderr));
        assert!(!output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn help_names_the_exit_codes() {
    for args in [&["--help"][..], &["check", "--help"]] {
        let output = reap(args);
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stdout).contains("2  bad input"), "{args:?}");
    }
}

#[test]
fn the_doctor_gives_one_object_and_exits_by_its_verdict() {
    let output = reap(&["doctor", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let healthy = json["healthy"].as_bool().unwrap();
    assert_eq!(output.status.code(), Some(if healthy { 0 } else { 1 }));
    let findings = json["findings"].as_array().unwrap();
    assert!(findings.len() > 19, "{json}");
    for one in findings {
        let good = one["verdict"] == "good";
        assert_eq!(good, one["remedy"] == "", "{one}");
    }
    let help = reap(&["doctor", "--help"]);
    assert!(text(&help.stdout).contains("Healthy means"));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let file = data("base.toml");
    let run = Command::new(env!("CARGO_BIN_EXE_reap"))
        .args(["check", &file])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .and_then(|mut child| {
            drop(child.stdout.take());
            child.wait_with_output()
        });
    let output = run.unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
}

#[test]
fn a_full_disk_is_an_error() {
    let Ok(full) = std::fs::File::options().write(true).open("/dev/full") else { return };
    let status = Command::new(env!("CARGO_BIN_EXE_reap"))
        .args(["check", &data("base.toml")])
        .stdout(full)
        .stderr(Stdio::null())
        .status();
    assert_eq!(status.unwrap().code(), Some(3));
}
