//! The engine: events in, intents out. It owns the positions' rule state and nothing else decides.
//!
//! One event runs in this order: timers that are due, the event itself, one arbitration. On a quote
//! the marks of trailing groups move first; then every trigger that the quote crosses, and every
//! one whose gate the event opens, is looked at; what is not crossed is not looked at.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::arbiter::{Candidate, Decision};
use crate::book::{Books, Change, GateCounters};
use crate::dump::Dumps;
use crate::event::{Event, GateSettings};
use crate::funding::Fundings;
use crate::hash::RunningHash;
use crate::heap::{NIL, NodeId};
use crate::hedge::Hedges;
use crate::holders::Holders;
use crate::instrument::{Instrument, InstrumentId, SourceId};
use crate::intent::Intent;
use crate::ladder::Ladder;
use crate::leaders::Leaders;
use crate::limits::{BLIND_GRACE, POLICIES_MAX, POSITIONS_MAX};
use crate::needs::Needs;
use crate::note::{EngineNote, Notes};
use crate::pair::classes_max;
use crate::per_leg::Spare;
use crate::policy::{Blind, Policy, PolicyId, Rule, TriggerSource};
use crate::portfolio::Portfolio;
use crate::position::{PositionId, PositionSpec, PositionState, RegisterError};
use crate::recovery::OpenPosition;
use crate::reversal::Signals;
use crate::room::Fitted;
use crate::task::Tasks;
use crate::tick::{Quote, Tick, TickKind};
use crate::tracked::{Leg, NO_SLOT, Tracked};
use crate::trigger::{Gate, Place, Stage, TriggerId, Triggers};
use crate::turn::Turns;
use crate::units::{Nanos, Qty};
use crate::watch::{Due, DueClass, From, Timer, Watch};

/// How much the engine has room for. Everything is allocated when it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineLimits {
    /// Positions at a time, at most [`POSITIONS_MAX`].
    pub positions: usize,
    /// Positions of two legs among them.
    pub pairs: usize,
    /// Positions of three and four legs among them.
    pub baskets: usize,
    /// Policies, at most [`POLICIES_MAX`].
    pub policies: usize,
    /// Triggers of all positions: a rule is one, a tier is one, a trailing rule up to four.
    pub triggers: usize,
    /// Entries of price heaps: a trigger on a price takes one, one on a sum as many as legs.
    pub prices: usize,
    /// Triggers on the sum of several legs.
    pub nets: usize,
    /// Trailing stops of one leg.
    pub trails: usize,
    /// Triggers with a time.
    pub timers: usize,
    /// Positions whose rules look at reads of their legs: leg_lost, imbalance.
    pub hedges: usize,
}

impl Default for EngineLimits {
    fn default() -> Self {
        Self::any(1024, 64, 8192)
    }
}

/// Events that arrived where they cannot mean anything: counted, never acted upon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineCounters {
    /// Intents raised.
    pub intents: u64,
    /// Reports and commands for a position that is not there or not in that state.
    pub stray: u64,
    /// Ends of plans that an intent has passed on its way: the plan goes on under that intent.
    pub crossed: u64,
    /// Fills beyond the open quantity: the open quantity stays at nought.
    pub overfills: u64,
    /// Amounts that do not fit the position's money scale.
    pub amounts_refused: u64,
}

