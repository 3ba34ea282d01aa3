//! The decision core of Reap: quotes in, exit intents out, orders planned.
#![no_std]

extern crate alloc;

mod arbiter;
mod arm;
mod book;
mod compile;
mod decide;
pub mod engine;
pub mod event;
mod guard;
pub mod hash;
mod heap;
pub mod holding;
pub mod instrument;
pub mod intent;
mod life;
pub mod limits;
pub mod net;
pub mod order;
mod pair;
pub mod policy;
pub mod position;
mod register;
#[cfg(test)]
mod testing;
mod throttle;
pub mod tick;
mod tracked;
mod trades;
mod trailing;
mod trigger;
pub mod units;
mod wake;
mod watch;

pub use arbiter::RULE_OPERATOR;
pub use book::GateCounters;
