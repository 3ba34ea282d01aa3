//! The live orders: what is known of each, what is still missing, and when to ask for it.
//!
//! An order enters when it is placed (or asked for) and leaves when its last event was given. All
//! that happens to it in between is here, whatever the venue: a venue only reads messages.

use std::collections::VecDeque;

use reap_core::instrument::InstrumentId;
use reap_core::order::{ClientOrderId, Order, OrderChange, OrderEvent, OrderSide, RejectClass};
use reap_core::units::{Nanos, Qty};

use super::fills::Fill;
use super::{
    ANSWER_WAIT, END_WAIT, FILLS_WAIT, NOT_FOUND_AFTER, NotSent, Standing, TradingCounters,
    TradingEvent, UnknownWhy,
};

/// Trades of one order that are remembered without allocating, and at most.
const TRADES_FIRST: usize = 64;
const TRADES_MAX: usize = 4096;
/// First and longest pause between two questions for one order.
const RETRY_FIRST: Nanos = Nanos::from_millis(250);
const RETRY_MAX: Nanos = Nanos::from_secs(10);
/// Questions for the fills of an ended order after which somebody is told that they are missing.
const FILLS_TRIES: u32 = 4;

/// How an order ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Filled,
    Expired,
    Rejected(RejectClass),
}

/// What a message says of an order beside its client id, to be compared with what is known: a
/// message that contradicts it is not believed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    pub(crate) id: ClientOrderId,
    pub(crate) instrument: InstrumentId,
    pub(crate) side: Option<OrderSide>,
    /// The venue's own id, or a hash of it.
    pub(crate) venue_id: u64,
}

/// What an order's own answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Live { qty: Qty, executed: Qty },
    Ended { end: End, qty: Qty, executed: Qty },
}

/// The next question for an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    Status,
    Trades,
}

/// An order that has not ended, or whose fills are not complete.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) id: ClientOrderId,
    pub(crate) instrument: InstrumentId,
    pub(crate) venue_id: Option<u64>,
    side: Option<OrderSide>,
    /// Not known of an order that was only asked for.
    qty: Option<Qty>,
    since: Nanos,
    acked: bool,
    filled: i64,
    trades: Vec<u64>,
    /// Terminal, and how much was executed: held until the fills add up.
    end: Option<(End, Qty)>,
    fills_tries: u32,
    /// Until when an answer to the placement is waited for.
    answer_by: Option<Nanos>,
    /// When to ask; `None` after "not found" until somebody asks.
    due: Option<Nanos>,
    retries: u32,
    asking: bool,
    /// The caller waits for a standing.
    asked: bool,
    unknown: bool,
}

/// The table.
#[derive(Debug)]
pub(crate) struct Orders {
    live: Vec<Live>,
    spare: Vec<Vec<u64>>,
    max: usize,
    random: u64,
    pub(crate) events: VecDeque<TradingEvent>,
    pub(crate) counters: TradingCounters,
}

impl Orders {
    pub(crate) fn new(max: usize, seed: u64) -> Self {
        Self {
            live: Vec::with_capacity(max),
            spare: (0..max).map(|_| Vec::with_capacity(TRADES_FIRST)).collect(),
            max,
            random: seed,
            events: VecDeque::with_capacity(8 * max + 64),
            counters: TradingCounters::default(),
        }
    }

    pub(crate) fn get(&self, id: ClientOrderId) -> Option<&Live> {
        self.live.iter().find(|live| live.id == id)
    }

    fn at(&self, id: ClientOrderId) -> Option<usize> {
        self.live.iter().position(|live| live.id == id)
    }

    /// Takes up an order that is about to be sent.
    pub(crate) fn insert(&mut self, now: Nanos, order: &Order) -> Result<(), NotSent> {
        if self.at(order.id).is_some() {
            return Err(NotSent::Twice);
        }
        let at = self.add(now, order.id, order.instrument)?;
        let live = &mut self.live[at];
        live.side = Some(order.side);
        live.qty = Some(order.qty);
        live.answer_by = Some(now.plus(ANSWER_WAIT));
        live.due = Some(now.plus(ANSWER_WAIT));
        Ok(())
    }

