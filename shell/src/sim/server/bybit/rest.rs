//! REST: market queries, signed queries and order entry. Refusals are answered with status 200.

use reap_core::instrument::AccountId;
use reap_core::limits::QTY_MAX;
use reap_core::order::OrderSide;
use serde_json::{Value, json};

use super::create::{self, Refused};
use super::{envelope, order_id, order_row, side};
use crate::sim::server::desk::{ConnId, Desk, Listed, Out, Reply, Via};
use crate::sim::server::http::{self, Request};
use crate::sim::server::orders::{OrderRecord, Trade};
use crate::sim::server::sign;

pub(super) fn on_request(desk: &mut Desk, conn: ConnId, request: &Request) {
    let reply = Reply { conn, via: Via::Http };
    let result = match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/v5/market/time") => {
            let now = desk.now();
            let (secs, nanos) = (now.0 / 1_000_000_000, now.0);
            Ok(json!({"timeSecond": secs.to_string(), "timeNano": nanos.to_string()}))
        }
        ("GET", "/v5/market/instruments-info") => instruments(desk, request),
        ("GET", "/v5/order/realtime" | "/v5/order/history") => orders(desk, request),
        ("GET", "/v5/execution/list") => executions(desk, request),
        ("GET", "/v5/position/list") => positions(desk, request),
        ("POST", "/v5/order/create") => match place(desk, request, reply.clone()) {
            Ok(()) => return,
            Err(refused) => Err(refused),
        },
        ("POST", "/v5/order/cancel") => signed(desk, request)
            .and_then(|_| Err(Refused::new(110_001, "order not exists or too late to cancel"))),
        _ => {
            desk.answer(conn, Out::Response { status: 404, body: "{}".to_owned() });
            return;
        }
    };
    if result.is_err() {
        desk.counts.refused_requests += 1;
    }
    let out = envelope(desk, &reply, "", result);
    desk.answer(conn, out);
}

/// The account whose key signed the request, in time: timestamp, key and window, then the query or
/// the body exactly as it was sent.
fn signed(desk: &Desk, request: &Request) -> Result<AccountId, Refused> {
    let key = request.header("x-bapi-api-key").unwrap_or_default();
    let account = desk.by_key(key).ok_or_else(|| Refused::new(10003, "API key is invalid."))?;
    let timestamp = request.header("x-bapi-timestamp");
    let window = request.header("x-bapi-recv-window");
    create::check_time(desk, timestamp, window)?;
    let sent = if request.method == "GET" { &request.query } else { &request.body };
    let (timestamp, window) = (timestamp.unwrap_or_default(), window.unwrap_or_default());
    let payload = format!("{timestamp}{key}{window}{sent}");
    let signature = request.header("x-bapi-sign").unwrap_or_default();
    if sign::is_valid(&account.keys.secret, payload.as_bytes(), signature) {
        return Ok(account.id);
    }
    // The real one shows the text that it signed, which helps and is no secret.
    Err(Refused::new(
        10004,
        format!(
            "error sign! please check your signature generation algorithm. origin_string[{payload}]"
        ),
    ))
}

fn place(desk: &mut Desk, request: &Request, reply: Reply) -> Result<(), Refused> {
    let account = signed(desk, request)?;
    let args: Value = serde_json::from_str(&request.body)
        .map_err(|_| Refused::new(10001, "params error: the body is no JSON"))?;
    let wish = create::wish(desk, account, &args, reply)?;
    desk.place(wish);
    Ok(())
}

fn param(request: &Request, name: &str) -> Option<String> {
    http::pairs(&request.query)
        .find(|(key, value)| key == name && !value.is_empty())
        .map(|(_, value)| value)
}

/// The category must be there and linear; the symbol that is asked for, if one is.
fn scope(desk: &Desk, request: &Request) -> Result<Option<usize>, Refused> {
    if param(request, "category").as_deref() != Some("linear") {
        return Err(Refused::new(10001, "Illegal category"));
    }
    let Some(symbol) = param(request, "symbol") else { return Ok(None) };
    let listed = desk.by_symbol(&symbol);
    listed.map(Some).ok_or_else(|| Refused::new(10001, "params error: symbol invalid"))
}

/// A page of rows: `limit` of them from where `cursor` says.
fn page(
    request: &Request,
    default: usize,
    most: usize,
    rows: impl Iterator<Item = Value>,
) -> Result<Value, Refused> {
    let number = |name: &str, default: usize| match param(request, name) {
        None => Ok(default),
        Some(text) => {
            text.parse().map_err(|_| Refused::new(10001, format!("params error: {name} invalid")))
        }
    };
    let limit = number("limit", default)?.clamp(1, most);
    let from: usize = number("cursor", 0)?;
    let mut list: Vec<Value> = rows.skip(from).take(limit + 1).collect();
    let cursor = if list.len() > limit { (from + limit).to_string() } else { String::new() };
    list.truncate(limit);
    Ok(json!({"category": "linear", "list": list, "nextPageCursor": cursor}))
}

fn instruments(desk: &Desk, request: &Request) -> Result<Value, Refused> {
    let only = scope(desk, request)?;
    let row = |one: &Listed| {
        let spec = one.spec();
        json!({
            "symbol": one.symbol, "contractType": "LinearPerpetual", "status": "Trading",
            "baseCoin": one.symbol.trim_end_matches("USDT"), "quoteCoin": "USDT",
            "settleCoin": "USDT", "priceScale": spec.price_scale.to_string(),
            "priceFilter": {"minPrice": one.price(spec.tick), "tickSize": one.price(spec.tick),
                "maxPrice": one.price(reap_core::limits::PRICE_MAX)},
            "lotSizeFilter": {"maxOrderQty": one.qty(QTY_MAX), "maxMktOrderQty": one.qty(QTY_MAX),
                "minOrderQty": one.qty(spec.min_qty), "qtyStep": one.qty(spec.lot),
                "minNotionalValue": spec.min_notional.to_string()},
            "fundingInterval": 480,
        })
    };
    let all = desk.listed.iter().enumerate();
    let wanted = all.filter(|(index, _)| only.is_none_or(|only| only == *index));
    page(request, 500, 1_000, wanted.map(|(_, one)| row(one)))
}

