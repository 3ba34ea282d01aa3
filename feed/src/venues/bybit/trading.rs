//! Orders on Bybit's linear contracts: placed by the trade socket, told by the private socket,
//! asked for by REST. An answer to a placement is only a receipt; what became of the order comes
//! by the private socket, where `order` may say that it has ended before `execution` has told all
//! of its trades.

use reap_core::instrument::InstrumentId;
use reap_core::order::{ClientOrderId, Order};
use reap_core::units::Nanos;

use crate::json::{JsonError, Token};
use crate::trading::desk::{Ask, Desk};
use crate::trading::requests::What;
use crate::trading::text::fnv64;
use crate::trading::{
    Channel, ChannelKind, ChannelPlan, NotReadyReason, NotSent, Output, SetupError, Trading,
    TradingCounters, TradingEvent, TradingSetup, UnknownWhy, walk,
};
use crate::venues::hosts::Host;

mod answers;
mod codes;
mod encode;
mod rows;
mod session;
#[cfg(test)]
mod tests;

use session::{Session, Step};

const TRADE: Channel = Channel(0);
const PRIVATE: Channel = Channel(1);
const REST: Channel = Channel(2);
const CHANNELS: &[ChannelPlan] = &[
    ChannelPlan { name: "trade", host: Host::Orders, kind: ChannelKind::WebSocket },
    ChannelPlan { name: "private", host: Host::Stream, kind: ChannelKind::WebSocket },
    ChannelPlan { name: "rest", host: Host::Rest, kind: ChannelKind::Http },
];

fn path(ch: Channel) -> &'static str {
    match ch {
        TRADE => "/v5/trade",
        PRIVATE => "/v5/private",
        _ => "/",
    }
}

/// Orders of one account.
#[derive(Debug)]
pub struct LinearTrading {
    desk: Desk,
    trade: Session,
    private: Session,
    /// Of the next page of executions.
    cursor: String,
}

impl LinearTrading {
    /// Asks for its first connections.
    ///
    /// # Errors
    /// The setup's first value that cannot be.
    pub fn new(setup: TradingSetup) -> Result<Self, SetupError> {
        let mut desk = Desk::new(setup, CHANNELS.len(), TRADE, REST)?;
        for ch in [TRADE, PRIVATE, REST] {
            desk.outbox.open(ch, path(ch));
        }
        Ok(Self {
            desk,
            trade: Session::new(TRADE, "reqId"),
            private: Session::new(PRIVATE, "req_id"),
            cursor: String::new(),
        })
    }

    /// Does what can be done now: logins and pings that are due, the next question.
    fn work(&mut self, now: Nanos, wall_ms: u64) {
        self.trade.work(&mut self.desk, now, wall_ms);
        self.private.work(&mut self.desk, now, wall_ms);
        let missing = if !self.private.stands() {
            Some(NotReadyReason::StreamLost)
        } else if !self.trade.stands() {
            Some(NotReadyReason::OrdersLost)
        } else {
            None
        };
        self.desk.set_ready(now, missing);
        self.ask(now, wall_ms);
    }

    /// Sends the next question by HTTP.
    fn ask(&mut self, now: Nanos, wall_ms: u64) {
        let Some(ask) = self.desk.next_ask(now) else { return };
        let Desk { outbox, orders, instruments, keys, rest_host: host, .. } = &mut self.desk;
        let symbol = |id: ClientOrderId| {
            let live = orders.get(id)?;
            let of = instruments.iter().find(|instrument| instrument.id == live.instrument)?;
            Some(of.symbol.as_str())
        };
        let cursor = self.cursor.as_str();
        outbox.send(REST, None, |out| match ask {
            Ask::Status { id, again } => {
                let of = symbol(id).unwrap_or_default();
                encode::status(out, keys, host, wall_ms, (of, id, again));
            }
            Ask::Trades { id, page } => {
                let of = symbol(id).unwrap_or_default();
                let cursor = if page == 0 { "" } else { cursor };
                encode::trades(out, keys, host, wall_ms, (of, id, cursor));
            }
            Ask::Position { index } => {
                let of = instruments.get(index).map_or("", |of| of.symbol.as_str());
                encode::position(out, keys, host, wall_ms, of);
            }
        });
    }

    /// A message of the trade socket.
    fn on_trade(&mut self, now: Nanos, raw: &[u8]) -> Result<(), JsonError> {
        let keys = ["reqId", "retCode", "op", "data"];
        let [request, code, op, data] = walk::message(raw, keys)?;
        let code = walk::signed(code, raw);
        match op.string(raw) {
            Some(b"auth") => {
                let code = code.ok_or(JsonError::Syntax)?;
                let done = code == 0 || code == codes::LOGGED_IN;
                self.trade.on_login(&mut self.desk, now, done, code);
            }
            Some(b"order.create") => {
                let code = code.ok_or(JsonError::Syntax)?;
                let what = request.loose_integer(raw).and_then(|id| self.desk.requests.take(id));
                let Some(What::Place(id)) = what else {
                    self.desk.orders.counters.unasked += 1;
                    return Ok(());
                };
                if code == 0 {
                    self.on_placed(now, id, raw, data);
                } else {
                    let verdict = codes::order(code, &mut self.desk.orders.counters);
                    self.desk.refused(now, id, verdict, code);
                }
            }
            _ => self.desk.orders.counters.ignored += 1,
        }
        Ok(())
    }

