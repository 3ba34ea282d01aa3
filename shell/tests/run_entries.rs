//! `reap run` as a process that enters: a task on paper, and a reversal with its orders over sockets,
//! where the venue's own books are the evidence.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use common::{START, Scratch, Tape, assert_calm, reap, text};
use serde_json::{Value, json};

const COMMON: &str = r#"
[gates]
liveness = "1h"
max_leg_skew = "1min"

[[source]]
venue = "usdm"
match = "usdm"

[venue.usdm]
kind = "binance_usdm"
taker = "0.05%"
maker = "0.02%"
latency = "20ms"

[instrument.perp]
venue = "usdm"
symbol = "ETHUSDT"
quote = "USDT"
tick = "0.01"
lot = "0.001"
min_notional = "20 USDT"
max_quote_age = "1h"
"#;

const TASK: &str = r#"
[[source]]
venue = "spot"
match = "spot"

[venue.spot]
kind = "bybit_spot"
taker = "0.1%"
maker = "0.1%"
latency = "20ms"

[instrument.eth]
venue = "spot"
symbol = "ETHUSDT"
quote = "USDT"
tick = "0.01"
lot = "0.001"
min_notional = "5 USDT"
max_quote_age = "1h"

[policy.clock]
deadline = "2s"

[task.carry]
policy = "clock"
spot = "eth"
futures = "perp"
size = "3000 USDT"
cycles = 1
"#;

const TURN: &str = r#"
[policy.turns]
reversal = { at = "1%", enter = true }

[[position]]
name = "eth"
policy = "turns"
opened = "2026-01-05T08:00:00Z"
legs = [{ instrument = "perp", side = "long", entry = "2900", qty = "2" }]

[[signal]]
after = "2s"
instrument = "perp"
side = "short"
"#;

fn run(scratch: &Scratch, mode: &str, own: &str, recordings: &[PathBuf]) -> Value {
    let log = scratch.path("orders");
    let config = format!(
        "[run]\nlayout = \"single\"\nlog = {log:?}\n{COMMON}{own}\n[sim]\nspeed = 10\ntls = false\n\
         lead = \"3s\"\nrecordings = {recordings:?}\n"
    );
    let config = scratch.write("run.toml", config);
    let args: [&OsStr; 6] = [
        "run".as_ref(),
        "--config".as_ref(),
        config.as_ref(),
        "--mode".as_ref(),
        mode.as_ref(),
        "--json".as_ref(),
    ];
    let output = reap(&args);
    assert_calm(&output, mode);
    let said = text(&output.stdout);
    let json: Value = serde_json::from_str(said).unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!(json["ok"], true, "{json:#}");
    json
}

/// Six seconds of a market at rest.
fn market(scratch: &Scratch, spot: bool) -> Vec<PathBuf> {
    let mut tape = Tape::default();
    for step in 0..60u64 {
        let at = step * 100;
        if spot {
            let (time, update) = (START / 1_000_000 + at, step + 1);
            let message = format!(
                r#"{{"topic":"orderbook.1.ETHUSDT","ts":{time},"type":"snapshot","data":{{"s":"ETHUSDT","b":[["2999.99","9"]],"a":[["3000.00","9"]],"u":{update},"seq":7}},"cts":{time}}}"#
            );
            tape.raw(at, "eth-spot", message);
        }
        tape.quote(at + 1, "eth-usdm", ("3000.00", "9"), ("3000.01", "9"));
    }
    tape.save(scratch)
}

fn logged(dir: &Path) -> bool {
    std::fs::read_dir(dir).is_ok_and(|entries| entries.count() > 0)
}

#[test]
fn a_task_runs_on_paper_and_stands_in_the_report() {
    let scratch = Scratch::new();
    let recordings = market(&scratch, true);
    let json = run(&scratch, "paper", TASK, &recordings);
    assert_eq!(json["tasks"][0]["state"], "done", "{json:#}");
    assert_eq!(json["tasks"][0]["cycles"], 1);
    assert_eq!(json["exits"][0]["position"], "carry#1");
    assert_eq!(json["exits"][0]["reason"], "deadline");
    assert!(logged(&scratch.path("orders").join("paper")));
}

#[test]
fn a_reversal_enters_over_sockets_and_the_venues_books_agree() {
    let scratch = Scratch::new();
    let recordings = market(&scratch, false);
    let json = run(&scratch, "sim", TURN, &recordings);
    assert_eq!(json["exits"][0]["position"], "eth", "{json:#}");
    assert_eq!(json["exits"][0]["reason"], "reversal");
    assert_eq!(json["open"][0]["position"], "eth#1");
    assert_eq!(json["open"][0]["open"], json!(["2"]));
    assert_eq!(json["books_agree"], true, "sold twice: {json:#}");
}
