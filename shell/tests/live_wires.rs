//! What lies between the threads, with real threads: no wake-up is lost, nothing measured is lost,
//! no tick overtakes a change of its source, and whoever is away is counted.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests are tests")]

mod desk;
#[path = "../../feed/src/test_random.rs"]
mod test_random;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reap_core::event::{Event, SourceChange};
use reap_core::instrument::{Instrument, InstrumentId, SourceId};
use reap_core::pricing::Quotes;
use reap_core::units::Nanos;
use reap_ring::ring;
use reap_shell::clock::LiveClock;
use reap_shell::live::engine::{Feed, Sink};
use reap_shell::live::feed::FeedAgent;
use reap_shell::live::layout::{Idle, Place};
use reap_shell::live::runner::{Agent, Pulse, RunnerSettings, spawn};
use reap_shell::live::stats::{Stats, stats};
use reap_shell::live::wires::Doorbell;
use reap_shell::pipeline::{self, Stage};

use desk::{Desk, Rooms, START};
use test_random::Random;

/// Nothing here takes longer unless it is broken.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn a_wake_up_is_never_lost() {
    const TURNS: u64 = 20_000;
    let mut poll = mio::Poll::new().unwrap();
    let bell = Doorbell::new(poll.registry(), mio::Token(0)).unwrap();
    let (mut there, mut waiting) = ring::<u64>(4);
    let (mut answers, mut back) = ring::<u64>(4);
    let ringer = Arc::clone(&bell);
    // One asks and rings, and asks again only when he was answered: a lost wake-up is a hang.
    let asker = std::thread::spawn(move || {
        let until = Instant::now() + PATIENCE;
        for turn in 0..TURNS {
            there.push(turn).unwrap();
            ringer.ring();
            loop {
                if let Some(answer) = back.pop() {
                    assert_eq!(answer, turn);
                    break;
                }
                assert!(Instant::now() < until, "turn {turn} is not answered: it was not woken");
                std::thread::yield_now();
            }
        }
    });
    let mut events = mio::Events::with_capacity(4);
    let (mut answered, mut slept) = (0, 0u64);
    while answered < TURNS {
        while let Some(turn) = waiting.pop() {
            answers.push(turn).unwrap();
            answered += 1;
        }
        if answered == TURNS || asker.is_finished() {
            break;
        }
        bell.sleep_unless(
            || waiting.has_next(),
            || {
                slept += 1;
                // Far longer than the asker's patience.
                poll.poll(&mut events, Some(3 * PATIENCE)).unwrap();
            },
        );
    }
    asker.join().unwrap();
    assert!(slept > 0, "it did sleep");
}

#[test]
fn nothing_measured_is_lost_or_counted_twice() {
    const LOOKS: u32 = 50;
    let (mut port, mut reader) = stats();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let writer = std::thread::spawn(move || {
        let mut written = 0;
        while !stopped.load(Ordering::Relaxed) {
            let stats = port.current();
            stats.stages.record(Stage::Decode, written % 1_000);
            stats.duty.record(written % 1_000 + 1).unwrap();
            written += 1;
        }
        (port, written)
    });
    let (mut last, mut grown) = (0, 0);
    let end = Instant::now() + PATIENCE;
    while grown < LOOKS {
        assert!(Instant::now() < end, "{grown} looks saw more than the one before");
        let seen = reader.collect().duty.len();
        assert!(seen >= last, "{last} then {seen}");
        grown += u32::from(seen > last);
        last = seen;
    }
    stop.store(true, Ordering::Relaxed);
    let (mut port, written) = writer.join().unwrap();
    // What circulates comes round: three times is more than there is.
    for _ in 0..3 {
        port.current();
        reader.collect();
    }
    assert_eq!(reader.total().duty.len(), written);
}

