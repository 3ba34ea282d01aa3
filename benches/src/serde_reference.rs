//! The reference of the codec figure: `bookTicker` decoded with serde_json into borrowed strings,
//! then exact integer decimals, the same symbol table and the same tick.
//!
//! It does what a good first version would do: derived structures with the fields that it needs,
//! unknown ones ignored, nothing copied. What the product's codec does beyond it (every other kind
//! of message, duplicate keys, reasons of refusal) it does not have to do.

use reap_core::instrument::SourceId;
use reap_core::tick::{Quote, Stamp, Tick};
use reap_core::units::Nanos;
use reap_feed::symbols::Symbols;
use serde::Deserialize;

#[derive(Deserialize)]
struct Combined<'a> {
    #[serde(borrow)]
    data: BookTicker<'a>,
}

#[derive(Deserialize)]
struct BookTicker<'a> {
    u: u64,
    s: &'a str,
    b: &'a str,
    #[serde(rename = "B")]
    bid_qty: &'a str,
    a: &'a str,
    #[serde(rename = "A")]
    ask_qty: &'a str,
    /// Absent on spot.
    #[serde(rename = "T")]
    time: Option<u64>,
}

/// A combined `bookTicker` message as a tick; `None` when anything about it is wrong.
#[must_use]
pub fn decode(raw: &[u8], received: Nanos, source: SourceId, symbols: &Symbols) -> Option<Tick> {
    let message: Combined<'_> = serde_json::from_slice(raw).ok()?;
    let ticker = message.data;
    let (_, symbol) = symbols.find(ticker.s.as_bytes())?;
    let price = |text| decimal(text, symbol.price_scale);
    let qty = |text| decimal(text, symbol.qty_scale);
    let quote =
        Quote::new(price(ticker.b)?, price(ticker.a)?, qty(ticker.bid_qty)?, qty(ticker.ask_qty)?)
            .ok()?;
    let lag = |millis: u64| (received.0 / 1000) as i64 - (millis * 1000) as i64;
    let stamp = Stamp {
        source,
        received,
        update_id: ticker.u,
        venue_lag_us: ticker.time.map_or(0, |time| lag(time) as i32),
        reset: false,
    };
    Some(Tick::quote(symbol.instrument, stamp, quote))
}

/// A decimal digit by digit, exact at `scale`.
fn decimal(text: &str, scale: u8) -> Option<i64> {
    let mut value = 0i64;
    let mut decimals = None;
    for byte in text.bytes() {
        match (byte, decimals) {
            (b'.', None) => decimals = Some(0u8),
            (b'0'..=b'9', Some(count)) if count == scale => {
                if byte != b'0' {
                    return None;
                }
            }
            (b'0'..=b'9', _) => {
                value = value.checked_mul(10)?.checked_add(i64::from(byte - b'0'))?;
                decimals = decimals.map(|count| count + 1);
            }
            _ => return None,
        }
    }
    for _ in decimals.unwrap_or(0)..scale {
        value = value.checked_mul(10)?;
    }
    Some(value)
}
