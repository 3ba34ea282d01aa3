//! Histograms of a hot thread, handed to a cold one without waiting: each thread owns two, fills
//! one, and gives it away when the other comes back empty.

use hdrhistogram::Histogram;
use reap_ring::{Consumer, Producer, ring};

use crate::pipeline::Stages;

/// What a thread measures.
#[derive(Clone, Debug)]
pub struct Stats {
    /// Latency by stage, as far as this thread sees it; real time.
    pub stages: Stages,
    /// From the beginning of one duty cycle to that of the next, sleep left out; real nanoseconds.
    pub duty: Histogram<u64>,
}

impl Default for Stats {
    fn default() -> Self {
        let duty = Histogram::new_with_bounds(1, 60_000_000_000, 2);
        Self { stages: Stages::default(), duty: duty.expect("constant bounds are valid") }
    }
}

impl Stats {
    /// Adds what another measured.
    pub fn add(&mut self, other: &Self) {
        self.stages.add(&other.stages);
        self.duty.add(&other.duty).expect("all have the same bounds");
    }

    fn clear(&mut self) {
        self.stages.clear();
        self.duty.reset();
    }
}

/// The hot thread's end.
pub struct StatsPort {
    current: Box<Stats>,
    empty: Consumer<Box<Stats>>,
    full: Producer<Box<Stats>>,
}

/// The cold thread's end.
pub struct StatsReader {
    empty: Producer<Box<Stats>>,
    full: Consumer<Box<Stats>>,
    spare: Option<Box<Stats>>,
    total: Box<Stats>,
}

/// Two ends of one thread's measurements.
#[must_use]
pub fn stats() -> (StatsPort, StatsReader) {
    let (empty_in, empty_out) = ring(2);
    let (full_in, full_out) = ring(2);
    let port = StatsPort { current: Box::default(), empty: empty_out, full: full_in };
    let spare = Some(Box::default());
    (port, StatsReader { empty: empty_in, full: full_out, spare, total: Box::default() })
}

impl StatsPort {
    /// Where to record now. When the cold side has asked, it is given what was recorded so far.
    #[inline]
    pub fn current(&mut self) -> &mut Stats {
        if let Some(empty) = self.empty.pop() {
            let full = std::mem::replace(&mut self.current, empty);
            self.give(full);
        }
        &mut self.current
    }

    /// Gives away what is left: the thread ends.
    pub(super) fn finish(&mut self) {
        let last = std::mem::take(&mut self.current);
        self.give(last);
    }

    fn give(&mut self, full: Box<Stats>) {
        // Two histograms circulate and one more is made at the end: the ring has room. When the cold
        // side has gone, nobody wants them.
        drop(self.full.push(full));
    }
}

impl StatsReader {
    /// Asks for what was recorded since the last time, and takes in what has come. What is asked
    /// for now is there at the next call.
    pub fn collect(&mut self) -> &Stats {
        while let Some(mut full) = self.full.pop() {
            self.total.add(&full);
            full.clear();
            self.spare = Some(full);
        }
        if let Some(spare) = self.spare.take()
            && let Err(back) = self.empty.push(spare)
        {
            self.spare = Some(back.0);
        }
        &self.total
    }

    /// Everything so far.
    #[must_use]
    pub fn total(&self) -> &Stats {
        &self.total
    }
}
