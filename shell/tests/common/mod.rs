//! What the tests of the commands share: the process, recordings of their own, recorded data, and
//! expectations in files.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use flate2::read::MultiGzDecoder;
use reap_core::units::Nanos;
use reap_feed::recording::RecordingWriter;
use serde_json::Value;

/// 2026-01-05 09:00:00 UTC, when the tests' own recordings begin.
pub(crate) const START: u64 = 1_767_603_600_000_000_000;
const MILLI: u64 = 1_000_000;

/// Runs `reap` to its end.
pub(crate) fn reap<S: AsRef<OsStr>>(args: &[S]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_reap")).args(args).output().unwrap()
}

/// Runs `reap replay`.
pub(crate) fn replay(config: &Path, recordings: &[PathBuf], more: &[&str]) -> Output {
    let mut args: Vec<&OsStr> = vec!["replay".as_ref(), "--config".as_ref(), config.as_ref()];
    args.extend(recordings.iter().map(|path| path.as_os_str()));
    args.extend(more.iter().map(OsStr::new));
    reap(&args)
}

/// Runs `reap replay --json`, which must end well.
pub(crate) fn replay_json(config: &Path, recordings: &[PathBuf]) -> Value {
    let output = replay(config, recordings, &["--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// What is never shown to anyone: a panic.
pub(crate) fn assert_calm(output: &Output, case: &str) {
    let error = text(&output.stderr);
    assert!(!error.contains("panicked") && !error.contains("RUST_BACKTRACE"), "{case}: {error}");
    assert!(output.status.code().is_some(), "{case}: ended by a signal: {error}");
}

/// A file of the shipped configurations.
pub(crate) fn config(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name)
}

/// A file below `tests`.
pub(crate) fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Files of the recorded data, or `None` and a line that says so.
#[expect(clippy::print_stdout, reason = "who skips says so")]
pub(crate) fn recorded(names: &[&str]) -> Option<Vec<PathBuf>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let paths: Vec<PathBuf> = names.iter().map(|name| root.join(name)).collect();
    let missing = paths.iter().find(|path| !path.exists());
    if let Some(path) = missing {
        println!("skipped: {} is not here", path.display());
        return None;
    }
    Some(paths)
}

pub(crate) const RECORDINGS_2024: [&str; 4] = [
    "recordings/binance_spot_btcusdt_20240808.gz",
    "recordings/binance_spot_ethusdt_20240808.gz",
    "recordings/binance_usdm_btcusdt_20240808.gz",
    "recordings/binance_usdm_ethusdt_20240808.gz",
];
pub(crate) const RECORDINGS_2023: [&str; 2] =
    ["recordings/binance_spot_btcusdt_20230405.gz", "recordings/binance_usdm_btcusdt_20230405.gz"];

/// The whole text of a recording, packed or not.
pub(crate) fn unpacked(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap();
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return String::from_utf8(bytes).unwrap();
    }
    let mut text = String::new();
    MultiGzDecoder::new(bytes.as_slice()).read_to_string(&mut text).unwrap();
    text
}

