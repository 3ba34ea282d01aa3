//! The life of a position: fills, ends of plans, commands, and what is watched again after them.

use crate::arbiter::{Candidate, Origin, RULE_OPERATOR};
use crate::engine::Engine;
use crate::entry::{EntryFill, TaskId};
use crate::event::{Command, Outcome, Report, Which};
use crate::heap::NodeId;
use crate::intent::{Reason, Urgency};
use crate::limits::{AMOUNT_MAX, PPB};
use crate::position::{PositionId, PositionState};
use crate::task::TaskState;
use crate::tracked::{Leg, Tracked};
use crate::trigger::{Role, Stage, TriggerId};
use crate::units::{Nanos, Price, Qty};
use crate::watch::Timer;

/// A fill as the executor reports it; the fee is at the instrument's nano scale.
#[derive(Clone, Copy)]
struct Fill {
    price: Price,
    qty: Qty,
    fee: i128,
}

impl Engine {
    pub(crate) fn place_position(&mut self, slot: u32, mut position: Tracked) -> u32 {
        if let Some(old) = self.positions.get_mut(slot as usize) {
            self.free = old.tag;
            position.generation = (old.generation + 1) & (u32::MAX >> PositionId::SLOT_BITS);
            *old = position;
        } else {
            self.positions.push(position);
        }
        self.positions[slot as usize].generation
    }

    /// Gives a position's triggers and tracks back; its slot is free for another.
    pub(crate) fn release(&mut self, slot: u32) {
        self.each_trigger(slot, |engine, id| engine.take(id));
        self.close_tracks(slot, TriggerId::NONE);
        self.close_signals(slot, TriggerId::NONE);
        self.watch_ladders(slot, false, self.now);
        self.forget_blindness(slot);
        self.forget(slot);
    }

    /// Gives the triggers of a position that has no tracks and whose triggers are queued nowhere
    /// back; its slot is free for another.
    pub(crate) fn forget(&mut self, slot: u32) {
        self.drop_triggers(slot);
        self.unlist_legs(slot);
        let position = &mut self.positions[slot as usize];
        position.state = PositionState::Closed;
        self.hedges.release(&mut position.hedge);
        self.spare_legs.give(&mut position.legs);
        let timer = core::mem::replace(&mut position.rest_timer, NodeId::NONE);
        if timer != NodeId::NONE {
            self.watch.remove_timer(timer);
        }
        position.tag = core::mem::replace(&mut self.free, slot);
    }

    /// Arms a trigger anew, with its condition as of now.
    pub(crate) fn rearm(&mut self, id: TriggerId, now: Nanos) {
        if self.still_waits(id, now) {
            self.recompile(id);
            return;
        }
        self.take(id);
        self.triggers[id].stage = Stage::Armed;
        self.recompile(id);
        self.test(id, now);
    }

    pub(crate) fn on_report(&mut self, now: Nanos, report: Report) {
        match report {
            Report::Fill { position, leg, price, qty, fee } => {
                let Some(slot) = self.live_slot(position) else { return };
                self.on_fill(now, slot, leg, Fill { price, qty, fee });
            }
            Report::PlanEnded { position, intent, outcome } => {
                let Some(slot) = self.live_slot(position) else { return };
                // What is flat or dust is so whoever asked for it.
                if matches!(outcome, Outcome::Done | Outcome::Missed) {
                    match self.positions[slot as usize].plan {
                        None => {
                            self.stray("the end of a plan where none is live", Some(position));
                            return;
                        }
                        // A decision that was meant to raise the plan has passed this report on its
                        // way. The executor has met no plan to raise and works it as one of its own.
                        Some(plan) if plan.intent > intent => {
                            self.counters.crossed += 1;
                            return;
                        }
                        Some(_) => {}
                    }
                }
                self.on_plan_ended(now, slot, outcome);
            }
            Report::LegRead { position, leg, qty } => {
                // Nothing is done about dust any more.
                if self.state(position) == Some(PositionState::DustResidual) {
                    return;
                }
                let Some(slot) = self.live_slot(position) else { return };
                self.on_leg_read(now, slot, leg, qty);
            }
            Report::LegLost { position, leg, qty } => {
                let Some(slot) = self.live_slot(position) else { return };
                self.on_leg_lost(now, slot, leg, qty);
            }
            Report::EntryFill { task, leg, price, qty, fee } => {
                self.on_entry_fill(now, task, leg, EntryFill { price, qty, fee, undoes: false });
            }
            Report::EntryUndone { task, leg, price, qty, fee } => {
                self.on_entry_fill(now, task, leg, EntryFill { price, qty, fee, undoes: true });
            }
            Report::EntryEnded { task, entry, outcome } => {
                self.on_entry_ended(now, task, entry, outcome);
            }
        }
    }

