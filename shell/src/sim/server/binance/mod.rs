//! Binance USD-M: which path is what, the streams, the private stream's events.

mod api;
mod calls;
mod listen;
mod place;
mod streams;

use std::collections::BTreeMap;

use reap_core::order::{OrderChange, RejectClass};
use reap_core::units::Nanos;
use serde_json::{Value, json};

use self::calls::{ApiError, Outcome};
use self::listen::ListenKeys;
use self::streams::{Category, Streams};
use super::SimOptions;
use super::desk::{ConnId, Desk, Out, Reply, Via};
use super::http::{self, Request};
use super::orders::{OrderRecord, Standing};
use super::quotes;
use super::venue::{Dialect, Refusal};

/// The venue.
#[derive(Default)]
pub(super) struct Binance {
    connections: BTreeMap<ConnId, Connection>,
    streams: Streams,
    keys: ListenKeys,
}

struct Connection {
    role: Role,
    opened: Nanos,
    next_ping: Nanos,
    /// When the oldest unanswered ping was sent.
    unanswered: Option<Nanos>,
    /// Messages since the beginning of the current second.
    burst: (Nanos, u32),
}

enum Role {
    Streams,
    /// Answers tell the rate limits.
    Api {
        limits: bool,
    },
    Private,
}

impl Dialect for Binance {
    fn on_open(&mut self, desk: &mut Desk, conn: ConnId, request: &Request) -> Result<(), Refusal> {
        let query = |name: &str| {
            http::pairs(&request.query).find(|(key, _)| key == name).map(|(_, value)| value)
        };
        let path = request.path.trim_end_matches('/');
        let role = if path == "/ws-fapi/v1" {
            let limits = query("returnRateLimits").is_none_or(|value| value != "false");
            Role::Api { limits }
        } else if let Some(rest) = path.strip_prefix("/private/ws") {
            let key = match rest.strip_prefix('/') {
                Some(key) => key.to_owned(),
                None => query("listenKey").unwrap_or_default(),
            };
            let faults = desk.faults();
            if faults.drop_private || faults.refuse_logins || !self.keys.attach(&key, conn) {
                let body = json!({"code": -1125, "msg": "This listenKey does not exist."});
                return Err(Refusal { status: 400, body: body.to_string() });
            }
            Role::Private
        } else {
            let (category, rest) = Category::of(path).ok_or_else(Refusal::not_found)?;
            let (combined, names) = if let Some(name) = rest.strip_prefix("/ws") {
                (false, name.trim_start_matches('/').to_owned())
            } else if rest == "/stream" {
                (true, query("streams").unwrap_or_default())
            } else {
                return Err(Refusal::not_found());
            };
            self.streams.open(conn, category, combined, &names);
            Role::Streams
        };
        let now = desk.now();
        let next_ping = now.plus(desk.options.ping_every);
        let connection =
            Connection { role, opened: now, next_ping, unanswered: None, burst: (now, 0) };
        self.connections.insert(conn, connection);
        Ok(())
    }

