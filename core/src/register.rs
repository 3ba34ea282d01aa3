//! Registration: what a position and its policy must satisfy before anything of them is kept.

use arrayvec::ArrayVec;

use crate::arbiter::RULE_FUNDING;
use crate::book::Books;
use crate::compile::{PART_ACTIVATION, PART_FLOOR, PART_MARK, PART_STOP};
use crate::holders::Neighbours;
use crate::instrument::Instrument;
use crate::intent::Reason;
use crate::limits::{
    AMOUNT_MAX, FUNDING_HOLD_MAX, LEGS_MAX, PPB, PPB_DIGITS, PRICE_MAX, QTY_MAX, RULES_MAX,
    TRIGGERS_MAX,
};
use crate::net::LegForm;
use crate::policy::{Base, Distance, FeeMode, Policy, Rule, RuleSpec, Threshold, TriggerSource};
use crate::portfolio::HEALTH_PARTS;
use crate::position::{PositionSpec, RegisterError};
use crate::rules;
use crate::switch::RuleSet;
use crate::tracked::{Leg, Tracked, exit_fee};
use crate::trigger::{Role, Stage, Trigger};
use crate::units::{Decimal, Nanos, Qty, Rate, mul_div_ceil};

/// The triggers that a policy needs for one position, before they have an id.
pub(crate) type Plan = ArrayVec<Trigger, { TRIGGERS_MAX + HEALTH_PARTS }>;

/// Checks a position against its policy and the instruments, and computes its numbers into a blank
/// one that has room for its legs.
pub(crate) fn fill(
    books: &Books,
    policy: &Policy,
    spec: &PositionSpec,
    position: &mut Tracked,
) -> Result<(), RegisterError> {
    if spec.legs.is_empty() {
        return Err(RegisterError::NoLegs);
    }
    let mut instruments: ArrayVec<&Instrument, LEGS_MAX> = ArrayVec::new();
    for (leg, said) in spec.legs.iter().enumerate() {
        let unknown = RegisterError::UnknownInstrument { leg, instrument: said.instrument.0 };
        instruments.push(books.instrument(said.instrument).ok_or(unknown)?);
    }
    let scale = nano_scale(&instruments);
    contradictions(spec, &instruments)?;
    for (at, instrument) in instruments.iter().enumerate() {
        position.legs[at] = leg(spec, at, instrument, scale)?;
    }
    (position.tag, position.opened) = (spec.tag, spec.opened);
    (position.count, position.scale) = (spec.legs.len() as u8, scale);
    position.off = RuleSet::off_at_first(policy);
    suits(books, policy, position)?;
    position.refresh(policy);
    Ok(())
}

/// Checks a policy against itself and a position whose legs are known.
pub(crate) fn suits(
    books: &Books,
    policy: &Policy,
    position: &Tracked,
) -> Result<(), RegisterError> {
    let instrument = books.instrument(position.legs[0].instrument);
    let instrument = instrument.expect("the legs are known");
    fees(policy, position)?;
    if policy.rules.len() > RULES_MAX {
        return Err(RegisterError::Full { what: "rules of a policy", max: RULES_MAX });
    }
    for (at, said) in policy.rules.iter().enumerate() {
        check_rule(at, &said.rule, position, instrument)?;
        check_source(at, said, position)?;
    }
    if let Some(near) = policy.hold_for_funding
        && !(Nanos(1)..=FUNDING_HOLD_MAX).contains(&near)
    {
        return Err(RegisterError::Policy {
            field: "hold_for_funding (ns)",
            value: i128::from(near.0),
            bound: "above 0 and at most 30 min",
        });
    }
    Ok(())
}

/// The scale at which every leg's money is a whole number, parts per billion included.
fn nano_scale(instruments: &[&Instrument]) -> u8 {
    instruments.iter().map(|instrument| instrument.nano_scale()).max().unwrap_or(PPB_DIGITS)
}

fn contradictions(spec: &PositionSpec, instruments: &[&Instrument]) -> Result<(), RegisterError> {
    for a in 0..spec.legs.len() {
        for b in a + 1..spec.legs.len() {
            let (one, other) = (&spec.legs[a], &spec.legs[b]);
            if one.account == other.account
                && one.instrument == other.instrument
                && one.side != other.side
            {
                let why = "opposite legs on one instrument of one account cancel each other";
                return Err(RegisterError::Legs { a, b, why });
            }
            if instruments[a].spec().currency != instruments[b].spec().currency {
                let why = "they are quoted in different currencies and no conversion is declared";
                return Err(RegisterError::Legs { a, b, why });
            }
        }
    }
    Ok(())
}

