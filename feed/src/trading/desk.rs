//! What the tradings of all venues share: the tables, the one question under way by HTTP, the
//! positions, readiness.

use reap_core::instrument::{AccountId, InstrumentId};
use reap_core::order::{ClientOrderId, Order, RejectClass};
use reap_core::units::{Nanos, Qty};

use super::orders::{Orders, Question};
use super::outbox::Outbox;
use super::requests::Requests;
use super::verdict::Verdict;
use super::{
    Channel, Keys, LIVE_ORDERS_MAX, NotReadyReason, NotSent, REQUEST_WAIT, RefusedWhat, SetupError,
    TradingEvent, TradingInstrument, TradingSetup, UnknownWhy,
};

/// Longest symbol.
const SYMBOL_MAX: usize = 64;
/// Longest host with a port.
const HOST_MAX: usize = 260;
/// Buffers and request places beside those of orders: logins, pings, questions.
const SPARE: usize = 16;

/// A question by HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Where an order stands; `again` at the second place that may know it.
    Status { id: ClientOrderId, again: bool },
    /// The trades of an order, by pages from 0.
    Trades { id: ClientOrderId, page: u32 },
    /// The position of an instrument, by index; or all of them, where the venue tells all at once.
    Position { index: usize },
}

/// The shared half of a trading.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) keys: Keys,
    pub(crate) instruments: Vec<TradingInstrument>,
    pub(crate) rest_host: String,
    pub(crate) outbox: Outbox,
    pub(crate) requests: Requests,
    pub(crate) orders: Orders,
    account: AccountId,
    /// The channels that place orders and that ask.
    entry: Channel,
    rest: Channel,
    asking: Option<(Ask, Nanos)>,
    follow: Option<Ask>,
    /// Being read: those that are known.
    positions: Option<Vec<Option<i64>>>,
    ready: bool,
    /// What was refused last, so that a repetition is not told again.
    refused: Option<(RefusedWhat, i64)>,
}

impl Desk {
    pub(crate) fn new(
        setup: TradingSetup,
        channels: usize,
        entry: Channel,
        rest: Channel,
    ) -> Result<Self, SetupError> {
        check(&setup)?;
        let places = setup.orders_max + SPARE;
        Ok(Self {
            outbox: Outbox::new(channels, places),
            requests: Requests::new(places),
            orders: Orders::new(setup.orders_max, setup.seed),
            keys: setup.keys,
            instruments: setup.instruments,
            rest_host: setup.rest_host,
            account: setup.account,
            entry,
            rest,
            asking: None,
            follow: None,
            positions: None,
            ready: false,
            refused: None,
        })
    }

    pub(crate) fn instrument(&self, id: InstrumentId) -> Option<&TradingInstrument> {
        self.instruments.iter().find(|instrument| instrument.id == id)
    }

    /// The index of what the venue calls `symbol`.
    pub(crate) fn symbol(&self, symbol: Option<&[u8]>) -> Option<usize> {
        let symbol = symbol?;
        self.instruments.iter().position(|instrument| instrument.symbol.as_bytes() == symbol)
    }

    /// Takes up an order that may be sent now.
    pub(crate) fn accept(&mut self, now: Nanos, order: &Order) -> Result<(), NotSent> {
        if order.account != self.account {
            return Err(NotSent::Account(order.account.0));
        }
        if self.instrument(order.instrument).is_none() {
            return Err(NotSent::Instrument(order.instrument.0));
        }
        if order.qty == Qty::ZERO {
            return Err(NotSent::Empty);
        }
        if !self.ready {
            return Err(NotSent::NotReady);
        }
        self.orders.insert(now, order)
    }

    /// Asks for an order on the caller's behalf.
    pub(crate) fn query(
        &mut self,
        now: Nanos,
        id: ClientOrderId,
        instrument: InstrumentId,
    ) -> Result<(), NotSent> {
        if self.instrument(instrument).is_none() {
            return Err(NotSent::Instrument(instrument.0));
        }
        self.orders.query(now, id, instrument)
    }