    /// A receipt. It may leave the client id empty, but not name another one.
    fn on_placed(&mut self, now: Nanos, id: ClientOrderId, raw: &[u8], data: Token) {
        let said = walk::object(raw, data, ["orderId", "orderLinkId"]).ok();
        let order_id = said.and_then(|[order, client]| {
            let same = match client.string(raw) {
                Some(b"") => true,
                _ => rows::client_id(raw, client) == Some(id),
            };
            order.string(raw).filter(|order| same && !order.is_empty())
        });
        match order_id {
            Some(order_id) => self.desk.orders.on_answered(now, id, Some(fnv64(order_id))),
            None if self.desk.orders.get(id).is_some() => {
                self.desk.orders.counters.mismatched += 1;
                self.desk.orders.on_unknown(now, id, UnknownWhy::Code(0));
            }
            None => {}
        }
    }

    /// A message of the private socket.
    fn on_private(&mut self, now: Nanos, raw: &[u8]) -> Result<(), JsonError> {
        let keys = ["topic", "data", "op", "success", "retCode"];
        let [topic, data, op, success, code] = walk::message(raw, keys)?;
        match topic.string(raw) {
            Some(b"order" | b"order.linear") => walk::rows(raw, data, |row| {
                match rows::order(raw, row, &self.desk)? {
                    Some(order) => rows::on_order(&mut self.desk, now, &order),
                    None => self.desk.orders.counters.foreign += 1,
                }
                Ok(())
            }),
            Some(b"execution" | b"execution.linear") => {
                walk::rows(raw, data, |row| rows::execution(&mut self.desk, now, raw, row))
            }
            Some(_) => {
                self.desk.orders.counters.ignored += 1;
                Ok(())
            }
            None => {
                let code = walk::signed(code, raw).unwrap_or_default();
                let done = success.boolean() == Some(true) || code == codes::LOGGED_IN;
                match op.string(raw) {
                    Some(b"auth") => self.private.on_login(&mut self.desk, now, done, code),
                    Some(b"subscribe") => self.private.on_subscribed(&mut self.desk, now, done),
                    _ => self.desk.orders.counters.ignored += 1,
                }
                Ok(())
            }
        }
    }
}

impl Trading for LinearTrading {
    fn channels(&self) -> &[ChannelPlan] {
        CHANNELS
    }

    fn on_open(&mut self, ch: Channel, now: Nanos, wall_ms: u64) {
        if self.desk.outbox.opened(ch) {
            match ch {
                TRADE => self.trade.opened(now),
                PRIVATE => self.private.opened(now),
                _ => {}
            }
        }
        self.work(now, wall_ms);
    }

    fn on_message(&mut self, ch: Channel, now: Nanos, wall_ms: u64, raw: &[u8]) {
        if !self.desk.outbox.is_open(ch) {
            return;
        }
        let read = match ch {
            TRADE => {
                self.trade.heard(now);
                self.on_trade(now, raw)
            }
            PRIVATE => {
                self.private.heard(now);
                self.on_private(now, raw)
            }
            _ => Ok(()),
        };
        if read.is_err() {
            self.desk.orders.counters.malformed += 1;
        }
        self.work(now, wall_ms);
    }

    fn on_response(&mut self, ch: Channel, now: Nanos, wall_ms: u64, status: u16, body: &[u8]) {
        if ch == REST && self.desk.outbox.is_open(REST) {
            answers::on_response(&mut self.desk, now, status, body, &mut self.cursor);
        }
        self.work(now, wall_ms);
    }

    fn on_closed(&mut self, ch: Channel, now: Nanos) {
        self.desk.closed(ch, now);
        match ch {
            TRADE => {
                self.trade.step = Step::Closed;
                self.desk.set_ready(now, Some(NotReadyReason::OrdersLost));
            }
            PRIVATE => {
                self.private.step = Step::Closed;
                self.desk.set_ready(now, Some(NotReadyReason::StreamLost));
            }
            REST => {}
            _ => return,
        }
        self.desk.outbox.open(ch, path(ch));
    }

    fn on_timer(&mut self, now: Nanos, wall_ms: u64) {
        self.desk.on_timer(now);
        self.work(now, wall_ms);
    }

    fn next_timer(&self) -> Option<Nanos> {
        let times = [self.trade.next_timer(), self.private.next_timer(), self.desk.next_timer()];
        times.into_iter().flatten().min()
    }

    fn place(&mut self, now: Nanos, wall_ms: u64, order: &Order) -> Result<(), NotSent> {
        self.desk.accept(now, order)?;
        let Desk { outbox, requests, instruments, .. } = &mut self.desk;
        let of = instruments.iter().find(|instrument| instrument.id == order.instrument);
        let of = of.expect("accepted orders are of configured instruments");
        let request = requests.next_id(wall_ms);
        requests.insert(request, TRADE, What::Place(order.id), now);
        outbox.send(TRADE, Some(order.id), |out| {
            encode::place(out, request, wall_ms, order, of);
        });
        Ok(())
    }

    fn query(
        &mut self,
        now: Nanos,
        wall_ms: u64,
        id: ClientOrderId,
        instrument: InstrumentId,
    ) -> Result<(), NotSent> {
        self.desk.query(now, id, instrument)?;
        self.ask(now, wall_ms);
        Ok(())
    }

    fn query_positions(&mut self, now: Nanos, wall_ms: u64) -> Result<(), NotSent> {
        self.desk.query_positions()?;
        self.ask(now, wall_ms);
        Ok(())
    }

    fn forget(&mut self, id: ClientOrderId) {
        self.desk.orders.forget(id);
    }

    fn is_ready(&self) -> bool {
        self.desk.is_ready()
    }

    fn counters(&self) -> TradingCounters {
        self.desk.orders.counters
    }

    fn poll_output(&mut self) -> Option<Output<'_>> {
        self.desk.outbox.poll()
    }

    fn poll_event(&mut self) -> Option<TradingEvent> {
        self.desk.orders.events.pop_front()
    }
}
