//! Rules of their own kind, from their formulas.

pub(crate) mod break_even;
pub(crate) mod decay;
pub(crate) mod erosion;
pub(crate) mod liquidation;
