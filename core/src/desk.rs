//! What all positions of an executor share: instruments, the ledger, trade ids, and what goes out.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::aside::Asides;
use crate::event::{Outcome, Report};
use crate::hash::RunningHash;
use crate::holding::Holdings;
use crate::instrument::{Instrument, InstrumentId, VenueId};
use crate::limits::{ENTRIES_MAX, TRADES_PER_ORDER};
use crate::note::ExecutorNote;
use crate::order::{Ask, Order, RejectClass};
use crate::trades::TradeIds;
use crate::units::Nanos;
use crate::venues::Venues;

/// What happened, by kind. Each is a number since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Orders handed out.
    pub orders: u64,
    /// Fills counted.
    pub fills: u64,
    /// Fills that came again and were not counted again.
    pub duplicate_fills: u64,
    /// Fills of more than was left of their order: counted up to that.
    pub overfills: u64,
    /// Fills that could not be remembered for lack of room: a duplicate would count twice, within
    /// its order's quantity.
    pub forgotten_trades: u64,
    /// Fees beyond every bound, not counted.
    pub absurd_fees: u64,
    /// Events for an order after its end: ignored.
    pub late_events: u64,
    /// Events for orders that were never sent from here: ignored.
    pub unknown_orders: u64,
    /// Times that nobody could say what became of an order.
    pub doubted: u64,
    /// Answers "no such order" that counted.
    pub not_found: u64,
    /// Orders proven dead.
    pub dead: u64,
    /// Fills of which no venue has said anything, known from what is held.
    pub inferred: u64,
    /// Refused orders, in the order of [`crate::order::RejectClass`].
    pub rejected: [u64; 5],
    /// Orders that expired without a fill.
    pub expired_unfilled: u64,
    /// Intents for positions that are not held: ignored.
    pub ignored_intents: u64,
    /// Rules that no longer held when their order was about to be sent.
    pub refuted: u64,
    /// Plans that became more urgent by themselves.
    pub escalated: u64,
    /// Times a plan became stuck.
    pub stuck: u64,
    /// Sends that the gate in front of the gateway held back.
    pub gate_trips: u64,
    /// Orders of unknown fate beside which their leg went on.
    pub set_aside: u64,
    /// Times that legs of a position stood without their counterpart for longer than it takes to
    /// hear of an order, or because one was refused or expired.
    pub legging: u64,
    /// Plans that were made more urgent because that lasted too long or was too much.
    pub unhedged: u64,
    /// How long legs of positions stood without their counterpart, in nanoseconds, told or not.
    pub naked_ns: u64,
    /// Orders and questions that waited for their venue's budget, its wish, or its answer to another.
    pub budget_waits: u64,
    /// Times that a venue wanted to be left alone.
    pub venues_limited: u64,
    /// Times that a venue was held because it refused everything.
    pub venues_held: u64,
    /// Legs that were put to what was read of them.
    pub written_off: u64,
    /// Plans that ended, in the order of [`Outcome`].
    pub ended: [u64; 4],
}

/// A leg is asked for when it is taken on; one call asks for its live order once and has it
/// forgotten once.
const ASKS_OF_A_LEG: usize = 3;
/// The same of an order that was set aside.
const ASKS_OF_AN_ASIDE: usize = 2;
/// Of each leg: that its order was proven, that its plan is stuck, and where its legs stand.
const NOTES_OF_A_LEG: usize = 5;
/// Of venues: one is held or resumes in a call.
const NOTES_OF_VENUES: usize = 2;

/// See the module.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) epoch: u16,
    pub(crate) instruments: Vec<Instrument>,
    pub(crate) holdings: Holdings,
    pub(crate) trades: TradeIds,
    pub(crate) counters: Counters,
    /// Nothing is sent: the trading state is stopped.
    pub(crate) stopped: bool,
    pub(crate) asides: Asides,
    pub(crate) venues: Venues,
    /// The newest time that was told.
    pub(crate) now: Nanos,
    /// A venue that is held since this event, and why.
    pub(crate) tripped: Option<(VenueId, RejectClass)>,
    /// A venue that is held no more since this event.
    pub(crate) resumed: Option<VenueId>,
    orders: VecDeque<Order>,
    reports: VecDeque<Report>,
    asks: VecDeque<Ask>,
    notes: VecDeque<ExecutorNote>,
    orders_max: usize,
    reports_max: usize,
    asks_max: usize,
    notes_max: usize,
    hash: RunningHash,
    #[cfg(all(feature = "planted", debug_assertions))]
    pub(crate) planted: Option<crate::planted::Bug>,
    #[cfg(all(feature = "planted", debug_assertions))]
    pub(crate) asked_once: Option<crate::order::ClientOrderId>,
    #[cfg(all(feature = "planted", debug_assertions))]
    pub(crate) said_twice: bool,
}

impl Desk {
    pub(crate) fn new(
        instruments: &[Instrument],
        epoch: u16,
        positions_max: usize,
        orders_max: usize,
    ) -> Self {
        let room = Room::new(positions_max, orders_max);
        Self {
            epoch,
            instruments: instruments.to_vec(),
            holdings: Holdings::new(orders_max),
            trades: TradeIds::new((orders_max + room.asides) * TRADES_PER_ORDER),
            counters: Counters::default(),
            stopped: false,
            asides: Asides::new(room.asides),
            venues: Venues::new(instruments),
            now: Nanos(0),
            tripped: None,
            resumed: None,
            orders: VecDeque::with_capacity(orders_max),
            reports: VecDeque::with_capacity(room.reports),
            asks: VecDeque::with_capacity(room.asks),
            notes: VecDeque::with_capacity(room.notes),
            orders_max,
            reports_max: room.reports,
            asks_max: room.asks,
            notes_max: room.notes,
            hash: RunningHash::new(),
            #[cfg(all(feature = "planted", debug_assertions))]
            planted: None,
            #[cfg(all(feature = "planted", debug_assertions))]
            asked_once: None,
            #[cfg(all(feature = "planted", debug_assertions))]
            said_twice: false,
        }
    }

