//! The decision core of Reap: quotes in, exit intents out, orders planned.
#![no_std]

extern crate alloc;

pub mod admission;
mod arbiter;
mod arm;
mod book;
mod clip;
mod compile;
mod decide;
pub mod desk;
pub mod engine;
pub mod event;
pub mod executor;
mod exit;
mod guard;
pub mod hash;
mod heap;
pub mod holding;
pub mod instrument;
pub mod intent;
mod leg;
mod life;
pub mod limits;
pub mod net;
pub mod order;
mod pair;
pub mod plan;
pub mod policy;
pub mod position;
pub mod pricing;
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
mod work;

pub use arbiter::RULE_OPERATOR;
pub use book::GateCounters;
