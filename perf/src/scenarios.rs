//! The scenarios, one file each.

mod codec;
mod engine;
mod exact;
mod memory;
mod order_log;
mod ring;
mod socket;
mod tap;
mod wire;

use crate::figures::Figures;

/// Why a scenario could not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScenarioError {
    /// Something it needs is not there.
    #[error("{0}")]
    Missing(String),
    /// The reference decodes a message otherwise: there is nothing to compare.
    #[error("codec and reference disagree on {0}")]
    Disagree(String),
    /// What was measured went wrong.
    #[error("{0}")]
    Failed(String),
}

impl ScenarioError {
    fn missing(what: &dyn std::fmt::Display) -> Self {
        Self::Missing(what.to_string())
    }

    fn failed(what: &dyn std::fmt::Display) -> Self {
        Self::Failed(what.to_string())
    }
}

/// A scenario: a name, what it measures, and how to run it at a share of its usual work.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) run: fn(u64) -> Result<Figures, ScenarioError>,
}

/// Every scenario.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "codec",
        about: "one recorded bookTicker message through the codec, against serde_json",
        run: codec::run,
    },
    Scenario {
        name: "engine",
        about: "one quote through the engine: 100,000 positions, 10,000 on its symbol, against one",
        run: engine::run,
    },
    Scenario {
        name: "exact",
        about: "one rule in whole numbers and in I64F64: time of each, wrong answers of each",
        run: exact::run,
    },
    Scenario {
        name: "memory",
        about: "what a position takes of memory: 100,000 of mixed rules in the engine, against 1 KB",
        run: memory::run,
    },
    Scenario {
        name: "ring",
        about: "56 bytes from thread to thread: throughput and hand-off, against rtrb; needs two cores",
        run: ring::run,
    },
    Scenario {
        name: "order_log",
        about: "one order into the order log, against the bare write of as many bytes",
        run: order_log::run,
    },
    Scenario {
        name: "tap",
        about: "what the input log costs the engine's thread, against one push into a ring",
        run: tap::run,
    },
    Scenario {
        name: "socket",
        about: "a frame on a socket to an intent, in one loop: beside its warm parts and a bare reader; two cores",
        run: socket::run,
    },
    Scenario {
        name: "wire",
        about: "a decision to the order's bytes on a venue's socket, log and signature included; two cores",
        run: wire::run,
    },
];
