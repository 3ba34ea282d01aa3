//! What the engine says beside its intents: for people, logs and reports, never for a decision.

use alloc::collections::VecDeque;

use crate::position::PositionId;

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
}

impl EngineNote {
    /// The position that it speaks of; `None` when of none in particular.
    #[must_use]
    pub const fn position(&self) -> Option<PositionId> {
        match *self {
            Self::Stray { position, .. } => position,
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
