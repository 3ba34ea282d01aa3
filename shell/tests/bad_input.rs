//! What cannot be read is refused with its file and its fault, and what is hostile in an otherwise
//! good recording is counted by its reason and moves nothing.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use common::{Scratch, Tape, assert_calm, data, quote, reap, replay, replay_json, text};

const POSITION: &str = r#"
[policy.stop]
stop_loss = "1%"

[policy.profit]
take_profit = "1%"

[[position]]
name = "stop"
policy = "stop"
opened = "first quote"
legs = [{ instrument = "btc-usdm", side = "long", entry = "first quote", qty = "0.5" }]

[[position]]
name = "profit"
policy = "profit"
opened = "first quote"
legs = [{ instrument = "btc-usdm", account = "other", side = "short", entry = "first quote", qty = "0.25" }]
"#;

fn config(scratch: &Scratch) -> PathBuf {
    scratch.write("good.toml", common::read(&data("cases/base.toml")) + POSITION)
}

/// A market of four seconds: a fall of 1.5 % at three.
fn market() -> Tape {
    let mut tape = Tape::default();
    for step in 0..200 {
        let bid = if step < 150 { "60000.0" } else { "59100.0" };
        let ask = if step < 150 { "60000.1" } else { "59100.1" };
        tape.quote(step * 20, "btc-usdm", (bid, "10"), (ask, "10"));
    }
    tape
}

/// Good configuration, good recording.
fn good(scratch: &Scratch) -> (PathBuf, PathBuf) {
    (config(scratch), market().save(scratch).remove(0))
}

/// Runs every command that reads recordings; each must refuse with words that contain `says`.
fn refused(config: &Path, recordings: &[PathBuf], says: &[&str]) {
    let case = format!("{recordings:?}");
    let mut explain = vec!["explain".into(), "--config".into(), config.to_owned()];
    explain.extend(recordings.iter().cloned());
    for output in [
        replay(config, recordings, &[]),
        replay(config, recordings, &["--json"]),
        replay(config, recordings, &["--verbose"]),
        reap(&explain),
    ] {
        assert_calm(&output, &case);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{case}: {error}");
        for word in says {
            assert!(error.contains(word), "{case}: {error} does not say {word}");
        }
        assert!(!text(&output.stdout).contains("decision"), "{case}: half a result");
    }
}

#[test]
fn a_recording_that_cannot_be_read_is_named_with_its_fault() {
    let scratch = Scratch::new();
    let (config, recording) = good(&scratch);
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("usdm-empty", Vec::new(), "is empty"),
        ("usdm-prose", b"Call me Ishmael.\nSome years ago".to_vec(), "line 1"),
        ("usdm-json", br#"{"stream":"btcusdt@bookTicker"}"#.to_vec(), "line 1"),
        ("usdm-early", b"17 {}\n".to_vec(), "line 1 has a receive time"),
        ("usdm-float", b"1767603600.5 {}\n".to_vec(), "line 1"),
        ("usdm-negative", b"-1767603600000000000 {}\n".to_vec(), "line 1"),
        ("usdm-future", b"99999999999999999999 {}\n".to_vec(), "line 1"),
        ("usdm-binary", (0..=255).collect(), "line 1"),
        ("usdm-timeless", b"1767603600000000000 {}\n{\"no\":\"time\"}\n".to_vec(), "line 2"),
        ("usdm-mixed", b"1767603600000000000 {}\n\n\nsoon {}\n".to_vec(), "line 4"),
        (
            "usdm-endless",
            [b"1767603600000000000 {}\n1767603600000000000 ".to_vec(), vec![b'['; 2 << 20]]
                .concat(),
            "line 2 is longer than",
        ),
        ("usdm-endless-first", vec![b'1'; 3 << 20], "line 1 is longer than"),
        ("usdm-magic", vec![0x1f, 0x8b], "gzip"),
        ("usdm-capture", b"1767603600.5: {}\nwss://x\n".to_vec(), "line 2"),
    ];
    for (name, content, says) in cases {
        let path = scratch.write(name, content);
        refused(&config, std::slice::from_ref(&path), &[name, says]);
        // Beside a good one too.
        refused(&config, &[recording.clone(), path], &[name, says]);
    }
    refused(&config, &[scratch.path("usdm-nowhere")], &["usdm-nowhere", "no such file"]);
    let folder = scratch.path("usdm-folder");
    std::fs::create_dir(&folder).unwrap();
    refused(&config, &[folder], &["usdm-folder", "directory"]);
    let file = recording.join("usdm-below-a-file");
    refused(&config, &[file], &["usdm-below-a-file"]);
}

