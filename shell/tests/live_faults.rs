//! The whole product against venues that mean no good, beside one that is healthy: every line ends
//! in a named state, memory stays bounded, and the healthy venue's position opens and closes.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests are tests")]

mod desk;
mod venue_client;

use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reap_core::event::SourceChange;
use reap_core::instrument::SourceId;
use reap_core::units::Nanos;
use reap_shell::clock::LiveClock;
use reap_shell::config::{Config, Mode};
use reap_shell::live::drive::{Driven, Ending, Until, drive};
use reap_shell::live::engine::{Feed, Sink};
use reap_shell::live::layout::{Idle, Place};
use reap_shell::live::run::{Run, Watched};
use reap_shell::live::runner::{Agent, Pulse, RunnerSettings, spawn};
use reap_shell::live::stats::{Stats, stats};
use reap_shell::live::watch::Watch;
use reap_shell::sim::server::{SimKind, SimVenue};
use tungstenite::handshake::derive_accept_key;

use desk::{Desk, Folder, Rooms};
use venue_client::{bybit_best, config as sim_config, with_tls};

/// Nothing here takes longer unless it is broken.
const PATIENCE: Duration = Duration::from_secs(45);

/// A server that does the same evil to everyone who connects.
struct Hostile {
    addr: SocketAddr,
    stop: Arc<AtomicBool>,
}

impl Hostile {
    fn raw(evil: impl Fn(TcpStream, &AtomicBool) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let addr = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, evil) = (Arc::clone(&stop), Arc::new(evil));
        std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        stream.set_nonblocking(false).unwrap();
                        let timeout = Some(Duration::from_secs(1));
                        stream.set_write_timeout(timeout).unwrap();
                        stream.set_read_timeout(timeout).unwrap();
                        let (evil, stopped) = (Arc::clone(&evil), Arc::clone(&stopped));
                        std::thread::spawn(move || evil(stream, &stopped));
                    }
                    Err(_) => std::thread::sleep(Duration::from_millis(2)),
                }
            }
        });
        Self { addr, stop }
    }

    /// Evil after a decent handshake. What is written is written again and again after `head`.
    fn ws(head: &'static [u8], again: &'static [u8]) -> Self {
        Self::raw(move |mut stream, stop| {
            if upgrade(&mut stream).is_none() || stream.write_all(head).is_err() {
                return;
            }
            while !stop.load(Ordering::Relaxed) && !again.is_empty() {
                if stream.write_all(again).is_err() {
                    return;
                }
                // What is tiny goes on and on; only floods are written as fast as they are taken.
                if again.len() < 16 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            hold(&mut stream, stop);
        })
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn upgrade(stream: &mut TcpStream) -> Option<()> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let text = String::from_utf8(head).ok()?;
    let key = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim().to_owned())
    })?;
    let accept = derive_accept_key(key.as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).ok()
}

/// Says nothing until the other side goes.
fn hold(stream: &mut TcpStream, stop: &AtomicBool) {
    let mut buffer = [0; 1024];
    while !stop.load(Ordering::Relaxed) {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return,
        }
    }
}

