//! One tradable symbol of one venue: its scales, its grid, its fees and its price gates.

use crate::limits::{PPB, PPB_DIGITS, SCALE_MAX};
use crate::units::{BoundError, Decimal, Nanos, Price, Qty, Rate};

/// An instrument: its index in the engine's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstrumentId(pub u16);

/// A source of market data: one connection, or one recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u8);

/// A venue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VenueId(pub u8);

/// An account: one set of keys at a venue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub u8);

/// A currency that prices are quoted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CurrencyId(pub u8);

/// Whether the size of a contract depends on the price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContractKind {
    /// Profit is quantity × price difference: spot, linear futures, tokens.
    Linear,
    /// Coin-margined: profit runs on the inverse price. Refused at registration.
    Inverse,
}

/// What the configuration or the venue says of an instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstrumentSpec {
    /// The venue that trades it.
    pub venue: VenueId,
    /// What it is quoted in.
    pub currency: CurrencyId,
    /// Linear or inverse.
    pub contract: ContractKind,
    /// Decimals of a price mantissa.
    pub price_scale: u8,
    /// Decimals of a quantity mantissa.
    pub qty_scale: u8,
    /// Underlying units per unit of quantity.
    pub multiplier: Decimal,
    /// Price grid, in price mantissa units.
    pub tick: i64,
    /// Quantity grid, in quantity mantissa units.
    pub lot: i64,
    /// Smallest order, in quantity mantissa units.
    pub min_qty: i64,
    /// Smallest order's notional, in the quote currency.
    pub min_notional: Decimal,
    /// Fee of a crossing order; negative is a rebate.
    pub taker: Rate,
    /// Fee of a resting order; negative is a rebate.
    pub maker: Rate,
    /// Smallest fee of one order, in the quote currency; nought when the venue has none.
    pub min_fee: Decimal,
    /// Longest age of a confirmed price.
    pub max_quote_age: Nanos,
    /// A quote further than this from the last accepted one is held aside.
    pub jump_limit: Rate,
    /// The jump limit is at least this many ticks.
    pub jump_ticks: i64,
    /// Whether orders can be marked reduce-only.
    pub reduce_only: bool,
    /// Whether `min_notional` binds reduce-only orders too; some venues exempt them.
    pub min_notional_on_reduce: bool,
    /// The same underlying at another venue, which may confirm a jump.
    pub peer: Option<InstrumentId>,
}

/// Why an instrument was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InstrumentError {
    /// Coin-margined contracts are not linear.
    #[error("inverse (coin-margined) contracts are not linear and not supported")]
    Inverse,
    /// A value that must be positive is not.
    #[error("{field} is {value} and must be at least 1")]
    NotPositive {
        /// The field.
        field: &'static str,
        /// Its value.
        value: i128,
    },
    /// A value is outside its bounds.
    #[error("{field}: {bound}")]
    Bound {
        /// The field.
        field: &'static str,
        /// Its bounds.
        bound: BoundError,
    },
    /// An amount has more decimals than the instrument's money scale plus nine.
    #[error("{field} {value} has more than {scale} decimals")]
    Scale {
        /// The field.
        field: &'static str,
        /// Its value.
        value: Decimal,
        /// How many decimals it may have.
        scale: u8,
    },
}

/// A checked instrument.
///
/// Its *money scale* is price scale + quantity scale + multiplier scale: price × quantity ×
/// multiplier is a whole number there. Its *nano scale* has nine digits more: a rate in parts per
/// billion of such a product is a whole number there, so no fee is ever rounded.
#[derive(Clone, Copy, Debug)]
pub struct Instrument {
    spec: InstrumentSpec,
    min_notional: i128,
    min_fee: i128,
}

