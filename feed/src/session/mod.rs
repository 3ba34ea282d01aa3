//! Connections of market data kept alive for ever, without a socket, a clock or a thread: what
//! happened goes in (`on_…`), what is to be done comes out ([`Link::poll_action`]).
//!
//! A venue says what is subscribed where ([`StreamPlan`]) and how one speaks there ([`Dialect`]);
//! a [`Link`] keeps one plan's connection up, with at most one replacement beside it
//! (make-before-break); all links of a host share a [`ConnectBudget`].
//!
//! **What the driver owes a link**
//!
//! - Read sockets before timers: after a stall of the process the frames that wait in the socket
//!   would otherwise count as silence.
//! - Give each slot a codec of its own, and reset it when the slot is opened.
//! - After [`LinkAction::Close`] say nothing more of that connection: the slot may be in use again.
//! - Drain [`Link::poll_action`] after every call.

mod backoff;
mod bucket;
mod budget;
mod connection;
mod counters;
mod dialect;
mod event;
mod link;
mod plan;
mod rejects;
mod requests;
mod settings;

pub use backoff::{Backoff, Jitter};
pub use budget::{BudgetSettings, ConnectBudget, Turn};
pub use counters::LinkCounters;
pub use dialect::{Answer, Dialect, Heartbeat, Operation, quote_json};
pub use event::{ChangeReason, LinkAction, LinkEvent, LinkReason, LinkState, Telling};
pub use link::{Link, Missing};
pub use plan::{PlanBuilder, StreamPlan, Topic, Wanted};
pub use settings::LinkSettings;
pub use tungstenite::Utf8Bytes;

/// A link's connection and its replacement: which is which changes with every replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// One of the two.
    A,
    /// The other.
    B,
}

impl Slot {
    /// Both.
    pub const ALL: [Self; 2] = [Self::A, Self::B];

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// 0 or 1, for tables of both.
    #[inline]
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}
