//! The executor: intents and evidence in, orders and reports out.
//!
//! A pure state machine. It owns what is held: the engine learns quantities only from its reports.
//! Each position has at most one plan, each leg at most one order that may still trade, and that
//! order's rest is reserved until the venue says that it is over. All orders are immediate or
//! cancel.
//!
//! **Silence is not evidence.** An order of which nothing is heard stays live and reserved for as
//! long as it takes; no second order is sent for its quantity, and its plan does not end. Its venue
//! is asked for it again and again, and [`crate::protocol`] says what it takes to call it dead.
//! After `stuck_after` without progress the plan is flagged stuck and counted, which is for people
//! to see: it is never called closed.
//!
//! After every call the caller takes all orders, reports, questions and notes. What is left to lie
//! would overflow a table of fixed size, and ends the process.

use alloc::vec::Vec;

use crate::admission::{AdmitError, Terms, leg_amount, terms};
use crate::desk::{Counters, Desk};
use crate::enter::Enter;
pub use crate::enter::EntryView;
use crate::entry::EntryIntent;
use crate::event::{EntryOutcome, Report};
use crate::exit::Exit;
use crate::holding::{Holding, HoldingKey};
use crate::instrument::Instrument;
use crate::intent::Intent;
use crate::leg::Leg;
use crate::limits::{ENTRIES_MAX, LEGS_MAX, POSITIONS_MAX};
use crate::note::ExecutorNote;
use crate::order::{Ask, ClientOrderId, Order, OrderEvent, OrderState};
use crate::plan::PlanView;
use crate::policy::ExitSettings;
use crate::position::{LegSpec, PositionId, PositionSpec, Side};
use crate::pricing::Quotes;
use crate::units::{Decimal, Nanos, Qty};
use crate::wake::Wakes;

/// How much an executor has room for. Everything is allocated once, from these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExecutorLimits {
    /// Positions: slots of their ids.
    pub positions: usize,
    /// Orders that may be live at a time. A leg has at most one, so this bounds the legs of all
    /// positions that are not closed.
    pub orders: usize,
}

impl Default for ExecutorLimits {
    fn default() -> Self {
        Self { positions: 1 << 10, orders: 1 << 11 }
    }
}

/// A leg as the executor sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LegView {
    /// What is open.
    pub open: Qty,
    /// What its orders may still take; at most `open`.
    pub live: Qty,
    /// Its newest order, unless that was set aside for want of an answer.
    pub order: Option<(ClientOrderId, OrderState)>,
}

/// See the module.
#[derive(Debug)]
pub struct Executor {
    pub(crate) exits: Vec<Option<Exit>>,
    pub(crate) wakes: Wakes,
    pub(crate) desk: Desk,
    pub(crate) legs_free: usize,
    pub(crate) orders_max: usize,
    /// Positions taken on so far.
    taken: u64,
    /// Entries at work.
    pub(crate) entries: Vec<Enter>,
}

impl Executor {
    /// An executor for these instruments; `epoch` is the run of the process, for order ids.
    ///
    /// # Panics
    /// When more positions are asked for than ids can name.
    #[must_use]
    pub fn new(limits: ExecutorLimits, instruments: &[Instrument], epoch: u16) -> Self {
        assert!(limits.positions <= POSITIONS_MAX, "a position's slot has twenty bits");
        Self {
            exits: core::iter::repeat_with(|| None).take(limits.positions).collect(),
            wakes: Wakes::new(limits.positions),
            desk: Desk::new(instruments, epoch, limits.positions, limits.orders),
            legs_free: limits.orders,
            orders_max: limits.orders,
            taken: 0,
            entries: Vec::with_capacity(ENTRIES_MAX),
        }
    }

    /// Whether a position could be taken on: ask before the engine does, which watches what it has
    /// registered.
    ///
    /// # Errors
    /// As [`Self::register`], the slot aside.
    pub fn admits(&self, spec: &PositionSpec, exit: &ExitSettings) -> Result<(), AdmitError> {
        self.admitted(spec, exit).map(|_| ())
    }

