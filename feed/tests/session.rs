//! Sessions of market data against venues that answer, refuse, fall silent and hang up. Each test
//! is named after the fault of the catalogue that it plays.
#![allow(unreachable_pub, missing_docs, reason = "one binary of tests")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests")]

#[path = "session/alloc.rs"]
mod alloc;
#[path = "session/change.rs"]
mod change;
#[path = "session/faults.rs"]
mod faults;
#[path = "session/frames.rs"]
mod frames;
#[path = "session/property.rs"]
mod property;
#[path = "session/rig.rs"]
mod rig;
#[path = "session/storm.rs"]
mod storm;
