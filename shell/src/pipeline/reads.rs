//! Venues are asked what accounts hold, where a rule looks at it: once a second.

use reap_core::instrument::{AccountId, InstrumentId};
use reap_core::order::HoldingRead;
use reap_core::policy::{Policy, Rule};
use reap_core::position::PositionSpec;
use reap_core::units::Nanos;

use super::{Believed, Pipeline};
use crate::story::Watcher;

/// Between two reads of everything that is read.
pub const READ_EVERY: Nanos = Nanos::from_secs(1);

/// What is read, and when next.
#[derive(Debug, Default)]
pub(super) struct Reads {
    holdings: Vec<(AccountId, InstrumentId)>,
    due: Option<Nanos>,
}

/// Whether a policy has a rule that looks at reads.
#[must_use]
pub fn wants_reads(policy: &Policy) -> bool {
    let wants = |rule: &Rule| matches!(rule, Rule::LegLost { .. } | Rule::Imbalance { .. });
    policy.rules.iter().any(|said| wants(&said.rule))
}

impl Reads {
    pub(super) const fn next_due(&self) -> Option<Nanos> {
        self.due
    }

    /// A position is watched from `now` on.
    pub(super) fn on_opened(&mut self, now: Nanos, policy: &Policy, spec: &PositionSpec) {
        if !wants_reads(policy) {
            return;
        }
        for leg in &spec.legs {
            let holding = (leg.account, leg.instrument);
            if !self.holdings.contains(&holding) {
                self.holdings.push(holding);
            }
        }
        self.due = self.due.or(Some(now.plus(READ_EVERY)));
    }
}

impl Pipeline {
    pub(super) fn read_due(&mut self, watch: Watcher<'_>) {
        if self.reads.due.is_none_or(|due| due > self.now) {
            return;
        }
        self.reads.due = Some(self.now.plus(READ_EVERY));
        for at in 0..self.reads.holdings.len() {
            let (account, instrument) = self.reads.holdings[at];
            let venue = self.story.instrument(instrument).spec().venue;
            let qty = self.venues[usize::from(venue.0)].position(account, instrument);
            let read = HoldingRead { account, instrument, qty, asked: self.now };
            self.executor.on_read(self.now, &read, &Believed(&self.engine));
            self.pump(watch);
        }
    }

    /// An account holds this much from now on, by no order of ours.
    pub(super) fn on_held(&mut self, account: AccountId, instrument: InstrumentId, qty: i64) {
        let venue = self.story.instrument(instrument).spec().venue;
        let venue = &mut self.venues[usize::from(venue.0)];
        venue.deposit(account, instrument, qty - venue.position(account, instrument));
    }
}
