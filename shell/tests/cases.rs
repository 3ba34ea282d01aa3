//! Small markets as data: what `reap explain` tells of an exit of each kind, what an operator's
//! close does in a replay, and what a settlement of funding brings.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::ffi::OsStr;
use std::process::Output;

use serde_json::Value;

use common::{Case, Scratch, Tape, assert_calm, check_cases, data, reap, replay_json, text};

fn explain(case: &Case, more: &[&str]) -> Output {
    let mut args: Vec<&OsStr> = vec!["explain".as_ref(), "--config".as_ref(), case.config.as_ref()];
    args.extend(case.recordings.iter().map(|path| path.as_os_str()));
    args.extend(more.iter().map(OsStr::new));
    reap(&args)
}

#[test]
fn every_kind_of_exit_is_explained_in_words() {
    check_explained("cases/explain.txt");
}

#[test]
fn exits_of_rules_on_prices_are_explained_in_words() {
    check_explained("cases/prices.txt");
}

#[test]
fn exits_by_presets_and_of_several_rules_of_a_kind_are_explained() {
    check_explained("cases/policies.txt");
}

#[test]
fn exits_by_signals_are_explained_in_words() {
    check_explained("cases/signals.txt");
}

#[test]
fn policies_and_rules_are_switched_while_positions_are_held() {
    check_explained("cases/switch.txt");
}

fn check_explained(name: &str) {
    check_cases(name, |case| {
        let told = |more: &[&str]| {
            let output = explain(case, more);
            assert_eq!(output.status.code(), Some(0), "{}: {}", case.name, text(&output.stderr));
            clockless(text(&output.stdout))
        };
        // One position, its exits in order: asking for each of them alone says the same, and near
        // misses stand behind them.
        let whole = told(&[]);
        let exits = replay_json(&case.config, &case.recordings)["exits"].as_array().unwrap().len();
        let alone: Vec<String> =
            (1..=exits).map(|number| told(&["--exit", &number.to_string()])).collect();
        let near = whole.strip_prefix(&alone.join("\n"));
        let near = near.unwrap_or_else(|| panic!("{}: not as alone", case.name));
        let turned = near.lines().filter(|line| !line.is_empty() && !line.starts_with(' '));
        let turned: Vec<&str> = turned.collect();
        assert!(turned.iter().all(|line| line.ends_with("and turned back")), "{turned:?}");
        whole.lines().map(str::to_owned).collect()
    });
}

/// What is told, without what our own clock measured.
fn clockless(told: &str) -> String {
    let line = |line: &str| match line.split_once("decoded in ") {
        Some((before, rest)) => {
            let (_, sent) = rest.rsplit_once(", ").unwrap();
            format!("{before}decoded in …, decided in …, {sent}\n")
        }
        None => format!("{line}\n"),
    };
    told.lines().map(line).collect()
}

#[test]
fn exits_and_near_misses_are_explained_as_data() {
    check_cases("cases/explain_json.txt", |case| {
        let output = explain(case, &["--json"]);
        assert_eq!(output.status.code(), Some(0), "{}: {}", case.name, text(&output.stderr));
        let mut json: Value = serde_json::from_slice(&output.stdout).unwrap();
        for exit in json["exits"].as_array_mut().unwrap() {
            for intent in exit["intents"].as_array_mut().unwrap() {
                for key in ["received_decoded_ns", "decoded_decided_ns"] {
                    let spent = &mut intent["latency"][key];
                    if !spent.is_null() {
                        assert!(spent.as_u64().is_some(), "{spent}");
                        *spent = "by our clock".into();
                    }
                }
            }
        }
        let pretty = serde_json::to_string_pretty(&json).unwrap();
        pretty.lines().map(str::to_owned).collect()
    });
}

/// Exits and what is left open, a line each.
fn outcome(json: &Value) -> Vec<String> {
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let words = |value: &Value| {
        let all: Vec<String> = value.as_array().unwrap().iter().map(word).collect();
        all.join(", ")
    };
    let ms = |at: &Value| (at.as_u64().unwrap() - common::START) / 1_000_000;
    let mut lines: Vec<String> = Vec::new();
    for exit in json["exits"].as_array().unwrap() {
        lines.push(format!(
            "{}: {} ({}) at {} ms, {} at {} ms for {}, net {}",
            word(&exit["position"]),
            word(&exit["reason"]),
            word(&exit["urgency"]),
            ms(&exit["at_ns"]),
            word(&exit["outcome"]),
            ms(&exit["ended_ns"]),
            words(&exit["prices"]),
            word(&exit["net"]),
        ));
    }
    for open in json["open"].as_array().unwrap() {
        let (name, why) = (word(&open["position"]), word(&open["why"]));
        lines.push(format!("{name}: {} open, {why}", words(&open["open"])));
    }
    lines
}

