//! The figures of SPEC §3 and the conditions of SPEC §5, written down as they stand there, in units
//! of the quote currency. Nothing is solved for a price.

use std::cmp::Ordering;

use reap_core::instrument::InstrumentSpec;
use reap_core::policy::{Base, Distance, FeeMode, Policy, Threshold};
use reap_core::position::{LegSpec, Side};
use reap_core::units::{Decimal, Nanos, Price, Rate};

use super::exact::Exact;

/// A leg as it stands now.
#[derive(Clone, Debug)]
pub(crate) struct Leg {
    pub(crate) spec: LegSpec,
    pub(crate) instrument: InstrumentSpec,
    /// Open quantity, mantissa.
    pub(crate) open: i64,
    /// Open when the live plan began; without a plan, what is open.
    pub(crate) judged: i64,
    /// What the live plan got for the rest, fees as the policy counts them.
    pub(crate) filled: Exact,
    /// Fees paid for the original quantity.
    pub(crate) fees_paid: Decimal,
    /// Funding settled for the original quantity.
    pub(crate) funding: Decimal,
}

impl Leg {
    pub(crate) fn new(spec: LegSpec, instrument: InstrumentSpec, open: i64) -> Self {
        let (fees_paid, funding) = (spec.fees_paid, spec.funding);
        let filled = Exact::zero();
        Self { spec, instrument, open, judged: open, filled, fees_paid, funding }
    }

    /// A fill of the live plan: it counts at its price. `fee` is at the instrument's nano scale.
    pub(crate) fn fill(&mut self, price: Price, qty: i64, fee: i128, fees: FeeMode) {
        self.open -= qty;
        let value = self.side(&self.price(price.raw()) * &self.size(qty));
        let fee = if fees == FeeMode::Net { Exact::new(fee, self.scale()) } else { Exact::zero() };
        self.filled = &(&self.filled + &value) - &fee;
    }

    /// No plan is live: what is open is judged.
    pub(crate) fn settle(&mut self) {
        self.judged = self.open;
        self.filled = Exact::zero();
    }

    pub(crate) fn original(&self) -> i64 {
        self.spec.qty.raw()
    }

    /// Decimals at which a rate of this leg's notional is exact.
    pub(crate) fn scale(&self) -> u8 {
        let of = &self.instrument;
        of.price_scale + of.qty_scale + of.multiplier.scale + 9
    }

    pub(crate) fn price(&self, mantissa: i64) -> Exact {
        Exact::new(mantissa, self.instrument.price_scale)
    }

    /// The mantissa of a price on the instrument's scale.
    pub(crate) fn mantissa(&self, price: &Exact) -> i64 {
        let unit = Exact::new(1, self.instrument.price_scale);
        price.div_floor(&unit, 0).whole().expect("a price of this instrument")
    }

    pub(crate) fn entry(&self) -> Exact {
        self.price(self.spec.entry.raw())
    }

    /// Quantity × multiplier.
    pub(crate) fn size(&self, qty: i64) -> Exact {
        &Exact::new(qty, self.instrument.qty_scale) * &Exact::from(self.instrument.multiplier)
    }

    /// As profit goes: sold for a long leg, bought for a short one.
    pub(crate) fn side(&self, value: Exact) -> Exact {
        if self.spec.side == Side::Long { value } else { -&value }
    }

    fn entry_notional(&self) -> Exact {
        &self.entry() * &self.size(self.judged)
    }

    /// Cost of leaving at `x`: fees with their buffer and minimum, and the reserve for slippage.
    fn exit_cost(&self, policy: &Policy, x: &Exact, scale: u8) -> Exact {
        let notional = x * &self.size(self.open);
        let reserve = &notional * &Exact::ppb(policy.slippage_reserve.raw());
        if policy.fees != FeeMode::Net {
            return reserve;
        }
        let taker = Exact::ppb(self.instrument.taker.raw());
        let buffer = Exact::ppb(i64::from(policy.fee_buffer_ppb));
        let rate = if taker < Exact::zero() { taker } else { (&taker * &buffer).ceil(9) };
        let fee = &notional * &rate;
        let minimum = (&Exact::from(self.instrument.min_fee) * &buffer).ceil(scale);
        let fee = if minimum.is_zero() || self.open == 0 { fee } else { fee.max(minimum) };
        &fee + &reserve
    }
}

/// Decimals at which amounts of a position of these legs are rounded.
pub(crate) fn scale(legs: &[Leg]) -> u8 {
    legs.iter().map(Leg::scale).max().unwrap_or(0)
}

/// Rule net at these exit prices (mantissas, one per leg): Σ side·(exit − entry)·qty·multiplier +
/// funding − paid fees − exit costs, where the live plan has left at its fill prices and the rest
/// leaves at `exits`.
pub(crate) fn net(legs: &[Leg], policy: &Policy, exits: &[i64]) -> Exact {
    let scale = scale(legs);
    let mut net = Exact::zero();
    for (leg, &x) in legs.iter().zip(exits) {
        let x = leg.price(x);
        let out = &leg.side(&x * &leg.size(leg.open)) + &leg.filled;
        let gain = &out - &leg.side(leg.entry_notional());
        let funding = Exact::from(leg.funding).share_floor(leg.judged, leg.original(), scale);
        let paid = match policy.fees {
            FeeMode::Gross => Exact::zero(),
            FeeMode::Net | FeeMode::EntryOnly => {
                Exact::from(leg.fees_paid).share_ceil(leg.judged, leg.original(), scale)
            }
        };
        net = &(&(&(&net + &gain) + &funding) - &paid) - &leg.exit_cost(policy, &x, scale);
    }
    net
}