#[test]
fn more_recordings_than_sources_are_refused() {
    let scratch = Scratch::new();
    let (config, recording) = good(&scratch);
    let max = reap_core::limits::SOURCES_MAX;
    let many = vec![recording; max + 1];
    assert_eq!(replay(&config, &many[..max], &[]).status.code(), Some(0));
    let bound = format!("at most {max}");
    refused(&config, &many, &["257 recordings", &bound]);
}

#[test]
fn a_broken_gzip_is_refused_wherever_it_breaks() {
    let scratch = Scratch::new();
    let (config, recording) = good(&scratch);
    let whole = std::fs::read(&recording).unwrap();
    for cut in
        [3, 9, 10, 11, 50, whole.len() / 2, whole.len() - 9, whole.len() - 8, whole.len() - 1]
    {
        let path = scratch.write("usdm-cut.gz", &whole[..cut]);
        refused(&config, &[path], &["usdm-cut.gz", "gzip"]);
    }
    // Every flipped byte behind the header, one of twenty: the checksum finds what the decoder
    // and the lines do not.
    for at in (10..whole.len()).step_by(20).chain(whole.len() - 8..whole.len()) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        let path = scratch.write("usdm-flipped.gz", &flipped);
        refused(&config, &[path], &["usdm-flipped.gz"]);
    }
    // Rubbish behind a whole stream is not overlooked either.
    let path = scratch.write("usdm-more.gz", [whole.as_slice(), b"and more"].concat());
    refused(&config, &[path], &["usdm-more.gz", "gzip"]);
    // Two streams one after the other are one recording.
    let twice = scratch.write("usdm-twice.gz", [whole.as_slice(), whole.as_slice()].concat());
    assert_eq!(replay(&config, &[twice], &[]).status.code(), Some(0));
}

#[test]
fn a_configuration_that_does_not_fit_is_named_with_its_fault() {
    let scratch = Scratch::new();
    let (config, recording) = good(&scratch);
    let nowhere = scratch.path("nowhere.toml");
    refused(&nowhere, std::slice::from_ref(&recording), &["nowhere.toml"]);
    let broken = common::read(&config).replace("\"1%\"", "1").replace("legs", "lges");
    let broken = scratch.write("broken.toml", broken);
    let all = ["broken.toml:", "policy.stop.stop_loss = 1", "policy.profit.take_profit", "lges"];
    refused(&broken, std::slice::from_ref(&recording), &all);
    let other = scratch.path("kraken.gz");
    std::fs::copy(&recording, &other).unwrap();
    refused(&config, &[recording, other], &["kraken.gz", "no [[source]]", "good.toml"]);
}

#[test]
fn what_is_asked_for_and_is_not_there_is_named() {
    let scratch = Scratch::new();
    let (config, recording) = good(&scratch);
    let (config, recording) = (config.display().to_string(), recording.display().to_string());
    let cases: [(&[&str], i32, &str); 9] = [
        (&["explain", &recording, "--config", &config, "--exit", "99"], 2, "--exit 99"),
        (&["explain", &recording, "--config", &config, "--exit", "0"], 2, "--exit 0"),
        (&["explain", &recording, "--config", &config, "--exit", "-1"], 2, "-1"),
        (&["explain", &recording, "--config", &config, "--position", "nope"], 2, "\"nope\""),
        (&["replay", &recording], 2, "--config"),
        (&["replay", "--config", &config], 2, "RECORDINGS"),
        (&["replay", &recording, "--config", &config, "--speed", "2x"], 2, "2x"),
        (&["replay", &recording, "--config", &config, "--jsno"], 2, "--jsno"),
        // Both positions have closed, and exit 1 is not of this one.
        (
            &["explain", &recording, "--config", &config, "--exit", "1", "--position", "profit"],
            1,
            "no exit to explain",
        ),
    ];
    for (args, code, says) in cases {
        let output = reap(args);
        assert_calm(&output, &format!("{args:?}"));
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {error}");
        assert!(error.contains(says) && output.stdout.is_empty(), "{args:?}: {error}");
    }
    let names = reap(&["explain", &recording, "--config", &config, "--position", "nope"]);
    assert!(text(&names.stderr).contains("there are stop, profit"), "{}", text(&names.stderr));
}

