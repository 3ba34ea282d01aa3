//! An entry at work: both legs at once, immediate or cancel. What fills on one leg alone is undone at
//! the market as soon as nothing of the entry is in flight any more; silence is not evidence.
//!
//! An order of which nobody knows what became of it would leave the other leg naked for as long as
//! that takes. After [`UNHEDGED_TIME`] only its own leg waits for it: what does not match is undone,
//! and so is whatever that order turns out to have taken.

use arrayvec::ArrayVec;

use crate::budget::Lane;
use crate::clip::min_order;
use crate::desk::Desk;
use crate::entry::{ENTRY_LEGS_MAX, EntryIntent, EntryLeg, TaskId};
use crate::event::{EntryOutcome, Report};
use crate::holding::HoldingKey;
use crate::instrument::InstrumentId;
use crate::intent::Urgency;
use crate::limits::{
    AMOUNT_MAX, ASK_AFTER, BACKOFF_FIRST, LEG_TIMEOUT, POLL_EVERY, RESTART_PAUSE, UNHEDGED_TIME,
};
use crate::note::ExecutorNote;
use crate::order::{Ask, ClientOrderId, HoldingRead, Order, OrderChange, OrderEvent, OrderSide};
use crate::position::{PositionId, Side};
use crate::pricing::{Quotes, exit_price};
use crate::protocol::Word;
use crate::retry::Retry;
use crate::throttle::{Held, Throttle};
use crate::units::{Nanos, Price, Qty};
use crate::working::WorkingOrder;

/// Client order ids of entries have their leg beyond this, and the task in place of the position.
pub(crate) const ENTRY_ID: u8 = 128;

/// So often may a leg's attempts begin anew within the ids of entries.
const ROUNDS_MAX: u8 = (u8::MAX - ENTRY_ID) / ENTRY_LEGS_MAX as u8 - 1;

/// See the module.
#[derive(Debug)]
pub(crate) struct Enter {
    pub(crate) task: TaskId,
    entry: u64,
    legs: ArrayVec<Leg, ENTRY_LEGS_MAX>,
    /// Since when something of a leg is held without its counterpart.
    naked: Option<Nanos>,
    /// That has lasted too long, and was told.
    unhedged: bool,
    /// Its task has forgotten it at a restart: all of it is undone, and nobody is told of its fills.
    taken_back: bool,
    pub(crate) wake: Option<Nanos>,
}

/// An entry that is at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryView {
    /// For which task or turn.
    pub task: TaskId,
    /// What was bought or sold for it, by leg, less what was undone.
    pub held: [Qty; ENTRY_LEGS_MAX],
    /// Its orders that may still trade.
    pub live: usize,
}

#[derive(Debug)]
struct Leg {
    said: EntryLeg,
    /// From its money's scale to that of both legs.
    align: i128,
    /// What is held of it by now, and since when.
    held: i64,
    changed: Nanos,
    /// Refusals in a row.
    errors: u8,
    order: Option<WorkingOrder>,
    attempt: u16,
    /// How often its attempts have begun anew.
    round: u8,
    not_before: Nanos,
    throttle: Throttle,
}