    fn on_text(&mut self, desk: &mut Desk, conn: ConnId, text: &str) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        if !connection.takes(desk) {
            desk.send(conn, Out::Close);
            return;
        }
        match connection.role {
            Role::Streams => self.streams.on_text(desk, conn, text),
            Role::Api { limits } => self.on_api(desk, conn, limits, text),
            // The private stream takes no requests.
            Role::Private => {}
        }
    }

    fn on_frame(&mut self, desk: &mut Desk, conn: ConnId, is_pong: bool) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        if is_pong {
            connection.unanswered = None;
        } else if !connection.takes(desk) {
            desk.send(conn, Out::Close);
        }
    }

    fn on_request(&mut self, desk: &mut Desk, conn: ConnId, request: &Request) {
        self.on_rest(desk, conn, request);
    }

    fn on_closed(&mut self, conn: ConnId) {
        self.connections.remove(&conn);
        self.streams.close(conn);
        self.keys.detach(conn);
    }

    fn on_market(&mut self, desk: &mut Desk, raw: &str) {
        let Some((stream, inner, data)) = quotes::unwrap(raw) else {
            desk.counts.unknown_market += 1;
            return;
        };
        let text = |name: &str| data.get(name).and_then(Value::as_str);
        let is_best = match text("e") {
            Some(kind) => kind == "bookTicker",
            None => ["u", "b", "B", "a", "A"].iter().all(|name| data.get(name).is_some()),
        };
        let symbol = text("s").unwrap_or_default();
        if is_best && let Some(listed) = desk.by_symbol(symbol) {
            let texts = [text("b"), text("a"), text("B"), text("A")];
            let at = data.get("T").and_then(Value::as_u64).unwrap_or(desk.now_ms());
            match quotes::best(&desk.listed[listed], texts, at) {
                Some(best) => desk.on_quote(listed, best),
                None => desk.counts.refused_quotes += 1,
            }
        }
        let lower = symbol.to_lowercase();
        match text("e") {
            _ if is_best => self.streams.push(desk, &format!("{lower}@bookTicker"), inner),
            Some("aggTrade") => self.streams.push(desk, &format!("{lower}@aggTrade"), inner),
            Some("markPriceUpdate") => {
                self.streams.push(desk, &format!("{lower}@markPrice"), inner);
                self.streams.push(desk, &format!("{lower}@markPrice@1s"), inner);
            }
            _ => match stream {
                Some(stream) => self.streams.push(desk, &stream, inner),
                // An acknowledgement of the recording's own subscription, for example.
                None => desk.counts.unknown_market += 1,
            },
        }
    }

    fn on_order(&mut self, desk: &mut Desk, number: u64, what: OrderChange) {
        let Some(order) = desk.orders.get(number) else { return };
        let (reply, account) = (order.wish.reply.clone(), order.wish.account);
        let outcome = order.wish.answer_outcome;
        let result = order_result(desk, order);
        let events = order_events(desk, order, what);
        let is_answer = match what {
            OrderChange::Rejected(_) => true,
            OrderChange::Acked => !outcome,
            OrderChange::Filled { .. } | OrderChange::Expired => outcome && !order.is_open(),
            OrderChange::Doubted | OrderChange::NotFound => false,
        };
        let result = match what {
            OrderChange::Rejected(class) => Err(refusal(class, order)),
            _ => Ok(result),
        };
        if is_answer && !outcome {
            answer_order(desk, &reply, result.clone());
        }
        for event in events {
            self.keys.publish(desk, account, &event.to_string());
        }
        if is_answer && outcome {
            answer_order(desk, &reply, result);
        }
    }

    fn is_private(&self, conn: ConnId) -> bool {
        self.connections.get(&conn).is_some_and(|one| matches!(one.role, Role::Private))
    }

    fn on_timer(&mut self, desk: &mut Desk) {
        let now = desk.now();
        self.keys.expire(desk);
        let options = desk.options;
        for (conn, connection) in &mut self.connections {
            let is_dead =
                connection.unanswered.is_some_and(|sent| sent.plus(options.pong_within) <= now);
            if is_dead || connection.opened.plus(options.connection_life) <= now {
                desk.send(*conn, Out::Close);
                // Asked once; the connection is gone with the next delivery.
                connection.next_ping = Nanos(u64::MAX);
                connection.unanswered = None;
                connection.opened = now;
            } else if connection.next_ping <= now {
                desk.send(*conn, Out::Ping);
                connection.next_ping = now.plus(options.ping_every);
                connection.unanswered.get_or_insert(now);
            }
        }
    }

    fn next_timer(&self, options: &SimOptions) -> Option<Nanos> {
        let never = Nanos(u64::MAX);
        let of = |one: &Connection| {
            let pong = one.unanswered.map_or(never, |sent| sent.plus(options.pong_within));
            one.next_ping.min(one.opened.plus(options.connection_life)).min(pong)
        };
        let connections = self.connections.values().map(of).min();
        [connections, self.keys.next_expiry()].into_iter().flatten().min()
    }
}

impl Connection {
    /// Counts a message; whether it is within the limit of its connection.
    fn takes(&mut self, desk: &Desk) -> bool {
        let now = desk.now();
        if now.since(self.burst.0) >= Nanos::from_secs(1) {
            self.burst = (now, 0);
        }
        self.burst.1 += 1;
        let limited = matches!(self.role, Role::Streams | Role::Private);
        !limited || self.burst.1 <= desk.options.messages_per_second
    }
}

/// What the matching core's refusals are called here. The gateway has checked all that does not
/// depend on the book or the holding.
fn refusal(class: RejectClass, order: &OrderRecord) -> ApiError {
    match class {
        RejectClass::Size if order.wish.reduce_only => {
            ApiError::new(-2022, "ReduceOnly Order is rejected.")
        }
        RejectClass::Size if order.wish.limit.is_none() => ApiError::small(),
        RejectClass::Size => ApiError::new(-2019, "Margin is insufficient."),
        RejectClass::Price => ApiError::new(-4014, "Price not increased by tick size."),
        RejectClass::Unavailable | RejectClass::RateLimit => {
            ApiError::new(-2020, "Unable to fill.")
        }
        RejectClass::Fatal => ApiError::new(-2022, "ReduceOnly Order is rejected."),
    }
}

const fn status(order: &OrderRecord) -> &'static str {
    match order.standing {
        Standing::Sent | Standing::New if order.filled > 0 => "PARTIALLY_FILLED",
        Standing::Sent | Standing::New => "NEW",
        Standing::Filled => "FILLED",
        Standing::Expired => "EXPIRED",
        Standing::Rejected(_) => "REJECTED",
    }
}

const fn kind(order: &OrderRecord) -> (&'static str, &'static str) {
    // A market order's time in force reads GTC.
    if order.wish.limit.is_some() { ("LIMIT", "IOC") } else { ("MARKET", "GTC") }
}

