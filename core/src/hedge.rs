//! Legs that change by no order of ours: what reads of a venue say of them, and whether the legs of
//! a hedge still match.
//!
//! The executor reports no read that an order of ours may explain. It owns what is held: a leg that
//! reads have confirmed as lost is written off there, by the intent of the rule, and the engine
//! learns the new quantity from [`crate::event::Report::LegLost`].

use alloc::vec::Vec;

use crate::arbiter::{Candidate, Origin};
use crate::clip::min_order;
use crate::engine::Engine;
use crate::intent::Reason;
use crate::limits::{LEGS_MAX, PPB, READS_APART};
use crate::policy::{Remedy, Rule, RuleSpec};
use crate::position::PositionState;
use crate::tracked::Tracked;
use crate::trigger::{Stage, Trigger, TriggerId};
use crate::units::{Nanos, Qty, Rate, div_ceil, mul_div_ceil};

/// A position without a rule that looks at reads or ratios.
pub(crate) const NO_HEDGE: u32 = u32::MAX;

/// What was read of one leg.
#[derive(Clone, Copy, Debug)]
struct Read {
    /// The newest read less what was filled since, and when it came; `None` without one.
    qty: Qty,
    at: Option<Nanos>,
    /// How many reads in a row have shown this same quantity, less than what is open, each at least
    /// [`READS_APART`] after the one before.
    agree: u8,
    /// When the newest of those came.
    agreed_at: Nanos,
}

const UNREAD: Read = Read { qty: Qty::ZERO, at: None, agree: 0, agreed_at: Nanos(0) };

const NO_REMEDY: [[Qty; LEGS_MAX]; 2] = [[Qty::ZERO; LEGS_MAX]; 2];

/// What a position's legs should be to each other, and what was read of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hedge {
    /// Quantities that match each other: the hedge ratio.
    ratio: [Qty; LEGS_MAX],
    /// Smallest order of each leg at its entry price, in quantity mantissa units.
    least: [i64; LEGS_MAX],
    reads: [Read; LEGS_MAX],
    /// What each leg keeps by `leg_lost` and by `imbalance`, as of when each fired last.
    remedies: [[Qty; LEGS_MAX]; 2],
}

/// The hedges of all positions that have one.
#[derive(Debug)]
pub(crate) struct Hedges {
    all: Vec<Hedge>,
    free: Vec<u32>,
}

impl Hedges {
    pub(crate) fn with_capacity(positions: usize) -> Self {
        Self { all: Vec::with_capacity(positions), free: Vec::with_capacity(positions) }
    }

    fn add(&mut self, hedge: Hedge) -> u32 {
        if let Some(place) = self.free.pop() {
            self.all[place as usize] = hedge;
            return place;
        }
        self.all.push(hedge);
        (self.all.len() - 1) as u32
    }

    pub(crate) fn release(&mut self, place: &mut u32) {
        let place = core::mem::replace(place, NO_HEDGE);
        if place != NO_HEDGE {
            self.free.push(place);
        }
    }
}

impl Engine {
    /// Records the hedge ratio of a position whose rules look at it: the original quantities match.
    pub(crate) fn begin_hedge(&mut self, slot: u32) {
        let looks = |reason| matches!(reason, Reason::LegLost | Reason::Imbalance);
        let mut wanted = false;
        self.each_trigger(slot, |engine, id| wanted |= looks(engine.triggers[id].reason));
        if !wanted {
            return;
        }
        let position = &self.positions[slot as usize];
        let (mut ratio, mut least) = ([Qty::ZERO; LEGS_MAX], [0; LEGS_MAX]);
        for ((ratio, least), leg) in ratio.iter_mut().zip(&mut least).zip(position.legs()) {
            *ratio = leg.original;
            let instrument = self.books.instrument(leg.instrument).expect("registration knew it");
            *least = min_order(instrument, leg.entry);
        }
        let hedge = Hedge { ratio, least, reads: [UNREAD; LEGS_MAX], remedies: NO_REMEDY };
        self.positions[slot as usize].hedge = self.hedges.add(hedge);
    }

    fn hedge_mut(&mut self, slot: u32) -> Option<&mut Hedge> {
        let place = self.positions[slot as usize].hedge;
        self.hedges.all.get_mut(place as usize)
    }

