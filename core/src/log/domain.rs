//! How each type of the core stands in a record. A line here is a part of the format.

use super::wire::{Put, Take, Wire, codes, fields, newtypes};
use crate::budget::{Quota, VenueBudget};
use crate::entry::{ENTRY_LEGS_MAX, EntryIntent, EntryLeg, TaskId};
use crate::event::{EntryOutcome, Outcome, Report};
use crate::instrument::{
    AccountId, ContractKind, CurrencyId, InstrumentId, InstrumentSpec, VenueId,
};
use crate::intent::{Input, Intent, Reason, Urgency};
use crate::limits::{COLLARS_MAX, LEGS_MAX};
use crate::net::{Cmp, Compiled, LegForm, NetForm};
use crate::order::{
    ClientOrderId, HoldingRead, Order, OrderChange, OrderEvent, OrderSide, RejectClass,
};
use crate::policy::{ExitSettings, PolicyId};
use crate::position::{LegSpec, PositionId, PositionSpec, Side};
use crate::pricing::Top;
use crate::tick::Quote;
use crate::units::{Decimal, Nanos, Price, Qty, Rate};
use arrayvec::ArrayVec;

newtypes!(AccountId, CurrencyId, InstrumentId, VenueId, PolicyId, PositionId, TaskId, Nanos);

/// A bounded number: the checked constructor stands at the border.
macro_rules! bounded {
    ($($name:ident),*) => { $(
        impl Wire for $name {
            const LEN: usize = 8;
            fn put(&self, out: &mut Put<'_>) {
                self.raw().put(out);
            }
            fn take(from: &mut Take<'_>) -> Option<Self> {
                Self::new(i64::take(from)?).ok()
            }
        }
    )* };
}
bounded!(Price, Qty, Rate);

codes!(Urgency { Opportunistic = 1, Normal = 2, Protective = 3, Critical = 4 });
codes!(Reason {
    Operator = 1,
    Liquidation = 2,
    LegLost = 3,
    Imbalance = 4,
    DrawdownBreaker = 5,
    PortfolioLoss = 6,
    StopLoss = 7,
    TrailingStop = 8,
    TrailingProfit = 9,
    Dump = 10,
    Correlation = 11,
    BreakEven = 12,
    TakeProfit = 13,
    Tiers = 14,
    Basis = 15,
    PortfolioProfit = 16,
    Reversal = 17,
    Deadline = 18,
    FundingFlip = 19,
    ProfitErosion = 20,
    Health = 21,
    Blind = 22,
});
codes!(Cmp { AtLeast = 1, AtMost = 2 });
codes!(Side { Long = 1, Short = 2 });
codes!(OrderSide { Buy = 1, Sell = 2 });
codes!(RejectClass { Price = 1, Size = 2, RateLimit = 3, Unavailable = 4, Fatal = 5 });
codes!(EntryOutcome { Filled = 1, Partial = 2, Nothing = 3 });
codes!(Outcome { Closed = 1, Done = 2, Missed = 3, Dust = 4 });
codes!(ContractKind { Linear = 1, Inverse = 2 });