impl Instrument {
    /// Checks a specification.
    ///
    /// # Errors
    /// The first field that is out of bounds, with the bound.
    pub fn new(spec: InstrumentSpec) -> Result<Self, InstrumentError> {
        if spec.contract == ContractKind::Inverse {
            return Err(InstrumentError::Inverse);
        }
        let scales = [
            ("price_scale", spec.price_scale),
            ("qty_scale", spec.qty_scale),
            ("multiplier scale", spec.multiplier.scale),
        ];
        for (field, value) in scales {
            if value > SCALE_MAX {
                let bound = BoundError {
                    unit: "scale",
                    value: i128::from(value),
                    min: 0,
                    max: i128::from(SCALE_MAX),
                };
                return Err(InstrumentError::Bound { field, bound });
            }
        }
        let positives = [
            ("tick", i128::from(spec.tick)),
            ("lot", i128::from(spec.lot)),
            ("min_qty", i128::from(spec.min_qty)),
            ("multiplier", spec.multiplier.mantissa),
            ("jump_limit", i128::from(spec.jump_limit.raw())),
            ("jump_ticks", i128::from(spec.jump_ticks)),
            ("max_quote_age", i128::from(spec.max_quote_age.0)),
        ];
        for (field, value) in positives {
            if value < 1 {
                return Err(InstrumentError::NotPositive { field, value });
            }
        }
        let in_price = |field, value| {
            Price::new(value).map(|_| ()).map_err(|bound| InstrumentError::Bound { field, bound })
        };
        let in_qty = |field, value| {
            Qty::new(value).map(|_| ()).map_err(|bound| InstrumentError::Bound { field, bound })
        };
        in_price("tick", spec.tick)?;
        in_price("jump_ticks × tick", spec.tick.saturating_mul(spec.jump_ticks))?;
        in_qty("lot", spec.lot)?;
        in_qty("min_qty", spec.min_qty)?;
        in_qty("multiplier", i64::try_from(spec.multiplier.mantissa).unwrap_or(i64::MAX))?;
        let fees = [("taker", spec.taker.raw()), ("maker", spec.maker.raw())];
        for (field, value) in fees {
            if value.abs() >= PPB {
                let max = i128::from(PPB - 1);
                let bound =
                    BoundError { unit: "fee (ppb)", value: i128::from(value), min: -max, max };
                return Err(InstrumentError::Bound { field, bound });
            }
        }
        let scale = nano_scale(&spec);
        let amount = |field, value: Decimal| match value.at_scale(scale) {
            Some(amount) if (0..=crate::limits::AMOUNT_MAX).contains(&amount) => Ok(amount),
            _ => Err(InstrumentError::Scale { field, value, scale }),
        };
        Ok(Self {
            min_notional: amount("min_notional", spec.min_notional)?,
            min_fee: amount("min_fee", spec.min_fee)?,
            spec,
        })
    }

    /// The specification.
    #[must_use]
    pub const fn spec(&self) -> &InstrumentSpec {
        &self.spec
    }

    /// Decimals of price × quantity × multiplier × parts per billion.
    #[must_use]
    pub const fn nano_scale(&self) -> u8 {
        nano_scale(&self.spec)
    }

    /// Price × quantity × multiplier, at the nano scale.
    #[must_use]
    pub fn notional_nano(&self, price: Price, qty: Qty) -> i128 {
        self.notional(price, qty) * i128::from(PPB)
    }

    /// Price × quantity × multiplier, at the money scale.
    #[must_use]
    pub fn notional(&self, price: Price, qty: Qty) -> i128 {
        i128::from(price.raw()) * i128::from(qty.raw()) * self.spec.multiplier.mantissa
    }

    /// Fee of one order's notional at `rate`, at the nano scale: at least the venue's minimum fee.
    #[must_use]
    pub fn fee_nano(&self, price: Price, qty: Qty, rate: Rate) -> i128 {
        let fee = self.notional(price, qty) * i128::from(rate.raw());
        if self.min_fee > 0 { fee.max(self.min_fee) } else { fee }
    }

    /// Smallest order's notional, at the nano scale.
    #[must_use]
    pub const fn min_notional_nano(&self) -> i128 {
        self.min_notional
    }

    /// Smallest fee of one order, at the nano scale; nought when there is none.
    #[must_use]
    pub const fn min_fee_nano(&self) -> i128 {
        self.min_fee
    }

    /// The quantity rounded down to whole lots.
    #[must_use]
    pub const fn round_lot(&self, qty: Qty) -> Qty {
        let rest = qty.raw() % self.spec.lot;
        match Qty::new(qty.raw() - rest) {
            Ok(qty) => qty,
            Err(_) => qty,
        }
    }
}

const fn nano_scale(spec: &InstrumentSpec) -> u8 {
    spec.price_scale + spec.qty_scale + spec.multiplier.scale + PPB_DIGITS
}
