//! What the engine consumes: one closed enum, in one order.

use crate::entry::TaskId;
use crate::instrument::{InstrumentId, SourceId, VenueId};
use crate::intent::Urgency;
use crate::policy::PolicyId;
use crate::position::{PositionId, Side};
use crate::tick::Tick;
use crate::units::{Decimal, Nanos, Price, Qty};

/// An input of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Market data.
    Tick(Tick),
    /// What became of a plan or an order.
    Report(Report),
    /// An operator.
    Command(Command),
    /// The state of a connection.
    Source(SourceId, SourceChange),
    /// Nothing but the time.
    Timer,
}

/// A change of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceChange {
    /// Connected again: update ids start a new generation and the next quote of each instrument is
    /// its new reference.
    Connected,
    /// Lost: not live until it delivers data again.
    Lost,
}

/// What the executor tells the engine. The engine learns quantities only from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// A fill of one leg.
    Fill {
        /// The position.
        position: PositionId,
        /// Index of the leg.
        leg: u8,
        /// Fill price.
        price: Price,
        /// Filled quantity.
        qty: Qty,
        /// Fee at the instrument's nano scale; negative is a rebate.
        fee: i128,
    },
    /// The plan of a position has ended.
    PlanEnded {
        /// The position.
        position: PositionId,
        /// Number of the last intent that the plan took in. An intent may pass the report of the end
        /// on its way: the executor then works it as a plan of its own, and this end is not its.
        intent: u64,
        /// How.
        outcome: Outcome,
    },
    /// What a venue says is held of a leg: an authoritative read, not an order of ours. What a venue
    /// nets over several legs is split by the executor.
    LegRead {
        /// The position.
        position: PositionId,
        /// Index of the leg.
        leg: u8,
        /// What is held for this leg.
        qty: Qty,
    },
    /// A leg is this small by no order of ours: enough reads agreed, and the executor has put its
    /// books to what was read last.
    LegLost {
        /// The position.
        position: PositionId,
        /// Index of the leg.
        leg: u8,
        /// What is left of it.
        qty: Qty,
    },
    /// A fill of an entry's leg.
    EntryFill {
        /// For which task.
        task: TaskId,
        /// Index of the leg.
        leg: u8,
        /// Fill price.
        price: Price,
        /// Filled quantity.
        qty: Qty,
        /// Fee at the instrument's nano scale; negative is a rebate.
        fee: i128,
    },
    /// A fill of what undoes a part of an entry's leg, because the other leg does not match it.
    EntryUndone {
        /// For which task.
        task: TaskId,
        /// Index of the leg.
        leg: u8,
        /// Fill price.
        price: Price,
        /// Filled quantity.
        qty: Qty,
        /// Fee at the instrument's nano scale; negative is a rebate.
        fee: i128,
    },
    /// An entry has ended: nothing of it is live at a venue any more.
    EntryEnded {
        /// For which task.
        task: TaskId,
        /// Number of the entry.
        entry: u64,
        /// How.
        outcome: EntryOutcome,
    },
}

impl Report {
    /// The position that it is about; an entry has none yet.
    #[must_use]
    pub const fn position(&self) -> Option<PositionId> {
        match *self {
            Self::Fill { position, .. }
            | Self::PlanEnded { position, .. }
            | Self::LegRead { position, .. }
            | Self::LegLost { position, .. } => Some(position),
            Self::EntryFill { .. } | Self::EntryUndone { .. } | Self::EntryEnded { .. } => None,
        }
    }
}

/// How an entry ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryOutcome {
    /// Every leg is filled as wanted.
    Filled,
    /// Less is filled, the same part of every leg.
    Partial,
    /// Nothing is left of it: there is no position.
    Nothing,
}

/// How a plan ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Every leg is flat, on evidence.
    Closed,
    /// Something stays open: the target is reached, or an opportunistic plan has filled whole clips
    /// and its rule no longer holds for the next one.
    Done,
    /// An opportunistic plan ended without a fill.
    Missed,
    /// What is left cannot be sold.
    Dust,
}