impl Enter {
    /// Sends an entry, when what it was decided at still stands; `None` when it does not.
    pub(crate) fn begin(
        now: Nanos,
        intent: &EntryIntent,
        desk: &mut Desk,
        quotes: &impl Quotes,
    ) -> Option<Self> {
        for leg in intent.legs() {
            let age_max = desk.instrument(leg.instrument).spec().max_quote_age;
            let top = quotes.top(leg.instrument)?;
            let (better, size) = match leg.side {
                Side::Long => (top.quote.ask <= leg.limit, top.quote.ask_qty),
                Side::Short => (top.quote.bid >= leg.limit, top.quote.bid_qty),
            };
            // What one leg lacks another would have to undo; of one leg any part is a position.
            let small = intent.count > 1 && size < leg.qty;
            if !better || small || now.since(top.received) > age_max {
                return None;
            }
        }
        for leg in intent.legs() {
            let venue = |leg: &EntryLeg| desk.instrument(leg.instrument).spec().venue;
            let there = intent.legs().iter().filter(|of| venue(of) == venue(leg)).count() as u32;
            if desk.orders_at(now, leg.instrument, there, Lane::Housekeeping) > now {
                return None;
            }
        }
        let scale = |leg: &EntryLeg| desk.instrument(leg.instrument).nano_scale();
        let common = intent.legs().iter().map(scale).max()?;
        let leg = |said: &EntryLeg| Leg {
            said: *said,
            align: 10i128.pow(u32::from(common - scale(said))),
            held: 0,
            changed: Nanos(0),
            errors: 0,
            order: None,
            attempt: 0,
            round: 0,
            not_before: Nanos(0),
            throttle: Throttle::default(),
        };
        let legs = intent.legs().iter().map(leg).collect();
        let mut entry = Self {
            task: intent.task,
            entry: intent.seq,
            legs,
            naked: None,
            unhedged: false,
            taken_back: false,
            wake: None,
        };
        for i in 0..entry.legs.len() {
            let EntryLeg { qty, limit, .. } = entry.legs[i].said;
            entry.send(now, i, qty, Some(limit), desk);
        }
        Some(entry)
    }

    pub(crate) fn view(&self) -> EntryView {
        let mut held = [Qty::ZERO; ENTRY_LEGS_MAX];
        for (held, leg) in held.iter_mut().zip(&self.legs) {
            *held = Qty::new(leg.held.max(0)).expect("at most what was ordered");
        }
        let live = self.legs.iter().filter(|leg| leg.order.is_some()).count();
        EntryView { task: self.task, held, live }
    }

    /// The instruments of which something is held.
    pub(crate) fn held_of(&self) -> impl Iterator<Item = InstrumentId> {
        self.legs.iter().filter(|leg| leg.held > 0).map(|leg| leg.said.instrument)
    }

    pub(crate) fn legs(&self) -> usize {
        self.legs.len()
    }

    pub(crate) fn instruments(&self) -> impl Iterator<Item = InstrumentId> {
        self.legs.iter().map(|leg| leg.said.instrument)
    }

    /// The process that began it is gone: see [`crate::restart`].
    pub(crate) fn restart(&mut self, now: Nanos, desk: &mut Desk) {
        self.taken_back = true;
        self.wake = Some(now.plus(RESTART_PAUSE));
        for at in 0..self.legs.len() {
            let leg = &mut self.legs[at];
            leg.not_before = leg.not_before.max(now.plus(RESTART_PAUSE));
            let EntryLeg { account, instrument, .. } = leg.said;
            desk.read_soon(now, account, instrument);
            if let Some(order) = &mut leg.order {
                desk.counters.doubted += u64::from(order.restart(now));
                if let Some(at) = order.look_after(now, (account, instrument), desk) {
                    self.wake_by(at);
                }
            }
        }
    }

    /// The clock was set back by this much.
    pub(crate) fn set_back(&mut self, by: Nanos) {
        self.naked = self.naked.map(|since| since.since(by));
        for leg in &mut self.legs {
            leg.changed = leg.changed.since(by);
            leg.not_before = leg.not_before.since(by);
            leg.throttle.set_back(by);
            if let Some(order) = &mut leg.order {
                order.set_back(by);
            }
        }
    }

