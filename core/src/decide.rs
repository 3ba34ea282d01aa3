//! From what held to what is decided: one arbitration per event, and the intents that come of it.

use crate::arbiter::{Candidate, arbitrate, lost_to};
use crate::clip::min_order;
use crate::engine::Engine;
use crate::intent::{Input, Intent, Reason, Urgency};
use crate::limits::LEGS_MAX;
use crate::net::{Compiled, NetForm};
use crate::note::{EngineNote, Lost, Overruled};
use crate::position::{PositionId, PositionState, Side};
use crate::tracked::{LivePlan, Tracked};
use crate::trigger::{Condition, Trigger, TriggerId};
use crate::units::{Nanos, Qty};

impl Engine {
    /// One arbitration for everything that held at this event.
    #[inline]
    pub(crate) fn decide(&mut self) {
        if self.candidates.is_empty() {
            return;
        }
        let mut at = 0;
        while at < self.candidates.len() {
            self.revive(at);
            at += 1;
        }
        let positions = &self.positions;
        let id_of = |slot: u32| PositionId::new(slot, positions[slot as usize].generation);
        arbitrate(&mut self.candidates, &mut self.scratch, id_of);
        let mut held = core::mem::take(&mut self.candidates);
        for at in 0..self.scratch.len() {
            let of_one = &held[self.scratch[at].range()];
            self.decide_one(of_one);
        }
        self.scratch.clear();
        held.clear();
        // Nothing new holds at an unchanged price: this moves nothing.
        held.append(&mut self.candidates);
        self.candidates = held;
    }

    /// What asks for less than the target of a plan that has reached it: the plan is not over, and
    /// the rules look at what is open again. What holds of them joins the candidates.
    fn revive(&mut self, candidate: usize) {
        let candidate = self.candidates[candidate];
        let slot = candidate.position;
        let Some(plan) = self.positions[slot as usize].plan.filter(|plan| plan.reached) else {
            return;
        };
        if plan.repair && candidate.urgency == Urgency::Opportunistic {
            return;
        }
        let keep = self.keep_of(&candidate);
        let position = &mut self.positions[slot as usize];
        if position.legs().iter().zip(keep).all(|(leg, keep)| leg.open <= keep) {
            return;
        }
        if let Some(plan) = &mut position.plan {
            plan.reached = false;
        }
        self.refresh(slot, self.now);
        self.look_for_prices(slot, self.now);
    }

    /// What held of one position, the winner first: a plan begins, is raised, or covers it all.
    fn decide_one(&mut self, held: &[Candidate]) {
        let winner = held[0];
        let slot = winner.position;
        let mut keep = self.keep_of(&winner);
        let repair = matches!(winner.reason, Reason::LegLost | Reason::Imbalance)
            && keep.iter().any(|keep| *keep > Qty::ZERO);
        // A repair goes at the market's price: what would only take a profit waits for its end.
        let plan = &self.positions[slot as usize].plan;
        let repairs = repair || plan.is_some_and(|plan| plan.repair);
        let waits = |other: &&Candidate| repairs && other.urgency == Urgency::Opportunistic;
        for other in held[1..].iter().filter(|other| !waits(other)) {
            for (keep, wanted) in keep.iter_mut().zip(self.keep_of(other)) {
                *keep = wanted.min(*keep);
            }
        }
        if self.positions[slot as usize].plan.is_none() {
            self.take_unsellable_rests(&winner, &mut keep);
        }
        let position = &mut self.positions[slot as usize];
        let Some(plan) = &mut position.plan else {
            let (urgency, keeps) = (winner.urgency, keep.iter().any(|keep| *keep > Qty::ZERO));
            let repair = repair && keeps;
            position.plan = Some(LivePlan { intent: 0, urgency, reached: false, repair });
            for (leg, keep) in position.legs_mut().iter_mut().zip(keep) {
                leg.keep = keep;
            }
            position.state = PositionState::Exiting;
            self.leave_open(slot);
            self.watch_balance(slot, self.now);
            self.raise(held);
            return;
        };
        // What fired here is armed again when the repair has ended.
        if plan.repair && winner.urgency == Urgency::Opportunistic {
            let covers = plan.intent;
            held.iter().for_each(|other| self.overrule(other, covers, Lost::Covered));
            return;
        }
        // A leg that is lost is written off by the intent, whatever the plan is already.
        let mut raises = winner.urgency > plan.urgency || winner.reason == Reason::LegLost;
        for (leg, wanted) in position.legs.iter().zip(&mut keep) {
            raises |= *wanted < leg.keep;
            *wanted = leg.keep.min(*wanted);
        }
        if raises && !plan.reached {
            self.take_unsellable_rests(&winner, &mut keep);
        }
        let position = &mut self.positions[slot as usize];
        let plan = position.plan.as_mut().expect("it is live");
        let mut keeps = false;
        for (leg, keep) in position.legs.iter_mut().zip(keep).take(position.count.into()) {
            leg.keep = keep;
            keeps |= keep > Qty::ZERO;
        }
        // What a plan has of urgency it keeps: an intent that only lowers what stays open does not
        // ask for less of it.
        plan.urgency = plan.urgency.max(winner.urgency);
        plan.repair &= keeps;
        let covers = plan.intent;
        if raises {
            self.raise(held);
        } else {
            held.iter().for_each(|other| self.overrule(other, covers, Lost::Covered));
        }
    }

