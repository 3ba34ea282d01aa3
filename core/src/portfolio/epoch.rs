//! portfolio_profit and portfolio_loss: on what the total has gained since the epoch began.

use crate::engine::Engine;
use crate::event::Latch;
use crate::instrument::{InstrumentId, SourceId};
use crate::units::{Nanos, Rate};

use super::close::Cause;
use super::money::{Money, money_ceil, money_floor, readable};
use super::note::{PortfolioNote, PortfolioRule};
use super::settings::PortfolioSettings;

/// What keeps a profit from being believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blocker {
    /// The instrument has no usable quote.
    Instrument(InstrumentId),
    /// Its source is silent, or behind the latest price change of any leg.
    Source(InstrumentId, SourceId),
}

/// A close of everything that has begun.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// When a close for profit becomes protective; `None` for one that is so from the start.
    late_at: Option<Nanos>,
    is_late: bool,
    /// Positions that are not closed yet.
    left: u32,
}

/// The epoch and its thresholds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Epoch {
    profit: Option<Money>,
    partial: Option<(Money, Rate)>,
    loss: Option<Money>,
    escalate_after: Nanos,
    cooldown: Option<Nanos>,
    /// The total when the epoch began; `None` between two epochs.
    base: Option<Money>,
    partial_done: bool,
    run: Option<Run>,
    /// When a latched loss is lifted; `None` while an operator must.
    lifted_at: Option<Nanos>,
    blocked: Option<Blocker>,
    told_blocked: bool,
}

impl Epoch {
    pub(super) fn of(settings: &PortfolioSettings) -> Self {
        // A profit is there when the sum, which is rounded down, is at the threshold rounded up; a
        // loss when it is at the threshold rounded down.
        Self {
            profit: settings.profit.and_then(money_ceil),
            partial: settings.partial.and_then(|part| Some((money_ceil(part.at)?, part.share))),
            loss: settings.loss.and_then(money_floor),
            escalate_after: settings.escalate_after,
            cooldown: settings.cooldown,
            base: Some(0),
            ..Self::default()
        }
    }

    pub(super) fn net(&self, total: Money) -> Option<Money> {
        self.base.map(|base| total - base)
    }

    pub(super) fn next_due(&self) -> Option<Nanos> {
        let late = self.run.and_then(|run| run.late_at).filter(|_| !self.is_late());
        [late, self.lifted_at].into_iter().flatten().min()
    }

    pub(super) fn is_late(&self) -> bool {
        self.run.is_some_and(|run| run.is_late)
    }

    pub(super) fn partial_share(&self) -> Option<Rate> {
        self.partial.map(|(_, share)| share)
    }

    pub(super) fn one_joined(&mut self) {
        let run = self.run.as_mut().expect("positions join a close that has begun");
        run.left += 1;
    }

    pub(super) fn one_ended(&mut self) {
        let run = self.run.as_mut().expect("it was part of a close");
        run.left -= 1;
    }
}

impl Engine {
    /// An operator, or the cooldown, lifts a latched portfolio_loss.
    fn lift_loss(&mut self) {
        self.portfolio.states.loss = false;
        self.portfolio.epoch.lifted_at = None;
        // What cannot be closed keeps nobody from a new epoch: it is asked for on and on.
        if self.portfolio.epoch.run.take().is_some() {
            self.portfolio.held.iter_mut().for_each(|held| held.in_run = false);
        }
        self.tell(PortfolioNote::Lifted(Latch::PortfolioLoss));
        self.tell_state();
    }

    pub(super) fn reset_loss(&mut self) {
        if self.portfolio.states.loss {
            self.lift_loss();
        } else {
            self.stray("a reset of a portfolio_loss that has not latched", None);
        }
    }

    /// Ends what has ended, then looks at the thresholds.
    pub(super) fn follow_epoch(&mut self) {
        let now = self.now;
        if self.portfolio.epoch.lifted_at.is_some_and(|at| at <= now) {
            self.lift_loss();
        }
        if let Some(run) = &mut self.portfolio.epoch.run {
            if run.left == 0 {
                self.portfolio.epoch.run = None;
                // What was gained is taken; the next epoch counts from here.
                self.portfolio.epoch.base = None;
            } else if !run.is_late && run.late_at.is_some_and(|at| at <= now) {
                run.is_late = true;
                self.rank_run();
                let positions = self.close_ranked(Cause::Profit, 0, true);
                self.tell(PortfolioNote::Escalated { positions });
            }
        }
        self.begin_epoch();
        let total = self.portfolio.total();
        let Epoch { base, run, loss, profit, partial, partial_done, .. } = self.portfolio.epoch;
        // Between two epochs, only while a close for profit runs a loss still has a say.
        let Some(base) = base else { return };
        let net = total - base;
        if loss.is_some_and(|loss| net <= loss) {
            self.fire_loss(net);
            return;
        }
        if run.is_some() {
            return;
        }
        let full = profit.is_some_and(|profit| net >= profit);
        let part = partial.filter(|&(at, _)| !partial_done && net >= at);
        if !full && part.is_none() {
            self.portfolio.epoch.blocked = None;
            self.portfolio.epoch.told_blocked = false;
            return;
        }
        if !self.is_believable() {
            return;
        }
        self.rank_all();
        if full {
            self.fire_profit(net);
        } else if let Some((_, share)) = part {
            self.portfolio.epoch.partial_done = true;
            let positions = self.reduce_ranked(share);
            self.tell_rule(PortfolioRule::Partial, net, positions);
        }
    }

