//! `reap replay` on recorded data: every message accounted for against a second reading of the
//! lines, exits by the rules that the configurations name, books that agree.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use serde_json::Value;

use common::{RECORDINGS_2023, RECORDINGS_2024, config, recorded, replay, replay_json, text};

type Counts = BTreeMap<String, u64>;

/// The lines of a file that are messages of the venue, without their times.
fn messages(file: &str) -> impl Iterator<Item = &str> {
    let received = |line: &&str| line.starts_with(|c: char| c.is_ascii_digit());
    file.lines().filter(received).map(|line| line.split_once(' ').unwrap().1)
}

/// What a message is, by its shape alone, and its symbol.
fn kind(message: &Value) -> (&'static str, Option<&str>) {
    let data = message.get("data").unwrap_or(message);
    let symbol = data["s"].as_str();
    let kind = match data["e"].as_str() {
        Some("bookTicker") => "quote",
        Some("trade" | "aggTrade") => "trade",
        Some("markPriceUpdate") => "mark",
        Some("depthUpdate") => "depth",
        Some("kline") => "candle",
        Some(other) => panic!("{other} is new"),
        None if data["lastUpdateId"].is_number() => "depth",
        None if message["topic"].as_str().is_some_and(|topic| topic.starts_with("orderbook.1")) => {
            "quote"
        }
        None if symbol.is_some() && data["b"].is_string() => "quote",
        None if message["success"].is_boolean() || message.get("result").is_some() => "ack",
        None => panic!("{message} is new"),
    };
    (kind, symbol)
}

/// A second account of the files: kinds, and why messages are ignored.
fn account(files: &[PathBuf], is_watched: impl Fn(&str) -> bool) -> (Counts, Counts, u64) {
    let (mut kinds, mut ignored, mut quotes) = (Counts::new(), Counts::new(), 0);
    for file in files {
        let text = common::unpacked(file);
        let mut last: HashMap<String, u64> = HashMap::new();
        for message in messages(&text) {
            let message: Value = serde_json::from_str(message).unwrap();
            let (kind, symbol) = kind(&message);
            *kinds.entry(kind.into()).or_default() += 1;
            let mut ignore = |reason: &str| *ignored.entry(reason.into()).or_default() += 1;
            let symbol = symbol.unwrap_or_default();
            match kind {
                "depth" | "candle" => ignore("not_used"),
                "trade" if message["data"]["X"].as_str().is_some_and(|x| x != "MARKET") => {
                    ignore("not_market");
                }
                "quote" if is_watched(symbol) => {
                    quotes += 1;
                    let update = message["data"]["u"].as_u64().unwrap();
                    match last.insert(symbol.into(), update) {
                        Some(before) if before == update => ignore("repeated_update_id"),
                        Some(before) => assert!(before < update, "{message}"),
                        None => {}
                    }
                }
                "quote" | "trade" | "mark" if !is_watched(symbol) => ignore("unknown_symbol"),
                _ => {}
            }
        }
    }
    (kinds, ignored, quotes)
}

fn counts(value: &Value) -> Counts {
    let object = value.as_object().unwrap();
    object.iter().map(|(name, count)| (name.clone(), count.as_u64().unwrap())).collect()
}

fn reasons(json: &Value) -> BTreeSet<&str> {
    let exits = json["exits"].as_array().unwrap();
    exits.iter().map(|exit| exit["reason"].as_str().unwrap()).collect()
}

/// What every replay gives, by the names of the issue.
fn check(name: &str, files: &[PathBuf], json: &Value) {
    let watched: BTreeSet<String> = common::read(&config(name))
        .lines()
        .filter_map(|line| line.strip_prefix("symbol = \"")?.strip_suffix('"').map(str::to_owned))
        .collect();
    let (kinds, ignored, quotes) = account(files, |symbol| watched.contains(symbol));
    let lines: usize = files.iter().map(|file| messages(&common::unpacked(file)).count()).sum();
    assert_eq!(counts(&json["messages"]), kinds, "{name}");
    assert_eq!(kinds.values().sum::<u64>(), lines as u64, "{name}: every line is one message");
    assert_eq!(counts(&json["ignored"]), ignored, "{name}");
    assert_eq!(counts(&json["rejected"]), Counts::new(), "{name}: recorded data is good");
    assert_eq!(json["quotes"].as_u64(), Some(quotes), "{name}");
    assert!(json["quotes_per_second"].as_u64().unwrap() > 0, "{name}");
    let hash = json["decision_hash"].as_str().unwrap();
    assert!(hash.len() == 16 && u64::from_str_radix(hash, 16).is_ok(), "{name}: {hash}");
    assert_eq!(json["books_agree"], true, "{name}");
    let exits = json["exits"].as_array().unwrap();
    assert!(!exits.is_empty(), "{name}");
    let mut at = 0;
    for exit in exits {
        for key in ["position", "reason", "net"] {
            assert!(exit[key].is_string(), "{name}: {key} of {exit}");
        }
        let prices = exit["prices"].as_array().unwrap();
        assert!(!prices.is_empty() && prices.iter().all(Value::is_string), "{name}: {exit}");
        let began = exit["at_ns"].as_u64().unwrap();
        assert!(began >= at && exit["ended_ns"].as_u64().unwrap() > began, "{name}: {exit}");
        assert!(["closed", "done"].contains(&exit["outcome"].as_str().unwrap()), "{name}: {exit}");
        at = began;
    }
    // A position that has closed stays closed, and one that has not is named with a reason.
    let closed: Vec<&str> = exits
        .iter()
        .filter(|exit| exit["outcome"] == "closed")
        .map(|exit| exit["position"].as_str().unwrap())
        .collect();
    let open = json["open"].as_array().unwrap();
    let open: Vec<&str> = open.iter().map(|open| open["position"].as_str().unwrap()).collect();
    let all: BTreeSet<&str> = closed.iter().chain(&open).copied().collect();
    let positions = common::read(&config(name)).matches("[[position]]").count();
    assert_eq!(closed.len() + open.len(), positions, "{name}: each is closed once or open");
    assert_eq!(all.len(), positions, "{name}: {closed:?} {open:?}");
    assert!(json["open"].as_array().unwrap().iter().all(|open| open["why"].is_string()));
}

