//! Live threads: agents that busy-poll, the rings between them, and what watches over them.

pub mod connector;
pub mod engine;
pub mod execution;
pub mod feed;
pub mod gateway;
pub mod layout;
pub mod runner;
pub mod stats;
pub mod wires;
