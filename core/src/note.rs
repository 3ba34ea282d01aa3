//! What the engine says beside its intents, and the executor beside its orders: for people, logs
//! and reports, never for a decision.

use alloc::collections::VecDeque;

use crate::entry::{ENTRY_LEGS_MAX, TaskId};
use crate::instrument::{InstrumentId, VenueId};
use crate::intent::{Reason, Urgency};
use crate::net::Cmp;
use crate::order::{ClientOrderId, RejectClass};
use crate::policy::{PolicyId, TriggerSource};
use crate::portfolio::PortfolioNote;
use crate::position::{PositionId, RegisterError, Side};
use crate::task::TaskState;
use crate::units::{Decimal, Nanos, Price, Qty};

/// A note of the executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecutorNote {
    /// The fate of an order was settled by what is held, because its venue does not know it.
    Proven {
        /// Which.
        id: ClientOrderId,
        /// What it must have traded without a word: booked at its limit, or at the newest quote.
        inferred: Qty,
    },
    /// An entry that a restart has interrupted is undone and over.
    TakenBack {
        /// For which task or turn.
        task: TaskId,
        /// What could not be sold back, by leg.
        held: [Qty; ENTRY_LEGS_MAX],
    },
    /// A plan has made no progress for too long, or was refused for good. It goes on.
    Stuck {
        /// Of which position.
        position: PositionId,
    },
    /// A leg of a position stands without its counterpart: it was filled on others, and what it has
    /// too much of was refused, expired, or is silent. Its repair has begun.
    Legging {
        /// Which position.
        position: PositionId,
        /// Index of the leg that has too much, the most of them.
        leg: u8,
        /// Notional of what is too much, at the newest prices and the position's nano scale.
        notional: Decimal,
    },
    /// It has lasted for too long, or is of too much: the rest is closed, more urgently.
    Unhedged {
        /// Which position.
        position: PositionId,
        /// How long it has lasted by now.
        lasted: Nanos,
        /// As above.
        notional: Decimal,
    },
    /// What was told as [`Self::Legging`] is over.
    Hedged {
        /// Which position.
        position: PositionId,
        /// How long it lasted.
        lasted: Nanos,
        /// The most notional that it had.
        most: Decimal,
    },
    /// One leg of an entry is filled, and of the other one nobody knows what became of it: what does
    /// not match is undone.
    EntryUnhedged {
        /// For which task or turn.
        task: TaskId,
    },
    /// A venue refuses every order: it is sent one at a time, to see when it takes them again.
    VenueHeld {
        /// Which.
        venue: VenueId,
        /// What it says.
        why: RejectClass,
    },
    /// Of a position of several legs only some are at a venue that is held.
    HalfHeld {
        /// Which position.
        position: PositionId,
        /// Index of its first leg there.
        leg: u8,
        /// The venue.
        venue: VenueId,
    },
    /// A venue that was held takes orders again.
    VenueResumed {
        /// Which.
        venue: VenueId,
    },
    /// A venue wants to be sent nothing for a while.
    VenueLimited {
        /// Which.
        venue: VenueId,
        /// Until when.
        until: Nanos,
    },
}

