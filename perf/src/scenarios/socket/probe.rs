//! The product's feed with stamps around it, and the bare reader that takes its place by turns.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use reap_core::event::SourceChange;
use reap_core::instrument::SourceId;
use reap_core::tick::Tick;
use reap_core::units::Nanos;
use reap_shell::clock::{LiveClock, rest};
use reap_shell::live::engine::{Feed, Sink};
use reap_shell::live::feed::LiveFeed;
use reap_shell::live::stats::Stats;

/// What the hot thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Sleeps, and keeps its connections.
    Rest,
    /// The bare reader spins.
    Bare,
    /// The product runs.
    Live,
    /// The product runs, and what it allocates is counted.
    Count,
}

/// One message: its number, when it was in hand, when everything of it was done. Real time.
#[derive(Clone, Copy)]
pub(super) struct Sample {
    pub(super) id: u64,
    pub(super) in_hand: u64,
    pub(super) done: u64,
}

/// What main and the hot thread share.
#[derive(Default)]
pub(super) struct Control {
    wanted: AtomicU8,
    reached: AtomicU8,
    samples: Mutex<Vec<Sample>>,
    /// Messages of this phase that the hot thread has taken in.
    pub(super) seen: AtomicU64,
    /// Allocations while they were counted.
    pub(super) allocations: AtomicU64,
}

impl Control {
    /// Changes the phase and waits until the hot thread is in it; gives what the one before brought.
    pub(super) fn change(&self, phase: Phase) -> Vec<Sample> {
        // Pairs with the Acquire and Release in `Probed::phase`.
        self.wanted.store(phase as u8, Ordering::Release);
        while self.reached.load(Ordering::Acquire) != phase as u8 {
            rest(Duration::from_micros(100));
        }
        std::mem::take(&mut self.samples.lock())
    }
}

/// See the module.
pub(super) struct Probed {
    feed: LiveFeed,
    bare: TcpStream,
    /// Bytes of one frame on the bare reader's socket.
    frame_len: usize,
    bare_bytes: usize,
    control: Arc<Control>,
    clock: LiveClock,
    samples: Vec<Sample>,
    phase: Phase,
}

impl Probed {
    pub(super) fn new(
        feed: LiveFeed,
        (bare, frame_len): (TcpStream, usize),
        control: Arc<Control>,
        clock: LiveClock,
        samples_max: usize,
    ) -> Self {
        let samples = Vec::with_capacity(samples_max);
        Self { feed, bare, frame_len, bare_bytes: 0, control, clock, samples, phase: Phase::Rest }
    }

    /// Which phase it is; hands over what the one before brought.
    fn phase(&mut self) -> Phase {
        let wanted = match self.control.wanted.load(Ordering::Acquire) {
            1 => Phase::Bare,
            2 => Phase::Live,
            3 => Phase::Count,
            _ => Phase::Rest,
        };
        if wanted != self.phase {
            self.phase = wanted;
            self.control.samples.lock().extend_from_slice(&self.samples);
            self.samples.clear();
            self.control.seen.store(0, Ordering::Relaxed);
            self.control.reached.store(wanted as u8, Ordering::Release);
        }
        wanted
    }

    /// The least that can be done: `read` until the phase is over, and a stamp when there was
    /// something. A frame is in hand with its last byte.
    fn read_bare(&mut self) {
        let mut buffer = [0; 8 * 1024];
        while self.control.wanted.load(Ordering::Relaxed) == Phase::Bare as u8 {
            let count = match self.bare.read(&mut buffer) {
                Ok(count) if count > 0 => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                // Its samples will be missing, which is told.
                _ => return,
            };
            let in_hand = self.clock.real();
            let before = self.bare_bytes / self.frame_len;
            self.bare_bytes += count;
            for id in before..self.bare_bytes / self.frame_len {
                self.samples.push(Sample { id: id as u64, in_hand, done: in_hand });
            }
            self.control.seen.store(self.samples.len() as u64, Ordering::Relaxed);
        }
    }
}

impl Feed for Probed {
    fn read(&mut self, now: Nanos, sink: &mut dyn Sink, stats: &mut Stats) -> usize {
        match self.phase() {
            Phase::Rest => {
                rest(Duration::from_millis(1));
                self.feed.read(now, sink, stats);
                1
            }
            Phase::Bare => {
                self.read_bare();
                1
            }
            Phase::Live => {
                let Self { feed, clock, samples, .. } = self;
                let work = feed.read(now, &mut Probe { sink, clock, samples }, stats);
                if work > 0 {
                    self.control.seen.store(self.samples.len() as u64, Ordering::Relaxed);
                }
                work
            }
            Phase::Count => {
                let mut work = 0;
                let counted =
                    allocation_counter::measure(|| work = self.feed.read(now, sink, stats));
                self.control.seen.fetch_add(work as u64, Ordering::Relaxed);
                self.control.allocations.fetch_add(counted.count_total, Ordering::Relaxed);
                work
            }
        }
    }

    fn park(&mut self, most: Duration) {
        self.feed.park(most);
    }

    fn next_timer(&self) -> Option<Nanos> {
        self.feed.next_timer()
    }
}

/// Stamps when everything of a tick was done.
struct Probe<'p> {
    sink: &'p mut dyn Sink,
    clock: &'p LiveClock,
    samples: &'p mut Vec<Sample>,
}

impl Sink for Probe<'_> {
    fn tick(&mut self, now: Nanos, tick: &Tick) {
        self.sink.tick(now, tick);
        let done = self.clock.real();
        let stamp = tick.stamp();
        let in_hand = stamp.received.since(self.clock.at(0)).0;
        self.samples.push(Sample { id: stamp.update_id, in_hand, done });
    }

    fn source(&mut self, now: Nanos, source: SourceId, change: SourceChange) {
        self.sink.source(now, source, change);
    }

    fn message_done(&mut self, received: u64, decoded: u64, stats: &mut Stats) {
        self.sink.message_done(received, decoded, stats);
    }
}
