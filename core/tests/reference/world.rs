//! Random instruments, policies and positions: everything of a seed that does not move.

use reap_core::event::GateSettings;
use reap_core::instrument::{
    AccountId, ContractKind, CurrencyId, Instrument, InstrumentId, InstrumentSpec, VenueId,
};
use reap_core::policy::{
    AssetClass, Base, Blind, Distance, FeeMode, Policy, PolicyId, Remedy, Rule, RuleSpec,
    Threshold, Tier, TriggerSource,
};
use reap_core::portfolio::PortfolioSettings;
use reap_core::position::{LegSpec, PositionSpec, Side};
use reap_core::units::{Decimal, Nanos, Price, Qty, Rate};

use super::portfolio_world;
use super::rng::Rng;
use super::rules::{break_even, decay, erosion, liquidation};
use super::sight::protects;
use super::{correlation, dump, funding};

/// Round rates, so that prices on a coarse grid meet thresholds exactly.
const RATES: [i64; 12] = [
    1_000_000,
    2_000_000,
    2_500_000,
    5_000_000,
    5_800_000,
    10_000_000,
    12_500_000,
    20_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    3_333_333,
];

/// The fixed part of a seed.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) instruments: Vec<Instrument>,
    /// Without fees, on one grid, at round entries: thresholds are often met exactly.
    pub(super) plain: bool,
    /// Minutes pass, and trades count.
    pub(super) slow: bool,
    /// Minutes pass, in which instruments follow each other.
    pub(super) follows: bool,
    pub(crate) sources: usize,
    pub(crate) settings: GateSettings,
    /// Ticks at which the prices of each instrument begin.
    pub(crate) centre: Vec<i64>,
    /// Policies for positions of 1, 2, … legs.
    pub(crate) policies: Vec<Policy>,
    policy_legs: Vec<usize>,
    /// Rules over all positions.
    pub(crate) portfolio: Option<PortfolioSettings>,
}

fn rate(ppb: i64) -> Rate {
    Rate::new(ppb).expect("a small rate")
}

fn decimal(mantissa: i128, scale: u8) -> Decimal {
    Decimal { mantissa, scale }
}

impl World {
    pub(crate) fn random(rng: &mut Rng, start: Nanos) -> Self {
        let count = rng.within(2, 6) as usize;
        let plain = rng.one_in(3);
        let centre_ticks = if plain { 20_000 } else { rng.pick(&[400, 1000, 2000, 4000, 50_000]) };
        let mut instruments = Vec::new();
        let mut centre = Vec::new();
        let slow = rng.one_in(3);
        let exotic = rng.one_in(3);
        let follows = rng.one_in(5);
        for index in 0..count {
            let (mut spec, ticks) = instrument(rng, index, centre_ticks, exotic, &instruments);
            if plain {
                (spec.taker, spec.maker, spec.min_fee) = (Rate::ZERO, Rate::ZERO, decimal(0, 0));
                (spec.price_scale, spec.qty_scale, spec.multiplier) = (2, 1, decimal(1, 0));
                (spec.tick, spec.lot) = (1, 1);
            }
            if let Some(peer) = spec.peer.filter(|_| rng.one_in(2)) {
                // Two venues of one underlying vouch for each other.
                let peer = &mut instruments[usize::from(peer.0)];
                let mut other: InstrumentSpec = *Instrument::spec(peer);
                other.peer = Some(InstrumentId(index as u16));
                *peer = Instrument::new(other).expect("as before");
            }
            instruments.push(Instrument::new(spec).expect("within every bound"));
            centre.push(ticks);
        }
        let settings = GateSettings {
            liveness: Nanos::from_millis(rng.pick(&[120, 500, 3000])),
            max_leg_skew: Nanos::from_millis(rng.pick(&[5, 40, 250])),
            jump_hold: Nanos::from_millis(rng.pick(&[25, 100, 250])),
            ..GateSettings::default()
        };
        let mut world = Self {
            plain,
            slow,
            follows,
            instruments,
            sources: rng.within(1, 4) as usize,
            settings,
            centre,
            policies: Vec::new(),
            policy_legs: Vec::new(),
            portfolio: None,
        };
        for index in 0..12 {
            let legs = [1, 1, 1, 2, 2, 3, 4][index % 7].min(count);
            let mut policy = world.policy(rng, legs, start);
            // Half of what may be gone over to has rules in common with another.
            let like = world.policy_legs.iter().rposition(|&others| others == legs);
            if let Some(like) = like.filter(|_| rng.one_in(2)) {
                let rules: Vec<RuleSpec> = world.policies[like].rules.clone();
                let at = rng.within(0, 1) as usize;
                let kept = rules.into_iter().filter(|_| !rng.one_in(4));
                policy.rules.splice(at..at, kept);
            }
            for said in &mut policy.rules {
                said.on &= !rng.one_in(16);
            }
            world.policies.push(policy);
            world.policy_legs.push(legs);
        }
        if rng.one_in(2) {
            world.portfolio = Some(portfolio_world::settings(rng, start, world.unit()));
        }
        world
    }

