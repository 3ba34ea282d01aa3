//! What must hold after every event, whatever the venues do.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use reap_core::executor::Executor;
use reap_core::instrument::{AccountId, InstrumentId};
use reap_core::intent::Urgency;
use reap_core::limits::{LEG_SENDS_PER_MINUTE, LEGS_MAX};
use reap_core::position::{LegSpec, PositionId, PositionSpec, Side};
use reap_core::units::{Nanos, Qty};

/// What did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A venue holds the other side of what was opened, or more of it.
    Flipped {
        /// The account.
        account: AccountId,
        /// The instrument.
        instrument: InstrumentId,
        /// What the venue holds.
        held: i64,
        /// What was opened there.
        opened: i64,
    },
    /// Orders that may still arrive could close more than is held.
    OverClose {
        /// The account.
        account: AccountId,
        /// The instrument.
        instrument: InstrumentId,
        /// What the venue holds.
        held: i64,
        /// What is under way.
        under_way: i64,
    },
    /// Less is believed to be open than a venue holds: something was counted twice, or invented.
    Forgotten {
        /// The account.
        account: AccountId,
        /// The instrument.
        instrument: InstrumentId,
        /// What the venue holds.
        held: i64,
        /// What is believed to be open.
        open: i64,
    },
    /// More is reserved than is open.
    Reserved {
        /// Whose.
        position: PositionId,
        /// Index of the leg.
        leg: usize,
    },
    /// Two orders of one leg may trade at a time.
    TwoOrders {
        /// Whose.
        position: PositionId,
        /// Index of the leg.
        leg: usize,
    },
    /// An order id was used twice.
    IdTwice {
        /// Whose.
        position: PositionId,
    },
    /// A plan became less urgent or closes less than before.
    PlanFell {
        /// Whose.
        position: PositionId,
    },
    /// Engine and executor do not agree when nothing is between them.
    Disagree {
        /// About which.
        position: PositionId,
    },
    /// The faults have stopped, and this is not closed.
    NotClosed {
        /// Which.
        position: PositionId,
        /// What is open of its legs.
        open: [Qty; LEGS_MAX],
    },
    /// More was sent of a leg within a minute than the gate lets through.
    SentTooOften {
        /// Whose.
        position: PositionId,
        /// Index of the leg.
        leg: usize,
    },
    /// Closed is what is not flat.
    ClosedOpen {
        /// Which.
        position: PositionId,
    },
    /// Engine and executor answer each other for ever.
    PingPong,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

const fn signed(leg: &LegSpec) -> i64 {
    match leg.side {
        Side::Long => leg.qty.raw(),
        Side::Short => -leg.qty.raw(),
    }
}

/// What is followed from event to event.
#[derive(Debug, Default)]
pub(super) struct Checker {
    /// Signed quantities that were opened.
    opened: BTreeMap<(AccountId, InstrumentId), i64>,
    /// Of each position's plan: its first intent's time and number, urgency and target.
    plans: BTreeMap<PositionId, (Nanos, u32, Urgency, [Qty; LEGS_MAX])>,
    /// When orders of a leg were sent, of the last minute.
    sent: BTreeMap<(PositionId, usize), VecDeque<Nanos>>,
}

impl Checker {
    /// An order leaves.
    pub(super) fn on_sent(
        &mut self,
        now: Nanos,
        position: PositionId,
        leg: usize,
    ) -> Result<(), Violation> {
        let sent = self.sent.entry((position, leg)).or_default();
        sent.push_back(now);
        while sent.front().is_some_and(|at| now.since(*at) >= Nanos::from_secs(60)) {
            sent.pop_front();
        }
        let most = usize::from(LEG_SENDS_PER_MINUTE);
        if sent.len() > most { Err(Violation::SentTooOften { position, leg }) } else { Ok(()) }
    }

    pub(super) fn on_opened(&mut self, spec: &PositionSpec) {
        for leg in &spec.legs {
            *self.opened.entry((leg.account, leg.instrument)).or_default() += signed(leg);
        }
    }

    /// A position that is closed is no more a part of what may be held.
    pub(super) fn on_closed(&mut self, spec: &PositionSpec) {
        for leg in &spec.legs {
            *self.opened.entry((leg.account, leg.instrument)).or_default() -= signed(leg);
        }
    }

    /// The holdings, against the venues' own books.
    pub(super) fn holdings<'p>(
        &self,
        executor: &Executor,
        positions: impl Iterator<Item = (PositionId, &'p PositionSpec)> + Clone,
        truth: impl Fn(AccountId, InstrumentId) -> (i64, i64),
    ) -> Result<(), Violation> {
        for (&(account, instrument), &opened) in &self.opened {
            let (held, under_way) = truth(account, instrument);
            let sign = if opened == 0 { held.signum() } else { opened.signum() };
            if !(0..=opened * sign).contains(&(held * sign)) {
                return Err(Violation::Flipped { account, instrument, held, opened });
            }
            if under_way > held * sign {
                return Err(Violation::OverClose { account, instrument, held, under_way });
            }
            let mut open = 0;
            for (id, spec) in positions.clone() {
                for (at, leg) in spec.legs.iter().enumerate() {
                    if (leg.account, leg.instrument) == (account, instrument) {
                        open += executor.leg(id, at).map_or(0, |leg| leg.open.raw());
                    }
                }
            }
            if open < held * sign {
                return Err(Violation::Forgotten { account, instrument, held, open });
            }
        }
        Ok(())
    }

    /// The plans and legs of a position.
    pub(super) fn position(
        &mut self,
        executor: &Executor,
        id: PositionId,
        legs: usize,
    ) -> Result<(), Violation> {
        for leg in 0..legs {
            let view = executor.leg(id, leg);
            if view.is_some_and(|view| view.live > view.open) {
                return Err(Violation::Reserved { position: id, leg });
            }
            if executor.is_closed(id) && view.is_some_and(|view| view.open > Qty::ZERO) {
                return Err(Violation::ClosedOpen { position: id });
            }
        }
        let Some(plan) = executor.plan(id) else {
            self.plans.remove(&id);
            return Ok(());
        };
        let now = (plan.started, plan.number, plan.urgency, plan.keep);
        let fell = self.plans.insert(id, now).is_some_and(|(started, number, urgency, keep)| {
            (started, number) == (plan.started, plan.number)
                && (plan.urgency < urgency
                    || plan.keep.iter().zip(&keep).any(|(now, then)| now > then))
        });
        if fell { Err(Violation::PlanFell { position: id }) } else { Ok(()) }
    }
}