#[test]
fn what_cannot_be_written_is_an_error_and_who_stops_reading_is_none() {
    let scratch = Scratch::new();
    let (config, recording) = good(&scratch);
    let (config, recording) = (config.display().to_string(), recording.display().to_string());
    for args in [
        &["replay", &recording, "--config", &config][..],
        &["replay", &recording, "--config", &config, "--json"],
        &["replay", &recording, "--config", &config, "--verbose"],
        &["explain", &recording, "--config", &config],
        &["demo", "--seconds", "0"],
        &["demo", "--seconds", "0", "--json"],
    ] {
        let command = || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_reap"));
            command.args(args).stderr(Stdio::piped());
            command
        };
        if let Ok(full) = File::options().write(true).open("/dev/full") {
            let output = command().stdout(full).spawn().unwrap().wait_with_output().unwrap();
            assert_calm(&output, &format!("{args:?}"));
            let error = text(&output.stderr);
            assert_eq!(output.status.code(), Some(3), "{args:?}: {error}");
            assert!(error.contains("cannot be written"), "{args:?}: {error}");
        }
        // One byte is read, then nobody listens: as `| head -c 1`.
        let mut child = command().stdout(Stdio::piped()).spawn().unwrap();
        let mut pipe = child.stdout.take().unwrap();
        pipe.read_exact(&mut [0]).unwrap();
        drop(pipe);
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{args:?}");
    }
}

