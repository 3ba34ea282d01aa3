//! The product's hot loop on a socket of ours, and everything it needs around it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use reap_feed::transport::Trust;
use reap_ring::{Consumer, ring};
use reap_shell::clock::{LiveClock, rest};
use reap_shell::live::connector::ConnectorBuilder;
use reap_shell::live::engine::{EngineDesk, EngineWires, FusedAgent};
use reap_shell::live::feed::LiveFeed;
use reap_shell::live::layout::{Idle, Place};
use reap_shell::live::reach::Reach;
use reap_shell::live::run::lines;
use reap_shell::live::runner::{RunnerSettings, spawn};
use reap_shell::live::stats::stats;
use reap_shell::live::tap::Tap;
use reap_shell::live::wires::{Doorbell, ToExecution, quote_table};
use reap_shell::sim::server::SimTls;

use super::market::{self, Market};
use super::probe::{Control, Phase, Probed, Sample};
use super::venue::{Schedule, Venue, Wire};
use crate::scenarios::ScenarioError;

/// As in the product.
const MESSAGES: usize = 1 << 13;
const SETTLE: Duration = Duration::from_millis(5);
/// What is in the sockets is read by then; nanoseconds.
const PATIENCE: u64 = 10_000_000_000;

/// See the module.
pub(super) struct Rig {
    clock: LiveClock,
    control: Arc<Control>,
    market: Market,
    /// The venue's ends: the product's connections, quotes first, and the bare reader's.
    wires: Vec<Wire>,
    bare: Wire,
    intents: Consumer<ToExecution>,
    taken: u64,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<FusedAgent<Probed>>,
}

/// What became of one turn.
pub(super) struct Played {
    /// When the first frame was due; real time.
    start: u64,
    interval: u64,
    /// When the write of each began.
    pub(super) written: Vec<u64>,
    /// What the hot thread saw.
    pub(super) samples: Vec<Sample>,
}

impl Played {
    pub(super) fn due(&self, at: usize) -> u64 {
        self.start + at as u64 * self.interval
    }
}

impl Rig {
    /// A rig whose hot thread rests on `cpu`, with positions for these many messages.
    pub(super) fn start(secure: bool, cpu: usize, messages: usize) -> Result<Self, ScenarioError> {
        let failed = |error: &dyn std::fmt::Display| ScenarioError::failed(error);
        let (tls, root) = if secure {
            let (tls, root) = SimTls::self_signed().map_err(|error| failed(&error))?;
            // Who reads them first is checked here; the product reads them from its file.
            Trust::with_roots_pem(&root).map_err(|error| failed(&error))?;
            (Some(tls.config()), root)
        } else {
            (None, Vec::new())
        };
        let venue = Venue::open(tls).map_err(|error| failed(&error))?;
        let scheme = if secure { "wss" } else { "ws" };
        let port = venue.port().map_err(|error| failed(&error))?;
        let file = std::env::temp_dir().join(format!("reap-perf-root-{}.pem", std::process::id()));
        if secure {
            std::fs::write(&file, &root).map_err(|error| failed(&error))?;
        }
        let config = market::config(
            &format!("{scheme}://127.0.0.1:{port}"),
            secure.then_some(&*file),
            messages as u64 / market::EVERY + 2,
        )?;
        let reach = Reach::new(&config, None).map_err(|error| failed(&error));
        if secure {
            drop(std::fs::remove_file(&file));
        }
        let (lines, names, budgets) = lines(&config, &reach?).map_err(|error| failed(&error))?;
        let len = Market::calm().frames(1)[0].len();
        let (socket, bare, len) = venue.bare(&root, len).map_err(|error| failed(&error))?;

        let clock = LiveClock::live();
        let poll = mio::Poll::new().map_err(|error| failed(&error))?;
        // Nobody sleeps behind it: see `wire` for what waking costs.
        let bell = Doorbell::new(poll.registry(), mio::Token(0)).map_err(|error| failed(&error))?;
        let mut connectors = ConnectorBuilder::default();
        let instruments: Vec<_> = config.instruments.iter().map(|named| named.instrument).collect();
        let (feed_notes, _feed_notes) = ring(MESSAGES);
        let feed = LiveFeed::new(
            lines,
            budgets,
            connectors.client(None),
            feed_notes,
            Arc::default(),
            clock.clone(),
            mio::Poll::new().map_err(|error| failed(&error))?,
        );
        let (to_execution, intents) = ring(MESSAGES);
        let desk = EngineDesk::new(
            market::engine(&config, names.len())?,
            clock.clone(),
            &instruments,
            EngineWires {
                table: quote_table(instruments.len()).0,
                to_execution,
                from_execution: ring(MESSAGES).1,
                commands: ring(MESSAGES).1,
                bell,
                halt: Arc::default(),
                view: Arc::default(),
                tap: Tap::default(),
            },
        );
        let control = Arc::new(Control::default());
        let probed =
            Probed::new(feed, (socket, len), Arc::clone(&control), clock.clone(), messages);
        let stop = Arc::new(AtomicBool::new(false));
        let agent = FusedAgent::new(probed, desk, Arc::clone(&stop));
        let place = Place { cpu: Some(cpu), idle: Idle::Spin };
        let settings =
            RunnerSettings { name: "feed + engine", place, late: Duration::from_millis(10) };
        let (port, _reader) = stats();
        let connector = connectors.start().map_err(|error| failed(&error))?;
        let thread = spawn(agent, settings, clock.clone(), Arc::default(), port)
            .map_err(|error| failed(&error))?;
        let wires = venue.accept_lines(names.len()).map_err(|error| failed(&error))?;
        // Every connection has subscribed: the cold threads are not needed any more.
        drop(connector);
        let market = Market::default();
        Ok(Self { clock, control, market, wires, bare, intents, taken: 0, stop, thread })
    }