/// Random ticks and changes of sources through rings of little room, late and in time, against one
/// engine that sees everything at once.
#[test]
fn r2_changes_of_sources_keep_their_place_among_ticks() {
    let mut random = Random::from_env("changes keep their place");
    for round in 0..60 {
        let room = 1 << (1 + random.below(6));
        let rooms = Rooms { ticks: room, sources: 2, ..Rooms::default() };
        let mut desk = Desk::new(rooms);
        let instruments: Vec<Instrument> =
            desk.config.instruments.iter().map(|named| named.instrument).collect();
        let mut plain = pipeline::engine(&desk.config, &instruments, 2).unwrap();
        let mut both = |desk: &mut Desk, source: u8, change| {
            desk.sink.source(START, SourceId(source), change);
            plain.on_event(START, &Event::Source(SourceId(source), change));
        };
        let mut ticks = Vec::new();
        for source in 0..2 {
            both(&mut desk, source, SourceChange::Connected);
        }
        for _ in 0..300 {
            match random.below(20) {
                0..12 => {
                    let at = random.below(3) as u16;
                    let soon = desk.soon();
                    let received = if random.below(3) == 0 { START } else { soon };
                    let bid = 10_000 + random.below(20) as i64;
                    let tick = desk.quote(at, bid, received);
                    desk.sink.tick(received, &tick);
                    ticks.push(tick);
                    plain.on_event(received.max(START), &Event::Tick(tick));
                }
                12 => {
                    let source = random.below(2) as u8;
                    desk.sink.source(START, SourceId(source), SourceChange::Lost);
                    plain.on_event(START, &Event::Source(SourceId(source), SourceChange::Lost));
                    desk.sink.source(START, SourceId(source), SourceChange::Connected);
                    let event = Event::Source(SourceId(source), SourceChange::Connected);
                    plain.on_event(START, &event);
                }
                13..15 => desk.sink.drain(),
                _ => drop(desk.step_engine()),
            }
        }
        for _ in 0..400 {
            desk.sink.drain();
            desk.step_engine();
        }
        for at in 0..3 {
            let id = InstrumentId(at);
            let found = desk.table.top(id).map(|top| top.quote);
            let expected = plain.quote(id).map(|(quote, _)| quote);
            assert_eq!(found, expected, "round {round}, instrument {at}, room {room}");
        }
    }
}

/// A feed that is away once, or hangs until it is let go.
struct Away {
    rounds: Arc<AtomicU64>,
    span: Option<Duration>,
    hang: Option<Arc<AtomicBool>>,
}

impl Feed for Away {
    fn read(&mut self, _: Nanos, _: &mut dyn Sink, _: &mut Stats) -> usize {
        if self.rounds.fetch_add(1, Ordering::Relaxed) == 10 {
            if let Some(span) = self.span {
                std::thread::sleep(span);
            }
            while self.hang.as_ref().is_some_and(|hang| hang.load(Ordering::Relaxed)) {
                std::thread::sleep(Duration::from_millis(1));
            }
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

struct Running {
    pulse: Arc<Pulse>,
    clock: LiveClock,
    rounds: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<FeedAgent<Away>>,
}

fn run(span: Option<Duration>, hang: Option<Arc<AtomicBool>>) -> Running {
    let desk = Desk::new(Rooms::default());
    let clock = desk.clock.clone();
    let (stop, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let feed = Away { rounds: Arc::clone(&rounds), span, hang };
    let agent = FeedAgent::new(feed, desk.sink, Arc::clone(&stop));
    let pulse = Arc::new(Pulse::default());
    let (port, _reader) = stats();
    let place = Place { cpu: None, idle: Idle::Yield };
    let settings = RunnerSettings { name: "away", place, late: Duration::from_millis(50) };
    let thread = spawn(agent, settings, clock.clone(), Arc::clone(&pulse), port).unwrap();
    Running { pulse, clock, rounds, stop, thread }
}

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn r8_a_thread_that_was_away_is_counted_late_with_its_gap() {
    let running = run(Some(Duration::from_millis(300)), None);
    until("it goes on", || running.rounds.load(Ordering::Relaxed) > 20);
    let health = running.pulse.health(running.clock.real());
    assert!(health.late >= 1, "{health:?}");
    assert!(health.gap_max >= Duration::from_millis(300), "{health:?}");
    running.stop.store(true, Ordering::Release);
    let agent = running.thread.join().unwrap();
    assert!(agent.is_done());
    assert!(running.pulse.health(running.clock.real()).ended);
}

#[test]
fn r4_a_thread_that_hangs_shows_no_sign_of_life() {
    let hang = Arc::new(AtomicBool::new(true));
    let running = run(None, Some(Arc::clone(&hang)));
    let silent = || running.pulse.health(running.clock.real()).silent;
    until("it falls silent", || silent() > Duration::from_millis(500));
    assert!(!running.pulse.health(running.clock.real()).ended, "gone is not ended");
    hang.store(false, Ordering::Relaxed);
    until("it is back", || silent() < Duration::from_millis(100));
    running.stop.store(true, Ordering::Release);
    running.thread.join().unwrap();
}

#[test]
fn r5_a_panic_ends_the_whole_process_in_a_release() {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let manifest: toml::Table = std::fs::read_to_string(manifest).unwrap().parse().unwrap();
    let release = &manifest["profile"]["release"];
    assert_eq!(release["panic"].as_str(), Some("abort"), "half a process must not trade on");
    // No member may turn it round, and none catches what would be gone.
    for crate_ in ["core/src", "core/ring/src", "feed/src", "shell/src"] {
        let mut folders = vec![format!("{}/../{crate_}", env!("CARGO_MANIFEST_DIR")).into()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir::<std::path::PathBuf>(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|end| end == "rs")
                    && !path.ends_with("tests.rs")
                {
                    let text = std::fs::read_to_string(&path).unwrap();
                    assert!(!text.contains("catch_unwind"), "{}", path.display());
                }
            }
        }
    }
}
