//! The codecs a second time, plainly: serde_json finds the values, `i128` reads the numbers, and
//! every message is decided from the words of the venues' documentation. Shares no code with the
//! product but the types of its answers.

use std::collections::HashMap;

use reap_core::instrument::InstrumentId;
use reap_core::tick::{Quote, Stamp, Tick};
use reap_core::units::{Nanos, Price, Qty, Rate};
use reap_feed::decoded::{Decoded, Kind, Rejection};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Row, SOURCE};

mod binance;
mod bybit;

pub use binance::binance;
pub use bybit::Bybit;

/// What a message should become.
pub type Answer = (Decoded, Vec<Tick>);

/// An object as its keys and unread values, in order, duplicates included.
struct Pairs<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Pairs<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'de>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// The read keys of an object; an error for bad JSON and for a read key that stands twice.
struct Object<'a>(HashMap<String, &'a str>);

impl<'a> Object<'a> {
    fn parse(text: &'a [u8], read: &[&str]) -> Result<Self, Rejection> {
        let pairs: Pairs<'a> = serde_json::from_slice(text).map_err(|_| Rejection::Syntax)?;
        let mut values = HashMap::new();
        for (key, value) in pairs.0 {
            if read.contains(&key.as_str()) && values.insert(key, value.get()).is_some() {
                return Err(Rejection::DuplicateKey);
            }
        }
        Ok(Self(values))
    }

    fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    fn raw(&self, key: &str) -> Option<&'a str> {
        self.0.get(key).copied()
    }

    /// A string without escapes.
    fn text(&self, key: &str) -> Option<&'a str> {
        let inner = self.raw(key)?.strip_prefix('"')?.strip_suffix('"')?;
        (!inner.contains('\\')).then_some(inner)
    }

    fn integer(&self, key: &str) -> Option<u64> {
        integer(self.raw(key)?)
    }

    fn time(&self, key: &str) -> Option<Nanos> {
        let time = self.text(key).map_or_else(|| self.integer(key), integer)?;
        let unit = match time.checked_ilog10().unwrap_or(0) {
            0..=12 => 1_000_000,
            13..=15 => 1000,
            _ => 1,
        };
        Some(Nanos(time * unit))
    }

    fn number(&self, key: &str, scale: u8) -> Result<i64, Rejection> {
        number(self.text(key).ok_or(Rejection::Field)?, scale)
    }
}

fn integer(text: &str) -> Option<u64> {
    let is_canonical = !text.starts_with('+') && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_canonical)
}

/// `i128` mantissa at `scale`; `floor` drops what is behind it.
fn decimal(text: &str, scale: u8, floor: bool) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let cut = fraction.len().min(usize::from(scale));
    if !floor && fraction[cut..].bytes().any(|byte| byte != b'0') {
        return None;
    }
    let padded = format!("{whole}{:0<width$}", &fraction[..cut], width = usize::from(scale));
    let trimmed = padded.trim_start_matches('0');
    if trimmed.len() > 30 {
        return None;
    }
    let value: i128 = if trimmed.is_empty() { 0 } else { trimmed.parse().unwrap() };
    i64::try_from(value).ok()
}

fn number(text: &str, scale: u8) -> Result<i64, Rejection> {
    if let Some(magnitude) = text.strip_prefix('-') {
        let is_number = decimal(magnitude, scale, false).is_some();
        return Err(if is_number { Rejection::NotPositive } else { Rejection::Malformed });
    }
    decimal(text, scale, false).ok_or(Rejection::Malformed)
}

fn mark_price(text: &str, scale: u8) -> Result<Price, Rejection> {
    if let Some(magnitude) = text.strip_prefix('-') {
        let is_number = decimal(magnitude, scale, true).is_some();
        return Err(if is_number { Rejection::NotPositive } else { Rejection::Malformed });
    }
    price(decimal(text, scale, true).ok_or(Rejection::Malformed)?)
}

fn price(mantissa: i64) -> Result<Price, Rejection> {
    if mantissa == 0 {
        return Err(Rejection::NotPositive);
    }
    Price::new(mantissa).map_err(|_| Rejection::Malformed)
}

fn quantity(mantissa: i64) -> Result<Qty, Rejection> {
    if mantissa == 0 {
        return Err(Rejection::NotPositive);
    }
    Qty::new(mantissa).map_err(|_| Rejection::Malformed)
}

fn rate(text: &str) -> Result<Rate, Rejection> {
    let (sign, magnitude) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let ppb = decimal(magnitude, 9, false).ok_or(Rejection::Malformed)?;
    Rate::new(sign * ppb).map_err(|_| Rejection::Malformed)
}

fn stamp(received: Nanos, update_id: u64, time: Option<Nanos>) -> Stamp {
    let lag = |time: Nanos| i128::from(received.0 / 1000) - i128::from(time.0 / 1000);
    let venue_lag_us = time.map_or(0, lag).clamp(i32::MIN.into(), i32::MAX.into()) as i32;
    Stamp { source: SOURCE, received, update_id, venue_lag_us, reset: false }
}

fn alive(received: Nanos) -> Vec<Tick> {
    vec![Tick::alive(stamp(received, 0, None))]
}

fn find(rows: &[Row], name: &str) -> Option<(InstrumentId, u8, u8)> {
    let at = rows.iter().position(|row| row.0 == name)?;
    Some((InstrumentId(at as u16), rows[at].1, rows[at].2))
}

fn quote_answer(id: InstrumentId, stamp: Stamp, quote: Result<Quote, Rejection>) -> Answer {
    match quote {
        Ok(quote) => (Decoded::used(Kind::Quote), vec![Tick::quote(id, stamp, quote)]),
        Err(reason) => (
            Decoded::rejected(Kind::Quote, reason),
            vec![Tick::refused(id, stamp, reason.refusal())],
        ),
    }
}
