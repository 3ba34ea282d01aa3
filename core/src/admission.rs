//! What a position must keep to be taken on by the executor.

use arrayvec::ArrayVec;

use crate::instrument::Instrument;
use crate::limits::{LEGS_MAX, PPB, QTY_MAX};
use crate::policy::ExitSettings;
use crate::position::{LegSpec, PositionSpec};
use crate::units::{Decimal, Rate};

/// Why the executor did not take a position on. Nothing of it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdmitError {
    /// A table is full.
    #[error("{what} are limited to {max}; raise the executor's limits")]
    Full {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// The slot's earlier position is not flat.
    #[error("slot {slot} still holds a position that is not closed")]
    Occupied {
        /// The slot.
        slot: usize,
    },
    /// No such position.
    #[error("the position is not held")]
    UnknownPosition,
    /// A position without legs, or a leg that the position does not have.
    #[error("there is no leg {leg}")]
    NoLeg {
        /// Index of the leg.
        leg: usize,
    },
    /// No such instrument.
    #[error("leg {leg}: instrument {instrument} is not registered")]
    UnknownInstrument {
        /// Index of the leg.
        leg: usize,
        /// The instrument's id.
        instrument: u16,
    },
    /// A value of a leg is out of bounds.
    #[error("leg {leg}: {field} must be {bound}")]
    Leg {
        /// Index of the leg.
        leg: usize,
        /// The field.
        field: &'static str,
        /// The bound, in words.
        bound: &'static str,
    },
    /// A leg opposes what the same account holds of the same instrument: a one-way account nets the
    /// two, so that closing the one would open the other.
    #[error(
        "leg {leg}: it opposes what account {account} holds of instrument {instrument}; a one-way \
         account nets the two: hold one of them in another account"
    )]
    Opposite {
        /// Index of the leg.
        leg: usize,
        /// The account.
        account: u8,
        /// The instrument.
        instrument: u16,
    },
    /// An exit setting is out of bounds.
    #[error("{field} must be {bound}")]
    Setting {
        /// The field.
        field: &'static str,
        /// The bound, in words.
        bound: &'static str,
    },
}

/// What is computed of a leg at registration, at the position's nano scale.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LegTerms {
    /// 10^(S − s), from the instrument's to the position's scale.
    pub(crate) align: i64,
    pub(crate) fees_paid: i128,
    pub(crate) funding: i128,
}

/// What is computed of a position at registration.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// S: the largest nano scale of its instruments.
    pub(crate) scale: u8,
    pub(crate) legs: ArrayVec<LegTerms, LEGS_MAX>,
    /// Largest notional of a clip's leg.
    pub(crate) max_unhedged: Option<i128>,
}

/// Checks a position and its settings.
pub(crate) fn terms(
    spec: &PositionSpec,
    exit: &ExitSettings,
    instruments: &[Instrument],
) -> Result<Terms, AdmitError> {
    let instrument = |leg: usize, spec: &LegSpec| {
        let id = spec.instrument.0;
        instruments
            .get(usize::from(id))
            .ok_or(AdmitError::UnknownInstrument { leg, instrument: id })
    };
    let mut scale = None;
    for (i, leg) in spec.legs.iter().enumerate() {
        scale = scale.max(Some(instrument(i, leg)?.nano_scale()));
    }
    let scale = scale.ok_or(AdmitError::NoLeg { leg: 0 })?;
    let mut legs = ArrayVec::new();
    for (i, leg) in spec.legs.iter().enumerate() {
        legs.push(leg_terms(i, leg, instrument(i, leg)?, scale)?);
    }
    Ok(Terms { scale, legs, max_unhedged: check_settings(exit, scale)? })
}

fn leg_terms(
    leg: usize,
    spec: &LegSpec,
    instrument: &Instrument,
    scale: u8,
) -> Result<LegTerms, AdmitError> {
    if spec.qty.raw() == 0 {
        return Err(AdmitError::Leg { leg, field: "qty", bound: "above 0" });
    }
    let align = 10i64.checked_pow(u32::from(scale - instrument.nano_scale()));
    let weight = align.and_then(|align| {
        let units = i128::from(spec.qty.raw()) * instrument.spec().multiplier.mantissa;
        units.checked_mul(i128::from(align))
    });
    let (Some(align), Some(0..=WEIGHT_MAX)) = (align, weight) else {
        let bound = "below 2^46 with its multiplier, at the position's scale";
        return Err(AdmitError::Leg { leg, field: "qty", bound });
    };
    Ok(LegTerms {
        align,
        fees_paid: leg_amount(leg, "fees_paid", spec.fees_paid, scale)?,
        funding: leg_amount(leg, "funding", spec.funding, scale)?,
    })
}

const WEIGHT_MAX: i128 = QTY_MAX as i128;

/// An amount of a leg at the position's nano scale.
pub(crate) fn leg_amount(
    leg: usize,
    field: &'static str,
    amount: Decimal,
    scale: u8,
) -> Result<i128, AdmitError> {
    amount.amount_at(scale).ok_or(AdmitError::Leg {
        leg,
        field,
        bound: "exact at the position's scale and in bounds",
    })
}

/// Checks the settings and returns the largest notional of a clip's leg.
fn check_settings(exit: &ExitSettings, scale: u8) -> Result<Option<i128>, AdmitError> {
    let bound = "from 0 to below 100 %";
    let is_share = |rate: Rate| (0..PPB).contains(&rate.raw());
    if !is_share(exit.collar_normal) {
        return Err(AdmitError::Setting { field: "collar_normal", bound });
    }
    let collars = &exit.collars_protective;
    if !collars.iter().copied().all(is_share) {
        return Err(AdmitError::Setting { field: "collars_protective", bound });
    }
    if !collars.is_sorted_by(|a, b| a < b) {
        let bound = "each wider than the last";
        return Err(AdmitError::Setting { field: "collars_protective", bound });
    }
    if exit.spread_limit.raw() < 0 {
        return Err(AdmitError::Setting { field: "spread_limit", bound: "at least 0" });
    }
    if exit.stuck_after.0 == 0 {
        return Err(AdmitError::Setting { field: "stuck_after", bound: "above 0" });
    }
    if exit.max_unhedged_time.0 == 0 {
        return Err(AdmitError::Setting { field: "max_unhedged_time", bound: "above 0" });
    }
    // Without a pause a target that is touched but not filled would miss without end at one moment.
    if exit.rearm_first.0 == 0 {
        return Err(AdmitError::Setting { field: "rearm_first", bound: "above 0" });
    }
    let Some(amount) = exit.max_unhedged else { return Ok(None) };
    match amount.amount_at(scale) {
        Some(amount @ 1..) => Ok(Some(amount)),
        _ => Err(AdmitError::Setting {
            field: "max_unhedged",
            bound: "above 0 and exact at the position's scale",
        }),
    }
}
