//! `dump`: at least two of three signs of a move against a position of one leg. Two come from the
//! candles of the instrument's trades, the third is a trailing stop; see [`crate::dump`].

use super::Add;
use crate::compile::{PART_STOP, TrackDistance, trail};
use crate::instrument::Instrument;
use crate::intent::Reason;
use crate::limits::PPB;
use crate::position::RegisterError;
use crate::tracked::Tracked;
use crate::trigger::{Condition, Role, Stage, Trigger};
use crate::units::{Decimal, Rate, div_ceil};

/// Both signs of the candles.
pub(crate) const PART_BOTH: u8 = 0;
/// Largest least volume, in quantity units.
const LEAST_MAX: u128 = 1 << 120;

/// The least volume in quantity units, rounded up; `None` when it is not positive or too much.
pub(crate) fn least(volume: Decimal, instrument: &Instrument) -> Option<u128> {
    if volume.mantissa <= 0 {
        return None;
    }
    let multiplier = instrument.spec().multiplier;
    let scale = instrument.spec().qty_scale + multiplier.scale;
    // Digits behind the last that the instrument has are one unit more.
    let behind = i128::from(volume.at_scale(scale).is_none());
    let units = volume.round_floor(scale).at_scale(scale)?.checked_add(behind)?;
    let least = div_ceil(units, multiplier.mantissa).unsigned_abs();
    (least <= LEAST_MAX).then_some(least)
}

pub(crate) fn check(
    rule: usize,
    min_volume: Decimal,
    drop: Rate,
    position: &Tracked,
    instrument: &Instrument,
) -> Result<(), RegisterError> {
    let refuse = |field, value, bound| Err(RegisterError::Rule { rule, field, value, bound });
    if position.count != 1 {
        return refuse("legs of a dump rule", i128::from(position.count), "1");
    }
    if least(min_volume, instrument).is_none() {
        return refuse(
            "min_volume",
            min_volume.mantissa,
            "positive and below 2^120 quantity units",
        );
    }
    if !(1..PPB).contains(&drop.raw()) {
        return refuse("drop", i128::from(drop.raw()), "above 0 % and below 100 %");
    }
    Ok(())
}

pub(crate) fn parts(add: Add<'_>) {
    add(PART_BOTH, Reason::Dump, Role::Fire, Stage::Armed);
    add(PART_STOP, Reason::Dump, Role::Trail, Stage::Armed);
}

/// The third sign: x ≤ H·(1 − drop).
pub(crate) fn stop(position: &Tracked, drop: Rate, trigger: &Trigger) -> Condition {
    trail(position.legs[0].side, trigger.mark, TrackDistance::Rate(drop.raw()))
}