    fn add(
        &mut self,
        now: Nanos,
        id: ClientOrderId,
        instrument: InstrumentId,
    ) -> Result<usize, NotSent> {
        if self.live.len() == self.max {
            return Err(NotSent::TooMany { max: self.max });
        }
        let trades = self.spare.pop().unwrap_or_default();
        self.live.push(Live {
            id,
            instrument,
            venue_id: None,
            side: None,
            qty: None,
            since: now,
            acked: false,
            filled: 0,
            trades,
            end: None,
            fills_tries: 0,
            answer_by: None,
            due: None,
            retries: 0,
            asking: false,
            asked: false,
            unknown: false,
        });
        Ok(self.live.len() - 1)
    }

    /// The caller asks for an order, which is taken up when it is not here.
    pub(crate) fn query(
        &mut self,
        now: Nanos,
        id: ClientOrderId,
        instrument: InstrumentId,
    ) -> Result<(), NotSent> {
        let at = match self.at(id) {
            Some(at) => at,
            None => self.add(now, id, instrument)?,
        };
        let live = &mut self.live[at];
        live.asked = true;
        live.due = Some(now);
        live.retries = 0;
        Ok(())
    }

    /// Gives up an order without a word.
    pub(crate) fn forget(&mut self, id: ClientOrderId) {
        if let Some(at) = self.at(id) {
            self.remove(at);
        }
    }

    fn remove(&mut self, at: usize) {
        let mut trades = self.live.swap_remove(at).trades;
        trades.clear();
        if self.spare.len() < self.max {
            self.spare.push(trades);
        }
    }

    fn push(&mut self, id: ClientOrderId, what: OrderChange) {
        self.events.push_back(TradingEvent::Order(OrderEvent { id, what }));
    }

    /// The order that a message speaks of, when all that it says agrees; counted otherwise.
    fn known(&mut self, identity: &Identity) -> Option<usize> {
        let Some(at) = self.at(identity.id) else {
            self.counters.foreign += 1;
            return None;
        };
        let live = &mut self.live[at];
        let agrees = live.instrument == identity.instrument
            && live.side.zip(identity.side).is_none_or(|(known, said)| known == said)
            && live.venue_id.is_none_or(|known| known == identity.venue_id);
        if !agrees {
            self.counters.mismatched += 1;
            return None;
        }
        live.venue_id = Some(identity.venue_id);
        live.side = live.side.or(identity.side);
        Some(at)
    }

    /// Evidence that the venue has the order.
    fn evidence(&mut self, at: usize, now: Nanos) {
        let live = &mut self.live[at];
        live.unknown = false;
        if live.answer_by.take().is_some() || live.due.is_none() {
            live.due = Some(now.plus(END_WAIT));
        }
        if !live.acked {
            live.acked = true;
            let id = live.id;
            self.push(id, OrderChange::Acked);
        }
    }

    /// The venue has taken the order.
    pub(crate) fn on_taken(&mut self, now: Nanos, identity: &Identity) {
        if let Some(at) = self.known(identity) {
            self.evidence(at, now);
        }
    }

    /// The entry's answer took the order; it may not tell the venue's id.
    pub(crate) fn on_answered(&mut self, now: Nanos, id: ClientOrderId, venue_id: Option<u64>) {
        let Some(at) = self.at(id) else { return };
        let live = &mut self.live[at];
        if live.venue_id.zip(venue_id).is_some_and(|(known, said)| known != said) {
            self.counters.mismatched += 1;
            return;
        }
        live.venue_id = live.venue_id.or(venue_id);
        self.evidence(at, now);
    }

    /// The entry's answer refused the order. A refusal that contradicts what was seen is not
    /// believed: the order is asked for.
    pub(crate) fn on_refused(
        &mut self,
        now: Nanos,
        id: ClientOrderId,
        class: RejectClass,
        code: i64,
    ) {
        let Some(at) = self.at(id) else { return };
        let live = &self.live[at];
        if live.acked || live.filled > 0 || live.end.is_some() {
            self.counters.mismatched += 1;
            self.on_unknown(now, id, UnknownWhy::Code(code));
            return;
        }
        self.push(id, OrderChange::Rejected(class));
        self.done(at);
    }

