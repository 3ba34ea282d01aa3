//! The capture format: one line for each thing that happened on a connection.
//!
//! ```text
//! wss://host/path <-> 1749833471.8455276             connected
//! wss://host/path <- 1749833474.000351: {"op":…      sent by us
//! 1749833474.2851315: {"topic":…                     received
//! ```
//!
//! Times are seconds since the epoch as a decimal; they are read digit by digit, never as a float.
//! Empty lines are skipped.

use reap_core::units::Nanos;

use crate::decimal;
use crate::recording::{Item, LineFault};

/// Whether a first line is of this format.
pub(crate) fn is_capture(line: &[u8]) -> bool {
    is_url(line) || received(line).is_ok()
}

/// What a line says; `None` for an empty one.
pub(crate) fn parse(line: &[u8]) -> Result<Option<Item<'_>>, LineFault> {
    if line.is_empty() {
        return Ok(None);
    }
    if !is_url(line) {
        return received(line).map(Some);
    }
    let space = memchr::memchr(b' ', line).ok_or(LineFault::Shape)?;
    let (url, rest) = (&line[..space], &line[space + 1..]);
    let url = std::str::from_utf8(url).map_err(|_| LineFault::Shape)?;
    if let Some(at) = rest.strip_prefix(b"<-> ") {
        return Ok(Some(Item::Connected { at: seconds(at)?, url }));
    }
    let rest = rest.strip_prefix(b"<- ").ok_or(LineFault::Shape)?;
    let (at, raw) = timed(rest)?;
    Ok(Some(Item::Sent { at, url, raw }))
}

fn is_url(line: &[u8]) -> bool {
    line.starts_with(b"wss://") || line.starts_with(b"ws://")
}

fn received(line: &[u8]) -> Result<Item<'_>, LineFault> {
    let (received, raw) = timed(line)?;
    Ok(Item::Received { received, raw })
}

/// A time, `": "`, and the rest.
fn timed(text: &[u8]) -> Result<(Nanos, &[u8]), LineFault> {
    let colon = memchr::memchr(b':', text).ok_or(LineFault::Shape)?;
    let raw = text[colon + 1..].strip_prefix(b" ").ok_or(LineFault::Shape)?;
    Ok((seconds(&text[..colon])?, raw))
}

fn seconds(text: &[u8]) -> Result<Nanos, LineFault> {
    const NANOS_SCALE: u8 = 9;
    let nanos = decimal::parse(text, NANOS_SCALE).map_err(|_| LineFault::Time)?;
    Ok(Nanos(nanos.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_line() {
        let at = Nanos(1_749_833_474_285_131_500);
        let received = Item::Received { received: at, raw: b"{\"a\":1}" };
        assert_eq!(parse(b"1749833474.2851315: {\"a\":1}"), Ok(Some(received)));
        let url = "wss://stream.bybit.com/v5/public/linear";
        let line = format!("{url} <-> 1749833474.2851315");
        assert_eq!(parse(line.as_bytes()), Ok(Some(Item::Connected { at, url })));
        let line = format!("{url} <- 1749833474.2851315: {{}}");
        assert_eq!(parse(line.as_bytes()), Ok(Some(Item::Sent { at, url, raw: b"{}" })));
        assert_eq!(parse(b""), Ok(None));
        let whole = Item::Received { received: Nanos(1_749_833_474_000_000_000), raw: b"" };
        assert_eq!(parse(b"1749833474: "), Ok(Some(whole)));
    }

    #[test]
    fn lines_of_no_kind() {
        for line in ["{}", "1749833474.28", "1749833474.28:{}", "wss://x", "wss://x -> 1: {}"] {
            assert_eq!(parse(line.as_bytes()), Err(LineFault::Shape), "{line}");
        }
        for line in ["1.7e9: {}", "-1: {}", "1.0000000001: {}", "wss://x <-> soon", ": {}"] {
            assert_eq!(parse(line.as_bytes()), Err(LineFault::Time), "{line}");
        }
    }
}
