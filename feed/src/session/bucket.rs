//! A token bucket without tokens: the time at which it would be full again says all.

use reap_core::units::Nanos;

/// Allows `burst` at once and one more each `every` afterwards: at most `burst + span / every` in
/// any span of time.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    burst: u32,
    every: Nanos,
    full_at: Nanos,
}

impl Bucket {
    pub(super) const fn new(burst: u32, every: Nanos) -> Self {
        Self { burst, every, full_at: Nanos(0) }
    }

    /// Takes one, or says from when on one can be taken.
    pub(super) fn take(&mut self, now: Nanos) -> Result<(), Nanos> {
        let at = self.next(now);
        if at > now {
            return Err(at);
        }
        self.reserve(now);
        Ok(())
    }

    /// Takes one, now or at the time that is given back.
    pub(super) fn reserve(&mut self, now: Nanos) -> Nanos {
        let at = self.next(now);
        self.full_at = self.full_at.max(now).plus(self.every);
        at
    }

    /// From when on one can be taken.
    fn next(&self, now: Nanos) -> Nanos {
        let room = Nanos(self.every.0.saturating_mul(u64::from(self.burst.max(1) - 1)));
        self.full_at.minus(room).max(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_one_at_a_time_exactly_when_it_said() {
        let mut bucket = Bucket::new(3, Nanos(10));
        for _ in 0..3 {
            assert_eq!(bucket.take(Nanos(100)), Ok(()));
        }
        assert_eq!(bucket.take(Nanos(100)), Err(Nanos(110)));
        assert_eq!(bucket.take(Nanos(109)), Err(Nanos(110)));
        assert_eq!(bucket.take(Nanos(110)), Ok(()));
        assert_eq!(bucket.take(Nanos(110)), Err(Nanos(120)));
        // Rest fills it, and never above the burst.
        for _ in 0..3 {
            assert_eq!(bucket.take(Nanos(1000)), Ok(()));
        }
        assert_eq!(bucket.take(Nanos(1000)), Err(Nanos(1010)));
    }
}