    /// Nobody knows whether the venue has the order: it is asked for at once.
    pub(crate) fn on_unknown(&mut self, now: Nanos, id: ClientOrderId, why: UnknownWhy) {
        let Some(at) = self.at(id) else { return };
        let live = &mut self.live[at];
        live.answer_by = None;
        live.due = Some(now);
        live.retries = 0;
        if !live.unknown && live.end.is_none() {
            live.unknown = true;
            self.events.push_back(TradingEvent::Unknown { id, why });
        }
    }

    /// A connection is gone: the orders that it did not answer are unknown.
    pub(crate) fn on_connection_lost(&mut self, now: Nanos) {
        for at in 0..self.live.len() {
            if self.live[at].answer_by.is_some() {
                self.on_unknown(now, self.live[at].id, UnknownWhy::ConnectionLost);
            }
        }
    }

    /// The private stream is back: what it would have said is asked for.
    pub(crate) fn ask_for_all(&mut self, now: Nanos) {
        for live in &mut self.live {
            live.due = Some(now);
            live.retries = 0;
        }
    }

    /// A fill, from the stream or from an answer. Which trades were given is remembered.
    pub(crate) fn on_fill(&mut self, now: Nanos, identity: &Identity, fill: &Fill) {
        let Some(at) = self.known(identity) else { return };
        if self.live[at].trades.contains(&fill.trade_id) {
            self.counters.duplicates += 1;
            return;
        }
        let live = &self.live[at];
        let filled = live.filled + fill.qty.raw();
        if live.trades.len() >= TRADES_MAX || live.qty.is_some_and(|qty| filled > qty.raw()) {
            // More than was ordered cannot be.
            self.counters.mismatched += 1;
            return;
        }
        self.evidence(at, now);
        let live = &mut self.live[at];
        live.trades.push(fill.trade_id);
        live.filled = filled;
        let id = live.id;
        let Fill { trade_id, price, qty, fee } = *fill;
        self.push(id, OrderChange::Filled { trade_id, price, qty, fee });
        self.settle(at, now);
    }

    /// The stream says that the order ended, with this much executed.
    pub(crate) fn on_end(&mut self, now: Nanos, identity: &Identity, end: End, executed: Qty) {
        if let Some(at) = self.known(identity) {
            self.end(at, now, end, executed);
        }
    }

    fn end(&mut self, at: usize, now: Nanos, end: End, executed: Qty) {
        let live = &mut self.live[at];
        if live.qty.is_some_and(|qty| executed > qty) {
            self.counters.mismatched += 1;
            live.due = Some(now);
            return;
        }
        live.answer_by = None;
        live.unknown = false;
        if live.end.is_none_or(|(_, known)| executed > known) {
            live.end = Some((end, executed));
            live.due = Some(now.plus(FILLS_WAIT));
            live.retries = 0;
        }
        self.settle(at, now);
    }

    /// Gives the terminal event once all fills were given.
    fn settle(&mut self, at: usize, _now: Nanos) {
        let live = &self.live[at];
        let id = live.id;
        let whole = live.qty.is_some_and(|qty| live.filled == qty.raw());
        let Some((end, executed)) = live.end else {
            if whole {
                self.done(at);
            }
            return;
        };
        if live.filled < executed.raw() {
            return;
        }
        if live.filled > executed.raw() {
            self.counters.overfilled += 1;
        }
        match end {
            _ if whole => {}
            End::Filled | End::Expired => self.push(id, OrderChange::Expired),
            // What traded was not refused.
            End::Rejected(_) if self.live[at].filled > 0 => self.push(id, OrderChange::Expired),
            End::Rejected(class) => self.push(id, OrderChange::Rejected(class)),
        }
        self.done(at);
    }

    /// All was said: the order leaves the table.
    fn done(&mut self, at: usize) {
        let live = &self.live[at];
        if live.asked {
            let executed = Qty::new(live.filled).unwrap_or_default();
            let standing = Standing::Done { executed };
            self.events.push_back(TradingEvent::Standing { id: live.id, standing });
        }
        self.remove(at);
    }

