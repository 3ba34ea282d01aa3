//! Bybit v5: the public sockets of linear and spot, linear's private and trade sockets, and what the
//! private topics say.

mod create;
mod public;
mod rest;

use std::collections::{BTreeMap, HashSet};

use reap_core::instrument::AccountId;
use reap_core::order::{OrderChange, OrderSide, RejectClass};
use reap_core::units::Nanos;
use serde_json::{Value, json};

use self::create::Refused;
use self::public::Topics;
use super::desk::{ConnId, Desk, Out, Reply, Via};
use super::http::Request;
use super::orders::{OrderRecord, Standing};
use super::venue::{Dialect, Refusal};
use super::{SimOptions, sign};

/// Request ids that a trade connection remembers.
const REQUEST_IDS_MAX: usize = 100_000;

/// Milliseconds that a login's signature usually holds.
const LOGIN_LIFE: u64 = 5_000;

/// The venue.
#[derive(Default)]
pub(super) struct Bybit {
    connections: BTreeMap<ConnId, Connection>,
    topics: Topics,
}

struct Connection {
    role: Role,
    heard: Nanos,
}

enum Role {
    Public,
    Private { account: Option<AccountId>, topics: Vec<String> },
    Trade { account: Option<AccountId>, ids: HashSet<String> },
}

impl Dialect for Bybit {
    fn on_open(&mut self, desk: &mut Desk, conn: ConnId, request: &Request) -> Result<(), Refusal> {
        let role = match request.path.trim_end_matches('/') {
            "/v5/public/linear" if !desk.is_spot => Role::Public,
            "/v5/public/spot" if desk.is_spot => Role::Public,
            "/v5/private" if desk.faults().drop_private => {
                return Err(Refusal { status: 403, body: "{}".to_owned() });
            }
            "/v5/private" => Role::Private { account: None, topics: Vec::new() },
            "/v5/trade" => Role::Trade { account: None, ids: HashSet::new() },
            _ => return Err(Refusal::not_found()),
        };
        if matches!(role, Role::Public) {
            self.topics.open(conn);
        }
        self.connections.insert(conn, Connection { role, heard: desk.now() });
        Ok(())
    }

    fn on_text(&mut self, desk: &mut Desk, conn: ConnId, text: &str) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        connection.heard = desk.now();
        let Ok(request) = serde_json::from_str::<Value>(text) else {
            desk.counts.refused_requests += 1;
            let answer = json!({"success": false, "ret_msg": "error:json decode failed", "conn_id": conn_id(conn), "req_id": "", "op": ""});
            desk.send(conn, Out::Text(answer.to_string()));
            return;
        };
        match &mut connection.role {
            Role::Public => self.topics.on_request(desk, conn, &request),
            Role::Private { account, topics } => {
                let answer = private(desk, conn, account, topics, &request);
                desk.answer(conn, Out::Text(answer.to_string()));
            }
            Role::Trade { account, ids } => {
                if let Some(answer) = trade(desk, conn, account, ids, &request) {
                    desk.answer(conn, Out::Text(answer.to_string()));
                }
            }
        }
    }

    fn on_frame(&mut self, desk: &mut Desk, conn: ConnId, _is_pong: bool) {
        if let Some(connection) = self.connections.get_mut(&conn) {
            connection.heard = desk.now();
        }
    }

    fn on_request(&mut self, desk: &mut Desk, conn: ConnId, request: &Request) {
        rest::on_request(desk, conn, request);
    }

    fn on_closed(&mut self, conn: ConnId) {
        self.connections.remove(&conn);
        self.topics.close(conn);
    }

    fn on_market(&mut self, desk: &mut Desk, raw: &str) {
        self.topics.on_market(desk, raw);
    }

    fn on_order(&mut self, desk: &mut Desk, number: u64, what: OrderChange) {
        let Some(order) = desk.orders.get(number) else { return };
        let reply = order.wish.reply.clone();
        match what {
            OrderChange::Acked => {
                let result =
                    json!({"orderId": order_id(number), "orderLinkId": order.wish.client_id});
                let out = envelope(desk, &reply, "order.create", Ok(result));
                desk.answer_order(reply.conn, out);
            }
            // Nothing to trade with: taken first, and refused on the stream.
            OrderChange::Rejected(RejectClass::Unavailable) => {
                let result =
                    json!({"orderId": order_id(number), "orderLinkId": order.wish.client_id});
                let out = envelope(desk, &reply, "order.create", Ok(result));
                desk.answer_order(reply.conn, out);
            }
            OrderChange::Rejected(class) => {
                let refused = refusal(class, order);
                desk.counts.refused_requests += 1;
                let out = envelope(desk, &reply, "order.create", Err(refused));
                desk.answer_order(reply.conn, out);
                return;
            }
            OrderChange::Filled { .. }
            | OrderChange::Expired
            | OrderChange::Doubted
            | OrderChange::NotFound => {}
        }
        let Some(order) = desk.orders.get(number).filter(|order| !order.is_open()) else { return };
        let account = order.wish.account;
        let mut messages = vec![("order", order_row(desk, order))];
        if let Some(trade) = desk.orders.trade_of(number) {
            // The two topics are not ordered among each other: half of the orders tell the trade
            // first.
            let place = (number % 2) as usize;
            messages.insert(place, ("execution", rest::execution_row(desk, trade, order)));
            let position = rest::position_row(desk, account, order.wish.listed);
            messages.push(("position", position));
        }
        for (topic, row) in messages {
            self.publish(desk, account, topic, &row);
        }
    }

    fn is_private(&self, conn: ConnId) -> bool {
        self.connections.get(&conn).is_some_and(|one| matches!(one.role, Role::Private { .. }))
    }

    fn on_timer(&mut self, desk: &mut Desk) {
        self.topics.repeat(desk);
        let (now, limit) = (desk.now(), desk.options.idle_limit);
        for (conn, connection) in &mut self.connections {
            if connection.is_limited() && connection.heard.plus(limit) <= now {
                desk.send(*conn, Out::Close);
                // Asked once; the connection is gone with the next delivery.
                connection.heard = now;
            }
        }
    }

    fn next_timer(&self, options: &SimOptions) -> Option<Nanos> {
        let limited = self.connections.values().filter(|one| one.is_limited());
        let idle = limited.map(|one| one.heard.plus(options.idle_limit)).min();
        [idle, self.topics.next_repeat(options)].into_iter().flatten().min()
    }
}

