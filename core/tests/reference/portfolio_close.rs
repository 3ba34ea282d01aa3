//! Positions that are closed together: in which order, and for what.

use std::cmp::Reverse;

use num_bigint::BigInt;
use num_traits::Signed;
use reap_core::intent::{Reason, Urgency};
use reap_core::position::{PositionId, Side};
use reap_core::units::Nanos;

use super::formulas::Leg;
use super::gates::Gates;
use super::life::Firing;
use super::portfolio::{Cause, Firings, Lives, Portfolio};

impl Portfolio {
    /// In the order in which they are closed together.
    pub(super) fn ordered(
        &self,
        ids: Vec<PositionId>,
        lives: &Lives,
        gates: &Gates,
        now: Nanos,
    ) -> Vec<PositionId> {
        let mut ids = ids;
        ids.sort_by_key(|id| {
            let life = &lives[id];
            let exposure = |leg: &Leg| {
                let quote = gates.quote(leg.spec.instrument);
                let price = quote.map_or(leg.spec.entry.raw(), |quote| match leg.spec.side {
                    Side::Long => quote.bid.raw(),
                    Side::Short => quote.ask.raw(),
                });
                leg.side(&leg.price(price) * &leg.size(leg.open)).atto_floor()
            };
            let unhedged = life.legs.iter().map(exposure).sum::<BigInt>().abs();
            (life.distance(gates, now), Reverse(unhedged), self.net(*id, life, gates), *id)
        });
        ids
    }

    pub(super) fn close(
        &mut self,
        ids: Vec<PositionId>,
        cause: Cause,
        in_run: bool,
        boundary: bool,
        fired: &mut Firings,
    ) {
        for (at, id) in ids.into_iter().enumerate() {
            let record = self.records.get_mut(&id).expect("it is open");
            record.causes.retain(|held| {
                !matches!((held, cause), (Cause::Breaker(_), Cause::Breaker(_))) && *held != cause
            });
            record.causes.push(cause);
            record.in_run |= in_run;
            fired.push((id, self.firing(cause, at as u32 + 1, boundary)));
        }
    }

    pub(super) fn firing(&self, cause: Cause, order: u32, boundary: bool) -> Firing {
        let late = self.run.as_ref().is_some_and(|run| run.late);
        let normal = if late { Urgency::Protective } else { Urgency::Normal };
        let (rule, part, reason, urgency) = match cause {
            Cause::Profit => (254, 0, Reason::PortfolioProfit, normal),
            Cause::Loss => (254, 0, Reason::PortfolioLoss, Urgency::Protective),
            Cause::Breaker(level) => (252, level, Reason::DrawdownBreaker, Urgency::Protective),
            Cause::Age => (249, 0, Reason::Deadline, Urgency::Normal),
            Cause::Health => (248, 0, Reason::Health, Urgency::Normal),
        };
        Firing {
            rule,
            part,
            reason,
            urgency,
            boundary,
            order,
            part_of_open: None,
            stands_in: false,
        }
    }
}
