//! Timing single steps: a calibrated time stamp counter, its own cost taken off and shown.

use hdrhistogram::Histogram;
use quanta::Clock;

/// Times of single steps in nanoseconds.
pub(crate) struct Steps {
    histogram: Histogram<u64>,
}

impl Default for Steps {
    fn default() -> Self {
        Self::new()
    }
}

impl Steps {
    pub(crate) fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, 1_000_000_000, 3);
        Self { histogram: histogram.expect("constant bounds are valid") }
    }

    pub(crate) fn record(&mut self, nanos: u64) {
        self.histogram.saturating_record(nanos);
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("all have the same bounds");
    }

    pub(crate) const fn histogram(&self) -> &Histogram<u64> {
        &self.histogram
    }

    pub(crate) fn percentile(&self, percent: f64) -> f64 {
        self.histogram.value_at_percentile(percent) as f64
    }

    pub(crate) fn max(&self) -> f64 {
        self.histogram.max() as f64
    }
}

/// A clock whose own cost is known.
#[derive(Clone)]
pub(crate) struct Stopwatch {
    clock: Clock,
    /// Median time of measuring nothing.
    pub(crate) cost: u64,
}

impl Stopwatch {
    pub(crate) fn new() -> Self {
        let clock = Clock::new();
        let mut empty = Steps::new();
        for _ in 0..100_000 {
            let start = clock.raw();
            empty.record(clock.delta_as_nanos(start, clock.raw()));
        }
        Self { clock, cost: empty.percentile(50.0) as u64 }
    }

    /// Nanoseconds that `step` took, without the cost of measuring.
    #[inline]
    pub(crate) fn time(&self, step: impl FnOnce()) -> u64 {
        let start = self.clock.raw();
        step();
        let end = self.clock.raw();
        self.clock.delta_as_nanos(start, end).saturating_sub(self.cost)
    }
}
