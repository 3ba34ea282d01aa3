//! Reading the feed: which stream a message belongs to, and its best prices.

use serde_json::Value;

use super::decimal;
use super::desk::{Best, Listed};

/// A message without the envelope of a combined stream, as it was written, and parsed.
pub(super) fn unwrap(raw: &str) -> Option<(Option<String>, &str, Value)> {
    let raw = raw.trim();
    let mut parsed: Value = serde_json::from_str(raw).ok()?;
    let Some(stream) = parsed.get("stream").and_then(Value::as_str).map(str::to_owned) else {
        return Some((None, raw, parsed));
    };
    let data = parsed.get_mut("data")?.take();
    // The data is the envelope's last field, as the venue writes it.
    let start = raw.find(r#""data":"#)? + r#""data":"#.len();
    let inner = raw[start..].strip_suffix('}')?;
    let is_whole = serde_json::from_str::<Value>(inner).is_ok_and(|again| again == data);
    is_whole.then_some((Some(stream), inner, data))
}

/// Best prices from four texts, at an instrument's scales.
pub(super) fn best(listed: &Listed, texts: [Option<&str>; 4], at: u64) -> Option<Best> {
    let [bid, ask, bid_qty, ask_qty] = texts;
    let price = |text: Option<&str>| decimal::parse(text?, listed.spec().price_scale).ok();
    let qty = |text: Option<&str>| decimal::parse(text?, listed.spec().qty_scale).ok();
    Some(Best {
        bid: price(bid)?,
        ask: price(ask)?,
        bid_qty: qty(bid_qty)?,
        ask_qty: qty(ask_qty)?,
        at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_envelope_comes_off_and_the_bytes_stay() {
        let (stream, inner, data) =
            unwrap(r#"{"stream":"btcusdt@bookTicker","data":{"s":"BTCUSDT","b": "1"}}"#).unwrap();
        assert_eq!(stream.as_deref(), Some("btcusdt@bookTicker"));
        assert_eq!((inner, data["b"].as_str()), (r#"{"s":"BTCUSDT","b": "1"}"#, Some("1")));
        let (stream, inner, _) = unwrap(r#" {"s":"BTCUSDT"} "#).unwrap();
        assert_eq!((stream, inner), (None, r#"{"s":"BTCUSDT"}"#));
        for bad in ["", "{", r#"{"stream":"x"}"#, r#"{"data":{},"stream":"x"}"#, "\u{0}"] {
            assert!(unwrap(bad).is_none(), "{bad}");
        }
    }
}
