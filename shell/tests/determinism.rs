//! The same messages give the same decisions: at every run, speed, order of files and build.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use common::{
    RECORDINGS_2023, RECORDINGS_2024, Scratch, Tape, config, data, reap, recorded, replay,
    replay_json,
};

/// Everything of a result but what a clock of ours has measured.
fn decided(mut json: Value) -> Value {
    for key in ["seconds", "quotes_per_second", "latency"] {
        json.as_object_mut().unwrap().remove(key);
    }
    json
}

fn demo(seed: u64) -> Value {
    let output = reap(&["demo", "--seconds", "0", "--json", "--seed", &seed.to_string()]);
    decided(serde_json::from_slice(&output.stdout).unwrap())
}

fn hash(json: &Value) -> String {
    json["decision_hash"].as_str().unwrap().to_owned()
}

/// What can be computed here, with the file's other lines, or the whole of it anew.
#[test]
fn decisions_are_those_of_every_other_machine_and_build() {
    let mut found = BTreeMap::from([("demo, seed 7", hash(&demo(7)))]);
    let replays: [(&str, &[&str], &str); 4] = [
        ("recordings of 2024", &RECORDINGS_2024, "spot-futures.toml"),
        ("recordings of 2023", &RECORDINGS_2023, "spot-futures.toml"),
        (
            "captures of Binance",
            &["captures/BINANCE.ws.1.0", "captures/BINANCE_FUTURES.ws.1.0"],
            "captures.toml",
        ),
        ("capture of Bybit", &["captures/BYBIT_V5.ws.1.0"], "bybit.toml"),
    ];
    for (name, files, with) in replays {
        if let Some(files) = recorded(files) {
            found.insert(name, hash(&replay_json(&config(with), &files)));
        }
    }
    let file = common::read(&data("data/decisions.txt"));
    let mut lines: Vec<String> = Vec::new();
    for line in file.lines() {
        let name = line.rsplit_once(' ').map_or(line, |(name, _)| name);
        lines.push(match found.get(name.trim_end()) {
            Some(hash) => format!("{:<20} {hash}", name.trim_end()),
            None => line.to_owned(),
        });
    }
    assert!(found.keys().all(|name| file.contains(name)), "{found:?}");
    common::compare("data/decisions.txt", &(lines.join("\n") + "\n"));
}

#[test]
fn every_run_decides_alike() {
    assert_eq!(demo(7), demo(7));
    assert_ne!(hash(&demo(7)), hash(&demo(8)));
    let Some(files) = recorded(&RECORDINGS_2023) else { return };
    let run = || decided(replay_json(&config("spot-futures.toml"), &files));
    let first = run();
    for _ in 0..3 {
        assert_eq!(run(), first);
    }
}

#[test]
fn the_order_of_the_files_is_no_matter() {
    let Some(files) = recorded(&RECORDINGS_2024) else { return };
    let run = |files: &[PathBuf]| decided(replay_json(&config("spot-futures.toml"), files));
    let first = run(&files);
    for order in [[3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1], [1, 2, 3, 0]] {
        let files = order.map(|at| files[at].clone());
        assert_eq!(run(&files), first, "{order:?}");
    }
}

/// A second of a market in which a pair, a stop and a trailing stop are closed.
fn short_market(scratch: &Scratch) -> (PathBuf, Vec<PathBuf>) {
    let mut tape = Tape::default();
    for step in 0..120u64 {
        let at = step * 10;
        // Up to 60 300 and down to 59 700.
        let level = if step < 40 { 60_000 + step * 10 } else { 60_400 - (step - 40) * 10 };
        tape.line(&format!("{at} btc-usdm {level}.0 {level}.1 0.3 0.3"));
        let near = level - 40 + step / 4;
        tape.line(&format!("{} btc-spot {near}.00 {near}.01 0.3 0.3", at + 3));
    }
    let leg = |instrument, account, side| {
        format!(
            "{{ instrument = \"{instrument}\", account = \"{account}\", side = \"{side}\", entry = \"first quote\", qty = \"0.5\" }}"
        )
    };
    let position = |name, policy, legs: &[String]| {
        format!(
            "[[position]]\nname = \"{name}\"\npolicy = \"{policy}\"\nopened = \"first quote\"\nlegs = [{}]\n",
            legs.join(", ")
        )
    };
    let config = [
        common::read(&data("cases/base.toml")),
        "[policy.pair]\nfees = \"gross\"\nbasis = \"3bps\"\n".into(),
        "[policy.stop]\nstop_loss = \"30bps\"\n".into(),
        "[policy.trail]\ntrailing_stop = \"20bps\"\n".into(),
        position("stop", "stop", &[leg("btc-usdm", "one", "long")]),
        position("trail", "trail", &[leg("btc-spot", "one", "long")]),
        position(
            "pair",
            "pair",
            &[leg("btc-spot", "two", "long"), leg("btc-usdm", "two", "short")],
        ),
    ];
    (scratch.write("short.toml", config.join("\n")), tape.save(scratch))
}

#[test]
fn at_recorded_speed_lines_come_as_they_happen() {
    let scratch = Scratch::new();
    let mut tape = Tape::default();
    // It would take a minute, and something happens every tenth of a second: it opens, it closes
    // its first tier, it closes.
    for at in [0, 100, 200, 60_000] {
        tape.line(&format!("{at} btc-usdm {}.0 {}.1", 60_000 + at, 60_000 + at));
    }
    let position = "[policy.tiers]\nfees = \"gross\"\n\
        tiers = [{ at = \"10bps\", close = \"50%\" }, { at = \"20bps\", close = \"100%\" }]\n\
        [[position]]\nname = \"one\"\npolicy = \"tiers\"\nopened = \"first quote\"\n\
        legs = [{ instrument = \"btc-usdm\", side = \"long\", entry = \"60000\", qty = \"0.5\" }]\n";
    let config = common::read(&data("cases/base.toml")) + position;
    let config = scratch.write("tiers.toml", config);
    let begin = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_reap"))
        .args(["replay", "--speed", "1x", "--verbose", "--config"])
        .arg(config)
        .args(tape.save(&scratch))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert!(line.contains("one: open, long 0.5 btc-usdm at 60000"), "{line}");
    assert_eq!(child.try_wait().unwrap(), None, "the line came while it runs");
    // Nobody reads any more: the next line finds out, and it ends without a word.
    drop(lines);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), common::text(&output.stderr)), (Some(0), ""));
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
}

#[test]
fn the_speed_is_no_matter() {
    let scratch = Scratch::new();
    let (config, files) = short_market(&scratch);
    let max = decided(replay_json(&config, &files));
    assert!(max["exits"].as_array().unwrap().len() >= 3, "{max}");
    let start = Instant::now();
    let output = replay(&config, &files, &["--json", "--speed", "1x"]);
    let took = start.elapsed().as_secs_f64();
    let recorded: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!((1.19..10.0).contains(&took), "{took} s for 1.193 s of market");
    assert_eq!(decided(recorded), max);
    let output = replay(&config, &files, &["--json", "--speed", "max"]);
    assert_eq!(decided(serde_json::from_slice(&output.stdout).unwrap()), max);
}