/// An operator's command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Close positions.
    Close {
        /// Which.
        which: Which,
        /// How urgently.
        urgency: Urgency,
    },
    /// Fees or funding of a leg became known or changed: totals for its original quantity.
    Amounts {
        /// The position.
        position: PositionId,
        /// Index of the leg.
        leg: u8,
        /// Fees paid, in the quote currency.
        fees_paid: Decimal,
        /// Funding settled, in the quote currency.
        funding: Decimal,
    },
    /// Believe the quote that is held aside.
    ConfirmJump(InstrumentId),
    /// A signal to the other side of what is held on an instrument.
    Signal {
        /// Which instrument.
        instrument: InstrumentId,
        /// The side that the signal wants.
        side: Side,
    },
    /// What may be done at all.
    SetState(TradingState),
    /// Lifts what latched.
    Reset(Latch),
    /// Equity of the accounts together, in the portfolio's currency.
    Equity(Decimal),
    /// Money moved in (positive) or out: shifts equity and its baseline alike.
    Transfer(Decimal),
    /// The liquidation price of a leg became known or changed; `None`: it has none.
    Liquidation {
        /// The position.
        position: PositionId,
        /// Index of the leg.
        leg: u8,
        /// The price.
        price: Option<Price>,
    },
    /// What is registered under a policy from now on gets another one: its next version.
    Commit {
        /// The policy that registrations name.
        of: PolicyId,
        /// What they get.
        policy: PolicyId,
    },
    /// Positions go over to another policy, which [`crate::engine::Engine::add_policy`] took in: at
    /// once, or at the end of the plan that is live. How exits are ordered stays as the executor
    /// took the position in.
    Policy {
        /// Which.
        which: Which,
        /// To what.
        policy: PolicyId,
    },
    /// A rule of positions is switched on or off. Off it sees nothing: its mark stands still and it
    /// does not begin; on again it goes on from there and is looked at at once.
    Rule {
        /// Which positions, of those under the policy.
        which: Which,
        /// The policy.
        policy: PolicyId,
        /// Index of the rule in it.
        rule: u8,
        /// On or off.
        on: bool,
    },
    /// A task is started, paused, resumed or stopped.
    Task {
        /// Which.
        task: TaskId,
        /// What it shall do.
        what: TaskCommand,
    },
}

/// What may be done (SPEC §6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TradingState {
    /// Entries and exits.
    #[default]
    Active,
    /// Exits only.
    Reducing,
    /// Exits only, until an operator resets it.
    Halted,
    /// Nothing: no order is sent, of an exit that is under way neither. What waits goes on afterwards.
    Stopped,
}

/// What latches until an operator resets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latch {
    /// `portfolio_loss`.
    PortfolioLoss,
    /// The drawdown breakers.
    Drawdown,
}

/// What a task is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "what they say")]
pub enum TaskCommand {
    Start,
    Pause,
    Resume,
    Stop,
}

/// Which positions a command means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// One.
    Position(PositionId),
    /// Those with a leg at a venue.
    Venue(VenueId),
    /// Those with a tag.
    Tag(u32),
    /// All.
    All,
}

/// Settings of the price gates that belong to no instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateSettings {
    /// Longest silence of data on a source, 3 s.
    pub liveness: Nanos,
    /// Profit rules on several legs need a frame of every other leg's source at or after the
    /// latest price change minus this, 250 ms.
    pub max_leg_skew: Nanos,
    /// How long a jump is held aside, 250 ms.
    pub jump_hold: Nanos,
    /// A registration is refused when an entry is more than so many times the live price, or less
    /// than one so-many-th of it: 5. Nought takes any entry.
    pub entry_factor: u32,
}

impl Default for GateSettings {
    fn default() -> Self {
        Self {
            liveness: Nanos::from_secs(3),
            max_leg_skew: Nanos::from_millis(250),
            jump_hold: Nanos::from_millis(250),
            entry_factor: 5,
        }
    }
}
