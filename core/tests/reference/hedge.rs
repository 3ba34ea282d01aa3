//! Reads of venues and the hedge ratio, as SPEC §5 says of leg_lost and imbalance: fractions are
//! compared as they are written, pair by pair.

use std::collections::BTreeMap;

use num_bigint::BigInt;
use reap_core::instrument::InstrumentSpec;
use reap_core::intent::Reason;
use reap_core::policy::{Remedy, Rule};
use reap_core::position::{LegSpec, Side};
use reap_core::units::{Nanos, Qty, Rate};

use super::exact::Exact;
use super::formulas::Leg;
use super::gates::Gates;
use super::life::{Firing, Life, Part, Plan};

const APART: u64 = 1_000_000_000;

/// What was read of a leg.
#[derive(Clone, Copy, Debug, Default)]
struct Read {
    qty: i64,
    at: Option<Nanos>,
    /// Times of the reads in a row that showed this less than what was open, spaced.
    agreed: u8,
    last_agreed: Nanos,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Hedge {
    /// Quantities that match, their smallest orders, their lots.
    ratio: Vec<i64>,
    least: Vec<i64>,
    lots: Vec<i64>,
    reads: Vec<Read>,
    /// By rule, since when it sees the legs off their ratio.
    pub(crate) off_since: BTreeMap<usize, Nanos>,
}

impl Hedge {
    pub(crate) fn new(legs: &[(LegSpec, InstrumentSpec)]) -> Self {
        Self {
            ratio: legs.iter().map(|(leg, _)| leg.qty.raw()).collect(),
            least: legs.iter().map(|(leg, of)| smallest_order(leg.entry.raw(), of)).collect(),
            lots: legs.iter().map(|(_, of)| of.lot).collect(),
            reads: vec![Read::default(); legs.len()],
            off_since: BTreeMap::new(),
        }
    }

    pub(crate) fn read(&mut self, now: Nanos, leg: usize, qty: i64, open: i64) {
        let qty = qty.min(open);
        let read = &mut self.reads[leg];
        let again = read.agreed > 0 && read.qty == qty;
        if qty == open {
            read.agreed = 0;
        } else if !again {
            (read.agreed, read.last_agreed) = (1, now);
        } else if now.0 - read.last_agreed.0 >= APART {
            (read.agreed, read.last_agreed) = (read.agreed.saturating_add(1), now);
        }
        (read.qty, read.at) = (qty, Some(now));
    }

    pub(crate) fn written_off(&mut self, leg: usize, left: i64) {
        self.reads[leg].agreed = 0;
        self.reads[leg].qty = left;
    }

    /// Legs that at least so many reads call lost, a bit each, and what is left of every leg then.
    pub(crate) fn lost(&self, reads: u8, open: &[i64]) -> Option<(u8, Vec<i64>)> {
        let mut left = open.to_vec();
        let mut mask = 0;
        for (leg, read) in self.reads.iter().enumerate() {
            if read.agreed >= reads {
                left[leg] = read.qty;
                mask |= 1 << leg;
            }
        }
        (mask != 0).then_some((mask, left))
    }

    /// Whether every open leg was read at or after `from`.
    pub(crate) fn confirms(&self, from: Nanos, open: &[i64]) -> bool {
        let mut of_open = self.reads.iter().zip(open).filter(|(_, open)| **open > 0);
        of_open.all(|(read, _)| read.at.is_some_and(|at| at >= from))
    }

    /// What is there of each leg by books and reads, whichever is less.
    pub(crate) fn known(&self, open: &[i64]) -> Vec<i64> {
        let known = |(read, &open): (&Read, &i64)| match read.at {
            Some(_) => read.qty.min(open),
            None => open,
        };
        self.reads.iter().zip(open).map(known).collect()
    }

    /// So much of a leg was sold by us since it was read.
    pub(crate) fn filled(&mut self, leg: usize, qty: i64) {
        self.reads[leg].qty = (self.reads[leg].qty - qty).max(0);
    }

    /// Some leg has by `share` of its part more than another has of its own, and that is a smallest
    /// order of every leg.
    pub(crate) fn is_off(&self, qty: &[i64], share: Rate) -> bool {
        let big = |value: i64| BigInt::from(value);
        let legs = 0..qty.len();
        legs.clone().any(|a| {
            legs.clone().any(|b| {
                let (ra, rb) = (big(self.ratio[a]), big(self.ratio[b]));
                // φa − φb, over ra·rb.
                let more = big(qty[a]) * &rb - big(qty[b]) * &ra;
                let enough = &more * 1_000_000_000 >= big(share.raw()) * big(qty[a]) * &rb;
                more > big(0)
                    && enough
                    && legs.clone().all(|i| &more * self.ratio[i] >= big(self.least[i]) * &ra * &rb)
            })
        })
    }