impl Bybit {
    /// Sends a private message to everyone of an account who subscribed to its topic, under the
    /// name that was subscribed.
    fn publish(&self, desk: &mut Desk, account: AccountId, topic: &str, row: &Value) {
        for (conn, connection) in &self.connections {
            let Role::Private { account: Some(owner), topics } = &connection.role else { continue };
            let is_it = |name: &&String| {
                name.strip_prefix(topic).is_some_and(|rest| rest.is_empty() || rest == ".linear")
            };
            let Some(name) = topics.iter().find(is_it).filter(|_| *owner == account) else {
                continue;
            };
            let now = desk.now_ms();
            let id = format!("{conn:x}_{now}");
            let message = json!({"id": id, "topic": name, "creationTime": now, "data": [row]});
            desk.send(*conn, Out::Text(message.to_string()));
        }
    }
}

impl Connection {
    /// Whether a silent client is cut: a public one lives as long as there is data for it.
    const fn is_limited(&self) -> bool {
        !matches!(self.role, Role::Public)
    }
}

fn private(
    desk: &mut Desk,
    conn: ConnId,
    account: &mut Option<AccountId>,
    topics: &mut Vec<String>,
    request: &Value,
) -> Value {
    let op = request.get("op").and_then(Value::as_str).unwrap_or_default();
    let req_id = request.get("req_id").and_then(Value::as_str).unwrap_or_default();
    let known =
        ["order", "execution", "execution.fast", "position", "wallet", "greeks", "dcp.future"];
    let result = match op {
        "ping" => {
            return json!({"req_id": req_id, "op": "pong", "args": [desk.now_ms().to_string()], "conn_id": conn_id(conn)});
        }
        "auth" => login(desk, request).map(|owner| *account = Some(owner)),
        _ if account.is_none() => Err(Refused::new(10005, "Request not authorized")),
        "subscribe" | "unsubscribe" => names(request).and_then(|names| {
            let unknown = names
                .iter()
                .find(|name| !known.contains(&name.strip_suffix(".linear").unwrap_or(name)));
            match unknown {
                Some(name) => {
                    Err(Refused::new(10404, format!("error:handler not found,topic:{name}")))
                }
                None if op == "subscribe" => {
                    let fresh: Vec<_> =
                        names.into_iter().filter(|name| !topics.contains(name)).collect();
                    topics.extend(fresh);
                    Ok(())
                }
                None => {
                    topics.retain(|topic| !names.contains(topic));
                    Ok(())
                }
            }
        }),
        _ => Err(Refused::new(10404, "error:request op not found")),
    };
    if result.is_err() {
        desk.counts.refused_requests += 1;
    }
    let text = result.as_ref().map_or_else(|refused| refused.text.as_str(), |()| "");
    json!({"success": result.is_ok(), "ret_msg": text, "op": op, "conn_id": conn_id(conn), "req_id": req_id})
}