    /// The venue says where an order stands.
    pub(crate) fn on_status(&mut self, now: Nanos, identity: &Identity, status: Status) {
        self.answered(identity.id, now);
        let Some(at) = self.known(identity) else { return };
        let (Status::Live { qty, .. } | Status::Ended { qty, .. }) = status;
        let live = &mut self.live[at];
        if live.qty.is_some_and(|known| known != qty) {
            self.counters.mismatched += 1;
            return;
        }
        live.qty = Some(qty);
        match status {
            Status::Ended { end, executed, .. } => self.end(at, now, end, executed),
            Status::Live { executed, .. } => {
                let id = live.id;
                let asked = std::mem::take(&mut live.asked);
                self.evidence(at, now);
                if asked {
                    let standing = Standing::Live { executed };
                    self.events.push_back(TradingEvent::Standing { id, standing });
                }
            }
        }
    }

    /// The venue does not know an order: lag, until [`NOT_FOUND_AFTER`] has passed.
    pub(crate) fn on_not_found(&mut self, now: Nanos, id: ClientOrderId) {
        self.answered(id, now);
        let Some(at) = self.at(id) else { return };
        let live = &mut self.live[at];
        let lag = now.since(live.since) < NOT_FOUND_AFTER;
        // It was seen: the venue has only forgotten it.
        if lag || live.end.is_some() {
            return;
        }
        live.asked = false;
        live.due = None;
        live.answer_by = None;
        let standing = Standing::NotFound;
        self.events.push_back(TradingEvent::Standing { id, standing });
    }

    /// The trades of an order were read to their end; those that were new have been given.
    pub(crate) fn on_trades_end(&mut self, now: Nanos, id: ClientOrderId) {
        self.answered(id, now);
        let Some(at) = self.at(id) else { return };
        let live = &mut self.live[at];
        live.fills_tries = live.fills_tries.saturating_add(1);
        if live.fills_tries == FILLS_TRIES {
            let why = UnknownWhy::FillsMissing;
            self.events.push_back(TradingEvent::Unknown { id, why });
        }
    }

    /// A question for an order was not answered.
    pub(crate) fn on_question_failed(&mut self, now: Nanos, id: ClientOrderId) {
        self.answered(id, now);
    }

    /// The question is no longer under way; the next one comes after a pause that doubles.
    fn answered(&mut self, id: ClientOrderId, now: Nanos) {
        let Some(at) = self.at(id) else { return };
        let jitter = self.jitter();
        let live = &mut self.live[at];
        live.asking = false;
        let pause = RETRY_FIRST.0.saturating_mul(1 << live.retries.min(16)).min(RETRY_MAX.0);
        live.retries = live.retries.saturating_add(1);
        live.due = Some(now.plus(Nanos(pause + pause / 8 * jitter / 256)));
    }

    /// `0 ..= 255`, by an xorshift of the seed.
    pub(crate) fn jitter(&mut self) -> u64 {
        let mut x = self.random | 1;
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.random = x;
        x >> 56
    }

    /// The question that has been due for longest.
    pub(crate) fn next_question(&self, now: Nanos) -> Option<(ClientOrderId, Question)> {
        let due = |live: &&Live| !live.asking && live.due.is_some_and(|due| due <= now);
        let live = self.live.iter().filter(due).min_by_key(|live| live.due)?;
        // The venue's own id finds the trades; only the order itself tells it.
        let is_trades = live.end.is_some() && live.venue_id.is_some();
        Some((live.id, if is_trades { Question::Trades } else { Question::Status }))
    }

    /// The question is under way.
    pub(crate) fn asking(&mut self, id: ClientOrderId) {
        if let Some(at) = self.at(id) {
            self.live[at].asking = true;
        }
    }

    /// Orders whose placement was not answered in time become unknown.
    pub(crate) fn on_timer(&mut self, now: Nanos) {
        for at in 0..self.live.len() {
            if self.live[at].answer_by.is_some_and(|by| by <= now) {
                self.on_unknown(now, self.live[at].id, UnknownWhy::Timeout);
            }
        }
    }

    /// When something is due: answers always, questions only while they can be asked.
    pub(crate) fn next_timer(&self, can_ask: bool) -> Option<Nanos> {
        let question = |live: &Live| live.due.filter(|_| can_ask && !live.asking);
        self.live.iter().flat_map(|live| [live.answer_by, question(live)]).flatten().min()
    }
}
