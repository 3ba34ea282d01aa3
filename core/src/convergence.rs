//! Convergence: what an entry would bring if both prices met, against what its policy wants.

use crate::engine::Engine;
use crate::entry::{ENTRY_LEGS_MAX, EntryLeg};
use crate::limits::PPB;
use crate::policy::{Base, PolicyId, Rule, Threshold};
use crate::units::div_ceil;

impl Engine {
    /// What the entry would bring if both prices met halfway, fees of entry and exit paid, and what
    /// its policy wants, at the task's nano scale; `None` when that would be enough, or no rule has a
    /// target. `align` leads from each leg's money to that scale.
    pub(crate) fn shortfall(
        &self,
        policy: PolicyId,
        (scale, align): (u8, &[i128; ENTRY_LEGS_MAX]),
        legs: &[EntryLeg; ENTRY_LEGS_MAX],
    ) -> Option<(i128, i128)> {
        let rules = &self.policies[usize::from(self.in_force(policy).0)].rules;
        let mut notional = [0; ENTRY_LEGS_MAX];
        let mut fees = 0;
        for (at, leg) in legs.iter().enumerate() {
            let instrument = self.books.instrument(leg.instrument).expect("it was checked");
            let quote = self.books.quote(leg.instrument)?;
            let price = if at == 0 { quote.ask } else { quote.bid };
            let taker = instrument.spec().taker;
            notional[at] = instrument.notional(price, leg.qty) * align[at];
            fees += instrument.fee_nano(price, leg.qty, taker) * align[at];
        }
        for (at, leg) in legs.iter().enumerate() {
            let instrument = self.books.instrument(leg.instrument).expect("it was checked");
            let taker = i128::from(instrument.spec().taker.raw());
            let fee = div_ceil((notional[0] + notional[1]) * taker, 2);
            let least = instrument.min_fee_nano() * align[at];
            fees += if least > 0 { fee.max(least) } else { fee };
        }
        let net = (notional[1] - notional[0]) * i128::from(PPB) - fees;
        let target = |threshold: &Threshold| match threshold {
            Threshold::Amount(amount) => amount.amount_at(scale),
            Threshold::Rate { rate, base } => {
                let base = match base {
                    None | Some(Base::MaxLeg) => notional[0].max(notional[1]),
                    Some(Base::Entry | Base::Gross) => notional[0] + notional[1],
                    Some(Base::Amount(amount)) => {
                        div_ceil(amount.amount_at(scale)?, i128::from(PPB))
                    }
                    // Nobody has said what would back it.
                    Some(Base::Margin) => return None,
                };
                Some(base * i128::from(rate.raw()))
            }
        };
        let targets = rules.iter().filter_map(|said| match &said.rule {
            Rule::TakeProfit { threshold } | Rule::Basis { threshold } => target(threshold),
            _ => None,
        });
        targets.min().filter(|target| net < *target).map(|target| (net, target))
    }
}
