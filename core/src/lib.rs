//! The decision core of Reap: quotes in, exit intents out, orders planned.
#![no_std]

extern crate alloc;

pub mod event;
pub mod hash;
pub mod holding;
pub mod instrument;
pub mod intent;
pub mod limits;
pub mod net;
pub mod order;
pub mod policy;
pub mod position;
mod throttle;
pub mod tick;
mod trades;
pub mod units;
mod wake;