/// What a percentage of a rule is a percentage of.
pub(crate) fn base(legs: &[Leg], base: Option<Base>) -> Exact {
    let money = scale(legs) - 9;
    let default = if legs.len() == 1 { Base::Entry } else { Base::MaxLeg };
    let notionals = legs.iter().map(Leg::entry_notional);
    let sum = |values: &mut dyn Iterator<Item = Exact>| {
        values.fold(Exact::zero(), |sum, value| &sum + &value)
    };
    match base.unwrap_or(default) {
        Base::Entry | Base::Gross => sum(&mut { notionals }),
        Base::MaxLeg => notionals.max().unwrap_or_else(Exact::zero),
        Base::Margin => {
            let share = |leg: &Leg| {
                let margin = leg.spec.margin.expect("a position of this base states its margin");
                Exact::from(margin).share_ceil(leg.judged, leg.original(), money + 9)
            };
            sum(&mut legs.iter().map(share)).ceil(money)
        }
        Base::Amount(amount) => Exact::from(amount).ceil(money),
    }
}

/// net − threshold: the rule holds when this is not negative.
pub(crate) fn profit(net: &Exact, legs: &[Leg], threshold: &Threshold) -> Exact {
    match threshold {
        Threshold::Rate { rate, base: of } => net - &share(*rate, &base(legs, *of)),
        Threshold::Amount(amount) => net - &Exact::from(*amount),
    }
}

/// The same for a threshold that is a rate of a base.
pub(crate) fn profit_rate(net: &Exact, legs: &[Leg], rate: Rate, of: Option<Base>) -> Exact {
    net - &share(rate, &base(legs, of))
}

/// net + d·base: the stop of several legs holds when this is not positive.
pub(crate) fn loss(net: &Exact, legs: &[Leg], distance: Rate, of: Option<Base>) -> Exact {
    net + &share(distance, &base(legs, of))
}

fn share(rate: Rate, base: &Exact) -> Exact {
    &Exact::ppb(rate.raw()) * base
}

/// What a price rule looks at: the exit price of the one leg, or 1 + net / base of several legs as
/// if it were the price of a long leg that was entered at 1.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) x: Exact,
    pub(crate) entry: Exact,
    pub(crate) side: Side,
    /// One tick of the instrument; `None` for several legs.
    pub(crate) tick: Option<Exact>,
}

impl Seen {
    /// `None` when nothing is open: there is no ratio to a base of nought.
    pub(crate) fn of(legs: &[Leg], net: &Exact, exits: &[i64], of: Option<Base>) -> Option<Self> {
        if let [leg] = legs {
            return Some(Self {
                x: leg.price(exits[0]),
                entry: leg.entry(),
                side: leg.spec.side,
                tick: Some(leg.price(leg.instrument.tick)),
            });
        }
        let base = base(legs, of);
        if base.is_zero() {
            return None;
        }
        let one = Exact::int(1);
        let x = &one + &net.div_floor(&base, 9);
        Some(Self { x, entry: one, side: Side::Long, tick: None })
    }

    /// `from` moved by `rate` of itself towards profit (against it when negative).
    fn towards_profit(&self, from: &Exact, rate: i64) -> Exact {
        let rate = if self.side == Side::Long { rate } else { -rate };
        from * &(&Exact::int(1) + &Exact::ppb(rate))
    }

    /// How x stands to `other` as profit goes: `Greater` is better.
    fn against(&self, other: &Exact) -> Ordering {
        let ordering = self.x.cmp(other);
        if self.side == Side::Long { ordering } else { ordering.reverse() }
    }

    /// x against E·(1 − d); the stop of one leg holds when not `Greater`.
    pub(crate) fn stop(&self, distance: Rate) -> Ordering {
        self.against(&self.towards_profit(&self.entry, -distance.raw()))
    }

    /// x against E·(1 + a); a trailing rule begins when not `Less`.
    pub(crate) fn activation(&self, activation: Rate) -> Ordering {
        self.against(&self.towards_profit(&self.entry, activation.raw()))
    }

    /// x against the mark less the distance; the trailing stop holds when not `Greater`.
    pub(crate) fn trail(&self, mark: &Exact, distance: Distance) -> Ordering {
        let by = match distance {
            Distance::Rate(rate) => return self.against(&self.towards_profit(mark, -rate.raw())),
            Distance::Ticks(ticks) => {
                let tick = self.tick.as_ref().expect("ticks are refused for several legs");
                &Exact::int(ticks) * tick
            }
            Distance::Price(by) => Exact::from(by),
        };
        self.against(&if self.side == Side::Long { mark - &by } else { mark + &by })
    }

    /// x against E·(1 + floor); the floor holds when not `Greater`.
    pub(crate) fn floor(&self, floor: Rate) -> Ordering {
        self.against(&self.towards_profit(&self.entry, floor.raw()))
    }

    /// Whether x is beyond the mark by more than `step` of it.
    pub(crate) fn beyond(&self, mark: &Exact, step: Rate) -> bool {
        self.against(&self.towards_profit(mark, step.raw())) == Ordering::Greater
    }
}

/// The earliest of the deadline's times.
pub(crate) fn due(
    opened: Nanos,
    max_age: Option<Nanos>,
    at: Option<Nanos>,
    session_close: Option<Nanos>,
    close_before: Nanos,
) -> Option<Nanos> {
    const DAY: u64 = 86_400_000_000_000;
    let close = session_close.map(|time_of_day| {
        let today = Nanos(opened.0 / DAY * DAY + time_of_day.0);
        let next = if today > opened { today } else { today.plus(Nanos(DAY)) };
        next.minus(close_before)
    });
    [max_age.map(|age| opened.plus(age)), at, close].into_iter().flatten().min()
}
