//! The breaker on rejected messages: a venue that changed its schema is told from one that sends
//! an odd message.

use reap_core::units::Nanos;

use super::LinkSettings;
use crate::decoded::Rejection;

/// What a window has seen.
#[derive(Clone, Debug)]
pub(super) struct Rejects {
    began: Nanos,
    messages: u32,
    rejected: u32,
    over: bool,
}

/// What a message changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Breaker {
    /// Nothing.
    Quiet,
    /// The limit was reached with this message.
    Tripped,
    /// A whole window stayed below the limit.
    Calm,
}

/// Whether the rejection says that the message was not understood. An empty or crossed book and a
/// price of nought are states of a market, in the schema that we know.
fn is_schema(reason: Rejection) -> bool {
    !matches!(reason, Rejection::NotPositive | Rejection::EmptySide | Rejection::Crossed)
}

impl Rejects {
    pub(super) const fn new(now: Nanos) -> Self {
        Self { began: now, messages: 0, rejected: 0, over: false }
    }

    /// Notes a message.
    #[inline]
    pub(super) fn note(
        &mut self,
        now: Nanos,
        reason: Option<Rejection>,
        settings: &LinkSettings,
    ) -> Breaker {
        let mut said = Breaker::Quiet;
        if now.since(self.began) >= settings.reject_window {
            if !self.over {
                said = Breaker::Calm;
            }
            *self = Self::new(now);
        }
        self.messages = self.messages.saturating_add(1);
        if !reason.is_some_and(is_schema) {
            return said;
        }
        self.rejected = self.rejected.saturating_add(1);
        let many = self.rejected >= settings.reject_max;
        let tenth = u64::from(self.rejected) * 10 >= u64::from(self.messages);
        if !self.over && (many || (tenth && self.rejected >= settings.reject_few)) {
            self.over = true;
            return Breaker::Tripped;
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> LinkSettings {
        LinkSettings::default()
    }

    #[test]
    fn f30_a_tenth_or_a_hundred_within_the_window_trips_once() {
        let mut rejects = Rejects::new(Nanos(0));
        for at in 1..10 {
            assert_eq!(
                rejects.note(Nanos(at), Some(Rejection::Field), &settings()),
                Breaker::Quiet
            );
        }
        assert_eq!(rejects.note(Nanos(10), Some(Rejection::Field), &settings()), Breaker::Tripped);
        assert_eq!(rejects.note(Nanos(11), Some(Rejection::Field), &settings()), Breaker::Quiet);

        let mut rejects = Rejects::new(Nanos(0));
        let mut tripped = 0;
        for at in 0..9_000 {
            let reason = (at % 80 == 0).then_some(Rejection::Malformed);
            if rejects.note(Nanos(at), reason, &settings()) == Breaker::Tripped {
                tripped += 1;
                assert_eq!(at, 80 * 99);
            }
        }
        assert_eq!(tripped, 1);
    }

    #[test]
    fn f30_states_of_the_market_and_single_oddities_trip_nothing() {
        let mut rejects = Rejects::new(Nanos(0));
        for at in 0..1000 {
            for reason in [Rejection::Crossed, Rejection::EmptySide, Rejection::NotPositive] {
                let said = rejects.note(Nanos(at), Some(reason), &settings());
                assert_eq!(said, Breaker::Quiet);
            }
        }
        // Nine in each window, for ever.
        let mut rejects = Rejects::new(Nanos(0));
        for second in 0..1000 {
            let reason = (second % 10 != 0).then_some(Rejection::Field);
            let said = rejects.note(Nanos::from_secs(second), reason, &settings());
            assert_ne!(said, Breaker::Tripped, "{second}");
        }
    }

    #[test]
    fn f30_a_calm_window_is_told() {
        let mut rejects = Rejects::new(Nanos(0));
        for _ in 0..10 {
            rejects.note(Nanos(1), Some(Rejection::Field), &settings());
        }
        // The window that tripped is not calm; the next one is.
        assert_eq!(rejects.note(Nanos::from_secs(10), None, &settings()), Breaker::Quiet);
        assert_eq!(rejects.note(Nanos::from_secs(20), None, &settings()), Breaker::Calm);
    }
}