    /// A last slice never leaves a rest that nobody takes: when what a leg is to keep is too small to be
    /// sold later, all legs are closed. Judged at the newest exit price however old, else at the entry:
    /// what a venue would call too small is no matter of milliseconds.
    fn take_unsellable_rests(&self, winner: &Candidate, keep: &mut [Qty; LEGS_MAX]) {
        let position = &self.positions[winner.position as usize];
        let open = self.open_for(winner);
        let lost = position.legs().iter().zip(&*keep).zip(open).any(|((leg, &keep), open)| {
            if keep == Qty::ZERO || keep >= open {
                return false;
            }
            let instrument = self.books.instrument(leg.instrument).expect("registration knew it");
            let price =
                self.books.quote(leg.instrument).map_or(leg.entry, |quote| match leg.side {
                    Side::Long => quote.bid,
                    Side::Short => quote.ask,
                });
            let least = min_order(instrument, price);
            let sellable = |qty| instrument.round_lot(qty).raw() >= least;
            !sellable(keep) && sellable(open)
        });
        if lost {
            *keep = [Qty::ZERO; LEGS_MAX];
        }
    }

    /// The winner becomes an intent; of those behind it is said why they are not.
    fn raise(&mut self, held: &[Candidate]) {
        let winner = held[0];
        self.decisions.push_back(winner);
        let intent = self.counters.intents + self.decisions.len() as u64;
        held[1..].iter().for_each(|other| self.overrule(other, intent, lost_to(&winner, other)));
    }

    fn overrule(&mut self, loser: &Candidate, intent: u64, why: Lost) {
        let Candidate { position: slot, rule, part, reason, urgency, .. } = *loser;
        let position = PositionId::new(slot, self.positions[slot as usize].generation);
        let overruled = Overruled { position, intent, rule, part, reason, urgency, why };
        self.notes.push(EngineNote::Overruled(overruled));
    }

    /// The intent of a winner, at the urgency of the plan that began with it or was raised by it.
    pub(crate) fn intent(&self, winner: &Candidate, urgency: Urgency) -> Intent {
        let Candidate { position: slot, rule, part, reason, origin, .. } = *winner;
        let position = &self.positions[slot as usize];
        let mut inputs = [None; LEGS_MAX];
        let mut keep = [Qty::ZERO; LEGS_MAX];
        for ((input, keep), leg) in inputs.iter_mut().zip(&mut keep).zip(position.legs()) {
            *keep = leg.keep;
            let seen = self.books.seen(leg.instrument);
            *input = Some(Input {
                instrument: leg.instrument,
                quote: seen.map(|(quote, ..)| quote),
                update_id: seen.map_or(0, |(_, id, _)| id),
                age: seen.map_or(Nanos(u64::MAX), |(.., at)| self.now.since(at)),
            });
        }
        Intent {
            seq: self.counters.intents,
            at: self.now,
            position: PositionId::new(slot, position.generation),
            policy_version: self.policies[usize::from(position.policy)].version,
            rule,
            part,
            reason,
            urgency,
            legs: position.count,
            keep,
            compiled: self.compiled(position, origin.by()),
            inputs,
        }
    }

    fn compiled(&self, position: &Tracked, trigger: TriggerId) -> Compiled {
        if trigger == TriggerId::NONE {
            return Compiled::Unconditional;
        }
        let trigger = &self.triggers[trigger];
        // Nobody can compare again with what is not in the intent.
        if !self.is_seen_in_quotes(trigger) {
            return Compiled::Unconditional;
        }
        compiled(position, trigger)
    }

    pub(crate) fn fold(&mut self, intent: &Intent) {
        let hash = &mut self.hash;
        hash.fold(intent.seq);
        hash.fold(intent.at.0);
        hash.fold(u64::from(intent.position.0) << 32 | u64::from(intent.policy_version));
        let Intent { rule, part, reason, urgency, .. } = *intent;
        hash.fold(u64::from_le_bytes([rule, part, reason as u8, urgency as u8, 0, 0, 0, 0]));
        for keep in intent.keep {
            hash.fold(keep.raw() as u64);
        }
        match intent.compiled {
            Compiled::Price { cmp, limit } => {
                hash.fold(cmp as u64);
                hash.fold(limit as u64);
            }
            Compiled::Net(form) => {
                hash.fold(2 + form.cmp as u64);
                hash.fold_wide(form.bound);
            }
            Compiled::Unconditional => hash.fold(4),
        }
        for input in intent.inputs.iter().flatten() {
            hash.fold(input.update_id);
            hash.fold(input.quote.map_or(0, |quote| quote.bid.raw() as u64));
            hash.fold(input.quote.map_or(0, |quote| quote.ask.raw() as u64));
        }
    }
}

/// A trigger's condition as an intent carries it.
pub(crate) fn compiled(position: &Tracked, trigger: &Trigger) -> Compiled {
    match trigger.condition {
        Condition::Price(cmp, limit) => Compiled::Price { cmp, limit },
        Condition::Net(cmp, bound) => {
            let legs = position.four_forms();
            Compiled::Net(NetForm { legs, count: position.count, cmp, bound: bound.get() })
        }
        Condition::Time(_) | Condition::Never | Condition::Always | Condition::Signal(_) => {
            Compiled::Unconditional
        }
    }
}
