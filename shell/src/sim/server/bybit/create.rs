//! Placing an order: every check that Bybit's gateway makes before the book.

use reap_core::instrument::AccountId;
use reap_core::limits::{PRICE_MAX, QTY_MAX};
use reap_core::order::OrderSide;
use serde_json::Value;

use crate::sim::server::decimal;
use crate::sim::server::desk::{Desk, Reply};
use crate::sim::server::orders::Wish;

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) code: i64,
    pub(super) text: String,
}

impl Refused {
    pub(super) fn new(code: i64, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    pub(super) fn small() -> Self {
        Self::new(110_094, "Order notional value below the lower limit")
    }
}

/// What an order's arguments ask for.
pub(super) fn wish(
    desk: &Desk,
    account: AccountId,
    args: &Value,
    reply: Reply,
) -> Result<Wish, Refused> {
    // All values but the two flags are texts; a number is none.
    let text = |name: &'static str| match args.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(invalid(name)),
    };
    let must = |name: &'static str| text(name).and_then(|text| text.ok_or_else(|| invalid(name)));
    if must("category")? != "linear" {
        return Err(Refused::new(10001, "Illegal category"));
    }
    let listed = desk.by_symbol(must("symbol")?);
    let listed = listed.ok_or_else(|| Refused::new(10001, "params error: symbol invalid"))?;
    let one = &desk.listed[listed];
    let spec = one.spec();
    let side = match must("side")? {
        "Buy" => OrderSide::Buy,
        "Sell" => OrderSide::Sell,
        _ => return Err(Refused::new(10001, "Side invalid")),
    };
    if args.get("positionIdx").is_some_and(|index| index.as_i64() != Some(0)) {
        return Err(Refused::new(10001, "position idx not match position mode"));
    }
    let reduce_only = match args.get("reduceOnly") {
        None => false,
        Some(Value::Bool(flag)) => *flag,
        Some(_) => return Err(invalid("reduceOnly")),
    };
    let is_limit = match must("orderType")? {
        "Limit" => true,
        "Market" => false,
        _ => return Err(Refused::new(10001, "OrderType invalid")),
    };
    match text("timeInForce")? {
        Some("IOC") => {}
        None if !is_limit => {}
        // Only immediate-or-cancel is simulated; without the field a limit order rests.
        _ => return Err(Refused::new(10001, "timeInForce invalid")),
    }
    let qty = decimal::parse(must("qty")?, spec.qty_scale)
        .ok()
        .filter(|qty| (1..=QTY_MAX).contains(qty) && qty % spec.lot == 0)
        .ok_or_else(|| Refused::new(10001, "Qty invalid"))?;
    if qty < spec.min_qty {
        let text = "The number of contracts exceeds minimum limit allowed";
        return Err(Refused::new(10001, text));
    }
    let limit = if is_limit {
        let price = decimal::parse(must("price")?, spec.price_scale)
            .ok()
            .filter(|price| (1..=PRICE_MAX).contains(price) && price % spec.tick == 0);
        Some(price.ok_or_else(|| Refused::new(10001, "Price invalid"))?)
    } else {
        None
    };
    let is_exempt = reduce_only && !spec.min_notional_on_reduce;
    if limit.is_some_and(|limit| !is_exempt && one.is_small(limit, qty)) {
        return Err(Refused::small());
    }
    let client_id = match text("orderLinkId")? {
        None => format!("sim-{}", desk.orders.next()),
        Some(id) if is_client_id(id) => id.to_owned(),
        Some(_) => return Err(Refused::new(10001, "OrderLinkedID invalid")),
    };
    // Never free again.
    if desk.orders.by_client_id(account, &client_id).is_some() {
        return Err(Refused::new(110_072, "OrderLinkedID is duplicate"));
    }
    Ok(Wish {
        account,
        listed,
        client_id,
        side,
        qty,
        limit,
        reduce_only,
        answer_outcome: false,
        reply,
    })
}

/// The time of a request on the trade socket.
pub(super) fn check_header(desk: &Desk, request: &Value) -> Result<(), Refused> {
    let header = |name: &str| match request.get("header").and_then(|header| header.get(name)) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    check_time(desk, header("X-BAPI-TIMESTAMP").as_deref(), header("X-BAPI-RECV-WINDOW").as_deref())
}

/// A request is in time when it is at most its window old and less than a second ahead.
pub(super) fn check_time(
    desk: &Desk,
    timestamp: Option<&str>,
    window: Option<&str>,
) -> Result<(), Refused> {
    let number = |text: &str| text.parse::<u64>().ok();
    let at = timestamp.and_then(number).ok_or_else(|| invalid("X-BAPI-TIMESTAMP"))?;
    let window = match window {
        None => 5_000,
        Some(text) => number(text).ok_or_else(|| invalid("X-BAPI-RECV-WINDOW"))?,
    };
    let now = desk.now_ms();
    if now.saturating_sub(desk.options.window(window)) <= at
        && at < now.saturating_add(desk.options.window(1_000))
    {
        return Ok(());
    }
    Err(Refused::new(
        10002,
        format!(
            "invalid request, please check your server timestamp or recv_window param. req_timestamp[{at}],server_timestamp[{now}],recv_window[{window}]"
        ),
    ))
}

fn invalid(name: &str) -> Refused {
    Refused::new(10001, format!("params error: {name} invalid"))
}

fn is_client_id(id: &str) -> bool {
    id.len() <= 36 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}