/// The answer to a request on the trade socket; `None` when the matching core answers.
fn trade(
    desk: &mut Desk,
    conn: ConnId,
    account: &mut Option<AccountId>,
    ids: &mut HashSet<String>,
    request: &Value,
) -> Option<Value> {
    let op = request.get("op").and_then(Value::as_str).unwrap_or_default();
    let id = request.get("reqId").and_then(Value::as_str);
    let connection = conn_id(conn);
    let bare = |refused: Result<Value, Refused>, op: &str| {
        let (code, text) = match &refused {
            Ok(_) => (0, "OK"),
            Err(refused) => (refused.code, refused.text.as_str()),
        };
        let mut answer = json!({"retCode": code, "retMsg": text, "op": op, "connId": connection});
        if let Some(id) = id {
            answer["reqId"] = json!(id);
        }
        if let Ok(data) = refused
            && !data.is_null()
        {
            answer["data"] = data;
        }
        answer
    };
    let result = match op {
        "ping" => return Some(bare(Ok(json!([desk.now_ms().to_string()])), "pong")),
        "auth" if account.is_some() => Err(Refused::new(20001, "Repeat auth")),
        "auth" => login(desk, request).map(|owner| {
            *account = Some(owner);
            Value::Null
        }),
        "order.create" => {
            let reply = Reply {
                conn,
                via: Via::Socket { id: json!(id.unwrap_or_default()), limits: false },
            };
            let wish = match *account {
                None => Err(Refused::new(10005, "Permission denied, please login first.")),
                Some(account) => take_id(ids, id)
                    .and_then(|()| create::check_header(desk, request))
                    .and_then(|()| match request.get("args").and_then(Value::as_array) {
                        Some(args) if args.len() == 1 => {
                            create::wish(desk, account, &args[0], reply.clone())
                        }
                        _ => Err(Refused::new(10001, "params error: args")),
                    }),
            };
            match wish {
                Ok(wish) => {
                    desk.place(wish);
                    return None;
                }
                Err(refused) => {
                    desk.counts.refused_requests += 1;
                    let out = envelope(desk, &reply, op, Err(refused));
                    desk.answer(conn, out);
                    return None;
                }
            }
        }
        "order.cancel" if account.is_some() => take_id(ids, id)
            .and_then(|()| Err(Refused::new(110_001, "order not exists or too late to cancel"))),
        _ => Err(Refused::new(10404, "op type is not found")),
    };
    if result.is_err() {
        desk.counts.refused_requests += 1;
    }
    Some(bare(result, op))
}

/// A request id is good for one request.
fn take_id(ids: &mut HashSet<String>, id: Option<&str>) -> Result<(), Refused> {
    let Some(id) = id else { return Ok(()) };
    if id.len() > 36 {
        return Err(Refused::new(10001, "params error: reqId is longer than 36 characters"));
    }
    if ids.contains(id) {
        return Err(Refused::new(20006, "Duplicate reqId"));
    }
    if ids.len() >= REQUEST_IDS_MAX {
        ids.clear();
    }
    ids.insert(id.to_owned());
    Ok(())
}

