//! What follows a refused order: one row for each class of error (SPEC §7).
//!
//! A price or a size that was refused is worked out anew and tried once more at once. A venue that
//! is not to be had is left alone for a while, whatever the urgency. What the venue would refuse
//! again is tried again all the same, seldom, and is for people to look at: a position that cannot
//! be closed is never given up.

use crate::limits::{BACKOFF_FATAL, BACKOFF_FIRST, BACKOFF_LAST};
use crate::order::RejectClass;
use crate::units::Nanos;

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Refusals in a row after which the next order leaves at once.
    pub at_once: u8,
    /// The first pause after those; it doubles with each further refusal.
    pub first: Nanos,
    /// The longest pause.
    pub last: Nanos,
    /// The pause is the venue's wish: no urgency overrides it.
    pub binds_all: bool,
    /// It counts as a failed attempt of its plan: the next rung, and in the end more urgency. A
    /// venue that is not to be had says nothing about the price.
    pub is_attempt: bool,
    /// Somebody must look at it.
    pub alarms: bool,
}

/// By class, in the order of [`RejectClass`].
const TABLE: [Retry; 5] = {
    let anew = Retry {
        at_once: 1,
        first: BACKOFF_FIRST,
        last: BACKOFF_LAST,
        binds_all: false,
        is_attempt: true,
        alarms: false,
    };
    let later = Retry { at_once: 0, binds_all: true, is_attempt: false, ..anew };
    let seldom =
        Retry { at_once: 0, first: BACKOFF_FATAL, last: BACKOFF_FATAL, alarms: true, ..anew };
    [anew, anew, later, later, seldom]
};

impl Retry {
    /// What follows this class of refusal.
    #[must_use]
    pub const fn of(class: RejectClass) -> Self {
        TABLE[class as usize]
    }

    /// The pause after so many refusals in a row, this one counted.
    #[must_use]
    pub fn pause(self, refusals: u8) -> Nanos {
        let paused = refusals.saturating_sub(self.at_once);
        if paused == 0 {
            return Nanos(0);
        }
        Nanos(self.first.0 << (paused - 1).min(16)).min(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_by_class() {
        let millis = |class, refusals| Retry::of(class).pause(refusals).0 / 1_000_000;
        let row = |class| [1, 2, 3, 4, 7, u8::MAX].map(|refusals| millis(class, refusals));
        assert_eq!(row(RejectClass::Price), [0, 250, 500, 1_000, 8_000, 8_000]);
        assert_eq!(row(RejectClass::Size), row(RejectClass::Price));
        assert_eq!(row(RejectClass::RateLimit), [250, 500, 1_000, 2_000, 8_000, 8_000]);
        assert_eq!(row(RejectClass::Unavailable), row(RejectClass::RateLimit));
        assert_eq!(row(RejectClass::Fatal), [10_000; 6]);
    }
}
