//! `reap demo`: ends well for every seed, shows what happens as it happens, and can be interrupted.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use common::{assert_calm, reap, text};

fn demo_json(seed: u64) -> Value {
    let output = reap(&["demo", "--seconds", "0", "--json", "--seed", &seed.to_string()]);
    assert_calm(&output, &format!("seed {seed}"));
    assert_eq!(output.status.code(), Some(0), "seed {seed}: {}", text(&output.stdout));
    assert!(output.stderr.is_empty(), "seed {seed}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn names<'j>(json: &'j Value, list: &str, key: &str) -> Vec<&'j str> {
    let list = json[list].as_array().unwrap();
    list.iter().map(|item| item[key].as_str().unwrap()).collect()
}

#[test]
fn every_seed_ends_flat_where_it_should() {
    let seed: u64 = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20);
    println!("SEED={seed}");
    for seed in (seed..seed + 18).chain([0, u64::MAX]) {
        let json = demo_json(seed);
        assert_eq!(json["ok"], true, "seed {seed}");
        assert_eq!(json["books_agree"], true, "seed {seed}");
        let mut positions = names(&json, "exits", "position");
        positions.sort_unstable();
        positions.dedup();
        assert!(positions.len() >= 12, "seed {seed}: {positions:?}");
        for open in json["open"].as_array().unwrap() {
            assert_eq!(open["why"], "no rule holds", "seed {seed}: {open}");
        }
        for exit in json["exits"].as_array().unwrap() {
            assert!(exit["net"].is_string() && exit["trigger"].is_string(), "seed {seed}: {exit}");
            assert!(exit["fills"].as_u64().unwrap() > 0, "seed {seed}: {exit}");
        }
        // What is held at the venues is what is open, leg for leg.
        let held: usize = json["venues"]
            .as_array()
            .unwrap()
            .iter()
            .map(|venue| venue["holdings"].as_array().unwrap().len())
            .sum();
        assert_eq!(held, json["open"].as_array().unwrap().len(), "seed {seed}");
        assert!(json["latency"].is_object(), "seed {seed}");
    }
}

#[test]
fn the_market_has_pairs_across_venues_stops_trailing_profits_and_tiers() {
    let json = demo_json(7);
    let reasons = names(&json, "exits", "reason");
    for reason in ["basis", "stop_loss", "trailing_stop", "trailing_profit", "tiers", "take_profit"]
    {
        assert!(reasons.contains(&reason), "{reason} is not among {reasons:?}");
    }
    assert_eq!(names(&json, "venues", "venue"), ["binance", "bybit"]);
    for stage in ["received_decoded", "decoded_decided", "sent_acked", "sent_filled"] {
        let stage = &json["latency"][stage];
        for figure in ["p50_ns", "p99_ns", "max_ns", "count"] {
            assert!(stage[figure].is_u64(), "{figure} of {stage}");
        }
    }
    let pair = json["exits"].as_array().unwrap().iter().find(|exit| exit["reason"] == "basis");
    let legs = pair.unwrap()["legs"].as_array().unwrap();
    let venue = |leg: &Value| {
        leg["instrument"].as_str().unwrap().split_once('-').map(|(_, venue)| venue.to_owned())
    };
    assert_ne!(venue(&legs[0]), venue(&legs[1]));
}

#[test]
fn the_text_has_lines_and_three_tables() {
    let output = reap(&["demo", "--seconds", "0"]);
    assert_eq!(output.status.code(), Some(0));
    let shown = text(&output.stdout);
    let json = demo_json(7);
    assert!(shown.starts_with("Ten minutes of a seeded market (seed 7)"), "{shown}");
    for head in ["#   position", "left open", "stage", "decision hash"] {
        assert!(shown.lines().any(|line| line.starts_with(head)), "no {head} in\n{shown}");
    }
    let head = shown.lines().find(|line| line.starts_with('#')).unwrap();
    let columns: Vec<&str> = head.split_whitespace().collect();
    assert_eq!(columns, ["#", "position", "reason", "trigger", "fills", "slippage", "net"]);
    assert!(shown.contains("the venues' own books agree with what is left open"));
    assert!(shown.contains(json["decision_hash"].as_str().unwrap()));
    for exit in json["exits"].as_array().unwrap() {
        let (position, reason) = (exit["position"].as_str().unwrap(), exit["reason"].as_str());
        let line = format!("{position}: {} holds", reason.unwrap());
        assert!(shown.contains(&line), "no line {line}");
    }
}

fn start(args: &[&str]) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_reap"))
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap());
    (child, lines)
}

fn stderr(child: &mut Child) -> String {
    let mut error = String::new();
    child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
    error
}

#[test]
fn without_a_command_it_is_the_demo_and_shows_lines_while_it_runs() {
    let (mut child, mut lines) = start(&[]);
    let mut line = String::new();
    for _ in 0..12 {
        assert!(lines.read_line(&mut line).unwrap() > 0, "{line}");
    }
    assert!(line.starts_with("Ten minutes of a seeded market (seed 7) in 12 s"), "{line}");
    assert!(line.contains(": open, long 0.2 btc-bybit at "), "{line}");
    assert_eq!(
        child.try_wait().unwrap(),
        None,
        "it still runs, so the lines came as they happened"
    );
    interrupt(&child);
    let status = child.wait().unwrap();
    assert!(!status.success(), "{status}");
    assert_eq!(stderr(&mut child), "", "an interrupt is no panic");
}

/// As Ctrl-C does.
fn interrupt(child: &Child) {
    let done = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(done.unwrap().success());
}

#[test]
fn a_watcher_who_leaves_ends_it_without_a_word() {
    let (mut child, mut lines) = start(&["demo", "--seconds", "600"]);
    lines.read_line(&mut String::new()).unwrap();
    drop(lines);
    let start = Instant::now();
    let status = child.wait().unwrap();
    assert!(start.elapsed() < Duration::from_secs(60));
    assert_eq!((status.code(), stderr(&mut child).as_str()), (Some(0), ""));
}

#[test]
fn it_lasts_as_long_as_it_is_told() {
    let begin = Instant::now();
    let (mut child, mut lines) = start(&["demo", "--seconds", "2"]);
    let mut arrivals = Vec::new();
    let mut line = String::new();
    while lines.read_line(&mut line).unwrap() > 0 {
        if line.contains(" holds (") {
            arrivals.push(begin.elapsed());
        }
        line.clear();
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let took = begin.elapsed();
    assert!((1.9..4.0).contains(&took.as_secs_f64()), "{took:?}");
    // Exits are spread over the time as they are over the market.
    let spread = *arrivals.last().unwrap() - arrivals[0];
    assert!(arrivals.len() > 12 && spread > Duration::from_millis(500), "{arrivals:?}");
}

#[test]
fn what_it_cannot_do_is_refused() {
    for args in [
        &["demo", "--seconds", "601"][..],
        &["demo", "--seconds", "-1"],
        &["demo", "--seconds", "1.5"],
        &["demo", "--seed", "-1"],
        &["demo", "--seed", "18446744073709551616"],
        &["demo", "--seed"],
        &["demo", "more"],
        &["demo", "--config", "x"],
    ] {
        let output = reap(args);
        assert_calm(&output, &format!("{args:?}"));
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let error = text(&output.stderr);
        assert!(args[1..].iter().any(|arg| error.contains(arg)), "{args:?}: {error}");
    }
}
