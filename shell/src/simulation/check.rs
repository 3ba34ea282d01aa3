//! What must hold after every event, whatever the venues do.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use reap_core::budget::VenueBudget;
use reap_core::executor::Executor;
use reap_core::instrument::{AccountId, InstrumentId};
use reap_core::intent::Urgency;
use reap_core::limits::{LEG_SENDS_PER_MINUTE, LEG_SENDS_UNPROVEN, LEGS_MAX, UNHEDGED_TIME};
use reap_core::order::{Ask, OrderState};
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
    /// Orders of one leg that may still trade are for more than is open of it.
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
    /// A leg stood without its counterpart for too long, and its plan was not made urgent.
    Naked {
        /// Whose.
        position: PositionId,
        /// Since when.
        since: Nanos,
    },
    /// A plan that is urgent sent nothing for what it could have closed, and nothing kept it.
    Idle {
        /// Whose.
        position: PositionId,
        /// Index of the leg.
        leg: usize,
    },
    /// More was sent to a venue within a time than its budget allows, or by a question what is
    /// reserved for exits.
    OverBudget {
        /// Which.
        venue: usize,
    },
    /// A venue has taken an order and is held nevertheless.
    StillHeld {
        /// Which.
        venue: usize,
    },
    /// A venue that wanted to be left alone was not.
    Impatient {
        /// Which.
        venue: usize,
    },
    /// Closed is what is not flat.
    ClosedOpen {
        /// Which.
        position: PositionId,
    },
    /// Engine and executor answer each other for ever.
    PingPong,
    /// An order has the number of another run.
    WrongRun {
        /// Whose.
        position: PositionId,
    },
    /// An order left while nothing was to be sent.
    SentWhileStopped,
    /// What a process that has died left is not what its log gives.
    NotRecovered {
        /// In words.
        why: String,
    },
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
    /// Orders of a leg since the last word of its venue.
    unproven: BTreeMap<(PositionId, usize), u8>,
    /// What venues take within a time.
    pub(super) budgets: BTreeMap<usize, VenueBudget>,
    /// Orders and their weight, and that of questions, by venue.
    requests: BTreeMap<usize, VecDeque<(Nanos, bool, u32)>>,
    /// Until when venues want to be left alone.
    limited: BTreeMap<usize, Nanos>,
    /// Since when legs of a plan stand without counterpart.
    naked: BTreeMap<PositionId, Nanos>,
    /// Since when a leg could send something and has not.
    idle: BTreeMap<(PositionId, usize), Nanos>,
}

/// More than any smallest order of the trial.
const SELLABLE: i64 = 40;
/// The longest pause of a leg after a refusal, and a moment for the order that follows.
const IDLE_MAX: Nanos = Nanos::from_secs(11);

impl Checker {
    /// An order leaves.
    pub(super) fn on_sent(
        &mut self,
        now: Nanos,
        position: PositionId,
        leg: usize,
    ) -> Result<(), Violation> {
        *self.unproven.entry((position, leg)).or_default() += 1;
        self.idle.remove(&(position, leg));
        let sent = self.sent.entry((position, leg)).or_default();
        sent.push_back(now);
        while sent.front().is_some_and(|at| now.since(*at) >= Nanos::from_secs(60)) {
            sent.pop_front();
        }
        let most = usize::from(LEG_SENDS_PER_MINUTE);
        if sent.len() > most { Err(Violation::SentTooOften { position, leg }) } else { Ok(()) }
    }

    pub(super) fn on_limited(&mut self, venue: usize, until: Nanos) {
        let at = self.limited.entry(venue).or_default();
        *at = until.max(*at);
    }

    /// An order leaves for a venue.
    pub(super) fn on_request(&mut self, now: Nanos, venue: usize) -> Result<(), Violation> {
        let weight = self.budgets.get(&venue).map_or(0, |budget| budget.order_weight);
        self.count(now, venue, true, weight)
    }

    /// A question leaves for a venue. Reads are not counted here: one may answer many.
    pub(super) fn on_ask(&mut self, now: Nanos, venue: usize, ask: &Ask) -> Result<(), Violation> {
        let weight = self.budgets.get(&venue).map_or(0, |budget| budget.query_weight);
        match ask {
            Ask::Order { .. } => self.count(now, venue, false, weight),
            Ask::Holding { .. } | Ask::Forget { .. } => Ok(()),
        }
    }

