//! Configurations as data: what is refused and with which words, what is understood and how.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::path::{Path, PathBuf};

use reap_shell::config::{Config, ConfigError};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(data(name)).unwrap()
}

/// Compares with the file, or writes it anew when `UPDATE=1` asks for it.
fn compare(name: &str, expected: &str, found: &str) {
    if std::env::var_os("UPDATE").is_some_and(|value| value == "1") {
        std::fs::write(data(name), found).unwrap();
        return;
    }
    for (index, (expected, found)) in expected.lines().zip(found.lines()).enumerate() {
        assert_eq!(found, expected, "{name}:{}; UPDATE=1 writes it anew", index + 1);
    }
    assert_eq!(found.lines().count(), expected.lines().count(), "{name}");
}

/// A case: its name and its lines, expectations apart.
fn cases(text: &str) -> impl Iterator<Item = (&str, Vec<&str>)> {
    text.split("\n== ").skip(1).map(|case| {
        let mut lines = case.lines();
        let name = lines.next().unwrap();
        let is_input = |line: &&str| !line.is_empty() && !line.starts_with(['!', '>']);
        (name, lines.filter(is_input).collect())
    })
}

fn preamble(text: &str) -> &str {
    text.split("== ").next().unwrap()
}

fn edited(base: &str, edits: &[&str], case: &str) -> String {
    let mut text = base.to_owned();
    for edit in edits {
        let (verb, rest) = edit.split_at_checked(2).unwrap_or((edit, ""));
        let rest = rest.replace("\\n", "\n");
        text = match verb {
            "~ " => {
                let (old, new) = rest.split_once(" => ").expect("~ old => new");
                assert!(text.contains(old), "{case}: base.toml has no {old}");
                text.replacen(old, new, 1)
            }
            "- " => {
                assert!(text.lines().any(|line| line == rest), "{case}: no line {rest}");
                text.replacen(&format!("{rest}\n"), "", 1)
            }
            "+ " => format!("{text}\n{rest}\n"),
            _ => panic!("{case}: {edit} is not an edit"),
        };
    }
    text
}

#[test]
fn every_mistake_is_refused_with_its_place_and_its_remedy() {
    let (base, expected) = (read("base.toml"), read("refused.txt"));
    let mut found = preamble(&expected).to_owned();
    let mut count = 0;
    for (name, edits) in cases(&expected) {
        let problems = match Config::parse("base.toml", &edited(&base, &edits, name)) {
            Err(ConfigError::Refused { problems, .. }) => problems,
            other => panic!("{name}: {other:?}"),
        };
        found += &format!("== {name}\n{}\n", edits.join("\n"));
        for problem in problems {
            assert!(!problem.remedy.is_empty(), "{name}: {problem} names no remedy");
            found += &format!("! base.toml:{problem}\n");
        }
        found.push('\n');
        count += 1;
    }
    assert!(count >= 100, "only {count} cases");
    compare("refused.txt", &expected, &found);
}

#[test]
fn the_base_of_all_cases_has_no_mistake() {
    let summary = Config::parse("base.toml", &read("base.toml")).unwrap().summary().join("\n");
    compare(
        "base.summary",
        &std::fs::read_to_string(data("base.summary")).unwrap_or_default(),
        &summary,
    );
}

#[test]
fn rules_are_understood_as_they_are_written() {
    let (base, expected) = (read("base.toml"), read("understood.txt"));
    let mut found = preamble(&expected).to_owned();
    for (name, lines) in cases(&expected) {
        let policy = format!("{base}\n[policy.case]\n{}\n", lines.join("\n"));
        let config =
            Config::parse("base.toml", &policy).unwrap_or_else(|error| panic!("{name}:\n{error}"));
        found += &format!("== {name}\n{}\n", lines.join("\n"));
        let summary = config.summary();
        let from = summary.iter().position(|line| line.starts_with("  case (")).unwrap();
        let body = summary[from + 1..].iter().take_while(|line| line.starts_with("    "));
        let default = Config::parse("base.toml", &base).unwrap().summary();
        for line in body.filter(|line| line.contains(": ") || !default.contains(*line)) {
            found += &format!("> {}\n", line.trim_start());
        }
        found.push('\n');
    }
    compare("understood.txt", &expected, &found);
}