    /// Looks at the ratio anew: after everything that changes a quantity, after a read, and when a plan
    /// begins or ends, and when such a rule is switched. The mark of each rule's trigger is the time
    /// since which it sees the legs off their ratio without a live plan; 0 while it does not.
    pub(crate) fn watch_balance(&mut self, slot: u32, now: Nanos) {
        let position = &self.positions[slot as usize];
        let Some(hedge) = self.hedges.all.get(position.hedge as usize) else { return };
        let rules = &self.policies[usize::from(position.policy)].rules;
        let free = position.state == PositionState::Open && position.plan.is_none();
        let (known, count) = (hedge.known(position), usize::from(position.count));
        let mut id = position.first;
        while id != TriggerId::NONE {
            let trigger = &mut self.triggers[id];
            if let Some((share, ..)) = imbalance(rules, trigger) {
                let sees = free && !position.off.has(trigger.rule);
                let off = sees && hedge.is_off(&known, count, share);
                trigger.mark = match trigger.mark {
                    _ if !off => 0,
                    0 => now.0 as i64,
                    since => since,
                };
            }
            id = trigger.next;
        }
    }

    /// A read of a leg: what is held for it, at most what is open.
    pub(crate) fn on_leg_read(&mut self, now: Nanos, slot: u32, leg: u8, qty: Qty) {
        let position = &self.positions[slot as usize];
        if leg >= position.count {
            self.stray_of(slot, "a read of a leg that the position does not have");
            return;
        }
        let held = position.legs[usize::from(leg)].open;
        let Some(hedge) = self.hedge_mut(slot) else { return };
        hedge.reads[usize::from(leg)].take(now, qty.min(held), held);
        self.find_lost(slot);
        self.watch_balance(slot, now);
        self.find_imbalance(slot);
    }

    /// Raises `leg_lost` when enough reads agree.
    fn find_lost(&mut self, slot: u32) {
        let position = &self.positions[slot as usize];
        let count = usize::from(position.count);
        let hedge = self.hedges.all[position.hedge as usize];
        let rules = &self.policies[usize::from(position.policy)].rules;
        let mut id = position.first;
        while id != TriggerId::NONE {
            let trigger = self.triggers[id];
            if let Some(&RuleSpec { rule: Rule::LegLost { reads, then }, .. }) =
                rules.get(usize::from(trigger.rule))
                && trigger.stage == Stage::Armed
                && !position.off.has(trigger.rule)
            {
                let mut left = open(position);
                let mut lost = 0u8;
                for (leg, read) in hedge.reads.iter().enumerate().take(count) {
                    if read.agree >= reads {
                        lost |= 1 << leg;
                        left[leg] = read.qty;
                    }
                }
                if lost != 0 {
                    let keep = self.remedy(position, &hedge, &left, then);
                    self.raise_remedy(id, lost, keep);
                    return;
                }
            }
            id = trigger.next;
        }
    }

    /// Raises `imbalance` when the legs have been off their ratio for the hold, and every open leg was
    /// read after that. The intent's part says which legs are less than the books have.
    fn find_imbalance(&mut self, slot: u32) {
        let position = &self.positions[slot as usize];
        let hedge = self.hedges.all[position.hedge as usize];
        let rules = &self.policies[usize::from(position.policy)].rules;
        let known = hedge.known(position);
        let mut lost = 0;
        for (at, leg) in position.legs().iter().enumerate() {
            lost |= u8::from(known[at] < leg.open) << at;
        }
        let mut id = position.first;
        while id != TriggerId::NONE {
            let trigger = self.triggers[id];
            if let Some((_, hold, then)) = imbalance(rules, &trigger)
                && trigger.stage == Stage::Armed
                && trigger.mark != 0
            {
                let due = Nanos(trigger.mark as u64).plus(hold);
                let mut legs = position.legs().iter().zip(&hedge.reads);
                if legs.all(|(leg, read)| leg.open == Qty::ZERO || read.at >= Some(due)) {
                    let keep = self.remedy(position, &hedge, &known, then);
                    self.raise_remedy(id, lost, keep);
                    return;
                }
            }
            id = trigger.next;
        }
    }

    fn raise_remedy(&mut self, id: TriggerId, part: u8, keep: [Qty; LEGS_MAX]) {
        let trigger = &mut self.triggers[id];
        trigger.stage = Stage::Fired;
        let Trigger { position: slot, rule, reason, .. } = *trigger;
        let urgency = reason.urgency();
        self.candidates.push(Candidate {
            position: slot,
            rule,
            part,
            reason,
            urgency,
            origin: Origin::trigger(id),
        });
        let hedge = self.hedge_mut(slot).expect("its rule looks at it");
        hedge.remedies[usize::from(reason == Reason::Imbalance)] = keep;
    }

