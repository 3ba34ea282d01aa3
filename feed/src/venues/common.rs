//! What the market codecs of several venues do alike: stamps, venue times, numbers of quotes.

use reap_core::instrument::SourceId;
use reap_core::tick::{Stamp, Tick};
use reap_core::units::{Nanos, Price, Qty, Rate};

use crate::decimal::{self, DecimalError};
use crate::decoded::{Decoded, Ignored, Kind, Rejection};
use crate::json::Token;

/// Where ticks of one message go, and what they share.
pub(super) struct Sink<'a> {
    pub(super) received: Nanos,
    pub(super) source: SourceId,
    pub(super) out: &'a mut dyn FnMut(Tick),
}

impl Sink<'_> {
    /// The stamp of a tick.
    #[inline]
    pub(super) fn stamp(&self, update_id: u64, venue_time: Option<Nanos>) -> Stamp {
        let venue_lag_us = venue_time.map_or(0, |time| lag_us(self.received, time));
        Stamp {
            source: self.source,
            received: self.received,
            update_id,
            venue_lag_us,
            reset: false,
        }
    }

    #[inline]
    pub(super) fn push(&mut self, tick: Tick) {
        (self.out)(tick);
    }

    /// Data that says nothing of a watched instrument.
    pub(super) fn alive(&mut self) {
        let stamp = self.stamp(0, None);
        self.push(Tick::alive(stamp));
    }

    /// Well-formed data without ticks.
    pub(super) fn ignore(&mut self, kind: Kind, reason: Ignored) -> Decoded {
        self.alive();
        Decoded::ignored(kind, reason)
    }

    /// Refused data that belongs to no watched instrument's price.
    pub(super) fn reject(&mut self, kind: Kind, reason: Rejection) -> Decoded {
        self.alive();
        Decoded::rejected(kind, reason)
    }
}

/// A venue's time in milliseconds, microseconds or nanoseconds since the epoch, told apart by
/// magnitude: the ranges meet in the year 2286.
#[inline]
pub(super) fn venue_time(time: u64) -> Nanos {
    const MICROS_FROM: u64 = 10_000_000_000_000;
    const NANOS_FROM: u64 = 10_000_000_000_000_000;
    if time < MICROS_FROM {
        Nanos(time * 1_000_000)
    } else if time < NANOS_FROM {
        Nanos(time * 1000)
    } else {
        Nanos(time)
    }
}

/// Receive time minus venue time in microseconds, saturated.
#[inline]
fn lag_us(received: Nanos, venue: Nanos) -> i32 {
    let lag = (received.0 / 1000) as i64 - (venue.0 / 1000) as i64;
    lag.clamp(i32::MIN.into(), i32::MAX.into()) as i32
}

/// A price or a size in a string, exact at `scale`.
#[inline]
pub(super) fn number(token: Token, raw: &[u8], scale: u8) -> Result<i64, Rejection> {
    token.decimal(raw, scale).map_err(|error| refused_number(error, token, raw, scale))
}

#[cold]
fn refused_number(error: Option<DecimalError>, token: Token, raw: &[u8], scale: u8) -> Rejection {
    let negative =
        || token.string(raw).is_some_and(|text| decimal::parse_signed(text, scale).is_ok());
    match error {
        None => Rejection::Field,
        Some(DecimalError::Negative) if negative() => Rejection::NotPositive,
        Some(_) => Rejection::Malformed,
    }
}

/// A positive price within its bound.
pub(super) fn price(mantissa: i64) -> Result<Price, Rejection> {
    if mantissa <= 0 {
        return Err(Rejection::NotPositive);
    }
    Price::new(mantissa).map_err(|_| Rejection::Malformed)
}

/// A positive quantity within its bound.
pub(super) fn quantity(mantissa: i64) -> Result<Qty, Rejection> {
    if mantissa <= 0 {
        return Err(Rejection::NotPositive);
    }
    Qty::new(mantissa).map_err(|_| Rejection::Malformed)
}

/// A mark price: digits behind the instrument's scale are dropped, see [`decimal::parse_floor`].
pub(super) fn mark_price(token: Token, raw: &[u8], scale: u8) -> Result<Price, Rejection> {
    let text = token.string(raw).ok_or(Rejection::Field)?;
    match decimal::parse_floor(text, scale) {
        Ok(mantissa) => price(mantissa),
        Err(DecimalError::Negative) if decimal::parse_floor(&text[1..], scale).is_ok() => {
            Err(Rejection::NotPositive)
        }
        Err(_) => Err(Rejection::Malformed),
    }
}

/// A funding rate in a string. `None` for an empty one: the venue has no rate to tell.
pub(super) fn funding_rate(token: Token, raw: &[u8]) -> Result<Option<Rate>, Rejection> {
    const PPB_SCALE: u8 = 9;
    let text = token.string(raw).ok_or(Rejection::Field)?;
    if text.is_empty() {
        return Ok(None);
    }
    let ppb = decimal::parse_signed(text, PPB_SCALE).map_err(|_| Rejection::Malformed)?;
    Rate::new(ppb).map(Some).map_err(|_| Rejection::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn venue_times_by_magnitude() {
        assert_eq!(venue_time(1_672_304_484_976), Nanos(1_672_304_484_976_000_000));
        assert_eq!(venue_time(1_672_304_484_976_123), Nanos(1_672_304_484_976_123_000));
        assert_eq!(venue_time(1_672_304_484_976_123_456), Nanos(1_672_304_484_976_123_456));
        assert_eq!(venue_time(u64::MAX), Nanos(u64::MAX));
    }

    #[test]
    fn f17_the_lag_saturates_and_may_be_negative() {
        assert_eq!(lag_us(Nanos(1_000_000), Nanos(3_500_000)), -2500);
        assert_eq!(lag_us(Nanos(u64::MAX), Nanos(0)), i32::MAX);
        assert_eq!(lag_us(Nanos(0), Nanos(u64::MAX)), i32::MIN);
    }
}
