//! Whether everything at each venue could be closed at once: told when that changes.

use reap_core::executor::Executor;
use reap_core::instrument::VenueId;
use reap_core::units::Nanos;
use reap_core::venues::VenueView;

/// How often it is looked.
const LOOK_EVERY: Nanos = Nanos::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(super) struct Closing {
    look_at: Nanos,
    /// The venue that is looked at next.
    at: u8,
    /// By venue, what was told last: in the beginning there is nothing to close.
    can: [bool; u8::MAX as usize + 1],
}

impl Closing {
    pub(super) const fn new() -> Self {
        Self { look_at: Nanos(0), at: 0, can: [true; u8::MAX as usize + 1] }
    }

    /// The next venue at which it has changed; each is looked at once a second.
    pub(super) fn poll(&mut self, now: Nanos, executor: &Executor) -> Option<VenueView> {
        if now < self.look_at {
            return None;
        }
        while let Some(view) = executor.venue(now, VenueId(self.at)) {
            let can = view.can_close_now();
            let before = std::mem::replace(&mut self.can[usize::from(self.at)], can);
            if self.at == u8::MAX {
                break;
            }
            self.at += 1;
            if before != can {
                return Some(view);
            }
        }
        self.at = 0;
        self.look_at = now.plus(LOOK_EVERY);
        None
    }
}