/// A note of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineNote {
    /// An event came in a state that does not expect it: it was counted and changed nothing.
    Stray {
        /// What came.
        what: &'static str,
        /// For which position; `None` where it means none, or one that is not there.
        position: Option<PositionId>,
    },
    /// A rule held and did not give the intent its reason.
    Overruled(Overruled),
    /// A task has something to say.
    Task {
        /// Which.
        task: TaskId,
        /// What.
        what: TaskNote,
    },
    /// A position does not make way for a signal to the other side.
    SignalRefused {
        /// Which.
        position: PositionId,
        /// Why.
        why: SignalRefusal,
    },
    /// Nothing stands against a signal any more: what it wants to enter may be entered.
    EntryAllowed {
        /// The signal's instrument.
        instrument: InstrumentId,
        /// Its side.
        side: Side,
    },
    /// A signal enters nothing.
    SignalDropped {
        /// The signal's instrument.
        instrument: InstrumentId,
        /// Its side.
        side: Side,
        /// Why.
        why: SignalDrop,
    },
    /// Something of all positions together.
    Portfolio(PortfolioNote),
    /// Two signs of a dump stand against a position: its `dump` rule fires.
    Dump {
        /// Which.
        position: PositionId,
        /// By both signs of the volumes; else by one of them and the price.
        by_volumes: bool,
    },
    /// What is registered under a policy from now on gets another.
    Committed {
        /// What registrations name.
        of: PolicyId,
        /// What they get.
        policy: PolicyId,
    },
    /// A position is under another policy than before, or than it was registered under.
    Policy {
        /// The position.
        position: PositionId,
        /// The policy.
        policy: PolicyId,
        /// Not yet: when its plan has ended.
        waits: bool,
    },
    /// A policy does not fit a position, which keeps the one that it has.
    PolicyRefused {
        /// The position.
        position: PositionId,
        /// The policy.
        policy: PolicyId,
        /// Why.
        why: RegisterError,
    },
    /// A rule of a position was switched.
    Rule {
        /// The position.
        position: PositionId,
        /// The policy that it is under.
        policy: PolicyId,
        /// Index of the rule in it.
        rule: u8,
        /// On or off.
        on: bool,
    },
    /// An instrument's first price is far off the entry of a position that was registered before it:
    /// is it the right symbol, scale and multiplier?
    FarEntry {
        /// The position.
        position: PositionId,
        /// What its leg is of.
        instrument: InstrumentId,
        /// The leg's entry.
        entry: Price,
        /// The bid or ask that it is too far from.
        live: Price,
    },
    /// A leader moved against a position that goes with it: its `correlation` rule fires.
    CorrelatedDump {
        /// Which position.
        position: PositionId,
        /// Whom it follows.
        leader: InstrumentId,
    },
    /// Another price of an instrument counts for the protective rules that look at one first.
    Rung {
        /// Which instrument.
        instrument: InstrumentId,
        /// The price that they look at first.
        own: TriggerSource,
        /// The one that counts now; `None`: there is none.
        counts: Option<TriggerSource>,
    },
    /// No price of a leg is left, or there is one again.
    Blind {
        /// The position.
        position: PositionId,
        /// Whether it is blind now.
        on: bool,
    },
    /// A rule holds and waits for a settlement of funding in the position's favour, as its policy
    /// wants.
    HeldForFunding {
        /// The position.
        position: PositionId,
        /// Index of the rule in its policy.
        rule: u8,
        /// What it would close for.
        reason: Reason,
        /// The settlement's time. It waits [`crate::limits::FUNDING_GRACE`] longer, and less when what
        /// is known of the funding changes.
        settles: Nanos,
    },
    /// An intent was raised by a price that is no best bid or ask.
    SeenBy(SeenBy),
}

/// The price of a leg that raised an intent and stands nowhere in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenBy {
    /// The position.
    pub position: PositionId,
    /// Number of the intent.
    pub intent: u64,
    /// Index of the leg.
    pub leg: u8,
    /// Which price it is.
    pub source: TriggerSource,
    /// What it is.
    pub price: Price,
    /// How old it was.
    pub age: Nanos,
    /// What it was compared with, where the rule is on one price.
    pub limit: Option<(Cmp, i64)>,
}

/// A rule that held when another one had its way. Notes of an event tell all of them; what they
/// name of quantities has gone into the plan all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overruled {
    /// Which position.
    pub position: PositionId,
    /// Number of the intent that it stood behind: one of this event, or the last of the plan that
    /// covers it.
    pub intent: u64,
    /// Index of the rule; 255 for an operator.
    pub rule: u8,
    /// Its part, as in an intent.
    pub part: u8,
    /// What it would have closed for.
    pub reason: Reason,
    /// How urgently it asks.
    pub urgency: Urgency,
    /// Why it lost.
    pub why: Lost,
}

/// Why a rule that held did not give an intent its reason (SPEC §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lost {
    /// Another rule is more urgent.
    LowerUrgency,
    /// As urgent, and later in the order of reasons.
    LaterInOrder,
    /// Equal in both: an earlier rule of the policy, or an earlier part of the same one, held too.
    LaterRule,
    /// The live plan is as urgent already and keeps no more: it changes nothing.
    Covered,
}

impl Lost {
    /// The name that reports use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LowerUrgency => "lower_urgency",
            Self::LaterInOrder => "later_in_order",
            Self::LaterRule => "later_rule",
            Self::Covered => "covered",
        }
    }
}

