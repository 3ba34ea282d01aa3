//! Truths that are no price: a trigger that needs one waits in the signal's list, which is looked at
//! when the signal comes on. A quote that changes no signal costs nothing for all of them.

use crate::dump::dumps_max;
use crate::engine::Engine;
use crate::instrument::InstrumentId;
use crate::intent::Reason;
use crate::leaders::{Correlation, next_minute};
use crate::limits::{CORRELATIONS_MAX, DUMPS_MAX, INSTRUMENTS_MAX, SAMPLES_MAX};
use crate::note::EngineNote;
use crate::policy::Rule;
use crate::position::PositionId;
use crate::rules;
use crate::rules::funding::PART_SAMPLE;
use crate::tick::{Quote, Tick, TickBody};
use crate::trigger::{Gate, Role, Stage, Trigger, TriggerId};
use crate::units::{Nanos, Rate};
use crate::watch::{SystemTimer, Timer};

/// What a trigger can wait for beside a price and a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Both volume signs of a dump class hold.
    DumpBoth(u16),
    /// At least one of them holds.
    DumpOne(u16),
    /// A class of correlation rules goes with its leader, and that has moved against it.
    Correlated(u16),
    /// A settlement of the instrument's funding passes: never on, its list is walked then.
    Settled(InstrumentId),
    /// What is known of the instrument's funding changes: never on, its list is walked then.
    Predicted(InstrumentId),
}

const CORRELATED: usize = 2 * DUMPS_MAX;
const SETTLED: usize = CORRELATED + CORRELATIONS_MAX;
const _: () = assert!(dumps_max(INSTRUMENTS_MAX) <= DUMPS_MAX);

/// Lists that an engine of so many instruments has.
pub(crate) const fn signals_max(instruments: usize) -> usize {
    SETTLED + 2 * instruments
}

impl Signal {
    /// Its list.
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::DumpBoth(class) => 2 * class as usize,
            Self::DumpOne(class) => 2 * class as usize + 1,
            Self::Correlated(class) => CORRELATED + class as usize,
            Self::Settled(id) => SETTLED + 2 * id.0 as usize,
            Self::Predicted(id) => SETTLED + 2 * id.0 as usize + 1,
        }
    }
}

impl Engine {
    /// Whether a signal is on.
    pub(crate) fn is_on(&mut self, signal: Signal, now: Nanos) -> bool {
        match signal {
            Signal::DumpBoth(class) => self.dumps.both(class),
            Signal::DumpOne(class) => self.dumps.one(class),
            Signal::Correlated(class) => self.leaders.is_hit(now, class),
            Signal::Settled(_) | Signal::Predicted(_) => false,
        }
    }

    /// What must come before a signal that is on counts, beside the position's own prices.
    pub(crate) fn closed_gate_of(&self, signal: Signal, now: Nanos) -> Option<Gate> {
        match signal {
            // Nobody is closed for a leader whose price may not be used.
            Signal::Correlated(class) => self.closed_to(self.leaders.leader(class), now),
            _ => None,
        }
    }

    /// The signal that a trigger waits for; `None` for those of prices and times.
    pub(crate) fn signal_of(&self, trigger: &Trigger) -> Option<Signal> {
        match trigger.reason {
            Reason::Dump if trigger.part == rules::dump::PART_BOTH => {
                self.dump_of(trigger).map(Signal::DumpBoth)
            }
            // Its mark is its class.
            Reason::Correlation => Some(Signal::Correlated(trigger.mark as u16)),
            Reason::FundingFlip if trigger.role == Role::Sample => {
                let position = &self.positions[trigger.position as usize];
                let leg = &position.legs[usize::from(trigger.part - PART_SAMPLE)];
                Some(Signal::Settled(leg.instrument))
            }
            Reason::FundingFlip if trigger.role == Role::Listen => {
                let position = &self.positions[trigger.position as usize];
                Some(Signal::Predicted(position.legs[usize::from(trigger.part)].instrument))
            }
            _ => None,
        }
    }