/// A valid WebSocket text frame of nearly the largest size; its text is no JSON.
fn junk() -> &'static [u8] {
    let body = "[1,".repeat(20_000);
    let mut frame = vec![0x81, 126];
    frame.extend_from_slice(&u16::try_from(body.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(body.as_bytes());
    frame.leak()
}

/// A market that only rises: five basis points with each message, twenty a second.
fn healthy(clock: &LiveClock) -> SimVenue {
    let begin = clock.now();
    let message = move |n: u64| {
        let bid = 10_000 + 5 * n;
        let text = bybit_best("BTCUSDT", &format!("{bid}.0"), &format!("{bid}.1"), n + 1);
        (begin.plus(Nanos::from_millis(50 * n)), text.into_bytes())
    };
    let feed = Box::new((0..100_000).map(message));
    SimVenue::start(sim_config(SimKind::Bybit), feed, Arc::new(clock.clone())).unwrap()
}

fn instrument(text: &mut String, name: &str, venue: &str) {
    write!(
        text,
        "\n[instrument.{name}]\nvenue = \"{venue}\"\nsymbol = \"BTCUSDT\"\nquote = \"USDT\"\n\
         tick = \"0.10\"\nlot = \"0.001\"\nmin_notional = \"5 USDT\"\n\
         \n[[position]]\nname = \"on-{name}\"\npolicy = \"profit\"\nopened = \"first quote\"\n\
         legs = [{{ instrument = \"{name}\", side = \"long\", entry = \"first quote\", qty = \"0.1\" }}]\n"
    )
    .unwrap();
}

fn config(hostile: &[(&str, String)], healthy: &SimVenue) -> Config {
    let mut text = "[run]\nmode = \"paper\"\nexecution = \"park\"\nstop_timeout = \"1s\"\n\n\
                    [policy.profit]\ntake_profit = \"1%\"\nstop_loss = \"50%\"\n"
        .to_owned();
    let good = ("good", format!("ws://{}", healthy.addr()));
    for (name, endpoint) in hostile.iter().chain([&good]) {
        let kind = if *name == "good" { "bybit_linear" } else { "binance_usdm" };
        write!(
            text,
            "\n[venue.{name}]\nkind = \"{kind}\"\ntaker = \"0.05%\"\nmaker = \"0.02%\"\n\
             endpoint = \"{endpoint}\"\n"
        )
        .unwrap();
        instrument(&mut text, &format!("btc-{name}"), name);
    }
    Config::parse("faults.toml", &text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Resident pages of this process, as bytes.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// Runs until `enough` lines are there, or patience ends.
fn run_until(
    config: Config,
    mode: Mode,
    enough: &dyn Fn(&[String]) -> bool,
) -> (Vec<String>, Driven) {
    let folder = Folder::new();
    let lines = std::cell::RefCell::new(Vec::new());
    let mut tell = |_, line: &str| {
        let mut lines = lines.borrow_mut();
        lines.push(line.to_owned());
        !enough(&lines)
    };
    let until = Until { span: Some(PATIENCE), cuts: Vec::new() };
    let driven = drive(config, mode, &folder.0, &until, &mut |_| {}, &mut tell).unwrap();
    (lines.into_inner(), driven)
}

fn told(lines: &[String], venue: &str, what: &str) -> bool {
    lines.iter().any(|line| line.starts_with(&format!("{venue} ")) && line.contains(what))
}

fn closed(lines: &[String]) -> bool {
    lines.iter().any(|line| line.starts_with("on-btc-good: filled"))
}

#[test]
fn f1_f18_f19_f20_f27_hostile_venues_end_in_named_states_and_the_healthy_one_trades() {
    let clock = LiveClock::live();
    let good = healthy(&clock);
    let (secure, _root) = with_tls(sim_config(SimKind::BinanceUsdm));
    let secure = SimVenue::start(secure, Box::new(std::iter::empty()), Arc::new(clock)).unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let servers = [
        // A text frame of eight gigabytes, and its bytes.
        (
            "gigabytes",
            Hostile::ws(&[0x81, 127, 0, 0, 0, 2, 0, 0, 0, 0], &[b' '; 65_536]),
            "the bound is 65536",
        ),
        // A message in pieces of one byte that never ends.
        ("fragments", Hostile::ws(&[0x01, 1, b'x'], &[0x00, 1, b'x']), "more than 256 fragments"),
        // One piece, and then pings for ever.
        ("endless", Hostile::ws(&[0x01, 1, b'x'], &[0x89, 0]), "was not complete"),
        ("masked", Hostile::ws(&[0x81, 0x81, 1, 2, 3, 4, 5], &[]), "is masked"),
        ("utf8", Hostile::ws(&[0x81, 2, 0xff, 0xfe], &[]), "not UTF-8"),
        ("junk", Hostile::ws(&[], junk()), "too many messages cannot be read"),
        (
            "half",
            Hostile::raw(|mut stream, stop| {
                drop(stream.write_all(b"HTTP/1.1 101 Switching Pro"));
                hold(&mut stream, stop);
            }),
            "took longer than its limit",
        ),
        ("mute", Hostile::raw(|mut stream, stop| hold(&mut stream, stop)), "took longer than"),
        ("rude", Hostile::raw(|stream, _| drop(stream)), "closed the connection during"),
    ];
    let mut hostile: Vec<_> =
        servers.iter().map(|(name, server, _)| (*name, format!("ws://{}", server.addr))).collect();
    let mut expected: Vec<_> = servers.iter().map(|(name, _, what)| (*name, *what)).collect();
    hostile.push(("cert", format!("wss://{}", secure.addr())));
    expected.push(("cert", "issuer is not trusted"));
    hostile.push(("gone", format!("ws://{gone}")));
    expected.push(("gone", "refused the connection"));

    let before = resident();
    let most = Arc::new(AtomicU64::new(before));
    let (peak, over) = (Arc::clone(&most), Arc::new(AtomicBool::new(false)));
    let ended = Arc::clone(&over);
    let sampler = std::thread::spawn(move || {
        while !ended.load(Ordering::Relaxed) {
            peak.fetch_max(resident(), Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let all = |lines: &[String]| {
        closed(lines) && expected.iter().all(|(venue, what)| told(lines, venue, what))
    };
    let (lines, driven) = run_until(config(&hostile, &good), Mode::Paper, &all);
    over.store(true, Ordering::Relaxed);
    sampler.join().unwrap();

    let shown =
        lines.iter().map(|line| &line[..line.len().min(200)]).collect::<Vec<_>>().join("\n");
    for (venue, what) in &expected {
        assert!(told(&lines, venue, what), "{venue} never says {what}:\n{shown}");
    }
    assert!(closed(&lines), "the healthy venue's position closes:\n{shown}");
    assert!(!told(&lines, "good", "lost"), "the healthy venue's line lives:\n{shown}");
    assert_eq!(driven.ending, Ending::Unread, "{shown}");
    assert_eq!(driven.outcome.unlogged + driven.outcome.notes_lost, 0);
    assert!(driven.in_flight.is_empty());
    let grown = most.load(Ordering::Relaxed).saturating_sub(before) >> 20;
    println!("resident memory grew by {grown} MiB");
    // Rings and the log's segments are a part of it.
    assert!(grown < 96, "resident memory grew by {grown} MiB");
}

#[test]
fn a_dry_run_ends_at_once_and_claims_no_order_in_flight() {
    let clock = LiveClock::live();
    let good = healthy(&clock);
    let begin = Instant::now();
    let decided = |lines: &[String]| lines.iter().any(|line| line.starts_with("on-btc-good: sell"));
    let mut config = config(&[], &good);
    config.run.as_mut().unwrap().stop_timeout = Nanos::from_secs(3_000);
    let (lines, driven) = run_until(config, Mode::DryRun, &decided);
    assert!(decided(&lines), "{lines:?}");
    assert!(driven.in_flight.is_empty(), "{:?}", driven.in_flight);
    assert!(begin.elapsed() < PATIENCE, "nobody will answer: it is not waited for");
}

/// A feed that is away once for a while.
struct Away {
    rounds: u32,
    span: Duration,
}

impl Feed for Away {
    fn read(&mut self, now: Nanos, sink: &mut dyn Sink, _: &mut Stats) -> usize {
        self.rounds += 1;
        if self.rounds == 50 {
            sink.source(now, SourceId(0), SourceChange::Lost);
            std::thread::sleep(self.span);
        }
        0
    }

    fn park(&mut self, most: Duration) {
        std::thread::sleep(most.min(Duration::from_micros(100)));
    }

    fn next_timer(&self) -> Option<Nanos> {
        None
    }
}

/// Adds a thread to a run's watched ones.
fn add(run: &mut Run, name: &'static str, span: Duration) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let sink = Desk::new(Rooms::default()).sink;
    let feed = Away { rounds: 0, span };
    let agent = reap_shell::live::feed::FeedAgent::new(feed, sink, Arc::clone(&stop));
    assert!(!agent.is_done());
    let pulse = Arc::new(Pulse::default());
    let (port, stats) = stats();
    let place = Place { cpu: None, idle: Idle::Yield };
    let settings = RunnerSettings { name, place, late: Duration::from_millis(5) };
    spawn(agent, settings, run.clock.clone(), Arc::clone(&pulse), port).unwrap();
    run.watched.push(Watched { name, pulse, stats });
    stop
}

#[test]
fn r4_r8_the_watchdog_names_who_hangs_and_who_was_away() {
    let clock = LiveClock::live();
    let good = healthy(&clock);
    let folder = Folder::new();
    let mut run = Run::start(config(&[], &good), Mode::Paper, &folder.0).unwrap();
    let stops = [
        add(&mut run, "napper", Duration::from_millis(400)),
        add(&mut run, "sleeper", Duration::from_millis(2_500)),
    ];
    let mut watch = Watch::new(&run);
    let mut lines = Vec::<String>::new();
    let end = Instant::now() + PATIENCE;
    let all =
        ["napper: late, the system kept it away for", "sleeper: no sign of life", "sleeper: back"];
    while !all.iter().all(|what| lines.iter().any(|line| line.starts_with(what))) {
        assert!(Instant::now() < end, "{lines:?}");
        watch.step(&mut run, &mut |_, line| lines.push(line.to_owned()));
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(watch.alarms() >= 1, "an operator should look");
    stops.iter().for_each(|stop| stop.store(true, Ordering::Release));
    run.stop(&mut |_| {});
}