    /// A new epoch begins when everything that ended the last one is over.
    fn begin_epoch(&mut self) {
        let over = self.portfolio.epoch.run.is_none() && !self.portfolio.states.loss;
        if self.portfolio.epoch.base.is_none() && over {
            self.restart_epoch();
        }
    }

    fn restart_epoch(&mut self) {
        let total = self.portfolio.total();
        let epoch = &mut self.portfolio.epoch;
        epoch.base = Some(total);
        epoch.partial_done = false;
        epoch.blocked = None;
        epoch.told_blocked = false;
        self.tell(PortfolioNote::Epoch { total: readable(total) });
    }

    fn fire_profit(&mut self, net: Money) {
        let late_at = Some(self.now.plus(self.portfolio.epoch.escalate_after));
        self.portfolio.epoch.run = Some(Run { late_at, is_late: false, left: 0 });
        let positions = self.close_ranked(Cause::Profit, 0, true);
        self.tell_rule(PortfolioRule::Profit, net, positions);
        if positions == 0 {
            self.portfolio.epoch.run = None;
            self.restart_epoch();
        }
    }

    /// Closes everything, also what a close for profit has left. Nothing is counted again before
    /// the latch is lifted.
    fn fire_loss(&mut self, net: Money) {
        let epoch = &mut self.portfolio.epoch;
        let left = epoch.run.map_or(0, |run| run.left);
        epoch.run = Some(Run { late_at: None, is_late: false, left });
        epoch.base = None;
        epoch.lifted_at = epoch.cooldown.map(|span| self.now.plus(span));
        self.portfolio.states.loss = true;
        self.portfolio.all_closed = Some((self.now, Cause::Loss, 0));
        self.tell_stale();
        self.rank_all();
        let positions = self.close_ranked(Cause::Loss, 0, true);
        if self.portfolio.epoch.run.is_some_and(|run| run.left == 0) {
            self.portfolio.epoch.run = None;
        }
        self.tell_rule(PortfolioRule::Loss, net, positions);
        self.tell_state();
    }

    fn tell_rule(&mut self, rule: PortfolioRule, net: Money, positions: u32) {
        let net = readable(net);
        self.tell(PortfolioNote::Fired { rule, net, positions });
    }

    /// Whether every open leg's price may be used and none is behind the others. What was in the way
    /// is looked at first: nothing else can have opened the way.
    fn is_believable(&mut self) -> bool {
        if self.portfolio.epoch.blocked.is_some_and(|blocker| self.still_blocks(blocker)) {
            return false;
        }
        self.portfolio.epoch.blocked = self.blocker();
        let Some(Blocker::Instrument(id) | Blocker::Source(id, _)) = self.portfolio.epoch.blocked
        else {
            return true;
        };
        if !self.portfolio.epoch.told_blocked {
            self.portfolio.epoch.told_blocked = true;
            self.tell(PortfolioNote::Withheld { instrument: id });
        }
        false
    }

    fn still_blocks(&self, blocker: Blocker) -> bool {
        match blocker {
            Blocker::Instrument(id) => self.is_held_live(id) && !self.books.quoted(id, self.now),
            Blocker::Source(id, source) => {
                self.is_held_live(id)
                    && self.books.source_of(id) == Some(source)
                    && !self.books.live(source, self.now)
            }
        }
    }

    fn is_held_live(&self, id: InstrumentId) -> bool {
        self.portfolio.sums[usize::from(id.0)].live > 0
    }

    fn held_instruments(&self) -> impl Iterator<Item = InstrumentId> + '_ {
        (0..self.portfolio.sums.len() as u16).map(InstrumentId).filter(|&id| self.is_held_live(id))
    }

    /// The first leg's instrument whose price may not be used.
    fn unusable(&self) -> Option<Blocker> {
        self.held_instruments().find_map(|id| {
            if !self.books.quoted(id, self.now) {
                return Some(Blocker::Instrument(id));
            }
            let source = self.books.source_of(id)?;
            (!self.books.live(source, self.now)).then_some(Blocker::Source(id, source))
        })
    }

    fn blocker(&self) -> Option<Blocker> {
        if let Some(blocker) = self.unusable() {
            return Some(blocker);
        }
        let latest = self.held_instruments().map(|id| self.books.changed_at(id)).max()?;
        let abreast = latest.minus(self.books.max_leg_skew());
        self.held_instruments().find_map(|id| {
            let source = self.books.source_of(id)?;
            let behind = self.books.last_frame(source).is_none_or(|at| at < abreast);
            behind.then_some(Blocker::Source(id, source))
        })
    }

    /// Says which leg counted at a price that may not be used any more.
    pub(super) fn tell_stale(&mut self) {
        if let Some(Blocker::Instrument(id) | Blocker::Source(id, _)) = self.unusable() {
            self.tell(PortfolioNote::Stale { instrument: id });
        }
    }
}
