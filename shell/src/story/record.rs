//! What is remembered of each plan: the decision, its orders and fills, and what it brought.

use reap_core::event::Outcome;
use reap_core::follower::NearMiss;
use reap_core::instrument::Instrument;
use reap_core::intent::{Intent, Reason, Urgency};
use reap_core::limits::LEGS_MAX;
use reap_core::net::Compiled;
use reap_core::note::{Overruled, SeenBy};
use reap_core::order::{ClientOrderId, Order, OrderChange};
use reap_core::policy::PolicyId;
use reap_core::position::{PositionSpec, Side};
use reap_core::units::{Decimal, Nanos, Price, Qty};

/// An order of a plan and what became of it.
#[derive(Clone, Debug)]
pub struct OrderRecord {
    /// As it was sent.
    pub order: Order,
    /// Index of the leg.
    pub leg: usize,
    /// When it was sent.
    pub sent_at: Nanos,
    /// What the venue said, and when.
    pub said: Vec<(Nanos, OrderChange)>,
    /// When its fate was settled by what is held, because its venue does not know it, and what it
    /// must have traded without a word.
    pub proven: Option<(Nanos, Qty)>,
}

/// What an intent took from the message that brought it, in nanoseconds by our clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// Number of the intent.
    pub intent: u64,
    /// Message in hand → ticks.
    pub decode: u64,
    /// Ticks → everything decided and ordered that they called for.
    pub decide: u64,
}

/// A rule that came near and turned back.
#[derive(Clone, Copy, Debug)]
pub struct NearRecord {
    /// Index of the position among the configured ones.
    pub position: usize,
    /// What the follower saw.
    pub miss: NearMiss,
}

/// A rule that held and waited for a settlement of funding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waited {
    /// Index of the rule in the policy.
    pub rule: u8,
    /// What it would have closed for.
    pub reason: Reason,
    /// The settlement's time.
    pub settles: Nanos,
}

/// A time that legs of a plan stood without their counterpart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeggingRecord {
    /// When it was told.
    pub at: Nanos,
    /// Index of the leg that had too much, the most of them.
    pub leg: usize,
    /// Notional of what was too much by then, at the position's nano scale.
    pub notional: Decimal,
    /// When it was called overdue: the rest was closed urgently.
    pub overdue: Option<Nanos>,
    /// How long it lasted and the most notional that it had; `None` while it lasts.
    pub over: Option<(Nanos, Decimal)>,
}

/// A fill of a plan.
#[derive(Clone, Copy, Debug)]
pub struct FillRecord {
    /// Index of the leg.
    pub leg: usize,
    /// When it was reported.
    pub at: Nanos,
    /// Its price.
    pub price: Price,
    /// Its quantity.
    pub qty: Qty,
    /// Its fee at the instrument's nano scale.
    pub fee: i128,
}

/// One plan from its first intent to its end.
#[derive(Clone, Debug)]
pub struct PlanRecord {
    /// Index of the position among the configured ones.
    pub position: usize,
    /// The policy that the position was under.
    pub policy: PolicyId,
    /// The intent that began it and those that raised it.
    pub intents: Vec<Intent>,
    /// Rules that held as well and lost to one of the intents, in the order of time.
    pub overruled: Vec<(Nanos, Overruled)>,
    /// Rules that held before it, or during it, and waited for a settlement of funding, in the order
    /// of time.
    pub waited: Vec<(Nanos, Waited)>,
    /// What its intents took, of those that a message brought.
    pub spent: Vec<Spent>,
    /// Prices that raised the intents and are no best bid or ask.
    pub seen: Vec<SeenBy>,
    /// Its orders, in the order of sending.
    pub orders: Vec<OrderRecord>,
    /// Its fills, in the order of the reports.
    pub fills: Vec<FillRecord>,
    /// Times that some of its legs stood without their counterpart, as far as they were told.
    pub legging: Vec<LeggingRecord>,
    /// How it ended and when; `None` while it is live.
    pub ended: Option<(Nanos, Outcome)>,
    /// Realised net of its fills, at the position's nano scale.
    pub net: Decimal,
}

impl PlanRecord {
    /// A plan that begins with this intent.
    #[must_use]
    pub fn new(position: usize, policy: PolicyId, intent: Intent, scale: u8) -> Self {
        Self {
            position,
            policy,
            intents: vec![intent],
            overruled: Vec::new(),
            waited: Vec::new(),
            spent: Vec::new(),
            seen: Vec::new(),
            orders: Vec::new(),
            fills: Vec::new(),
            legging: Vec::new(),
            ended: None,
            net: Decimal { mantissa: 0, scale },
        }
    }

    /// The intent that it ran under in the end.
    ///
    /// # Panics
    /// Never: a plan begins with an intent.
    #[must_use]
    pub fn intent(&self) -> &Intent {
        self.intents.last().expect("a plan begins with an intent")
    }

