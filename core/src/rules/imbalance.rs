//! `imbalance`: the legs are off the hedge ratio that was recorded when the position was taken on.
//!
//! Its one trigger compares no price: `hedge` raises it when a read confirms it.

use crate::limits::PPB;
use crate::position::RegisterError;
use crate::tracked::Tracked;
use crate::units::Rate;

pub(crate) fn check(rule: usize, share: Rate, position: &Tracked) -> Result<(), RegisterError> {
    let refuse = |field, value: i64, bound| {
        Err(RegisterError::Rule { rule, field, value: i128::from(value), bound })
    };
    if position.count < 2 {
        return refuse("legs of an imbalance rule", i64::from(position.count), "2 or more");
    }
    if !(1..PPB).contains(&share.raw()) {
        return refuse("share off the ratio", share.raw(), "above 0 % and below 100 %");
    }
    Ok(())
}
