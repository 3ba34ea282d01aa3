//! How much a venue takes within a time, and who may use how much of it (SPEC §7).
//!
//! Orders count for themselves; orders, questions and reads have a weight besides. Of each budget
//! exits may use all, questions for orders 70 %, and everything else 40 %: what watches and what
//! enters never takes what closing needs.

use crate::units::Nanos;

/// So much within any span of this length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// How much, at least [`Quota::LEAST`].
    pub max: u32,
    /// Within which time, from 100 ms to a day.
    pub span: Nanos,
}

impl Quota {
    /// Of less no share would be left for anything but exits.
    pub const LEAST: u32 = 5;
    const SPAN_LEAST: Nanos = Nanos::from_millis(100);
    const SPAN_MOST: Nanos = Nanos::from_secs(86_400);

    const fn is_bounded(self) -> bool {
        self.max >= Self::LEAST
            && self.span.0 >= Self::SPAN_LEAST.0
            && self.span.0 <= Self::SPAN_MOST.0
    }
}

/// What a venue takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VenueBudget {
    /// Orders.
    pub orders: Quota,
    /// Weight of all requests.
    pub weight: Quota,
    /// Weight of an order.
    pub order_weight: u32,
    /// Weight of a question for an order.
    pub query_weight: u32,
    /// Weight of a read of what an account holds.
    pub read_weight: u32,
}

/// Why a budget was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BudgetError {
    /// There is no such venue.
    #[error("no instrument is of venue {venue}")]
    UnknownVenue {
        /// Its id.
        venue: u8,
    },
    /// A quota is out of bounds.
    #[error("{field} must be at least {} within 100 ms to a day", Quota::LEAST)]
    Quota {
        /// Which.
        field: &'static str,
    },
    /// A single request would never go.
    #[error("{field} must be at most 40 % of the weight's budget, which is {most}")]
    Weight {
        /// Which.
        field: &'static str,
        /// The bound.
        most: u32,
    },
}

impl VenueBudget {
    /// Checks the bounds.
    ///
    /// # Errors
    /// The first field that is out of its bounds.
    pub fn check(&self) -> Result<(), BudgetError> {
        for (field, quota) in [("orders", self.orders), ("weight", self.weight)] {
            if !quota.is_bounded() {
                return Err(BudgetError::Quota { field });
            }
        }
        let most = Lane::Housekeeping.part(self.weight.max);
        let weights = [
            ("order_weight", self.order_weight),
            ("query_weight", self.query_weight),
            ("read_weight", self.read_weight),
        ];
        match weights.into_iter().find(|(_, weight)| *weight > most) {
            Some((field, _)) => Err(BudgetError::Weight { field, most }),
            None => Ok(()),
        }
    }
}

/// For what a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Orders that close, or undo.
    Exit,
    /// Questions on which the closing of something depends.
    Query,
    /// Orders that enter, reads that look after nothing in particular.
    Housekeeping,
}

impl Lane {
    /// What of a budget it may use.
    const fn part(self, max: u32) -> u32 {
        let percent = match self {
            Self::Exit => 100,
            Self::Query => 70,
            Self::Housekeeping => 40,
        };
        (max as u64 * percent / 100) as u32
    }
}

/// The buckets that a full span may touch: twelve whole ones and the part of one more.
const BUCKETS: u64 = 13;

/// What was used within the last span. Counts by buckets of a twelfth of it, so that the sum of no
/// span is above the quota; what was used may count for up to one bucket too long.
#[derive(Clone, Copy, Debug)]
struct Sliding {
    max: u32,
    bucket: u64,
    newest: u64,
    used: [u32; BUCKETS as usize],
}

impl Sliding {
    fn new(quota: Quota) -> Self {
        let bucket = quota.span.0.div_ceil(BUCKETS - 1);
        Self { max: quota.max, bucket, newest: 0, used: [0; BUCKETS as usize] }
    }

