//! The last gate before a gateway: how often one leg may send, whatever the logic above thinks.

use crate::limits::{LEG_SENDS_PER_MINUTE, LEG_SENDS_UNPROVEN};
use crate::units::Nanos;

/// Length of one bucket.
const BUCKET: u64 = 5_000_000_000;
/// The buckets that a full minute may touch: twelve whole ones and the part of one more.
const BUCKETS: usize = 13;
const _: () = assert!((BUCKETS as u64 - 1) * BUCKET == 60_000_000_000);

/// Why a send is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// Too many sends without a word of the venue in between: opens on evidence.
    Unproven,
    /// Too many sends within a minute: opens at this time at the latest.
    Until(Nanos),
}

/// Sends of one leg. Counts by buckets of five seconds, so that a minute's sum is never above its
/// limit; it may stay up to one bucket too long.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Throttle {
    unproven: u8,
    /// Number of the newest bucket.
    newest: u64,
    sent: [u8; BUCKETS],
}

impl Throttle {
    /// Whether one more send may go. `urgent` sends (protective, critical) may take the reserved
    /// slot too.
    pub(crate) fn admit(&mut self, now: Nanos, urgent: bool) -> Result<(), Held> {
        self.turn(now);
        if self.unproven >= LEG_SENDS_UNPROVEN {
            return Err(Held::Unproven);
        }
        let sent: u32 = self.sent.iter().map(|&count| u32::from(count)).sum();
        let max = u32::from(LEG_SENDS_PER_MINUTE) - u32::from(!urgent);
        if sent < max {
            return Ok(());
        }
        // A slot is free when the oldest bucket that counts leaves the minute.
        let age = (0..=self.newest.min(BUCKETS as u64 - 1))
            .rev()
            .find(|age| self.sent[self.index(self.newest - age)] > 0)
            .expect("a full minute has a bucket that counts");
        Err(Held::Until(Nanos((self.newest - age + BUCKETS as u64).saturating_mul(BUCKET))))
    }

    /// One went.
    pub(crate) fn on_send(&mut self, now: Nanos) {
        self.turn(now);
        self.unproven += 1;
        let index = self.index(self.newest);
        self.sent[index] += 1;
    }

    /// The venue said something of an order of this leg.
    pub(crate) fn on_evidence(&mut self) {
        self.unproven = 0;
    }

    /// The clock was set back by this much. What was sent within the last minute counts as sent just
    /// now: rather too long than too short.
    pub(crate) fn set_back(&mut self, by: Nanos) {
        let sent = self.sent.iter().fold(0u8, |sum, &count| sum.saturating_add(count));
        self.newest = self.newest.saturating_sub(by.0.div_ceil(BUCKET));
        self.sent = [0; BUCKETS];
        let index = self.index(self.newest);
        self.sent[index] = sent;
    }

    fn index(&self, bucket: u64) -> usize {
        (bucket % BUCKETS as u64) as usize
    }

    fn turn(&mut self, now: Nanos) {
        let bucket = now.0 / BUCKET;
        let passed = bucket.saturating_sub(self.newest).min(BUCKETS as u64);
        for step in 0..passed {
            let index = self.index(bucket - step);
            self.sent[index] = 0;
        }
        self.newest = self.newest.max(bucket);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_sends_without_evidence_close_the_gate() {
        let mut throttle = Throttle::default();
        let now = Nanos::from_secs(1_000);
        for _ in 0..LEG_SENDS_UNPROVEN {
            assert_eq!(throttle.admit(now, true), Ok(()));
            throttle.on_send(now);
        }
        assert_eq!(throttle.admit(now.plus(Nanos::from_secs(900)), true), Err(Held::Unproven));
        throttle.on_evidence();
        assert_eq!(throttle.admit(now, false), Ok(()));
    }

    #[test]
    fn a_minute_takes_sixty_and_the_last_is_for_the_urgent() {
        let mut throttle = Throttle::default();
        let begin = Nanos::from_secs(1_000);
        for i in 0..59u64 {
            let now = begin.plus(Nanos::from_millis(100 * i));
            assert_eq!(throttle.admit(now, false), Ok(()), "{i}");
            throttle.on_send(now);
            throttle.on_evidence();
        }
        let now = begin.plus(Nanos::from_secs(6));
        let opens = Held::Until(Nanos::from_secs(1_065));
        assert_eq!(throttle.admit(now, false), Err(opens));
        assert_eq!(throttle.admit(now, true), Ok(()));
        throttle.on_send(now);
        throttle.on_evidence();
        assert_eq!(throttle.admit(now, true), Err(opens));
        assert_eq!(throttle.admit(Nanos(Nanos::from_secs(1_065).0 - 1), true), Err(opens));
        assert_eq!(throttle.admit(Nanos::from_secs(1_065), true), Ok(()));
    }

    #[test]
    fn no_sliding_minute_ever_holds_more() {
        extern crate alloc;
        let mut throttle = Throttle::default();
        let mut sends = alloc::vec::Vec::new();
        let mut state = 9u64;
        let mut now = Nanos::from_secs(10);
        for _ in 0..5_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            now = now.plus(Nanos((state >> 33) % 900_000_000));
            if throttle.admit(now, true).is_ok() {
                throttle.on_send(now);
                throttle.on_evidence();
                sends.push(now);
            }
        }
        let most = usize::from(LEG_SENDS_PER_MINUTE);
        assert!(sends.windows(most + 1).all(|w| w[most].since(w[0]) >= Nanos::from_secs(60)));
        assert!(sends.len() > 1_500);
    }
}
