//! A position that has come of an entry, small enough to go through a ring as it is.

use reap_core::entry::{ENTRY_LEGS_MAX, Entered, TaskId};
use reap_core::policy::PolicyId;
use reap_core::position::{LegSpec, PositionId, PositionSpec};
use reap_core::units::Nanos;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The number under which its entry went: a task, or beyond all tasks a turn.
    pub task: TaskId,
    /// The position whose place it takes; `None` when a task entered it.
    pub of: Option<PositionId>,
    /// Its id.
    pub id: PositionId,
    policy: PolicyId,
    opened: Nanos,
    tag: u32,
    count: u8,
    /// Beyond `count`, the first one again.
    legs: [LegSpec; ENTRY_LEGS_MAX],
}

impl Arrival {
    /// The position.
    #[must_use]
    pub fn spec(&self) -> PositionSpec {
        let legs = self.legs[..usize::from(self.count)].iter().copied().collect();
        PositionSpec { policy: self.policy, opened: self.opened, tag: self.tag, legs }
    }
}

impl From<&Entered> for Arrival {
    fn from(entered: &Entered) -> Self {
        let Entered { task, of, id, ref spec } = *entered;
        let PositionSpec { policy, opened, tag, legs: ref said } = *spec;
        let mut legs = [*said.first().expect("a position has a leg"); ENTRY_LEGS_MAX];
        legs[..said.len()].copy_from_slice(said);
        Self { task, of, id, policy, opened, tag, count: said.len() as u8, legs }
    }
}