    /// What counts of a bucket.
    fn of(&self, bucket: u64) -> u32 {
        let known = bucket <= self.newest && self.newest - bucket < BUCKETS;
        if known { self.used[(bucket % BUCKETS) as usize] } else { 0 }
    }

    fn sum(&self, now: Nanos) -> u32 {
        let current = now.0 / self.bucket;
        let first = current.saturating_sub(BUCKETS - 1);
        (first..=current).fold(0, |sum, bucket| sum.saturating_add(self.of(bucket)))
    }

    /// When so much more may be used, of at most `most`; `now` when it may be at once.
    fn free_at(&self, now: Nanos, cost: u32, most: u32) -> Nanos {
        let current = now.0 / self.bucket;
        let mut sum = self.sum(now).saturating_add(cost);
        let mut at = now;
        for bucket in current.saturating_sub(BUCKETS - 1)..=current {
            if sum <= most {
                break;
            }
            sum -= self.of(bucket).min(sum);
            at = Nanos((bucket + BUCKETS).saturating_mul(self.bucket));
        }
        at
    }

    /// The clock was set back to this time: what was used counts as used just now.
    fn set_back(&mut self, now: Nanos) {
        let used = self.used.iter().fold(0u32, |sum, &used| sum.saturating_add(used));
        self.newest = now.0 / self.bucket;
        self.used = [0; BUCKETS as usize];
        self.used[(self.newest % BUCKETS) as usize] = used;
    }

    fn take(&mut self, now: Nanos, cost: u32) {
        let current = (now.0 / self.bucket).max(self.newest);
        for bucket in (self.newest + 1..=current).rev().take(BUCKETS as usize) {
            self.used[(bucket % BUCKETS) as usize] = 0;
        }
        self.newest = current;
        let used = &mut self.used[(current % BUCKETS) as usize];
        *used = used.saturating_add(cost);
    }
}

/// A venue's budget at work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    spec: VenueBudget,
    orders: Sliding,
    weight: Sliding,
}

impl Budget {
    pub(crate) fn new(spec: VenueBudget) -> Self {
        Self { spec, orders: Sliding::new(spec.orders), weight: Sliding::new(spec.weight) }
    }

    pub(crate) fn set_back(&mut self, now: Nanos) {
        self.orders.set_back(now);
        self.weight.set_back(now);
    }

    /// When so many orders may go; `now` when they may at once.
    pub(crate) fn orders_at(&self, now: Nanos, orders: u32, lane: Lane) -> Nanos {
        let weight = orders.saturating_mul(self.spec.order_weight);
        let by_orders = self.orders.free_at(now, orders, lane.part(self.orders.max));
        by_orders.max(self.weight.free_at(now, weight, lane.part(self.weight.max)))
    }

    /// When a request of this weight may go.
    pub(crate) fn weight_at(&self, now: Nanos, weight: u32, lane: Lane) -> Nanos {
        self.weight.free_at(now, weight, lane.part(self.weight.max))
    }

    pub(crate) const fn spec(&self) -> VenueBudget {
        self.spec
    }

    pub(crate) fn take_order(&mut self, now: Nanos) {
        self.orders.take(now, 1);
        self.weight.take(now, self.spec.order_weight);
    }

    pub(crate) fn take_weight(&mut self, now: Nanos, weight: u32) {
        self.weight.take(now, weight);
    }

    pub(crate) const fn query_weight(&self) -> u32 {
        self.spec.query_weight
    }

    pub(crate) const fn read_weight(&self) -> u32 {
        self.spec.read_weight
    }

