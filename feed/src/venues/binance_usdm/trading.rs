//! Orders on Binance USD-M: placed by the WebSocket API, each request signed; told by the private
//! stream, which needs a listen key; asked for by REST, which does not hang on either.

use reap_core::instrument::InstrumentId;
use reap_core::order::{ClientOrderId, Order};
use reap_core::units::Nanos;

use crate::decimal;
use crate::json::Token;
use crate::trading::desk::{Ask, Desk};
use crate::trading::outbox::State;
use crate::trading::requests::What;
use crate::trading::{
    Channel, ChannelKind, ChannelPlan, NotReadyReason, NotSent, Output, REQUEST_WAIT, RefusedWhat,
    SetupError, Trading, TradingCounters, TradingEvent, TradingSetup, UnknownWhy, walk,
};
use crate::venues::hosts::Host;

mod answers;
mod codes;
mod encode;
mod stream;
#[cfg(test)]
mod tests;

const ORDERS: Channel = Channel(0);
const STREAM: Channel = Channel(1);
const REST: Channel = Channel(2);
const CHANNELS: &[ChannelPlan] = &[
    ChannelPlan { name: "orders", host: Host::Orders, kind: ChannelKind::WebSocket },
    ChannelPlan { name: "stream", host: Host::Stream, kind: ChannelKind::WebSocket },
    ChannelPlan { name: "rest", host: Host::Rest, kind: ChannelKind::Http },
];
const ORDERS_PATH: &str = "/ws-fapi/v1";
const STREAM_PATH: &str = "/private/ws/";
const LISTEN_KEY_MAX: usize = 256;

/// A listen key lives for 60 minutes unless it is pinged.
const KEY_PING_EVERY: Nanos = Nanos::from_secs(30 * 60);
/// After a ping that failed.
const KEY_PING_AGAIN: Nanos = Nanos::from_secs(60);
/// Pauses between attempts to get a key; the longest also after a refusal.
const KEY_RETRY_FIRST: Nanos = Nanos::from_secs(1);
const KEY_RETRY_MAX: Nanos = Nanos::from_secs(60);

/// Orders of one account.
#[derive(Debug)]
pub struct UsdmTrading {
    desk: Desk,
    /// When the listen key is to be asked for (while the stream is down) or pinged.
    key_due: Option<Nanos>,
    key_asked: bool,
    key_retries: u32,
}

impl UsdmTrading {
    /// Asks for its first connections.
    ///
    /// # Errors
    /// The setup's first value that cannot be.
    pub fn new(setup: TradingSetup) -> Result<Self, SetupError> {
        let mut desk = Desk::new(setup, CHANNELS.len(), ORDERS, REST)?;
        desk.outbox.open(ORDERS, ORDERS_PATH);
        desk.outbox.open(REST, "/");
        Ok(Self { desk, key_due: Some(Nanos(0)), key_asked: false, key_retries: 0 })
    }

    /// Does what can be done now: the listen key, the next question.
    fn work(&mut self, now: Nanos, wall_ms: u64) {
        let missing = if !self.desk.outbox.is_open(STREAM) {
            Some(NotReadyReason::StreamLost)
        } else if !self.desk.outbox.is_open(ORDERS) {
            Some(NotReadyReason::OrdersLost)
        } else {
            None
        };
        self.desk.set_ready(now, missing);
        self.work_on_key(now, wall_ms);
        self.ask(now, wall_ms);
    }

    fn work_on_key(&mut self, now: Nanos, wall_ms: u64) {
        let is_due = self.key_due.is_some_and(|due| due <= now);
        if !is_due || self.key_asked || !self.desk.outbox.is_open(ORDERS) {
            return;
        }
        let Desk { outbox, requests, keys, .. } = &mut self.desk;
        let request = requests.next_id(wall_ms);
        let what = match outbox.state(STREAM) {
            State::Down => What::ListenKey,
            State::Open | State::Opening => What::KeepAlive,
            State::Closing => return,
        };
        outbox.send(ORDERS, None, |out| match what {
            What::ListenKey => encode::start_stream(out, keys, request),
            _ => encode::ping_stream(out, keys, request),
        });
        requests.insert(request, ORDERS, what, now.plus(REQUEST_WAIT));
        self.key_asked = true;
        self.key_due = None;
    }