/// A hostile message and where it is counted: its kind, the list and the reason.
fn hostile() -> Vec<(String, &'static str, &'static str, &'static str)> {
    let bad = |bid: &str, bid_qty: &str, ask: &str, ask_qty: &str| {
        quote("btc-usdm", 10_000, 0, (bid, bid_qty), (ask, ask_qty))
    };
    let good = bad("1.0", "1", "1.1", "1");
    let edited = |from: &str, to: &str| {
        assert!(good.contains(from), "{good} has no {from}");
        good.replacen(from, to, 1)
    };
    let cut = |keep: usize| good[..keep].to_owned();
    let rejected = |kind, reason| move |raw: String| (raw, kind, "rejected", reason);
    let mut all = Vec::new();
    // Cut short, at every byte.
    all.extend((0..good.len()).map(cut).map(rejected("malformed", "json_truncated")));
    // Not JSON.
    let syntax = [
        "}",
        "nope",
        "'",
        "\u{0}",
        "\u{feff}{}",
        "{}{}",
        "{}x",
        "[1,]",
        "{\"a\":1,}",
        "01",
        "+1",
        ".5",
        "0x10",
        "NaN",
        "{a:1}",
        "{\"a\" 1}",
        "\"\u{1}\"",
        "tru\u{0}",
    ];
    all.extend(syntax.map(|raw| rejected("malformed", "json_syntax")(raw.into())));
    all.push(rejected("malformed", "json_syntax")(edited("\"1.0\"", "1.0.0")));
    all.push(rejected("malformed", "json_syntax")(format!("{good},")));
    // Deep and long.
    let deep = |depth: usize| format!("{{\"a\":{}", "[".repeat(depth));
    all.push(rejected("malformed", "json_depth")(deep(1_000)));
    all.push(rejected("malformed", "json_depth")(deep((1 << 20) - 5)));
    all.push(rejected("malformed", "json_truncated")(deep(60)));
    // Keys twice, and escapes in what is read.
    all.push(rejected("malformed", "json_duplicate_key")(edited("\"b\":", "\"b\":\"2.0\",\"b\":")));
    all.push(rejected("malformed", "json_duplicate_key")(edited("\"u\":", "\"u\":1,\"u\":")));
    all.push(rejected("malformed", "json_escape")(edited("\"b\":", "\"\\u0062\":")));
    // Numbers.
    for number in ["1e3", "1E-3", "1.23456789", "1.", ".5", "+1", " 1", "0x1", "1,5", "", "١", "∞"]
    {
        all.push(rejected("quote", "malformed")(bad(number, "1", "1.1", "1")));
        all.push(rejected("quote", "malformed")(bad("1.0", "1", "1.1", number)));
    }
    for number in ["99999999999999999999999999", "9223372036854775807", "281474976710656"] {
        all.push(rejected("quote", "malformed")(bad("1.0", "1", number, "1")));
    }
    all.push(rejected("quote", "field")(edited("\"1.0\"", "1.0")));
    all.push(rejected("quote", "field")(edited("\"1.0\"", "null")));
    all.push(rejected("quote", "field")(edited("\"1.0\"", "[\"1.0\"]")));
    all.push(rejected("quote", "field")(edited("\"1.0\"", "\"\\u0031\"")));
    all.push(rejected("quote", "field")(edited("\"u\":10000", "\"u\":\"10000\"")));
    all.push(rejected("quote", "field")(edited("\"u\":10000,", "")));
    all.push(rejected("quote", "field")(edited("\"u\":10000", "\"u\":-1")));
    all.push(rejected("quote", "field")(edited("\"u\":10000", "\"u\":18446744073709551616")));
    all.push(rejected("quote", "field")(edited("\"s\":\"BTCUSDT\",", "")));
    all.push(rejected("quote", "field")(edited("\"a\":\"1.1\",", "")));
    // Prices and sizes that no market has.
    all.push(rejected("quote", "not_positive")(bad("-1.0", "1", "1.1", "1")));
    all.push(rejected("quote", "not_positive")(bad("1.0", "-1", "1.1", "1")));
    all.push(rejected("quote", "not_positive")(bad("0.0", "1", "1.1", "1")));
    all.push(rejected("quote", "empty_side")(bad("1.0", "0", "1.1", "1")));
    all.push(rejected("quote", "empty_side")(bad("1.0", "1", "1.1", "0.000")));
    all.push(rejected("quote", "crossed")(bad("60000.2", "1", "60000.1", "1")));
    // Well-formed and of no use.
    let ignored = |kind, reason| move |raw: String| (raw, kind, "ignored", reason);
    all.push(ignored("quote", "unknown_symbol")(good.replace("BTC", "DOGE")));
    all.push(ignored("quote", "unknown_symbol")(edited("BTCUSDT", "")));
    all.push(ignored("quote", "unknown_symbol")(edited("BTCUSDT", &"B".repeat(100_000))));
    all.push(ignored("unknown", "unknown_shape")("{}".into()));
    all.push(ignored("unknown", "unknown_shape")("{\"b\":\"1\"}".into()));
    all.push(ignored("other_data", "not_used")(edited("\"bookTicker\"", "\"bookTickler\"")));
    all.push(ignored("quote", "older_update_id")(edited("\"u\":10000", "\"u\":1")));
    all
}

fn counted(json: &Value, list: &str, name: &str) -> u64 {
    json[list][name].as_u64().unwrap_or_default()
}

#[test]
fn hostile_messages_are_counted_by_reason_and_move_nothing() {
    let scratch = Scratch::new();
    let (config, recording) = good(&scratch);
    let calm = replay_json(&config, &[recording]);
    assert_eq!(calm["exits"].as_array().unwrap().len(), 2);
    assert_eq!(calm["messages"], json!({ "quote": 200 }));
    for (raw, kind, list, reason) in hostile() {
        let shown = &raw[..raw.len().min(200)];
        // Among good messages, well before the fall; good ones make it fresh again.
        let scratch = Scratch::new();
        let mut tape = market();
        let usdm = tape.files("usdm");
        let at = usdm.iter().position(|(at, _)| *at >= 1_000).unwrap();
        usdm.insert(at, (1_000, raw.clone().into_bytes()));
        let json = replay_json(&config, &tape.save(&scratch));
        assert_eq!(json["exits"], calm["exits"], "{shown}");
        assert_eq!(counted(&json, list, reason), 1, "{reason}: {shown} {}", json[list]);
        let quotes = if kind == "quote" { 201 } else { 200 };
        assert_eq!(counted(&json, "messages", "quote"), quotes, "{shown}");
        if kind != "quote" {
            assert_eq!(counted(&json, "messages", kind), 1, "{shown}: {}", json["messages"]);
        }
        for other in ["ignored", "rejected"] {
            let sum: u64 = json[other]
                .as_object()
                .unwrap()
                .values()
                .map(|count| count.as_u64().unwrap())
                .sum();
            assert_eq!(sum, u64::from(other == list), "{shown}: {}", json[other]);
        }
    }
}

