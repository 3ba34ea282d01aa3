//! Positions of one to four legs that are closed together.

use arrayvec::ArrayVec;

use crate::instrument::{AccountId, InstrumentId};
use crate::limits::{LEGS_MAX, TRACKS_MAX};
use crate::policy::PolicyId;
use crate::units::{Decimal, Nanos, Price, Qty};

/// A position: slot in the low 20 bits, generation of the slot above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PositionId(pub u32);

impl PositionId {
    pub(crate) const SLOT_BITS: u32 = 20;

    pub(crate) const fn new(slot: u32, generation: u32) -> Self {
        Self(slot | generation << Self::SLOT_BITS)
    }

    /// Index of the position's slot.
    #[must_use]
    pub const fn slot(self) -> usize {
        (self.0 & ((1 << Self::SLOT_BITS) - 1)) as usize
    }
}

/// The side of a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Bought: closes by selling at the bid.
    Long,
    /// Sold: closes by buying at the ask.
    Short,
}

impl Side {
    /// +1 for long, -1 for short.
    #[must_use]
    pub const fn sign(self) -> i128 {
        match self {
            Self::Long => 1,
            Self::Short => -1,
        }
    }
}

/// One leg as it is registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LegSpec {
    /// Where it is held.
    pub account: AccountId,
    /// What is held.
    pub instrument: InstrumentId,
    /// Long or short.
    pub side: Side,
    /// Average entry price, exact at the instrument's price scale.
    pub entry: Price,
    /// Quantity at registration: the epoch's original quantity.
    pub qty: Qty,
    /// Fees paid so far for `qty`, in the quote currency; negative is a rebate.
    pub fees_paid: Decimal,
    /// Funding settled so far for `qty`, in the quote currency; positive was received.
    pub funding: Decimal,
    /// Margin that backs the leg, in the quote currency; only for [`crate::policy::Base::Margin`].
    pub margin: Option<Decimal>,
}

/// A position as it is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PositionSpec {
    /// Its rules.
    pub policy: PolicyId,
    /// First entry fill: age counts from here.
    pub opened: Nanos,
    /// Operator's tag, for commands to several positions; 0 is none.
    pub tag: u32,
    /// One to four legs.
    pub legs: ArrayVec<LegSpec, LEGS_MAX>,
}

/// Where a position stands, as the engine sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PositionState {
    /// Held; rules are watched and high-water marks move.
    Open,
    /// A plan is live: rules are watched and may raise it, marks stand still.
    Exiting,
    /// Less than one lot or the smallest order is left; nothing more can be sold.
    DustResidual,
    /// Flat on evidence.
    Closed,
}

/// Why a registration was refused. Nothing of the position is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// A table is full.
    #[error("{what} are limited to {max}; raise the engine's limits")]
    Full {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// No such policy.
    #[error("policy {0} is not registered")]
    UnknownPolicy(u16),
    /// No such instrument.
    #[error("leg {leg}: instrument {instrument} is not registered")]
    UnknownInstrument {
        /// Index of the leg.
        leg: usize,
        /// The instrument's id.
        instrument: u16,
    },
    /// A position without legs.
    #[error("a position has 1 to 4 legs, this one has none")]
    NoLegs,
    /// A value of a leg is out of bounds.
    #[error("leg {leg}: {field} is {value}, must be {bound}")]
    Leg {
        /// Index of the leg.
        leg: usize,
        /// The field.
        field: &'static str,
        /// Its value.
        value: i128,
        /// The bound, in words.
        bound: &'static str,
    },
    /// An entry is far off the live price.
    #[error(
        "leg {leg}: entry price is {}, must be within {factor} times the live price of {}; give it \
         the right symbol, price scale and multiplier, or raise the entry factor",
        shown(.entry, .scale),
        shown(.live, .scale)
    )]
    FarEntry {
        /// Index of the leg.
        leg: usize,
        /// The entry price.
        entry: Price,
        /// The bid or ask that it is too far from.
        live: Price,
        /// Decimals of both.
        scale: u8,
        /// The factor, see [`crate::event::GateSettings::entry_factor`].
        factor: u32,
    },
    /// Two legs contradict each other.
    #[error("legs {a} and {b}: {why}")]
    Legs {
        /// Index of the one.
        a: usize,
        /// Index of the other.
        b: usize,
        /// What contradicts.
        why: &'static str,
    },
    /// A leg opposes what the same account holds of the same instrument, or is buying or selling
    /// right now: a one-way account nets the two, so that closing the one would open the other.
    #[error(
        "leg {leg}: it opposes what account {account} holds of instrument {instrument}; a one-way \
         account nets the two: hold one of them in another account"
    )]
    Opposite {
        /// Index of the leg.
        leg: usize,
        /// The account.
        account: u8,
        /// The instrument.
        instrument: u16,
    },
    /// A setting of the policy is out of bounds.
    #[error("policy: {field} is {value}, must be {bound}")]
    Policy {
        /// The field.
        field: &'static str,
        /// Its value.
        value: i128,
        /// The bound, in words.
        bound: &'static str,
    },
    /// A rule does not fit the position or contradicts itself.
    #[error("rule {rule}: {field} is {value}, must be {bound}")]
    Rule {
        /// Index of the rule.
        rule: usize,
        /// The field.
        field: &'static str,
        /// Its value, in the field's unit.
        value: i128,
        /// The bound, in words.
        bound: &'static str,
    },
}

fn shown(price: &Price, scale: &u8) -> Decimal {
    Decimal { mantissa: i128::from(price.raw()), scale: *scale }
}

impl RegisterError {
    pub(crate) const TRACKS_FULL: Self = Self::Full {
        what: "distinct (side, step, kind) of trailing rules on one instrument",
        max: TRACKS_MAX,
    };
}
