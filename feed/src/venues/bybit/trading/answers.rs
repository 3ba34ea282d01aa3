//! Answers of the REST interface.

use reap_core::order::ClientOrderId;
use reap_core::units::Nanos;

use super::{codes, encode, rows};
use crate::decimal;
use crate::json::{JsonError, Token};
use crate::trading::RefusedWhat;
use crate::trading::desk::{Ask, Desk};
use crate::trading::walk;

/// Longest cursor of a page.
const CURSOR_MAX: usize = 512;
/// Pages of one order's executions that are read.
const PAGES_MAX: u32 = 100;

/// The answer to the question under way. The cursor of the next page is kept in `next`.
pub(super) fn on_response(
    desk: &mut Desk,
    now: Nanos,
    status: u16,
    body: &[u8],
    next: &mut String,
) {
    let Some(ask) = desk.take_ask() else { return };
    if status != 200 {
        desk.failed(now, ask, i64::from(status));
        return;
    }
    if read(desk, now, ask, body, next).is_err() {
        desk.orders.counters.malformed += 1;
        desk.failed(now, ask, 0);
    }
}

fn read(
    desk: &mut Desk,
    now: Nanos,
    ask: Ask,
    raw: &[u8],
    next: &mut String,
) -> Result<(), JsonError> {
    let [code, result] = walk::message(raw, ["retCode", "result"])?;
    let code = walk::signed(code, raw).ok_or(JsonError::Syntax)?;
    if code != 0 {
        on_refused(desk, now, ask, code);
        return Ok(());
    }
    let [category, list, cursor] =
        walk::object(raw, result, ["category", "list", "nextPageCursor"])?;
    if category.is_present() && category.string(raw) != Some(b"linear") {
        return Err(JsonError::Syntax);
    }
    match ask {
        Ask::Status { id, again } => on_status(desk, now, (id, again), raw, list),
        Ask::Trades { id, page } => {
            let mut rows = 0;
            walk::rows(raw, list, |row| {
                rows += 1;
                rows::execution(desk, now, raw, row)
            })?;
            // The last page may have a cursor too.
            let cursor = cursor.string(raw).filter(|_| rows >= encode::PAGE_ROWS);
            on_page(desk, now, (id, page), cursor.unwrap_or_default(), next)
        }
        Ask::Position { index } => on_position(desk, raw, list, index),
    }
}

fn on_refused(desk: &mut Desk, now: Nanos, ask: Ask, code: i64) {
    match ask {
        Ask::Status { id, again: true } if codes::NO_SUCH_ORDER.contains(&code) => {
            desk.orders.on_not_found(now, id);
        }
        Ask::Status { id, again: false } if codes::NO_SUCH_ORDER.contains(&code) => {
            desk.follow(Ask::Status { id, again: true });
        }
        _ => {
            if let Some(what) = codes::alarm(code) {
                desk.refuse(what, code);
            }
            desk.failed(now, ask, code);
        }
    }
}

/// Only the history can say that there is no such order: the recent ones are lost when the venue
/// restarts.
fn on_status(
    desk: &mut Desk,
    now: Nanos,
    (id, again): (ClientOrderId, bool),
    raw: &[u8],
    list: Token,
) -> Result<(), JsonError> {
    let (mut found, mut is_empty) = (None, true);
    walk::rows(raw, list, |row| {
        is_empty = false;
        if let Some(order) = rows::order(raw, row, desk)? {
            found = Some(order).filter(|order| order.identity.id == id).or(found.take());
        }
        Ok(())
    })?;
    match found {
        Some(order) => desk.orders.on_status(now, &order.identity, order.status),
        // Rows, but not of this order: an answer to something else.
        None if !is_empty => return Err(JsonError::Syntax),
        None if again => desk.orders.on_not_found(now, id),
        None => desk.follow(Ask::Status { id, again: true }),
    }
    Ok(())
}

fn on_page(
    desk: &mut Desk,
    now: Nanos,
    (id, page): (ClientOrderId, u32),
    cursor: &[u8],
    next: &mut String,
) -> Result<(), JsonError> {
    let is_last = cursor.is_empty() || page >= PAGES_MAX || desk.orders.get(id).is_none();
    if is_last {
        desk.orders.on_trades_end(now, id);
        return Ok(());
    }
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"%-_.~".contains(byte);
    if cursor.len() > CURSOR_MAX {
        return Err(JsonError::TooLong);
    }
    next.clear();
    for byte in cursor {
        // Given percent-encoded; what is not is made so.
        if plain(byte) {
            next.push(char::from(*byte));
        } else {
            use std::fmt::Write as _;
            write!(next, "%{byte:02X}").expect("a string takes everything");
        }
    }
    desk.follow(Ask::Trades { id, page: page + 1 });
    Ok(())
}

/// The symbol must have its row, flat or not: no row says nothing.
fn on_position(desk: &mut Desk, raw: &[u8], list: Token, index: usize) -> Result<(), JsonError> {
    let (mut found, mut hedged) = (None, false);
    walk::rows(raw, list, |row| {
        let keys = ["symbol", "positionIdx", "side", "size"];
        let [symbol, position, side, size] = walk::object(raw, row, keys)?;
        if desk.symbol(symbol.string(raw)) != Some(index) {
            return Err(JsonError::Syntax);
        }
        hedged |= position.integer(raw).ok_or(JsonError::Syntax)? != 0;
        let scale = desk.instruments[index].instrument.spec().qty_scale;
        let size = size.string(raw).ok_or(JsonError::Syntax)?;
        let size = decimal::parse(size, scale).map_err(|_| JsonError::Syntax)?;
        let qty = match side.string(raw) {
            Some(b"Buy") => size,
            Some(b"Sell") => -size,
            Some(b"" | b"None") if size == 0 => 0,
            _ => return Err(JsonError::Syntax),
        };
        if found.replace(qty).is_some() && !hedged {
            return Err(JsonError::DuplicateKey);
        }
        Ok(())
    })?;
    if hedged {
        desk.refuse(RefusedWhat::PositionMode, 0);
        return Err(JsonError::Syntax);
    }
    desk.on_position(index, found.ok_or(JsonError::Syntax)?);
    desk.finish_positions();
    Ok(())
}