/// What becomes of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskNote {
    /// It enters.
    Entering,
    /// Its entry is cheap enough, and something stands against it: what its account holds, or there is
    /// no room for its position. Said once; it looks again every second.
    Waits {
        /// What: [`SignalDrop::Locked`] or [`SignalDrop::NoRoom`].
        why: SignalDrop,
    },
    /// Nothing came of its entry.
    Missed,
    /// Its position is held from now on.
    Entered {
        /// Which.
        position: PositionId,
    },
    /// Convergence of the two prices would not reach the target of its policy.
    Unreachable {
        /// What it would bring, all fees paid.
        net: Decimal,
        /// What the policy wants.
        target: Decimal,
        /// Whether it is not entered for that.
        refused: bool,
    },
    /// Its position is closed.
    Cycle {
        /// What it brought.
        net: Decimal,
    },
    /// It is paused, done or has failed.
    State {
        /// Which of these.
        state: TaskState,
    },
}

/// Why a position does not make way for a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalRefusal {
    /// Its net is below nought.
    PositionLosing,
    /// Its net is not below nought and less than its rule asks for.
    InsufficientProfit,
    /// Its net cannot be told: a price is missing, stale, or of another moment than the others.
    NoPrice,
    /// Its policy has no reversal rule.
    NoRule,
    /// What is left of it cannot be sold.
    Dust,
}

impl SignalRefusal {
    /// The name that reports use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PositionLosing => "position_losing",
            Self::InsufficientProfit => "insufficient_profit",
            Self::NoPrice => "no_price",
            Self::NoRule => "no_rule",
            Self::Dust => "dust",
        }
    }
}

/// Why a signal enters nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalDrop {
    /// A position on the other side does not make way.
    Refused,
    /// What it conflicts with was not closed in time.
    Expired,
    /// A newer signal for the instrument came.
    Replaced,
    /// The trading state allows no entries.
    NotActive,
    /// An entry of an earlier signal for the instrument is at work on the other side.
    Entering,
    /// What it was to take the place of was not closed by fills alone.
    NotFilled,
    /// A task holds the instrument, or is about to.
    Locked,
    /// There is no price that may be believed.
    NoPrice,
    /// The quantity is below the venue's smallest order.
    TooSmall,
    /// The portfolio or the table of turns is full.
    NoRoom,
    /// Nothing of its order was filled.
    Missed,
    /// What was filled can be no position: it is too small to be sold, or was refused. Nothing
    /// watches it.
    Unwatched,
}

impl SignalDrop {
    /// The name that reports use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Expired => "expired",
            Self::Replaced => "replaced",
            Self::NotActive => "not_active",
            Self::Entering => "entering",
            Self::NotFilled => "not_filled",
            Self::Locked => "locked",
            Self::NoPrice => "no_price",
            Self::TooSmall => "too_small",
            Self::NoRoom => "no_room",
            Self::Missed => "missed",
            Self::Unwatched => "unwatched",
        }
    }
}

impl EngineNote {
    /// The position that it speaks of; `None` when of none in particular.
    #[must_use]
    pub const fn position(&self) -> Option<PositionId> {
        match *self {
            Self::Stray { position, .. } => position,
            Self::Overruled(Overruled { position, .. })
            | Self::SignalRefused { position, .. }
            | Self::Dump { position, .. }
            | Self::CorrelatedDump { position, .. } => Some(position),
            Self::EntryAllowed { .. } | Self::SignalDropped { .. } | Self::Task { .. } => None,
            Self::Portfolio(PortfolioNote::TooOld { position }) => Some(position),
            Self::Portfolio(_) => None,
            Self::Committed { .. } => None,
            Self::Policy { position, .. }
            | Self::PolicyRefused { position, .. }
            | Self::Rule { position, .. }
            | Self::FarEntry { position, .. } => Some(position),
            Self::Rung { .. } => None,
            Self::Blind { position, .. }
            | Self::HeldForFunding { position, .. }
            | Self::SeenBy(SeenBy { position, .. }) => Some(position),
        }
    }
}

/// Notes that wait to be polled. Those that find no room are counted: nobody decides by them.
#[derive(Debug)]
pub(crate) struct Notes {
    waiting: VecDeque<EngineNote>,
    room: usize,
    pub(crate) lost: u64,
}

impl Notes {
    pub(crate) fn with_capacity(room: usize) -> Self {
        Self { waiting: VecDeque::with_capacity(room), room, lost: 0 }
    }

    pub(crate) fn push(&mut self, note: EngineNote) {
        if self.waiting.len() == self.room {
            self.lost += 1;
        } else {
            self.waiting.push_back(note);
        }
    }

    pub(crate) fn pop(&mut self) -> Option<EngineNote> {
        self.waiting.pop_front()
    }
}