fn leg(
    spec: &PositionSpec,
    at: usize,
    instrument: &Instrument,
    scale: u8,
) -> Result<Leg, RegisterError> {
    let said = &spec.legs[at];
    let refuse = |field, value, bound| RegisterError::Leg { leg: at, field, value, bound };
    let align = 10i128.pow(u32::from(scale - instrument.nano_scale()));
    let unit = align.saturating_mul(instrument.spec().multiplier.mantissa);
    let weight = unit.saturating_mul(i128::from(said.qty.raw()));
    if said.qty.raw() == 0 {
        return Err(refuse("quantity", 0, "at least one"));
    }
    if weight > i128::from(QTY_MAX) {
        return Err(refuse("quantity × multiplier × scale alignment", weight, "below 2^46"));
    }
    let amount = |field, value: Decimal| {
        value.amount_at(scale).ok_or(refuse(
            field,
            value.mantissa,
            "below 2^119 and without more decimals than the legs' price, quantity and multiplier \
             scales plus nine",
        ))
    };
    let margin = match said.margin {
        Some(margin) if margin.mantissa <= 0 => {
            return Err(refuse("margin", margin.mantissa, "positive"));
        }
        Some(margin) => amount("margin", margin)?,
        None => 0,
    };
    Ok(Leg {
        account: said.account,
        instrument: said.instrument,
        side: said.side,
        entry: said.entry,
        original: said.qty,
        open: said.qty,
        judged: said.qty,
        keep: Qty::ZERO,
        locked: 0,
        unit: unit as i64,
        paid: amount("fees_paid", said.fees_paid)?,
        funding: amount("funding", said.funding)?,
        margin,
        min_fee: amount(
            "min_fee",
            Decimal { mantissa: instrument.min_fee_nano(), scale: instrument.nano_scale() },
        )?,
        taker: instrument.spec().taker.raw() as i32,
        liquidation: 0,
        neighbours: Neighbours::NONE,
        form: LegForm::NONE,
    })
}

/// Another price than the best bid and ask is for what protects a position of one leg.
fn check_source(rule: usize, said: &RuleSpec, position: &Tracked) -> Result<(), RegisterError> {
    let refuse = |value, bound| Err(RegisterError::Rule { rule, field: "source", value, bound });
    if said.source == TriggerSource::Bbo {
        return Ok(());
    }
    let protects = matches!(
        said.rule,
        Rule::StopLoss { .. }
            | Rule::TrailingStop { .. }
            | Rule::TrailingProfit { .. }
            | Rule::BreakEven { .. }
    );
    if !protects {
        let bound = "the best bid and ask (0): only protective price rules look at another price";
        return refuse(said.source as i128, bound);
    }
    if position.count > 1 {
        let bound = "the best bid and ask (0) on several legs";
        return refuse(said.source as i128, bound);
    }
    Ok(())
}

fn fees(policy: &Policy, position: &Tracked) -> Result<(), RegisterError> {
    let reserve = policy.slippage_reserve.raw();
    if reserve < 0 {
        return Err(RegisterError::Policy {
            field: "slippage reserve (ppb)",
            value: i128::from(reserve),
            bound: "0 or more: a reserve never claims profit",
        });
    }
    for (at, leg) in position.legs().iter().enumerate() {
        let rate = match policy.fees {
            FeeMode::Net => exit_fee(leg.taker(), policy),
            FeeMode::EntryOnly | FeeMode::Gross => 0,
        } + reserve;
        if rate.abs() >= PPB {
            return Err(RegisterError::Leg {
                leg: at,
                field: "taker fee × buffer + slippage reserve (ppb)",
                value: i128::from(rate),
                bound: "below 100 %",
            });
        }
        let min_fee = mul_div_ceil(leg.min_fee, i64::from(policy.fee_buffer_ppb), PPB);
        if min_fee > AMOUNT_MAX {
            return Err(RegisterError::Leg {
                leg: at,
                field: "minimum fee × buffer (nano units)",
                value: min_fee,
                bound: "at most 2^119",
            });
        }
    }
    Ok(())
}

