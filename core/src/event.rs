//! What the engine consumes: one closed enum, in one order.

use crate::instrument::{InstrumentId, SourceId, VenueId};
use crate::intent::Urgency;
use crate::position::PositionId;
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
}

impl Default for GateSettings {
    fn default() -> Self {
        Self {
            liveness: Nanos::from_secs(3),
            max_leg_skew: Nanos::from_millis(250),
            jump_hold: Nanos::from_millis(250),
        }
    }
}