    pub(crate) fn query_positions(&mut self) -> Result<(), NotSent> {
        if self.positions.is_some() {
            return Err(NotSent::Busy);
        }
        if !self.outbox.is_open(self.rest) {
            return Err(NotSent::NotReady);
        }
        self.positions = Some(vec![None; self.instruments.len()]);
        Ok(())
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.ready
    }

    /// What stands now; `missing` says what does not.
    pub(crate) fn set_ready(&mut self, now: Nanos, missing: Option<NotReadyReason>) {
        match (self.ready, missing) {
            (false, None) => {
                self.ready = true;
                self.refused = None;
                self.orders.events.push_back(TradingEvent::Ready);
                // What the stream did not tell meanwhile is asked for.
                self.orders.ask_for_all(now);
            }
            (true, Some(reason)) => {
                self.ready = false;
                self.orders.events.push_back(TradingEvent::NotReady(reason));
            }
            _ => {}
        }
    }

    /// Tells the operator of a refusal, once until trading is ready again.
    pub(crate) fn refuse(&mut self, what: RefusedWhat, code: i64) {
        if self.refused.replace((what, code)) != Some((what, code)) {
            self.orders.events.push_back(TradingEvent::Refused { what, code });
        }
    }

    /// What an answer's refusal means for its order.
    pub(crate) fn refused(&mut self, now: Nanos, id: ClientOrderId, verdict: Verdict, code: i64) {
        match verdict {
            Verdict::Rejected(class) => self.orders.on_refused(now, id, class, code),
            Verdict::Alarm(class, what) => {
                self.orders.on_refused(now, id, class, code);
                self.refuse(what, code);
            }
            Verdict::Unknown => self.orders.on_unknown(now, id, UnknownWhy::Code(code)),
            Verdict::Duplicate => self.orders.on_unknown(now, id, UnknownWhy::Duplicate),
        }
    }

    /// A channel is gone.
    pub(crate) fn closed(&mut self, ch: Channel, now: Nanos) {
        let Self { outbox, orders, .. } = self;
        // Never polled, so never sent: a refusal that we know of ourselves.
        outbox.closed(ch, |id| orders.on_refused(now, id, RejectClass::Unavailable, 0));
        self.requests.drop_channel(ch);
        if ch == self.entry {
            self.orders.on_connection_lost(now);
        }
        if ch == self.rest {
            self.follow = None;
            if let Some((ask, _)) = self.asking.take() {
                self.failed(now, ask, 0);
            } else {
                self.positions_failed(0);
            }
        }
    }

    /// The next question, when one can be asked; it counts as under way.
    pub(crate) fn next_ask(&mut self, now: Nanos) -> Option<Ask> {
        if self.asking.is_some() || !self.outbox.is_open(self.rest) {
            return None;
        }
        // The order may have ended, or been forgotten, since.
        let follow = self.follow.take().filter(|ask| match ask {
            Ask::Status { id, .. } | Ask::Trades { id, .. } => self.orders.get(*id).is_some(),
            Ask::Position { .. } => true,
        });
        let order = || {
            let (id, question) = self.orders.next_question(now)?;
            Some(match question {
                Question::Status => Ask::Status { id, again: false },
                Question::Trades => Ask::Trades { id, page: 0 },
            })
        };
        let position = || {
            let index = self.positions.as_ref()?.iter().position(Option::is_none)?;
            Some(Ask::Position { index })
        };
        let ask = follow.or_else(order).or_else(position)?;
        if let Ask::Status { id, .. } | Ask::Trades { id, .. } = ask {
            self.orders.asking(id);
        }
        self.asking = Some((ask, now.plus(REQUEST_WAIT)));
        Some(ask)
    }

    /// The question that was answered.
    pub(crate) fn take_ask(&mut self) -> Option<Ask> {
        let ask = self.asking.take().map(|(ask, _)| ask);
        if ask.is_none() {
            self.orders.counters.unasked += 1;
        }
        ask
    }