    /// What the legs keep by such a rule that has fired.
    pub(crate) fn remedy_of(&self, fired: &Candidate) -> [Qty; LEGS_MAX] {
        let place = self.positions[fired.position as usize].hedge;
        let hedge = &self.hedges.all[place as usize];
        hedge.remedies[usize::from(fired.reason == Reason::Imbalance)]
    }

    /// What is open of each leg for what follows a candidate: what it finds lost is not.
    pub(crate) fn open_for(&self, fired: &Candidate) -> [Qty; LEGS_MAX] {
        let position = &self.positions[fired.position as usize];
        if matches!(fired.reason, Reason::LegLost | Reason::Imbalance) {
            return self.hedges.all[position.hedge as usize].known(position);
        }
        open(position)
    }

    /// What each leg keeps: nothing, or what the smallest one leaves of the ratio, rounded up to
    /// whole lots, so that no more than the excess is closed.
    fn remedy(
        &self,
        position: &Tracked,
        hedge: &Hedge,
        left: &[Qty; LEGS_MAX],
        then: Remedy,
    ) -> [Qty; LEGS_MAX] {
        let mut keep = [Qty::ZERO; LEGS_MAX];
        if then == Remedy::Close {
            return keep;
        }
        let count = usize::from(position.count);
        let (least, _) = hedge.ends(left, count);
        let (part, whole) = (i128::from(left[least].raw()), i128::from(hedge.ratio[least].raw()));
        for (at, leg) in position.legs().iter().enumerate() {
            let lot = i128::from(self.lot(leg.instrument));
            let matched = div_ceil(i128::from(hedge.ratio[at].raw()) * part, whole);
            let lots = div_ceil(matched, lot) * lot;
            let most = i128::from(left[at].raw());
            keep[at] = Qty::new(lots.min(most) as i64).expect("at most what is open");
        }
        keep
    }

    fn lot(&self, id: crate::instrument::InstrumentId) -> i64 {
        self.books.instrument(id).expect("registration knew it").spec().lot
    }

    /// The executor has written a leg off: this much of it is left.
    pub(crate) fn on_leg_lost(&mut self, now: Nanos, slot: u32, leg: u8, qty: Qty) {
        let position = &mut self.positions[slot as usize];
        if leg >= position.count {
            self.stray_of(slot, "the loss of a leg that the position does not have");
            return;
        }
        let planned = position.plan.is_some();
        let at = usize::from(leg);
        self.turn_lost(slot);
        self.portfolio_lift(slot);
        let position = &mut self.positions[slot as usize];
        let leg = &mut position.legs[at];
        let lost = leg.open.checked_sub(qty).unwrap_or(Qty::ZERO);
        leg.open = qty.min(leg.open);
        if planned {
            // What is gone without a price of ours is judged no more.
            leg.judged = leg.judged.checked_sub(lost).unwrap_or(leg.open);
        } else {
            leg.settle();
        }
        position.note_reached();
        self.portfolio_lost(slot, at, lost);
        self.portfolio_lay(slot);
        if let Some(hedge) = self.hedge_mut(slot) {
            hedge.reads[at] = Read { qty, agree: 0, ..hedge.reads[at] };
        }
        self.end_filled_tiers(slot);
        self.refresh(slot, now);
        self.watch_balance(slot, now);
        self.look_for_prices(slot, now);
    }
}

impl Engine {
    /// A fill of ours makes less of what was read.
    pub(crate) fn read_less(&mut self, slot: u32, leg: usize, filled: Qty) {
        if let Some(hedge) = self.hedge_mut(slot) {
            let read = &mut hedge.reads[leg];
            read.qty = read.qty.checked_sub(filled).unwrap_or(Qty::ZERO);
        }
    }
}

/// What is open of each leg.
fn open(position: &Tracked) -> [Qty; LEGS_MAX] {
    let mut open = [Qty::ZERO; LEGS_MAX];
    for (open, leg) in open.iter_mut().zip(position.legs()) {
        *open = leg.open;
    }
    open
}

/// A trigger's imbalance rule: share, hold, remedy.
fn imbalance(rules: &[RuleSpec], trigger: &Trigger) -> Option<(Rate, Nanos, Remedy)> {
    match rules.get(usize::from(trigger.rule)).map(|said| &said.rule) {
        Some(&Rule::Imbalance { share, hold, then }) => Some((share, hold, then)),
        _ => None,
    }
}