/// The decision engine. See the module's documentation.
#[derive(Debug)]
pub struct Engine {
    pub(crate) books: Books,
    pub(crate) watch: Watch,
    pub(crate) triggers: Triggers,
    pub(crate) positions: Vec<Tracked>,
    pub(crate) policies: Vec<Policy>,
    /// By policy: what a registration under it gets.
    pub(crate) in_force: Vec<u16>,
    pub(crate) spare_legs: Spare<Leg>,
    /// What the positions that are held need of the limits.
    pub(crate) used: Needs,
    pub(crate) candidates: Vec<Candidate>,
    /// The slot that was freed last; the others follow it by [`Tracked::tag`].
    pub(crate) free: u32,
    pub(crate) limits: EngineLimits,
    pub(crate) now: Nanos,
    /// Scratch of one event.
    pub(crate) due: Vec<Due>,
    pub(crate) due_classes: Vec<DueClass>,
    pub(crate) retest: Vec<TriggerId>,
    pub(crate) scratch: Vec<Decision>,
    pub(crate) decisions: VecDeque<Candidate>,
    /// By board.
    pub(crate) hold_timers: Vec<NodeId>,
    /// By instrument.
    pub(crate) ladders: Vec<Ladder>,
    pub(crate) holders: Holders,
    /// How long an instrument is without a price before its holders are told: the shortest time after
    /// which a policy closes what is blind, at most [`BLIND_GRACE`].
    pub(crate) blind_grace: Nanos,
    pub(crate) hash: RunningHash,
    pub(crate) counters: EngineCounters,
    pub(crate) notes: Notes,
    pub(crate) hedges: Hedges,
    pub(crate) signals: Signals,
    pub(crate) portfolio: Portfolio,
    pub(crate) fundings: Fundings,
    pub(crate) dumps: Dumps,
    pub(crate) leaders: Leaders,
    /// See [`GateSettings::entry_factor`].
    pub(crate) entry_factor: u32,
    /// By instrument: it has had a price.
    pub(crate) priced: Vec<bool>,
    pub(crate) tasks: Tasks,
    pub(crate) turns: Turns,
}

/// Notes that wait at most; see [`Engine::poll_note`].
const NOTES_MAX: usize = 4096;

impl Engine {
    /// An engine for these instruments and this many sources.
    ///
    /// # Panics
    /// When a limit exceeds the constants of [`crate::limits`].
    #[must_use]
    pub fn new(
        limits: EngineLimits,
        instruments: &[Instrument],
        sources: usize,
        gates: GateSettings,
    ) -> Self {
        assert!(limits.positions <= POSITIONS_MAX, "positions: at most POSITIONS_MAX");
        assert!(limits.policies <= POLICIES_MAX, "policies: at most POLICIES_MAX");
        assert!(limits.triggers < NIL as usize, "triggers: below 2^27");
        assert!(
            instruments.len() <= crate::limits::INSTRUMENTS_MAX,
            "instruments: at most INSTRUMENTS_MAX"
        );
        assert!(sources <= crate::limits::SOURCES_MAX, "sources: at most SOURCES_MAX");
        let EngineLimits { positions, policies, triggers, .. } = limits;
        let boards = TriggerSource::ALL.len() * instruments.len();
        Self {
            books: Books::new(instruments, sources, gates),
            watch: Watch::new(instruments.len(), &limits),
            triggers: Triggers::with_capacity(triggers, instruments.len(), sources),
            positions: Vec::with_capacity(positions),
            policies: Vec::with_capacity(policies),
            in_force: Vec::with_capacity(policies),
            spare_legs: Spare::new(Leg::NONE, limits.pairs, limits.baskets),
            used: Needs::default(),
            candidates: Vec::with_capacity(triggers + positions),
            free: NO_SLOT,
            limits,
            now: Nanos(0),
            due: Vec::with_capacity(limits.prices),
            due_classes: Vec::with_capacity(4 * classes_max(instruments.len())),
            retest: Vec::with_capacity(triggers),
            scratch: Vec::with_capacity(positions),
            decisions: VecDeque::with_capacity(positions),
            hold_timers: alloc::vec![NodeId::NONE; boards],
            ladders: alloc::vec![Ladder::NEW; instruments.len()],
            holders: Holders::new(instruments.len()),
            blind_grace: BLIND_GRACE,
            hash: RunningHash::new(),
            counters: EngineCounters::default(),
            notes: Notes::with_capacity(NOTES_MAX),
            hedges: Hedges::with_capacity(limits.hedges),
            signals: Signals::with_capacity(instruments.len()),
            portfolio: Portfolio::off(),
            fundings: Fundings::new(instruments.len()),
            dumps: Dumps::new(instruments.len()),
            leaders: Leaders::new(instruments.len()),
            entry_factor: gates.entry_factor,
            priced: alloc::vec![false; instruments.len()],
            tasks: Tasks::default(),
            turns: Turns::with_capacity(policies),
        }
    }

