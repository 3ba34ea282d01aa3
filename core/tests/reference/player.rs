//! The executor as the engine sees it: fills in random lots up to the target, then the plan's end.

use reap_core::event::{Event, Outcome, Report};
use reap_core::intent::{Reason, Urgency};
use reap_core::position::{PositionId, PositionSpec};
use reap_core::units::{Price, Qty};

use super::Decision;
use super::rng::Rng;

/// What a leg trades at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) lot: i64,
    pub(crate) price: i64,
    /// Mantissa of the contract multiplier.
    pub(crate) multiplier: i128,
    /// Fills cost nothing and come in round pieces: money stays on a grid.
    pub(crate) free: bool,
}

impl Terms {
    /// What fills are multiples of.
    const fn piece(&self) -> i64 {
        if self.free { 50 * self.lot } else { self.lot }
    }
}

/// One position as the executor holds it.
#[derive(Clone, Debug)]
pub(crate) struct Holding {
    pub(crate) id: PositionId,
    pub(crate) spec: PositionSpec,
    /// Open quantity of each leg.
    pub(crate) open: Vec<i64>,
    /// Liquidation price of each leg, as the engine was told.
    pub(crate) liquidations: Vec<Option<i64>>,
    plan: Option<Plan>,
    pub(crate) closed: bool,
    /// What is gone of each leg without an order, unknown to the books, and the last read.
    missing: Vec<i64>,
    read: Vec<i64>,
    /// Legs to be written off by an intent.
    lost: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Plan {
    keep: Vec<i64>,
    urgency: Urgency,
    filled: bool,
    /// An opportunistic plan that will not fill, whatever else is decided while it is under way.
    will_miss: bool,
}

impl Holding {
    pub(crate) fn new(id: PositionId, spec: PositionSpec) -> Self {
        let open: Vec<i64> = spec.legs.iter().map(|leg| leg.qty.raw()).collect();
        let (missing, read) = (vec![0; spec.legs.len()], Clone::clone(&open));
        let liquidations = vec![None; spec.legs.len()];
        let (plan, closed, lost) = (None, false, Vec::new());
        Self { id, spec, open, liquidations, plan, closed, missing, read, lost }
    }

    pub(crate) fn has_plan(&self) -> bool {
        self.plan.is_some()
    }

    pub(crate) fn on_decision(&mut self, rng: &mut Rng, decision: &Decision) {
        if matches!(decision.reason, Reason::LegLost | Reason::Imbalance) {
            let lost = |&leg: &usize| decision.part >> leg & 1 == 1;
            self.lost.extend((0..self.open.len()).filter(lost));
        }
        let keep = decision.keep.iter().map(|qty| qty.raw()).collect();
        match &mut self.plan {
            Some(plan) => {
                plan.keep = keep;
                plan.urgency = decision.urgency;
                // The end of the plan may already be on its way when the engine raises it.
                plan.will_miss &= rng.one_in(4);
            }
            None => {
                let opportunistic = decision.urgency == Urgency::Opportunistic;
                let will_miss = opportunistic && rng.one_in(2);
                self.plan =
                    Some(Plan { keep, urgency: decision.urgency, filled: false, will_miss });
            }
        }
    }

    /// A fill that belongs to no plan, such as a trade by hand: never the whole of a leg.
    pub(crate) fn stray_fill(&mut self, rng: &mut Rng, terms: &[Terms]) -> Option<Event> {
        let leg = (rng.next() % self.open.len() as u64) as usize;
        let lot = terms[leg].piece();
        let half = self.open[leg] / 2 / lot;
        if self.plan.is_some() || half == 0 {
            return None;
        }
        let qty = rng.within(1, half) * lot;
        Some(self.fill(rng, leg, qty, terms))
    }

    /// What the venue says of a leg: less than the books have, when a part of it is gone.
    pub(crate) fn read(&mut self, rng: &mut Rng, terms: &[Terms]) -> Event {
        let leg = (rng.next() % self.open.len() as u64) as usize;
        if self.missing[leg] == 0 && rng.one_in(4) {
            let lots = self.open[leg] / terms[leg].lot;
            let gone = rng.within(0, lots) * terms[leg].lot;
            self.missing[leg] = if rng.one_in(3) { self.open[leg] } else { gone };
        } else if rng.one_in(20) {
            self.missing[leg] = 0;
        }
        self.read[leg] = (self.open[leg] - self.missing[leg]).max(0);
        let qty = Qty::new(self.read[leg]).expect("part of a quantity");
        Event::Report(Report::LegRead { position: self.id, leg: leg as u8, qty })
    }

    /// The next thing that happens to the plan.
    pub(crate) fn next_report(&mut self, rng: &mut Rng, terms: &[Terms]) -> Option<Event> {
        if self.plan.is_some()
            && let Some(leg) = self.lost.pop()
        {
            self.open[leg] = self.open[leg].min(self.read[leg]);
            self.missing[leg] = 0;
            let qty = Qty::new(self.open[leg]).expect("part of a quantity");
            return Some(Event::Report(Report::LegLost { position: self.id, leg: leg as u8, qty }));
        }
        let plan = self.plan.as_mut()?;
        let rest: Vec<i64> =
            self.open.iter().zip(&plan.keep).map(|(open, keep)| (open - keep).max(0)).collect();
        let wanting: Vec<usize> = (0..rest.len()).filter(|&leg| rest[leg] > 0).collect();
        if plan.will_miss && !plan.filled {
            return Some(self.end(Outcome::Missed));
        }
        if wanting.is_empty() {
            let flat = self.open.iter().all(|&open| open == 0);
            return Some(self.end(if flat { Outcome::Closed } else { Outcome::Done }));
        }
        if plan.filled && plan.urgency != Urgency::Opportunistic && rng.one_in(40) {
            return Some(self.end(Outcome::Dust));
        }
        let leg = rng.pick(&wanting);
        let lot = terms[leg].piece();
        let whole = rest[leg] / lot;
        let qty = if whole < 2 || rng.one_in(2) { rest[leg] } else { rng.within(1, whole) * lot };
        plan.filled = true;
        Some(self.fill(rng, leg, qty, terms))
    }

    fn fill(&mut self, rng: &mut Rng, leg: usize, qty: i64, terms: &[Terms]) -> Event {
        self.open[leg] -= qty;
        self.read[leg] = (self.read[leg] - qty).max(0);
        let Terms { price, multiplier, free, .. } = terms[leg];
        // From a rebate to a dear taker, in parts per billion of the notional.
        let rate = rng.pick(&[0, 0, 500_000, -100_000, 2_000_000]);
        let rate = if free { 0 } else { rate };
        Event::Report(Report::Fill {
            position: self.id,
            leg: leg as u8,
            price: Price::new(price).expect("a market price"),
            qty: Qty::new(qty).expect("part of a quantity"),
            fee: i128::from(price) * i128::from(qty) * multiplier * rate,
        })
    }

    fn end(&mut self, outcome: Outcome) -> Event {
        self.plan = None;
        self.lost.clear();
        self.closed = matches!(outcome, Outcome::Closed | Outcome::Dust);
        Event::Report(Report::PlanEnded { position: self.id, intent: u64::MAX, outcome })
    }
}
