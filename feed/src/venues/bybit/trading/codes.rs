//! What the codes of answers mean.

use reap_core::order::RejectClass::{self, Fatal, Price, RateLimit, Size, Unavailable};

use crate::trading::verdict::{Row, Verdict, find, find_or};
use crate::trading::{RefusedWhat, TradingCounters};

use Verdict::{Alarm, Duplicate, Rejected, Unknown};

/// No such order: terminal, never existed, or lag.
pub(super) const NO_SUCH_ORDER: [i64; 2] = [110_001, 170_213];
/// Logged in already: as good as a login.
pub(super) const LOGGED_IN: i64 = 20_001;

/// Refusals of an order, by code.
const ORDER: &[Row] = &[
    (10_000, 10_000, Unknown),
    (10_001, 10_001, Rejected(Fatal)),
    // The same order goes through once the clock is right.
    (10_002, 10_002, Alarm(Unavailable, RefusedWhat::Clock)),
    (10_003, 10_005, Alarm(Fatal, RefusedWhat::Login)),
    (10_006, 10_006, Rejected(RateLimit)),
    (10_010, 10_010, Alarm(Fatal, RefusedWhat::Login)),
    // Of the request, not of the order.
    (10_014, 10_014, Rejected(Unavailable)),
    (10_016, 10_016, Unknown),
    // Restarting: new requests are refused.
    (10_019, 10_019, Rejected(Unavailable)),
    (10_403, 10_403, Rejected(RateLimit)),
    (10_429, 10_429, Rejected(RateLimit)),
    (20_006, 20_006, Rejected(Unavailable)),
    (110_003, 110_003, Rejected(Price)),
    (110_004, 110_004, Rejected(Fatal)),
    (110_007, 110_007, Rejected(Fatal)),
    (110_012, 110_012, Rejected(Fatal)),
    // Reduce-only, and nothing to reduce.
    (110_017, 110_017, Rejected(Size)),
    (110_020, 110_020, Rejected(Unavailable)),
    (110_023, 110_023, Rejected(Fatal)),
    (110_072, 110_072, Duplicate),
    // It is being processed.
    (110_079, 110_079, Unknown),
    (110_094, 110_094, Rejected(Size)),
    (170_131, 170_131, Rejected(Fatal)),
    (170_132, 170_134, Rejected(Price)),
    (170_136, 170_137, Rejected(Size)),
    (170_140, 170_140, Rejected(Size)),
    (170_141, 170_141, Duplicate),
    (170_146, 170_146, Unknown),
    (170_193, 170_194, Rejected(Price)),
    (170_222, 170_222, Rejected(RateLimit)),
];

/// What a refused placement means. An unlisted code of the trading families is a refusal; any
/// other one may mean anything, so the order is asked for.
pub(super) fn order(code: i64, counters: &mut TradingCounters) -> Verdict {
    let other = match code {
        110_000..=110_999 | 170_000..=170_999 => Rejected(Fatal),
        _ => Unknown,
    };
    find_or(ORDER, code, other, counters)
}

/// Whether an operator must act on the refusal of a login or a question.
pub(super) fn alarm(code: i64) -> Option<RefusedWhat> {
    match find(ORDER, code) {
        Some(Alarm(_, what)) => Some(what),
        _ => None,
    }
}

/// Reasons of an order that was taken and then rejected; `None` when it only found nobody to trade
/// with.
pub(super) fn rejected(reason: &[u8]) -> Option<RejectClass> {
    Some(match reason {
        b"EC_NoImmediateQtyToFill" | b"EC_NoEnoughQtyToFill" | b"EC_BySelfMatch" => return None,
        b"EC_LimitOrderInvalidPrice" | b"EC_InvalidPriceScale" => Price,
        b"EC_QtyCannotBeZero" => Size,
        b"EC_InvalidSymbolStatus" | b"EC_InCallAuctionStatus" => Unavailable,
        _ => Fatal,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x1_x2_the_sheet_row_by_row() {
        let mut counters = TradingCounters::default();
        for (codes, verdict) in [
            (&[10_000, 10_016, 170_146, 110_079][..], Unknown),
            (&[10_019, 10_014, 20_006, 110_020], Rejected(Unavailable)),
            (&[10_429, 10_006, 10_403, 170_222], Rejected(RateLimit)),
            (&[10_002], Alarm(Unavailable, RefusedWhat::Clock)),
            (&[10_003, 10_004, 10_005, 10_010], Alarm(Fatal, RefusedWhat::Login)),
            (&[10_001, 110_004, 110_007, 110_012, 110_023, 170_131], Rejected(Fatal)),
            (&[110_003, 170_132, 170_133, 170_193, 170_194, 170_134], Rejected(Price)),
            (&[110_017, 110_094, 170_140, 170_136, 170_137], Rejected(Size)),
            (&[110_072, 170_141], Duplicate),
        ] {
            for code in codes {
                assert_eq!(order(*code, &mut counters), verdict, "{code}");
            }
        }
        assert_eq!(counters.new_codes, 0);
        assert_eq!(order(110_999, &mut counters), Rejected(Fatal));
        assert_eq!(order(10_999, &mut counters), Unknown);
        assert_eq!(order(-1, &mut counters), Unknown);
        assert_eq!(counters.new_codes, 3);
    }
}
