//! decay: the threshold of a position's age.

use reap_core::policy::{Base, DecayStep, Rule, Threshold};
use reap_core::units::{Nanos, Rate};

use super::super::rng::Rng;

/// How many steps have come.
pub(crate) fn step(steps: &[DecayStep], opened: Nanos, now: Nanos) -> u8 {
    let age = now.since(opened);
    steps.iter().filter(|step| now >= opened && step.age <= age).count() as u8
}

/// The threshold after so many steps.
pub(crate) fn threshold<'a>(
    first: &'a Threshold,
    steps: &'a [DecayStep],
    come: u8,
) -> &'a Threshold {
    match come.checked_sub(1) {
        Some(last) => &steps[usize::from(last)].threshold,
        None => first,
    }
}

pub(crate) fn random(rng: &mut Rng, rates: &[i64], base: Option<Base>) -> Rule {
    let threshold = |ppb| Threshold::Rate { rate: Rate::new(ppb).expect("small"), base };
    let first = rng.pick(rates);
    let mut at = first;
    let mut age = 0;
    let count = rng.within(1, 4);
    let steps = (0..count).map(|_| {
        at = rng.pick(&[at / 2, at - 1, 0, -1_000_000, at - 5_000_000]).min(at - 1);
        age += rng.pick(&[1, 300, 1500, 4000, 9000]);
        DecayStep { age: Nanos::from_millis(age), threshold: threshold(at) }
    });
    let steps = steps.collect();
    Rule::Decay { threshold: threshold(first), steps }
}