    /// Adds a policy.
    ///
    /// # Errors
    /// When the table is full, or its rules follow an unknown leader or too many. What a rule says is
    /// checked with each position that uses it.
    pub fn add_policy(&mut self, policy: Policy) -> Result<PolicyId, RegisterError> {
        if self.policies.len() == self.limits.policies {
            return Err(RegisterError::Full { what: "policies", max: self.limits.policies });
        }
        for said in &policy.rules {
            let Rule::Correlation { leaders, .. } = &said.rule else { continue };
            for &leader in leaders {
                self.leaders.add(leader)?;
            }
        }
        if let Blind::MarketAfter(span) = policy.blind {
            self.blind_grace = self.blind_grace.min(span);
        }
        let id = PolicyId(self.policies.len() as u16);
        if self.turns.make_room(&policy) {
            self.tasks.make_room();
        }
        self.policies.push(policy);
        self.in_force.push(id.0);
        Ok(id)
    }

    /// Takes a position in and watches the rules of the version of its policy that is in force; one
    /// that already holds fires at once.
    ///
    /// # Errors
    /// The first thing that contradicts itself or exceeds a bound; nothing is kept then.
    pub fn register(
        &mut self,
        now: Nanos,
        spec: &PositionSpec,
    ) -> Result<PositionId, RegisterError> {
        self.begin(now);
        self.refuse_far(self.now, spec)?;
        self.refuse_opposite(spec)?;
        self.take_in(now, self.in_force(spec.policy), spec)
    }

    /// As [`Self::register`], under a version, of a position whose entries are fills: they are prices.
    pub(crate) fn take_in(
        &mut self,
        now: Nanos,
        version: PolicyId,
        spec: &PositionSpec,
    ) -> Result<PositionId, RegisterError> {
        self.take_in_as(now, version, spec, None)
    }

    /// As [`Self::take_in`]; with `of`, a position of an earlier run as it stands by now.
    pub(crate) fn take_in_as(
        &mut self,
        now: Nanos,
        version: PolicyId,
        spec: &PositionSpec,
        of: Option<&OpenPosition>,
    ) -> Result<PositionId, RegisterError> {
        self.begin(now);
        let now = self.now;
        let Fitted { slot, mut position, plan } = self.fitted(version, spec)?;
        if let Some(of) = of {
            for (at, leg) in position.legs_mut().iter_mut().enumerate() {
                leg.open = of.judged(at);
                leg.settle();
            }
            position.refresh(&self.policies[usize::from(position.policy)]);
        }
        let generation = self.place_position(slot, position);
        self.list_legs(slot);
        self.chain(slot, &plan);
        if let Err(why) = self.take_watches(slot) {
            self.forget(slot);
            return Err(why);
        }
        self.begin_hedge(slot);
        self.portfolio_enter(slot);
        self.watch_ladders(slot, true, now);
        self.begin_blind(slot, now);
        self.end_filled_tiers(slot);
        self.each_trigger(slot, Self::recompile);
        self.each_trigger(slot, |engine, id| {
            // An activation that holds already has armed its stop.
            let trigger = engine.triggers[id];
            if trigger.stage == Stage::Armed && trigger.place == Place::None {
                engine.test(id, now);
            }
        });
        self.run_retests(now);
        self.look_for_prices(slot, now);
        if let Some(of) = of {
            self.resume_plan(slot, of, now);
        }
        self.portfolio_rules();
        self.decide();
        let position = PositionId::new(slot, generation);
        if version != spec.policy {
            self.notes.push(EngineNote::Policy { position, policy: version, waits: false });
        }
        Ok(position)
    }

