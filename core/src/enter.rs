//! An entry at work: both legs at once, immediate or cancel. What fills on one leg alone is undone at
//! the market as soon as nothing of the entry is in flight any more; silence is not evidence.

use arrayvec::ArrayVec;

use crate::clip::min_order;
use crate::desk::Desk;
use crate::entry::{ENTRY_LEGS_MAX, EntryIntent, EntryLeg, TaskId};
use crate::event::{EntryOutcome, Report};
use crate::limits::{AMOUNT_MAX, BACKOFF_FATAL, BACKOFF_FIRST, POLL_EVERY};
use crate::order::{ClientOrderId, Order, OrderChange, OrderEvent, OrderSide, RejectClass};
use crate::position::{PositionId, Side};
use crate::pricing::Quotes;
use crate::throttle::{Held, Throttle};
use crate::trades::{Seen, TradeList};
use crate::units::{Nanos, Price, Qty};

/// Client order ids of entries have their leg beyond this, and the task in place of the position.
pub(crate) const ENTRY_ID: u8 = 128;

/// See the module.
#[derive(Debug)]
pub(crate) struct Enter {
    pub(crate) task: TaskId,
    entry: u64,
    legs: ArrayVec<Leg, ENTRY_LEGS_MAX>,
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
    /// What is held of it by now.
    held: i64,
    order: Option<Working>,
    attempt: u16,
    not_before: Nanos,
    throttle: Throttle,
}

#[derive(Debug)]
struct Working {
    id: ClientOrderId,
    left: Qty,
    undoes: bool,
    trades: TradeList,
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
        let scale = |leg: &EntryLeg| desk.instrument(leg.instrument).nano_scale();
        let common = intent.legs().iter().map(scale).max()?;
        let leg = |said: &EntryLeg| Leg {
            said: *said,
            align: 10i128.pow(u32::from(common - scale(said))),
            held: 0,
            order: None,
            attempt: 0,
            not_before: Nanos(0),
            throttle: Throttle::default(),
        };
        let legs = intent.legs().iter().map(leg).collect();
        let mut entry = Self { task: intent.task, entry: intent.seq, legs, wake: None };
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

    pub(crate) fn legs(&self) -> usize {
        self.legs.len()
    }

    fn send(&mut self, now: Nanos, i: usize, qty: Qty, limit: Option<Price>, desk: &mut Desk) {
        let leg = &mut self.legs[i];
        leg.attempt += 1;
        leg.throttle.on_send(now);
        let id = ClientOrderId {
            epoch: desk.epoch,
            position: PositionId(u32::from(self.task.0)),
            leg: ENTRY_ID + i as u8,
            plan: self.entry as u32,
            attempt: leg.attempt,
        };
        let undoes = limit.is_none();
        let side = match (leg.said.side, undoes) {
            (Side::Long, false) | (Side::Short, true) => OrderSide::Buy,
            (Side::Short, false) | (Side::Long, true) => OrderSide::Sell,
        };
        leg.order = Some(Working { id, left: qty, undoes, trades: TradeList::EMPTY });
        desk.push_order(Order {
            id,
            account: leg.said.account,
            instrument: leg.said.instrument,
            side,
            qty,
            limit,
            reduce_only: undoes && desk.instrument(leg.said.instrument).spec().reduce_only,
        });
    }

