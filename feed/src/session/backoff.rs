//! Waiting longer after each failure, never in step with others.

use reap_core::units::Nanos;

/// Random numbers from a seed: splitmix64. Jitter only, nothing secret.
#[derive(Clone, Debug)]
pub struct Jitter(u64);

impl Jitter {
    /// A generator; links of one process take different seeds.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A span below `bound`; nought when that is nought.
    pub fn below(&mut self, bound: Nanos) -> Nanos {
        Nanos(self.next().checked_rem(bound.0).unwrap_or(0))
    }
}

/// Exponential waiting times: each is random in the upper half of its step, and the step doubles
/// from `first` to `max`.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Nanos,
    max: Nanos,
    /// Waits since the last reset.
    waits: u32,
}

impl Backoff {
    /// Waiting times from `first` to `max`.
    #[must_use]
    pub const fn new(first: Nanos, max: Nanos) -> Self {
        Self { first, max, waits: 0 }
    }

    /// The next waiting time.
    pub fn next(&mut self, jitter: &mut Jitter) -> Nanos {
        let doubled = 1u64.checked_shl(self.waits).and_then(|by| self.first.0.checked_mul(by));
        let step = doubled.unwrap_or(u64::MAX).min(self.max.0);
        self.waits = self.waits.saturating_add(1);
        Nanos(step / 2 + jitter.below(Nanos(step - step / 2)).0)
    }

    /// Starts again with the first step.
    pub const fn reset(&mut self) {
        self.waits = 0;
    }

    /// Waits since the last reset.
    #[must_use]
    pub const fn waits(&self) -> u32 {
        self.waits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_their_bound_and_stay_in_the_upper_half() {
        for seed in 0..200 {
            let mut jitter = Jitter::new(seed);
            let mut backoff = Backoff::new(Nanos(1000), Nanos(10_000));
            for step in [1000, 2000, 4000, 8000, 10_000, 10_000] {
                let wait = backoff.next(&mut jitter).0;
                assert!((step / 2..step).contains(&wait), "seed {seed}: {wait} of {step}");
            }
            for _ in 0..200 {
                assert!(backoff.next(&mut jitter).0 < 10_000);
            }
            backoff.reset();
            assert!(backoff.next(&mut jitter).0 < 1000);
        }
    }

    #[test]
    fn links_of_other_seeds_do_not_wait_in_step() {
        let waits: std::collections::BTreeSet<u64> = (0..50)
            .map(|seed| {
                Backoff::new(Nanos(1_000_000), Nanos(1 << 40)).next(&mut Jitter::new(seed)).0
            })
            .collect();
        assert!(waits.len() > 45, "{waits:?}");
    }

    #[test]
    fn nought_is_no_division() {
        assert_eq!(Jitter::new(1).below(Nanos(0)), Nanos(0));
        assert_eq!(Backoff::new(Nanos(0), Nanos(0)).next(&mut Jitter::new(1)), Nanos(0));
    }
}