fields!(Decimal { mantissa: i128, scale: u8 });
fields!(Top { quote: Quote, received: Nanos });
fields!(Input { instrument: InstrumentId, quote: Option<Quote>, update_id: u64, age: Nanos });
fields!(Order {
    id: ClientOrderId,
    account: AccountId,
    instrument: InstrumentId,
    side: OrderSide,
    qty: Qty,
    limit: Option<Price>,
    reduce_only: bool,
});
fields!(OrderEvent { id: ClientOrderId, what: OrderChange });
fields!(HoldingRead { account: AccountId, instrument: InstrumentId, qty: i64, asked: Nanos });
fields!(ClientOrderId { epoch: u16, position: PositionId, leg: u8, plan: u32, attempt: u16 });
fields!(LegSpec {
    account: AccountId,
    instrument: InstrumentId,
    side: Side,
    entry: Price,
    qty: Qty,
    fees_paid: Decimal,
    funding: Decimal,
    margin: Option<Decimal>,
});
fields!(PositionSpec {
    policy: PolicyId,
    opened: Nanos,
    tag: u32,
    legs: ArrayVec<LegSpec, LEGS_MAX>,
});
fields!(ExitSettings {
    collar_normal: Rate,
    collars_protective: ArrayVec<Rate, COLLARS_MAX>,
    spread_limit: Rate,
    polling_deadline: Nanos,
    stuck_after: Nanos,
    rearm_first: Nanos,
    rearm_last: Nanos,
    max_unhedged: Option<Decimal>,
    max_unhedged_time: Nanos,
});
fields!(Quota { max: u32, span: Nanos });
fields!(VenueBudget {
    orders: Quota,
    weight: Quota,
    order_weight: u32,
    query_weight: u32,
    read_weight: u32,
});
fields!(InstrumentSpec {
    venue: VenueId,
    currency: CurrencyId,
    contract: ContractKind,
    price_scale: u8,
    qty_scale: u8,
    multiplier: Decimal,
    tick: i64,
    lot: i64,
    min_qty: i64,
    min_notional: Decimal,
    taker: Rate,
    maker: Rate,
    min_fee: Decimal,
    max_quote_age: Nanos,
    jump_limit: Rate,
    jump_ticks: i64,
    reduce_only: bool,
    min_notional_on_reduce: bool,
    peer: Option<InstrumentId>,
});

/// A number of legs.
#[derive(Clone, Copy)]
struct Legs(u8);

impl Wire for Legs {
    const LEN: usize = 1;

    fn put(&self, out: &mut Put<'_>) {
        self.0.put(out);
    }

    fn take(from: &mut Take<'_>) -> Option<Self> {
        u8::take(from).filter(|&legs| usize::from(legs) <= LEGS_MAX).map(Self)
    }
}

impl Wire for Quote {
    const LEN: usize = 32;

    fn put(&self, out: &mut Put<'_>) {
        [self.bid.raw(), self.ask.raw(), self.bid_qty.raw(), self.ask_qty.raw()].put(out);
    }

    fn take(from: &mut Take<'_>) -> Option<Self> {
        let [bid, ask, bid_qty, ask_qty] = Wire::take(from)?;
        Self::new(bid, ask, bid_qty, ask_qty).ok()
    }
}

impl Wire for LegForm {
    const LEN: usize = 32;

    fn put(&self, out: &mut Put<'_>) {
        let (weight, factor, factor_min, min_fee) = self.parts();
        weight.put(out);
        factor.put(out);
        factor_min.put(out);
        min_fee.put(out);
    }

    fn take(from: &mut Take<'_>) -> Option<Self> {
        let (weight, factor) = (Wire::take(from)?, Wire::take(from)?);
        let (factor_min, min_fee) = (Wire::take(from)?, Wire::take(from)?);
        Self::from_parts(weight, factor, factor_min, min_fee)
    }
}

impl Wire for NetForm {
    const LEN: usize = LEGS_MAX * LegForm::LEN + Legs::LEN + Cmp::LEN + i128::LEN;

    fn put(&self, out: &mut Put<'_>) {
        self.legs.put(out);
        Legs(self.count).put(out);
        self.cmp.put(out);
        self.bound.put(out);
    }

    fn take(from: &mut Take<'_>) -> Option<Self> {
        Some(Self {
            legs: Wire::take(from)?,
            count: Legs::take(from)?.0,
            cmp: Wire::take(from)?,
            bound: Wire::take(from)?,
        })
    }
}

const COMPILED_PRICE: usize = Cmp::LEN + i64::LEN;

impl Wire for Compiled {
    const LEN: usize = 1 + NetForm::LEN;

    fn put(&self, out: &mut Put<'_>) {
        match self {
            Self::Unconditional => {
                0u8.put(out);
                out.skip(NetForm::LEN);
            }
            Self::Price { cmp, limit } => {
                1u8.put(out);
                cmp.put(out);
                limit.put(out);
                out.skip(NetForm::LEN - COMPILED_PRICE);
            }
            Self::Net(form) => {
                2u8.put(out);
                form.put(out);
            }
        }
    }

    fn take(from: &mut Take<'_>) -> Option<Self> {
        Some(match u8::take(from)? {
            0 => {
                from.skip(NetForm::LEN)?;
                Self::Unconditional
            }
            1 => {
                let read = Self::Price { cmp: Wire::take(from)?, limit: Wire::take(from)? };
                from.skip(NetForm::LEN - COMPILED_PRICE)?;
                read
            }
            2 => Self::Net(Wire::take(from)?),
            _ => return None,
        })
    }
}