    /// The dump class that a trigger belongs to.
    pub(crate) fn dump_of(&self, trigger: &Trigger) -> Option<u16> {
        if trigger.reason != Reason::Dump {
            return None;
        }
        let leg = &self.positions[trigger.position as usize].legs[0];
        self.dumps.find(leg.instrument, leg.side, self.least_of(trigger)?)
    }

    /// The least volume of a dump rule, in quantity units of its instrument.
    fn least_of(&self, trigger: &Trigger) -> Option<u128> {
        let position = &self.positions[trigger.position as usize];
        let policy = &self.policies[usize::from(position.policy)];
        let Rule::Dump { min_volume, .. } = policy.rules[usize::from(trigger.rule)].rule else {
            return None;
        };
        rules::dump::least(min_volume, self.books.instrument(position.legs[0].instrument)?)
    }

    /// What a trigger of a correlation rule has in common with others.
    fn correlation_of(&self, trigger: &Trigger) -> Option<Correlation> {
        let position = &self.positions[trigger.position as usize];
        let policy = &self.policies[usize::from(position.policy)];
        let said = policy.rules.get(usize::from(trigger.rule))?;
        let Rule::Correlation { leaders, drop, rho, default_rho } = &said.rule else { return None };
        let (instrument, side) = (position.legs[0].instrument, position.legs[0].side);
        let leader = leaders[usize::from(trigger.part)];
        let (drop, rho, default_rho) = (*drop, *rho, *default_rho);
        Some(Correlation { instrument, side, leader, drop, rho, default_rho })
    }

    /// The board on which a trigger on one price is watched: that of its prices, or of its dump class.
    pub(crate) fn board_of(&self, trigger: &Trigger) -> InstrumentId {
        match self.dump_of(trigger) {
            Some(class) => self.dumps.board(class),
            None => self.prices_of(trigger),
        }
    }

    /// What a position's triggers wait for is watched from now on. On a refusal nothing is kept: what
    /// there is too much of, and its bound.
    pub(crate) fn open_signals(&mut self, slot: u32) -> Result<(), (&'static str, usize)> {
        let mut id = self.positions[slot as usize].first;
        while id != TriggerId::NONE {
            if let Err(full) = self.open_signal(id) {
                self.close_signals(slot, id);
                return Err(full);
            }
            id = self.triggers[id].next;
        }
        Ok(())
    }

