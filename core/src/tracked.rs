//! A position as the engine tracks it: its legs' numbers at the position's nano scale, its state
//! and the plan that is live for it.
//!
//! Rule net covers the open quantity (SPEC §3). While a plan is live, that is the quantity which was
//! open when the plan began, and what it has filled counts at its fill prices: otherwise the moment
//! between the fills of two legs would look like the loss of the one without the gain of the other.

use crate::heap::NodeId;
use crate::holders::Neighbours;
use crate::instrument::{AccountId, Instrument, InstrumentId};
use crate::intent::Urgency;
use crate::ladder::Sightless;
use crate::limits::{LEGS_MAX, PPB};
use crate::net::LegForm;
use crate::per_leg::PerLeg;
use crate::policy::{FeeMode, Policy};
use crate::position::{PositionState, Side};
use crate::switch::RuleSet;
use crate::tick::Quote;
use crate::trigger::TriggerId;
use crate::units::{Nanos, Price, Qty, Rate, div_ceil, mul_div_ceil, mul_div_floor};

/// One leg. Amounts are at the position's nano scale and belong to `original`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leg {
    pub(crate) account: AccountId,
    pub(crate) instrument: InstrumentId,
    pub(crate) side: Side,
    pub(crate) entry: Price,
    pub(crate) original: Qty,
    pub(crate) open: Qty,
    /// Open when the live plan began; without a plan, what is open.
    pub(crate) judged: Qty,
    /// What the live plan leaves open.
    pub(crate) keep: Qty,
    /// Exit value of what the live plan has filled, at its fill prices, fees as the policy counts.
    pub(crate) locked: i128,
    /// Multiplier × scale alignment: money units of the position per price unit and quantity unit.
    pub(crate) unit: i64,
    pub(crate) paid: i128,
    pub(crate) funding: i128,
    pub(crate) margin: i128,
    /// The venue's minimum fee; 0 where it has none.
    pub(crate) min_fee: i128,
    /// Taker's fee rate in ppb: half a [`Rate`].
    pub(crate) taker: i32,
    /// Mantissa of its liquidation price; 0 while it is not known.
    pub(crate) liquidation: i64,
    pub(crate) neighbours: Neighbours,
    /// Its exit value, see [`Self::formed`].
    pub(crate) form: LegForm,
}

impl Leg {
    /// A leg that is nowhere, to fill an array.
    pub(crate) const NONE: Self = Self {
        account: AccountId(0),
        instrument: InstrumentId(0),
        side: Side::Long,
        entry: match Price::new(1) {
            Ok(price) => price,
            Err(_) => panic!("one is a price"),
        },
        original: Qty::ZERO,
        open: Qty::ZERO,
        judged: Qty::ZERO,
        keep: Qty::ZERO,
        locked: 0,
        unit: 1,
        paid: 0,
        funding: 0,
        margin: 0,
        min_fee: 0,
        taker: 0,
        liquidation: 0,
        neighbours: Neighbours::NONE,
        form: LegForm::NONE,
    };

    pub(crate) const fn taker(&self) -> Rate {
        match Rate::new(self.taker as i64) {
            Ok(rate) => rate,
            Err(_) => panic!("it was a rate"),
        }
    }

    /// Quantity × multiplier × alignment of what is open: below 2^46.
    pub(crate) fn weight(&self) -> i64 {
        self.open.raw() * self.unit
    }

    /// Entry notional of what is judged, in the position's money units.
    pub(crate) fn entry_notional(&self) -> i128 {
        i128::from(self.entry.raw()) * i128::from(self.judged.raw() * self.unit)
    }

    /// The price at which the leg could be closed now.
    #[inline]
    pub(crate) fn exit(&self, quote: &Quote) -> i64 {
        match self.side {
            Side::Long => quote.bid.raw(),
            Side::Short => quote.ask.raw(),
        }
    }

    /// Fees paid for what is judged, rounded up.
    fn paid_judged(&self) -> i128 {
        mul_div_ceil(self.paid, self.judged.raw(), self.original.raw())
    }

