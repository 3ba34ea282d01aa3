//! Deterministic simulation: engine, executor and venues that lie, on one thread, from one seed.
//!
//! A trial is a small desk in virtual time: a few positions under mixed policies, a market, and
//! venues that lose orders and answers, hold them back, say things twice, forget, refuse, hang up
//! and fall silent, until the faults stop. The venues' own books are the truth; what must always
//! hold is checked against them after every event ([`Violation`]), and when the faults have stopped
//! everything must get closed. The same seed is the same trial, event by event, on every machine.

mod check;
mod crash;
mod log;
mod market;
mod met;
mod scene;
mod venue;
mod wire;
mod world;

use reap_core::executor::Executor;

pub use self::check::Violation;
pub use self::met::{Met, Tally};
use self::world::World;

/// What a trial came to.
#[derive(Debug)]
pub struct Trial {
    /// Its seed.
    pub seed: u64,
    /// What did not hold, if anything.
    pub violation: Option<Violation>,
    /// Events that engine, executor and venues took in.
    pub events: u64,
    /// Faults and states that occurred.
    pub met: Met,
    /// What happened, line by line, when that was asked for.
    pub story: Vec<String>,
}

/// Runs one trial.
#[must_use]
pub fn trial(seed: u64) -> Trial {
    World::new(seed, false, &|_| {}).run()
}

/// Runs one trial and tells it in words.
#[must_use]
pub fn told(seed: u64) -> Trial {
    World::new(seed, true, &|_| {}).run()
}

/// Runs one trial with executors to each of which something was done first.
#[must_use]
pub fn trial_of(seed: u64, prepare: &dyn Fn(&mut Executor)) -> Trial {
    World::new(seed, false, prepare).run()
}
