//! The market of a trial: best prices that wander, jump, and now and then say nothing for a while.

use reap_core::instrument::InstrumentId;
use reap_core::tick::Quote;
use reap_core::units::Nanos;

use super::met::{Kind, Met};
use crate::sim::Random;

/// One instrument's prices.
#[derive(Debug)]
struct Path {
    id: InstrumentId,
    bid: i64,
    tick: i64,
    /// Farthest of one step, in ticks.
    reach: i64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Market {
    paths: Vec<Path>,
    silent_until: Nanos,
    pub(super) next: Nanos,
}

impl Market {
    pub(super) fn new(random: &mut Random, now: Nanos, ticks: &[i64]) -> Self {
        let path = |(at, &tick): (usize, &i64)| Path {
            id: InstrumentId(at as u16),
            bid: 100_000 / tick * tick,
            tick,
            reach: 1 + random.below(60) as i64,
        };
        Self { paths: ticks.iter().enumerate().map(path).collect(), silent_until: now, next: now }
    }

    pub(super) fn bid(&self, at: usize) -> i64 {
        self.paths[at].bid
    }

    /// The next quote; `None` while the market is silent.
    pub(super) fn step(
        &mut self,
        now: Nanos,
        random: &mut Random,
        met: &mut Met,
    ) -> Option<(InstrumentId, Quote)> {
        self.next = now.plus(Nanos::from_millis(1 + random.below(60)));
        if now < self.silent_until {
            return None;
        }
        if random.below(2_000) == 0 {
            met.note(Kind::Silence);
            self.silent_until = now.plus(Nanos::from_millis(random.below(12_000)));
        }
        let at = random.below(self.paths.len() as u64) as usize;
        let path = &mut self.paths[at];
        let far = random.below(1_000) == 0;
        if far {
            met.note(Kind::Jump);
        }
        let reach = if far { 20 * path.reach } else { path.reach };
        path.bid = (path.bid + random.around(reach) * path.tick).clamp(60_000, 160_000);
        let ask = path.bid + path.tick * (1 + random.below(8) as i64);
        let mut size = || 10 * (1 + random.below(60) as i64);
        let quote = Quote::new(path.bid, ask, size(), size()).expect("a bid below its ask");
        Some((path.id, quote))
    }
}