impl Read {
    fn take(&mut self, now: Nanos, qty: Qty, open: Qty) {
        let same = self.agree > 0 && self.qty == qty;
        let spaced = now.since(self.agreed_at) >= READS_APART;
        (self.qty, self.at) = (qty, Some(now));
        if qty == open {
            self.agree = 0;
        } else if !same {
            (self.agree, self.agreed_at) = (1, now);
        } else if spaced {
            (self.agree, self.agreed_at) = (self.agree.saturating_add(1), now);
        }
    }
}

impl Hedge {
    /// What is known to be there of each leg: the books, or less where the last read showed less.
    fn known(&self, position: &Tracked) -> [Qty; LEGS_MAX] {
        let mut known = open(position);
        for (known, read) in known.iter_mut().zip(&self.reads) {
            if read.at.is_some() {
                *known = read.qty.min(*known);
            }
        }
        known
    }

    /// Indices of the legs that have least and most of their part of the ratio.
    fn ends(&self, qty: &[Qty; LEGS_MAX], count: usize) -> (usize, usize) {
        let (mut least, mut most) = (0, 0);
        let share =
            |of: usize, by: usize| i128::from(qty[of].raw()) * i128::from(self.ratio[by].raw());
        for at in 1..count {
            if share(at, least) < share(least, at) {
                least = at;
            }
            if share(at, most) > share(most, at) {
                most = at;
            }
        }
        (least, most)
    }

    /// Whether the legs are off their ratio by at least `share` of the largest part, and by at least
    /// the smallest order of every leg. With parts φ = quantity / ratio of the largest leg a and the
    /// smallest b, both are inclusive comparisons of φa − φb, over the denominator ra·rb.
    fn is_off(&self, qty: &[Qty; LEGS_MAX], count: usize, share: Rate) -> bool {
        let (b, a) = self.ends(qty, count);
        let wide = |qty: Qty| i128::from(qty.raw());
        let (ra, rb) = (self.ratio[a], self.ratio[b]);
        let off = wide(qty[a]) * wide(rb) - wide(qty[b]) * wide(ra);
        if off <= 0 || off * i128::from(PPB) < i128::from(share.raw()) * wide(qty[a]) * wide(rb) {
            return false;
        }
        (0..count).all(|at| {
            // No part is above one, so that a smallest order beyond the leg is never reached.
            let of = self.ratio[at].raw();
            self.least[at] <= of
                && off >= mul_div_ceil(i128::from(self.least[at]) * wide(ra), rb.raw(), of)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hedge(ratio: [i64; 2], least: [i64; 2]) -> Hedge {
        let qty = |raw| Qty::new(raw).unwrap();
        let ratio = [qty(ratio[0]), qty(ratio[1]), Qty::ZERO, Qty::ZERO];
        let least = [least[0], least[1], 0, 0];
        Hedge { ratio, least, reads: [UNREAD; LEGS_MAX], remedies: NO_REMEDY }
    }

    #[test]
    fn off_the_ratio_is_inclusive_and_never_less_than_the_larger_smallest_order() {
        // ratio, smallest orders, open, whether that is off by 0.5 % or more.
        type Row = ([i64; 2], [i64; 2], [i64; 2], bool);
        let cases: [Row; 9] = [
            ([1000, 1000], [1, 1], [1000, 995], true),
            ([1000, 1000], [1, 1], [1000, 996], false),
            ([1000, 1000], [1, 6], [1000, 995], false),
            ([1000, 1000], [1, 6], [994, 1000], true),
            ([1000, 10], [1, 1], [1000, 9], true),
            ([1000, 10], [1, 2], [1000, 9], false),
            ([1000, 1000], [1, 1], [0, 0], false),
            ([1000, 1000], [1001, 1], [1000, 0], false),
            (
                [crate::limits::QTY_MAX, crate::limits::QTY_MAX],
                [i64::MAX, i64::MAX],
                [crate::limits::QTY_MAX, 0],
                false,
            ),
        ];
        for (ratio, least, held, expected) in cases {
            let qty = |raw| Qty::new(raw).unwrap();
            let held = [qty(held[0]), qty(held[1]), Qty::ZERO, Qty::ZERO];
            let hedge = hedge(ratio, least);
            let off = hedge.is_off(&held, 2, Rate::from_bps(50));
            assert_eq!(off, expected, "{ratio:?} {least:?} {held:?}");
        }
    }
}
