//! What the drivers tell the story, and what the story tells those who watch.

use reap_core::entry::TaskId;
use reap_core::event::{Outcome, Report};
use reap_core::executor::Executor;
use reap_core::follower::NearMiss;
use reap_core::intent::Intent;
use reap_core::limits::LEGS_MAX;
use reap_core::note::{EngineNote, ExecutorNote};
use reap_core::order::{Order, OrderChange, OrderEvent};
use reap_core::position::{PositionId, PositionSpec};
use reap_core::units::{Decimal, Nanos, Qty};

use super::{Arrival, LeggingRecord, PlanRecord};
use crate::config::PositionConfig;

/// One thing that happened, complete in itself: a thread that decides hands it on and forgets it.
///
/// All notes of a position come in the order in which its executor saw what they tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// A position is watched from now on. Its specification went ahead by
    /// [`super::Story::resolved`].
    Opened {
        /// Index of the configured position.
        at: usize,
        /// Its id in engine and executor.
        id: PositionId,
    },
    /// An entry has become a position.
    Entered(Arrival),
    /// The engine decided, and the executor is about to hear of it.
    Intent(Intent),
    /// The engine says something beside its decisions.
    Engine(EngineNote),
    /// The executor says something beside its orders and reports.
    Executor(ExecutorNote),
    /// The engine that follows has seen a rule come near and turn back.
    NearMiss(NearMiss),
    /// An order leaves.
    Sent(Order),
    /// A venue answers.
    Answer(OrderEvent),
    /// The executor reports.
    Report {
        /// What.
        report: Report,
        /// Realised net of the position after it.
        realised: Option<Decimal>,
        /// Open quantity of each leg after it.
        open: Option<[Qty; LEGS_MAX]>,
    },
    /// Funding of a leg was settled.
    Funding {
        /// The position.
        position: PositionId,
        /// Index of the leg.
        leg: u8,
        /// Settled since it was opened, for its original quantity at the instrument's nano scale.
        settled: i128,
        /// What the executor counts of it for quantities that were closed before, at the position's
        /// nano scale.
        unearned: i128,
    },
}

/// Notes travel by value: an intent with what it saw is the largest.
const _: () = assert!(size_of::<Note>() <= 512);

impl Note {
    /// A report that was just taken from this executor.
    #[must_use]
    pub fn of_report(report: Report, executor: &Executor) -> Self {
        let position = report.position();
        let realised = position.and_then(|position| executor.realised(position));
        let open = position.and_then(|position| executor.open(position));
        Self::Report { report, realised, open }
    }
}

/// What happens, for those who watch.
#[derive(Clone, Copy, Debug)]
pub enum Happening<'p> {
    /// A position is watched from now on.
    Opened(&'p PositionSpec),
    /// A task or a reversal has entered a position: it follows the others.
    Entered(&'p PositionConfig, &'p PositionSpec),
    /// A position was refused at registration.
    Refused(&'p str),
    /// The engine decided.
    Intent(&'p Intent),
    /// The engine says something beside its decisions. Of no position in particular: the index is
    /// the number of configured positions.
    Said(&'p EngineNote),
    /// An order's fate was settled by what is held; what it traded without a word.
    Proven(&'p Order, Qty),
    /// A plan makes no progress, or was refused for good. It goes on.
    Stuck,
    /// Some legs of a plan stand without their counterpart.
    Legging(&'p LeggingRecord),
    /// One leg of an entry is filled and of the other nobody knows: it is undone. Of a task or turn.
    EntryUnhedged(TaskId),
    /// A venue is held, resumes, or wants to be left alone; or some legs of a position are at one
    /// that is held.
    Venue(&'p ExecutorNote),
    /// Part of a leg is gone by no order of ours, and written off.
    Lost {
        /// Index of the leg.
        leg: usize,
        /// How much.
        lost: Qty,
    },
    /// A rule came near and turned back.
    NearMiss(&'p NearMiss),
    /// An order leaves.
    Sent(&'p Order),
    /// A venue answers.
    Answered(&'p Order, OrderChange),
    /// A plan has ended.
    Ended(Outcome, &'p PlanRecord),
}

/// Watches a story: time, index of the configured position, what happens.
pub type Watcher<'w> = &'w mut dyn FnMut(Nanos, usize, Happening<'_>);
