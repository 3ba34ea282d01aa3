//! Positions that tasks enter.

use reap_core::entry::{Entered, TaskId};
use reap_core::task::TaskState;

use super::Pipeline;
use crate::story::Watcher;

impl Pipeline {
    /// The executor takes a position on before it hears of an intent for it.
    pub(super) fn on_entered(&mut self, entered: Entered, watch: Watcher<'_>) {
        let Entered { task, id, spec } = entered;
        let policy = &self.story.config().policies[usize::from(spec.policy.0)].policy;
        let taken = self.executor.register(id, &spec, &policy.exit);
        self.reads.on_opened(self.now, policy, &spec);
        let at = self.story.entered(self.now, task, id, spec, watch);
        if let Err(error) = taken {
            self.story.refused(self.now, at, error.to_string(), watch);
        }
    }

    /// Whether an entry is at work.
    pub(super) fn is_entering(&self) -> bool {
        let mut ids = (0..self.story.config().tasks.len()).map(|at| TaskId(at as u16));
        ids.any(|id| self.engine.task(id).is_some_and(|task| task.state == TaskState::Entering))
    }
}