#[test]
fn an_operator_closes_what_he_means() {
    check_cases("cases/closes.txt", |case| {
        let json = replay_json(&case.config, &case.recordings);
        assert_eq!(json["books_agree"], true, "{}", case.name);
        outcome(&json)
    });
}

/// What is told of a run as it goes. Whether the books agree in the end is for its reader to see.
fn told(case: &Case) -> Vec<String> {
    let output = common::replay(&case.config, &case.recordings, &["--verbose"]);
    assert_calm(&output, &case.name);
    let lines = text(&output.stdout).lines();
    lines.filter(|line| line.starts_with("09:")).map(str::to_owned).collect()
}

/// What is told of a run, how its positions ended, and where its tasks stand.
fn story(case: &Case) -> Vec<String> {
    let json = replay_json(&case.config, &case.recordings);
    assert_eq!(json["books_agree"], true, "{}", case.name);
    let again = replay_json(&case.config, &case.recordings);
    assert_eq!(json["decision_hash"], again["decision_hash"], "{}", case.name);
    let mut lines = told(case);
    lines.extend(outcome(&json));
    for task in json["tasks"].as_array().into_iter().flatten() {
        lines.push(format!(
            "task {}: {}, {} cycles, {} missed, volume {}, net {}",
            task["task"],
            task["state"],
            task["cycles"],
            task["missed"],
            task["volume"],
            task["net"]
        ));
    }
    lines
}

#[test]
fn tasks_enter_and_exit() {
    check_cases("cases/tasks.txt", story);
}

#[test]
fn a_reversal_enters_when_its_exit_is_closed() {
    check_cases("cases/reversals.txt", story);
}

#[test]
fn nothing_enters_before_trading_is_active_again() {
    check_cases("cases/states.txt", story);
}

#[test]
fn entries_far_off_the_live_price_are_refused_or_told() {
    check_cases("cases/far.txt", told);
}

#[test]
fn reads_and_signals_are_acted_upon() {
    check_cases("cases/reads.txt", |case| {
        let output = common::replay(&case.config, &case.recordings, &["--json"]);
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        let books = if json["books_agree"] == true { "agree" } else { "disagree" };
        let mut lines = told(case);
        lines.extend(outcome(&json));
        lines.push(format!("books {books}"));
        lines
    });
}

#[test]
fn all_positions_together_are_closed() {
    check_cases("cases/portfolio.txt", |case| {
        let json = replay_json(&case.config, &case.recordings);
        assert_eq!(json["books_agree"], true, "{}", case.name);
        outcome(&json)
    });
}

#[test]
fn a_close_that_means_nothing_is_refused() {
    let bad = [
        "all = true",
        "after = \"1s\"",
        "after = \"1s\"\nall = false",
        "after = \"1s\"\nposition = \"nope\"",
        "after = \"1s\"\nvenue = \"nope\"",
        "after = \"1s\"\ntag = \"nope\"",
        "after = \"1s\"\nall = true\ntag = \"swing\"",
        "after = \"1s\"\nat = \"2026-01-05T09:00:01Z\"\nall = true",
        "after = \"1\"\nall = true",
        "after = 1\nall = true",
        "after = \"-1s\"\nall = true",
        "at = \"soon\"\nall = true",
        "after = \"1s\"\nall = true\nurgency = \"now\"",
        "after = \"1s\"\nall = true\nurgent = true",
    ];
    let scratch = Scratch::new();
    let mut tape = Tape::default();
    tape.line("0 btc-usdm 60000.0 60000.1");
    let recordings = tape.save(&scratch);
    let base = common::read(&data("cases/base.toml"));
    for close in bad {
        let config = format!("{base}\n{POSITION}\n[[close]]\n{close}\n");
        let config = scratch.write("bad.toml", config);
        let output = common::replay(&config, &recordings, &[]);
        assert_calm(&output, close);
        assert_eq!(output.status.code(), Some(2), "{close}");
        let error = text(&output.stderr);
        assert!(error.contains("bad.toml:") && error.contains("close"), "{close}: {error}");
        assert!(output.stdout.is_empty(), "{close}");
    }
}

const POSITION: &str = r#"
[policy.stop]
stop_loss = "50%"

[[position]]
name = "one"
policy = "stop"
tag = "swing"
opened = "first quote"
legs = [{ instrument = "btc-usdm", side = "long", entry = "first quote", qty = "0.5" }]
"#;

#[test]
fn funding_is_settled_to_the_last_digit() {
    check_cases("cases/funding.txt", |case| outcome(&replay_json(&case.config, &case.recordings)));
}
