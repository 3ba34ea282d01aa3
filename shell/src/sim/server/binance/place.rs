//! Placing an order: every check that Binance's gateway makes before the book.

use reap_core::limits::{PRICE_MAX, QTY_MAX};
use reap_core::order::OrderSide;

use super::calls::{ApiError, Call};
use crate::sim::server::decimal::{self, NumberError};
use crate::sim::server::desk::{Desk, Reply};
use crate::sim::server::orders::Wish;

/// What an order's parameters ask for.
pub(super) fn wish(desk: &Desk, call: &Call, reply: Reply) -> Result<Wish, ApiError> {
    let account = call.signed(desk)?;
    let listed = call.symbol(desk)?;
    let one = &desk.listed[listed];
    let side = match call.must("side")? {
        "BUY" => OrderSide::Buy,
        "SELL" => OrderSide::Sell,
        _ => return Err(ApiError::new(-1117, "Invalid side.")),
    };
    if call.get("positionSide").is_some_and(|side| side != "BOTH") {
        let text = "Order's position side does not match user's setting.";
        return Err(ApiError::new(-4061, text));
    }
    let reduce_only = reduce_only(call)?;
    let is_limit = is_limit(call)?;
    let qty = quantity(call.must("quantity")?, one.spec().qty_scale)?;
    let limit = match is_limit {
        true => Some(price(call.must("price")?, one.spec().price_scale)?),
        false => None,
    };
    grid(one.spec().tick, limit)?;
    if qty < one.spec().min_qty {
        return Err(ApiError::new(-4004, "Quantity less than min quantity."));
    }
    if qty % one.spec().lot != 0 {
        return Err(ApiError::new(-4023, "Qty not increased by step size."));
    }
    if let Some(limit) = limit
        && !reduce_only
        && one.is_small(limit, qty)
    {
        return Err(ApiError::small());
    }
    let answer_outcome = match call.get("newOrderRespType") {
        None | Some("ACK") => false,
        Some("RESULT") => true,
        Some(_) => return Err(ApiError::invalid("newOrderRespType")),
    };
    let client_id = match call.get("newClientOrderId") {
        None => format!("sim{}", desk.orders.next()),
        Some(id) if is_client_id(id) => id.to_owned(),
        Some(_) => {
            let text = "Illegal characters found in parameter 'newClientOrderId'; legal range is '^[\\.A-Z\\:/a-z0-9_-]{1,36}$'.";
            return Err(ApiError::new(-1100, text));
        }
    };
    // Free again once the order is finished.
    if desk.orders.by_client_id(account, &client_id).is_some_and(|order| order.is_open()) {
        return Err(ApiError::new(-4116, "ClientOrderId is duplicated."));
    }
    Ok(Wish { account, listed, client_id, side, qty, limit, reduce_only, answer_outcome, reply })
}

/// A text, true or false: JSON's own are another type.
fn reduce_only(call: &Call) -> Result<bool, ApiError> {
    let invalid = || ApiError::new(-4062, "Invalid reduceOnly: send \"true\" or \"false\".");
    if call.booleans.iter().any(|name| name == "reduceOnly") {
        return Err(invalid());
    }
    match call.get("reduceOnly") {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(invalid()),
    }
}

/// Whether it is a limit order, else a market order. Only immediate-or-cancel is simulated.
fn is_limit(call: &Call) -> Result<bool, ApiError> {
    let force = call.get("timeInForce");
    match call.must("type")? {
        "LIMIT" => match force {
            Some("IOC") => Ok(true),
            Some(_) => Err(ApiError::new(-1115, "Invalid timeInForce.")),
            None => Err(ApiError::missing("timeInForce")),
        },
        "MARKET" => {
            for name in ["timeInForce", "price"] {
                if call.get(name).is_some() {
                    let text = format!("Parameter '{name}' sent when not required.");
                    return Err(ApiError::new(-1106, text));
                }
            }
            Ok(false)
        }
        "STOP" | "STOP_MARKET" | "TAKE_PROFIT" | "TAKE_PROFIT_MARKET" | "TRAILING_STOP_MARKET" => {
            let text = "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.";
            Err(ApiError::new(-4120, text))
        }
        _ => Err(ApiError::new(-1116, "Invalid orderType.")),
    }
}

fn quantity(text: &str, scale: u8) -> Result<i64, ApiError> {
    match number("quantity", text, scale)? {
        0 => Err(ApiError::new(-4003, "Quantity less than or equal to zero.")),
        qty if qty > QTY_MAX => Err(ApiError::new(-4005, "Quantity greater than max quantity.")),
        qty => Ok(qty),
    }
}

fn price(text: &str, scale: u8) -> Result<i64, ApiError> {
    match number("price", text, scale)? {
        0 => Err(ApiError::new(-4001, "Price less than 0.")),
        price if price > PRICE_MAX => Err(ApiError::new(-4002, "Price greater than max price.")),
        price => Ok(price),
    }
}

fn grid(tick: i64, limit: Option<i64>) -> Result<(), ApiError> {
    match limit {
        Some(limit) if limit % tick != 0 => {
            Err(ApiError::new(-4014, "Price not increased by tick size."))
        }
        _ => Ok(()),
    }
}

fn number(name: &str, text: &str, scale: u8) -> Result<i64, ApiError> {
    decimal::parse(text, scale).map_err(|error| match error {
        NumberError::Malformed => ApiError::new(
            -1100,
            format!(
                "Illegal characters found in parameter '{name}'; legal range is '^([0-9]{{1,20}})(\\.[0-9]{{1,20}})?$'."
            ),
        ),
        NumberError::TooFine => {
            ApiError::new(-1111, "Precision is over the maximum defined for this asset.")
        }
    })
}

fn is_client_id(id: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b".:/_-".contains(&byte);
    id.len() <= 36 && id.bytes().all(legal)
}
