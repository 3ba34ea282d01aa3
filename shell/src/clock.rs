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