    /// Funding received for what is judged, rounded down.
    fn funding_judged(&self) -> i128 {
        mul_div_floor(self.funding, self.judged.raw(), self.original.raw())
    }

    /// Margin of what is judged, rounded up.
    pub(crate) fn margin_judged(&self) -> i128 {
        mul_div_ceil(self.margin, self.judged.raw(), self.original.raw())
    }

    /// What the exit value of what is still open has to make up for: side × entry value + paid fees
    /// − funding − what is locked in.
    pub(crate) fn cost(&self, fees: FeeMode) -> i128 {
        let entry = self.side.sign() * self.entry_notional() * i128::from(PPB);
        let paid = if fees == FeeMode::Gross { 0 } else { self.paid_judged() };
        entry + paid - self.funding_judged() - self.locked
    }

    /// A fill of the live plan at `price` with `fee` at the position's nano scale.
    pub(crate) fn lock(&mut self, price: Price, qty: Qty, fee: i128, fees: FeeMode) {
        let value = i128::from(price.raw()) * i128::from(qty.raw() * self.unit);
        let fee = if fees == FeeMode::Net { fee } else { 0 };
        self.locked += self.side.sign() * value * i128::from(PPB) - fee;
    }

    /// No plan is live any more: what is open is judged.
    pub(crate) fn settle(&mut self) {
        self.judged = self.open;
        self.locked = 0;
    }

    /// Exit value as a function of the exit price, fees included as the policy counts them.
    fn formed(&self, policy: &Policy) -> LegForm {
        let (fee, min_fee) = match policy.fees {
            FeeMode::Net => (exit_fee(self.taker(), policy), self.min_fee),
            FeeMode::EntryOnly | FeeMode::Gross => (0, 0),
        };
        let fee = Rate::new(fee).expect("registration checked the rate");
        // What is closed has no exit and pays no fee.
        let min_fee = if self.open == Qty::ZERO { 0 } else { min_fee };
        let min_fee = mul_div_ceil(min_fee, i64::from(policy.fee_buffer_ppb), PPB);
        LegForm::new(self.side, self.weight(), fee, policy.slippage_reserve, min_fee)
    }
}

/// Fee rate of an exit in ppb: `⌈taker × buffer⌉`; a rebate is not scaled by the buffer.
pub(crate) fn exit_fee(taker: Rate, policy: &Policy) -> i64 {
    buffered(taker, policy.fee_buffer_ppb)
}

/// `⌈fee × buffer⌉` in ppb; a rebate is not scaled by the buffer.
pub(crate) fn buffered(fee: Rate, buffer_ppb: u32) -> i64 {
    if fee.raw() <= 0 {
        return fee.raw();
    }
    let scaled = i128::from(fee.raw()) * i128::from(buffer_ppb);
    div_ceil(scaled, i128::from(PPB)) as i64
}

/// The plan that the executor works, as far as the engine needs to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LivePlan {
    /// Number of the last intent given out for it.
    pub(crate) intent: u64,
    pub(crate) urgency: Urgency,
    /// A fill has brought every leg to its target; the report of the end is on its way.
    pub(crate) reached: bool,
    /// It closes what one leg has too much of: opportunistic rules wait for its end.
    pub(crate) repair: bool,
}

/// Behind the last of the slots that are free again.
pub(crate) const NO_SLOT: u32 = u32::MAX;