    /// Takes one event in. Poll every intent before the next one.
    ///
    /// # Panics
    /// When an intent of an earlier event was not polled: that is the caller's mistake.
    pub fn on_event(&mut self, now: Nanos, event: &Event) {
        self.begin(now);
        let now = self.now;
        self.run_timers(now);
        match *event {
            Event::Tick(ref tick) => self.on_tick(now, tick),
            Event::Report(report) => self.on_report(now, report),
            Event::Command(command) => self.on_command(now, command),
            Event::Source(source, change) => {
                self.books.on_source(source, change);
                self.follow_source(now, source);
            }
            Event::Timer => {}
        }
        self.portfolio_rules();
        self.decide();
    }

    /// The next intent of the last event.
    pub fn poll_intent(&mut self) -> Option<Intent> {
        let winner = self.decisions.pop_front()?;
        self.counters.intents += 1;
        let plan = &mut self.positions[winner.position as usize].plan;
        let plan = plan.as_mut().expect("a decision has a plan");
        plan.intent = self.counters.intents;
        let urgency = plan.urgency;
        let intent = self.intent(&winner, urgency);
        self.fold(&intent);
        self.tell_source(&intent, winner.origin.by());
        Some(intent)
    }

    /// What the engine has to say beside its intents. Poll it as far as it goes after the intents of
    /// an event; notes that find no room are lost and counted, decisions are not touched by them.
    pub fn poll_note(&mut self) -> Option<EngineNote> {
        self.notes.pop()
    }

    /// Notes that found no room.
    #[must_use]
    pub const fn notes_lost(&self) -> u64 {
        self.notes.lost
    }

    /// When the engine wants [`Event::Timer`] next.
    #[must_use]
    pub fn next_timer(&self) -> Option<Nanos> {
        self.watch.next_timer().map(Nanos)
    }

    /// Where a position stands; `None` when its slot was never used or is used by another.
    #[must_use]
    pub fn state(&self, id: PositionId) -> Option<PositionState> {
        Some(self.find(id)?.state)
    }

    /// Open quantity of a leg, as reported; nothing of a position that is closed.
    #[must_use]
    pub fn open(&self, id: PositionId, leg: usize) -> Option<Qty> {
        let position = self.find(id)?;
        let known = leg < usize::from(position.count);
        known.then(|| position.legs().get(leg).map_or(Qty::ZERO, |leg| leg.open))
    }

    /// The quote of an instrument that may be believed, and when it was last confirmed: what a
    /// latest-quote table for the executor holds. Its age is the reader's to judge.
    #[must_use]
    pub fn quote(&self, id: InstrumentId) -> Option<(Quote, Nanos)> {
        self.books.believed(id)
    }

    /// Running hash over every intent: equal when two runs decided the same, in the same order.
    #[must_use]
    pub const fn hash(&self) -> u64 {
        self.hash.value()
    }

    /// What became of the market data.
    #[must_use]
    pub const fn gate_counters(&self) -> &GateCounters {
        &self.books.counters
    }

    /// Intents and strays.
    #[must_use]
    pub const fn counters(&self) -> &EngineCounters {
        &self.counters
    }

    fn begin(&mut self, now: Nanos) {
        assert!(self.decisions.is_empty(), "every intent is polled before the next event");
        self.now = self.now.max(now);
    }

    pub(crate) fn find(&self, id: PositionId) -> Option<&Tracked> {
        let position = self.positions.get(id.slot())?;
        (PositionId::new(id.slot() as u32, position.generation) == id).then_some(position)
    }

    /// The slot of a position that is open or exiting.
    pub(crate) fn live_slot(&mut self, id: PositionId) -> Option<u32> {
        let live = |position: &&Tracked| {
            matches!(position.state, PositionState::Open | PositionState::Exiting)
        };
        if self.find(id).filter(live).is_none() {
            self.stray("a report or command for a position that is not live", Some(id));
            return None;
        }
        Some(id.slot() as u32)
    }

    /// Counts an event that means nothing here, and says so.
    pub(crate) fn stray(&mut self, what: &'static str, position: Option<PositionId>) {
        self.counters.stray += 1;
        self.notes.push(EngineNote::Stray { what, position });
    }