    fn admitted(&self, spec: &PositionSpec, exit: &ExitSettings) -> Result<Terms, AdmitError> {
        let terms = terms(spec, exit, &self.desk.instruments)?;
        if spec.legs.len() > self.legs_free {
            return Err(AdmitError::Full { what: "live orders", max: self.orders_max });
        }
        for (at, leg) in spec.legs.iter().enumerate() {
            let side = match leg.side {
                Side::Long => Side::Short,
                Side::Short => Side::Long,
            };
            let (account, instrument) = (leg.account, leg.instrument);
            let key = HoldingKey { account, instrument, side };
            let is_other = |other: &LegSpec| {
                (other.account, other.instrument, other.side) == (account, instrument, side)
            };
            let holds = self.desk.holdings.get(key).is_some_and(|holding| holding.open > 0);
            if holds || spec.legs[..at].iter().any(is_other) {
                let (account, instrument) = (account.0, instrument.0);
                return Err(AdmitError::Opposite { leg: at, account, instrument });
            }
        }
        Ok(terms)
    }

    /// Takes a position on under the id that the engine gave it. A slot may be used again when its
    /// earlier position is closed.
    ///
    /// # Errors
    /// When a table is full or the position or its settings are out of bounds; nothing is kept.
    pub fn register(
        &mut self,
        id: PositionId,
        spec: &PositionSpec,
        exit: &ExitSettings,
    ) -> Result<(), AdmitError> {
        let positions_max = self.exits.len();
        let slot = id.slot();
        let Some(earlier) = self.exits.get(slot) else {
            return Err(AdmitError::Full { what: "positions", max: positions_max });
        };
        if earlier.as_ref().is_some_and(|exit| !exit.closed) {
            return Err(AdmitError::Occupied { slot });
        }
        // A slot's generations come round after some thousand positions. Plan numbers go on from
        // one position of a slot to the next, so that no order id ever comes round with them.
        let plans = earlier.as_ref().map_or(0, |exit| exit.plans);
        let terms = self.admitted(spec, exit)?;
        self.legs_free -= spec.legs.len();
        let holdings = &mut self.desk.holdings;
        let legs = spec.legs.iter().zip(&terms.legs).map(|(leg, terms)| {
            let key =
                HoldingKey { account: leg.account, instrument: leg.instrument, side: leg.side };
            Leg::new(leg, holdings.add(key, leg.qty), terms)
        });
        self.taken += 1;
        self.exits[slot] = Some(Exit {
            id,
            taken: self.taken,
            scale: terms.scale,
            settings: exit.clone(),
            max_unhedged: terms.max_unhedged,
            legs: legs.collect(),
            plan: None,
            plans,
            closed: false,
        });
        // What is held beside it must be known before an order's fate can depend on that.
        for LegSpec { account, instrument, .. } in spec.legs.iter().copied() {
            let now = self.desk.now;
            self.desk.read_soon(now, account, instrument);
        }
        Ok(())
    }

    /// A leg's fees or funding became known or changed: totals for its original quantity.
    ///
    /// # Errors
    /// When there is no such leg, or an amount is out of bounds; nothing is changed.
    pub fn on_amounts(
        &mut self,
        id: PositionId,
        leg: usize,
        fees_paid: Decimal,
        funding: Decimal,
    ) -> Result<(), AdmitError> {
        let exit = exit_mut(&mut self.exits, id).ok_or(AdmitError::UnknownPosition)?;
        let fees_paid = leg_amount(leg, "fees_paid", fees_paid, exit.scale)?;
        let funding = leg_amount(leg, "funding", funding, exit.scale)?;
        let leg = exit.legs.get_mut(leg).ok_or(AdmitError::NoLeg { leg })?;
        (leg.fees_paid, leg.funding) = (fees_paid, funding);
        Ok(())
    }

    /// Takes a decision of the engine: begins a plan or raises the live one. Orders in flight are
    /// awaited; legs without one act at once.
    pub fn on_intent(&mut self, now: Nanos, intent: &Intent, quotes: &impl Quotes) {
        self.desk.now = self.desk.now.max(now);
        match exit_mut(&mut self.exits, intent.position) {
            Some(exit) if !exit.closed => exit.on_intent(now, intent, &mut self.desk),
            _ => {
                self.desk.counters.ignored_intents += 1;
                return;
            }
        }
        self.advance(now, intent.position.slot(), quotes);
    }

