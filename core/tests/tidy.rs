//! What lints miss: layers, floats, unsafe, clocks. Each remark that was made twice stands here.

use std::fs;
use std::path::{Path, PathBuf};

/// The workspace's folder.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path.strip_prefix(root()).expect("below the root").display().to_string();
                found.push((name, fs::read_to_string(&path).expect("a readable file")));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has sources");
    found
}

/// Lines of code, without comments and without what stands in string literals.
fn code(text: &str) -> impl Iterator<Item = (usize, String)> {
    text.lines().enumerate().map(|(at, line)| {
        let line = line.split("//").next().unwrap_or_default();
        let outside: Vec<&str> = line.split('"').step_by(2).collect();
        (at + 1, outside.join("\"\""))
    })
}

fn refuse(folder: &str, except: &[&str], why: &str, wrong: impl Fn(&str) -> bool) {
    let mut hits = Vec::new();
    for (name, text) in sources(folder) {
        // A file's own tests stand at its end and may do what they like.
        let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        if except.iter().any(|allowed| name.ends_with(allowed)) {
            continue;
        }
        hits.extend(
            code(text).filter(|(_, line)| wrong(line)).map(|(at, _)| format!("{name}:{at}")),
        );
    }
    assert!(hits.is_empty(), "{why}: {hits:?}");
}

/// Whether `line` has a float literal: digits, a point, digits, outside of a range or a field.
fn has_float_literal(line: &str) -> bool {
    let bytes = line.as_bytes();
    (1..bytes.len().saturating_sub(1)).any(|at| {
        let digits_around = bytes[at - 1].is_ascii_digit() && bytes[at + 1].is_ascii_digit();
        let word = line[..at].rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_').next();
        let number = word.is_some_and(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
        bytes[at] == b'.' && digits_around && number && !line[..at].ends_with("..") && {
            // `pair.0.1` is a field of a field.
            let before = at - word.map_or(0, str::len);
            before == 0 || bytes[before - 1] != b'.'
        }
    })
}

#[test]
fn core_has_no_std() {
    let std = |line: &str| line.contains("extern crate std") || line.contains("use std::");
    refuse("core/src", &["testing.rs"], "core is no_std; tests share theirs in testing.rs", std);
}

#[test]
fn core_has_no_floats() {
    let float = |line: &str| {
        has_float_literal(line)
            || ["as f32", "as f64", "to_num::<f", ": f64", ": f32", "<f64>", "<f32>"]
                .iter()
                .any(|word| line.contains(word))
    };
    refuse("core/src", &[], "integers decide", float);
}

#[test]
fn nobody_is_unsafe_but_the_ring() {
    let wrong = |line: &str| {
        ["unsafe {", "unsafe fn", "unsafe impl", "allow(unsafe_code)"]
            .iter()
            .any(|word| line.contains(word))
    };
    for folder in ["core/src", "feed/src", "shell/src", "perf/src", "benches"] {
        refuse(folder, &[], "unsafe lives in core/ring/src", wrong);
    }
    // The ring's table and its stand-ins do without: one file says unsafe.
    refuse("core/ring", &["core/ring/src/ring.rs"], "unsafe lives in ring.rs", wrong);
}

#[test]
fn only_the_clock_reads_time() {
    let clock = |line: &str| {
        ["Instant::now", "SystemTime::now", "rdtsc", "Clock::new"]
            .iter()
            .any(|word| line.contains(word))
    };
    for folder in ["core/src", "feed/src"] {
        refuse(folder, &["test_random.rs"], "time is an argument", clock);
    }
    refuse("shell/src", &["clock.rs"], "only clock.rs reads a clock", clock);
}

#[test]
fn layers_are_imported_downwards_only() {
    let imports = |names: &'static [&'static str]| {
        move |line: &str| names.iter().any(|name| line.contains(name))
    };
    let others = ["reap_core", "reap_feed", "reap_shell", "reap_benches", "reap_perf"];
    for (name, text) in sources("core/ring") {
        let hit = others.iter().find(|other| text.contains(*other));
        assert!(hit.is_none(), "the ring imports no other crate of ours: {name} names {hit:?}");
    }
    let manifest = fs::read_to_string(root().join("core/ring/Cargo.toml")).expect("a manifest");
    let ours = others.map(|other| other.replace('_', "-"));
    let hit = ours.iter().find(|other| manifest.contains(*other));
    assert!(hit.is_none(), "the ring depends on no other crate of ours: {hit:?}");
    refuse("core/src", &[], "core imports nobody", imports(&["reap_feed", "reap_shell"]));
    refuse("feed/src", &[], "feed imports core only", imports(&["reap_shell"]));
    refuse(
        "feed/src/venues",
        &[],
        "codecs know no transport",
        imports(&["transport", "mio::", "rustls", "std::net", "std::thread"]),
    );
    refuse(
        "shell/src/sim",
        &[],
        "simulated venues share no codec with feed",
        imports(&["reap_feed"]),
    );
}

#[test]
fn a_venue_imports_no_other_venue() {
    for (name, text) in sources("feed/src/venues") {
        let Some((venue, _)) =
            name.trim_start_matches("../").trim_start_matches("feed/src/venues/").split_once('/')
        else {
            continue;
        };
        for (at, line) in code(&text) {
            let other = line.split("venues::").nth(1).map(|rest| {
                rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .next()
                    .unwrap_or_default()
            });
            let is_venue = |other: &str| root().join("feed/src/venues").join(other).is_dir();
            assert!(
                other.is_none_or(|other| other.is_empty() || other == venue || !is_venue(other)),
                "{name}:{at} imports another venue"
            );
        }
    }
}

#[test]
fn files_are_about_one_noun() {
    for folder in ["core", "feed", "shell", "benches", "perf"] {
        for (name, text) in sources(folder) {
            let lines = text.lines().count();
            assert!(lines <= 650, "{name} has {lines} lines: split it by noun");
        }
    }
}

#[test]
fn s8_nothing_turns_the_verification_of_certificates_off() {
    let words = ["dangerous", "ServerCertVerifier", "danger_accept", "NoVerif"];
    let off = |line: &str| words.iter().any(|word| line.contains(word));
    for folder in ["core", "feed", "shell", "perf"] {
        refuse(folder, &["core/tests/tidy.rs"], "certificates are always verified", off);
    }
}

#[test]
fn s7_dependencies_are_locked_and_come_from_the_registry() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("a lock file is committed");
    let sources = lock.lines().filter_map(|line| line.strip_prefix("source = "));
    let others: Vec<&str> = sources.filter(|from| !from.contains("crates.io-index")).collect();
    assert!(others.is_empty(), "{others:?}");
    let packages = lock.matches("[[package]]").count();
    let sums = lock.matches("\nchecksum = ").count();
    assert!(sums > 0 && packages - sums <= 8, "{packages} packages, {sums} with a checksum");
}

#[test]
fn the_tidy_test_sees_what_it_should() {
    assert!(has_float_literal("let x = 1.5;") && has_float_literal("(0.1)"));
    assert!(
        !has_float_literal("pair.0.1") && !has_float_literal("0..10") && !has_float_literal("v1.2")
    );
}