    fn on_fill(&mut self, now: Nanos, slot: u32, leg: u8, fill: Fill) {
        let position = &mut self.positions[slot as usize];
        if leg >= position.count {
            self.stray_of(slot, "a fill of a leg that the position does not have");
            return;
        }
        let fees = self.policies[usize::from(position.policy)].fees;
        self.portfolio_lift(slot);
        let position = &mut self.positions[slot as usize];
        let at = usize::from(leg);
        let leg = &mut position.legs[at];
        let qty = fill.qty.min(leg.open);
        if qty < fill.qty {
            self.counters.overfills += 1;
        }
        leg.open = leg.open.checked_sub(qty).expect("no more than is open");
        let instrument = self.books.instrument(leg.instrument).expect("registration knew it");
        let align = 10i128.pow(u32::from(position.scale - instrument.nano_scale()));
        let fee = fill.fee.clamp(-AMOUNT_MAX / align, AMOUNT_MAX / align) * align;
        if position.plan.is_some() {
            leg.lock(fill.price, qty, fee, fees);
        } else {
            leg.settle();
        }
        let (unit, sign) = (i128::from(leg.unit) * i128::from(PPB), leg.side.sign());
        let of = |price: i64| i128::from(price) * i128::from(qty.raw()) * unit;
        let notional = of(fill.price.raw());
        let gain = sign * (notional - of(leg.entry.raw())) - fee;
        position.note_reached();
        position.misses = 0;
        self.portfolio_bank(slot, at, fill.price, qty, fee);
        self.portfolio_lay(slot);
        self.task_fill(slot, notional, gain);
        self.read_less(slot, at, qty);
        self.end_filled_tiers(slot);
        self.refresh(slot, now);
        self.watch_balance(slot, now);
        self.look_for_prices(slot, now);
    }

    /// Tiers whose share is closed are done: also one whose share is less than a lot of every leg.
    pub(crate) fn end_filled_tiers(&mut self, slot: u32) {
        self.each_trigger(slot, |engine, id| {
            let trigger = engine.triggers[id];
            let tier = trigger.reason == Reason::Tiers && trigger.stage != Stage::Done;
            if tier && engine.tier_is_filled(&trigger) {
                engine.take(id);
                engine.triggers[id].stage = Stage::Done;
                engine.candidates.retain(|candidate| candidate.origin.by() != id);
            }
        });
    }

    /// Recomputes a position's numbers and looks at every armed trigger again.
    pub(crate) fn refresh(&mut self, slot: u32, now: Nanos) {
        let position = &mut self.positions[slot as usize];
        position.refresh(&self.policies[usize::from(position.policy)]);
        self.each_trigger(slot, |engine, id| {
            if engine.triggers[id].stage == Stage::Armed {
                engine.rearm(id, now);
            }
        });
    }

    pub(crate) fn on_plan_ended(&mut self, now: Nanos, slot: u32, outcome: Outcome) {
        // A timer of this event may have fired a rule of this plan: everything is looked at again.
        self.candidates.retain(|candidate| candidate.position != slot);
        let position = &mut self.positions[slot as usize];
        position.plan = None;
        position.legs.iter_mut().for_each(Leg::settle);
        position.refresh(&self.policies[usize::from(position.policy)]);
        if let Some(blind) = &mut position.blind {
            blind.asked = false;
        }
        match outcome {
            Outcome::Closed => {
                self.portfolio_ended(slot, false);
                self.task_closed(slot);
                self.turn_closed(slot);
                self.release(slot);
                self.signals_on_closed();
                return;
            }
            Outcome::Dust => {
                position.state = PositionState::DustResidual;
                self.portfolio_ended(slot, true);
                // A task whose position is too small to be sold enters nothing beside it.
                if let Some(task) = self.task_of(slot) {
                    self.rest_task(TaskId(task as u16), TaskState::Failed);
                }
                self.each_trigger(slot, |engine, id| engine.take(id));
            }
            Outcome::Done => {
                position.state = PositionState::Open;
                position.misses = 0;
                self.take_wanted(slot);
                self.resume(slot, now, None);
                self.portfolio_resumed(slot);
            }
            Outcome::Missed => {
                position.state = PositionState::Open;
                let exit = &self.policies[usize::from(position.policy)].exit;
                // Doubled with each in a row.
                let doubled = 1u64 << position.misses.min(63);
                let backoff = exit.rearm_first.0.saturating_mul(doubled).min(exit.rearm_last.0);
                position.misses = position.misses.saturating_add(1);
                let until = now.plus(Nanos(backoff));
                self.take_wanted(slot);
                self.resume(slot, now, Some(until));
                self.portfolio_resumed(slot);
            }
        }
        self.watch_balance(slot, now);
        self.look_for_prices(slot, now);
    }

