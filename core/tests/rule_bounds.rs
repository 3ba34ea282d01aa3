//! What the settings of a rule are held to, on both sides of every bound.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

#[allow(dead_code, reason = "the table of quotes serves the executor's tests")]
mod common;

use common::{ZERO, instrument};
use reap_core::engine::{Engine, EngineLimits};
use reap_core::event::GateSettings;
use reap_core::instrument::{AccountId, InstrumentId};
use reap_core::limits::{DECAY_MAX, RATE_MAX};
use reap_core::policy::{Base, DecayStep, Policy, PolicyId, Remedy, Rule, Threshold};
use reap_core::position::{LegSpec, PositionSpec, RegisterError, Side};
use reap_core::units::{Decimal, Nanos, Price, Qty, Rate};

const WHOLE: i64 = 1_000_000_000;

fn ppb(raw: i64) -> Rate {
    Rate::new(raw).unwrap()
}

fn of(raw: i64) -> Threshold {
    Threshold::Rate { rate: ppb(raw), base: None }
}

fn amount(mantissa: i128) -> Threshold {
    Threshold::Amount(Decimal { mantissa, scale: 0 })
}

fn step(age: u64, threshold: Threshold) -> DecayStep {
    DecayStep { age: Nanos(age), threshold }
}

fn decay(threshold: Threshold, steps: impl IntoIterator<Item = DecayStep>) -> Rule {
    Rule::Decay { threshold, steps: steps.into_iter().collect() }
}

/// So many steps, each a little lower than the one before.
fn falling(count: usize) -> Rule {
    decay(of(1_000), (1..=count as u64).map(|nth| step(nth, of(1_000 - nth as i64))))
}

fn breaks_even(activation: i64, offset: i64) -> Rule {
    Rule::BreakEven { activation: ppb(activation), offset: ppb(offset) }
}

fn led(drop: i64, rho: i64, default: Option<i64>) -> Rule {
    let leaders = [InstrumentId(1)].into_iter().collect();
    Rule::Correlation { leaders, drop: ppb(drop), rho: ppb(rho), default_rho: default.map(ppb) }
}

fn erodes(minimum: Threshold, fraction: i64) -> Rule {
    Rule::ProfitErosion { minimum, fraction: ppb(fraction) }
}

fn flips(threshold: i64, samples: u8) -> Rule {
    Rule::FundingFlip { threshold: ppb(threshold), samples, base: None }
}

fn reverses(at: i64, enter: bool) -> Rule {
    Rule::Reversal { at: ppb(at), base: None, enter }
}

fn dumps(mantissa: i128, drop: i64) -> Rule {
    Rule::Dump { min_volume: Decimal { mantissa, scale: 0 }, drop: ppb(drop) }
}

fn loses(reads: u8) -> Rule {
    Rule::LegLost { reads, then: Remedy::Close }
}

fn unbalanced(share: i64) -> Rule {
    Rule::Imbalance { share: ppb(share), hold: Nanos(1), then: Remedy::Close }
}