    /// The policies for as many legs, itself among them.
    pub(crate) fn policies_like(&self, own: PolicyId) -> Vec<PolicyId> {
        let legs = self.policy_legs[usize::from(own.0)];
        let all = 0..self.policies.len() as u16;
        all.filter(|&at| self.policy_legs[usize::from(at)] == legs).map(PolicyId).collect()
    }

    /// A world that a golden case states.
    pub(crate) fn given(
        instruments: Vec<Instrument>,
        sources: usize,
        settings: GateSettings,
        policies: Vec<Policy>,
        portfolio: Option<PortfolioSettings>,
    ) -> Self {
        let (centre, policy_legs) = (Vec::new(), Vec::new());
        Self {
            plain: true,
            slow: false,
            follows: false,
            instruments,
            sources,
            settings,
            centre,
            policies,
            policy_legs,
            portfolio,
        }
    }

    /// A position that is entered near these prices (ticks).
    pub(crate) fn position(&self, rng: &mut Rng, now: Nanos, ticks: &[i64]) -> PositionSpec {
        let policy = rng.within(0, self.policies.len() as i64 - 1) as usize;
        let mut free: Vec<u16> = (0..self.instruments.len() as u16).collect();
        let first_side = rng.pick(&[Side::Long, Side::Short]);
        // Money on one grid, so that a sum over all positions meets round amounts.
        let on_grid = self.plain && self.portfolio.is_some();
        let common_lots = if on_grid { 100 } else { rng.within(10, 400) };
        let legs = (0..self.policy_legs[policy]).map(|leg| {
            let instrument = free.swap_remove((rng.next() % free.len() as u64) as usize);
            let spec = self.instruments[usize::from(instrument)].spec();
            let opposite = leg % 2 == 1 && !rng.one_in(5);
            let side = match (first_side, opposite) {
                (Side::Long, false) | (Side::Short, true) => Side::Long,
                _ => Side::Short,
            };
            let near = ticks[usize::from(instrument)];
            let mut entry = near + rng.within(-near / 50, near / 50);
            if rng.one_in(2) {
                entry = entry / 40 * 40;
            }
            if self.plain {
                entry = (entry + 500) / 1000 * 1000;
            }
            // An average entry price need not lie on the tick grid.
            let off = if rng.one_in(4) { rng.within(0, spec.tick - 1) } else { 0 };
            let lots = if self.plain || rng.one_in(2) { common_lots } else { rng.within(10, 400) };
            self.leg(rng, instrument, side, entry.max(40) * spec.tick + off, lots * spec.lot)
        });
        let legs = legs.collect();
        PositionSpec {
            policy: PolicyId(policy as u16),
            opened: now.minus(Nanos::from_millis(rng.within(0, 3000) as u64)),
            tag: rng.within(1, 3) as u32,
            legs,
        }
    }