    /// What each leg keeps.
    pub(crate) fn remedy(&self, left: &[i64], then: Remedy) -> Vec<Qty> {
        let keep = |leg: usize| {
            if then == Remedy::Close {
                return 0;
            }
            // The least that any leg still allows, each rounded up to lots on its own.
            let allowed = (0..left.len()).map(|by| {
                let exact = i128::from(self.ratio[leg]) * i128::from(left[by]);
                let whole = i128::from(self.ratio[by]) * i128::from(self.lots[leg]);
                let lots = exact / whole + i128::from(exact % whole != 0);
                lots * i128::from(self.lots[leg])
            });
            let least = allowed.min().expect("a position has legs");
            least.min(i128::from(left[leg])) as i64
        };
        (0..left.len()).map(|leg| Qty::new(keep(leg)).expect("part of it")).collect()
    }
}

/// The smallest number of whole lots that a venue takes at a price.
fn smallest_order(entry: i64, of: &InstrumentSpec) -> i64 {
    let unit = &Exact::new(entry, of.price_scale) * &Exact::from(of.multiplier);
    let unit = &unit * &Exact::new(1, of.qty_scale);
    let notional = Exact::from(of.min_notional);
    let exempt = of.reduce_only && !of.min_notional_on_reduce;
    let mut least = of.min_qty;
    if !exempt {
        let below = notional.div_floor(&unit, 0).whole().expect("small in tests");
        let enough = &unit * &Exact::int(below) >= notional;
        least = least.max(if enough { below } else { below + 1 });
    }
    (least + of.lot - 1) / of.lot * of.lot
}

impl Life {
    /// The plan, or one that closes everything where it would leave of a leg what nobody takes.
    pub(super) fn whole(&self, plan: Plan, reason: Reason, gates: &Gates) -> Plan {
        if plan.reached {
            return plan;
        }
        let mut open = self.open();
        if matches!(reason, Reason::LegLost | Reason::Imbalance) {
            open = self.hedge.known(&open);
        }
        let leaves = |(leg, (&keep, &open)): (&Leg, (&Qty, &i64))| {
            let price = gates.quote(leg.spec.instrument).map_or(leg.spec.entry, |quote| {
                if leg.spec.side == Side::Long { quote.bid } else { quote.ask }
            });
            let least = smallest_order(price.raw(), &leg.instrument);
            let lots = |qty: i64| qty - qty % leg.instrument.lot;
            let keep = keep.raw();
            (1..open).contains(&keep) && lots(keep) < least && lots(open) >= least
        };
        if !self.legs.iter().zip(plan.keep.iter().zip(&open)).any(leaves) {
            return plan;
        }
        Plan { keep: vec![Qty::ZERO; self.legs.len()], repairs: false, ..plan }
    }

    /// What a venue says that is held of a leg, and the rules that this brings to hold.
    pub(crate) fn on_read(&mut self, now: Nanos, leg: usize, qty: i64) -> Vec<Firing> {
        if !self.is_live() {
            return Vec::new();
        }
        let open = self.open();
        self.hedge.read(now, leg, qty, open[leg]);
        self.balance(now);
        let mut firings = Vec::new();
        let (mut lost_told, mut off_told) = (false, false);
        for rule in 0..self.rules.len() {
            if self.rules[rule].off || self.rules[rule].parts[0].1 != Part::Armed {
                continue;
            }
            match self.policy.rules[rule].rule {
                Rule::LegLost { reads, then } if !lost_told => {
                    let Some((mask, left)) = self.hedge.lost(reads, &open) else { continue };
                    lost_told = true;
                    self.remedies[rule] = self.hedge.remedy(&left, then);
                    firings.push(self.fire(rule, mask, false));
                }
                Rule::Imbalance { hold, then, .. } if !off_told => {
                    let Some(&since) = self.hedge.off_since.get(&rule) else { continue };
                    let from = since.plus(hold);
                    if !self.hedge.confirms(from, &open) {
                        continue;
                    }
                    off_told = true;
                    let known = self.hedge.known(&open);
                    let less = (0..open.len()).filter(|&leg| known[leg] < open[leg]);
                    let mask = less.fold(0, |mask, leg| mask | 1 << leg);
                    self.remedies[rule] = self.hedge.remedy(&known, then);
                    firings.push(self.fire(rule, mask, now == from));
                }
                _ => {}
            }
        }
        firings
    }

    /// A leg is this small by no order of ours. False when it contradicts what is open.
    pub(crate) fn on_lost(&mut self, now: Nanos, leg: usize, qty: i64) -> bool {
        let Some(of) = self.legs.get_mut(leg).filter(|of| qty <= of.open) else { return false };
        let lost = of.open - qty;
        of.open = qty;
        of.judged -= lost;
        if self.plan.is_none() {
            of.settle();
        }
        self.hedge.written_off(leg, qty);
        if let Some(plan) = &mut self.plan {
            let mut legs = self.legs.iter().zip(&plan.keep);
            plan.reached |= legs.all(|(leg, keep)| leg.open <= keep.raw());
        }
        self.settle_tiers();
        self.balance(now);
        self.is_live()
    }
}