/// A rule, how many legs it is on, and the field that it is refused for.
fn cases() -> Vec<(Rule, usize, Option<&'static str>)> {
    let margin = Threshold::Rate { rate: ppb(5), base: Some(Base::Gross) };
    vec![
        (breaks_even(1, 0), 1, None),
        (breaks_even(0, -1), 1, Some("activation")),
        (breaks_even(WHOLE - 1, 0), 1, None),
        (breaks_even(WHOLE, 0), 1, Some("activation")),
        (breaks_even(100, 99), 1, None),
        (breaks_even(100, 100), 1, Some("offset")),
        (breaks_even(100, 1 - WHOLE), 1, None),
        (breaks_even(100, -WHOLE), 1, Some("offset")),
        (decay(of(10), []), 1, Some("steps of a decay")),
        (falling(1), 1, None),
        (falling(DECAY_MAX), 1, None),
        (falling(DECAY_MAX + 1), 1, Some("steps of a decay")),
        (falling(DECAY_MAX + 2), 1, Some("steps of a decay")),
        (decay(of(10), [step(0, of(9))]), 1, Some("age of a step (ns)")),
        (decay(of(10), [step(5, of(9)), step(5, of(8))]), 1, Some("age of a step (ns)")),
        (decay(of(10), [step(5, of(9)), step(4, of(8))]), 1, Some("age of a step (ns)")),
        (decay(of(10), [step(5, of(10))]), 1, Some("threshold of a step")),
        (decay(of(10), [step(5, of(11))]), 1, Some("threshold of a step")),
        (decay(of(10), [step(4, of(9)), step(5, of(9))]), 1, Some("threshold of a step")),
        // Shares of two bases, or a share and an amount, cannot be compared.
        (decay(of(4), [step(5, margin)]), 1, None),
        (decay(margin, [step(5, margin)]), 1, Some("threshold of a step")),
        (decay(amount(1), [step(5, of(9))]), 1, None),
        (decay(amount(3), [step(5, amount(2))]), 1, None),
        (decay(amount(3), [step(5, amount(3))]), 1, Some("threshold of a step")),
        (decay(amount(3), [step(5, amount(4))]), 1, Some("threshold of a step")),
        (led(1, 1, None), 1, None),
        (led(0, 1, None), 1, Some("drop")),
        (led(WHOLE - 1, WHOLE, None), 1, None),
        (led(WHOLE, WHOLE, None), 1, Some("drop")),
        (led(1, 0, None), 1, Some("rho")),
        (led(1, WHOLE + 1, None), 1, Some("rho")),
        (led(1, 1, Some(WHOLE)), 1, None),
        (led(1, 1, Some(-WHOLE)), 1, None),
        (led(1, 1, Some(WHOLE + 1)), 1, Some("default_rho")),
        (led(1, 1, Some(-WHOLE - 1)), 1, Some("default_rho")),
        (erodes(of(1), 1), 1, None),
        (erodes(of(0), 1), 1, Some("minimum")),
        (erodes(amount(1), 1), 1, None),
        (erodes(amount(0), 1), 1, Some("minimum")),
        (erodes(of(1), 0), 1, Some("fraction")),
        (erodes(of(1), WHOLE - 1), 1, None),
        (erodes(of(1), WHOLE), 1, Some("fraction")),
        // On several legs it trails a ratio, whose base must not be nothing beside the legs.
        (erodes(of(1), 1), 2, None),
        (
            erodes(small_base(1), 1),
            2,
            Some("base of a trailing rule on several legs (money units)"),
        ),
        (erodes(small_base(2), 1), 2, None),
        (erodes(small_base(1), 1), 1, None),
        (flips(1, 1), 1, None),
        (flips(0, 1), 1, Some("threshold")),
        (flips(WHOLE - 1, 100), 1, None),
        (flips(WHOLE, 1), 1, Some("threshold")),
        (flips(1, 0), 1, Some("settlements in a row")),
        (flips(1, 101), 1, Some("settlements in a row")),
        (Rule::Liquidation { threshold: ppb(1) }, 2, None),
        (Rule::Liquidation { threshold: ppb(0) }, 2, Some("threshold")),
        (Rule::Liquidation { threshold: ppb(WHOLE - 1) }, 1, None),
        (Rule::Liquidation { threshold: ppb(WHOLE) }, 1, Some("threshold")),
        (reverses(1, true), 1, None),
        (reverses(0, false), 1, Some("net of a reversal")),
        (reverses(RATE_MAX, false), 2, None),
        (reverses(1, true), 2, Some("legs of a reversal that enters")),
        (dumps(1, 1), 1, None),
        (dumps(0, 1), 1, Some("min_volume")),
        (dumps(1, 0), 1, Some("drop")),
        (dumps(1, WHOLE - 1), 1, None),
        (dumps(1, WHOLE), 1, Some("drop")),
        (loses(1), 2, None),
        (loses(100), 2, None),
        (loses(0), 2, Some("reads that agree")),
        (loses(101), 2, Some("reads that agree")),
        (unbalanced(1), 2, None),
        (unbalanced(1), 1, Some("legs of an imbalance rule")),
        (unbalanced(0), 2, Some("share off the ratio")),
        (unbalanced(WHOLE - 1), 2, None),
        (unbalanced(WHOLE), 2, Some("share off the ratio")),
    ]
}

/// A share of an amount: the legs come to 2 000 together.
fn small_base(mantissa: i128) -> Threshold {
    Threshold::Rate { rate: ppb(1), base: Some(Base::Amount(Decimal { mantissa, scale: 0 })) }
}

fn leg(instrument: u16, side: Side) -> LegSpec {
    LegSpec {
        account: AccountId(0),
        instrument: InstrumentId(instrument),
        side,
        entry: Price::new(1_000).unwrap(),
        qty: Qty::new(1).unwrap(),
        fees_paid: ZERO,
        funding: ZERO,
        margin: None,
    }
}

#[test]
fn settings_are_taken_up_to_their_bounds_and_refused_beyond() {
    for (rule, legs, wanted) in cases() {
        let instruments = [instrument(1, 1, 1, 0), instrument(1, 1, 1, 0)];
        let limits = EngineLimits::any(2, 2, 64);
        let mut engine = Engine::new(limits, &instruments, 1, GateSettings::default());
        let taken = engine.add_policy(Policy::of([rule.clone()])).and_then(|policy| {
            assert_eq!(policy, PolicyId(0));
            let legs = [leg(0, Side::Long), leg(1, Side::Short)].into_iter().take(legs).collect();
            let spec = PositionSpec { policy, opened: Nanos(0), tag: 0, legs };
            engine.register(Nanos(1), &spec)
        });
        let refused = match taken {
            Ok(_) => None,
            Err(RegisterError::Rule { field, .. }) => Some(field),
            Err(error) => panic!("{rule:?}: {error}"),
        };
        assert_eq!(refused, wanted, "{rule:?} on {legs}");
    }
}