    fn send(&mut self, now: Nanos, i: usize, qty: Qty, limit: Option<Price>, desk: &mut Desk) {
        let leg = &mut self.legs[i];
        // Each of its legs has ids enough for a month of refusals.
        leg.attempt = leg.attempt.checked_add(1).unwrap_or_else(|| {
            leg.round = leg.round.saturating_add(1).min(ROUNDS_MAX);
            1
        });
        leg.throttle.on_send(now);
        let id = ClientOrderId {
            epoch: desk.epoch,
            position: PositionId(u32::from(self.task.0)),
            leg: ENTRY_ID + leg.round * ENTRY_LEGS_MAX as u8 + i as u8,
            plan: self.entry as u32,
            attempt: leg.attempt,
        };
        let undoes = limit.is_none();
        let side = match (leg.said.side, undoes) {
            (Side::Long, false) | (Side::Short, true) => OrderSide::Buy,
            (Side::Short, false) | (Side::Long, true) => OrderSide::Sell,
        };
        let order = Order {
            id,
            account: leg.said.account,
            instrument: leg.said.instrument,
            side,
            qty,
            limit,
            reduce_only: undoes && desk.instrument(leg.said.instrument).spec().reduce_only,
        };
        leg.order = Some(WorkingOrder::new(now, &order, Urgency::Normal));
        desk.push_order(now, order);
        self.wake_by(now.plus(ASK_AFTER));
    }

    fn wake_by(&mut self, at: Nanos) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    /// Takes evidence in; whether it was of a live order.
    pub(crate) fn on_order_event(
        &mut self,
        now: Nanos,
        event: &OrderEvent,
        desk: &mut Desk,
    ) -> bool {
        let i = usize::from(event.id.leg - ENTRY_ID) % ENTRY_LEGS_MAX;
        let Some(leg) = self.legs.get_mut(i) else { return false };
        let Some(order) = leg.order.as_mut().filter(|order| order.id == event.id) else {
            return false;
        };
        let is_word = !matches!(event.what, OrderChange::Doubted | OrderChange::NotFound);
        if is_word {
            leg.throttle.on_evidence();
        }
        desk.on_word(now, leg.said.instrument, event.id, event.what);
        match event.what {
            OrderChange::Acked => drop(order.hear(now, Word::Acked)),
            OrderChange::Filled { trade_id, price, qty, fee } => {
                let counted = order.count(trade_id, qty, desk);
                if counted == Qty::ZERO {
                    return true;
                }
                let in_bounds = fee
                    .checked_mul(leg.align)
                    .is_some_and(|fee| (-AMOUNT_MAX..=AMOUNT_MAX).contains(&fee));
                desk.counters.absurd_fees += u64::from(!in_bounds);
                self.fill(now, i, price, counted, if in_bounds { fee } else { 0 }, desk);
            }
            OrderChange::Expired => {
                desk.counters.expired_unfilled += 1;
                leg.errors = 0;
                leg.end(now, POLL_EVERY, desk);
            }
            OrderChange::Rejected(class) => {
                desk.counters.rejected[class as usize] += 1;
                leg.errors = leg.errors.saturating_add(1);
                let pause = Retry::of(class).pause(leg.errors);
                leg.end(now, pause, desk);
            }
            OrderChange::Doubted => {
                desk.counters.doubted += u64::from(order.hear(now, Word::Doubted));
            }
            OrderChange::NotFound => {
                desk.counters.not_found += u64::from(order.hear(now, Word::NotFound));
            }
        }
        true
    }

    /// Books a fill of at most what is live.
    fn fill(&mut self, now: Nanos, i: usize, price: Price, qty: Qty, fee: i128, desk: &mut Desk) {
        let (task, leg_at) = (self.task, i as u8);
        let leg = &mut self.legs[i];
        desk.holdings.touch(leg.key(), now);
        let order = leg.order.as_mut().expect("only live orders are filled");
        order.fill(now, qty);
        let full = order.rest() == Qty::ZERO;
        leg.changed = now;
        leg.errors = 0;
        let undoes = order.limit.is_none();
        leg.held += if undoes { -qty.raw() } else { qty.raw() };
        if self.taken_back {
            desk.counters.fills += 1;
        } else if undoes {
            desk.push_report(Report::EntryUndone { task, leg: leg_at, price, qty, fee });
        } else {
            desk.push_report(Report::EntryFill { task, leg: leg_at, price, qty, fee });
        }
        let leg = &mut self.legs[i];
        if full {
            leg.end(now, Nanos(0), desk);
        }
    }

