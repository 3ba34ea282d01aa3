//! A network that goes away without a word: `reap run` in one network namespace, its venue in
//! another, and between them a cable that is pulled. No FIN and no RST ever comes.
//!
//! Namespaces need root, `unshare`, `nsenter` and `ip`; without them the test says so and skips.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests are tests")]

mod venue_client;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use reap_core::units::Nanos;
use reap_shell::clock::LiveClock;
use reap_shell::sim::server::{SimKind, SimVenue};
use rustix::process::{Pid, Signal, kill_process};

use venue_client::{bybit_best, config as sim_config};

/// Nothing here takes longer unless it is broken.
const PATIENCE: Duration = Duration::from_secs(30);
/// Where the venue listens, beyond the cable. Clear text is for loopback addresses only, so both
/// namespaces are told that this network is not their own.
const VENUE: &str = "127.77.0.2:7000";
/// What the configuration calls silence.
const SILENCE: Duration = Duration::from_secs(2);

/// A process that is killed with the test.
struct Guarded(Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Guarded {
    /// Runs a command in this process's network; whether it went well.
    fn inside(&self, line: &str) -> bool {
        let pid = self.0.id().to_string();
        let mut command = Command::new("nsenter");
        let done = command.args(["-t", &pid, "-n", "sh", "-c", line]).output();
        match done {
            Ok(output) if output.status.success() => true,
            Ok(output) => {
                println!("{line}: {}", String::from_utf8_lossy(&output.stderr));
                false
            }
            Err(_) => false,
        }
    }
}

/// A process alone in a network of its own.
fn alone(program: &Path, args: &[&str]) -> Option<Guarded> {
    let mut command = Command::new("unshare");
    command.arg("--net").arg(program).args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = Guarded(command.stderr(Stdio::null()).spawn().ok()?);
    // Its network is there when it says its first word.
    let mut first = [0];
    child.0.stdout.as_mut()?.read_exact(&mut first).ok()?;
    Some(child)
}

/// One end of the cable.
fn plug(end: &Guarded, device: &str, address: &str) -> bool {
    end.inside(&format!(
        "ip link set lo up && echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet && \
         ip addr add {address}/24 dev {device} && ip link set {device} up && \
         ip route del local 127.0.0.0/8 dev lo table local"
    ))
}

/// Two networks and a cable; `None` where this machine has none to give.
fn networks() -> Option<(Guarded, Guarded)> {
    let own = std::env::current_exe().unwrap();
    let near = alone(Path::new("sh"), &["-c", "echo up; cat"])?;
    let venue = alone(&own, &["--exact", "the_venue", "--ignored", "--nocapture"])?;
    let far = venue.0.id();
    let cable = format!("ip link add near type veth peer name far && ip link set far netns {far}");
    let plugged = near.inside(&cable)
        && plug(&near, "near", "127.77.0.1")
        && plug(&venue, "far", "127.77.0.2");
    plugged.then_some((near, venue))
}

/// The venue's process: it listens as soon as its network is there, and quotes for ever.
#[test]
#[ignore = "a process of the test below"]
fn the_venue() {
    let clock = LiveClock::live();
    let started = Instant::now();
    let _venue = loop {
        let begin = clock.now();
        let message = move |n: u64| {
            let text = bybit_best("BTCUSDT", "100.0", "100.1", n + 1);
            (begin.plus(Nanos::from_millis(100 * n)), text.into_bytes())
        };
        let mut config = sim_config(SimKind::Bybit);
        config.listen = VENUE.parse().unwrap();
        match SimVenue::start(config, Box::new((0..10_000).map(message)), Arc::new(clock.clone())) {
            Ok(venue) => break venue,
            Err(error) => assert!(started.elapsed() < PATIENCE, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    // Until the test that began it ends.
    let _ = std::io::stdin().read(&mut [0]);
}

fn config(folder: &Path) -> PathBuf {
    let text = format!(
        "[run]\nmode = \"paper\"\nexecution = \"park\"\nlog = {:?}\nstop_timeout = \"1s\"\n\
         [venue.v]\nkind = \"bybit_linear\"\ntaker = \"0.05%\"\nmaker = \"0.02%\"\n\
         endpoint = \"ws://{VENUE}\"\nsilence = \"{} s\"\n\
         [instrument.btc]\nvenue = \"v\"\nsymbol = \"BTCUSDT\"\nquote = \"USDT\"\n\
         tick = \"0.10\"\nlot = \"0.001\"\nmin_notional = \"5 USDT\"\n\
         [policy.far]\ntake_profit = \"50%\"\n\
         [[position]]\nname = \"held\"\npolicy = \"far\"\nopened = \"first quote\"\n\
         legs = [{{ instrument = \"btc\", side = \"long\", entry = \"first quote\", qty = \"0.1\" }}]\n",
        folder.join("orders"),
        SILENCE.as_secs(),
    );
    let path = folder.join("far.toml");
    std::fs::write(&path, text).unwrap();
    path
}

/// A process whose lines come as they are written.
struct Lines {
    child: Guarded,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Lines {
    fn of(mut command: Command) -> Self {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut child = Guarded(child);
        let (send, lines) = channel();
        let out = BufReader::new(child.0.stdout.take().unwrap());
        std::thread::spawn(move || {
            out.lines().map_while(Result::ok).try_for_each(|line| send.send(line))
        });
        Self { child, lines, seen: Vec::new() }
    }

    /// Waits for a line, from the next one on, that has all of these words; how long it took.
    fn wait_for(&mut self, words: &[&str]) -> Duration {
        let begin = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(begin.elapsed());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("no {words:?} in {:#?}", self.seen)
            };
            let found = words.iter().all(|word| line.contains(word));
            self.seen.push(line);
            if found {
                return begin.elapsed();
            }
        }
    }
}

#[test]
fn f2_a_cable_that_is_pulled_is_noticed_and_survived() {
    let Some((near, venue)) = networks() else {
        println!("skipped: no network namespaces here (root, unshare, nsenter and ip are needed)");
        return;
    };
    let folder = std::env::temp_dir().join(format!("reap-half-open-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let mut command = Command::new("nsenter");
    command.args(["-t", &near.0.id().to_string(), "-n", env!("CARGO_BIN_EXE_reap"), "run"]);
    command.arg("--config").arg(config(&folder));
    let mut run = Lines::of(command);
    run.wait_for(&["held: open"]);

    // Pulled at the far end: here the address, the route and the connection stay as they are.
    assert!(venue.inside("ip link set far down"));
    let noticed = run.wait_for(&["v public", "lost"]);
    assert!(noticed < 2 * SILENCE + Duration::from_secs(1), "noticed after {noticed:?}");
    assert!(near.inside("test -z \"$(ss -Htn state established dst 127.77.0.2)\""), "still held");
    run.wait_for(&["v public", "trying again"]);
    assert!(venue.inside("ip link set far up"));
    run.wait_for(&["v public", "live"]);

    let pid = Pid::from_raw(i32::try_from(run.child.0.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    run.wait_for(&["stopped by SIGINT"]);
    std::fs::remove_dir_all(&folder).unwrap();
}