impl Wire for Intent {
    const LEN: usize = 8
        + Nanos::LEN
        + PositionId::LEN
        + 4
        + 2
        + Reason::LEN
        + Urgency::LEN
        + Legs::LEN
        + LEGS_MAX * (Qty::LEN + <Option<Input>>::LEN)
        + Compiled::LEN;

    fn put(&self, out: &mut Put<'_>) {
        self.seq.put(out);
        self.at.put(out);
        self.position.put(out);
        self.policy_version.put(out);
        self.rule.put(out);
        self.part.put(out);
        self.reason.put(out);
        self.urgency.put(out);
        Legs(self.legs).put(out);
        self.keep.put(out);
        self.compiled.put(out);
        self.inputs.put(out);
    }

    fn take(from: &mut Take<'_>) -> Option<Self> {
        Some(Self {
            seq: Wire::take(from)?,
            at: Wire::take(from)?,
            position: Wire::take(from)?,
            policy_version: Wire::take(from)?,
            rule: Wire::take(from)?,
            part: Wire::take(from)?,
            reason: Wire::take(from)?,
            urgency: Wire::take(from)?,
            legs: Legs::take(from)?.0,
            keep: Wire::take(from)?,
            compiled: Wire::take(from)?,
            inputs: Wire::take(from)?,
        })
    }
}

fields!(EntryLeg {
    account: AccountId,
    instrument: InstrumentId,
    side: Side,
    qty: Qty,
    limit: Price,
    step: Qty,
});

impl Wire for EntryIntent {
    const LEN: usize = 8 + Nanos::LEN + TaskId::LEN + 1 + ENTRY_LEGS_MAX * EntryLeg::LEN;

    fn put(&self, out: &mut Put<'_>) {
        self.seq.put(out);
        self.at.put(out);
        self.task.put(out);
        self.count.put(out);
        self.legs().iter().for_each(|leg| leg.put(out));
        out.skip((ENTRY_LEGS_MAX - self.legs().len()) * EntryLeg::LEN);
    }

    fn take(from: &mut Take<'_>) -> Option<Self> {
        let (seq, at, task) = (Wire::take(from)?, Wire::take(from)?, Wire::take(from)?);
        let count = u8::take(from)?;
        let mut legs = [EntryLeg::NONE; ENTRY_LEGS_MAX];
        for leg in legs.get_mut(..usize::from(count)).filter(|legs| !legs.is_empty())? {
            // The executor divides by the step.
            *leg = Wire::take(from).filter(|leg: &EntryLeg| leg.step > Qty::ZERO)?;
        }
        from.skip((ENTRY_LEGS_MAX - usize::from(count)) * EntryLeg::LEN)?;
        Some(Self { seq, at, task, count, legs })
    }
}

/// Trade id, price, quantity, fee.
const FILL: usize = 8 + Price::LEN + Qty::LEN + i128::LEN;

impl Wire for OrderChange {
    const LEN: usize = 1 + FILL;

    fn put(&self, out: &mut Put<'_>) {
        match self {
            Self::Acked => {
                1u8.put(out);
                out.skip(FILL);
            }
            Self::Filled { trade_id, price, qty, fee } => {
                2u8.put(out);
                trade_id.put(out);
                price.put(out);
                qty.put(out);
                fee.put(out);
            }
            Self::Expired => {
                3u8.put(out);
                out.skip(FILL);
            }
            Self::Rejected(class) => {
                4u8.put(out);
                class.put(out);
                out.skip(FILL - RejectClass::LEN);
            }
            Self::Doubted => {
                5u8.put(out);
                out.skip(FILL);
            }
            Self::NotFound => {
                6u8.put(out);
                out.skip(FILL);
            }
        }
    }