#[test]
fn all_of_them_at_once_are_as_harmless() {
    let scratch = Scratch::new();
    let (config, recording) = good(&scratch);
    let calm = replay_json(&config, &[recording]);
    let other = Scratch::new();
    let mut tape = market();
    let usdm = tape.files("usdm");
    let (mut all, hostile) = (Vec::new(), hostile());
    for (nth, (at, message)) in usdm.drain(..).enumerate() {
        // Not in the second in which the exits are worked.
        if (10..140).contains(&nth) {
            let some = hostile.iter().skip(nth - 10).step_by(130);
            all.extend(some.map(|(raw, ..)| (at - 10, raw.clone().into_bytes())));
        }
        all.push((at, message));
    }
    assert_eq!(all.len(), 200 + hostile.len());
    *usdm = all;
    let json = replay_json(&config, &tape.save(&other));
    assert_eq!(json["exits"], calm["exits"]);
    for list in ["ignored", "rejected"] {
        for (reason, count) in json[list].as_object().unwrap() {
            let expected = hostile.iter().filter(|(_, _, of, name)| of == &list && name == reason);
            assert_eq!(count.as_u64(), Some(expected.count() as u64), "{list} {reason}");
        }
    }
}

const PAIR: &str = r#"
[policy.pair]
fees = "gross"
basis = "0.5%"

[[position]]
name = "pair"
policy = "pair"
opened = "2026-01-05T08:00:00Z"
legs = [
  { instrument = "btc-spot", side = "long", entry = "60000", qty = "0.5" },
  { instrument = "btc-usdm", side = "short", entry = "60000", qty = "0.5" },
]
"#;

/// When the pair closes, in milliseconds, with this message of its futures leg at 1500.
fn pair_closes(message: Option<String>) -> u64 {
    let scratch = Scratch::new();
    let config = scratch.write("pair.toml", common::read(&data("cases/base.toml")) + PAIR);
    let mut tape = Tape::default();
    tape.line("1000 btc-spot 60000.00 60000.01");
    tape.line("1400 btc-usdm 60000.0 60000.1");
    if let Some(message) = message {
        tape.raw(1_500, "btc-usdm", message);
    }
    // From here on the rule holds at the last good prices.
    tape.line("1600 btc-spot 60310.00 60310.01");
    // A repeated id with the same bid and ask is a good quote, after a refused one too.
    tape.raw(1_700, "btc-usdm", quote("btc-usdm", 2, 0, ("60000.0", "10"), ("60000.1", "10")));
    tape.line("1800 btc-usdm 60000.0 60000.1");
    tape.line("1900 btc-spot 60310.00 60310.01");
    let json = replay_json(&config, &tape.save(&scratch));
    assert_eq!(json["exits"].as_array().unwrap().len(), 1, "{json}");
    (json["exits"][0]["at_ns"].as_u64().unwrap() - common::START) / 1_000_000
}

#[test]
fn a_refused_quote_makes_its_leg_wait_for_a_good_one() {
    let futures = |bid, ask| Some(quote("btc-usdm", 3, 0, (bid, "1"), (ask, "1")));
    assert_eq!(pair_closes(None), 1_600);
    assert_eq!(pair_closes(futures("60000.2", "60000.1")), 1_700, "crossed");
    assert_eq!(pair_closes(futures("60000.0", "-60000.1")), 1_700, "negative");
    assert_eq!(pair_closes(futures("60000.0", "6e4")), 1_700, "an exponent");
    assert_eq!(pair_closes(futures("6000.0", "6000.1")), 1_750, "a jump is held for 250 ms");
    // Nothing of these is about its price.
    assert_eq!(pair_closes(Some("{".into())), 1_600, "no message");
    let older = quote("btc-usdm", 1, 0, ("60900.0", "1"), ("60900.1", "1"));
    assert_eq!(pair_closes(Some(older)), 1_600, "an older one");
    let other = quote("doge-usdm", 3, 0, ("2.0", "1"), ("1.0", "1"));
    assert_eq!(pair_closes(Some(other)), 1_600, "another symbol's");
}