    /// Takes a decision to enter: all legs at once, unless the quotes have left it. An entry takes
    /// room of as many orders as it has legs, until it ends.
    pub fn on_entry(&mut self, now: Nanos, intent: &EntryIntent, quotes: &impl Quotes) {
        self.desk.now = self.desk.now.max(now);
        let legs = usize::from(intent.count);
        // One of an earlier run may still be on its way back.
        let busy = self.entries.iter().any(|entry| entry.task == intent.task);
        let room = !busy && legs <= self.legs_free && self.entries.len() < ENTRIES_MAX;
        let begun = if room && !self.desk.stopped {
            Enter::begin(now, intent, &mut self.desk, quotes)
        } else {
            None
        };
        match begun {
            Some(entry) => {
                self.legs_free -= legs;
                self.entries.push(entry);
            }
            None => {
                self.desk.counters.refuted += 1;
                let (task, entry, outcome) = (intent.task, intent.seq, EntryOutcome::Nothing);
                self.desk.push_report(Report::EntryEnded { task, entry, outcome });
            }
        }
    }

    fn on_entry_event(&mut self, now: Nanos, event: &OrderEvent, quotes: &impl Quotes) {
        let of = |entry: &Enter| u32::from(entry.task.0) == event.id.position.0;
        let at = self.entries.iter().position(of);
        if let Some(at) = at
            && self.entries[at].on_order_event(now, event, &mut self.desk)
        {
            self.advance_entry(now, at, quotes);
        } else {
            self.desk.counters.unknown_orders += 1;
        }
    }

    pub(crate) fn advance_entry(&mut self, now: Nanos, at: usize, quotes: &impl Quotes) {
        if self.entries[at].advance(now, &mut self.desk, quotes) {
            let ended = self.entries.swap_remove(at);
            self.legs_free += ended.legs();
        }
    }

    /// Takes evidence of a venue. Events that fit no live order are counted and change nothing.
    pub fn on_order_event(&mut self, now: Nanos, event: &OrderEvent, quotes: &impl Quotes) {
        self.desk.now = self.desk.now.max(now);
        #[cfg(all(feature = "planted", debug_assertions))]
        let misheard = self.misheard(event);
        #[cfg(all(feature = "planted", debug_assertions))]
        let Some(event) = misheard.as_ref() else { return };
        if event.id.is_entry() {
            self.on_entry_event(now, event, quotes);
        } else {
            self.on_exit_event(now, event, quotes);
        }
        self.look_at_venues(now, quotes);
    }

    fn on_exit_event(&mut self, now: Nanos, event: &OrderEvent, quotes: &impl Quotes) {
        let position = event.id.position;
        match exit_mut(&mut self.exits, position) {
            Some(exit) => {
                if exit.on_order_event(now, event, &mut self.desk) {
                    self.advance(now, position.slot(), quotes);
                }
            }
            None => self.desk.counters.unknown_orders += 1,
        }
    }

    /// The trading state is stopped, or no more. While it is, nothing is sent: plans and entries at
    /// work wait as they are, and their reservations with them; entries that come end with nothing.
    /// Then all of them go on at the prices of that moment.
    pub fn on_stopped(&mut self, now: Nanos, stopped: bool, quotes: &impl Quotes) {
        self.desk.now = self.desk.now.max(now);
        let goes_on = self.desk.stopped && !stopped;
        self.desk.stopped = stopped;
        if goes_on {
            self.advance_all(now, quotes);
        }
    }

    /// What has waited goes on: every plan and entry at work.
    pub(crate) fn advance_all(&mut self, now: Nanos, quotes: &impl Quotes) {
        for slot in 0..self.exits.len() {
            if self.exits[slot].as_ref().is_some_and(|exit| exit.plan.is_some()) {
                self.advance(now, slot, quotes);
            }
        }
        for at in (0..self.entries.len()).rev() {
            self.advance_entry(now, at, quotes);
        }
    }

    /// Looks after the plans whose time has come.
    pub fn on_timer(&mut self, now: Nanos, quotes: &impl Quotes) {
        self.desk.now = self.desk.now.max(now);
        while let Some(slot) = self.wakes.pop_due(now) {
            self.advance(now, slot, quotes);
        }
        let mut at = 0;
        while at < self.entries.len() {
            let before = self.entries.len();
            if self.entries[at].wake.is_some_and(|wake| wake <= now) {
                self.advance_entry(now, at, quotes);
            }
            at += usize::from(self.entries.len() == before);
        }
    }

    /// Whether nothing is sent.
    #[must_use]
    pub const fn is_stopped(&self) -> bool {
        self.desk.stopped
    }

