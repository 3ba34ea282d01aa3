//! Runs an agent on its thread: pinned, with its way of idling, measured.
//!
//! An agent says what it did, the runner decides what to do when that was nothing. One clock read
//! begins each duty cycle; it is the time that everything in the cycle decides by. From it the
//! runner also measures itself: how long cycles take, and when the thread was not there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crossbeam_utils::CachePadded;
use hdrhistogram::Histogram;
use reap_core::units::Nanos;

use super::layout::{Idle, Place, pin};
use super::stats::{Stats, StatsPort};
use crate::clock::LiveClock;

/// Something that lives on a thread and is asked to work, again and again.
pub trait Agent: Send {
    /// Does what there is to do by `now`, without waiting; returns how much that was.
    fn do_work(&mut self, now: Nanos, stats: &mut Stats) -> usize;

    /// Waits in the kernel until there may be something to do, at most for `most`.
    fn park(&mut self, most: Duration);

    /// When it has something to do even if nothing comes in.
    fn next_timer(&self) -> Option<Nanos>;

    /// Whether it has ended, after it was asked to.
    fn is_done(&self) -> bool;
}

/// Longest sleep of a parked thread: what it is told by a flag alone is seen this late.
const PARK_MOST: Duration = Duration::from_millis(20);

/// What others see of a thread without disturbing it.
#[derive(Debug, Default)]
pub struct Pulse {
    /// Real nanoseconds of the clock at the beginning of the newest cycle.
    beat: CachePadded<AtomicU64>,
    /// Gaps beyond the limit so far.
    late: AtomicU64,
    /// The longest gap in real nanoseconds.
    gap_max: AtomicU64,
    ended: AtomicBool,
}

/// How a thread is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Real time since its last sign of life.
    pub silent: Duration,
    /// How often it was away for longer than the limit.
    pub late: u64,
    /// The longest that it was away.
    pub gap_max: Duration,
    /// It has ended.
    pub ended: bool,
}

impl Pulse {
    /// How the thread is doing at `real` nanoseconds.
    #[must_use]
    pub fn health(&self, real: u64) -> Health {
        // All of these are figures for people; none orders anything else.
        let silent = real.saturating_sub(self.beat.load(Ordering::Relaxed));
        Health {
            silent: Duration::from_nanos(silent),
            late: self.late.load(Ordering::Relaxed),
            gap_max: Duration::from_nanos(self.gap_max.load(Ordering::Relaxed)),
            ended: self.ended.load(Ordering::Relaxed),
        }
    }
}

/// How to run an agent.
pub struct RunnerSettings {
    /// The thread's name.
    pub name: &'static str,
    /// Where and how it idles.
    pub place: Place,
    /// A cycle that begins this long after the one before was late; real time.
    pub late: Duration,
}

/// Starts a thread for an agent. The thread pins itself; the result tells whether that worked,
/// through `pinned`, before the first cycle.
///
/// # Errors
/// When the system has no thread left, or the pin did not hold.
pub fn spawn<A: Agent + 'static>(
    agent: A,
    settings: RunnerSettings,
    clock: LiveClock,
    pulse: Arc<Pulse>,
    stats: StatsPort,
) -> Result<JoinHandle<A>, SpawnError> {
    let name = settings.name;
    let (pinned, told) = std::sync::mpsc::sync_channel(1);
    let builder = Builder::new().name(format!("reap-{}", name.replace([' ', '+'], "")));
    let handle = builder
        .spawn(move || {
            let pin = settings.place.cpu.map_or(Ok(()), pin);
            let good = pin.is_ok();
            // The starter waits for this; if it has gone away nobody needs to know.
            let _ = pinned.send(pin);
            let mut runner = Runner { agent, settings, clock, pulse, stats };
            if good {
                runner.run();
            }
            runner.agent
        })
        .map_err(|error| SpawnError::Thread { name, error })?;
    match told.recv() {
        Ok(Ok(())) => Ok(handle),
        Ok(Err(why)) => Err(SpawnError::Pin { name, why }),
        Err(_) => Err(SpawnError::Pin { name, why: "the thread ended at its start".into() }),
    }
}

/// Why a thread does not run.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// No thread.
    #[error("thread {name}: {error}; raise the limit of threads (ulimit -u)")]
    Thread {
        /// Which.
        name: &'static str,
        /// What the system said.
        error: std::io::Error,
    },
    /// Not where it should be.
    #[error("thread {name} {why}; choose another cpu in run.cores or leave it out")]
    Pin {
        /// Which.
        name: &'static str,
        /// What came of it.
        why: String,
    },
}

struct Runner<A> {
    agent: A,
    settings: RunnerSettings,
    clock: LiveClock,
    pulse: Arc<Pulse>,
    stats: StatsPort,
}

impl<A: Agent> Runner<A> {
    fn run(&mut self) {
        let late = u64::try_from(self.settings.late.as_nanos()).unwrap_or(u64::MAX);
        let mut last = self.clock.real();
        let mut now = Nanos(0);
        let mut slept = true;
        while !self.agent.is_done() {
            let real = self.clock.real();
            // A correction of the clock may take back some microseconds: time stands still then.
            now = now.max(self.clock.at(real));
            self.pulse.beat.store(real, Ordering::Relaxed);
            let stats = self.stats.current();
            if !slept {
                note_gap(&mut stats.duty, &self.pulse, real.saturating_sub(last), late);
            }
            last = real;
            slept = false;
            if self.agent.do_work(now, stats) > 0 {
                continue;
            }
            match self.settings.place.idle {
                Idle::Spin => std::hint::spin_loop(),
                Idle::Yield => std::thread::yield_now(),
                Idle::Park => {
                    let due = self.agent.next_timer().map(|at| self.clock.until(at));
                    let most = due.unwrap_or(PARK_MOST).min(PARK_MOST);
                    self.agent.park(most);
                    slept = true;
                }
            }
        }
        self.stats.finish();
        self.pulse.ended.store(true, Ordering::Relaxed);
    }
}

fn note_gap(duty: &mut Histogram<u64>, pulse: &Pulse, gap: u64, late: u64) {
    duty.saturating_record(gap);
    if gap > late {
        // One writer: no need for an atomic addition.
        pulse.late.store(pulse.late.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        if gap > pulse.gap_max.load(Ordering::Relaxed) {
            pulse.gap_max.store(gap, Ordering::Relaxed);
        }
    }
}