    /// Orders that may go at once, and how long so many take at most.
    pub(crate) fn closing(&self, now: Nanos, orders: u32) -> (u32, Nanos) {
        let room = |of: &Sliding, cost: u32| match of.max.saturating_sub(of.sum(now)) {
            left if cost > 0 => left / cost,
            _ => u32::MAX,
        };
        let (by_orders, by_weight) =
            (room(&self.orders, 1), room(&self.weight, self.spec.order_weight));
        let at_once = by_orders.min(by_weight);
        let spans = |room: u32, quota: Quota, cost: u32| {
            let left = orders.saturating_sub(room);
            if left == 0 || cost == 0 {
                return 0;
            }
            // What one span takes of them, and a bucket more, by which counting may be late.
            let (each, span) = ((quota.max / cost).max(1), quota.span.0);
            u64::from(left.div_ceil(each)).saturating_mul(span + span / (BUCKETS - 1))
        };
        let VenueBudget { orders: of, weight, order_weight, .. } = self.spec;
        let wait = spans(by_orders, of, 1).max(spans(by_weight, weight, order_weight));
        (at_once.min(orders), Nanos(wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(orders: u32) -> VenueBudget {
        VenueBudget {
            orders: Quota { max: orders, span: Nanos::from_secs(10) },
            weight: Quota { max: 100, span: Nanos::from_secs(60) },
            order_weight: 1,
            query_weight: 4,
            read_weight: 20,
        }
    }

    #[test]
    fn exits_have_what_the_other_lanes_leave() {
        let mut budget = Budget::new(budget(10));
        let now = Nanos::from_secs(1_000);
        let mut sent = |lane, most| {
            let mut count = 0;
            while budget.orders_at(now, 1, lane) == now {
                budget.take_order(now);
                count += 1;
            }
            assert_eq!(count, most, "{lane:?}");
        };
        sent(Lane::Housekeeping, 4);
        sent(Lane::Query, 3);
        sent(Lane::Exit, 3);
        assert!(budget.orders_at(now, 1, Lane::Exit) > now);
    }

    #[test]
    fn no_sliding_span_ever_holds_more_and_each_wait_is_enough() {
        extern crate alloc;
        let mut budget = Budget::new(VenueBudget { order_weight: 0, ..budget(10) });
        let mut sends = alloc::vec::Vec::new();
        let (mut state, mut now) = (9u64, Nanos::from_secs(10));
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            now = now.plus(Nanos((state >> 33) % 900_000_000));
            let at = budget.orders_at(now, 1, Lane::Exit);
            if at > now {
                assert_eq!(budget.orders_at(at, 1, Lane::Exit), at);
                assert!(budget.orders_at(Nanos(at.0 - 1), 1, Lane::Exit) > Nanos(at.0 - 1));
                continue;
            }
            budget.take_order(now);
            sends.push(now);
        }
        assert!(sends.windows(11).all(|w| w[10].since(w[0]) >= Nanos::from_secs(10)));
        assert!(sends.len() > 5_000);
    }

    #[test]
    fn how_long_closing_takes() {
        let mut budget = Budget::new(budget(10));
        let now = Nanos::from_secs(1_000);
        assert_eq!(budget.closing(now, 10), (10, Nanos(0)));
        let bucket = Nanos::from_secs(10).0 / 12;
        assert_eq!(budget.closing(now, 11), (10, Nanos(10_000_000_000 + bucket)));
        budget.take_order(now);
        assert_eq!(budget.closing(now, 10).0, 9);
        assert_eq!(budget.closing(now, 29).1, Nanos(2 * (10_000_000_000 + bucket)));
    }

    #[test]
    fn bounds_are_said() {
        let fine = budget(10);
        assert_eq!(fine.check(), Ok(()));
        let few = VenueBudget { orders: Quota { max: 4, ..fine.orders }, ..fine };
        assert_eq!(few.check(), Err(BudgetError::Quota { field: "orders" }));
        let short = VenueBudget { weight: Quota { span: Nanos(1), ..fine.weight }, ..fine };
        assert_eq!(short.check(), Err(BudgetError::Quota { field: "weight" }));
        let heavy = VenueBudget { read_weight: 41, ..fine };
        assert_eq!(heavy.check(), Err(BudgetError::Weight { field: "read_weight", most: 40 }));
    }
}