    /// Watches everything again after a plan has ended; what fired opportunistically in a missed
    /// plan rests until `rest`.
    fn resume(&mut self, slot: u32, now: Nanos, rest: Option<Nanos>) {
        let timer = core::mem::replace(&mut self.positions[slot as usize].rest_timer, NodeId::NONE);
        if timer != NodeId::NONE {
            self.watch.remove_timer(timer);
        }
        let mut resting = false;
        self.each_trigger(slot, |engine, id| {
            let trigger = engine.triggers[id];
            let opportunistic = trigger.reason.urgency() == Urgency::Opportunistic;
            match trigger.stage {
                // A part before it, such as a step of its threshold, has fired it at this moment.
                Stage::Fired if engine.candidates.iter().any(|fired| fired.origin.by() == id) => {}
                Stage::Fired | Stage::Resting if rest.is_some() && opportunistic => {
                    engine.triggers[id].stage = Stage::Resting;
                    resting = true;
                }
                Stage::Fired | Stage::Resting => engine.rearm(id, now),
                Stage::Armed => engine.rearm(id, now),
                Stage::Asleep | Stage::Done => {}
            }
        });
        if let (true, Some(until)) = (resting, rest) {
            let timer = self.watch.add_timer(until.0, Timer::Rest(slot));
            self.positions[slot as usize].rest_timer = timer;
        }
    }

    pub(crate) fn on_command(&mut self, now: Nanos, command: Command) {
        match command {
            Command::Close { which, urgency } => self.on_close(which, urgency),
            Command::Amounts { position: id, leg, fees_paid, funding } => {
                let Some(slot) = self.live_slot(id) else { return };
                let position = &mut self.positions[slot as usize];
                let scale = position.scale;
                let (Some(paid), Some(funding)) =
                    (fees_paid.amount_at(scale), funding.amount_at(scale))
                else {
                    self.counters.amounts_refused += 1;
                    self.stray("amounts that no position has", Some(id));
                    return;
                };
                if leg >= position.count {
                    self.stray("amounts of a leg that the position does not have", Some(id));
                    return;
                }
                self.portfolio_lift(slot);
                let leg = &mut self.positions[slot as usize].legs[usize::from(leg)];
                (leg.paid, leg.funding) = (paid, funding);
                self.portfolio_lay(slot);
                self.refresh(slot, now);
            }
            Command::Liquidation { position, leg, price } => {
                let Some(slot) = self.live_slot(position) else { return };
                if leg >= self.positions[slot as usize].count {
                    self.stray("a liquidation price of a leg that is not there", Some(position));
                    return;
                }
                let leg = &mut self.positions[slot as usize].legs[usize::from(leg)];
                leg.liquidation = price.map_or(0, Price::raw);
                self.refresh(slot, now);
            }
            Command::ConfirmJump(id) => {
                if usize::from(id.0) >= self.books.len() {
                    self.stray("a confirmation for an unknown instrument", None);
                    return;
                }
                let change = self.books.end_hold(id);
                self.on_change(now, id, change);
            }
            Command::Commit { of, policy } => self.on_commit(of, policy),
            Command::Policy { which, policy } => self.on_policy(now, which, policy),
            Command::Rule { which, policy, rule, on } => {
                self.on_rule(now, which, policy, rule, on);
            }
            Command::Signal { instrument, side } => self.on_signal(now, instrument, side),
            Command::Task { task, what } => self.on_task_command(task, what),
            Command::SetState(state) => self.on_set_state(state),
            Command::Reset(latch) => self.on_reset(latch),
            Command::Equity(amount) => self.on_equity(amount),
            Command::Transfer(amount) => self.on_transfer(amount),
        }
    }

    fn on_close(&mut self, which: Which, urgency: Urgency) {
        self.each_meant(which, |engine, slot| engine.push_operator(slot, urgency));
    }

    fn push_operator(&mut self, slot: u32, urgency: Urgency) {
        self.candidates.push(Candidate {
            position: slot,
            rule: RULE_OPERATOR,
            part: 0,
            reason: Reason::Operator,
            urgency,
            origin: Origin::NONE,
        });
    }

    /// A position leaves Open: its trailing stops are detached with their marks and watched as
    /// plain prices; marks and activations rest.
    pub(crate) fn leave_open(&mut self, slot: u32) {
        let now = self.now;
        self.each_trigger(slot, |engine, id| {
            let trigger = engine.triggers[id];
            if trigger.stage != Stage::Armed {
                return;
            }
            match trigger.role {
                Role::Activate | Role::Mark => engine.take(id),
                Role::Trail if engine.trails_alone(&trigger) => engine.rearm(id, now),
                Role::Trail | Role::Fire | Role::Step => {}
                Role::Sample | Role::Listen | Role::Sign | Role::Tight => {}
            }
        });
        debug_assert!(self.candidates.is_empty(), "nothing new holds at an unchanged price");
    }
}