    fn leg(&self, rng: &mut Rng, instrument: u16, side: Side, entry: i64, qty: i64) -> LegSpec {
        let instrument = InstrumentId(instrument);
        let (fees_paid, funding) = self.amounts(rng, instrument, entry, qty);
        let spec = self.instruments[usize::from(instrument.0)].spec();
        let notional = i128::from(entry) * i128::from(qty) * spec.multiplier.mantissa;
        let margin = decimal(notional / i128::from(rng.within(1, 20)) + 1, money_scale(spec));
        LegSpec {
            // A one-way account holds one side.
            account: AccountId(u8::from(side == Side::Short)),
            instrument,
            side,
            entry: Price::new(entry).expect("a small price"),
            qty: Qty::new(qty).expect("a small quantity"),
            fees_paid,
            funding,
            margin: Some(margin),
        }
    }

    /// Fees and funding of a leg: often nought, never far from its entry notional's 0.1 %.
    pub(crate) fn amounts(
        &self,
        rng: &mut Rng,
        instrument: InstrumentId,
        entry: i64,
        qty: i64,
    ) -> (Decimal, Decimal) {
        let spec = self.instruments[usize::from(instrument.0)].spec();
        let notional = i128::from(entry) * i128::from(qty) * spec.multiplier.mantissa;
        let mut amount = |widest: i64| {
            let digits = rng.pick(&[0u8, 0, 3, 9]);
            let tail = i128::from(rng.within(0, 10i64.pow(u32::from(digits)) - 1));
            let ten = 10i128.pow(u32::from(digits));
            let units = notional * i128::from(rng.within(-widest, widest * 2)) / 100_000;
            let quiet = self.plain || rng.one_in(2);
            let mantissa = if quiet { 0 } else { units * ten + tail };
            decimal(mantissa, money_scale(spec) + digits)
        };
        (amount(50), amount(50))
    }

    fn policy(&self, rng: &mut Rng, legs: usize, start: Nanos) -> Policy {
        let count = rng.within(1, 5);
        let mut rules: Vec<Rule> = (0..count).map(|_| self.rule(rng, legs, start)).collect();
        let of_balance = rules.iter().position(|rule| matches!(rule, Rule::Imbalance { .. }));
        let other = of_balance.filter(|_| !rng.one_in(3)).map(|at| (at, rules.len()));
        if other.is_some() {
            rules.push(imbalance(rng));
        }
        let mut policy = Policy::of(rules);
        if let Some((first, second)) = other {
            // Each counts for itself; one of them may have to be switched on first.
            let off = rng.pick(&[None, Some(first), Some(second)]);
            off.into_iter().for_each(|rule| policy.rules[rule].on = false);
        }
        if legs == 1 {
            for said in policy.rules.iter_mut().filter(|said| protects(&said.rule)) {
                use TriggerSource::{Bbo, Last, Mark};
                said.source = rng.pick(&[Bbo, Bbo, Bbo, Last, Mark]);
            }
        }
        if rng.one_in(8) {
            policy.blind = Blind::MarketAfter(Nanos::from_millis(rng.pick(&[0, 200, 400, 3000])));
        }
        if rng.one_in(5) {
            let near = rng.pick(&[200, 2_000, 10_000, 1_800_000]);
            policy.hold_for_funding = Some(Nanos::from_millis(near));
        }
        policy.version = rng.within(1, 9) as u32;
        policy.fees = rng.pick(&[FeeMode::Net, FeeMode::Net, FeeMode::EntryOnly, FeeMode::Gross]);
        policy.fee_buffer_ppb =
            rng.pick(&[1_000_000_000, 1_000_000_000, 1_100_000_000, 1_033_333_333, 0]);
        policy.slippage_reserve =
            if self.plain { Rate::ZERO } else { rate(rng.pick(&[0, 0, 0, 100_000, 333_333])) };
        policy.class = rng.pick(&[AssetClass::Regular, AssetClass::Major, AssetClass::Meme]);
        policy.exit.rearm_first = Nanos::from_millis(rng.pick(&[1, 20]));
        policy.exit.rearm_last = Nanos::from_millis(rng.pick(&[100, 1000]));
        policy
    }

