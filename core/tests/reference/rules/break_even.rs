//! break_even: its generator; what it means stands with the other price rules.

use reap_core::policy::Rule;
use reap_core::units::Rate;

use super::super::rng::Rng;

pub(crate) fn random(rng: &mut Rng, rates: &[i64]) -> Rule {
    let activation = rng.pick(rates);
    let offset = rng.pick(&[0, activation / 2, activation - 1, -activation, -2_000_000]);
    let rate = |ppb| Rate::new(ppb).expect("a small rate");
    Rule::BreakEven { activation: rate(activation), offset: rate(offset) }
}
