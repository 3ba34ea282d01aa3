//! Whether a position's legs fit each other and its policy, and whether positions fit each other.

use std::collections::HashMap;

use reap_core::instrument::{AccountId, CurrencyId, InstrumentId};
use reap_core::limits::{AMOUNT_MAX, QTY_MAX};
use reap_core::policy::{Base, Distance, Rule, RuleSpec, Threshold, TriggerSource};
use reap_core::position::Side;
use reap_core::units::Decimal;

use super::instrument::NamedInstrument;
use super::names::Lookup;
use super::policy::NamedPolicy;
use super::position::{Known, LegConfig, PositionConfig};
use super::venue::Venue;
use super::walk::{Table, Value};

/// The instruments of legs; `None` while one of them was refused.
fn instruments_of<'k>(legs: &[LegConfig], known: &Known<'k>) -> Option<Vec<&'k NamedInstrument>> {
    legs.iter().map(|leg| known.instruments.get(usize::from(leg.instrument.0))).collect()
}

/// Reports everything in which the legs of one position contradict each other or the policy.
pub(super) fn fits(
    table: &Table<'_>,
    values: &[Value<'_>],
    legs: &[LegConfig],
    policy: &NamedPolicy,
    known: &Known<'_>,
) -> bool {
    let Some(instruments) = instruments_of(legs, known) else { return false };
    let currency = instruments[0].spec().currency;
    let name = |currency: CurrencyId| known.currencies[usize::from(currency.0)].as_str();
    let mut fine = true;
    for (value, instrument) in values.iter().zip(&instruments) {
        if instrument.spec().currency != currency {
            let (own, first) = (name(instrument.spec().currency), name(currency));
            value.problem(
                format!("is quoted in {own}, the first leg in {first}"),
                "use legs of one quote currency; conversions are not supported",
            );
            fine = false;
        }
    }
    let weighs = !fine || weights_fit(values, legs, &instruments);
    let suits = suits(table, None, legs, policy, known);
    fine && weighs && suits
}

/// Reports everything in which a policy contradicts the legs of a position or task, which is named
/// where the table is not its own.
pub(super) fn suits(
    table: &Table<'_>,
    whose: Option<&str>,
    legs: &[LegConfig],
    policy: &NamedPolicy,
    known: &Known<'_>,
) -> bool {
    let Some(instruments) = instruments_of(legs, known) else { return false };
    let currency = instruments[0].spec().currency;
    let name = |currency: CurrencyId| known.currencies[usize::from(currency.0)].as_str();
    let of = whose.map_or(String::new(), |whose| format!("{whose}: "));
    let mut fine = true;
    if let Some(amounts) = policy.currency
        && amounts != currency
    {
        let (amounts, legs) = (name(amounts), name(currency));
        let what = format!(
            "{of}its legs are quoted in {legs}, policy {} has amounts in {amounts}",
            policy.name
        );
        table.problem(what, format!("give it a policy with amounts in {legs}"));
        fine = false;
    }
    for said in &policy.policy.rules {
        if let Some((what, remedy)) = misfit(said, legs, &instruments) {
            table.problem(format!("{of}policy {}: {what}", policy.name), remedy);
            fine = false;
        }
    }
    fine
}

/// Whether quantity × multiplier of every leg stays in bounds at the position's common scale.
fn weights_fit(values: &[Value<'_>], legs: &[LegConfig], instruments: &[&NamedInstrument]) -> bool {
    let scales = instruments.iter().map(|instrument| instrument.instrument.nano_scale());
    let common = scales.max().unwrap_or_default();
    let mut fine = true;
    for ((value, leg), instrument) in values.iter().zip(legs).zip(instruments) {
        let unit = Decimal {
            mantissa: i128::from(leg.qty.raw()) * instrument.spec().multiplier.mantissa,
            scale: instrument.instrument.nano_scale(),
        };
        let fits = unit.at_scale(common).is_some_and(|weight| weight <= i128::from(QTY_MAX));
        if !fits {
            value.problem(
                format!("quantity × multiplier exceeds {QTY_MAX} at the position's common scale"),
                "split the position, or lower price_scale and qty_scale of its instruments",
            );
            fine = false;
        }
    }
    fine
}

/// Why a rule cannot be used on these legs, and what to do.
pub(super) fn misfit(
    said: &RuleSpec,
    legs: &[LegConfig],
    instruments: &[&NamedInstrument],
) -> Option<(String, String)> {
    let several = legs.len() > 1;
    let of_base = |base: Option<Base>| match base {
        Some(Base::Margin) if legs.iter().any(|leg| leg.margin.is_none()) => Some((
            "a rule is a percentage of the margin, and a leg names none".to_owned(),
            "give every leg its margin, such as margin = \"500 USDT\"".to_owned(),
        )),
        Some(Base::Amount(amount)) => of_amount(amount, instruments),
        _ => None,
    };
    let of_threshold = |threshold: Threshold| match threshold {
        Threshold::Rate { base, .. } => of_base(base),
        Threshold::Amount(amount) => of_amount(amount, instruments),
    };
    if several && said.source != TriggerSource::Bbo {
        return Some((
            format!("a rule looks at the {} price, which needs one leg", said.source.name()),
            "leave source out: several legs are judged by their quotes".to_owned(),
        ));
    }
    match &said.rule {
        Rule::Liquidation { .. } if legs.iter().all(|leg| leg.liquidation.is_none()) => Some((
            "it has the rule liquidation, and no leg names a liquidation price".to_owned(),
            "give a leg its price, such as liquidation = \"41000\", or a task its distance, such as \
             liquidation = \"45%\""
                .to_owned(),
        )),
        Rule::TakeProfit { threshold } => of_threshold(*threshold),
        Rule::Basis { .. } if legs.len() != 2 => Some((
            format!("basis needs exactly two legs, the position has {}", legs.len()),
            "use take_profit for other positions".to_owned(),
        )),
        Rule::Basis { threshold } => of_threshold(*threshold),
        Rule::Tiers { base, .. }
        | Rule::StopLoss { base, .. }
        | Rule::TrailingProfit { base, .. } => of_base(*base),
        Rule::TrailingStop { distance: Distance::Ticks(_) | Distance::Price(_), .. } if several => {
            Some((
                "a trailing_stop in ticks or as a price difference needs one leg".to_owned(),
                "write the distance as a percentage".to_owned(),
            ))
        }
        Rule::TrailingStop { distance: Distance::Price(amount), base, .. } => {
            let scale = instruments[0].spec().price_scale;
            let exact = amount.at_scale(scale).is_some_and(|price| price <= i128::from(i64::MAX));
            if exact { of_base(*base) } else { Some(too_fine(&instruments[0].name, scale)) }
        }
        Rule::TrailingStop { base, .. } => of_base(*base),
        Rule::Reversal { enter: true, .. } if several => Some((
            format!("reversal with enter needs one leg, the position has {}", legs.len()),
            "leave enter out: its signals then close, and enter nothing".to_owned(),
        )),
        Rule::FundingFlip { base, .. } | Rule::Reversal { base, .. } => of_base(*base),
        Rule::Decay { threshold, steps } => {
            let steps = steps.iter().map(|step| step.threshold);
            [*threshold].into_iter().chain(steps).find_map(of_threshold)
        }
        Rule::ProfitErosion { minimum, .. } => of_threshold(*minimum),
        Rule::Imbalance { .. } if !several => Some((
            "imbalance needs two legs or more, the position has 1".to_owned(),
            "give a position of one leg a policy without it".to_owned(),
        )),
        Rule::BreakEven { .. } | Rule::Dump { .. } | Rule::Correlation { .. } if several => Some((
            "it has a price rule (break_even, dump or correlation), which needs one leg".to_owned(),
            "give a hedged position a policy without it".to_owned(),
        )),
        Rule::BreakEven { .. }
        | Rule::Dump { .. }
        | Rule::Correlation { .. }
        | Rule::Liquidation { .. }
        | Rule::LegLost { .. }
        | Rule::Imbalance { .. }
        | Rule::Deadline { .. } => None,
    }
}

fn too_fine(instrument: &str, scale: u8) -> (String, String) {
    (
        format!(
            "its trailing distance has more than the {scale} decimals of {instrument}'s prices"
        ),
        "write it with fewer decimals".to_owned(),
    )
}

fn of_amount(amount: Decimal, instruments: &[&NamedInstrument]) -> Option<(String, String)> {
    let scale = instruments.iter().map(|instrument| instrument.instrument.nano_scale()).max()?;
    let fits = amount.at_scale(scale).is_some_and(|nano| nano.abs() <= AMOUNT_MAX);
    (!fits).then(|| {
        (
            format!("an amount has too many digits for {scale} decimals"),
            "write a smaller amount or fewer decimals".to_owned(),
        )
    })
}

/// Reports legs that oppose each other in one account: venues net them, so that closing the one
/// would open the other. Of one position or of several.
pub(super) fn oppositions(positions: &[(PositionConfig, Vec<Value<'_>>)]) {
    let mut held: HashMap<(AccountId, InstrumentId), (Side, String)> = HashMap::new();
    for (position, values) in positions {
        for (leg, value) in position.legs.iter().zip(values) {
            let holding = (leg.account, leg.instrument);
            let (side, owner) =
                held.entry(holding).or_insert_with(|| (leg.side, value.path().to_owned()));
            if *side != leg.side {
                value.problem(
                    format!("opposes {owner}: the same instrument of the same account"),
                    "a one-way account nets the two; hold one of them in another account",
                );
            }
        }
    }
}

/// Whether a policy enters the other side of what it closes.
fn turns(named: &NamedPolicy) -> bool {
    let mut rules = named.policy.rules.iter();
    rules.any(|said| matches!(said.rule, Rule::Reversal { enter: true, .. }))
}

fn is_spot(leg: &LegConfig, known: &Known<'_>, venues: &Lookup<Venue>) -> bool {
    let instrument = known.instruments.get(usize::from(leg.instrument.0));
    let venue = instrument.and_then(|own| venues.get(usize::from(own.spec().venue.0)));
    venue.is_some_and(|venue| venue.kind.spot)
}

/// Whether a policy would enter a short of a spot market in place of these legs.
pub(super) fn turns_on_spot(
    named: &NamedPolicy,
    legs: &[LegConfig],
    known: &Known<'_>,
    venues: &Lookup<Venue>,
) -> bool {
    turns(named) && legs.iter().any(|leg| is_spot(leg, known, venues))
}

/// Whether a rule of a policy would look for the mark price of a spot market: no feed gives one.
pub(super) fn marks_on_spot(
    named: &NamedPolicy,
    legs: &[LegConfig],
    known: &Known<'_>,
    venues: &Lookup<Venue>,
) -> bool {
    let mut rules = named.policy.rules.iter();
    rules.any(|said| said.source == TriggerSource::Mark)
        && legs.iter().any(|leg| is_spot(leg, known, venues))
}

/// Reports what no spot market has: short legs and rules that would enter them, mark prices and rules
/// that look at them, liquidation prices.
pub(super) fn not_on_spot(
    positions: &[(PositionConfig, Vec<Value<'_>>)],
    known: &Known<'_>,
    venues: &Lookup<Venue>,
) {
    for (position, values) in positions {
        let policy = known.policies.get(usize::from(position.policy.0));
        let enters = policy.is_some_and(turns);
        let marks = policy.is_some_and(|one| marks_on_spot(one, &position.legs, known, venues));
        for (leg, value) in position.legs.iter().zip(values) {
            if !is_spot(leg, known, venues) {
                continue;
            }
            if leg.side == Side::Short {
                let what = "is short on a spot market, which holds nothing short";
                value.problem(what, "hold the short leg on a futures market");
            } else if enters {
                let what = "is on a spot market, where its reversal can enter nothing short";
                value.problem(what, "leave enter out of its policy's reversal");
            }
            if leg.liquidation.is_some() {
                let what =
                    "names a liquidation price on a spot market, where nothing is liquidated";
                value.problem(what, "leave liquidation out of the leg");
            }
            if marks {
                let what = "is on a spot market, which has no mark price for its policy's rules";
                value.problem(what, "write source = \"last\" there, or leave source out");
            }
        }
    }
}