    /// As [`Self::stray`], of the position in a slot.
    pub(crate) fn stray_of(&mut self, slot: u32, what: &'static str) {
        let generation = self.positions[slot as usize].generation;
        self.stray(what, Some(PositionId::new(slot, generation)));
    }

    pub(crate) fn each_trigger(&mut self, slot: u32, mut each: impl FnMut(&mut Self, TriggerId)) {
        let mut id = self.positions[slot as usize].first;
        while id != TriggerId::NONE {
            let next = self.triggers[id].next;
            each(self, id);
            id = next;
        }
    }

    fn run_timers(&mut self, now: Nanos) {
        while let Some(timer) = self.watch.pop_timer(now.0) {
            match timer {
                Timer::Trigger(id) => {
                    self.triggers[id].place = Place::None;
                    self.test(id, now);
                }
                Timer::Hold(id) => {
                    self.hold_timers[usize::from(id.0)] = NodeId::NONE;
                    let change = self.books.end_hold(id);
                    self.on_change(now, id, change);
                }
                Timer::Rest(slot) => {
                    self.positions[slot as usize].rest_timer = NodeId::NONE;
                    self.each_trigger(slot, |engine, id| {
                        if engine.triggers[id].stage == Stage::Resting {
                            engine.rearm(id, now);
                        }
                    });
                }
                Timer::System(timer, index) => self.on_system_timer(now, timer, index),
            }
        }
    }

    fn on_tick(&mut self, now: Nanos, tick: &Tick) {
        if !self.books.knows(tick) {
            self.books.counters.unknown += 1;
            return;
        }
        let source = tick.stamp().source;
        let silent = !self.books.live(source, now);
        let (change, other) = self.books.on_tick(now, tick);
        self.triggers.drain(Gate::Source(source), &mut self.retest);
        self.on_other(now, tick);
        if tick.kind() == TickKind::Alive {
            self.run_retests(now);
        } else {
            self.on_change(now, tick.instrument(), change);
        }
        if let Some((board, change)) = other {
            self.on_change(now, board, change);
        }
        if silent && self.books.live(source, now) {
            self.follow_source(now, source);
        }
    }

    /// Looks at everything that a change of a board touches, the jumps it confirms included.
    pub(crate) fn on_change(&mut self, now: Nanos, id: InstrumentId, change: Change) {
        match change {
            Change::None | Change::Refused => {}
            Change::Refreshed => self.triggers.drain(Gate::Instrument(id), &mut self.retest),
            Change::Held(until) => self.set_hold_timer(id, until),
            Change::Accepted { before } => self.on_accepted(now, id, before),
        }
        self.run_retests(now);
        self.follow_change(now, id, change);
        let priced = matches!(change, Change::Accepted { .. } | Change::Refreshed);
        if priced && self.has_tasks() && usize::from(id.0) < self.books.len() {
            self.look_at_tasks(now, id);
        }
        if matches!(change, Change::Accepted { .. }) {
            // Each one leaves its hold, so this ends.
            while let Some((other, accepted)) = self.books.confirm_by_peer(now, id) {
                self.on_change(now, other, accepted);
            }
        }
    }

    fn set_hold_timer(&mut self, id: InstrumentId, until: Nanos) {
        let timer = &mut self.hold_timers[usize::from(id.0)];
        if *timer != NodeId::NONE {
            self.watch.remove_timer(*timer);
        }
        *timer = self.watch.add_timer(until.0, Timer::Hold(id));
    }