    /// Number of the next message of the product's market.
    pub(super) fn next_id(&self) -> u64 {
        self.market.next_id()
    }

    /// Sends so many frames to whom the phase concerns.
    pub(super) fn play(
        &mut self,
        phase: Phase,
        frames: usize,
        interval: u64,
    ) -> Result<Played, ScenarioError> {
        let (wire, frames) = if phase == Phase::Bare {
            (&mut self.bare, Market::calm().frames(frames))
        } else {
            (&mut self.wires[0], self.market.frames(frames))
        };
        self.control.change(phase);
        let start = self.clock.real() + 1_000_000;
        let schedule = Schedule { clock: &self.clock, start, interval, spins: true };
        let (intents, taken) = (&mut self.intents, &mut self.taken);
        let sent = schedule.send(wire, &frames, || {
            while let Some(message) = intents.pop() {
                *taken += u64::from(matches!(message, ToExecution::Intent(_)));
            }
        });
        let written = sent.map_err(|error| ScenarioError::failed(&error))?;
        // A busy machine may take the hot thread away for long; nothing is left out for that.
        let until = self.clock.real() + PATIENCE;
        let all = written.len() as u64;
        while self.control.seen.load(Ordering::Relaxed) < all && self.clock.real() < until {
            rest(SETTLE);
        }
        rest(SETTLE);
        let samples = self.control.change(Phase::Rest);
        Ok(Played { start, interval, written, samples })
    }

    /// Allocations of the hot thread while it takes these many messages.
    pub(super) fn count(&mut self, frames: usize, interval: u64) -> Result<u64, ScenarioError> {
        let before = self.control.allocations.load(Ordering::Relaxed);
        self.play(Phase::Count, frames, interval)?;
        Ok(self.control.allocations.load(Ordering::Relaxed) - before)
    }

    /// Ends it. Every crossing must have become an intent.
    pub(super) fn stop(mut self) -> Result<(), ScenarioError> {
        self.control.change(Phase::Live);
        self.stop.store(true, Ordering::Release);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        while let Some(message) = self.intents.pop() {
            self.taken += u64::from(matches!(message, ToExecution::Intent(_)));
        }
        let due = (self.market.next_id() % 1_000_000_000) / market::EVERY;
        if self.taken == due {
            return Ok(());
        }
        let what = format!("{due} quotes crossed a stop and {} became intents", self.taken);
        Err(ScenarioError::failed(&what))
    }
}