    /// Sends the next question by HTTP.
    fn ask(&mut self, now: Nanos, wall_ms: u64) {
        let Some(ask) = self.desk.next_ask(now) else { return };
        let Desk { outbox, orders, instruments, keys, rest_host: host, .. } = &mut self.desk;
        let symbol = |id: InstrumentId| {
            let of = instruments.iter().find(|instrument| instrument.id == id);
            of.map_or("", |of| of.symbol.as_str())
        };
        outbox.send(REST, None, |out| match ask {
            Ask::Status { id, .. } => {
                let symbol = orders.get(id).map_or("", |live| symbol(live.instrument));
                encode::status(out, keys, host, wall_ms, symbol, id);
            }
            Ask::Trades { id, .. } => {
                let live = orders.get(id);
                let symbol = live.map_or("", |live| symbol(live.instrument));
                let order_id = live.and_then(|live| live.venue_id).unwrap_or_default();
                encode::trades(out, keys, host, wall_ms, symbol, order_id);
            }
            Ask::Position { .. } => encode::positions(out, keys, host, wall_ms),
        });
    }

    /// An answer of the WebSocket API.
    fn on_answer(&mut self, now: Nanos, raw: &[u8]) {
        let Ok([id, status, result, error]) =
            walk::message(raw, ["id", "status", "result", "error"])
        else {
            self.desk.orders.counters.malformed += 1;
            return;
        };
        let Some(what) = id.loose_integer(raw).and_then(|id| self.desk.requests.take(id)) else {
            self.desk.orders.counters.unasked += 1;
            return;
        };
        let status = status.integer(raw).unwrap_or_default();
        let is_done = status == 200 && result.is_object();
        match what {
            What::Place(id) if is_done => self.on_placed(now, id, raw, result),
            What::Place(id) => {
                let (code, msg) = error_of(raw, error);
                let verdict = codes::order(status, code, msg, &mut self.desk.orders.counters);
                self.desk.refused(now, id, verdict, code);
            }
            What::ListenKey => self.on_listen_key(now, raw, is_done.then_some(result), error),
            What::KeepAlive => {
                self.key_asked = false;
                let gone = error_of(raw, error).0 == codes::NO_SUCH_LISTEN_KEY;
                if gone {
                    self.lose_stream(now);
                } else {
                    let wait = if is_done { KEY_PING_EVERY } else { KEY_PING_AGAIN };
                    self.key_due = Some(now.plus(wait));
                }
            }
        }
    }

    fn on_placed(&mut self, now: Nanos, id: ClientOrderId, raw: &[u8], result: Token) {
        let keys = ["clientOrderId", "orderId", "symbol"];
        let fields = walk::object(raw, result, keys);
        let said = fields.ok().and_then(|[client, order, symbol]| {
            let symbol = self.desk.symbol(symbol.string(raw))?;
            let live = self.desk.orders.get(id)?;
            let same = self.desk.instruments[symbol].id == live.instrument
                && answers::client_id(raw, client) == Some(id);
            same.then(|| order.integer(raw)).flatten()
        });
        match said {
            Some(order_id) => self.desk.orders.on_answered(now, id, Some(order_id)),
            // An answer to this request that speaks of another order.
            None if self.desk.orders.get(id).is_some() => {
                self.desk.orders.counters.mismatched += 1;
                self.desk.orders.on_unknown(now, id, UnknownWhy::Code(0));
            }
            None => {}
        }
    }

    fn on_listen_key(&mut self, now: Nanos, raw: &[u8], result: Option<Token>, error: Token) {
        self.key_asked = false;
        let key = result.and_then(|result| {
            let [key] = walk::object(raw, result, ["listenKey"]).ok()?;
            let text = std::str::from_utf8(key.string(raw)?).ok()?;
            let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            (plain && !text.is_empty() && text.len() <= LISTEN_KEY_MAX).then_some(text)
        });
        if let Some(key) = key {
            self.key_retries = 0;
            self.key_due = Some(now.plus(KEY_PING_EVERY));
            if self.desk.outbox.state(STREAM) == State::Down {
                let path = [STREAM_PATH, key].concat();
                self.desk.outbox.open(STREAM, &path);
            }
            return;
        }
        let code = error_of(raw, error).0;
        if let Some(what) = codes::alarm(code) {
            let is_login = what == RefusedWhat::Login;
            self.desk.refuse(if is_login { RefusedWhat::ListenKey } else { what }, code);
            self.key_due = Some(now.plus(KEY_RETRY_MAX));
        } else {
            self.retry_key(now);
        }
    }

