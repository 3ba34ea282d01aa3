//! The README shows what the program prints.

use std::path::Path;
use std::process::Command;

/// Every line of the README's demonstration is a line of the program's output, latencies aside.
#[test]
fn the_demonstration_in_the_readme_is_what_the_program_prints() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let shown = readme.split("<!-- demo:").nth(1).expect("the README marks its demonstration");
    let shown = shown.split("```").nth(1).unwrap();
    let output =
        Command::new(env!("CARGO_BIN_EXE_reap")).args(["demo", "--seconds", "0"]).output().unwrap();
    assert!(output.status.success());
    let output = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = shown.lines().skip(1).filter(|line| !line.is_empty()).collect();
    assert!(lines.len() > 30, "the README shows {} lines", lines.len());
    for line in lines {
        assert!(
            output.lines().any(|printed| printed == line),
            "the README shows a line that the program does not print:\n{line}"
        );
    }
    let hash = readme.lines().find(|line| line.starts_with("decision hash")).unwrap();
    assert!(output.contains(hash), "the README shows another {hash}");
}