fn orders(desk: &Desk, request: &Request) -> Result<Value, Refused> {
    let account = signed(desk, request)?;
    let symbol = scope(desk, request)?;
    let link = param(request, "orderLinkId");
    let id = param(request, "orderId");
    let is_realtime = request.path.ends_with("realtime");
    let is_named =
        ["symbol", "baseCoin", "settleCoin"].iter().any(|name| param(request, name).is_some());
    if is_realtime && !is_named && link.is_none() && id.is_none() {
        let text = "params error: one of symbol, baseCoin, settleCoin is needed";
        return Err(Refused::new(10001, text));
    }
    // Without a name only what is open is asked for, and nothing rests here.
    let closed = !is_realtime
        || link.is_some()
        || id.is_some()
        || param(request, "openOnly").is_some_and(|value| value != "0");
    let is_wanted = |order: &&OrderRecord| {
        is_shown(order)
            && (closed || order.is_open())
            && symbol.is_none_or(|symbol| symbol == order.wish.listed)
            && link.as_ref().is_none_or(|link| *link == order.wish.client_id)
            && id.as_ref().is_none_or(|id| *id == order_id(order.number))
    };
    let memory = if is_realtime { 500 } else { usize::MAX };
    let rows = desk.orders.of(account).take(memory).filter(is_wanted);
    page(request, 20, 50, rows.map(|order| order_row(desk, order)))
}

/// What was refused at the door is no order; what the stream called rejected is one.
fn is_shown(order: &OrderRecord) -> bool {
    use super::{RejectClass, Standing};
    order.is_public() || order.standing == Standing::Rejected(RejectClass::Unavailable)
}

fn executions(desk: &Desk, request: &Request) -> Result<Value, Refused> {
    let account = signed(desk, request)?;
    let symbol = scope(desk, request)?;
    let link = param(request, "orderLinkId");
    let id = param(request, "orderId");
    let all = desk.orders.trades_of(account).filter(|(_, order)| {
        symbol.is_none_or(|symbol| symbol == order.wish.listed)
            && link.as_ref().is_none_or(|link| *link == order.wish.client_id)
            && id.as_ref().is_none_or(|id| *id == order_id(order.number))
    });
    page(request, 50, 100, all.map(|(trade, order)| execution_row(desk, trade, order)))
}

fn positions(desk: &Desk, request: &Request) -> Result<Value, Refused> {
    let account = signed(desk, request)?;
    let symbol = scope(desk, request)?;
    if symbol.is_none() && param(request, "settleCoin").is_none() {
        return Err(Refused::new(10001, "params error: symbol or settleCoin is needed"));
    }
    // A symbol that is named has a row even when it is flat.
    let wanted = (0..desk.listed.len()).filter(|listed| match symbol {
        Some(symbol) => symbol == *listed,
        None => desk.position(account, *listed) != 0,
    });
    page(request, 20, 200, wanted.map(|listed| position_row(desk, account, listed)))
}

/// A position as queries and the `position` topic state it.
pub(super) fn position_row(desk: &Desk, account: AccountId, listed: usize) -> Value {
    let one = &desk.listed[listed];
    let held = desk.position(account, listed);
    let way = match held {
        0 => "",
        1.. => side(OrderSide::Buy),
        _ => side(OrderSide::Sell),
    };
    let mark = one.best.map_or(0, |best| best.bid);
    json!({
        "category": "linear", "symbol": one.symbol, "positionIdx": 0, "side": way,
        "size": one.qty(held.saturating_abs()), "avgPrice": "0", "entryPrice": "0",
        "markPrice": one.price(mark), "positionValue": one.value(mark, held.saturating_abs()),
        "unrealisedPnl": "0", "seq": desk.counts.matching.fills, "isReduceOnly": false,
        "positionStatus": "Normal", "updatedTime": desk.now_ms().to_string(),
    })
}

/// A trade as queries and the `execution` topic state it.
pub(super) fn execution_row(desk: &Desk, trade: &Trade, order: &OrderRecord) -> Value {
    let one = &desk.listed[order.wish.listed];
    let spec = one.spec();
    json!({
        "category": "linear", "symbol": one.symbol, "execId": exec_id(trade.id),
        "execPrice": one.price(trade.price), "execQty": one.qty(trade.qty),
        "execValue": one.value(trade.price, trade.qty), "execFee": one.fee(trade.fee),
        "feeRate": crate::sim::server::decimal::short(spec.taker.raw(), 9), "execType": "Trade",
        "leavesQty": one.qty(order.wish.qty - order.filled), "closedSize": "0",
        "orderId": order_id(order.number), "orderLinkId": order.wish.client_id,
        "orderPrice": one.price(order.wish.limit.unwrap_or(0)),
        "orderQty": one.qty(order.wish.qty), "side": side(order.wish.side),
        "orderType": if order.wish.limit.is_some() { "Limit" } else { "Market" },
        "execTime": trade.at.to_string(), "isMaker": false, "seq": trade.id, "execPnl": "0",
        "feeCurrency": "USDT",
    })
}

fn exec_id(id: u64) -> String {
    format!("00000000-0000-4000-a000-{id:012x}")
}
