//! Rings between pinned threads, and the table of latest values beside them.
//!
//! Two structures, neither of which ever waits:
//!
//! - [`ring()`]: one producer, one consumer, a bounded queue. What is pushed is popped once, in order.
//! - [`latest::table`]: one writer, many readers, a value that is overwritten in place. A reader sees
//!   the newest whole value, never half of one.
//!
//! This is the only `unsafe` of the hot path. Each atomic access names its partner; the same tests
//! run on one thread against a model, with real threads, and under loom
//! (`RUSTFLAGS="--cfg loom" cargo test --release -p reap-ring`).

pub mod latest;
mod ring;
mod sync;
#[cfg(test)]
mod testing;

pub use ring::{Consumer, Full, Producer, ring};