    fn retry_key(&mut self, now: Nanos) {
        let pause = (KEY_RETRY_FIRST.0 << self.key_retries.min(6)).min(KEY_RETRY_MAX.0);
        let jitter = pause / 8 * self.desk.orders.jitter() / 256;
        self.key_retries += 1;
        self.key_due = Some(now.plus(Nanos(pause + jitter)));
    }

    fn on_stream(&mut self, now: Nanos, raw: &[u8]) {
        if stream::on_message(&mut self.desk, now, raw) == stream::Stream::Expired {
            self.lose_stream(now);
        }
    }

    /// The stream is dead although its connection may stand: another key, another connection.
    fn lose_stream(&mut self, now: Nanos) {
        self.desk.outbox.close(STREAM);
        self.desk.set_ready(now, Some(NotReadyReason::StreamLost));
    }
}

/// Code and text of an error object; nought without one.
fn error_of(raw: &[u8], error: Token) -> (i64, &[u8]) {
    match walk::object(raw, error, ["code", "msg"]) {
        Ok([code, msg]) => {
            (walk::signed(code, raw).unwrap_or_default(), msg.string(raw).unwrap_or_default())
        }
        Err(_) => (0, &[]),
    }
}

impl Trading for UsdmTrading {
    fn channels(&self) -> &[ChannelPlan] {
        CHANNELS
    }

    fn on_open(&mut self, ch: Channel, now: Nanos, wall_ms: u64) {
        if self.desk.outbox.opened(ch) && ch == ORDERS && !self.desk.outbox.is_open(STREAM) {
            self.key_due = Some(now);
        }
        self.work(now, wall_ms);
    }

    fn on_message(&mut self, ch: Channel, now: Nanos, wall_ms: u64, raw: &[u8]) {
        if !self.desk.outbox.is_open(ch) {
            return;
        }
        match ch {
            ORDERS => self.on_answer(now, raw),
            STREAM => self.on_stream(now, raw),
            _ => {}
        }
        self.work(now, wall_ms);
    }

    fn on_response(&mut self, ch: Channel, now: Nanos, wall_ms: u64, status: u16, body: &[u8]) {
        if ch == REST && self.desk.outbox.is_open(REST) {
            answers::on_response(&mut self.desk, now, status, body);
        }
        self.work(now, wall_ms);
    }

    fn on_closed(&mut self, ch: Channel, now: Nanos) {
        self.desk.closed(ch, now);
        match ch {
            ORDERS => {
                self.key_asked = false;
                self.key_due.get_or_insert(now);
                self.desk.set_ready(now, Some(NotReadyReason::OrdersLost));
                self.desk.outbox.open(ORDERS, ORDERS_PATH);
            }
            STREAM => {
                self.desk.set_ready(now, Some(NotReadyReason::StreamLost));
                // The key may be what is wrong.
                self.key_due = Some(now);
            }
            REST => self.desk.outbox.open(REST, "/"),
            _ => {}
        }
    }

    fn on_timer(&mut self, now: Nanos, wall_ms: u64) {
        self.desk.on_timer(now);
        while let Some(what) = self.desk.requests.take_overdue(now) {
            self.key_asked = false;
            match what {
                What::ListenKey => self.retry_key(now),
                _ => self.key_due = Some(now.plus(KEY_PING_AGAIN)),
            }
        }
        self.work(now, wall_ms);
    }

    fn next_timer(&self) -> Option<Nanos> {
        let can_ask_key = !self.key_asked
            && self.desk.outbox.is_open(ORDERS)
            && self.desk.outbox.state(STREAM) != State::Closing;
        let key = self.key_due.filter(|_| can_ask_key);
        [key, self.desk.next_timer()].into_iter().flatten().min()
    }

    fn place(&mut self, now: Nanos, wall_ms: u64, order: &Order) -> Result<(), NotSent> {
        self.desk.accept(now, order)?;
        let Desk { outbox, requests, keys, instruments, .. } = &mut self.desk;
        let of = instruments.iter().find(|instrument| instrument.id == order.instrument);
        let of = of.expect("accepted orders are of configured instruments");
        let request = requests.next_id(wall_ms);
        requests.insert(request, ORDERS, What::Place(order.id), now);
        outbox.send(ORDERS, Some(order.id), |out| {
            encode::place(out, keys, request, wall_ms, order, of);
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

/// A bare or quoted code: the venue is not of one mind.
fn code_of(raw: &[u8], token: Token) -> i64 {
    match token.string(raw) {
        Some(text) => decimal::parse_integer(text).and_then(|v| i64::try_from(v).ok()).unwrap_or(0),
        None => walk::signed(token, raw).unwrap_or_default(),
    }
}