    fn rule(&self, rng: &mut Rng, legs: usize, start: Nanos) -> Rule {
        let base = self.base(rng);
        let small = rate(rng.pick(&RATES[..9]));
        if self.follows && legs == 1 && rng.one_in(3) {
            return correlation::rule(rng, self.instruments.len());
        }
        match rng.within(0, 25) {
            20..=23 if legs == 1 => dump::rule(rng, &self.instruments[0], small),
            20..=25 => funding::rule(rng, base),
            15 if legs > 1 => imbalance(rng),
            15 | 16 => Rule::LegLost {
                reads: rng.within(1, 3) as u8,
                then: rng.pick(&[Remedy::Close, Remedy::Repair]),
            },
            17 => Rule::Reversal { at: rate(rng.pick(&RATES[..4])), base, enter: false },
            18 | 19 => liquidation::random(rng),
            0 => Rule::TakeProfit { threshold: self.threshold(rng) },
            1 | 14 if legs == 2 => Rule::Basis { threshold: self.threshold(rng) },
            1 | 2 => tiers(rng, base),
            3 => Rule::StopLoss { distance: small, base },
            4 | 5 => {
                let distance = match rng.within(0, 3) {
                    0 if legs == 1 => Distance::Ticks(rng.within(1, 20)),
                    1 if legs == 1 => Distance::Price(self.price_distance(rng)),
                    _ => Distance::Rate(small),
                };
                let activation = rng.one_in(2).then(|| rate(rng.pick(&RATES[..7])));
                Rule::TrailingStop { distance, activation, base }
            }
            6 | 7 => {
                let activation = rng.pick(&RATES[2..9]);
                Rule::TrailingProfit {
                    activation: rate(activation),
                    distance: small,
                    floor: rate(rng.pick(&[0, activation / 3, activation / 2, activation - 1])),
                    step: rate(rng.pick(&[0, 1_000_000, 500_000])),
                    base,
                }
            }
            9 => decay::random(rng, &RATES, base),
            10 | 11 if legs == 1 => break_even::random(rng, &RATES[..9]),
            10..=13 => {
                let amount = rng.one_in(4).then(|| Threshold::Amount(self.amount(rng, 400)));
                erosion::random(rng, &RATES[..7], amount, base)
            }
            8 => Rule::Deadline {
                max_age: Some(Nanos::from_millis(rng.within(200, 20_000) as u64)),
                at: rng.one_in(2).then(|| start.plus(Nanos::from_millis(rng.next() % 30_000))),
                session_close: None,
                close_before: Nanos(0),
            },
            _ => {
                const DAY: u64 = 86_400_000_000_000;
                let close = start.plus(Nanos::from_millis(rng.next() % 60_000)).0 % DAY;
                Rule::Deadline {
                    max_age: None,
                    at: None,
                    session_close: Some(Nanos(close)),
                    close_before: Nanos::from_millis(rng.next() % 10_000),
                }
            }
        }
    }

    fn base(&self, rng: &mut Rng) -> Option<Base> {
        match rng.within(0, 7) {
            0 => Some(Base::Entry),
            1 => Some(Base::MaxLeg),
            2 => Some(Base::Gross),
            3 => Some(Base::Margin),
            4 => Some(Base::Amount(self.amount(rng, 1))),
            _ => None,
        }
    }

    fn threshold(&self, rng: &mut Rng) -> Threshold {
        if rng.one_in(5) {
            return Threshold::Amount(self.amount(rng, 400));
        }
        let rate = rate(rng.pick(&RATES) * rng.pick(&[1, 1, 1, -1]));
        Threshold::Rate { rate, base: self.base(rng) }
    }

    /// An amount of the size of a typical position's notional over `part`, with few digits.
    fn amount(&self, rng: &mut Rng, part: i128) -> Decimal {
        let spec = self.instruments[0].spec();
        let price = i128::from(self.centre[0] * spec.tick);
        let notional = price * i128::from(spec.lot * 100) * spec.multiplier.mantissa;
        let units = (notional / part).max(1) * i128::from(rng.within(1, 4));
        decimal(units, money_scale(spec))
    }

    /// About a thousandth of a typical position's notional.
    pub(super) fn unit(&self) -> Decimal {
        let spec = self.instruments[0].spec();
        let price = i128::from(self.centre[0] * spec.tick);
        let notional = price * i128::from(spec.lot * 100) * spec.multiplier.mantissa;
        decimal((notional / 1000).max(1), money_scale(spec))
    }