    /// A new accepted quote: marks move, then what it crosses is listed.
    #[inline]
    fn on_accepted(&mut self, now: Nanos, id: InstrumentId, before: Option<SourceId>) {
        self.triggers.drain(Gate::Instrument(id), &mut self.retest);
        if let Some(source) = before {
            // Another source feeds the instrument now: nobody waits for the old one any longer.
            self.triggers.drain(Gate::Source(source), &mut self.retest);
        }
        self.rejoin_tracks(id);
        let quote = self.books.quote(id).expect("it was accepted");
        let quotes = usize::from(id.0) < self.books.len();
        if quotes {
            if !self.priced[usize::from(id.0)] {
                self.priced[usize::from(id.0)] = true;
                self.on_first_price(id, &quote);
            }
            self.portfolio_price(id);
        }
        if quotes && self.leaders.follows() {
            self.follow(id, &quote);
        }
        self.watch.move_marks(id, &quote);
        self.watch.cross(id, &quote, &mut self.due, &mut self.due_classes);
        if quotes && self.dumps.watches(id) {
            self.cross_dumps(id, &quote);
        }
        if !self.due.is_empty() {
            self.take_due();
        }
        if !self.due_classes.is_empty() {
            self.cross_classes(now);
        }
    }

    /// Trailing stops that waited at a gate follow their track again before its marks move.
    fn rejoin_tracks(&mut self, board: InstrumentId) {
        let mut at = 0;
        while at < self.retest.len() {
            let id = self.retest[at];
            let trigger = self.triggers[id];
            let position = &self.positions[trigger.position as usize];
            let here = self.prices_of(&trigger) == board;
            if here && position.state == PositionState::Open && self.trails_alone(&trigger) {
                self.attach(id);
                self.retest.swap_remove(at);
            } else {
                at += 1;
            }
        }
    }

    /// Lists the crossed triggers once each, with none of their other entries left behind.
    pub(crate) fn take_due(&mut self) {
        for at in 0..self.due.len() {
            let due = self.due[at];
            let trigger = due.trigger;
            match (due.from(), self.triggers[trigger].place) {
                (From::Entry(entry), Place::Guards(guards)) => {
                    self.watch.guarded.entry_gone(guards, entry);
                }
                (From::Group(group), _) => {
                    self.triggers[trigger].mark = self.watch.groups.group(group).mark;
                    self.triggers[trigger].place = Place::None;
                    self.recompile(trigger);
                    self.retest.push(trigger);
                }
                (From::Entry(_), _) => {
                    self.triggers[trigger].place = Place::None;
                    self.retest.push(trigger);
                }
            }
        }
        for at in 0..self.due.len() {
            let Due { trigger, .. } = self.due[at];
            if let Place::Guards(_) = self.triggers[trigger].place {
                self.take(trigger);
                self.retest.push(trigger);
            }
        }
        self.due.clear();
    }

    /// Lists the crossed triggers of the classes whose guard was hit and guards them anew.
    pub(crate) fn cross_classes(&mut self, now: Nanos) {
        for &DueClass { class, cmp, entry } in &self.due_classes {
            self.watch.pairs.entry_gone(class, cmp, entry);
        }
        for at in 0..self.due_classes.len() {
            let DueClass { class, cmp, .. } = self.due_classes[at];
            let quotes = self.class_quotes(class, cmp, now);
            // Both legs of a class may come in one quote: the second time it may be closed.
            let [Some(a), Some(b)] = quotes else { continue };
            if self.watch.pairs.is_closed(class) {
                continue;
            }
            let value = self.watch.pairs.value(class, [&a, &b]);
            while let Some(id) = self.watch.pairs.first_crossed(class, cmp, value) {
                self.take(id);
                self.retest.push(id);
                if self.watch.pairs.is_closed(class) {
                    break;
                }
            }
            if !self.watch.pairs.is_closed(class) {
                self.watch.guard_class(class, cmp, [&a, &b]);
            }
        }
        self.due_classes.clear();
    }

    pub(crate) fn run_retests(&mut self, now: Nanos) {
        let mut at = 0;
        while at < self.retest.len() {
            let id = self.retest[at];
            at += 1;
            // A mark that moved may have placed or fired a neighbour that was listed too.
            if self.triggers[id].place == Place::None && self.triggers[id].stage == Stage::Armed {
                self.test(id, now);
            }
        }
        self.retest.clear();
    }
}
