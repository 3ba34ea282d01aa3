//! `reap run` as a process: how it ends, what it refuses, what it says of what it left.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests are tests")]

mod common;

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use common::{Scratch, Tape, assert_calm, config, read, text};

/// Nothing here takes longer unless it is broken.
const PATIENCE: Duration = Duration::from_secs(40);

/// The shipped simulation, with its order log in the test's folder and these edits.
fn sim(scratch: &Scratch, edits: &[(&str, &str)]) -> PathBuf {
    let log = format!("mode = \"sim\"\nlog = {:?}", scratch.path("orders"));
    let mut text = read(&config("run-sim.toml")).replace("mode = \"sim\"", &log);
    for (old, new) in edits {
        assert!(text.contains(old), "run-sim.toml has no {old}");
        text = text.replace(old, new);
    }
    scratch.write("run.toml", text)
}

fn command(config: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reap"));
    command.arg("run").arg("--config").arg(config).args(more);
    command
}

/// A running process whose lines come as they are written.
struct Running {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (send, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            out.lines().map_while(Result::ok).try_for_each(|line| send.send(line))
        });
        Self { child, lines, seen: Vec::new() }
    }

    /// Waits for a line with these words.
    fn wait_for(&mut self, words: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.seen.iter().any(|line| line.contains(words)) {
            let left = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.seen.push(line),
                Err(_) => panic!("no {words:?} in {:#?}", self.seen),
            }
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Exit code, everything on stdout, everything on stderr.
    fn end(mut self) -> (Option<i32>, String, String) {
        let end = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > end {
                self.child.kill().unwrap();
                panic!("it does not end: {:#?}", self.seen);
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        self.seen.extend(self.lines.iter());
        let mut error = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
        assert!(!error.contains("panicked"), "{error}");
        (status.code(), self.seen.join("\n"), error)
    }
}

/// Refused before it begins: exit code 2, these words, nothing on stdout.
fn refused(output: &Output, words: &[&str]) {
    let error = text(&output.stderr);
    assert_calm(output, "run");
    assert_eq!(output.status.code(), Some(2), "{error}");
    for word in words {
        assert!(error.contains(word), "{error} does not say {word}");
    }
    assert_eq!(text(&output.stdout), "", "{error}");
}

/// Ends it in its middle and reads what it says of what it left.
fn stopped_by(signal: Signal, name: &str) {
    let scratch = Scratch::new();
    // So slow that nothing but the signal ends it; the desk looks on while a second one is refused.
    let config = sim(&scratch, &[("speed = 30", "speed = 2")]);
    let mut running = Running::start(command(&config, &[]));
    running.wait_for("mode sim");
    for position in ["btc-pair", "eth-pair", "eth-swing", "sol-stop", "btc-patient"] {
        running.wait_for(&format!("{position}: open"));
    }
    let second = command(&config, &[]).output().unwrap();
    let process = format!("process {}", running.child.id());
    refused(&second, &["is held by another process", &process, "two instances"]);
    let begin = Instant::now();
    running.signal(signal);
    let (code, out, error) = running.end();
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    assert!(out.contains(&format!("stopped by {name}")), "{out}\n{error}");
    for left in ["btc-pair", "eth-pair", "eth-swing", "sol-stop", "btc-patient"] {
        let last = out.split("left open").nth(1).unwrap_or_default();
        assert!(last.contains(left), "{left}:\n{out}");
    }
    assert!(out.contains("the venues' own books agree with what is left open"), "{out}");
    assert_eq!(code, Some(0), "{out}\n{error}");
}

#[test]
fn sigint_ends_it_in_order_and_says_what_it_leaves() {
    stopped_by(Signal::INT, "SIGINT");
}

#[test]
fn sigterm_ends_it_in_order_and_says_what_it_leaves() {
    stopped_by(Signal::TERM, "SIGTERM");
}

#[test]
fn stopped_before_everything_is_open_the_books_agree_all_the_same() {
    let scratch = Scratch::new();
    let mut running = Running::start(command(&sim(&scratch, &[("speed = 30", "speed = 1")]), &[]));
    running.wait_for("mode sim");
    running.signal(Signal::INT);
    let (code, out, error) = running.end();
    assert!(out.contains("never opened"), "{out}");
    assert!(out.contains("the venues' own books agree with what is left open"), "{out}");
    assert_eq!(code, Some(0), "{out}\n{error}");
}

/// A wrapper may pass on what its whole group has got: the same signal twice is one wish.
#[test]
fn an_echo_of_a_signal_is_no_second_one() {
    let scratch = Scratch::new();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = paper(&scratch, &format!("ws://{gone}"), "");
    let mut running = Running::start(command(&config, &[]));
    running.wait_for("refused the connection");
    running.signal(Signal::INT);
    running.signal(Signal::INT);
    let (code, out, error) = running.end();
    assert_eq!(code, Some(0), "{out}\n{error}");
    assert!(out.contains("stopped by SIGINT"), "{out}");
}

/// Two venues on paper, reached at this endpoint.
fn paper(scratch: &Scratch, endpoint: &str, more: &str) -> PathBuf {
    let log = format!("log = {:?}", scratch.path("orders"));
    let text = read(&config("run-paper.toml")).replace("log = \"reap-orders\"", &log);
    let text =
        text.replace("maker = \"0.02%\"", &format!("maker = \"0.02%\"\nendpoint = {endpoint:?}"));
    scratch.write("paper.toml", text + more)
}

#[test]
fn an_endpoint_that_refuses_is_told_and_tried_again_until_it_is_asked_to_stop() {
    let scratch = Scratch::new();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = paper(&scratch, &format!("ws://{gone}"), "");
    let mut running = Running::start(command(&config, &[]));
    running.wait_for("mode paper");
    for venue in ["binance public", "binance market", "bybit public"] {
        running.wait_for(&format!("{venue}: {gone} refused the connection"));
    }
    // Somebody listens there now: whoever goes on trying comes by.
    let listener = TcpListener::bind(gone).unwrap();
    listener.set_nonblocking(true).unwrap();
    let end = Instant::now() + PATIENCE;
    let mut tries = 0;
    while tries < 4 {
        assert!(Instant::now() < end, "{tries} connections only");
        match listener.accept() {
            Ok(_) => tries += 1,
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    running.signal(Signal::INT);
    let (_, out, error) = running.end();
    assert!(out.contains("stopped by SIGINT"), "{out}\n{error}");
}

#[test]
fn a_second_signal_ends_a_stop_that_waits_but_an_echo_does_not() {
    let scratch = Scratch::new();
    // Four seconds pass before the venue says a word of an order; the stop would wait for it.
    let config = sim(
        &scratch,
        &[
            ("speed = 30", "speed = 5"),
            ("[venue.bybit]\n", "[venue.bybit]\nlatency = \"20s\"\n"),
            ("mode = \"sim\"\n", "mode = \"sim\"\nstop_timeout = \"60s\"\n"),
            ("[[position]]\nname = \"btc-pair\"", CLOSE),
        ],
    );
    let mut running = Running::start(command(&config, &[]));
    running.wait_for("btc-patient: sell");
    let begin = Instant::now();
    running.signal(Signal::INT);
    std::thread::sleep(Duration::from_millis(50));
    running.signal(Signal::INT);
    std::thread::sleep(Duration::from_millis(250));
    assert!(running.child.try_wait().unwrap().is_none(), "an echo ended it");
    std::thread::sleep(Duration::from_millis(500));
    running.signal(Signal::INT);
    let (code, out, error) = running.end();
    assert_eq!(code, Some(130), "{out}\n{error}");
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
}

/// An operator's close of one position, before the first position of the example.
const CLOSE: &str = "[[close]]\nposition = \"btc-patient\"\nafter = \"40s\"\nurgency = \"critical\"\n\
                     \n[[position]]\nname = \"btc-pair\"";

#[test]
fn json_is_one_object_with_its_keys() {
    let scratch = Scratch::new();
    let output = command(&sim(&scratch, &[]), &["--for", "3", "--json"]).output().unwrap();
    assert_calm(&output, "json");
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    let keys = [
        "ok",
        "mode",
        "ended",
        "exits",
        "net",
        "open",
        "in_flight",
        "venues",
        "books_agree",
        "books_unread",
        "latency",
        "threads",
        "counters",
    ];
    for key in keys {
        assert!(object.get(key).is_some(), "{key} is missing: {object}");
    }
    assert_eq!((&object["mode"], &object["ended"]), (&"sim".into(), &"the time is up".into()));
    assert_eq!(object["books_agree"], true, "{object}");
    for count in ["quotes", "conflated", "lagged", "notes_lost", "unlogged", "alarms"] {
        assert!(object["counters"][count].is_u64(), "{count}: {object}");
    }
    assert_eq!(text(&output.stdout).trim().lines().count(), 1, "one line");
}

#[test]
fn nobody_reads_any_more() {
    let scratch = Scratch::new();
    let mut child = command(&sim(&scratch, &[]), &[])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut first).unwrap();
    assert!(first.starts_with("mode sim"), "{first}");
    drop(out);
    let end = Instant::now() + Duration::from_secs(15);
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < end, "it goes on though nobody reads");
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    assert!(!text(&output.stderr).contains("panicked"));
}

#[test]
fn real_orders_need_both_words() {
    let scratch = Scratch::new();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = paper(&scratch, &format!("ws://{gone}"), "");
    let output = command(&config, &["--live"]).output().unwrap();
    refused(&output, &["--live", "mode = \"paper\"", "write mode = \"live\" there"]);
    let keys = KEYS.to_owned();
    let live = read(&paper(&scratch, &format!("ws://{gone}"), &keys));
    let live = scratch.write("live.toml", live.replace("mode = \"paper\"", "mode = \"live\""));
    let output = command(&live, &[]).output().unwrap();
    refused(&output, &["sends real orders", "--live", "--mode paper"]);
    let output = command(&live, &["--live", "--mode", "paper"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

/// What a file needs for real orders beside the word.
const KEYS: &str = r#"
[policy.pair.exit]
max_unhedged = "1000 USDT"

[account.main.binance]
key_env = "REAP_TEST_KEY"
secret_env = "REAP_TEST_SECRET"

[account.main.bybit]
key_env = "REAP_TEST_BYBIT_KEY"
secret_env = "REAP_TEST_BYBIT_SECRET"
"#;

#[test]
fn s1_missing_keys_are_named_and_those_that_are_there_never_shown() {
    let scratch = Scratch::new();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let live = read(&paper(&scratch, &format!("ws://{gone}"), KEYS));
    let live = scratch.write("live.toml", live.replace("mode = \"paper\"", "mode = \"live\""));
    let base = || {
        let mut command = command(&live, &["--live"]);
        command.env_remove("REAP_TEST_KEY").env_remove("REAP_TEST_SECRET");
        command.env("REAP_TEST_BYBIT_KEY", "canary-aaaaaaaaaa");
        command.env("REAP_TEST_BYBIT_SECRET", "canary-bbbbbbbbbb");
        command
    };
    let output = base().output().unwrap();
    refused(&output, &["binance/main", "REAP_TEST_KEY", "not set"]);
    let output = base().env("REAP_TEST_KEY", "canary-0123456789").output().unwrap();
    refused(&output, &["REAP_TEST_SECRET", "not set"]);
    assert!(!text(&output.stderr).contains("canary"), "{}", text(&output.stderr));
    // With both it runs, fails to connect, and still shows neither.
    let mut whole = base();
    whole.env("REAP_TEST_KEY", "canary-0123456789").env("REAP_TEST_SECRET", "canary-9876543210");
    let mut running = Running::start(whole);
    running.wait_for("refused the connection");
    running.signal(Signal::TERM);
    let (_, out, error) = running.end();
    assert!(out.contains("stopped by SIGTERM"), "{out}\n{error}");
    assert!(!out.contains("canary") && !error.contains("canary"), "{out}\n{error}");
}

#[test]
fn a_core_that_the_process_may_not_use_is_refused_by_its_number() {
    let scratch = Scratch::new();
    let config = sim(&scratch, &[("mode = \"sim\"", "mode = \"sim\"\ncores = { engine = 8000 }")]);
    let output = command(&config, &[]).output().unwrap();
    refused(&output, &["run.cores.engine = 8000", "may only use", "choose among those"]);
}

#[test]
fn authorities_that_cannot_be_read_are_named() {
    let scratch = Scratch::new();
    let pem = scratch.write("none.pem", "no certificate at all\n");
    for (root, words) in
        [(scratch.path("absent.pem"), ["venue.binance.root", "absent.pem"]), (pem, ["PEM", ""])]
    {
        let config = paper(&scratch, "wss://127.0.0.1:1", "");
        let text = read(&config).replacen("endpoint", &format!("root = {root:?}\nendpoint"), 1);
        let config = scratch.write("root.toml", text);
        refused(&command(&config, &[]).output().unwrap(), &words);
    }
}

#[test]
fn p6_a_log_that_cannot_be_written_stops_it_before_anything_begins() {
    let scratch = Scratch::new();
    let config = sim(&scratch, &[]);
    // A file in the way.
    scratch.write("orders", "in the way");
    refused(&command(&config, &[]).output().unwrap(), &["orders", "cannot be"]);
    std::fs::remove_file(scratch.path("orders")).unwrap();
    // A place where nobody may write, not even root.
    let orders = format!("{:?}", scratch.path("orders"));
    let there = scratch.write("sys.toml", read(&config).replace(&orders, "\"/sys/reap-orders\""));
    refused(&command(&there, &[]).output().unwrap(), &["/sys/reap-orders", "order log directory"]);
    // A disk without room, played by a limit of the size of files: eight blocks.
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$@\"", "sh"])
        .arg(env!("CARGO_BIN_EXE_reap"))
        .args(["run", "--config"])
        .arg(&config)
        .output()
        .unwrap();
    refused(&output, &["orders-00001-000001.log", "order log directory"]);
    let left = std::fs::read_dir(scratch.path("orders/sim")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["orders.lock"], "nothing but the lock is left behind");
}

#[test]
fn p6_a_full_disk_is_named_with_its_remedy() {
    let scratch = Scratch::new();
    let disk = scratch.path("disk");
    std::fs::create_dir(&disk).unwrap();
    let mount =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(&disk).output();
    if !mount.is_ok_and(|output| output.status.success()) {
        println!("skipped: this user may not mount a small disk");
        return;
    }
    let orders = format!("{:?}", scratch.path("orders"));
    let text = read(&sim(&scratch, &[])).replace(&orders, &format!("{:?}", disk.join("orders")));
    let output = command(&scratch.write("full.toml", text), &[]).output().unwrap();
    let unmounted = Command::new("umount").arg(&disk).status().unwrap();
    assert!(unmounted.success());
    refused(&output, &["no room for", "free space or move the order log directory"]);
}

/// A leader that no position holds: the run subscribes to it, hears it, and exits by it.
#[test]
fn a_leader_that_nobody_holds_is_followed() {
    let scratch = Scratch::new();
    let mut tape = Tape::default();
    for step in 0..40u64 {
        // 1.5 % within four seconds, and nothing happens to what is held.
        let fallen = if step < 20 { 60_000 } else { 59_100 };
        let (bid, ask) = (format!("{fallen}.0"), format!("{fallen}.1"));
        tape.quote(step * 200, "btc-usdm", (&bid, "10"), (&ask, "10"));
        tape.quote(step * 200 + 100, "eth-usdm", ("3000.00", "10"), ("3000.01", "10"));
    }
    let recordings = tape.save(&scratch);
    let text = format!(
        r#"
[run]
mode = "sim"
log = {:?}

[sim]
recordings = [{:?}]
speed = 4

[venue.usdm]
kind = "binance_usdm"
taker = "0.05%"
maker = "0.02%"

[instrument.btc]
venue = "usdm"
symbol = "BTCUSDT"
quote = "USDT"
tick = "0.10"
lot = "0.001"

[instrument.eth]
venue = "usdm"
symbol = "ETHUSDT"
quote = "USDT"
tick = "0.01"
lot = "0.001"

[policy.led]
correlation = {{ leaders = ["btc"], drop = "1.4%", default_rho = 0.75 }}

[[position]]
name = "ether"
policy = "led"
opened = "first quote"
legs = [{{ instrument = "eth", side = "long", entry = "first quote", qty = "2" }}]
"#,
        scratch.path("orders"),
        recordings[0]
    );
    let config = scratch.write("run.toml", text);
    let (code, out, error) = Running::start(command(&config, &[])).end();
    assert_eq!(code, Some(0), "{out}\n{error}");
    for words in ["ether: a correlated dump is detected, led by btc", "correlation", "closed"] {
        assert!(out.contains(words), "no {words:?} in\n{out}\n{error}");
    }
}
