//! The decision core of Reap: quotes in, exit intents out, orders planned.
#![no_std]

extern crate alloc;

mod clip;
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
pub mod pricing;
mod throttle;
pub mod tick;
mod trades;
pub mod units;
mod wake;