    fn take(from: &mut Take<'_>) -> Option<Self> {
        let (read, rest) = match u8::take(from)? {
            1 => (Self::Acked, FILL),
            2 => {
                let (trade_id, price) = (Wire::take(from)?, Wire::take(from)?);
                let (qty, fee) = (Wire::take(from)?, Wire::take(from)?);
                (Self::Filled { trade_id, price, qty, fee }, 0)
            }
            3 => (Self::Expired, FILL),
            4 => (Self::Rejected(Wire::take(from)?), FILL - RejectClass::LEN),
            5 => (Self::Doubted, FILL),
            6 => (Self::NotFound, FILL),
            _ => return None,
        };
        from.skip(rest)?;
        Some(read)
    }
}

/// Leg, price, quantity, fee.
const REPORT_FILL: usize = 1 + Price::LEN + Qty::LEN + i128::LEN;

impl Wire for Report {
    const LEN: usize = 1 + PositionId::LEN + REPORT_FILL;

    fn put(&self, out: &mut Put<'_>) {
        match self {
            Self::Fill { position, leg, price, qty, fee } => {
                1u8.put(out);
                position.put(out);
                leg.put(out);
                price.put(out);
                qty.put(out);
                fee.put(out);
            }
            Self::PlanEnded { position, intent, outcome } => {
                2u8.put(out);
                position.put(out);
                intent.put(out);
                outcome.put(out);
                out.skip(REPORT_FILL - u64::LEN - Outcome::LEN);
            }
            Self::LegRead { position, leg, qty } => {
                3u8.put(out);
                position.put(out);
                leg.put(out);
                qty.put(out);
                out.skip(REPORT_FILL - 1 - Qty::LEN);
            }
            Self::EntryFill { task, leg, price, qty, fee }
            | Self::EntryUndone { task, leg, price, qty, fee } => {
                let undone = matches!(self, Self::EntryUndone { .. });
                (if undone { 7u8 } else { 4u8 }).put(out);
                u32::from(task.0).put(out);
                leg.put(out);
                price.put(out);
                qty.put(out);
                fee.put(out);
            }
            Self::EntryEnded { task, entry, outcome } => {
                5u8.put(out);
                u32::from(task.0).put(out);
                entry.put(out);
                outcome.put(out);
                out.skip(REPORT_FILL - u64::LEN - EntryOutcome::LEN);
            }
            Self::LegLost { position, leg, qty } => {
                6u8.put(out);
                position.put(out);
                leg.put(out);
                qty.put(out);
                out.skip(REPORT_FILL - 1 - Qty::LEN);
            }
        }
    }

    fn take(from: &mut Take<'_>) -> Option<Self> {
        let kind = u8::take(from)?;
        let position: PositionId = Wire::take(from)?;
        // Reports of an entry have the task in its place.
        let task = |place: PositionId| u16::try_from(place.0).ok().map(TaskId);
        match kind {
            1 => {
                let (leg, price) = (Wire::take(from)?, Wire::take(from)?);
                let (qty, fee) = (Wire::take(from)?, Wire::take(from)?);
                Some(Self::Fill { position, leg, price, qty, fee })
            }
            2 => {
                let (intent, outcome) = (Wire::take(from)?, Wire::take(from)?);
                from.skip(REPORT_FILL - u64::LEN - Outcome::LEN)?;
                Some(Self::PlanEnded { position, intent, outcome })
            }
            3 => {
                let (leg, qty) = (Wire::take(from)?, Wire::take(from)?);
                from.skip(REPORT_FILL - 1 - Qty::LEN)?;
                Some(Self::LegRead { position, leg, qty })
            }
            4 | 7 => {
                let (leg, price) = (Wire::take(from)?, Wire::take(from)?);
                let (qty, fee) = (Wire::take(from)?, Wire::take(from)?);
                let task = task(position)?;
                Some(if kind == 7 {
                    Self::EntryUndone { task, leg, price, qty, fee }
                } else {
                    Self::EntryFill { task, leg, price, qty, fee }
                })
            }
            5 => {
                let (entry, outcome) = (Wire::take(from)?, Wire::take(from)?);
                from.skip(REPORT_FILL - u64::LEN - EntryOutcome::LEN)?;
                Some(Self::EntryEnded { task: task(position)?, entry, outcome })
            }
            6 => {
                let (leg, qty) = (Wire::take(from)?, Wire::take(from)?);
                from.skip(REPORT_FILL - 1 - Qty::LEN)?;
                Some(Self::LegLost { position, leg, qty })
            }
            _ => None,
        }
    }
}