    /// Room for this many positions and orders in all.
    pub(crate) fn grow(&mut self, positions_max: usize, orders_max: usize) {
        let room = Room::new(positions_max, orders_max);
        self.orders_max = orders_max;
        (self.reports_max, self.asks_max, self.notes_max) = (room.reports, room.asks, room.notes);
        self.holdings.grow(orders_max);
        self.trades.grow((orders_max + room.asides) * TRADES_PER_ORDER);
        self.asides.grow(room.asides);
        self.orders.reserve_exact(orders_max.saturating_sub(self.orders.len()));
        self.reports.reserve_exact(room.reports.saturating_sub(self.reports.len()));
        self.asks.reserve_exact(room.asks.saturating_sub(self.asks.len()));
        self.notes.reserve_exact(room.notes.saturating_sub(self.notes.len()));
    }

    pub(crate) fn instrument(&self, id: InstrumentId) -> &Instrument {
        &self.instruments[usize::from(id.0)]
    }

    pub(crate) fn push_order(&mut self, now: Nanos, order: Order) {
        self.on_sent(now, order.instrument, order.id);
        assert!(self.orders.len() < self.orders_max, "orders are polled after every call");
        self.counters.orders += 1;
        let place = u64::from(order.account.0)
            | u64::from(order.instrument.0) << 8
            | (order.side as u64) << 24
            | u64::from(order.reduce_only) << 25;
        self.hash.fold(1);
        self.hash.fold_wide(order.id.bits() as i128);
        self.hash.fold(place);
        self.hash.fold(order.qty.raw() as u64);
        self.hash.fold(order.limit.map_or(0, |limit| limit.raw() as u64));
        self.orders.push_back(order);
    }

    pub(crate) fn push_report(&mut self, report: Report) {
        assert!(self.reports.len() < self.reports_max, "reports are polled after every call");
        match report {
            Report::Fill { position, leg, price, qty, fee } => {
                self.counters.fills += 1;
                self.hash.fold(2);
                self.hash.fold(u64::from(position.0) | u64::from(leg) << 32);
                self.hash.fold(price.raw() as u64);
                self.hash.fold(qty.raw() as u64);
                self.hash.fold_wide(fee);
            }
            Report::PlanEnded { position, intent: _, outcome } => {
                self.counters.ended[outcome as usize] += 1;
                self.hash.fold(3);
                self.hash.fold(u64::from(position.0) | (outcome as u64) << 32);
            }
            Report::LegRead { position, leg, qty } => {
                self.hash.fold(4);
                self.hash.fold(u64::from(position.0) | u64::from(leg) << 32);
                self.hash.fold(qty.raw() as u64);
            }
            Report::LegLost { position, leg, qty } => {
                self.hash.fold(7);
                self.hash.fold(u64::from(position.0) | u64::from(leg) << 32);
                self.hash.fold(qty.raw() as u64);
            }
            Report::EntryFill { task, leg, price, qty, fee }
            | Report::EntryUndone { task, leg, price, qty, fee } => {
                let undone = matches!(report, Report::EntryUndone { .. });
                self.counters.fills += 1;
                self.hash.fold(if undone { 8 } else { 5 });
                self.hash.fold(u64::from(task.0) | u64::from(leg) << 32);
                self.hash.fold(price.raw() as u64);
                self.hash.fold(qty.raw() as u64);
                self.hash.fold_wide(fee);
            }
            Report::EntryEnded { task, entry, outcome } => {
                self.hash.fold(6);
                self.hash.fold(u64::from(task.0) | (outcome as u64) << 32);
                self.hash.fold(entry);
            }
        }
        self.reports.push_back(report);
    }

    pub(crate) fn push_ask(&mut self, ask: Ask) {
        assert!(self.asks.len() < self.asks_max, "asks are polled after every call");
        self.asks.push_back(ask);
    }

    pub(crate) fn push_note(&mut self, note: ExecutorNote) {
        assert!(self.notes.len() < self.notes_max, "notes are polled after every call");
        self.notes.push_back(note);
    }

    pub(crate) fn poll_ask(&mut self) -> Option<Ask> {
        self.asks.pop_front()
    }

    pub(crate) fn poll_note(&mut self) -> Option<ExecutorNote> {
        self.notes.pop_front()
    }

    pub(crate) fn poll_order(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }

    pub(crate) fn poll_report(&mut self) -> Option<Report> {
        self.reports.pop_front()
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash.value()
    }
}

/// What one call may bring of each kind.
struct Room {
    asides: usize,
    reports: usize,
    asks: usize,
    notes: usize,
}

impl Room {
    const fn new(positions_max: usize, orders_max: usize) -> Self {
        let asides = Asides::room(orders_max);
        Self {
            asides,
            // At most a fill, a loss and a read of each leg, a fill of each order that was set aside,
            // and one end of a plan for each position and of each entry that is at work.
            reports: positions_max + 3 * orders_max + asides + 3 * ENTRIES_MAX,
            asks: ASKS_OF_A_LEG * orders_max + ASKS_OF_AN_ASIDE * asides,
            notes: NOTES_OF_A_LEG * orders_max + asides + NOTES_OF_VENUES,
        }
    }
}

const _: () = assert!(Outcome::Dust as usize == 3);