    /// Asks this before anything else.
    pub(crate) fn follow(&mut self, ask: Ask) {
        self.follow = Some(ask);
    }

    /// A question was not answered, or not usefully.
    pub(crate) fn failed(&mut self, now: Nanos, ask: Ask, code: i64) {
        match ask {
            Ask::Status { id, .. } | Ask::Trades { id, .. } => {
                self.orders.on_question_failed(now, id);
            }
            Ask::Position { .. } => self.positions_failed(code),
        }
        // Without its connection nothing can be asked: the caller must not wait for positions.
        if !self.outbox.is_open(self.rest) {
            self.positions_failed(code);
        }
    }

    fn positions_failed(&mut self, code: i64) {
        if self.positions.take().is_some() {
            self.orders.events.push_back(TradingEvent::PositionsFailed { code });
        }
    }

    /// One position is known.
    pub(crate) fn on_position(&mut self, index: usize, qty: i64) {
        if let Some(place) = self.positions.as_mut().and_then(|all| all.get_mut(index)) {
            *place = Some(qty);
        }
    }

    /// Those that were not told are flat: only for venues that leave flat ones out, and only
    /// behind a whole answer.
    pub(crate) fn rest_is_flat(&mut self) {
        for place in self.positions.iter_mut().flatten() {
            place.get_or_insert(0);
        }
    }

    /// Gives the positions once all are known.
    pub(crate) fn finish_positions(&mut self) {
        let Some(all) = self.positions.take_if(|all| all.iter().all(Option::is_some)) else {
            return;
        };
        for (instrument, qty) in self.instruments.iter().zip(all) {
            let qty = qty.unwrap_or_default();
            let event = TradingEvent::Position { instrument: instrument.id, qty };
            self.orders.events.push_back(event);
        }
        self.orders.events.push_back(TradingEvent::PositionsEnd);
    }

    pub(crate) fn on_timer(&mut self, now: Nanos) {
        self.orders.on_timer(now);
        if let Some((ask, _)) = self.asking.take_if(|(_, due)| *due <= now) {
            // Its answer may still come, and would be taken for that of the next question.
            self.outbox.close(self.rest);
            self.follow = None;
            self.failed(now, ask, 0);
        }
    }

    pub(crate) fn next_timer(&self) -> Option<Nanos> {
        let can_ask = self.asking.is_none() && self.outbox.is_open(self.rest);
        let asking = self.asking.map(|(_, due)| due);
        let times = [self.orders.next_timer(can_ask), asking, self.requests.next_timer()];
        times.into_iter().flatten().min()
    }
}

fn check(setup: &TradingSetup) -> Result<(), SetupError> {
    let text = |field, allowed| Err(SetupError::Text { field, allowed });
    if !setup.keys.is_plain() {
        return text("key or secret", "printable ASCII without quotes, spaces and backslashes");
    }
    let host = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    let rest_host = setup.rest_host.as_bytes();
    if rest_host.is_empty() || rest_host.len() > HOST_MAX || !rest_host.iter().all(|b| host(*b)) {
        return text("rest_host", "letters, digits and . - : [ ]");
    }
    if !(1..=LIVE_ORDERS_MAX).contains(&setup.orders_max) {
        return Err(SetupError::OrdersMax { value: setup.orders_max });
    }
    if setup.instruments.is_empty() {
        return Err(SetupError::NoInstruments);
    }
    for (at, instrument) in setup.instruments.iter().enumerate() {
        let symbol = &instrument.symbol;
        let bad = |c: char| c.is_control() || c.is_whitespace() || "\"\\&=".contains(c);
        if symbol.is_empty() || symbol.len() > SYMBOL_MAX || symbol.contains(bad) {
            return text("symbol", "characters other than quotes, spaces, backslashes, & and =");
        }
        let twice =
            |other: &TradingInstrument| other.symbol == *symbol || other.id == instrument.id;
        if setup.instruments[..at].iter().any(twice) {
            return Err(SetupError::Twice { symbol: symbol.clone() });
        }
    }
    Ok(())
}
