//! Total net as sums that change by what changed.
//!
//! With `value(x) = x·W·(side·10⁹ − fee − reserve)` for what is open of a leg, the legs on one
//! instrument come to `bid·A − ask·B − minimum fees`: two exact sums, whatever their number. What
//! does not depend on a price (entry value, amounts, realised) is exact for each position. Each of
//! these is rounded down to 10⁻¹⁸ once, and the total holds the rounded ones: a new one replaces the
//! old one, so nothing adds up that is not there.

use crate::instrument::Instrument;
use crate::limits::{AMOUNT_MAX, PPB, QTY_MAX};
use crate::policy::Policy;
use crate::position::Side;
use crate::tick::Quote;
use crate::tracked::{Leg, Tracked, buffered};
use crate::units::{Qty, mul_div_ceil, mul_div_floor};

use super::money::{INSTRUMENT_MAX, Money, POSITION_MAX, held_within};
use super::settings::{ClosingFee, PortfolioSettings};

/// Σ weight of the open legs of one side of an instrument: with it A·bid fits an `i128`.
pub(crate) const WEIGHT_MAX: i128 = QTY_MAX as i128;
// Price < 2^48, weight < 2^46, factor < 2^32, two sides.
const _: () = assert!(QTY_MAX < 1 << 46);
/// The open legs on one instrument, at its nano scale.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sum {
    /// Value per price unit of the long legs (A) and of the short ones (B): magnitudes.
    slopes: [i128; 2],
    /// Σ weight by side.
    weights: [i128; 2],
    /// Value at the legs' entries: what counts until the first quote.
    at_entry: i128,
    /// Σ minimum fees. They are charged beside the rate: more than the larger of the two.
    min_fees: i128,
    /// Open legs of positions that are not dust.
    pub(crate) live: u32,
    /// What the total holds of it.
    pub(crate) value: Money,
}

/// One open leg's terms at its instrument's nano scale.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    side: Side,
    weight: i128,
    slope: i128,
    at_entry: i128,
    min_fee: i128,
}

impl Terms {
    pub(crate) fn of(
        leg: &Leg,
        instrument: &Instrument,
        policy: &Policy,
        settings: &PortfolioSettings,
    ) -> Self {
        let Leg { side, open, entry, .. } = *leg;
        let spec = instrument.spec();
        let weight = i128::from(open.raw()) * spec.multiplier.mantissa;
        let factor =
            side.sign() * i128::from(PPB) - i128::from(cost_rate(instrument, policy, settings));
        let slope = weight * factor;
        let buffer = i64::from(settings.fee_buffer_ppb);
        let least = mul_div_ceil(instrument.min_fee_nano(), buffer, PPB);
        let min_fee = if open > Qty::ZERO { least } else { 0 };
        Self { side, weight, slope, at_entry: slope * i128::from(entry.raw()), min_fee }
    }

    /// Value at a quote; before the first one at the entry.
    pub(crate) fn value(&self, quote: Option<Quote>, instrument: &Instrument) -> Money {
        let gross = match quote {
            Some(quote) => self.slope * i128::from(side_price(self.side, &quote)),
            None => self.at_entry,
        };
        held(gross - self.min_fee, instrument)
    }

    /// Side × weight: what two legs of a hedge leave of each other.
    pub(crate) fn exposure(
        &self,
        quote: Option<Quote>,
        leg: &Leg,
        instrument: &Instrument,
    ) -> Money {
        let price = quote.map_or(leg.entry.raw(), |quote| side_price(self.side, &quote));
        held(self.side.sign() * self.weight * i128::from(price) * i128::from(PPB), instrument)
    }
}

fn side_price(side: Side, quote: &Quote) -> i64 {
    match side {
        Side::Long => quote.bid.raw(),
        Side::Short => quote.ask.raw(),
    }
}

/// Cost of closing as a share of the notional: fee with its buffer and the policy's reserve.
pub(crate) fn cost_rate(
    instrument: &Instrument,
    policy: &Policy,
    settings: &PortfolioSettings,
) -> i64 {
    let rate = match settings.closing_fee {
        ClosingFee::Taker => instrument.spec().taker,
        ClosingFee::Maker => instrument.spec().maker,
    };
    buffered(rate, settings.fee_buffer_ppb) + policy.slippage_reserve.raw()
}

fn held(value: i128, instrument: &Instrument) -> Money {
    held_within(value, instrument.nano_scale(), INSTRUMENT_MAX)
}

impl Sum {
    /// Whether a leg still fits beside the others.
    pub(crate) fn has_room(&self, terms: &Terms) -> bool {
        self.weights[terms.side as usize] + terms.weight <= WEIGHT_MAX
            && self.min_fees + terms.min_fee <= AMOUNT_MAX
    }

    pub(crate) fn add(&mut self, terms: &Terms) {
        self.change(terms, 1);
    }

    pub(crate) fn take(&mut self, terms: &Terms) {
        self.change(terms, -1);
    }

    fn change(&mut self, terms: &Terms, by: i128) {
        let side = terms.side as usize;
        self.slopes[side] += by * terms.slope;
        self.weights[side] += by * terms.weight;
        self.at_entry += by * terms.at_entry;
        self.min_fees += by * terms.min_fee;
    }

    /// What it comes to at a quote, rounded down; before the first one at the legs' entries.
    #[inline]
    pub(crate) fn at(&self, quote: Option<Quote>, instrument: &Instrument) -> Money {
        let gross = match quote {
            Some(quote) => {
                self.slopes[0] * i128::from(quote.bid.raw())
                    + self.slopes[1] * i128::from(quote.ask.raw())
            }
            None => self.at_entry,
        };
        held(gross - self.min_fees, instrument)
    }
}

/// What a position's total net has beside the value of its open legs, exact at its nano scale:
/// realised, and for what is open less its entry value and paid fees, plus its funding.
pub(crate) fn cash(position: &Tracked, banked: i128) -> Money {
    let mut cash = banked;
    for leg in position.legs() {
        let entry = leg.side.sign() * i128::from(leg.entry.raw()) * i128::from(leg.weight());
        cash += open_share(leg, leg.open.raw()) - entry * i128::from(PPB);
    }
    held_within(cash, position.scale, POSITION_MAX)
}

/// Funding less paid fees of `open` of a leg, each rounded against us.
fn open_share(leg: &Leg, open: i64) -> i128 {
    let original = leg.original.raw();
    mul_div_floor(leg.funding, open, original) - mul_div_ceil(leg.paid, open, original)
}

/// What a fill realises: its trading result less its fee, and its share of funding and paid fees.
/// `leg` is as it stands after the fill; `fee` is at the position's nano scale.
pub(crate) fn realised(leg: &Leg, price: i64, qty: i64, fee: i128) -> i128 {
    let moved = leg.side.sign() * i128::from(price - leg.entry.raw());
    let gain = moved * i128::from(qty) * i128::from(leg.unit) * i128::from(PPB);
    let shares = open_share(leg, leg.open.raw() + qty) - open_share(leg, leg.open.raw());
    gain + shares - fee
}