/// `{"op":"auth","args":[key, expires, signature]}`.
fn login(desk: &mut Desk, request: &Value) -> Result<AccountId, Refused> {
    let args = request.get("args").and_then(Value::as_array).map(Vec::as_slice);
    let Some([Value::String(key), expires, Value::String(signature)]) = args else {
        return Err(Refused::new(10001, "params error: args"));
    };
    // The number as it was written is what was signed.
    let written = match expires {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let at: u64 = written.parse().map_err(|_| Refused::new(10001, "params error: expires"))?;
    let refuse = desk.faults().refuse_logins;
    let unknown = || Refused::new(10003, "API key is invalid.");
    let account = desk.by_key(key).filter(|_| !refuse).ok_or_else(unknown)?;
    // What is left of its life when it arrives, by a clock that may run faster.
    let hurried = desk.options.window(LOGIN_LIFE).saturating_sub(LOGIN_LIFE);
    if at.saturating_add(hurried) <= desk.now_ms() {
        return Err(Refused::new(10004, "Params Error: expires is not after the server's time"));
    }
    let payload = format!("GET/realtime{written}");
    if !sign::is_valid(&account.keys.secret, payload.as_bytes(), signature) {
        return Err(Refused::new(10004, "error sign! please check your signature"));
    }
    Ok(account.id)
}

/// The topics of a request.
fn names(request: &Value) -> Result<Vec<String>, Refused> {
    let args = request.get("args").and_then(Value::as_array);
    let name = |one: &Value| one.as_str().map(str::to_owned);
    let names = args.and_then(|args| args.iter().map(name).collect::<Option<Vec<_>>>());
    names
        .filter(|names| !names.is_empty())
        .ok_or_else(|| Refused::new(10001, "error:args is empty or no list of topics"))
}

/// An answer to an order in the envelope of its request.
fn envelope(desk: &Desk, reply: &Reply, op: &str, result: Result<Value, Refused>) -> Out {
    let (code, text) = match &result {
        Ok(_) => (0, "OK"),
        Err(refused) => (refused.code, refused.text.as_str()),
    };
    let data = result.as_ref().ok().cloned().unwrap_or_else(|| json!({}));
    let now = desk.now_ms();
    match &reply.via {
        Via::Http => {
            let body = json!({"retCode": code, "retMsg": text, "result": data, "retExtInfo": {}, "time": now});
            Out::Response { status: 200, body: body.to_string() }
        }
        Via::Socket { id, .. } => {
            let message = json!({
                "reqId": id, "retCode": code, "retMsg": text, "op": op, "data": data,
                "retExtInfo": {}, "header": {"X-Bapi-Limit": "10", "X-Bapi-Limit-Status": "9",
                "X-Bapi-Limit-Reset-Timestamp": now.to_string(), "Timenow": now.to_string()},
                "connId": conn_id(reply.conn),
            });
            Out::Text(message.to_string())
        }
    }
}

/// What the matching core's refusals are called here. The gateway has checked all that does not
/// depend on the book or the holding.
fn refusal(class: RejectClass, order: &OrderRecord) -> Refused {
    match class {
        RejectClass::Size if order.wish.reduce_only => {
            Refused::new(110_017, "orderQty will be truncated to zero.")
        }
        RejectClass::Size if order.wish.limit.is_none() => Refused::small(),
        RejectClass::Size => Refused::new(110_007, "ab not enough for new order"),
        RejectClass::Price => Refused::new(10001, "Price invalid"),
        RejectClass::Unavailable | RejectClass::RateLimit | RejectClass::Fatal => {
            Refused::new(110_017, "Reduce-only rule not satisfied")
        }
    }
}

/// A connection's id as it is shown.
fn conn_id(conn: ConnId) -> String {
    format!("00000000-0000-4000-8000-{conn:012x}")
}

fn order_id(number: u64) -> String {
    format!("00000000-0000-4000-9000-{number:012x}")
}

const fn side(side: OrderSide) -> &'static str {
    match side {
        OrderSide::Buy => "Buy",
        OrderSide::Sell => "Sell",
    }
}

/// An order as queries and the `order` topic state it.
fn order_row(desk: &Desk, order: &OrderRecord) -> Value {
    let listed = &desk.listed[order.wish.listed];
    let (status, reason) = match order.standing {
        Standing::Sent | Standing::New if order.filled > 0 => ("PartiallyFilled", "EC_NoError"),
        Standing::Sent | Standing::New => ("New", "EC_NoError"),
        Standing::Filled => ("Filled", "EC_NoError"),
        // Derivatives have no status of their own for a part that was filled.
        Standing::Expired => ("Cancelled", "EC_NoImmediateQtyToFill"),
        Standing::Rejected(_) => ("Rejected", "EC_NoImmediateQtyToFill"),
    };
    let leaves = if order.is_open() { order.wish.qty - order.filled } else { 0 };
    json!({
        "category": "linear", "symbol": listed.symbol, "orderId": order_id(order.number),
        "orderLinkId": order.wish.client_id, "side": side(order.wish.side),
        "orderType": if order.wish.limit.is_some() { "Limit" } else { "Market" },
        "price": listed.price(order.wish.limit.unwrap_or(0)), "qty": listed.qty(order.wish.qty),
        "timeInForce": "IOC", "orderStatus": status, "cancelType": "UNKNOWN",
        "rejectReason": reason, "reduceOnly": order.wish.reduce_only,
        "leavesQty": listed.qty(leaves), "cumExecQty": listed.qty(order.filled),
        "cumExecValue": listed.value(order.price.unwrap_or(0), order.filled),
        "avgPrice": order.price.map_or(String::new(), |price| listed.price(price)),
        "cumExecFee": listed.fee(order.fee), "positionIdx": 0,
        "createdTime": order.created.to_string(), "updatedTime": order.updated.to_string(),
    })
}