    /// A distance that is whole at every instrument's price scale.
    fn price_distance(&self, rng: &mut Rng) -> Decimal {
        let scale = self.instruments.iter().map(|i| i.spec().price_scale).min().unwrap_or(0);
        decimal(i128::from(rng.within(1, 30)), scale)
    }
}

fn money_scale(spec: &InstrumentSpec) -> u8 {
    spec.price_scale + spec.qty_scale + spec.multiplier.scale
}

fn imbalance(rng: &mut Rng) -> Rule {
    Rule::Imbalance {
        share: rate(rng.pick(&[1, 5_000_000, 250_000_000])),
        hold: Nanos::from_millis(rng.pick(&[0, 30, 2000])),
        then: rng.pick(&[Remedy::Close, Remedy::Repair]),
    }
}

fn tiers(rng: &mut Rng, base: Option<Base>) -> Rule {
    let mut at = 0;
    let mut share = 0;
    let count = rng.within(1, 4);
    let mut tiers: Vec<Tier> = Vec::new();
    for _ in 0..count {
        at += rng.pick(&RATES[..8]);
        share += rng.pick(&[200_000_000, 250_000_000, 333_333_333]);
        tiers.push(Tier { at: rate(at), share: rate(share.min(999_999_999)) });
    }
    if rng.one_in(2) {
        tiers.last_mut().expect("at least one").share = rate(1_000_000_000);
    }
    tiers.dedup_by_key(|tier| tier.share);
    Rule::Tiers { base, tiers: tiers.into_iter().collect() }
}

fn instrument(
    rng: &mut Rng,
    index: usize,
    centre_ticks: i64,
    exotic: bool,
    before: &[Instrument],
) -> (InstrumentSpec, i64) {
    let plain = [(1i128, 0u8)];
    let odd = [(1i128, 0u8), (1, 1), (1, 3), (10, 0), (7, 2)];
    let (mantissa, scale) = rng.pick(if exotic { &odd[..] } else { &plain[..] });
    let tick = rng.pick(&[1, 1, 5, 10, 25]);
    let price_scale = rng.within(0, 4) as u8;
    let free: Vec<u16> =
        (0..index as u16).filter(|&at| before[usize::from(at)].spec().peer.is_none()).collect();
    let peer = (!free.is_empty() && rng.one_in(2)).then(|| rng.pick(&free));
    let mut spec = InstrumentSpec {
        venue: VenueId((index % 3) as u8),
        currency: CurrencyId(0),
        contract: ContractKind::Linear,
        price_scale,
        qty_scale: rng.within(0, 3) as u8,
        multiplier: decimal(mantissa, scale),
        tick,
        lot: rng.pick(&[1, 1, 10, 5]),
        min_qty: rng.pick(&[1, 1, 7, 40]),
        min_notional: decimal(i128::from(rng.pick(&[0, 0, 1, 100])), 0),
        taker: rate(rng.pick(&[0, 0, 500_000, 400_000, 333_333, -50_000])),
        maker: rate(200_000),
        min_fee: decimal(0, 0),
        max_quote_age: Nanos::from_millis(rng.pick(&[60, 300, 5000, 5000])),
        jump_limit: rate(rng.pick(&[10_000_000, 30_000_000, 100_000_000])),
        jump_ticks: rng.pick(&[5, 10]),
        reduce_only: true,
        min_notional_on_reduce: !rng.one_in(3),
        peer: peer.map(InstrumentId),
    };
    let mut ticks = centre_ticks;
    if let Some(peer) = peer {
        // Peers trade at the same price, each on its own scale and grid.
        let other = before[usize::from(peer)].spec();
        spec.price_scale = other.price_scale + u8::from(rng.one_in(2));
        let factor = 10i64.pow(u32::from(spec.price_scale - other.price_scale));
        spec.tick = other.tick * factor;
        ticks = centre_ticks;
    }
    if rng.one_in(5) {
        // Of the order of the fee that the rate gives, so that either may decide.
        let notional = i128::from(ticks * spec.tick * spec.lot * 100) * spec.multiplier.mantissa;
        spec.min_fee = decimal(notional * i128::from(rng.within(1, 10)), money_scale(&spec) + 4);
    }
    (spec, ticks)
}
