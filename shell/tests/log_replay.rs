//! `reap replay --log`: a run decided again from its own logs, as a process; the input log itself.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests are tests")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use reap_core::event::Event;
use reap_core::instrument::{InstrumentId, SourceId};
use reap_core::log::{HEADER_LEN, Reader, Record};
use reap_core::tick::{Quote, Stamp, Tick, TickBody};
use reap_core::units::{Nanos, Price};
use reap_shell::live::tap::{Tap, Tapped};
use reap_shell::order_log::{InputLog, LogError, LogSettings, OrderLog, SEGMENT_MIN, view_inputs};
use serde_json::Value;

use common::{Scratch, config, read, text};

/// The simulated market of ten minutes in ten seconds, its logs in the test's folder.
fn sim(scratch: &Scratch, run: &str) -> PathBuf {
    let log = format!("mode = \"sim\"\nlog = {:?}\n{run}", scratch.path("orders"));
    let text = read(&config("run-sim.toml")).replace("mode = \"sim\"", &log);
    scratch.write("run.toml", text.replace("speed = 30", "speed = 60"))
}

fn reap(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reap"));
    command.args(words);
    command
}

fn again(dir: &Path, more: &[&str]) -> Output {
    reap(&["replay", "--log"]).arg(dir).args(more).output().unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

#[test]
fn a_run_is_decided_again_alike_and_a_change_of_its_inputs_shows_where() {
    let scratch = Scratch::new();
    let config = sim(&scratch, "");
    let ran = reap(&["run", "--json", "--config"]).arg(&config).output().unwrap();
    // On a busy machine an order may be given up for silence: it is decided again all the same.
    assert!(matches!(ran.status.code(), Some(0 | 1)), "{ran:?}");
    let dir = scratch.path("orders").join("sim");

    let output = again(&dir, &["--json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let found = json(&output);
    assert_eq!((&found["alike"], &found["cut"]), (&Value::Bool(true), &Value::Null), "{found}");
    let (inputs, decisions) = (found["inputs"].as_u64(), found["decisions"].as_u64());
    println!("{} inputs, {} decisions", inputs.unwrap(), decisions.unwrap());
    assert!(inputs > Some(10_000) && decisions >= Some(2), "{found}");
    assert_eq!(text(&again(&dir, &["--epoch", "1"]).stdout).lines().count(), 1);

    // What it was given is not what it decided on: the first decision that this touches is named.
    let path = dir.join("inputs-00001-000001.log");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, moved(&bytes)).unwrap();
    let output = again(&dir, &["--json"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let difference = &json(&output)["difference"];
    assert!(difference["input"].as_u64() > Some(1), "{difference}");
    assert!(text(&again(&dir, &[]).stdout).contains("DIFFERS after input"), "{output:?}");

    // The configuration is a part of the record.
    fs::write(&path, &bytes).unwrap();
    assert_eq!(again(&dir, &[]).status.code(), Some(0));
    let kept = dir.join("config-00001.toml");
    fs::write(&kept, read(&kept) + "\n# changed\n").unwrap();
    let output = again(&dir, &[]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(text(&output.stderr).contains("has changed since run 1"), "{output:?}");
}

/// The same records, the first instrument a little dearer.
fn moved(bytes: &[u8]) -> Vec<u8> {
    let mut reader = Reader::new(bytes).unwrap();
    let header = *reader.header();
    let mut out = header.encode().to_vec();
    for entry in reader.by_ref() {
        let record = match entry.record {
            Record::Tick(tick) if tick.instrument() == InstrumentId(0) => match tick.body() {
                TickBody::Quote(quote) => {
                    let dearer = |price: Price| Price::new(price.raw() * 1_002 / 1_000).unwrap();
                    let (bid, ask) = (dearer(quote.bid), dearer(quote.ask));
                    let quote = Quote { bid, ask, ..quote };
                    Record::Tick(Tick::quote(InstrumentId(0), tick.stamp(), quote))
                }
                _ => Record::Tick(tick),
            },
            other => other,
        };
        let at = out.len();
        out.resize(at + record.encoded_len(), 0);
        header.encoder().encode(entry.sequence, entry.at, &record, &mut out[at..]).unwrap();
    }
    out.resize(bytes.len(), 0);
    out
}

#[test]
fn p11_what_a_killed_process_had_written_is_decided_again_alike() {
    let scratch = Scratch::new();
    let config = sim(&scratch, "");
    let mut child = reap(&["run", "--config"])
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let dir = scratch.path("orders").join("sim");
    let orders = dir.join("orders-00001-000001.log");
    // In the middle of its exits.
    let end = Instant::now() + Duration::from_secs(40);
    let decided = || {
        let bytes = fs::read(&orders).unwrap_or_default();
        let records = Reader::new(&bytes).into_iter().flatten();
        records.filter(|entry| matches!(entry.record, Record::Intent(_))).count()
    };
    while decided() < 2 {
        assert!(Instant::now() < end && child.try_wait().unwrap().is_none(), "{}", decided());
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let output = again(&dir, &["--json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let found = json(&output);
    assert!(found["cut"].as_str().unwrap().contains("was killed"), "{found}");
    let (came, not) = (found["decisions"].as_u64().unwrap(), found["unproven"].as_u64().unwrap());
    assert!(came + not >= 2, "{found}");
}

#[test]
fn without_an_input_log_it_says_how_to_have_one() {
    let scratch = Scratch::new();
    let config = sim(&scratch, "input_log_mib = 0");
    let ran = reap(&["run", "--for", "1", "--config"]).arg(&config).output().unwrap();
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    let output = again(&scratch.path("orders").join("sim"), &[]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(text(&output.stderr).contains("write input_log_mib = 1024 under [run]"), "{output:?}");
    let output = reap(&["replay"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(text(&output.stderr).contains("--config <CONFIG>"), "{output:?}");
    let output = again(&scratch.path("nowhere"), &[]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

fn tick(at: u64) -> Tick {
    let stamp = Stamp {
        source: SourceId(0),
        received: Nanos(at),
        update_id: at,
        venue_lag_us: 0,
        reset: false,
    };
    Tick::alive(stamp)
}

#[test]
fn the_log_ends_at_its_limit_and_every_record_before_is_whole() {
    let scratch = Scratch::new();
    let dir = scratch.path("log");
    let settings = LogSettings { segment_bytes: SEGMENT_MIN, fingerprint: 7, ..Default::default() };
    let orders = OrderLog::open(&dir, Nanos(1), settings).unwrap();
    let mut log = InputLog::begin(&orders, Nanos(1), "x = 1\n", 3 * SEGMENT_MIN).unwrap();
    let mut written = 0u64;
    let error = loop {
        match log.append(Nanos(written), &Record::Tick(tick(written))) {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, LogError::InputsFull { .. }), "{error}");
    assert!(error.to_string().contains("raise [run] input_log_mib"), "{error}");
    let segments: Vec<_> = view_inputs(&dir).unwrap().map(Result::unwrap).collect();
    assert_eq!(segments.len(), 3);
    assert!(segments.iter().all(reap_shell::order_log::SegmentView::is_whole));
    let entries = segments.iter().flat_map(|segment| &segment.entries);
    assert!(entries.clone().zip(0..).all(|(entry, at)| entry.record == Record::Tick(tick(at))));
    assert_eq!(entries.count() as u64, written);
    let room = 3 * (SEGMENT_MIN - HEADER_LEN as u64);
    let record = Record::Tick(tick(0)).encoded_len() as u64;
    assert!(room - written * record < 3 * record, "{written} of {record} in {room}");
    assert_eq!(fs::read_to_string(dir.join("config-00001.toml")).unwrap(), "x = 1\n");
}

/// FAULTS P20: whoever writes may stand still, the engine does not.
#[test]
fn p20_a_writer_that_stands_still_costs_records_which_are_counted_in_their_place() {
    let (mut tap, mut tapped) = Tap::new();
    let room = tapped.capacity() as u64;
    for at in 0..room + 10 {
        tap.event(Nanos(at), &Event::Tick(tick(at)));
    }
    for at in 0..room {
        assert!(matches!(tapped.pop(), Some(Tapped::Event(Nanos(was), _)) if was == at));
    }
    assert!(tapped.pop().is_none());
    tap.event(Nanos(room + 10), &Event::Timer);
    assert!(matches!(tapped.pop(), Some(Tapped::Lost(_, 10))));
    assert!(matches!(tapped.pop(), Some(Tapped::Event(_, Event::Timer))));
    // Without an input log nothing is kept.
    Tap::default().event(Nanos(1), &Event::Timer);
}