/// Compares with a file below `tests`, or writes it anew when `UPDATE=1` asks for it.
pub(crate) fn compare(name: &str, found: &str) {
    let path = data(name);
    if std::env::var_os("UPDATE").is_some_and(|value| value == "1") {
        std::fs::write(path, found).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    for (index, (expected, found)) in expected.lines().zip(found.lines()).enumerate() {
        assert_eq!(found, expected, "{name}:{}; UPDATE=1 writes it anew", index + 1);
    }
    assert_eq!(found.lines().count(), expected.lines().count(), "{name}; UPDATE=1 writes it anew");
}

/// A folder of a test's own, gone with it.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("reap-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed stays: the folder is temporary anyway.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A small market of the test's own: Binance messages of spot and USD-M instruments, by file.
///
/// An instrument is written `btc-spot` or `btc-usdm`; its messages come in the file of its venue.
#[derive(Default)]
pub(crate) struct Tape {
    files: BTreeMap<String, Vec<(u64, Vec<u8>)>>,
    updates: u64,
}

impl Tape {
    /// Best prices, `at` milliseconds after [`START`].
    pub(crate) fn quote(
        &mut self,
        at: u64,
        instrument: &str,
        bid: (&str, &str),
        ask: (&str, &str),
    ) {
        self.updates += 1;
        let message = quote(instrument, self.updates, at, bid, ask);
        self.raw(at, instrument, message);
    }

    /// A mark price with the rate of the settlement `settles` milliseconds after [`START`].
    pub(crate) fn mark(&mut self, at: u64, instrument: &str, mark: &str, rate: &str, settles: u64) {
        let (symbol, _) = symbol(instrument);
        let (lower, time, settles) =
            (symbol.to_lowercase(), venue_millis(at), venue_millis(settles));
        let message = format!(
            r#"{{"stream":"{lower}@markPrice@1s","data":{{"e":"markPriceUpdate","E":{time},"s":"{symbol}","p":"{mark}","P":"{mark}","i":"{mark}","r":"{rate}","T":{settles}}}}}"#
        );
        self.raw(at, instrument, message);
    }

    /// A trade; what the buyer did not take is the seller's.
    pub(crate) fn trade(&mut self, at: u64, instrument: &str, price: &str, qty: &str, sold: bool) {
        self.updates += 1;
        let (symbol, _) = symbol(instrument);
        let (lower, time, id) = (symbol.to_lowercase(), venue_millis(at), self.updates);
        let message = format!(
            r#"{{"stream":"{lower}@trade","data":{{"e":"trade","E":{time},"T":{time},"s":"{symbol}","t":{id},"p":"{price}","q":"{qty}","X":"MARKET","m":{sold}}}}}"#
        );
        self.raw(at, instrument, message);
    }

    /// Any bytes of the instrument's venue.
    pub(crate) fn raw(&mut self, at: u64, instrument: &str, message: impl Into<Vec<u8>>) {
        let (_, venue) = symbol(instrument);
        self.files.entry(venue).or_default().push((at, message.into()));
    }

    /// The messages of a venue's file, with their milliseconds.
    pub(crate) fn files(&mut self, venue: &str) -> &mut Vec<(u64, Vec<u8>)> {
        self.files.entry(venue.into()).or_default()
    }

    /// Reads one line of a case: `MILLISECONDS INSTRUMENT BID ASK [BID_QTY ASK_QTY]`,
    /// `… mark PRICE RATE SETTLES` or `… trade PRICE QTY [sell]`.
    pub(crate) fn line(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words[0].parse().unwrap_or_else(|_| panic!("{line}: no time"));
        match words[1..] {
            [instrument, "mark", price, rate, settles] => {
                self.mark(at, instrument, price, rate, settles.parse().unwrap());
            }
            [instrument, "trade", price, qty] => self.trade(at, instrument, price, qty, false),
            [instrument, "trade", price, qty, "sell"] => {
                self.trade(at, instrument, price, qty, true);
            }
            [instrument, bid, ask] => self.quote(at, instrument, (bid, "10"), (ask, "10")),
            [instrument, bid, ask, bid_qty, ask_qty] => {
                self.quote(at, instrument, (bid, bid_qty), (ask, ask_qty));
            }
            _ => panic!("{line}: no quote, mark or trade"),
        }
    }

    /// Writes one packed recording for each venue.
    pub(crate) fn save(&self, scratch: &Scratch) -> Vec<PathBuf> {
        let save = |(venue, messages): (&String, &Vec<(u64, Vec<u8>)>)| {
            let path = scratch.path(&format!("{venue}.gz"));
            let mut writer = RecordingWriter::create(&path).unwrap();
            for (at, message) in messages {
                writer.write(Nanos(START + at * MILLI), message).unwrap();
            }
            writer.finish().unwrap();
            path
        };
        self.files.iter().map(save).collect()
    }
}

/// Symbol and venue of `btc-usdm`.
fn symbol(instrument: &str) -> (String, String) {
    let (coin, venue) = instrument.split_once('-').unwrap();
    (format!("{}USDT", coin.to_uppercase()), venue.into())
}

fn venue_millis(at: u64) -> u64 {
    START / MILLI + at
}

/// A `bookTicker` message in the wording of the instrument's venue.
pub(crate) fn quote(
    instrument: &str,
    update: u64,
    at: u64,
    (bid, bid_qty): (&str, &str),
    (ask, ask_qty): (&str, &str),
) -> String {
    let (symbol, venue) = symbol(instrument);
    let (lower, time) = (symbol.to_lowercase(), venue_millis(at));
    let prices = format!(
        r#""u":{update},"s":"{symbol}","b":"{bid}","B":"{bid_qty}","a":"{ask}","A":"{ask_qty}""#
    );
    let data = if venue == "spot" {
        prices
    } else {
        format!(r#""e":"bookTicker",{prices},"T":{time},"E":{time}"#)
    };
    format!(r#"{{"stream":"{lower}@bookTicker","data":{{{data}}}}}"#)
}

/// A case of a file of cases: `== name`, a configuration behind `base.toml`, and a market in lines
/// that begin with `@`. What it gives stands below in lines that begin with `>`.
pub(crate) struct Case {
    pub(crate) name: String,
    /// Everything but the expectation, as it stands in the file.
    pub(crate) input: String,
    pub(crate) scratch: Scratch,
    pub(crate) config: PathBuf,
    pub(crate) recordings: Vec<PathBuf>,
}

/// Reads a file of cases below `tests`, runs each through `run`, and compares what it says.
pub(crate) fn check_cases(name: &str, run: impl Fn(&Case) -> Vec<String>) {
    let base = read(&data("cases/base.toml"));
    let file = read(&data(name));
    let mut parts = file.split("\n== ");
    let mut found = format!("{}\n", parts.next().unwrap());
    for part in parts {
        let (name, body) = part.split_once('\n').unwrap();
        let input: Vec<&str> = body.lines().filter(|line| !line.starts_with('>')).collect();
        let input = input.join("\n").trim_end().to_owned();
        let mut tape = Tape::default();
        let mut config = base.clone();
        for line in input.lines() {
            match line.strip_prefix("@ ") {
                Some(line) => tape.line(line),
                None => config += &format!("{line}\n"),
            }
        }
        let scratch = Scratch::new();
        let config = scratch.write("case.toml", config);
        let recordings = tape.save(&scratch);
        let case = Case { name: name.into(), input, scratch, config, recordings };
        found += &format!("== {name}\n{}\n", case.input);
        for line in run(&case) {
            found += format!("> {line}").trim_end();
            found.push('\n');
        }
        found.push('\n');
    }
    compare(name, &format!("{}\n", found.trim_end()));
}
