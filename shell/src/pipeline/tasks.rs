//! Positions that come of entries.

use reap_core::entry::Entered;

use super::Pipeline;
use crate::story::Watcher;

impl Pipeline {
    /// The executor takes a position on before it hears of an intent for it.
    pub(super) fn on_entered(&mut self, entered: Entered, watch: Watcher<'_>) {
        let Entered { task, of, id, spec } = entered;
        let policy = &self.story.config().policies[usize::from(spec.policy.0)].policy;
        let taken = self.executor.register(id, &spec, &policy.exit);
        self.reads.on_opened(self.now, policy, &spec);
        let at = self.story.entered(self.now, (task, of), id, spec, watch);
        if let Err(error) = taken {
            self.story.refused(self.now, at, error.to_string(), watch);
        }
    }
}
