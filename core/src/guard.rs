//! Guards: conditions that no shared heap can hold (odd ratios, three and four legs, minimum fees)
//! are watched by one price per leg.
//!
//! What is missing until the condition holds is divided among the legs. Until one leg's price has
//! used up its share, the condition cannot hold; then it is computed exactly, and fires or is
//! guarded anew.

use crate::limits::{LEGS_MAX, PRICE_MAX};
use crate::net::Cmp;
use crate::position::Side;
use crate::tracked::Tracked;
use crate::units::div_ceil;

/// The prices at which a condition that does not hold must be looked at again: direction and limit
/// on each leg's exit price, `None` where no price within bounds uses up the leg's share.
///
/// `missing` > 0 is the distance of Σ exit values to the bound.
pub(crate) fn guards(
    position: &Tracked,
    exits: &[i64; LEGS_MAX],
    cmp: Cmp,
    missing: i128,
) -> [Option<(Cmp, i64)>; LEGS_MAX] {
    debug_assert!(missing > 0);
    let count = usize::from(position.count);
    let share = missing / count as i128;
    let mut guards = [None; LEGS_MAX];
    for at in 0..count {
        let steepest = position.forms[at].steepest();
        if steepest == 0 {
            continue;
        }
        // The share is used up once steepest × steps ≥ share; less than that many steps on every
        // leg leave the sum short of the bound.
        let steps = div_ceil(share, steepest).clamp(1, i128::from(PRICE_MAX)) as i64;
        let direction = direction(position.legs[at].side, cmp);
        let limit = match direction {
            Cmp::AtLeast => exits[at] + steps,
            Cmp::AtMost => exits[at] - steps,
        };
        if (1..=PRICE_MAX).contains(&limit) {
            guards[at] = Some((direction, limit));
        }
    }
    guards
}

/// Which way a leg's exit price brings a sum towards its bound: a long leg's value rises with the
/// bid, a short leg's falls with the ask.
pub(crate) const fn direction(side: Side, cmp: Cmp) -> Cmp {
    match (side, cmp) {
        (Side::Long, cmp) => cmp,
        (Side::Short, Cmp::AtLeast) => Cmp::AtMost,
        (Side::Short, Cmp::AtMost) => Cmp::AtLeast,
    }
}