/// An order as answers and queries state it.
fn order_result(desk: &Desk, order: &OrderRecord) -> Value {
    let listed = &desk.listed[order.wish.listed];
    let (kind, force) = kind(order);
    json!({
        "orderId": order.number, "symbol": listed.symbol, "status": status(order),
        "clientOrderId": order.wish.client_id, "price": listed.price(order.wish.limit.unwrap_or(0)),
        "avgPrice": listed.price(order.price.unwrap_or(0)), "origQty": listed.qty(order.wish.qty),
        "executedQty": listed.qty(order.filled), "cumQty": listed.qty(order.filled),
        "cumQuote": listed.value(order.price.unwrap_or(0), order.filled),
        "timeInForce": force, "type": kind, "reduceOnly": order.wish.reduce_only,
        "closePosition": false, "side": calls::side(order.wish.side), "positionSide": "BOTH",
        "stopPrice": "0", "workingType": "CONTRACT_PRICE", "priceProtect": false,
        "origType": kind, "priceMatch": "NONE", "selfTradePreventionMode": "NONE",
        "goodTillDate": 0, "time": order.created, "updateTime": order.updated,
    })
}

/// What the private stream says of a change.
fn order_events(desk: &Desk, order: &OrderRecord, what: OrderChange) -> Vec<Value> {
    let listed = &desk.listed[order.wish.listed];
    let (kind, force) = kind(order);
    let now = desk.now_ms();
    let trade = match what {
        OrderChange::Filled { trade_id, price, qty, fee } => Some((trade_id, price, qty, fee)),
        _ => None,
    };
    let execution = match what {
        OrderChange::Acked => "NEW",
        OrderChange::Filled { .. } => "TRADE",
        OrderChange::Expired => "EXPIRED",
        // Refused before it was an order: the stream never hears of it.
        OrderChange::Rejected(_) | OrderChange::Doubted | OrderChange::NotFound => {
            return Vec::new();
        }
    };
    let average = order.price.map_or("0".to_owned(), |price| listed.price(price));
    let mut o = json!({
        "s": listed.symbol, "c": order.wish.client_id, "S": calls::side(order.wish.side),
        "o": kind, "f": force, "q": listed.qty(order.wish.qty),
        "p": listed.price(order.wish.limit.unwrap_or(0)), "ap": average, "sp": "0",
        "x": execution, "X": status(order), "i": order.number, "l": "0",
        "z": listed.qty(order.filled), "L": "0", "T": now, "t": 0, "b": "0", "a": "0", "m": false,
        "R": order.wish.reduce_only, "wt": "CONTRACT_PRICE", "ot": kind, "ps": "BOTH", "cp": false,
        "rp": "0", "pP": false, "si": 0, "ss": 0, "V": "NONE", "pm": "NONE", "gtd": 0, "er": "0",
    });
    let mut events = Vec::new();
    if let Some((id, price, qty, fee)) = trade {
        o["t"] = json!(id);
        o["l"] = json!(listed.qty(qty.raw()));
        o["L"] = json!(listed.price(price.raw()));
        if fee != 0 {
            o["n"] = json!(listed.fee(fee));
            o["N"] = json!("USDT");
        }
        // The short form of the same fill is there first.
        events.push(json!({
            "e": "TRADE_LITE", "E": now, "T": now, "s": listed.symbol, "q": o["q"], "p": o["p"],
            "m": false, "c": o["c"], "S": o["S"], "L": o["L"], "l": o["l"], "t": id,
            "i": order.number,
        }));
        let held = desk.position(order.wish.account, order.wish.listed);
        events.push(json!({
            "e": "ACCOUNT_UPDATE", "E": now, "T": now, "a": {"m": "ORDER", "B": [], "P": [{
                "s": listed.symbol, "pa": listed.qty(held), "ep": "0", "bep": "0", "cr": "0",
                "up": "0", "mt": "cross", "iw": "0", "ps": "BOTH",
            }]},
        }));
    }
    events.push(json!({"e": "ORDER_TRADE_UPDATE", "E": now, "T": now, "o": o}));
    events
}

/// The answer to an order, in the envelope of its request.
fn answer_order(desk: &mut Desk, reply: &Reply, result: Result<Value, ApiError>) {
    if result.is_err() {
        desk.counts.refused_requests += 1;
    }
    let out = envelope(reply, result);
    desk.answer_order(reply.conn, out);
}

/// The answer to anything else.
fn answer(desk: &mut Desk, reply: &Reply, outcome: Outcome) {
    let result = match outcome {
        Outcome::Later => return,
        Outcome::Now(result) => result,
    };
    if result.is_err() {
        desk.counts.refused_requests += 1;
    }
    desk.answer(reply.conn, envelope(reply, result));
}

fn envelope(reply: &Reply, result: Result<Value, ApiError>) -> Out {
    let status = result.as_ref().map_or_else(ApiError::status, |_| 200);
    let body = match result {
        Ok(value) => value,
        Err(error) => json!({"code": error.code, "msg": error.text}),
    };
    match &reply.via {
        Via::Http => Out::Response { status, body: body.to_string() },
        Via::Socket { id, limits } => {
            let key = if status == 200 { "result" } else { "error" };
            let mut message = json!({"id": id, "status": status, key: body});
            if *limits {
                message["rateLimits"] = json!([{
                    "rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1,
                    "limit": 2400, "count": 1,
                }]);
            }
            Out::Text(message.to_string())
        }
    }
}
