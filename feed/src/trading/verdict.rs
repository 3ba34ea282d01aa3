//! What an answer's code means for the order that it answers: tables, as data.

use reap_core::order::RejectClass;

use super::{RefusedWhat, TradingCounters};

/// What becomes of the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It was refused before it traded.
    Rejected(RejectClass),
    /// As above, and an operator must act.
    Alarm(RejectClass, RefusedWhat),
    /// It may stand or not.
    Unknown,
    /// An earlier one of this id exists.
    Duplicate,
}

/// One row: codes from, to, and what they mean.
pub(crate) type Row = (i64, i64, Verdict);

/// The first row that names the code.
pub(crate) fn find(rows: &[Row], code: i64) -> Option<Verdict> {
    rows.iter().find(|(from, to, _)| (*from..=*to).contains(&code)).map(|row| row.2)
}

/// As [`find`]; a code that no row names counts and means `other`.
pub(crate) fn find_or(
    rows: &[Row],
    code: i64,
    other: Verdict,
    counters: &mut TradingCounters,
) -> Verdict {
    find(rows, code).unwrap_or_else(|| {
        counters.new_codes += 1;
        other
    })
}
