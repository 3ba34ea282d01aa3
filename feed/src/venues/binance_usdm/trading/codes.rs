//! What the codes of answers mean.

use reap_core::order::RejectClass::{Fatal, Price, RateLimit, Size, Unavailable};

use crate::trading::verdict::{Row, Verdict, find, find_or};
use crate::trading::{RefusedWhat, TradingCounters};

use Verdict::{Alarm, Duplicate, Rejected, Unknown};

/// No such order: terminal, never existed, or lag.
pub(super) const NO_SUCH_ORDER: i64 = -2013;
/// The key of the private stream does not exist.
pub(super) const NO_SUCH_LISTEN_KEY: i64 = -1125;

/// Refusals of an order, by code.
const ORDER: &[Row] = &[
    (-1007, -1006, Unknown),
    (-1001, -1000, Unknown),
    (-1002, -1002, Alarm(Fatal, RefusedWhat::Login)),
    (-1003, -1003, Rejected(RateLimit)),
    (-1008, -1008, Rejected(Unavailable)),
    (-1015, -1015, Rejected(RateLimit)),
    (-1016, -1016, Rejected(Unavailable)),
    // The same order goes through once the clock is right.
    (-1021, -1021, Alarm(Unavailable, RefusedWhat::Clock)),
    (-1022, -1022, Alarm(Fatal, RefusedWhat::Login)),
    (-1111, -1100, Rejected(Fatal)),
    (-1121, -1121, Rejected(Fatal)),
    (-2010, -2010, Rejected(Fatal)),
    (-2015, -2014, Alarm(Fatal, RefusedWhat::Login)),
    (-2019, -2018, Rejected(Fatal)),
    (-2020, -2020, Rejected(Price)),
    (-2021, -2021, Rejected(Fatal)),
    // Flat, or open reduce-only orders cover the position.
    (-2022, -2022, Rejected(Size)),
    (-2027, -2027, Rejected(Size)),
    (-4005, -4003, Rejected(Size)),
    (-4014, -4014, Rejected(Price)),
    (-4016, -4016, Rejected(Price)),
    (-4023, -4023, Rejected(Size)),
    (-4024, -4024, Rejected(Price)),
    (-4061, -4061, Alarm(Fatal, RefusedWhat::PositionMode)),
    (-4062, -4062, Rejected(Fatal)),
    (-4088, -4087, Rejected(Fatal)),
    (-4116, -4116, Duplicate),
    (-4118, -4118, Rejected(Size)),
    (-4131, -4131, Rejected(Price)),
    (-4164, -4164, Rejected(Size)),
    (-5022, -5021, Rejected(Price)),
];

/// Texts with which a status of 503, or -1000 and -1001, says that nothing was done.
const NOT_DONE: [&str; 2] = ["Service Unavailable.", "Internal error; unable to process"];

/// What a refused placement means. Only a server's error leaves the fate open; an unlisted code
/// with a status of 4xx is the sender's fault and nothing was placed.
pub(super) fn order(status: u64, code: i64, msg: &[u8], counters: &mut TradingCounters) -> Verdict {
    let not_done = NOT_DONE.iter().any(|text| msg.starts_with(text.as_bytes()));
    match (status, code) {
        (408, _) | (_, -1007 | -1006) => Unknown,
        (429 | 418, _) => Rejected(RateLimit),
        (503, _) | (_, -1001 | -1000) if not_done => Rejected(Unavailable),
        (500.., -1008) => Rejected(Unavailable),
        (500.., _) => Unknown,
        (400..500, _) => find_or(ORDER, code, Rejected(Fatal), counters),
        // Neither an answer nor an error.
        _ => Unknown,
    }
}

/// Whether an operator must act on the refusal of a question.
pub(super) fn alarm(code: i64) -> Option<RefusedWhat> {
    match find(ORDER, code) {
        Some(Alarm(_, what)) => Some(what),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x1_x2_the_sheet_row_by_row() {
        let mut counters = TradingCounters::default();
        for (status, code, msg, verdict) in [
            (503, 0, "Unknown error, please check your request or try again later.", Unknown),
            (503, -1000, "Unknown error, please check your request or try again later.", Unknown),
            (503, 0, "Service Unavailable.", Rejected(Unavailable)),
            (
                503,
                -1001,
                "Internal error; unable to process your request. Please try again.",
                Rejected(Unavailable),
            ),
            (503, -1008, "Request throttled by system-level protection.", Rejected(Unavailable)),
            (400, -1008, "Request throttled by system-level protection.", Rejected(Unavailable)),
            (408, -1, "", Unknown),
            (400, -1006, "", Unknown),
            (504, -1007, "Timeout waiting for response from backend server.", Unknown),
            (500, -4014, "", Unknown),
            (400, -1001, "Internal error", Unknown),
            (400, -1021, "", Alarm(Unavailable, RefusedWhat::Clock)),
            (400, -1022, "", Alarm(Fatal, RefusedWhat::Login)),
            (429, -1003, "", Rejected(RateLimit)),
            (418, -1003, "", Rejected(RateLimit)),
            (400, -1015, "", Rejected(RateLimit)),
            (400, -2018, "", Rejected(Fatal)),
            (400, -2022, "ReduceOnly Order is rejected.", Rejected(Size)),
            (400, -4003, "", Rejected(Size)),
            (400, -4014, "", Rejected(Price)),
            (400, -4016, "", Rejected(Price)),
            (400, -4116, "ClientOrderId is duplicated.", Duplicate),
            (400, -4131, "", Rejected(Price)),
            (400, -4164, "", Rejected(Size)),
            (400, -4061, "", Alarm(Fatal, RefusedWhat::PositionMode)),
            (0, -4164, "", Unknown),
        ] {
            let found = order(status, code, msg.as_bytes(), &mut counters);
            assert_eq!(found, verdict, "{status} {code} {msg}");
        }
        assert_eq!(counters.new_codes, 0);
        assert_eq!(order(400, -9999, b"", &mut counters), Rejected(Fatal));
        assert_eq!(counters.new_codes, 1);
    }
}
