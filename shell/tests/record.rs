//! `reap record` over sockets against simulated venues, and replays of what it wrote.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reap_core::units::Nanos;
use reap_feed::recording::{Item, Recording};
use reap_shell::sim::{Market, MarketVenue};
use serde_json::Value;

use common::{START, config, read, reap, replay_json, text};

const SEED: u64 = 11;

/// A folder of this test, empty.
fn scratch(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("reap-record-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

/// The shipped simulated run, faster, with time for connections to be made first.
fn sim(dir: &Path, speed: u32, tls: bool) -> PathBuf {
    let shipped = read(&config("run-sim.toml"));
    let table = format!("seed = {SEED}\nspeed = {speed}\nlead = \"2s\"\ntls = {tls}\n");
    let text = shipped.replacen("seed = 7\nspeed = 30\n", &table, 1);
    assert_ne!(text, shipped, "run-sim.toml has another [sim]");
    let path = dir.join("sim.toml");
    std::fs::write(&path, text).unwrap();
    path
}

/// One venue alone: half of the file, without positions.
fn one_venue(dir: &Path) -> PathBuf {
    let path = dir.join("one.toml");
    let text = format!(
        "[sim]\nseed = {SEED}\nspeed = 100\n\
         [venue.binance]\nkind = \"binance_usdm\"\ntaker = \"0.05%\"\nmaker = \"0.02%\"\n\
         [instrument.btc]\nvenue = \"binance\"\nsymbol = \"BTCUSDT\"\nquote = \"USDT\"\n\
         tick = \"0.10\"\nlot = \"0.001\"\nmin_notional = \"100 USDT\"\n"
    );
    std::fs::write(&path, text).unwrap();
    path
}

fn record(config: &Path, out: &Path, more: &[&str]) -> Vec<String> {
    let mut args = vec!["record", "--config", config.to_str().unwrap(), "--out"];
    args.push(out.to_str().unwrap());
    args.extend(more);
    args.into_iter().map(str::to_owned).collect()
}

fn spawn(args: &[String]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_reap"))
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Every message with its time; the file must be whole.
fn messages(path: &Path) -> Vec<(Nanos, Vec<u8>)> {
    let mut recording = Recording::open(path).unwrap();
    let mut all = Vec::new();
    while let Some(item) = recording.next().unwrap() {
        let Item::Received { received, raw } = item else { panic!("{item:?}") };
        all.push((received, raw.to_vec()));
    }
    all
}

/// What a message is about: one connection carries all of a topic, in order.
fn topic(raw: &[u8]) -> String {
    let message: Value = serde_json::from_slice(raw).unwrap();
    match message["topic"].as_str() {
        Some(topic) => topic.to_owned(),
        None => format!("{}@{}", message["s"], message["e"]),
    }
}

/// The generator's messages of a venue by topic, as the venue sends them: Binance's without their
/// wrapping, for single streams.
fn generated(venue: MarketVenue, until: Nanos) -> HashMap<String, VecDeque<Vec<u8>>> {
    let mut market = Market::new(SEED, Nanos(START), Market::DEMO_LENGTH);
    let mut topics: HashMap<String, VecDeque<Vec<u8>>> = HashMap::new();
    while let Some(frame) = market.next_frame() {
        if frame.at > until {
            break;
        }
        if frame.venue != venue {
            continue;
        }
        let whole: &[u8] = frame.raw;
        let raw = match venue {
            MarketVenue::Bybit if whole.starts_with(b"{\"success\"") => continue,
            MarketVenue::Bybit => whole,
            MarketVenue::Binance => {
                let key = b"\"data\":";
                let Some(at) = whole.windows(key.len()).position(|part| part == key) else {
                    continue;
                };
                &whole[at + key.len()..whole.len() - 1]
            }
        };
        topics.entry(topic(raw)).or_default().push_back(raw.to_vec());
    }
    topics
}

/// What a venue sent stands in the file: byte for byte, in the order of its topic, from the first
/// message on. Only a book that Bybit repeats because it does not change may come twice.
fn compare(path: &Path, venue: MarketVenue) -> usize {
    let recorded = messages(path);
    let times: Vec<Nanos> = recorded.iter().map(|(time, _)| *time).collect();
    assert!(times.is_sorted(), "receive times go back");
    assert!(times[0] >= Nanos(START), "{:?}", times[0]);
    let mut expected = generated(venue, *times.last().unwrap());
    let mut newest: HashMap<String, Vec<u8>> = HashMap::new();
    for (at, raw) in &recorded {
        let topic = topic(raw);
        let left = expected.get_mut(&topic).unwrap();
        if left.front() == Some(raw) {
            left.pop_front();
            newest.insert(topic, raw.clone());
        } else {
            let repeats = topic.starts_with("orderbook.") && newest.get(&topic) == Some(raw);
            assert!(repeats, "{at:?}: {} in place of {:?}", text(raw), left.front());
        }
    }
    assert!(newest.len() >= expected.len(), "topics without a message");
    recorded.len()
}

#[test]
fn what_the_venues_send_is_recorded_and_replays() {
    let dir = scratch("sim");
    let config = sim(&dir, 100, true);
    let args = record(&config, &dir.join("out.gz"), &["--for", "5", "--json"]);
    let output = reap(&args);
    let told = format!("{} {}", text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{told}");
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&said["ok"], &said["dropped"]), (&true.into(), &0.into()), "{said}");
    let files = ["binance", "bybit"].map(|venue| dir.join(format!("out.{venue}.gz")));
    for ((file, venue), at) in files.iter().zip([MarketVenue::Binance, MarketVenue::Bybit]).zip(0..)
    {
        let count = compare(file, venue);
        assert!(count > 1_000, "{count} messages");
        assert_eq!(said["files"][at]["messages"], count);
        let bytes = std::fs::metadata(file).unwrap().len();
        assert_eq!(said["files"][at]["bytes"], bytes);
    }
    assert!(said["control"].as_u64().unwrap() >= 3, "a subscription each is answered: {said}");
    // The names say whose they are: there is no [[source]] here.
    let replayed = replay_json(&config, &files);
    for (kind, count) in said["messages"].as_object().unwrap() {
        if !["ack", "pong"].contains(&kind.as_str()) {
            assert_eq!(&replayed["messages"][kind], count, "{kind}: {replayed}");
        }
    }
    assert_eq!(replayed["rejected"], serde_json::json!({}));
}

#[test]
fn an_existing_file_is_kept_unless_forced() {
    let dir = scratch("exists");
    let config = sim(&dir, 100, false);
    std::fs::write(dir.join("out.bybit.gz"), "precious").unwrap();
    let args = record(&config, &dir.join("out.gz"), &["--for", "3"]);
    let output = reap(&args);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
    let why = text(&output.stderr);
    assert!(why.contains("out.bybit.gz: exists already") && why.contains("--force"), "{why}");
    assert_eq!(read(&dir.join("out.bybit.gz")), "precious");
    assert!(!dir.join("out.binance.gz").exists(), "nothing is left of a refused recording");
    let mut forced = args;
    forced.push("--force".into());
    let output = reap(&forced);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(!messages(&dir.join("out.bybit.gz")).is_empty());
    let told = text(&output.stdout);
    assert!(told.starts_with("records the simulated market\nbinance into "), "{told}");
    assert!(told.contains("binance public: live\n") && told.contains("the time is up"), "{told}");
}

/// A signal ends it in order; being killed leaves what was flushed.
#[test]
fn a_signal_finishes_the_file_and_a_kill_leaves_it_readable() {
    let dir = scratch("signal");
    let config = one_venue(&dir);
    for signal in ["-INT", "-TERM", "-KILL"] {
        let out = dir.join(format!("out{signal}.gz"));
        let mut child = spawn(&record(&config, &out, &["--json"]));
        let begun = Instant::now();
        while std::fs::metadata(&out).map_or(0, |file| file.len()) == 0 {
            assert!(begun.elapsed() < Duration::from_secs(20), "nothing is flushed");
            assert!(child.try_wait().unwrap().is_none(), "ended by itself");
            std::thread::sleep(Duration::from_millis(20));
        }
        let done = Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(done.unwrap().success());
        let output = child.wait_with_output().unwrap();
        let messages = messages(&out);
        assert!(!messages.is_empty());
        if signal == "-KILL" {
            continue;
        }
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(said["ended"], format!("stopped by SIG{}", &signal[1..]));
        assert_eq!(said["files"][0]["messages"], messages.len());
        let topics: HashSet<String> = messages.iter().map(|(_, raw)| topic(raw)).collect();
        assert!(topics.iter().all(|topic| topic.starts_with("\"BTCUSDT\"@")), "{topics:?}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_ends_it_in_words() {
    let dir = scratch("full");
    let config = one_venue(&dir);
    let args = record(&config, Path::new("/dev/full"), &["--force", "--for", "60", "--json"]);
    let output = reap(&args);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stdout));
    let why = text(&output.stderr);
    assert!(why.contains("/dev/full: ") && why.contains("No space left"), "{why}");
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&said["ok"], &said["files"][0]["messages"]), (&false.into(), &0.into()), "{said}");
    assert_eq!(said["ended"], "a file cannot be written");
}