    fn count(
        &mut self,
        now: Nanos,
        venue: usize,
        order: bool,
        weight: u32,
    ) -> Result<(), Violation> {
        if self.limited.get(&venue).is_some_and(|until| now < *until) {
            return Err(Violation::Impatient { venue });
        }
        let Some(budget) = self.budgets.get(&venue) else { return Ok(()) };
        let all = self.requests.entry(venue).or_default();
        all.push_back((now, order, weight));
        let longest = budget.orders.span.max(budget.weight.span);
        while all.front().is_some_and(|(at, ..)| now.since(*at) >= longest) {
            all.pop_front();
        }
        let within = |span: Nanos| all.iter().filter(move |(at, ..)| now.since(*at) < span);
        let orders = within(budget.orders.span).filter(|(_, order, _)| *order).count();
        let weight: u32 = within(budget.weight.span).map(|(.., weight)| weight).sum();
        let most = budget.weight.max * if order { 100 } else { 70 } / 100;
        let over = orders > budget.orders.max as usize || weight > most;
        if over { Err(Violation::OverBudget { venue }) } else { Ok(()) }
    }

    /// The desk has started again: what it does about naked legs begins anew. With its newest
    /// records plans may be lost, and what venues have said.
    pub(super) fn restart(&mut self, lost: bool) {
        self.naked.clear();
        self.idle.clear();
        if lost {
            self.plans.clear();
            self.limited.clear();
            self.requests.clear();
            let shut = |of: &(PositionId, usize)| (*of, LEG_SENDS_UNPROVEN);
            self.unproven = self.sent.keys().map(shut).collect();
        }
    }

    /// A venue has said something of an order.
    pub(super) fn on_evidence(&mut self, position: PositionId, leg: usize) {
        self.unproven.remove(&(position, leg));
        self.idle.remove(&(position, leg));
    }

    fn matched(&mut self, id: PositionId) {
        self.naked.remove(&id);
        self.idle.retain(|(of, _), _| *of != id);
    }

    /// What stands without its counterpart, and what could be done about it.
    pub(super) fn legs(
        &mut self,
        now: Nanos,
        executor: &Executor,
        id: PositionId,
        spec: &PositionSpec,
    ) -> Result<(), Violation> {
        let Some(plan) = executor.plan(id).filter(|_| spec.legs.len() > 1) else {
            self.matched(id);
            return Ok(());
        };
        let views: Vec<_> = (0..spec.legs.len()).filter_map(|leg| executor.leg(id, leg)).collect();
        let beyond = |i: usize, j: usize| {
            let part = views[j].open.raw() * spec.legs[i].qty.raw() / spec.legs[j].qty.raw();
            views[i].open.raw() - part > SELLABLE
        };
        if !(0..views.len()).any(|i| (0..views.len()).any(|j| beyond(i, j))) {
            self.matched(id);
            return Ok(());
        }
        let since = *self.naked.entry(id).or_insert(now);
        // While the desk reads what is held, no timer runs.
        let late = executor.next_timer().is_some_and(|at| at <= now);
        if late || now.since(since) <= UNHEDGED_TIME {
            return Ok(());
        }
        if plan.urgency < Urgency::Protective {
            return Err(Violation::Naked { position: id, since });
        }
        for (leg, view) in views.iter().enumerate() {
            let of = (id, leg);
            let waits = view.order.is_some_and(|(_, state)| {
                state.is_live() && !matches!(state, OrderState::Unknown { .. })
            });
            let free = view.open.raw() - view.live.raw() - plan.keep[leg].raw();
            let sent = self.sent.get(&of).map_or(0, VecDeque::len);
            let shut = self.unproven.get(&of).is_some_and(|sent| *sent >= LEG_SENDS_UNPROVEN)
                || sent + 1 >= usize::from(LEG_SENDS_PER_MINUTE);
            if waits || shut || free <= SELLABLE {
                self.idle.remove(&of);
                continue;
            }
            let idle = now.since(*self.idle.entry(of).or_insert(now)) > IDLE_MAX;
            // A venue that lets nothing through is no fault of the plan.
            if idle && executor.venues(now).all(|venue| venue.can_close_now()) {
                return Err(Violation::Idle { position: id, leg });
            }
        }
        Ok(())
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
