//! What earlier runs have left, and why that cannot be known.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::admission::AdmitError;
use crate::entry::TaskId;
use crate::executor::Executor;
use crate::instrument::{AccountId, InstrumentError, InstrumentId, InstrumentSpec};
use crate::intent::{Intent, Reason};
use crate::limits::LEGS_MAX;
use crate::log::Text;
use crate::position::{PositionId, PositionSpec, Side};
use crate::restart::RestartError;
use crate::units::{Nanos, Qty};

/// Why earlier runs cannot be recovered. `epoch` and `sequence` name the record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "epoch and sequence name the record")]
pub enum RecoveryError {
    /// A record that cannot stand where it stands.
    #[error("record {epoch}:{sequence}, {what}, cannot stand where it stands")]
    OutOfPlace { epoch: u16, sequence: u64, what: &'static str },
    /// Records are missing.
    #[error("record {epoch}:{expected} is missing; {sequence} follows: a file is gone")]
    Missing { epoch: u16, expected: u64, sequence: u64 },
    /// What is decided again is not what stands in the log.
    #[error(
        "record {epoch}:{sequence}: decided again, its step gives other {what} than the log has; \
         use the program version that wrote it"
    )]
    Differs { epoch: u16, sequence: u64, what: &'static str },
    /// An instrument in the log is none.
    #[error("record {epoch}:{sequence}: {error}")]
    Instrument { epoch: u16, sequence: u64, error: InstrumentError },
    /// A position in the log cannot have been taken on.
    #[error("record {epoch}:{sequence}: {error}")]
    Position { epoch: u16, sequence: u64, error: AdmitError },
    /// A run did not fit what it says it carried on.
    #[error("record {epoch}:{sequence}: {error}")]
    Restart { epoch: u16, sequence: u64, error: RestartError },
}

/// What a live plan has filled of one leg.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlanFills {
    /// How much, in quantity mantissa units.
    pub qty: i64,
    /// Σ price × quantity, in mantissa units.
    pub product: i128,
    /// Σ fees at the instrument's nano scale.
    pub fees: i128,
}

/// A live plan, as the engine must know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenPlan {
    /// The last intent that it took in.
    pub intent: Box<Intent>,
    /// Why it began.
    pub began: Reason,
    /// What it has filled, by leg.
    pub fills: [PlanFills; LEGS_MAX],
}

/// A position that is not closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenPosition {
    /// Its id, which stays.
    pub id: PositionId,
    /// Its name, if it has one.
    pub name: Option<Text>,
    /// The name of its policy, if the log has it.
    pub policy: Option<Text>,
    /// As it was registered, with the newest fees and funding.
    pub spec: PositionSpec,
    /// What is open of each leg.
    pub open: [Qty; LEGS_MAX],
    /// The plan that closes it.
    pub plan: Option<OpenPlan>,
    /// What is left of it cannot be sold.
    pub dust: bool,
}

/// What an entry has left that no position was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unwatched {
    /// For which task or turn.
    pub task: TaskId,
    /// Where.
    pub account: AccountId,
    /// What.
    pub instrument: InstrumentId,
    /// Which way.
    pub side: Side,
    /// How much.
    pub qty: Qty,
}

/// What earlier runs have left.
#[derive(Debug)]
pub struct Recovered {
    /// The executor, as it stood at the last record; [`Executor::restart`] carries it on.
    pub executor: Executor,
    /// The newest run that has decided something.
    pub epoch: u16,
    /// Time of the last record of all.
    pub last: Nanos,
    /// Records read.
    pub records: u64,
    /// The highest number of an intent: the engine counts on from there.
    pub intents: u64,
    /// Positions that are not closed, in the order of their slots.
    pub open: Vec<OpenPosition>,
    /// The newest closed position of each slot that no open one has.
    pub closed: Vec<PositionId>,
    /// Names of all positions that were ever taken on.
    pub names: BTreeSet<Box<str>>,
    /// Instruments of the newest run, and what they are called.
    pub instruments: Vec<(InstrumentSpec, Option<Text>)>,
    /// Names of its accounts.
    pub accounts: BTreeMap<u8, Text>,
    /// Entries that had ended, and of which no position was made.
    pub unwatched: Vec<Unwatched>,
    /// Orders of cut steps that never left.
    pub unsent: u64,
}

impl Recovered {
    /// Orders that may have left and of which no end is known.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        let live = |position: &OpenPosition| {
            let legs = 0..position.spec.legs.len();
            let live = |leg: &usize| {
                self.executor.leg(position.id, *leg).is_some_and(|leg| leg.live > Qty::ZERO)
            };
            legs.filter(live).count()
        };
        let entries: usize = self.executor.entries().map(|entry| entry.live).sum();
        entries + self.open.iter().map(live).sum::<usize>()
    }
}