    /// What it holds of a holding, and whether a read says nothing of that: an order is in flight on
    /// which it does not decide, or it was asked for before the last fill. `None` where it has no leg.
    pub(crate) fn held(&self, key: HoldingKey, read: &HoldingRead) -> Option<(i128, bool)> {
        let mut legs = self.legs.iter().filter(|leg| leg.key() == key).peekable();
        legs.peek()?;
        Some(legs.fold((0, false), |(held, in_flight), leg| {
            let undecided = leg.changed > read.asked
                || leg.order.as_ref().is_some_and(|order| !order.is_decided_by(read));
            (held + i128::from(leg.held), in_flight | undecided)
        }))
    }

    /// A read of a holding has decided on orders of unknown fate. What is missing there, or is there
    /// beyond what is known, they have traded; returns what of it is left, and whether there were
    /// any.
    pub(crate) fn prove(
        &mut self,
        now: Nanos,
        key: HoldingKey,
        read: &HoldingRead,
        mut missing: i128,
        desk: &mut Desk,
        quotes: &impl Quotes,
    ) -> (i128, bool) {
        let mut any = false;
        for i in 0..self.legs.len() {
            let leg = &mut self.legs[i];
            let of = leg.key() == key;
            let Some(order) = leg.order.filter(|order| of && order.is_decided_by(read)) else {
                continue;
            };
            any = true;
            let undoes = order.limit.is_none();
            let explained = if undoes { missing.max(0) } else { (-missing).max(0) };
            let taken = explained.min(i128::from(order.rest().raw()));
            missing += if undoes { -taken } else { taken };
            let inferred = Qty::new(taken as i64).expect("part of what is live");
            let (account, instrument) = (leg.said.account, leg.said.instrument);
            leg.throttle.on_evidence();
            if inferred > Qty::ZERO {
                let price = order.limit.unwrap_or_else(|| exit_at(leg, quotes));
                let of = desk.instrument(instrument);
                let fee = of.fee_nano(price, inferred, of.spec().taker);
                desk.counters.inferred += 1;
                self.fill(now, i, price, inferred, fee, desk);
            }
            self.legs[i].end(now, Nanos(0), desk);
            desk.counters.dead += u64::from(inferred == Qty::ZERO);
            desk.push_ask(Ask::Forget { id: order.id, account, instrument });
            desk.push_note(ExecutorNote::Proven { id: order.id, inferred });
        }
        (missing, any)
    }

    /// So many steps of every leg are held, and make a position: what could not be sold again is
    /// none, and nothing is that is taken back.
    fn steps(&self, desk: &Desk, quotes: &impl Quotes) -> i64 {
        let steps = self.legs.iter().map(|leg| leg.held / leg.said.step.raw()).min().unwrap_or(0);
        let kept = |leg: &Leg| steps * leg.said.step.raw();
        let sellable = |leg: &Leg| kept(leg) >= least(leg, desk, quotes);
        let keeps = !self.taken_back && self.legs.iter().all(sellable);
        if keeps { steps } else { 0 }
    }

    /// Whether the orders at work are still waited for: until something has been held without its
    /// counterpart for too long.
    fn waits(&mut self, now: Nanos, steps: i64, desk: &mut Desk, quotes: &impl Quotes) -> bool {
        let several = self.legs.len() > 1;
        let naked = |leg: &Leg| leg.excess(steps, desk, quotes) > Qty::ZERO;
        if !several || !self.legs.iter().any(naked) {
            self.naked = None;
            return true;
        }
        let since = *self.naked.get_or_insert(now);
        let orders = self.legs.iter_mut().filter_map(|leg| leg.order.as_mut());
        orders.for_each(|order| order.hurry(LEG_TIMEOUT));
        let due = since.plus(UNHEDGED_TIME);
        if now < due {
            self.wake_by(due);
            return true;
        }
        if !self.unhedged {
            self.unhedged = true;
            desk.counters.unhedged += 1;
            desk.push_note(ExecutorNote::EntryUnhedged { task: self.task });
        }
        false
    }

