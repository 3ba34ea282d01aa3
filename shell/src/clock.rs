//! The one place that reads a clock: latency stamps and the pace of a replay. No decision sees it.

use std::time::{Duration, Instant};

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
