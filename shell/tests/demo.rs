//! `reap demo`: ends well for every seed, shows what happens as it happens, and can be interrupted.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
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

/// The demonstrations over sockets run one after the other: each pins a spinning thread to the same
/// processor.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn without_a_command_it_is_the_demo_and_an_interrupt_says_what_it_left() {
    let _alone = alone();
    let (mut child, mut lines) = start(&[]);
    let mut shown = String::new();
    while !shown.contains(": open, long 0.2 btc-bybit at ") {
        assert!(lines.read_line(&mut shown).unwrap() > 0, "{shown}");
    }
    let first = "Ten minutes of a seeded market (seed 7) in 20 s over TLS sockets";
    assert!(shown.starts_with(first), "{shown}");
    assert!(shown.lines().nth(1).unwrap().starts_with("layout "), "{shown}");
    assert!(shown.contains("bybit/main: ready for orders"), "{shown}");
    assert_eq!(
        child.try_wait().unwrap(),
        None,
        "it still runs, so the lines came as they happened"
    );
    interrupt(&child);
    lines.read_to_string(&mut shown).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{shown}");
    assert_eq!(stderr(&mut child), "", "an interrupt is no panic");
    assert!(shown.contains("stopped by SIGINT before the market was over"), "{shown}");
    assert!(shown.contains("the venues' own books agree with what is left open"), "{shown}");
    assert!(shown.contains("should have closed: \"eth-swing\""), "{shown}");
    let left = format!("reap-demo-{}", child.id());
    assert!(!std::env::temp_dir().join(left).exists(), "nothing is left behind");
}

/// Whether `words` stand in `text` in this order; otherwise the first that does not.
fn in_order(text: &str, words: &[&str]) -> Result<(), String> {
    let mut rest = text;
    for word in words {
        let at = rest.find(word).ok_or_else(|| format!("no {word:?} where it should be"))?;
        rest = &rest[at + word.len()..];
    }
    Ok(())
}

#[test]
fn f25_a_venue_that_is_cut_off_comes_back_and_everything_ends_flat() {
    let _alone = alone();
    let (mut child, mut lines) = start(&["demo", "--cut-venue-at", "5"]);
    let mut shown = String::new();
    lines.read_to_string(&mut shown).unwrap();
    let status = child.wait().unwrap();
    assert_eq!((status.code(), stderr(&mut child).as_str()), (Some(0), ""), "{shown}");
    let story = [
        "bybit: cut off on purpose",
        "bybit public: lost",
        "btc-bybit: no fresh price",
        // A deadline that is not urgent waits for a price; its venue is away.
        "btc-clock: deadline holds (normal)",
        "bybit public: live",
        "btc-clock: closed",
    ];
    assert_eq!(in_order(&shown, &story), Ok(()), "{shown}");
    let others =
        ["bybit: cut off", "sol-ride: trailing_stop holds (protective)", "bybit public: live"];
    assert_eq!(in_order(&shown, &others), Ok(()), "the other venue goes on: {shown}");
    assert!(shown.contains("btc-bybit: fresh again"), "{shown}");
    assert!(shown.contains("the venues' own books agree with what is left open"), "{shown}");
}

#[test]
fn over_sockets_it_closes_what_should_close_and_measures_every_stage() {
    let _alone = alone();
    let begin = Instant::now();
    let output = reap(&["demo", "--json"]);
    let took = begin.elapsed();
    assert_calm(&output, "over sockets");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    assert!((20.0..40.0).contains(&took.as_secs_f64()), "{took:?}");
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["ok"], &json["books_agree"]), (&true.into(), &true.into()));
    let stages = [
        "received_decoded",
        "decoded_decided",
        "received_decided",
        "decided_sent",
        "sent_acked",
        "sent_filled",
    ];
    for stage in stages {
        for figure in ["p50_ns", "p90_ns", "p99_ns", "p99_9_ns", "max_ns", "count"] {
            let figure = &json["latency"][stage][figure];
            assert!(figure.as_u64().is_some_and(|n| n > 0), "{stage}: {figure}");
        }
    }
    // Times differ by what sockets cost; what closes, and why, does not.
    let closed = |json: &Value| {
        let exits = json["exits"].as_array().unwrap().iter();
        let mut pairs: Vec<String> =
            exits.map(|exit| format!("{} {}", exit["position"], exit["reason"])).collect();
        pairs.sort_unstable();
        pairs.dedup();
        pairs
    };
    assert_eq!(closed(&json), closed(&demo_json(7)));
}

/// As Ctrl-C does.
fn interrupt(child: &Child) {
    let done = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(done.unwrap().success());
}

#[test]
fn a_watcher_who_leaves_ends_it_without_a_word() {
    let _alone = alone();
    let (mut child, mut lines) = start(&["demo", "--seconds", "600"]);
    lines.read_line(&mut String::new()).unwrap();
    drop(lines);
    let start = Instant::now();
    let status = child.wait().unwrap();
    assert!(start.elapsed() < Duration::from_secs(60));
    assert_eq!((status.code(), stderr(&mut child).as_str()), (Some(0), ""));
}

#[test]
fn what_it_cannot_do_is_refused() {
    for args in [
        &["demo", "--seconds", "601"][..],
        &["demo", "--seconds", "9"],
        &["demo", "--cut-venue-at", "10"],
        &["demo", "--cut-venue-at", "5", "--seconds", "0"],
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
