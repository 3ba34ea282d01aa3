//! The calls: one set of operations, reached by REST and by WS-API.

use serde_json::{Value, json};

use super::calls::{ApiError, Call, Outcome, side};
use super::{Binance, answer, order_result, place};
use crate::sim::server::desk::{ConnId, Desk, Listed, Out, Reply, Via};
use crate::sim::server::http::Request;
use crate::sim::server::orders::OrderRecord;

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Ping,
    Time,
    ExchangeInfo,
    BookTicker,
    Place,
    Query,
    Cancel,
    Trades,
    /// Flat symbols as well.
    AllPositions,
    Positions,
    StartStream,
    KeepStream,
    StopStream,
}

impl Operation {
    fn of_rest(method: &str, path: &str) -> Option<Self> {
        Some(match (method, path) {
            ("GET", "/fapi/v1/ping") => Self::Ping,
            ("GET", "/fapi/v1/time") => Self::Time,
            ("GET", "/fapi/v1/exchangeInfo") => Self::ExchangeInfo,
            ("GET", "/fapi/v1/ticker/bookTicker") => Self::BookTicker,
            ("POST", "/fapi/v1/order") => Self::Place,
            ("GET", "/fapi/v1/order") => Self::Query,
            ("DELETE", "/fapi/v1/order") => Self::Cancel,
            ("GET", "/fapi/v1/userTrades") => Self::Trades,
            ("GET", "/fapi/v2/positionRisk") => Self::AllPositions,
            ("GET", "/fapi/v3/positionRisk") => Self::Positions,
            ("POST", "/fapi/v1/listenKey") => Self::StartStream,
            ("PUT", "/fapi/v1/listenKey") => Self::KeepStream,
            ("DELETE", "/fapi/v1/listenKey") => Self::StopStream,
            _ => return None,
        })
    }

    fn of_socket(method: &str) -> Option<Self> {
        Some(match method {
            "ping" => Self::Ping,
            "time" => Self::Time,
            "ticker.book" => Self::BookTicker,
            "order.place" => Self::Place,
            "order.status" => Self::Query,
            "order.cancel" => Self::Cancel,
            "account.position" => Self::AllPositions,
            "v2/account.position" => Self::Positions,
            "userDataStream.start" => Self::StartStream,
            "userDataStream.ping" => Self::KeepStream,
            "userDataStream.stop" => Self::StopStream,
            _ => return None,
        })
    }
}

impl Binance {
    /// A WS-API request.
    pub(super) fn on_api(&mut self, desk: &mut Desk, conn: ConnId, limits: bool, text: &str) {
        let via = |id: &Value, limits| Via::Socket { id: id.clone(), limits };
        let refuse = |desk: &mut Desk, id: &Value, code, text: &str| {
            let reply = Reply { conn, via: via(id, false) };
            answer(desk, &reply, Outcome::Now(Err(ApiError::new(code, text))));
        };
        let Ok(request) = serde_json::from_str::<Value>(text) else {
            return refuse(desk, &Value::Null, -1135, "Invalid JSON Request");
        };
        let id = request.get("id").cloned().unwrap_or(Value::Null);
        let Some(method) = request.get("method").and_then(Value::as_str) else {
            return refuse(desk, &id, -1102, "Mandatory parameter 'method' was not sent.");
        };
        let Some(operation) = Operation::of_socket(method) else {
            return refuse(desk, &id, -1020, "This operation is not supported.");
        };
        let params = request.get("params").unwrap_or(&Value::Null);
        let asked = params.get("returnRateLimits").and_then(Value::as_bool);
        let reply = Reply { conn, via: via(&id, asked.unwrap_or(limits)) };
        let outcome = self.call(desk, operation, &Call::from_params(params), &reply);
        answer(desk, &reply, outcome);
    }

    /// A REST request.
    pub(super) fn on_rest(&mut self, desk: &mut Desk, conn: ConnId, request: &Request) {
        let Some(operation) = Operation::of_rest(&request.method, &request.path) else {
            let body = json!({"code": -5000, "msg": "Path not found."}).to_string();
            desk.answer(conn, Out::Response { status: 404, body });
            return;
        };
        let reply = Reply { conn, via: Via::Http };
        let outcome = self.call(desk, operation, &Call::from_rest(request), &reply);
        answer(desk, &reply, outcome);
    }

