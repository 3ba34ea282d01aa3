//! When something happens to a position by the mere passing of time.

use reap_core::policy::{Blind, Rule, RuleSpec, TriggerSource};
use reap_core::units::Nanos;

use super::formulas;
use super::gates::Gates;
use super::life::{Life, Part};

impl Life {
    /// When something happens to this position next after `now`.
    pub(crate) fn next_timer(&self, now: Nanos, gates: &Gates) -> Option<Nanos> {
        if !self.is_live() {
            return None;
        }
        let mut times = Vec::new();
        if !self.is_flat() {
            let sources = self.policy.rules.iter().map(|said| match said.rule {
                Rule::Liquidation { .. } => TriggerSource::Mark,
                _ => said.source,
            });
            let sources: Vec<_> = sources.chain([TriggerSource::Bbo]).collect();
            for leg in self.legs.iter().filter(|leg| leg.open > 0) {
                let lapse = |&source| gates.lapses(leg.spec.instrument, source, now);
                times.extend(sources.iter().filter_map(lapse));
            }
            if let (Some(since), Blind::MarketAfter(span), false) =
                (self.blind_since, self.policy.blind, self.blind_asked)
            {
                times.push(since.plus(span));
            }
        }
        for (RuleSpec { rule, .. }, state) in self.policy.rules.iter().zip(&self.rules) {
            for &(_, part) in &state.parts {
                match part {
                    Part::Fired { rearm: Some(at) } => times.push(at),
                    _ if state.off => {}
                    _ if state.off => {}
                    Part::Armed if !self.is_settled() => times.extend(self.due(rule, now)),
                    _ => {}
                }
            }
        }
        times.into_iter().filter(|&at| at > now).min()
    }

    /// When the passing of time changes something for a rule, after `now` or (a deadline) at all.
    pub(super) fn due(&self, rule: &Rule, now: Nanos) -> Option<Nanos> {
        if let Rule::Decay { steps, .. } = rule {
            let times = steps.iter().map(|step| self.spec.opened.plus(step.age));
            return times.filter(|&at| at > now).min();
        }
        let &Rule::Deadline { max_age, at, session_close, close_before } = rule else {
            return None;
        };
        formulas::due(self.spec.opened, max_age, at, session_close, close_before)
    }
}
