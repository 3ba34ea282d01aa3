//! What a position sees of the market: the prices that a rule may look at, and the net they make.

use num_bigint::BigInt;
use reap_core::intent::Reason;
use reap_core::policy::{Base, Blind, Rule, RuleSpec, TriggerSource};
use reap_core::position::Side;
use reap_core::tick::Quote;
use reap_core::units::Nanos;

use super::exact::Exact;
use super::formulas::{self, Leg, Seen};
use super::gates::{Gates, Usable};
use super::life::{Firing, Life};
use super::session::floor;

/// The prices of every leg, once there is one of each.
#[derive(Clone, Debug)]
pub(crate) struct Market {
    pub(crate) exits: Vec<i64>,
    pub(crate) net: Exact,
    /// Every leg's price may be used.
    pub(crate) usable: bool,
    /// One leg, or every leg's source has kept up.
    pub(crate) in_step: bool,
    /// A leg is seen by another price than its quote.
    pub(crate) stands_in: bool,
}

impl Market {
    /// By one kind of price.
    pub(crate) fn own(
        life: &Life,
        now: Nanos,
        gates: &Gates,
        source: TriggerSource,
    ) -> Option<Self> {
        // A leg that is closed already has no say in whether prices may be used.
        let open = life.legs.iter().filter(|leg| leg.open > 0);
        let instruments = open.map(|leg| leg.spec.instrument);
        let exit = |leg: &Leg| Some(exit_price(leg, gates.price(leg.spec.instrument, source)?));
        let exits = life.legs.iter().map(exit).collect::<Option<Vec<_>>>()?;
        let net = formulas::net(&life.legs, &life.policy, &exits);
        let may = |instrument| gates.usable_of(instrument, source, now) == Usable::Yes;
        let usable = instruments.clone().all(may);
        let in_step = life.legs.len() == 1 || gates.in_step(instruments);
        Some(Self { exits, net, usable, in_step, stands_in: false })
    }

    /// By what is left of each leg, for a rule that protects.
    pub(crate) fn left(
        life: &Life,
        now: Nanos,
        gates: &Gates,
        source: TriggerSource,
        own: Option<&Self>,
    ) -> Option<Self> {
        let left = |leg: &Leg| gates.left(leg.spec.instrument, source, now);
        let is_own = |leg: &Leg| left(leg).is_some_and(|(kind, _)| kind == source);
        if let Some(own) = own
            && life.legs.iter().all(is_own)
        {
            return Some(Self { stands_in: false, ..own.clone() });
        }
        let (mut usable, mut stands_in) = (true, false);
        let mut exits = Vec::new();
        for leg in &life.legs {
            let id = leg.spec.instrument;
            let (kind, may) = match gates.left(id, source, now) {
                Some(left) => left,
                None if leg.open > 0 => return None,
                // It weighs nothing: any price will do.
                None => (any_price(gates, leg)?, true),
            };
            usable &= may || leg.open == 0;
            stands_in |= kind != source && leg.open > 0;
            exits.push(exit_price(leg, gates.price(id, kind)?));
        }
        let net = formulas::net(&life.legs, &life.policy, &exits);
        Some(Self { exits, net, usable, in_step: false, stands_in })
    }

    /// At these exit prices, all of which may be used.
    pub(crate) fn at(life: &Life, exits: &[i64]) -> Self {
        let net = formulas::net(&life.legs, &life.policy, exits);
        Self { exits: exits.to_vec(), net, usable: true, in_step: true, stands_in: false }
    }

    pub(crate) fn seen(&self, legs: &[Leg], base: Option<Base>) -> Option<Seen> {
        Seen::of(legs, &self.net, &self.exits, base)
    }
}

/// What a position's rules look at, by the price that they want: that price, and what is left.
pub(crate) struct Views {
    pub(crate) own: [Option<Market>; 3],
    left: [Option<Market>; 3],
}