    fn open_signal(&mut self, id: TriggerId) -> Result<(), (&'static str, usize)> {
        let now = self.now;
        let trigger = &self.triggers[id];
        if trigger.reason == Reason::Dump {
            let leg = self.positions[trigger.position as usize].legs[0];
            let least = self.least_of(trigger).expect("registration checked it");
            self.dumps.open(leg.instrument, leg.side, least)?;
            self.close_candles(now, leg.instrument);
        } else if let Some(of) = self.correlation_of(trigger) {
            let class = self.leaders.open(now, of)?;
            self.triggers[id].mark = i64::from(class);
            self.await_minute(now);
        } else {
            match self.signal_of(trigger) {
                Some(Signal::Settled(id)) => {
                    self.fundings.users(id, 1);
                    self.await_settlement(now, id);
                }
                Some(Signal::Predicted(id)) => {
                    self.fundings.listeners(id, 1);
                    self.await_end_of_hold(now, id);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Gives back what a position's triggers before `end` waited for.
    pub(crate) fn close_signals(&mut self, slot: u32, end: TriggerId) {
        let mut id = self.positions[slot as usize].first;
        while id != end && id != TriggerId::NONE {
            let trigger = self.triggers[id];
            if let Some(class) = self.dump_of(&trigger) {
                self.dumps.close(class);
            }
            match self.signal_of(&trigger) {
                Some(Signal::Settled(id)) => self.fundings.users(id, -1),
                Some(Signal::Predicted(id)) => self.fundings.listeners(id, -1),
                Some(Signal::Correlated(class)) => self.leaders.close(class),
                _ => {}
            }
            id = trigger.next;
        }
    }

    /// A record that may change a signal, beside what it does to prices.
    #[inline]
    pub(crate) fn on_other(&mut self, now: Nanos, tick: &Tick) {
        let id = tick.instrument();
        match tick.body() {
            TickBody::Trade { qty, buyer_aggressor, at, .. } => {
                let closed = self.dumps.candles(id).on_trade(now, at, qty, buyer_aggressor);
                if closed && self.dumps.watches(id) {
                    self.judge_dumps(id);
                }
            }
            TickBody::Funding { rate, settles } => self.on_prediction(now, id, rate, settles),
            _ => {}
        }
    }

    /// A prediction of funding: what is asked of it changes only where it says something new.
    fn on_prediction(&mut self, now: Nanos, id: InstrumentId, rate: Rate, settles: Nanos) {
        if let Some(passed) = self.fundings.settled_early(now, id, settles) {
            self.sample_fundings(now, id, passed);
        }
        if self.fundings.on_prediction(now, id, rate, settles) {
            self.await_settlement(now, id);
            self.await_end_of_hold(now, id);
            self.end_holds(now, id);
        }
    }

    /// The minutes of an instrument's trades that are over are closed, and its dump rules judged.
    fn close_candles(&mut self, now: Nanos, id: InstrumentId) {
        self.dumps.candles(id).on_time(now);
        self.judge_dumps(id);
        if !self.dumps.has_timer(id) {
            let due = self.dumps.candles(id).next_close(now);
            self.watch.add_timer(due.0, Timer::System(SystemTimer::Candle, u32::from(id.0)));
            self.dumps.set_timer(id, true);
        }
    }

    /// What the closed candles of an instrument say now; triggers that wait for it are listed.
    fn judge_dumps(&mut self, id: InstrumentId) {
        for at in 0..self.dumps.classes(id).len() {
            let class = self.dumps.classes(id)[at];
            let (one, both) = self.dumps.judge(class);
            if both {
                self.triggers.drain(Gate::Signal(Signal::DumpBoth(class)), &mut self.retest);
            }
            if one {
                self.triggers.drain(Gate::Signal(Signal::DumpOne(class)), &mut self.retest);
                // Stops that the price had crossed while nobody looked.
                if let Some(quote) = self.books.quote(id) {
                    let board = self.dumps.board(class);
                    self.watch.cross(board, &quote, &mut self.due, &mut self.due_classes);
                    self.take_due();
                }
            }
        }
    }

    /// Marks and stops of the dump rules on an instrument, after its own.
    pub(crate) fn cross_dumps(&mut self, id: InstrumentId, quote: &Quote) {
        for at in 0..self.dumps.classes(id).len() {
            let class = self.dumps.classes(id)[at];
            let board = self.dumps.board(class);
            self.watch.move_marks(board, quote);
            if self.dumps.one(class) {
                self.watch.cross(board, quote, &mut self.due, &mut self.due_classes);
            }
        }
    }

    /// A new quote, for those that follow leaders: its mid, if it may be used.
    pub(crate) fn follow(&mut self, id: InstrumentId, quote: &Quote) {
        let now = self.now;
        if self.closed_to(id, now).is_some() {
            return;
        }
        let twice_mid = quote.bid.raw() + quote.ask.raw();
        let (triggers, retest) = (&mut self.triggers, &mut self.retest);
        self.leaders.on_mid(now, id, twice_mid, |class| {
            triggers.drain(Gate::Signal(Signal::Correlated(class)), retest);
        });
    }

    /// Wants to be woken at the next minute as long as somebody follows a leader.
    fn await_minute(&mut self, now: Nanos) {
        if !self.leaders.ticking && self.leaders.has_users() {
            self.leaders.ticking = true;
            self.watch.add_timer(next_minute(now).0, Timer::System(SystemTimer::Minute, 0));
        }
    }

    /// Says what fired, for the rules whose signs nobody sees in a price.
    pub(crate) fn note_signal(&mut self, trigger: &Trigger) {
        let generation = self.positions[trigger.position as usize].generation;
        let position = PositionId::new(trigger.position, generation);
        match trigger.reason {
            Reason::Dump => {
                let by_volumes = trigger.part == rules::dump::PART_BOTH;
                self.notes.push(EngineNote::Dump { position, by_volumes });
            }
            Reason::Correlation => {
                let leader = self.leaders.leader(trigger.mark as u16);
                self.notes.push(EngineNote::CorrelatedDump { position, leader });
            }
            _ => {}
        }
    }

    /// Wants to be woken at the settlement that an instrument's last prediction names.
    fn await_settlement(&mut self, now: Nanos, id: InstrumentId) {
        let Some(due) = self.fundings.wanted(now, id) else { return };
        let timer = self.fundings.timer(id);
        if let Some((node, at)) = *timer {
            if at == due {
                return;
            }
            self.watch.remove_timer(node);
        }
        let what = Timer::System(SystemTimer::Settlement, u32::from(id.0));
        *timer = Some((self.watch.add_timer(due.0, what), due));
    }

    /// A timer of a part of the engine that is no trigger.
    pub(crate) fn on_system_timer(&mut self, now: Nanos, timer: SystemTimer, index: u32) {
        let id = InstrumentId(index as u16);
        match timer {
            SystemTimer::Settlement => {
                let due = self.fundings.timer(id).take();
                if let Some(passed) = due.and_then(|(_, at)| self.fundings.settled(id, at)) {
                    self.sample_fundings(now, id, passed);
                }
            }
            SystemTimer::Candle => {
                self.dumps.set_timer(id, false);
                if self.dumps.watches(id) {
                    self.close_candles(now, id);
                    self.run_retests(now);
                }
            }
            SystemTimer::Minute => {
                self.leaders.ticking = false;
                let (triggers, retest) = (&mut self.triggers, &mut self.retest);
                self.leaders.on_minute(now, |class| {
                    triggers.drain(Gate::Signal(Signal::Correlated(class)), retest);
                });
                self.await_minute(now);
                self.run_retests(now);
            }
            SystemTimer::Signal => self.signal_expires(index),
            SystemTimer::Portfolio => self.on_portfolio_timer(),
            SystemTimer::Age => self.on_age_timer(index),
            SystemTimer::Health => self.on_health_timer(index),
            SystemTimer::Lapse => self.on_lapse(now, id),
            SystemTimer::Blind => self.on_blind_timer(now, index),
            SystemTimer::Held => self.on_end_of_hold(now, id),
        }
    }

    /// A settlement of an instrument passes: every rule that looks at it takes its sample.
    fn sample_fundings(&mut self, now: Nanos, id: InstrumentId, settles: Nanos) {
        let gate = Gate::Signal(Signal::Settled(id));
        // Behind what waits to be looked at already.
        let first = self.retest.len();
        self.triggers.drain(gate, &mut self.retest);
        let end = self.retest.len();
        for at in first..end {
            let sampler = self.retest[at];
            self.triggers.wait(sampler, gate);
            self.sample(now, sampler, settles);
        }
        self.retest.drain(first..end);
    }

    /// One rule's sample of a settlement: part 0 counts those in a row that cost enough.
    fn sample(&mut self, now: Nanos, sampler: TriggerId, settles: Nanos) {
        let trigger = self.triggers[sampler];
        let (mut first, mut known) = (TriggerId::NONE, false);
        self.for_rule(trigger.position, trigger.rule, |engine, part| {
            if engine.triggers[part].role == Role::Sample {
                // Two legs that settle at once are one sample.
                known |= engine.triggers[part].mark == settles.0 as i64;
            } else {
                first = part;
            }
        });
        if known {
            return;
        }
        let position = &self.positions[trigger.position as usize];
        let policy = &self.policies[usize::from(position.policy)];
        let Rule::FundingFlip { threshold, base, .. } =
            policy.rules[usize::from(trigger.rule)].rule
        else {
            unreachable!("only funding rules sample")
        };
        let Some(a_day) = self.fundings.a_day(position, &self.books) else { return };
        let worth = crate::compile::base(position, base);
        let flips = a_day <= -i128::from(threshold.raw()) * worth;
        self.triggers[sampler].mark = settles.0 as i64;
        let count = &mut self.triggers[first].mark;
        *count = if flips { (*count + 1).min(i64::from(SAMPLES_MAX)) } else { 0 };
        if self.triggers[first].stage == Stage::Armed {
            self.rearm(first, now);
        }
    }
}