    fn call(
        &mut self,
        desk: &mut Desk,
        operation: Operation,
        call: &Call,
        reply: &Reply,
    ) -> Outcome {
        if operation == Operation::Place {
            return match place::wish(desk, call, reply.clone()) {
                Ok(wish) => {
                    desk.place(wish);
                    Outcome::Later
                }
                Err(error) => Outcome::Now(Err(error)),
            };
        }
        Outcome::Now(match operation {
            Operation::Ping => Ok(json!({})),
            Operation::Time => Ok(json!({"serverTime": desk.now_ms()})),
            Operation::ExchangeInfo => Ok(exchange_info(desk)),
            Operation::BookTicker => book_ticker(desk, call),
            Operation::Place => unreachable!("handled above"),
            Operation::Query => found(desk, call, -2013, "Order does not exist.")
                .map(|order| order_result(desk, order)),
            // Nothing rests: whatever could be cancelled is finished.
            Operation::Cancel => call
                .signed(desk)
                .and_then(|_| call.symbol(desk))
                .and_then(|_| Err(ApiError::new(-2011, "Unknown order sent."))),
            Operation::Trades => trades(desk, call),
            Operation::AllPositions => positions(desk, call, true),
            Operation::Positions => positions(desk, call, false),
            Operation::StartStream | Operation::KeepStream | Operation::StopStream => {
                self.stream(desk, operation, call)
            }
        })
    }

    fn stream(
        &mut self,
        desk: &mut Desk,
        operation: Operation,
        call: &Call,
    ) -> Result<Value, ApiError> {
        let account = call.keyed(desk)?;
        if desk.faults().refuse_logins {
            let text = "Invalid API-key, IP, or permissions for action.";
            return Err(ApiError::new(-2015, text));
        }
        let unknown = || ApiError::new(-1125, "This listenKey does not exist.");
        match operation {
            Operation::StartStream => Ok(json!({"listenKey": self.keys.start(desk, account)})),
            Operation::KeepStream => {
                let key = self.keys.keep(desk, account).ok_or_else(unknown)?;
                Ok(json!({"listenKey": key}))
            }
            _ => self.keys.stop(account).then(|| json!({})).ok_or_else(unknown),
        }
    }
}

/// The order that a signed query names, by its own id or the client's.
fn found<'d>(
    desk: &'d Desk,
    call: &Call,
    code: i64,
    unknown: &str,
) -> Result<&'d OrderRecord, ApiError> {
    let account = call.signed(desk)?;
    let listed = call.symbol(desk)?;
    let order = match (call.number("orderId")?, call.get("origClientOrderId")) {
        (Some(number), _) => desk.orders.get(number),
        (None, Some(id)) => desk.orders.by_client_id(account, id),
        (None, None) => {
            let text =
                "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!";
            return Err(ApiError::new(-1102, text));
        }
    };
    let is_known = |order: &&OrderRecord| {
        order.wish.account == account && order.wish.listed == listed && order.is_public()
    };
    order.filter(is_known).ok_or_else(|| ApiError::new(code, unknown))
}

fn trades(desk: &Desk, call: &Call) -> Result<Value, ApiError> {
    let account = call.signed(desk)?;
    let listed = call.symbol(desk)?;
    let limit = call.number("limit")?.unwrap_or(500).min(1_000) as usize;
    let order = call.number("orderId")?;
    let from = call.number("fromId")?;
    let one = &desk.listed[listed];
    let all = desk.orders.trades_of(account).filter(|(trade, record)| {
        record.wish.listed == listed
            && order.is_none_or(|order| order == record.number)
            && from.is_none_or(|from| trade.id >= from)
    });
    let row = |(trade, record): (&crate::sim::server::orders::Trade, &OrderRecord)| {
        json!({
            "buyer": record.wish.side == reap_core::order::OrderSide::Buy,
            "commission": one.fee(trade.fee), "commissionAsset": "USDT", "id": trade.id,
            "maker": false, "orderId": record.number, "price": one.price(trade.price),
            "qty": one.qty(trade.qty), "quoteQty": one.value(trade.price, trade.qty),
            "realizedPnl": "0", "side": side(record.wish.side), "positionSide": "BOTH",
            "symbol": one.symbol, "time": trade.at,
        })
    };
    // With a first id the oldest of them, else the newest; always in the order of time.
    let mut rows: Vec<Value> = match from {
        Some(_) => all.rev().take(limit).map(row).collect(),
        None => all.take(limit).map(row).collect(),
    };
    if from.is_none() {
        rows.reverse();
    }
    Ok(json!(rows))
}

