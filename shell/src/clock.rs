//! The one place that reads a clock: the time that live decisions are given, latency stamps, the
//! pace of a replay.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use reap_core::units::Nanos;

use crate::sim::server::SimClock;

/// A monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Nanoseconds since the start; the end of time after 584 years.
    #[must_use]
    pub fn nanos(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Waits until `nanos` since the start have passed.
    pub fn wait_until(&self, nanos: u64) {
        let left = nanos.saturating_sub(self.nanos());
        if left > 0 {
            std::thread::sleep(Duration::from_nanos(left));
        }
    }
}

/// The system's wall clock.
#[must_use]
pub fn wall() -> Nanos {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// The time that live threads decide by: nanoseconds since 1970 that never jump. It starts at the
/// wall clock's time (or at a simulated market's) and then follows the processor's time stamp
/// counter, calibrated against the system's monotonic clock, or that clock itself where the counter
/// cannot be trusted. A simulated market may run `rate` times as fast as real time.
///
/// Cloning is cheap; all clones tell the same time. The wall clock is not looked at again: a step of
/// it moves no deadline and no age.
#[derive(Clone, Debug)]
pub struct LiveClock {
    counter: quanta::Clock,
    counter_start: u64,
    system_start: Instant,
    origin: Nanos,
    rate: u32,
    /// What calibration leaves out, as [`Self::correct`] finds it: real nanoseconds.
    correction: Arc<AtomicI64>,
}

impl LiveClock {
    /// A clock that shows the wall clock's time and runs in real time.
    #[must_use]
    pub fn live() -> Self {
        Self::starting_at(wall(), 1)
    }

    /// A clock that shows `origin` now and runs `rate` times as fast as real time.
    #[must_use]
    pub fn starting_at(origin: Nanos, rate: u32) -> Self {
        let counter = quanta::Clock::new();
        Self {
            counter_start: counter.raw(),
            system_start: Instant::now(),
            counter,
            origin,
            rate: rate.max(1),
            correction: Arc::new(AtomicI64::new(0)),
        }
    }

    /// The time.
    #[must_use]
    #[inline]
    pub fn now(&self) -> Nanos {
        self.at(self.real())
    }

    /// The time that belongs to a stamp.
    #[must_use]
    #[inline]
    pub fn at(&self, real: u64) -> Nanos {
        Nanos(self.origin.0.saturating_add(real.saturating_mul(u64::from(self.rate))))
    }

    /// Real nanoseconds since the start: for stamps.
    #[must_use]
    #[inline]
    pub fn real(&self) -> u64 {
        let passed = self.counter.delta_as_nanos(self.counter_start, self.counter.raw());
        // Pairs with nothing: a correction seen a moment later is as good.
        passed.saturating_add_signed(self.correction.load(Ordering::Relaxed))
    }

    /// Real time left until `at`; nought when it has passed.
    #[must_use]
    pub fn until(&self, at: Nanos) -> Duration {
        Duration::from_nanos(at.since(self.now()).0.div_ceil(u64::from(self.rate)))
    }

    /// A span of this clock in real nanoseconds: for latencies between two of its times.
    #[must_use]
    pub fn real_span(&self, span: Nanos) -> u64 {
        span.0 / u64::from(self.rate)
    }

    /// How many times as fast as real time it runs.
    #[must_use]
    pub const fn rate(&self) -> u32 {
        self.rate
    }

    /// Takes up what the counter has lost or won against the system's monotonic clock. Called about
    /// once a second by a cold thread; some microseconds each time. Whoever needs time not to go
    /// back by those keeps the largest that he has seen.
    pub fn correct(&self) {
        let counted = self.counter.delta_as_nanos(self.counter_start, self.counter.raw());
        let system = u64::try_from(self.system_start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let off = i128::from(system) - i128::from(counted);
        let off = i64::try_from(off).unwrap_or(0);
        // Pairs with nothing, see `real`.
        self.correction.store(off, Ordering::Relaxed);
    }
}

impl SimClock for LiveClock {
    fn now(&self) -> Nanos {
        self.now()
    }

    fn until(&self, at: Nanos) -> Duration {
        self.until(at)
    }
}

/// What venues take for the wall clock, in milliseconds: the system's for real ones, the market's
/// own for simulated ones.
#[derive(Clone, Debug)]
pub enum WallClock {
    /// Real venues.
    System,
    /// Simulated ones, which know this clock only.
    Market(LiveClock),
}

impl WallClock {
    /// Milliseconds since 1970.
    #[must_use]
    pub fn millis(&self) -> u64 {
        match self {
            Self::System => wall().0 / 1_000_000,
            Self::Market(clock) => clock.now().0 / 1_000_000,
        }
    }
}

/// Rests the calling thread.
pub fn rest(span: Duration) {
    std::thread::sleep(span);
}

/// A clock for measuring spans of some hundred nanoseconds: the processor's time stamp counter
/// where it can be trusted, else the system's monotonic clock.
#[derive(Clone, Debug)]
pub struct Stopwatch {
    clock: quanta::Clock,
}

impl Stopwatch {
    /// Calibrates; takes some ten milliseconds the first time.
    #[must_use]
    pub fn start() -> Self {
        Self { clock: quanta::Clock::new() }
    }

    /// The counter now, in its own unit.
    #[must_use]
    #[inline]
    pub fn raw(&self) -> u64 {
        self.clock.raw()
    }

    /// Nanoseconds between two readings of [`Self::raw`].
    #[must_use]
    #[inline]
    pub fn nanos_between(&self, start: u64, end: u64) -> u64 {
        self.clock.delta_as_nanos(start, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulated_market_runs_at_its_rate() {
        let clock = LiveClock::starting_at(Nanos(1_000), 50);
        let (real, market) = (clock.real(), clock.now());
        rest(Duration::from_millis(20));
        let (real, market) = (clock.real() - real, clock.now().since(market).0);
        assert!(real >= 19_000_000, "{real}");
        let rate = market / real;
        assert!((49..=51).contains(&rate), "{rate}");
        let later = clock.now().plus(Nanos::from_secs(50));
        let left = clock.until(later);
        assert!(left <= Duration::from_secs(1) && left > Duration::from_millis(900), "{left:?}");
        assert_eq!(clock.until(Nanos(0)), Duration::ZERO);
    }

    #[test]
    fn a_correction_takes_up_what_the_counter_has_lost() {
        let clock = LiveClock::live();
        let twin = clock.clone();
        clock.correction.store(5_000_000_000, Ordering::Relaxed);
        assert!(twin.real() >= 5_000_000_000, "clones tell the same time");
        twin.correct();
        assert!(clock.real() < 5_000_000_000);
    }
}
