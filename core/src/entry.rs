//! Entries: what the engine decides to buy and sell, and what an entry's leg has come to.

use crate::instrument::{AccountId, Instrument, InstrumentId};
use crate::limits::{PPB, PRICE_MAX};
use crate::position::{LegSpec, PositionId, PositionSpec, Side};
use crate::units::{Decimal, Nanos, Price, Qty, Rate, div_ceil, div_floor};

/// Legs of an entry at most: what a task buys and what it sells.
pub const ENTRY_LEGS_MAX: usize = 2;

/// Who enters: a task's index in the engine's table, or beyond [`crate::limits::TASKS_MAX`] that of a
/// reversal's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub u16);

/// One leg of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryLeg {
    /// For which account.
    pub account: AccountId,
    /// What.
    pub instrument: InstrumentId,
    /// Long is bought, short is sold.
    pub side: Side,
    /// How much: whole lots, and as many steps as of the other leg.
    pub qty: Qty,
    /// Worst price, on the tick grid.
    pub limit: Price,
    /// The quantity that matches a step of the other leg.
    pub step: Qty,
}

impl EntryLeg {
    /// Nothing: beyond an entry's last leg.
    pub const NONE: Self = Self {
        account: AccountId(0),
        instrument: InstrumentId(0),
        side: Side::Long,
        qty: Qty::ZERO,
        limit: Price::ONE,
        step: Qty::ZERO,
    };
}

/// The engine's decision to enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryIntent {
    /// Number of this entry, from 1.
    pub seq: u64,
    /// When it was decided.
    pub at: Nanos,
    /// For which task or turn.
    pub task: TaskId,
    /// Number of legs, 1 or 2.
    pub count: u8,
    /// The legs; those beyond `count` are [`EntryLeg::NONE`].
    pub legs: [EntryLeg; ENTRY_LEGS_MAX],
}

impl EntryIntent {
    /// The legs.
    #[must_use]
    pub fn legs(&self) -> &[EntryLeg] {
        &self.legs[..usize::from(self.count)]
    }
}

/// A position that has come of an entry: the executor takes it on under this id before it hears of
/// any intent for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entered {
    /// The number under which its entry went: a task, or beyond all tasks a turn.
    pub task: TaskId,
    /// The position whose place it takes; `None` when a task entered it.
    pub of: Option<PositionId>,
    /// Its id.
    pub id: PositionId,
    /// The position.
    pub spec: PositionSpec,
}

/// What an entry's leg has come to so far. Money is at the instrument's money scale, fees at its
/// nano scale.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntryBook {
    /// Filled by the entry's order.
    pub(crate) qty: i64,
    /// Σ price × quantity of these fills, in mantissa units.
    product: i128,
    /// Filled back: the legs did not match.
    pub(crate) undone: i64,
    /// Σ notional paid less what was got back; of a short leg got less what was paid back.
    cost: i128,
    fees: i128,
}

impl EntryBook {
    /// Nothing yet.
    pub(crate) const NONE: Self = Self { qty: 0, product: 0, undone: 0, cost: 0, fees: 0 };

    pub(crate) fn fill(&mut self, instrument: &Instrument, price: Price, qty: Qty, fee: i128) {
        self.qty += qty.raw();
        self.product += i128::from(price.raw()) * i128::from(qty.raw());
        self.cost += instrument.notional(price, qty);
        self.fees = self.fees.saturating_add(fee);
    }

    pub(crate) fn undo(&mut self, instrument: &Instrument, price: Price, qty: Qty, fee: i128) {
        self.undone += qty.raw();
        self.cost -= instrument.notional(price, qty);
        self.fees = self.fees.saturating_add(fee);
    }

    /// What is left of the leg.
    pub(crate) fn left(&self) -> Qty {
        Qty::new((self.qty - self.undone).max(0)).expect("at most what was filled")
    }

    /// What it has cost, at the instrument's nano scale, where what is left of it counts at `price`.
    pub(crate) fn loss(&self, side: Side, instrument: &Instrument, price: Price) -> i128 {
        let left = instrument.notional(price, self.left());
        (side.sign() * (self.cost - left) * i128::from(PPB)).saturating_add(self.fees)
    }