    /// Takes evidence in; whether it was of a live order.
    pub(crate) fn on_order_event(
        &mut self,
        now: Nanos,
        event: &OrderEvent,
        desk: &mut Desk,
    ) -> bool {
        let i = usize::from(event.id.leg - ENTRY_ID);
        let task = self.task;
        let Some(leg) = self.legs.get_mut(i) else { return false };
        let Some(order) = leg.order.as_mut().filter(|order| order.id == event.id) else {
            return false;
        };
        leg.throttle.on_evidence();
        match event.what {
            OrderChange::Acked => {}
            OrderChange::Filled { trade_id, price, qty, fee } => {
                match desk.trades.see(&mut order.trades, trade_id) {
                    Seen::Again => {
                        desk.counters.duplicate_fills += 1;
                        return true;
                    }
                    Seen::FirstForgotten => desk.counters.forgotten_trades += 1,
                    Seen::First => {}
                }
                let counted = qty.min(order.left);
                desk.counters.overfills += u64::from(qty > counted);
                if counted == Qty::ZERO {
                    return true;
                }
                order.left = order.left.checked_sub(counted).expect("at most what is left");
                let in_bounds = fee
                    .checked_mul(leg.align)
                    .is_some_and(|fee| (-AMOUNT_MAX..=AMOUNT_MAX).contains(&fee));
                desk.counters.absurd_fees += u64::from(!in_bounds);
                let fee = if in_bounds { fee } else { 0 };
                let (qty, leg_at) = (counted, i as u8);
                if order.undoes {
                    leg.held -= qty.raw();
                    desk.push_report(Report::EntryUndone { task, leg: leg_at, price, qty, fee });
                } else {
                    leg.held += qty.raw();
                    desk.push_report(Report::EntryFill { task, leg: leg_at, price, qty, fee });
                }
                if leg.order.as_ref().is_some_and(|order| order.left == Qty::ZERO) {
                    leg.end(now, Nanos(0), desk);
                }
            }
            OrderChange::Expired => {
                desk.counters.expired_unfilled += 1;
                leg.end(now, POLL_EVERY, desk);
            }
            OrderChange::Rejected(class) => {
                desk.counters.rejected[class as usize] += 1;
                let wait = match class {
                    RejectClass::Fatal => BACKOFF_FATAL,
                    _ => BACKOFF_FIRST,
                };
                leg.end(now, wait, desk);
            }
        }
        true
    }

    /// Undoes what does not match, and ends when everything does.
    pub(crate) fn advance(&mut self, now: Nanos, desk: &mut Desk, quotes: &impl Quotes) -> bool {
        self.wake = None;
        if self.legs.iter().any(|leg| leg.order.is_some()) {
            return false;
        }
        let steps = self.legs.iter().map(|leg| leg.held / leg.said.step.raw()).min().unwrap_or(0);
        let kept = |leg: &Leg| steps * leg.said.step.raw();
        // What could not be sold again is no position.
        let sellable = |leg: &Leg| kept(leg) >= least(leg, desk, quotes);
        let steps = if self.legs.iter().all(sellable) { steps } else { 0 };
        let mut working = false;
        for i in 0..self.legs.len() {
            let leg = &self.legs[i];
            let excess = leg.held - steps * leg.said.step.raw();
            let excess = Qty::new(excess.max(0)).expect("part of what is held");
            let excess = desk.instrument(leg.said.instrument).round_lot(excess);
            if excess == Qty::ZERO || excess.raw() < least(leg, desk, quotes) {
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
            let at = held.unwrap_or(Nanos(0)).max(leg.not_before);
            if at > now {
                self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
            } else {
                self.send(now, i, excess, None, desk);
            }
        }
        if working {
            return false;
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
    fn end(&mut self, now: Nanos, wait: Nanos, desk: &mut Desk) {
        if let Some(mut order) = self.order.take() {
            desk.trades.forget(&mut order.trades);
            // The first attempt to undo follows the entry at once.
            self.not_before = if order.undoes { now.plus(wait) } else { now };
        }
    }
}

/// The smallest order that closes something of a leg.
fn least(leg: &Leg, desk: &Desk, quotes: &impl Quotes) -> i64 {
    let top = quotes.top(leg.said.instrument);
    let price = top.map_or(leg.said.limit, |top| match leg.said.side {
        Side::Long => top.quote.bid,
        Side::Short => top.quote.ask,
    });
    min_order(desk.instrument(leg.said.instrument), price)
}
