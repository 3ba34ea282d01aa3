//! liquidation: (mark − L) / mark ≤ threshold of a long leg, (L − mark) / mark ≤ threshold of a short
//! one, where L is the leg's liquidation price.
//!
//! One trigger per leg, its part the leg's index, on the board of the leg's mark price:
//! `mark·(1 − t) ≤ L ⇔ mark ≤ ⌊L·10^9 / (10^9 − t)⌋` and `mark·(1 + t) ≥ L ⇔ mark ≥ ⌈L·10^9 / (10^9 + t)⌉`.

use crate::compile::price;
use crate::intent::Reason;
use crate::limits::PPB;
use crate::net::Cmp;
use crate::position::{RegisterError, Side};
use crate::rules::Add;
use crate::tracked::Tracked;
use crate::trigger::{Condition, Role, Stage, Trigger};
use crate::units::{Qty, Rate, div_ceil, div_floor};

pub(super) fn check(rule: usize, threshold: Rate) -> Result<(), RegisterError> {
    if (1..PPB).contains(&threshold.raw()) {
        return Ok(());
    }
    let (value, bound) = (i128::from(threshold.raw()), "above 0 % and below 100 %");
    Err(RegisterError::Rule { rule, field: "threshold", value, bound })
}

pub(super) fn parts(position: &Tracked, add: Add<'_>) {
    for leg in 0..position.count {
        add(leg, Reason::Liquidation, Role::Fire, Stage::Armed);
    }
}

pub(super) fn condition(position: &Tracked, threshold: Rate, trigger: &Trigger) -> Condition {
    let leg = &position.legs[trigger.leg()];
    let known = leg.liquidation;
    if known == 0 || leg.open == Qty::ZERO {
        return Condition::Never;
    }
    let one = i128::from(PPB);
    let (at, near) = (i128::from(known) * one, i128::from(threshold.raw()));
    match leg.side {
        // Beyond every price within bounds it holds at all of them.
        Side::Long => {
            let limit = div_floor(at, one - near).min(i128::from(crate::limits::PRICE_MAX));
            price(Cmp::AtMost, limit)
        }
        Side::Short => price(Cmp::AtLeast, div_ceil(at, one + near)),
    }
}