    /// The leg of the position. Its entry is the average price rounded against us, up for a long leg;
    /// what that takes too much, and what undoing has cost, is in the fees: money stays exact.
    pub(crate) fn leg(&self, said: &EntryLeg, instrument: &Instrument) -> LegSpec {
        let average = match said.side {
            Side::Long => div_ceil(self.product, i128::from(self.qty)),
            Side::Short => div_floor(self.product, i128::from(self.qty)),
        };
        let entry = Price::new(average as i64).expect("between the prices of its fills");
        let qty = self.left();
        let rounded = instrument.notional(entry, qty);
        let rest = said.side.sign() * (self.cost - rounded) * i128::from(PPB);
        let scale = instrument.nano_scale();
        LegSpec {
            account: said.account,
            instrument: said.instrument,
            side: said.side,
            entry,
            qty,
            fees_paid: Decimal { mantissa: self.fees.saturating_add(rest), scale },
            funding: Decimal { mantissa: 0, scale },
            margin: None,
        }
    }
}

/// Quantities of two instruments that are the same in base units: the smallest common one, each in its
/// own mantissa units. `None` when it is beyond every bound.
pub(crate) fn common_step(a: &Instrument, b: &Instrument) -> Option<[Qty; 2]> {
    let base = [a, b].map(|one| {
        let spec = one.spec();
        let scale = spec.qty_scale + spec.multiplier.scale;
        (i128::from(spec.lot) * spec.multiplier.mantissa, scale, i128::from(spec.lot))
    });
    let scale = base[0].1.max(base[1].1);
    let lots =
        base.map(|(lot, own, _)| lot.checked_mul(10i128.checked_pow(u32::from(scale - own))?));
    let [Some(first), Some(second)] = lots else { return None };
    let common = (first / gcd(first, second)).checked_mul(second)?;
    let step = |lot: i128, raw: i128| {
        let qty = (common / lot).checked_mul(raw)?;
        Qty::new(i64::try_from(qty).ok()?).ok()
    };
    Some([step(first, base[0].2)?, step(second, base[1].2)?])
}

fn gcd(mut a: i128, mut b: i128) -> i128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// A fill of an entry's order, or of one that undoes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntryFill {
    pub(crate) price: Price,
    pub(crate) qty: Qty,
    pub(crate) fee: i128,
    pub(crate) undoes: bool,
}

/// Worst prices of both legs at which the entry still costs at most `max_cost`: the slack goes to
/// each by half, in ticks. `None` when it costs more. With A the spot's ask, B the futures' bid:
/// (A − B) / A ≤ c ⇔ A·(10⁹ − c) ≤ B·10⁹, at the larger of the two scales.
pub(crate) fn entry_limits(
    max_cost: Rate,
    (spot, ask): (&Instrument, Price),
    (futures, bid): (&Instrument, Price),
) -> Option<[Price; ENTRY_LEGS_MAX]> {
    let scale = spot.spec().price_scale.max(futures.spec().price_scale);
    let up = [spot, futures].map(|of| 10i128.pow(u32::from(scale - of.spec().price_scale)));
    let (ppb, kept) = (i128::from(PPB), i128::from(PPB - max_cost.raw()));
    let (a, b) = (i128::from(ask.raw()) * up[0], i128::from(bid.raw()) * up[1]);
    let slack = b * ppb - a * kept;
    if slack < 0 {
        return None;
    }
    let tick = |of: &Instrument, up: i128| i128::from(of.spec().tick) * up;
    let grid = tick(spot, up[0]);
    // Half of the slack raises the ask by so many ticks; what is left lowers the bid.
    let room = i128::from(PRICE_MAX) * up[0] - a;
    let raised = a + (slack / (2 * kept)).min(room) / grid * grid;
    let grid = tick(futures, up[1]);
    let least = div_ceil(raised * kept, ppb);
    let lowered = div_ceil(least, grid) * grid;
    let price = |value: i128, up: i128| Price::new(i64::try_from(value / up).ok()?).ok();
    Some([price(raised, up[0])?, price(lowered.min(b).max(grid), up[1])?])
}
