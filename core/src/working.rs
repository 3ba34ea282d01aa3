//! An order at work: what is heard of it, what is counted of it, and when its venue is asked.

use crate::budget::Lane;
use crate::desk::Desk;
use crate::instrument::{AccountId, InstrumentId};
use crate::intent::Urgency;
use crate::limits::{ASK_AFTER, ASK_FIRST, ASK_LAST, INGESTION_BOUND, NOT_FOUND_APART};
use crate::order::{Ask, ClientOrderId, HoldingRead, Order, OrderState};
use crate::protocol::{NOT_FOUNDS, Word, next};
use crate::trades::{Seen, TradeList};
use crate::units::{Nanos, Price, Qty};

/// The newest order of a leg, of a position or of an entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WorkingOrder {
    pub(crate) id: ClientOrderId,
    pub(crate) qty: Qty,
    pub(crate) filled: Qty,
    /// Its limit; none at the market.
    pub(crate) limit: Option<Price>,
    /// Urgency of the plan when it was sent: only orders of the plan's present urgency count as
    /// its failed attempts.
    pub(crate) urgency: Urgency,
    pub(crate) state: OrderState,
    pub(crate) trades: TradeList,
    sent_at: Nanos,
    /// When the last word of it came, or it was sent.
    heard_at: Nanos,
    /// When its venue is asked next.
    ask_at: Nanos,
    /// Questions since the last word of it.
    asked: u8,
    /// The last "no such order" that counted.
    not_found_at: Nanos,
}

impl WorkingOrder {
    /// One that is about to be sent.
    pub(crate) fn new(now: Nanos, order: &Order, urgency: Urgency) -> Self {
        Self {
            id: order.id,
            qty: order.qty,
            filled: Qty::ZERO,
            limit: order.limit,
            urgency,
            state: OrderState::Sent,
            trades: TradeList::EMPTY,
            sent_at: now,
            heard_at: now,
            ask_at: now.plus(ASK_AFTER),
            asked: 0,
            not_found_at: Nanos(0),
        }
    }

    /// What it may still take.
    pub(crate) fn rest(&self) -> Qty {
        self.qty.checked_sub(self.filled).expect("no more is counted than was ordered")
    }

    /// Takes a word in. False when its state does not expect it, or when it says nothing yet.
    pub(crate) fn hear(&mut self, now: Nanos, word: Word) -> bool {
        if word == Word::NotFound && !self.is_certain(now) {
            return false;
        }
        let Some(state) = next(self.state, word) else { return false };
        self.state = state;
        match word {
            Word::Doubted => {
                self.ask_at = self.ask_at.min(now.plus(ASK_FIRST));
                return true;
            }
            Word::NotFound => {
                self.not_found_at = now;
                // What its holding is can be asked at once.
                let decides = self.awaits_read();
                self.ask_again(if decides { now } else { now.plus(NOT_FOUND_APART) });
            }
            _ => self.ask_again(now.plus(ASK_AFTER)),
        }
        self.heard_at = now;
        true
    }

    /// Others wait for its end: its venue is asked for it when it has been silent for so long.
    pub(crate) fn hurry(&mut self, silence: Nanos) {
        if self.asked == 0 && !matches!(self.state, OrderState::Unknown { .. }) {
            self.ask_at = self.ask_at.min(self.heard_at.plus(silence));
        }
    }

    /// Whoever sent it is gone: nobody knows what became of it, and its venue is asked at once. Whether
    /// that is new.
    pub(crate) fn restart(&mut self, now: Nanos) -> bool {
        let known = !matches!(self.state, OrderState::Unknown { .. });
        self.hear(now, Word::Doubted);
        self.ask_again(now);
        known
    }

    /// The clock was set back by this much.
    pub(crate) fn set_back(&mut self, by: Nanos) {
        for time in
            [&mut self.sent_at, &mut self.heard_at, &mut self.ask_at, &mut self.not_found_at]
        {
            *time = time.since(by);
        }
    }

    fn ask_again(&mut self, at: Nanos) {
        self.asked = 0;
        self.ask_at = at;
    }

    pub(crate) fn awaits_read(&self) -> bool {
        self.state == OrderState::Unknown { not_found: NOT_FOUNDS }
    }

    /// Whether "no such order" can mean anything by now, and is not the same answer again.
    fn is_certain(&self, now: Nanos) -> bool {
        let apart = match self.state {
            OrderState::Unknown { not_found: 0 } => true,
            OrderState::Unknown { not_found: NOT_FOUNDS.. } => false,
            OrderState::Unknown { .. } => now.since(self.not_found_at) >= NOT_FOUND_APART,
            _ => true,
        };
        apart && now.since(self.sent_at) >= INGESTION_BOUND
    }

    /// Whether a read of its holding decides on it.
    pub(crate) fn is_decided_by(&self, read: &HoldingRead) -> bool {
        self.awaits_read() && read.asked >= self.not_found_at
    }

    /// Counts a fill once and up to what is left; what comes of it is nought for one that was
    /// counted before.
    pub(crate) fn count(&mut self, trade_id: u64, qty: Qty, desk: &mut Desk) -> Qty {
        match desk.trades.see(&mut self.trades, trade_id) {
            Seen::Again if planted!(desk, FillCountedTwice) => {}
            Seen::Again => {
                desk.counters.duplicate_fills += 1;
                return Qty::ZERO;
            }
            Seen::FirstForgotten => desk.counters.forgotten_trades += 1,
            Seen::First => {}
        }
        // More than the order is a contradiction. What it can explain is counted, so that we never
        // believe in more than is there.
        let counted = qty.min(self.rest());
        desk.counters.overfills += u64::from(qty > counted);
        counted
    }

    /// Takes a counted fill in.
    pub(crate) fn fill(&mut self, now: Nanos, qty: Qty) {
        self.filled = Qty::new(self.filled.raw() + qty.raw()).expect("within the order");
        let word = if self.filled == self.qty { Word::Full } else { Word::Part };
        let heard = self.hear(now, word);
        debug_assert!(heard, "only live orders are filled");
    }

    /// Has the venue asked when it is time to; says when it will be next. `None` once it is over.
    pub(crate) fn look_after(
        &mut self,
        now: Nanos,
        place: (AccountId, InstrumentId),
        desk: &mut Desk,
    ) -> Option<Nanos> {
        if !self.state.is_live() {
            return None;
        }
        if self.ask_at <= now {
            let (id, (account, instrument)) = (self.id, place);
            let ask = if self.awaits_read() {
                Ask::Holding { account, instrument }
            } else {
                Ask::Order { id, account, instrument }
            };
            if let Err(at) = desk.ask(now, instrument, ask, Lane::Query) {
                self.ask_at = at;
                return Some(at);
            }
            let pause = Nanos(ASK_FIRST.0 << self.asked.min(16)).min(ASK_LAST);
            self.asked = self.asked.saturating_add(1);
            self.ask_at = now.plus(pause);
        }
        Some(self.ask_at)
    }
}
