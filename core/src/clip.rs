//! Sizes: the smallest order that a venue takes, and how much of a position goes at once.

use arrayvec::ArrayVec;

use crate::instrument::Instrument;
use crate::limits::{LEGS_MAX, PPB};
use crate::units::{Price, Qty, div_ceil};

/// The smallest quantity, in whole lots, that may be sent at `price`: at least the venue's minimum
/// quantity and minimum notional, unless the venue exempts reduce-only orders from that. `i64::MAX`
/// when no quantity is enough.
pub(crate) fn min_order(instrument: &Instrument, price: Price) -> i64 {
    let spec = instrument.spec();
    least(instrument, price, spec.reduce_only && !spec.min_notional_on_reduce)
}

/// The same for an order that opens something: nothing exempts it.
pub(crate) fn min_entry(instrument: &Instrument, price: Price) -> i64 {
    least(instrument, price, false)
}

fn least(instrument: &Instrument, price: Price, exempt: bool) -> i64 {
    let spec = instrument.spec();
    let unit = i128::from(price.raw()) * spec.multiplier.mantissa * i128::from(PPB);
    let by_notional = if exempt { 0 } else { div_ceil(instrument.min_notional_nano(), unit) };
    let lot = i128::from(spec.lot);
    let lots = div_ceil(by_notional.max(i128::from(spec.min_qty)), lot);
    i64::try_from(lots * lot).unwrap_or(i64::MAX)
}

/// One leg of a clip, in quantity mantissa units.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClipLeg {
    /// All that is open.
    pub(crate) open: i64,
    /// What the plan wants to close, in whole lots; positive.
    pub(crate) wanted: i64,
    /// The most that this clip may take: quoted size, largest unhedged notional.
    pub(crate) most: i64,
    /// See [`min_order`].
    pub(crate) least: i64,
    /// Quantity grid.
    pub(crate) lot: i64,
}

/// The same fraction of every leg, the largest that no leg's `most` forbids, in whole lots. Legs
/// stay proportional to within a lot. A clip that would leave a rest too small to be sold is made
/// smaller, unless it takes all that is wanted. `None` when a leg's part cannot be sent.
pub(crate) fn clip(legs: &[ClipLeg]) -> Option<ArrayVec<Qty, LEGS_MAX>> {
    let mut most: ArrayVec<i64, LEGS_MAX> =
        legs.iter().map(|leg| leg.most.min(leg.wanted)).collect();
    let mut sizes = cut(legs, &most);
    for (i, leg) in legs.iter().enumerate() {
        let rest = leg.open - sizes[i];
        if sizes[i] < leg.wanted && rest < leg.least {
            most[i] = most[i].min(leg.open - leg.least);
        }
    }
    if most.iter().any(|&most| most <= 0) {
        return None;
    }
    sizes = cut(legs, &most);
    let sendable = legs.iter().zip(&sizes).all(|(leg, &size)| size > 0 && size >= leg.least);
    if !sendable {
        return None;
    }
    sizes.iter().map(|&size| Qty::new(size).ok()).collect()
}

/// `wanted × min(most / wanted)`, rounded down to lots.
fn cut(legs: &[ClipLeg], most: &[i64]) -> ArrayVec<i64, LEGS_MAX> {
    let (mut part, mut whole) = (1i128, 1i128);
    for (leg, &most) in legs.iter().zip(most) {
        let (most, wanted) = (i128::from(most), i128::from(leg.wanted));
        if most * whole < part * wanted {
            (part, whole) = (most, wanted);
        }
    }
    let size = |leg: &ClipLeg| {
        let exact = (i128::from(leg.wanted) * part / whole) as i64;
        exact - exact % leg.lot
    };
    legs.iter().map(size).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_take_the_same_fraction_and_leave_nothing_unsellable() {
        // Per leg: open, wanted, most, least, lot; then the sizes.
        type Row = [i64; 5];
        let cases: &[(&[Row], Option<&[i64]>)] = &[
            (&[[100, 100, 1_000, 5, 1]], Some(&[100])),
            (&[[100, 100, 40, 5, 1], [200, 200, 1_000, 5, 1]], Some(&[40, 80])),
            (&[[100, 100, 40, 5, 1], [200, 200, 60, 5, 1]], Some(&[30, 60])),
            // Lots.
            (&[[100, 100, 37, 5, 10], [100, 100, 1_000, 5, 1]], Some(&[30, 37])),
            // Below a minimum order.
            (&[[100, 100, 4, 5, 1]], None),
            (&[[100, 100, 40, 5, 1], [10, 10, 90, 5, 1]], None),
            // 97 of 100 would leave 3, which nobody takes: 95.
            (&[[100, 100, 97, 5, 1]], Some(&[95])),
            (&[[100, 100, 97, 5, 1], [100, 100, 100, 20, 1]], Some(&[80, 80])),
            // Nothing smaller can be sent: wait for the size to take all.
            (&[[9, 9, 8, 5, 1]], None),
            (&[[9, 9, 9, 5, 1]], Some(&[9])),
            // A part of a position: what stays is counted in.
            (&[[100, 50, 48, 5, 1]], Some(&[48])),
            // An off-lot rest cannot be avoided.
            (&[[105, 100, 500, 10, 10]], Some(&[100])),
            (&[[1, 1, 0, 1, 1]], None),
        ];
        for (rows, expected) in cases {
            let legs: ArrayVec<ClipLeg, LEGS_MAX> = rows
                .iter()
                .map(|&[open, wanted, most, least, lot]| ClipLeg { open, wanted, most, least, lot })
                .collect();
            let got = clip(&legs).map(|sizes| sizes.iter().map(|q| q.raw()).collect());
            let expected: Option<ArrayVec<i64, LEGS_MAX>> =
                expected.map(|sizes| sizes.iter().copied().collect());
            assert_eq!(got, expected, "{rows:?}");
        }
    }
}