/// A position; what it has of each leg beyond the first comes from the engine's [`Spare`] room.
///
/// [`Spare`]: crate::per_leg::Spare
#[derive(Debug)]
pub(crate) struct Tracked {
    pub(crate) generation: u32,
    pub(crate) state: PositionState,
    pub(crate) policy: u16,
    /// The policy that it goes over to when its plan has ended.
    pub(crate) wanted: Option<u16>,
    /// Rules that are switched off.
    pub(crate) off: RuleSet,
    /// As the operator said; of a slot that is free, the one that was freed before it.
    pub(crate) tag: u32,
    pub(crate) opened: Nanos,
    pub(crate) count: u8,
    pub(crate) legs: PerLeg<Leg>,
    /// Σ cost of the legs: net = Σ exit values − cost.
    pub(crate) cost: i128,
    /// The position's nano scale.
    pub(crate) scale: u8,
    pub(crate) plan: Option<LivePlan>,
    /// Plans that missed in a row: each doubles the back-off. Nought after a fill.
    pub(crate) misses: u8,
    pub(crate) rest_timer: NodeId,
    pub(crate) first: TriggerId,
    /// Place of its hedge ratio and reads, or [`crate::hedge::NO_HEDGE`].
    pub(crate) hedge: u32,
    /// Part of it is gone by no order of ours.
    pub(crate) lost: bool,
    /// While no price of a leg is left.
    pub(crate) blind: Option<Sightless>,
}

const _: () = assert!(size_of::<Leg>() == 192 && size_of::<Tracked>() == 288);

impl Tracked {
    /// A position of one leg without anything, to be filled.
    pub(crate) fn blank() -> Self {
        Self {
            generation: 0,
            state: PositionState::Open,
            policy: 0,
            wanted: None,
            off: RuleSet::default(),
            tag: 0,
            opened: Nanos(0),
            count: 1,
            legs: PerLeg::One([Leg::NONE]),
            cost: 0,
            scale: 0,
            plan: None,
            misses: 0,
            rest_timer: NodeId::NONE,
            first: TriggerId::NONE,
            hedge: crate::hedge::NO_HEDGE,
            lost: false,
            blind: None,
        }
    }

    /// The legs. Those beyond the first of a closed position are gone.
    pub(crate) fn legs(&self) -> &[Leg] {
        let kept = usize::from(self.count).min(self.legs.len());
        &self.legs[..kept]
    }

    pub(crate) fn legs_mut(&mut self) -> &mut [Leg] {
        let kept = usize::from(self.count).min(self.legs.len());
        &mut self.legs[..kept]
    }

    /// The legs' forms, nought beyond the last leg.
    pub(crate) fn four_forms(&self) -> [LegForm; LEGS_MAX] {
        let mut four = [LegForm::NONE; LEGS_MAX];
        for (form, leg) in four.iter_mut().zip(&*self.legs) {
            *form = leg.form;
        }
        four
    }

    pub(crate) fn is_flat(&self) -> bool {
        self.legs().iter().all(|leg| leg.open == Qty::ZERO)
    }

    /// Whether nothing is left to decide: flat, or the live plan's end is on its way.
    pub(crate) fn is_settled(&self) -> bool {
        self.is_flat() || self.plan.is_some_and(|plan| plan.reached)
    }

    /// Notes whether every leg is at the live plan's target. Then the executor has ended the plan,
    /// and what is left is judged anew when its report has come.
    pub(crate) fn note_reached(&mut self) {
        let Some(plan) = &mut self.plan else { return };
        plan.reached |= self.legs[..usize::from(self.count)].iter().all(|leg| leg.open <= leg.keep);
    }

    /// Recomputes what depends on quantities and amounts.
    pub(crate) fn refresh(&mut self, policy: &Policy) {
        self.cost = 0;
        for leg in &mut self.legs[..usize::from(self.count)] {
            leg.form = leg.formed(policy);
            self.cost += leg.cost(policy.fees);
        }
    }

    /// What stays open of a leg after a tier: the original less the share in whole lots; nothing
    /// after the share of one.
    pub(crate) fn tier_keep(&self, leg: usize, share: Rate, instrument: &Instrument) -> Qty {
        let leg = &self.legs[leg];
        if share.raw() == PPB {
            return Qty::ZERO;
        }
        let target = mul_div_floor(i128::from(leg.original.raw()), share.raw(), PPB);
        let target = Qty::new(target as i64).expect("a share of a quantity");
        let target = instrument.round_lot(target);
        leg.original.checked_sub(target).expect("a share of a quantity")
    }
}