impl Views {
    pub(crate) fn of(life: &Life, now: Nanos, gates: &Gates) -> Self {
        let all = [TriggerSource::Bbo, TriggerSource::Last, TriggerSource::Mark];
        let wanted = |source, protecting: bool| {
            let by =
                |said: &RuleSpec| said.source == source && (!protecting || protects(&said.rule));
            life.policy.rules.iter().any(by)
        };
        let own = all.map(|source| {
            wanted(source, false).then(|| Market::own(life, now, gates, source)).flatten()
        });
        let left = all.map(|source| {
            let own = own[source as usize].as_ref();
            wanted(source, true).then(|| Market::left(life, now, gates, source, own)).flatten()
        });
        Self { own, left }
    }

    pub(crate) fn of_rule(&self, said: &RuleSpec) -> Option<&Market> {
        let views = if protects(&said.rule) { &self.left } else { &self.own };
        views[said.source as usize].as_ref()
    }
}

impl Life {
    /// Whether no price is left of a leg that is open, and has not been for as long as the policy
    /// bears it.
    pub(super) fn blind(&mut self, now: Nanos, gates: &Gates) -> Option<Firing> {
        if self.is_flat() {
            return None;
        }
        let open = self.legs.iter().filter(|leg| leg.open > 0);
        let Some(dark) = open.filter_map(|leg| gates.dark_since(leg.spec.instrument)).min() else {
            (self.blind_since, self.blind_asked) = (None, false);
            return None;
        };
        let since = dark.max(self.registered);
        self.blind_since = Some(since);
        let Blind::MarketAfter(span) = self.policy.blind else { return None };
        if self.blind_asked || self.is_settled() || now < since.plus(span) {
            return None;
        }
        self.blind_asked = true;
        let reason = Reason::Blind;
        Some(Firing {
            rule: BLIND,
            part: 0,
            reason,
            urgency: reason.urgency(),
            boundary: now == since.plus(span),
            order: 0,
            part_of_open: None,
            stands_in: false,
        })
    }
}

/// The rule's index of a close for want of any price.
const BLIND: u8 = 251;

/// Whether a rule looks at what is left when its price is gone.
pub(crate) const fn protects(rule: &Rule) -> bool {
    matches!(
        rule,
        Rule::StopLoss { .. }
            | Rule::TrailingStop { .. }
            | Rule::TrailingProfit { .. }
            | Rule::BreakEven { .. }
    )
}

fn any_price(gates: &Gates, leg: &Leg) -> Option<TriggerSource> {
    let kinds = [TriggerSource::Bbo, TriggerSource::Last, TriggerSource::Mark];
    kinds.into_iter().find(|&kind| gates.price(leg.spec.instrument, kind).is_some())
}

/// The price at which what protects sees a leg.
pub(super) fn present(leg: &Leg, gates: &Gates, now: Nanos) -> Option<i64> {
    let (kind, _) = gates.left(leg.spec.instrument, TriggerSource::Bbo, now)?;
    Some(exit_price(leg, gates.price(leg.spec.instrument, kind)?))
}

/// A long leg is sold at the bid, a short one bought at the ask.
fn exit_price(leg: &Leg, quote: Quote) -> i64 {
    match leg.spec.side {
        Side::Long => quote.bid.raw(),
        Side::Short => quote.ask.raw(),
    }
}

impl Life {
    /// How near a leg is to its liquidation price, as a share of the mark price in parts per billion;
    /// the largest number where nothing is known.
    pub(super) fn distance(&self, gates: &Gates, now: Nanos) -> BigInt {
        let near = self.legs.iter().zip(&self.liquidations).filter_map(|(leg, at)| {
            let at = leg.price(at.filter(|_| leg.open > 0)?.raw());
            let id = leg.spec.instrument;
            let left = gates.left(id, TriggerSource::Mark, now).map(|(kind, _)| kind);
            let ladder = [TriggerSource::Mark, TriggerSource::Bbo, TriggerSource::Last];
            let known = |&kind: &TriggerSource| gates.price(id, kind).is_some();
            let kind = left.or_else(|| ladder.into_iter().find(known))?;
            let mark = leg.price(exit_price(leg, gates.price(id, kind)?));
            let beyond = match leg.spec.side {
                Side::Long => &mark - &at,
                Side::Short => &at - &mark,
            };
            Some(floor((&beyond * &Exact::int(1_000_000_000)).atto_floor(), &mark.atto_floor()))
        });
        near.min().unwrap_or_else(|| BigInt::from(u128::MAX))
    }
}