    /// When [`Self::on_timer`] has something to do.
    #[must_use]
    pub fn next_timer(&self) -> Option<Nanos> {
        self.wakes.next().into_iter().chain(self.entries.iter().filter_map(|of| of.wake)).min()
    }

    /// The next order to send.
    pub fn poll_order(&mut self) -> Option<Order> {
        let order = self.desk.poll_order();
        #[cfg(all(feature = "planted", debug_assertions))]
        let order = order.map(|order| self.mistaken(order));
        order
    }

    /// The next report for the engine.
    pub fn poll_report(&mut self) -> Option<Report> {
        let report = self.desk.poll_report();
        #[cfg(all(feature = "planted", debug_assertions))]
        let report = match report.map(|report| self.misreported(report)) {
            Some(None) => return self.poll_report(),
            other => other.flatten(),
        };
        report
    }

    /// The next question to a venue.
    pub fn poll_ask(&mut self) -> Option<Ask> {
        let ask = self.desk.poll_ask();
        #[cfg(all(feature = "planted", debug_assertions))]
        if ask.as_ref().is_some_and(|ask| !self.asks(ask)) {
            return self.poll_ask();
        }
        ask
    }

    /// The next thing that people should know.
    pub fn poll_note(&mut self) -> Option<ExecutorNote> {
        self.desk.poll_note()
    }

    pub(crate) fn advance(&mut self, now: Nanos, slot: usize, quotes: &impl Quotes) {
        let Some(exit) = &mut self.exits[slot] else { return };
        let was_closed = exit.closed;
        let wake = exit.advance(now, &mut self.desk, quotes);
        if exit.closed && !was_closed {
            self.legs_free += exit.legs.len();
        }
        self.wakes.set(slot, wake.filter(|_| !planted!(self.desk, TimersLost)));
    }

    /// A leg of a position.
    #[must_use]
    pub fn leg(&self, id: PositionId, leg: usize) -> Option<LegView> {
        let leg = self.exit(id)?.legs.get(leg)?;
        let order = leg.order.map(|order| (order.id, order.state));
        Some(LegView { open: leg.open, live: leg.reserved(), order })
    }

    /// Open quantity of each leg; nought beyond the last. `None` for an unknown position.
    #[must_use]
    pub fn open(&self, id: PositionId) -> Option<[Qty; LEGS_MAX]> {
        let mut open = [Qty::ZERO; LEGS_MAX];
        for (open, leg) in open.iter_mut().zip(&self.exit(id)?.legs) {
            *open = leg.open;
        }
        Some(open)
    }

    /// The entries that are at work.
    pub fn entries(&self) -> impl Iterator<Item = EntryView> {
        self.entries.iter().map(Enter::view)
    }

    /// The live plan of a position.
    #[must_use]
    pub fn plan(&self, id: PositionId) -> Option<PlanView> {
        self.exit(id)?.plan.as_ref().map(PlanView::from)
    }

    /// Whether every leg is flat by fills, and the plan that did it has ended.
    #[must_use]
    pub fn is_closed(&self, id: PositionId) -> bool {
        self.exit(id).is_some_and(|exit| exit.closed)
    }

    /// Realised net of what was filled: trading result less exit fees, less its share of the fees
    /// paid before, plus its share of the settled funding; exact, at the position's nano scale.
    #[must_use]
    pub fn realised(&self, id: PositionId) -> Option<Decimal> {
        let exit = self.exit(id)?;
        let mantissa = exit.legs.iter().fold(0i128, |sum, leg| sum.saturating_add(leg.realised()));
        Some(Decimal { mantissa, scale: exit.scale })
    }

    /// What an account holds of an instrument on one side, as far as positions know.
    #[must_use]
    pub fn holding(&self, key: HoldingKey) -> Option<Holding> {
        self.desk.holdings.get(key)
    }

    /// What happened so far, by kind.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.desk.counters
    }

    /// Running hash over orders and reports, in the order in which they were decided.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.desk.hash()
    }

    fn exit(&self, id: PositionId) -> Option<&Exit> {
        self.exits.get(id.slot())?.as_ref().filter(|exit| exit.id == id)
    }
}

/// The position of an id, unless its slot holds another one.
fn exit_mut(exits: &mut [Option<Exit>], id: PositionId) -> Option<&mut Exit> {
    exits.get_mut(id.slot())?.as_mut().filter(|exit| exit.id == id)
}