    /// Undoes what does not match, and ends when everything does.
    pub(crate) fn advance(&mut self, now: Nanos, desk: &mut Desk, quotes: &impl Quotes) -> bool {
        self.wake = None;
        let steps = self.steps(desk, quotes);
        let at_work = self.legs.iter().any(|leg| leg.order.is_some());
        let waits = at_work && self.waits(now, steps, desk, quotes);
        let asks = self.legs.iter_mut().filter_map(|leg| {
            let place = (leg.said.account, leg.said.instrument);
            leg.order.as_mut()?.look_after(now, place, desk)
        });
        if let Some(at) = asks.min() {
            self.wake_by(at);
        }
        if waits {
            return false;
        }
        let mut working = false;
        for i in 0..self.legs.len() {
            let leg = &self.legs[i];
            if leg.order.is_some() {
                working = true;
                continue;
            }
            let excess = leg.excess(steps, desk, quotes);
            if excess == Qty::ZERO {
                continue;
            }
            working = true;
            if desk.stopped {
                continue;
            }
            let leg = &mut self.legs[i];
            let held = match leg.throttle.admit(now, true) {
                Ok(()) => None,
                Err(Held::Until(at)) => Some(at),
                Err(Held::Unproven) => Some(now.plus(BACKOFF_FIRST)),
            };
            let venue = desk.orders_at(now, leg.said.instrument, 1, Lane::Exit);
            let at = held.unwrap_or(Nanos(0)).max(leg.not_before).max(venue);
            if at > now {
                self.wake_by(at);
            } else {
                self.send(now, i, excess, None, desk);
            }
        }
        if working {
            return false;
        }
        if self.taken_back {
            let EntryView { task, held, .. } = self.view();
            desk.push_note(ExecutorNote::TakenBack { task, held });
            return true;
        }
        let whole = self.legs.iter().all(|leg| leg.held == leg.said.qty.raw());
        let outcome = match steps {
            _ if whole => EntryOutcome::Filled,
            0 => EntryOutcome::Nothing,
            _ => EntryOutcome::Partial,
        };
        desk.push_report(Report::EntryEnded { task: self.task, entry: self.entry, outcome });
        true
    }
}

impl Leg {
    /// What is held beyond so many steps, in whole lots; nought when that could not be sold.
    fn excess(&self, steps: i64, desk: &Desk, quotes: &impl Quotes) -> Qty {
        let excess = self.held - steps * self.said.step.raw();
        let excess = Qty::new(excess.max(0)).expect("part of what is held");
        let excess = desk.instrument(self.said.instrument).round_lot(excess);
        if excess.raw() < least(self, desk, quotes) { Qty::ZERO } else { excess }
    }

    const fn key(&self) -> HoldingKey {
        let EntryLeg { account, instrument, side, .. } = self.said;
        HoldingKey { account, instrument, side }
    }

    fn end(&mut self, now: Nanos, wait: Nanos, desk: &mut Desk) {
        if let Some(mut order) = self.order.take() {
            desk.trades.forget(&mut order.trades);
            // The first attempt to undo follows the entry at once.
            let next = if order.limit.is_none() { now.plus(wait) } else { now };
            self.not_before = self.not_before.max(next);
        }
    }
}

/// The smallest order that closes something of a leg.
fn least(leg: &Leg, desk: &Desk, quotes: &impl Quotes) -> i64 {
    min_order(desk.instrument(leg.said.instrument), exit_at(leg, quotes))
}

/// Where what is held of a leg could be sold again, at the newest quote.
fn exit_at(leg: &Leg, quotes: &impl Quotes) -> Price {
    let top = quotes.top(leg.said.instrument);
    top.map_or(leg.said.limit, |top| exit_price(leg.said.side, &top.quote))
}