fn positions(desk: &Desk, call: &Call, with_flat: bool) -> Result<Value, ApiError> {
    let account = call.signed(desk)?;
    let only = call.get("symbol").map(|_| call.symbol(desk)).transpose()?;
    let mut rows = Vec::new();
    for (listed, one) in desk.listed.iter().enumerate() {
        let held = desk.position(account, listed);
        if only.is_some_and(|only| only != listed) || held == 0 && !with_flat {
            continue;
        }
        let mark = one.best.map_or(0, |best| best.bid);
        rows.push(json!({
            "symbol": one.symbol, "positionSide": "BOTH", "positionAmt": one.qty(held),
            "entryPrice": "0.0", "breakEvenPrice": "0.0", "markPrice": one.price(mark),
            "unRealizedProfit": "0.00000000", "liquidationPrice": "0",
            "notional": one.value(mark, held), "marginAsset": "USDT", "updateTime": desk.now_ms(),
        }));
    }
    Ok(json!(rows))
}

fn book_ticker(desk: &Desk, call: &Call) -> Result<Value, ApiError> {
    let row = |one: &Listed| {
        let best = one.best?;
        Some(json!({
            "symbol": one.symbol, "bidPrice": one.price(best.bid), "bidQty": one.qty(best.bid_qty),
            "askPrice": one.price(best.ask), "askQty": one.qty(best.ask_qty), "time": best.at,
        }))
    };
    if call.get("symbol").is_some() {
        let one = &desk.listed[call.symbol(desk)?];
        // Before its first quote an instrument has nothing to show.
        return Ok(row(one).unwrap_or_else(|| {
            json!({"symbol": one.symbol, "bidPrice": "0", "bidQty": "0", "askPrice": "0", "askQty": "0", "time": 0})
        }));
    }
    Ok(json!(desk.listed.iter().filter_map(row).collect::<Vec<_>>()))
}

fn exchange_info(desk: &Desk) -> Value {
    let symbol = |one: &Listed| {
        let spec = one.spec();
        let (most, longest) = (reap_core::limits::QTY_MAX, reap_core::limits::PRICE_MAX);
        json!({
            "symbol": one.symbol, "pair": one.symbol, "contractType": "PERPETUAL",
            "status": "TRADING", "quoteAsset": "USDT", "marginAsset": "USDT",
            "baseAsset": one.symbol.trim_end_matches("USDT"),
            "pricePrecision": spec.price_scale, "quantityPrecision": spec.qty_scale,
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": one.price(spec.tick),
                 "maxPrice": one.price(longest), "tickSize": one.price(spec.tick)},
                {"filterType": "LOT_SIZE", "minQty": one.qty(spec.min_qty),
                 "maxQty": one.qty(most), "stepSize": one.qty(spec.lot)},
                {"filterType": "MARKET_LOT_SIZE", "minQty": one.qty(spec.min_qty),
                 "maxQty": one.qty(most), "stepSize": one.qty(spec.lot)},
                {"filterType": "MIN_NOTIONAL", "notional": spec.min_notional.to_string()},
            ],
            "orderTypes": ["LIMIT", "MARKET"], "timeInForce": ["IOC"],
        })
    };
    json!({
        "timezone": "UTC", "serverTime": desk.now_ms(),
        "rateLimits": [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2400}],
        "symbols": desk.listed.iter().map(symbol).collect::<Vec<_>>(),
    })
}
