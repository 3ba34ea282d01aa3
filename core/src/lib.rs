//! The decision core of Reap: quotes in, exit intents out, orders planned.
#![no_std]

extern crate alloc;

pub mod admission;
mod clip;
pub mod desk;
pub mod event;
pub mod executor;
mod exit;
pub mod hash;
pub mod holding;
pub mod instrument;
pub mod intent;
mod leg;
pub mod limits;
pub mod net;
pub mod order;
pub mod plan;
pub mod policy;
pub mod position;
pub mod pricing;
mod throttle;
pub mod tick;
mod trades;
pub mod units;
mod wake;
mod work;
