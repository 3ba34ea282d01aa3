//! The decision core of Reap: quotes in, exit intents out, orders planned.
//!
//! Two pure state machines with time as an argument. [`engine::Engine`] takes [`event::Event`]s in
//! and gives [`intent::Intent`]s; [`executor::Executor`] takes intents and what venues say of
//! orders, and gives [`order::Order`]s and [`event::Report`]s. The engine owns the rules' state, the
//! executor what is held: nobody else writes them.
//!
//! | what | where |
//! |---|---|
//! | units and their bounds | [`units`], [`limits`] |
//! | what venues and desks say | [`tick`], [`instrument`], [`policy`], [`position`] |
//! | when a price may be used | `book` |
//! | rules solved for prices | `compile`, `rules`, [`net`]; checked in `register` |
//! | what a tick is compared with | `watch`, over `heap`, `trailing`, `pair`, `guard` |
//! | where a trigger waits, what happens when it holds | `trigger`, `arm` |
//! | one decision per position and event | `arbiter`, `decide` |
//! | fills, ends of plans, commands | `life`, `tracked` |
//! | all positions together: total net, breakers, trading states | [`portfolio`] |
//! | what the engine says beside its intents | [`note`] |
//! | what recovery and replay read | [`log`] |
//! | holdings, plans, limits, orders | [`holding`], [`plan`], [`pricing`], [`order`], [`executor`] |
//! | the life of an order, and what follows a refusal | [`protocol`], `working`, [`retry`] |
//!
//! **Architecture invariants:** no clock, no I/O, no threads, no floats; no allocation after
//! start-up; the same input gives the same output, bit for bit. No module here knows a venue.
//!
//! What a decision means, exactly: `SEMANTICS.md` beside this crate.
#![no_std]

extern crate alloc;

/// Whether a bug is planted here; never in a release.
macro_rules! planted {
    ($desk:expr, $bug:ident) => {{
        #[cfg(all(feature = "planted", debug_assertions))]
        let planted = $desk.planted == Some(crate::planted::Bug::$bug);
        #[cfg(not(all(feature = "planted", debug_assertions)))]
        let planted = false;
        planted
    }};
}

pub mod admission;
mod arbiter;
mod arm;
mod aside;
mod book;
mod breaker;
pub mod budget;
mod candles;
mod clip;
mod compile;
mod convergence;
mod decide;
pub mod desk;
mod dump;
pub mod engine;
mod enter;
pub mod entry;
pub mod event;
pub mod executor;
mod exit;
mod far;
pub mod follower;
mod funding;
mod funding_hold;
mod guard;
pub mod hash;
mod heap;
mod hedge;
mod holders;
pub mod holding;
pub mod instrument;
pub mod intent;
mod ladder;
mod leaders;
mod leg;
mod legging;
mod life;
pub mod limits;
pub mod log;
mod needs;
pub mod net;
pub mod note;
pub mod order;
mod pair;
mod per_leg;
pub mod plan;
#[cfg(all(feature = "planted", debug_assertions))]
pub mod planted;
pub mod policy;
pub mod portfolio;
pub mod position;
pub mod pricing;
pub mod protocol;
mod reads;
pub mod recovery;
mod register;
pub mod restart;
mod resume;
pub mod retry;
mod reversal;
mod room;
mod rules;
mod signal;
mod switch;
pub mod task;
#[cfg(test)]
mod testing;
mod throttle;
pub mod tick;
mod tracked;
mod trades;
mod trailing;
mod trigger;
mod turn;
pub mod units;
pub mod venues;
mod wake;
mod watch;
mod work;
mod working;

pub use arbiter::{
    RULE_BLIND, RULE_BREAKER, RULE_HEALTH, RULE_MAX_AGE, RULE_OPERATOR, RULE_PORTFOLIO,
};
pub use book::GateCounters;