#[test]
fn the_recordings_of_2024_give_exits_by_every_rule_that_the_issue_names() {
    let Some(files) = recorded(&RECORDINGS_2024) else { return };
    let json = replay_json(&config("spot-futures.toml"), &files);
    check("spot-futures.toml", &files, &json);
    let reasons = reasons(&json);
    for reason in ["basis", "stop_loss", "trailing_stop", "take_profit"] {
        assert!(reasons.contains(reason), "{reason} is not among {reasons:?}");
    }
}

#[test]
fn the_recordings_of_2023_have_microseconds_marks_and_funding() {
    let Some(files) = recorded(&RECORDINGS_2023) else { return };
    let json = replay_json(&config("spot-futures.toml"), &files);
    check("spot-futures.toml", &files, &json);
    assert!(json["messages"]["mark"].as_u64().unwrap() > 400);
    // Midnight of 2023-04-05 UTC, in microseconds in the file.
    let first = json["exits"][0]["at_ns"].as_u64().unwrap();
    assert_eq!(first / 1_000_000_000 / 3600, 1_680_652_800 / 3600);
}

#[test]
fn the_captures_of_binance_are_understood() {
    let Some(files) = recorded(&["captures/BINANCE.ws.1.0", "captures/BINANCE_FUTURES.ws.1.0"])
    else {
        return;
    };
    let json = replay_json(&config("captures.toml"), &files);
    check("captures.toml", &files, &json);
    assert_eq!(reasons(&json), BTreeSet::from(["stop_loss", "take_profit"]));
}

#[test]
fn the_capture_of_bybit_is_understood_and_repeated_snapshots_change_nothing() {
    let Some(files) = recorded(&["captures/BYBIT_V5.ws.1.0"]) else { return };
    let json = replay_json(&config("bybit.toml"), &files);
    check("bybit.toml", &files, &json);
    assert_eq!(
        reasons(&json),
        BTreeSet::from(["deadline", "stop_loss", "take_profit", "trailing_stop"])
    );
    assert!(json["ignored"]["repeated_update_id"].as_u64().unwrap() > 0);
}

#[test]
fn the_text_says_the_same_in_tables() {
    let Some(files) = recorded(&RECORDINGS_2023) else { return };
    let json = replay_json(&config("spot-futures.toml"), &files);
    let output = replay(&config("spot-futures.toml"), &files, &[]);
    assert_eq!(output.status.code(), Some(0));
    let shown = text(&output.stdout);
    let rows = shown
        .lines()
        .skip_while(|line| !line.starts_with('#'))
        .filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
    let exits = json["exits"].as_array().unwrap();
    for (at, (row, exit)) in rows.zip(exits).enumerate() {
        let words: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(words[0], (at + 1).to_string(), "{row}");
        assert_eq!(
            (words[1], words[2]),
            (exit["position"].as_str().unwrap(), exit["reason"].as_str().unwrap())
        );
        assert!(row.contains(exit["trigger"].as_str().unwrap()), "{row}");
    }
    for (name, value) in
        [("messages", "messages"), ("ignored", "ignored"), ("rejected", "rejected")]
    {
        let line = shown.lines().find(|line| line.starts_with(name)).unwrap();
        for (kind, count) in counts(&json[value]) {
            assert!(line.contains(&format!("{kind} {count}")), "{line}");
        }
    }
    let hash = json["decision_hash"].as_str().unwrap();
    assert!(shown.contains(&format!("decision hash {hash}")));
    assert!(shown.contains("the venues' own books agree with what is left open"));
    let details = replay(&config("spot-futures.toml"), &files, &["--verbose"]);
    let details = text(&details.stdout);
    assert!(details.contains("btc-basis: basis holds (opportunistic)"));
    assert!(details.contains("00:01:08.711  btc-trail: trailing_stop holds (protective)"));
}
