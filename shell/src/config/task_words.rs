//! What `reap check` says of tasks: each in words, and sizes that a venue takes no order of.

use reap_core::task::{TaskSpec, Unreachable};
use reap_core::units::Decimal;

use super::{Config, NamedTask, words};

impl Config {
    pub(super) fn task_words(&self) -> Vec<String> {
        self.tasks.iter().flat_map(|task| self.one_task(task)).collect()
    }

    fn one_task(&self, NamedTask { name, spec }: &NamedTask) -> Vec<String> {
        let [spot, futures] =
            [spec.spot, spec.futures].map(|leg| &self.instruments[usize::from(leg.instrument.0)]);
        let currency = &self.currencies[usize::from(spot.spec().currency.0)];
        let policy = &self.policies[usize::from(spec.policy.0)].name;
        let times = |count: u32, one: &str| match count {
            1 => format!("1 {one}"),
            count => format!("{count} {one}s"),
        };
        let TaskSpec { cooldown, losing_max, cycles_max, .. } = *spec;
        let mut lines = vec![
            format!(
                "{name}: buy {} and sell {} for up to {} each at a cost of at most {}; policy {policy}",
                spot.name,
                futures.name,
                words::amount(spec.size, currency),
                words::rate(spec.max_cost)
            ),
            format!(
                "  again {} after a close; pauses after {} in a row{}",
                words::span(cooldown),
                times(losing_max, "losing cycle"),
                match cycles_max {
                    0 => String::new(),
                    count => format!("; done after {}", times(count, "cycle")),
                }
            ),
        ];
        lines.push(match spec.unreachable {
            Unreachable::Allow => {
                "  enters although its target cannot be reached, and does not say so".into()
            }
            Unreachable::Warn | Unreachable::Refuse => {
                "  warns when its target cannot be reached; a live run does not enter then".into()
            }
        });
        if let Some(above) = spec.liquidation {
            let above = words::rate(above);
            lines.push(format!("  {} is liquidated {above} above its entry", futures.name));
        }
        let below = |least: Decimal| {
            let scale = least.scale.max(spec.size.scale);
            Some(spec.size.at_scale(scale)? < least.at_scale(scale)?)
        };
        for own in [spot, futures] {
            let least = own.spec().min_notional;
            if below(least) == Some(true) {
                lines.push(format!(
                    "  WARNING: its size is below the smallest order of {}, {}: write at least that",
                    own.name,
                    words::amount(least, currency)
                ));
            }
        }
        lines
    }
}