/// Checks one rule against itself and the position.
fn check_rule(
    rule: usize,
    said: &Rule,
    position: &Tracked,
    instrument: &Instrument,
) -> Result<(), RegisterError> {
    let refuse = |field, value: i64, bound| {
        Err(RegisterError::Rule { rule, field, value: i128::from(value), bound })
    };
    let share = |field, rate: Rate| {
        if (1..PPB).contains(&rate.raw()) {
            Ok(())
        } else {
            refuse(field, rate.raw(), "above 0 % and below 100 %")
        }
    };
    let several = position.count > 1;
    let with_base = |base: &Option<Base>| check_base(rule, *base, position);
    let trailing_base = |base: &Option<Base>| check_trailing_base(rule, *base, position);
    match said {
        Rule::TakeProfit { threshold } => check_threshold(rule, threshold, position),
        Rule::Basis { threshold } => {
            if position.count != 2 {
                return refuse("legs of a basis rule", i64::from(position.count), "2");
            }
            check_threshold(rule, threshold, position)
        }
        Rule::Tiers { base, tiers } => {
            with_base(base)?;
            if tiers.is_empty() {
                return refuse("tiers", 0, "at least one");
            }
            for pair in tiers.windows(2) {
                if pair[1].at <= pair[0].at {
                    return refuse("tier threshold", pair[1].at.raw(), "above the tier before it");
                }
                if pair[1].share <= pair[0].share {
                    return refuse("tier share", pair[1].share.raw(), "above the tier before it");
                }
            }
            for tier in tiers {
                if !(1..=PPB).contains(&tier.share.raw()) {
                    return refuse("tier share", tier.share.raw(), "above 0 % and at most 100 %");
                }
            }
            Ok(())
        }
        Rule::StopLoss { distance, base } => {
            with_base(base)?;
            share("stop distance", *distance)
        }
        Rule::TrailingStop { distance, activation, base } => {
            trailing_base(base)?;
            if let Some(rate) = activation {
                share("activation", *rate)?;
            }
            match distance {
                Distance::Rate(rate) => share("trailing distance", *rate),
                Distance::Ticks(_) | Distance::Price(_) if several => {
                    refuse("trailing distance in prices on several legs", 0, "a percentage")
                }
                Distance::Ticks(ticks) => {
                    if *ticks >= 1 && ticks.saturating_mul(instrument.spec().tick) <= PRICE_MAX {
                        return Ok(());
                    }
                    refuse(
                        "trailing distance (ticks)",
                        *ticks,
                        "at least 1 and a price within 2^48",
                    )
                }
                Distance::Price(price) => match price.at_scale(instrument.spec().price_scale) {
                    Some(units) if (1..=i128::from(PRICE_MAX)).contains(&units) => Ok(()),
                    _ => Err(RegisterError::Rule {
                        rule,
                        field: "trailing distance (price)",
                        value: price.mantissa,
                        bound: "positive and whole at the instrument's price scale",
                    }),
                },
            }
        }
        Rule::TrailingProfit { activation, distance, floor, step, base } => {
            trailing_base(base)?;
            share("activation", *activation)?;
            share("trailing distance", *distance)?;
            if floor.raw() < 0 || floor >= activation {
                return refuse("floor", floor.raw(), "0 % or more and below the activation");
            }
            if !(0..PPB).contains(&step.raw()) {
                return refuse("step", step.raw(), "0 % or more and below 100 %");
            }
            Ok(())
        }
        Rule::Deadline { max_age, at, session_close, close_before } => {
            if max_age.is_none() && at.is_none() && session_close.is_none() {
                return refuse("deadline", 0, "given by max_age, at or session_close");
            }
            const DAY: u64 = 86_400_000_000_000;
            match session_close {
                Some(time) if time.0 >= DAY || close_before.0 >= DAY => {
                    refuse("session_close and close_before", 0, "within a day")
                }
                _ => Ok(()),
            }
        }
        other => rules::check(rule, other, position, instrument),
    }
}

pub(crate) fn check_threshold(
    rule: usize,
    threshold: &Threshold,
    position: &Tracked,
) -> Result<(), RegisterError> {
    match threshold {
        Threshold::Rate { base, .. } => check_base(rule, *base, position),
        Threshold::Amount(amount) => check_amount(rule, "threshold", *amount, position.scale),
    }
}

pub(crate) fn check_base(
    rule: usize,
    base: Option<Base>,
    position: &Tracked,
) -> Result<(), RegisterError> {
    match base {
        Some(Base::Margin) if position.legs().iter().any(|leg| leg.margin == 0) => {
            Err(RegisterError::Rule {
                rule,
                field: "base margin",
                value: 0,
                bound: "backed by a margin on every leg",
            })
        }
        Some(Base::Amount(amount)) => {
            if amount.mantissa <= 0 {
                let (value, bound) = (amount.mantissa, "positive");
                return Err(RegisterError::Rule { rule, field: "base amount", value, bound });
            }
            // As a base it is multiplied by a rate: it may be no larger than four legs' notional.
            let money = position.scale - PPB_DIGITS;
            match amount.round_floor(money).at_scale(money) {
                Some(units)
                    if units < LEGS_MAX as i128 * i128::from(PRICE_MAX) * i128::from(QTY_MAX) =>
                {
                    check_amount(rule, "base amount", amount, position.scale)
                }
                _ => Err(RegisterError::Rule {
                    rule,
                    field: "base amount",
                    value: amount.mantissa,
                    bound: "at most the largest notional",
                }),
            }
        }
        _ => Ok(()),
    }
}

