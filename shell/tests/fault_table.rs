//! Which test shows which fault. A test carries the ids of the faults that it shows in front of its
//! name (`x1_x2_…`); golden cases and cases of the shell do in front of their files' names.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Kinds of faults: letter, how many, what they are about.
const KINDS: [(char, u16, &str); 6] = [
    ('F', 32, "feed"),
    ('R', 10, "rings and threads"),
    ('E', 15, "evaluation"),
    ('X', 30, "execution"),
    ('P', 22, "journal, process, host"),
    ('S', 11, "security"),
];

/// Faults that no test shows by name yet. It only ever gets shorter.
const OPEN: &str = "F6 F7 F11 F12 F13 F15 F16 F31 X4 X5 X6 X7 X14 X15 X20 X21 X23 X28 X30 P7 P10 \
    P12 P14 P16 P19 P21 S2 S3 S4 S9 S11";

type Id = (usize, u16);

/// The ids in front of a name.
fn ids(name: &str) -> Vec<Id> {
    let id = |word: &str| {
        let (letter, number) = word.split_at_checked(1)?;
        let letter = letter.chars().next()?.to_ascii_uppercase();
        let kind = KINDS.iter().position(|(of, ..)| *of == letter)?;
        let number: u16 = number.parse().ok()?;
        (1..=KINDS[kind].1).contains(&number).then_some((kind, number))
    };
    name.split('_').map_while(id).collect()
}

fn walk(dir: &Path, each: &mut dyn FnMut(&Path)) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            walk(&path, each);
        } else {
            each(&path);
        }
    }
}

/// By fault: the tests that show it.
fn shown() -> BTreeMap<Id, Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut shown = BTreeMap::<Id, Vec<String>>::new();
    for part in ["core", "feed", "shell", "perf"] {
        walk(&root.join(part), &mut |path| {
            let file = path.strip_prefix(root).unwrap().display().to_string();
            let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let is = |end: &str| path.extension().is_some_and(|of| of == end);
            let mut note = |name: &str, text: String| {
                for id in ids(name) {
                    shown.entry(id).or_default().push(text.clone());
                }
            };
            if is("rs") {
                let text = fs::read_to_string(path).unwrap();
                let mut is_test = false;
                for line in text.lines().map(str::trim) {
                    match line.strip_prefix("fn ").and_then(|rest| rest.split_once('(')) {
                        Some((name, _)) if is_test => note(name, format!("`{file}` {name}")),
                        _ => {}
                    }
                    // Attributes and comments may stand between.
                    is_test = line.starts_with("#[test]")
                        || is_test && (line.starts_with("#[") || line.starts_with("//"));
                }
            } else if file.contains("tests/") && (is("txt") || is("toml")) {
                note(&stem, format!("`{file}`"));
            }
        });
    }
    shown
}

fn table(shown: &BTreeMap<Id, Vec<String>>) -> String {
    let mut text = String::from(
        "# Faults and the tests that show them\n\nWritten by `shell/tests/fault_table.rs`; \
         `UPDATE=1 cargo test -p reap-shell --test fault_table` writes it anew.\n",
    );
    for (kind, (letter, count, about)) in KINDS.into_iter().enumerate() {
        write!(text, "\n## {letter}: {about}\n\n| id | shown by |\n|---|---|\n").unwrap();
        for number in 1..=count {
            let tests = shown.get(&(kind, number));
            let tests = tests.map_or_else(|| "nothing yet".to_owned(), |tests| tests.join("<br>"));
            writeln!(text, "| {letter}{number} | {tests} |").unwrap();
        }
    }
    text
}

#[test]
fn every_fault_is_shown_by_a_test_or_known_to_be_open() {
    let shown = shown();
    let all = KINDS.iter().enumerate().flat_map(|(kind, (letter, count, _))| {
        (1..=*count).map(move |number| ((kind, number), format!("{letter}{number}")))
    });
    let open: Vec<String> =
        all.filter(|(id, _)| !shown.contains_key(id)).map(|(_, name)| name).collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/faults.md");
    let table = table(&shown);
    if std::env::var_os("UPDATE").is_some_and(|value| value == "1") {
        fs::write(&path, &table).unwrap();
    }
    let words: Vec<&str> = OPEN.split_whitespace().collect();
    assert_eq!(open, words, "faults without a test, and those that OPEN names");
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == table, "{} is out of date; UPDATE=1 writes it anew", path.display());
}

#[test]
fn ids_are_what_stands_in_front() {
    assert_eq!(ids("x1_x2_the_order"), [(3, 1), (3, 2)]);
    assert_eq!(ids("p50_of_it"), []);
    assert_eq!(ids("e_1"), []);
    assert_eq!(ids("the_x1"), []);
}