    /// Why it closed what it closed.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.intent().reason
    }

    /// How urgently, in the end.
    #[must_use]
    pub fn urgency(&self) -> Urgency {
        self.intent().urgency
    }

    /// Whether it closed anything.
    #[must_use]
    pub fn is_exit(&self) -> bool {
        !self.fills.is_empty()
    }

    /// How long after an intent its first order was sent; `None` when the next one came first.
    #[must_use]
    pub fn sent_after(&self, intent: &Intent) -> Option<Nanos> {
        let next = self.intents.iter().find(|other| other.seq > intent.seq).map(|next| next.at);
        let order = self.orders.iter().find(|order| order.sent_at >= intent.at)?;
        let passed = next.is_some_and(|next| next <= order.sent_at);
        (!passed).then_some(order.sent_at.since(intent.at))
    }

    /// Prices that raised an intent and stand nowhere in it.
    pub fn seen_by(&self, intent: &Intent) -> impl Iterator<Item = &SeenBy> {
        let seq = intent.seq;
        self.seen.iter().filter(move |seen| seen.intent == seq)
    }

    /// An order of this plan.
    #[must_use]
    pub fn order(&self, id: ClientOrderId) -> Option<&OrderRecord> {
        self.orders.iter().rev().find(|order| order.order.id == id)
    }

    /// An order of this plan, for what the venue says of it.
    pub fn order_mut(&mut self, id: ClientOrderId) -> Option<&mut OrderRecord> {
        self.orders.iter_mut().rev().find(|order| order.order.id == id)
    }

    /// Volume-weighted fill price of a leg with two decimals more than its price has, and the
    /// quantity; `None` without a fill. Rounded down.
    #[must_use]
    pub fn average(&self, leg: usize, instrument: &Instrument) -> Option<(Decimal, Qty)> {
        let fills = self.fills.iter().filter(|fill| fill.leg == leg);
        let (value, qty) = fills.fold((0i128, 0i64), |(value, qty), fill| {
            let notional = i128::from(fill.price.raw()) * i128::from(fill.qty.raw());
            (value + notional, qty + fill.qty.raw())
        });
        let qty = Qty::new(qty).ok().filter(|qty| *qty > Qty::ZERO)?;
        let mantissa = (value * 100).div_euclid(i128::from(qty.raw()));
        Some((Decimal { mantissa, scale: instrument.spec().price_scale + 2 }, qty))
    }

    /// What the fills brought beyond the reference, at the position's nano scale; negative is a
    /// loss against it. The reference of a rule on one price is its trigger, of everything else the
    /// prices that the decision saw. `None` when it saw none of a leg.
    #[must_use]
    pub fn slippage(&self, spec: &PositionSpec, instruments: &[&Instrument]) -> Option<i128> {
        let intent = self.intent();
        let scale = instruments.iter().map(|one| one.nano_scale()).max()?;
        let mut sum = 0;
        for fill in &self.fills {
            let leg = &spec.legs[fill.leg];
            let seen = self.seen_by(intent).find(|seen| usize::from(seen.leg) == fill.leg);
            let reference = match (intent.compiled, seen) {
                (Compiled::Price { limit, .. }, _) => limit,
                (_, Some(SeenBy { limit: Some((_, limit)), .. })) => *limit,
                (_, Some(seen)) => seen.price.raw(),
                (Compiled::Net(_) | Compiled::Unconditional, None) => {
                    let quote = intent.inputs[fill.leg]?.quote?;
                    match leg.side {
                        Side::Long => quote.bid.raw(),
                        Side::Short => quote.ask.raw(),
                    }
                }
            };
            let instrument = instruments[fill.leg];
            let align = 10i128.pow(u32::from(scale - instrument.nano_scale()));
            let per_unit = instrument.notional_nano(Price::new(1).ok()?, fill.qty) * align;
            sum += leg.side.sign() * i128::from(fill.price.raw() - reference) * per_unit;
        }
        Some(sum)
    }
}

/// Where a configured position stands.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// The policy that it is under, where that is another than the configured one.
    pub policy: Option<PolicyId>,
    /// Its specification, once everything that it waited for was known.
    pub spec: Option<PositionSpec>,
    /// Id in engine and executor, once registered.
    pub id: Option<reap_core::position::PositionId>,
    /// Why it was refused at registration.
    pub refused: Option<String>,
    /// Flat on evidence.
    pub closed: bool,
    /// What is left cannot be sold.
    pub dust: bool,
    /// Open quantity of each leg, as the executor reports.
    pub open: [Qty; LEGS_MAX],
    /// Funding settled since it was opened, by leg, for its original quantity at the instrument's
    /// nano scale.
    pub funding: [i128; LEGS_MAX],
    /// Funding that the executor also counts for what was closed before it was settled, at the
    /// position's nano scale: it spreads a total over the original quantity.
    pub unearned: i128,
    /// Plans that missed.
    pub missed: u64,
}