/// On several legs a trailing rule follows 1 + net / base: a base that is nothing beside the position
/// makes a number without meaning and without bound.
pub(crate) fn check_trailing_base(
    rule: usize,
    base: Option<Base>,
    position: &Tracked,
) -> Result<(), RegisterError> {
    check_base(rule, base, position)?;
    let wanted = crate::compile::base(position, Some(Base::Gross)) / 1000;
    let base = crate::compile::base(position, base);
    if position.count == 1 || base >= wanted.max(1) {
        return Ok(());
    }
    Err(RegisterError::Rule {
        rule,
        field: "base of a trailing rule on several legs (money units)",
        value: base,
        bound: "at least a thousandth of the legs' entry notional",
    })
}

fn check_amount(
    rule: usize,
    field: &'static str,
    amount: Decimal,
    scale: u8,
) -> Result<(), RegisterError> {
    let refused = RegisterError::Rule {
        rule,
        field,
        value: amount.mantissa,
        bound: "below 2^119 and without more decimals than the position's money has",
    };
    amount.amount_at(scale).map(|_| ()).ok_or(refused)
}

/// The triggers of a position's rules, in the order of rule and part. Those of trailing rules start
/// with their mark at the entry.
pub(crate) fn triggers(
    policy: &Policy,
    position: &Tracked,
    slot: u32,
) -> Result<Plan, RegisterError> {
    let mut plan = Plan::new();
    let mut wanted = 0;
    let mut push = |plan: &mut Plan, trigger| {
        wanted += 1;
        if wanted <= TRIGGERS_MAX {
            plan.push(trigger);
        }
    };
    let several = position.count > 1;
    let entry = if several { PPB } else { position.legs[0].entry.raw() };
    let mut add = |rule: usize, part: u8, reason: Reason, role: Role, stage: Stage| {
        let mut trigger = Trigger::new(slot, rule as u8, part, reason, role);
        trigger.stage = stage;
        // A decay counts the steps that have come, a funding rule its samples, a correlation names
        // its class; every other mark begins at the entry.
        let counts = matches!(
            policy.rules[rule].rule,
            Rule::Decay { .. } | Rule::FundingFlip { .. } | Rule::Imbalance { .. }
        );
        trigger.mark = if counts { 0 } else { entry };
        let profit = matches!(reason, Reason::TakeProfit | Reason::Tiers | Reason::Basis);
        trigger.source = match reason {
            Reason::Liquidation => TriggerSource::Mark,
            _ => policy.rules[rule].source,
        };
        trigger.skew = several && (profit || matches!(role, Role::Activate | Role::Mark));
        push(&mut plan, trigger);
    };
    for (at, said) in policy.rules.iter().enumerate() {
        match &said.rule {
            Rule::TakeProfit { .. } => add(at, 0, Reason::TakeProfit, Role::Fire, Stage::Armed),
            Rule::Basis { .. } => add(at, 0, Reason::Basis, Role::Fire, Stage::Armed),
            Rule::Tiers { tiers, .. } => {
                for part in 0..tiers.len() {
                    add(at, part as u8, Reason::Tiers, Role::Fire, Stage::Armed);
                }
            }
            Rule::StopLoss { .. } => add(at, 0, Reason::StopLoss, Role::Fire, Stage::Armed),
            Rule::TrailingStop { activation, .. } => {
                let reason = Reason::TrailingStop;
                let begun = if activation.is_some() { Stage::Asleep } else { Stage::Armed };
                if activation.is_some() {
                    add(at, PART_ACTIVATION, reason, Role::Activate, Stage::Armed);
                }
                add(at, PART_STOP, reason, Role::Trail, begun);
                if several {
                    add(at, PART_MARK, reason, Role::Mark, begun);
                }
            }
            Rule::TrailingProfit { .. } => {
                let reason = Reason::TrailingProfit;
                add(at, PART_ACTIVATION, reason, Role::Activate, Stage::Armed);
                add(at, PART_STOP, reason, Role::Trail, Stage::Asleep);
                add(at, PART_FLOOR, reason, Role::Fire, Stage::Asleep);
                if several {
                    add(at, PART_MARK, reason, Role::Mark, Stage::Asleep);
                }
            }
            Rule::Deadline { .. } => add(at, 0, Reason::Deadline, Role::Fire, Stage::Armed),
            other => rules::parts(other, position, &mut |part, reason, role, stage| {
                add(at, part, reason, role, stage);
            }),
        }
    }
    if policy.hold_for_funding.is_some() {
        for leg in 0..position.count {
            let mut listener =
                Trigger::new(slot, RULE_FUNDING, leg, Reason::FundingFlip, Role::Listen);
            listener.stage = Stage::Armed;
            push(&mut plan, listener);
        }
    }
    if wanted > TRIGGERS_MAX {
        return Err(RegisterError::Full { what: "triggers of a position", max: TRIGGERS_MAX });
    }
    Ok(plan)
}
