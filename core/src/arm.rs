//! Arming: where a trigger is watched, when it is looked at, and what happens when it holds.

use crate::arbiter::{Candidate, Origin, RULE_PORTFOLIO};
use crate::compile::{self, PART_ACTIVATION};
use crate::engine::Engine;
use crate::guard;
use crate::heap::NodeId;
use crate::instrument::InstrumentId;
use crate::intent::Reason;
use crate::limits::LEGS_MAX;
use crate::net::Cmp;
use crate::pair::{PairForm, PairLeg};
use crate::policy::{Rule, TriggerSource};
use crate::position::PositionState;
use crate::rules;
use crate::signal::Signal;
use crate::tick::Quote;
use crate::tracked::Tracked;
use crate::trailing::{DistanceKind, Track};
use crate::trigger::{Condition, Gate, Place, Role, Stage, Trigger, TriggerId};
use crate::units::{Nanos, Qty};
use crate::watch::Timer;

impl Engine {
    /// Looks at an armed trigger that is queued nowhere: it fires, waits at a gate, or is watched.
    pub(crate) fn test(&mut self, id: TriggerId, now: Nanos) {
        let trigger = self.triggers[id];
        debug_assert!(trigger.stage == Stage::Armed && trigger.place == Place::None);
        let position = &self.positions[trigger.position as usize];
        let open = match position.state {
            PositionState::Open => true,
            PositionState::Exiting => false,
            PositionState::DustResidual | PositionState::Closed => return,
        };
        if position.off.has(trigger.rule) {
            return;
        }
        // Marks and activations rest until the position is open again.
        let rests = matches!(trigger.role, Role::Activate | Role::Mark) && !open;
        let settled = match trigger.role {
            Role::Sample => false,
            Role::Sign => position.is_flat(),
            _ => position.is_settled(),
        };
        if rests || settled {
            return;
        }
        match trigger.condition {
            // Its stop lies beyond every price until its mark has moved.
            Condition::Never if open && self.trails_alone(&trigger) => self.attach(id),
            Condition::Never => {}
            Condition::Time(due) if due <= now.0 => self.hold(id, now),
            Condition::Time(due) => {
                let node = self.watch.add_timer(due, Timer::Trigger(id));
                self.triggers[id].place = Place::Timer(node);
            }
            Condition::Always => self.hold(id, now),
            Condition::Signal(signal) => self.test_signal(id, now, signal),
            Condition::Price(cmp, limit) => match self.dump_of(&trigger) {
                // Its price counts only beside another sign.
                Some(class) if !self.dumps.one(class) && open => self.attach(id),
                Some(class) if !self.dumps.one(class) => {
                    self.triggers.wait(id, Gate::Signal(Signal::DumpOne(class)));
                }
                _ => self.test_price(id, now, cmp, limit),
            },
            Condition::Net(cmp, bound) => self.test_net(id, now, cmp, bound.get()),
        }
    }

    fn test_signal(&mut self, id: TriggerId, now: Nanos, signal: Signal) {
        let gate = if self.is_on(signal, now) {
            let trigger = &self.triggers[id];
            let gate = self.closed_gate(trigger.position, trigger.source, false, now);
            gate.or_else(|| self.closed_gate_of(signal, now))
        } else {
            Some(Gate::Signal(signal))
        };
        match gate {
            Some(gate) => self.triggers.wait(id, gate),
            None => self.hold(id, now),
        }
    }

    fn test_price(&mut self, id: TriggerId, now: Nanos, cmp: Cmp, limit: i64) {
        let trigger = self.triggers[id];
        let position = &self.positions[trigger.position as usize];
        let leg = position.legs[trigger.leg()];
        let open = position.state == PositionState::Open;
        let board = self.board_of(&trigger);
        let sight = trigger.degrades().then(|| self.sight(&trigger, &leg, now));
        let quote = match sight {
            Some(sight) => sight.quote,
            None => self.books.quote(self.prices_of(&trigger)),
        };
        if quote.is_some_and(|quote| cmp.holds(leg.exit(&quote), limit)) {
            let gate = match sight {
                Some(sight) => (!sight.usable).then(|| self.gate_of(&leg, &trigger)),
                None => self.gate_before(&trigger, now),
            };
            match gate {
                Some(gate) => self.triggers.wait(id, gate),
                None => self.hold(id, now),
            }
        } else if trigger.role == Role::Trail && open {
            self.attach(id);
        } else {
            let node = self.watch.add_price(board, leg.side, cmp, limit, id);
            self.triggers[id].place = Place::Price(node);
        }
    }

    fn test_net(&mut self, id: TriggerId, now: Nanos, cmp: Cmp, bound: i128) {
        let trigger = self.triggers[id];
        let position = &self.positions[trigger.position as usize];
        let mut exits = [0; LEGS_MAX];
        let mut gate = None;
        for (leg, exit) in position.legs().iter().zip(&mut exits) {
            let quote = if trigger.degrades() {
                let sight = self.sight(&trigger, leg, now);
                if !sight.usable && leg.open > Qty::ZERO && gate.is_none() {
                    gate = Some(self.gate_of(leg, &trigger));
                }
                sight.quote
            } else {
                self.books.quote(leg.instrument)
            };
            match quote {
                Some(quote) => *exit = leg.exit(&quote),
                // Nothing can be computed before every leg was quoted once.
                None => return self.triggers.wait(id, Gate::Instrument(leg.instrument)),
            }
        }
        let value = value(position, &exits);
        if cmp.holds(value, bound) {
            let gate = if trigger.degrades() { gate } else { self.gate_before(&trigger, now) };
            match gate {
                Some(gate) => self.triggers.wait(id, gate),
                None => self.hold(id, now),
            }
            return;
        }
        let missing = match cmp {
            Cmp::AtLeast => bound - value,
            Cmp::AtMost => value - bound,
        };
        let form = pair_form(position, cmp, bound);
        // A class has one guard in each direction: all of it looks at the same prices.
        if let Some(form) = form
            && (cmp == Cmp::AtLeast || trigger.degrades())
            && let Some(class) = self.class_for(&form)
        {
            let node = self.watch.pairs.add(class, &form, id);
            self.triggers[id].place = Place::Pair(class, node);
            if self.watch.pairs.needs_guard(class, cmp) {
                self.guard_class(class, cmp, now);
            }
            return;
        }
        let position = &self.positions[trigger.position as usize];
        let guards = guard::guards(position, &exits, cmp, missing);
        let mut nodes = [NodeId::NONE; LEGS_MAX];
        for (at, node) in nodes.iter_mut().enumerate() {
            if let Some((direction, limit)) = guards[at] {
                let leg = &self.positions[trigger.position as usize].legs[at];
                *node = self.watch.add_price(leg.instrument, leg.side, direction, limit, id);
            }
        }
        self.triggers[id].place = Place::Guards(self.watch.guarded.add(nodes));
    }

    /// The first gate that keeps a trigger's true condition from counting.
    fn gate_before(&self, trigger: &Trigger, now: Nanos) -> Option<Gate> {
        if trigger.role == Role::Sign {
            return None;
        }
        self.closed_gate(trigger.position, trigger.source, trigger.skew, now)
    }

    /// The first gate that keeps a true condition of the position from firing. A leg that is closed
    /// already closes none.
    pub(crate) fn closed_gate(
        &self,
        slot: u32,
        source: TriggerSource,
        skew: bool,
        now: Nanos,
    ) -> Option<Gate> {
        let position = &self.positions[slot as usize];
        let legs = position.legs().iter().filter(|leg| leg.open > Qty::ZERO);
        let boards = legs.clone().map(|leg| self.books.board(leg.instrument, source));
        if let Some(gate) = boards.into_iter().find_map(|board| self.closed_to(board, now)) {
            return Some(gate);
        }
        if !skew {
            return None;
        }
        let latest = legs.clone().map(|leg| self.books.changed_at(leg.instrument)).max()?;
        let abreast = latest.minus(self.books.max_leg_skew());
        legs.clone().find_map(|leg| {
            let source = self.books.source_of(leg.instrument)?;
            let behind = self.books.last_frame(source).is_none_or(|at| at < abreast);
            behind.then_some(Gate::Source(source))
        })
    }

    /// What must come before an instrument's price may be used; `None` when it may.
    pub(crate) fn closed_to(&self, instrument: InstrumentId, now: Nanos) -> Option<Gate> {
        if !self.books.quoted(instrument, now) {
            return Some(Gate::Instrument(instrument));
        }
        let source = self.books.source_of(instrument)?;
        (!self.books.live(source, now)).then_some(Gate::Source(source))
    }

    /// A condition holds and no gate is closed.
    fn hold(&mut self, id: TriggerId, now: Nanos) {
        let trigger = self.triggers[id];
        match trigger.role {
            Role::Sample | Role::Listen => unreachable!("what it waits for is never on"),
            Role::Sign => self.flip_sign(id, now),
            Role::Fire | Role::Trail | Role::Tight => {
                if self.waits_for_funding(id, now) {
                    return;
                }
                self.triggers[id].stage = Stage::Fired;
                self.note_signal(&trigger);
                self.candidates.push(Candidate {
                    position: trigger.position,
                    rule: trigger.rule,
                    part: rules::part_of(self.rule_of(&trigger), &trigger),
                    reason: trigger.reason,
                    urgency: trigger.reason.urgency(),
                    origin: Origin::trigger(id),
                });
            }
            Role::Step => {
                let position = &self.positions[trigger.position as usize];
                let due = rules::decay::steps_due(self.rule_of(&trigger), position.opened, now);
                self.for_rule(trigger.position, trigger.rule, |engine, part| {
                    engine.take(part);
                    engine.triggers[part].mark = due;
                    // What has fired keeps its condition until its plan ends.
                    if engine.triggers[part].stage == Stage::Armed {
                        engine.recompile(part);
                        engine.test(part, now);
                    }
                });
            }
            Role::Activate => {
                self.triggers[id].stage = Stage::Done;
                let mark = self.present(trigger.position, trigger.rule);
                self.for_rule(trigger.position, trigger.rule, |engine, part| {
                    if engine.triggers[part].part != PART_ACTIVATION {
                        engine.triggers[part].stage = Stage::Armed;
                        engine.triggers[part].mark = mark;
                        engine.recompile(part);
                        engine.test(part, now);
                    }
                });
                self.tighten_late(trigger.position);
            }
            Role::Mark => {
                let mark = self.present(trigger.position, trigger.rule);
                if mark <= trigger.mark {
                    // The ratio is saturated: it cannot be followed any further.
                    return;
                }
                self.for_rule(trigger.position, trigger.rule, |engine, part| {
                    if matches!(engine.triggers[part].role, Role::Trail | Role::Mark) {
                        engine.take(part);
                        engine.triggers[part].mark = mark;
                        engine.recompile(part);
                        if engine.triggers[part].stage == Stage::Armed {
                            engine.test(part, now);
                        }
                    }
                });
            }
        }
    }

    /// What stays open of each leg when a candidate is followed.
    pub(crate) fn keep_of(&self, candidate: &Candidate) -> [Qty; LEGS_MAX] {
        let mut keep = [Qty::ZERO; LEGS_MAX];
        if matches!(candidate.reason, Reason::LegLost | Reason::Imbalance) {
            return self.remedy_of(candidate);
        }
        if candidate.rule == RULE_PORTFOLIO {
            return self.portfolio_keep(candidate);
        }
        if candidate.reason != Reason::Tiers {
            return keep;
        }
        let trigger = &self.triggers[candidate.origin.by()];
        let position = &self.positions[trigger.position as usize];
        for (at, keep) in keep.iter_mut().enumerate().take(usize::from(position.count)) {
            *keep = self.tier_keep(position, trigger, at);
        }
        keep
    }

    fn tier_keep(&self, position: &Tracked, trigger: &Trigger, leg: usize) -> Qty {
        let rule =
            &self.policies[usize::from(position.policy)].rules[usize::from(trigger.rule)].rule;
        let Rule::Tiers { tiers, .. } = rule else { return Qty::ZERO };
        let id = position.legs[leg].instrument;
        let instrument = self.books.instrument(id).expect("registration knew it");
        position.tier_keep(leg, tiers[usize::from(trigger.part)].share, instrument)
    }

    /// Whether a tier's share is closed on every leg.
    pub(crate) fn tier_is_filled(&self, trigger: &Trigger) -> bool {
        let position = &self.positions[trigger.position as usize];
        (0..usize::from(position.count))
            .all(|leg| position.legs[leg].open <= self.tier_keep(position, trigger, leg))
    }

    /// The value that a trailing rule's mark takes now: the exit price, or the ratio in ppb.
    fn present(&self, slot: u32, rule: u8) -> i64 {
        let position = &self.positions[slot as usize];
        let source = self.policies[usize::from(position.policy)].rules[usize::from(rule)].source;
        let mut exits = [0; LEGS_MAX];
        for (leg, exit) in position.legs().iter().zip(&mut exits) {
            let board = self.books.board(leg.instrument, source);
            let quote = self.books.quote(board).expect("the condition was computed");
            *exit = leg.exit(&quote);
        }
        if position.count == 1 {
            return exits[0];
        }
        let of = match &self.policies[usize::from(position.policy)].rules[usize::from(rule)].rule {
            Rule::TrailingStop { base, .. } | Rule::TrailingProfit { base, .. } => *base,
            Rule::ProfitErosion { minimum, .. } => rules::erosion::base_of(minimum),
            _ => None,
        };
        let net = value(position, &exits) - position.cost;
        compile::ratio(net, compile::base(position, of))
    }

    /// The rule that a trigger is a part of.
    fn rule_of(&self, trigger: &Trigger) -> &Rule {
        let position = &self.positions[trigger.position as usize];
        &self.policies[usize::from(position.policy)].rules[usize::from(trigger.rule)].rule
    }

    pub(crate) fn for_rule(
        &mut self,
        slot: u32,
        rule: u8,
        mut each: impl FnMut(&mut Self, TriggerId),
    ) {
        let mut id = self.positions[slot as usize].first;
        while id != TriggerId::NONE {
            let next = self.triggers[id].next;
            if self.triggers[id].rule == rule {
                each(self, id);
            }
            id = next;
        }
    }

    /// Computes a trigger's condition anew; it must be queued nowhere, or wait for a settlement.
    pub(crate) fn recompile(&mut self, id: TriggerId) {
        let trigger = self.triggers[id];
        debug_assert!(matches!(trigger.place, Place::None | Place::Held));
        let position = &self.positions[trigger.position as usize];
        let condition = if position.is_flat() {
            Condition::Never
        } else if matches!(trigger.role, Role::Sign | Role::Tight) {
            self.health_condition(position, &trigger)
        } else if let Some(signal) = self.signal_of(&trigger) {
            Condition::Signal(signal)
        } else {
            let instrument = self.books.instrument(position.legs[0].instrument);
            let instrument = instrument.expect("registration knew it");
            compile::condition(position, self.rule_of(&trigger), &trigger, instrument)
        };
        self.triggers[id].condition = condition;
    }

    /// Takes an armed trigger out of wherever it is queued. A trailing one keeps its group's mark.
    pub(crate) fn take(&mut self, id: TriggerId) {
        let trigger = self.triggers[id];
        let legs = &self.positions[trigger.position as usize].legs;
        match trigger.place {
            Place::None => return,
            Place::Price(node) => {
                let Condition::Price(cmp, _) = trigger.condition else {
                    unreachable!("only a price stands in a price heap")
                };
                let side = legs[trigger.leg()].side;
                self.watch.remove_price(self.board_of(&trigger), side, cmp, node);
            }
            Place::Pair(class, node) => {
                let Condition::Net(cmp, _) = trigger.condition else {
                    unreachable!("only a sum stands in a pair class")
                };
                self.leave_class(class, cmp, node);
            }
            Place::Guards(guards) => {
                let Condition::Net(cmp, _) = trigger.condition else {
                    unreachable!("only a sum is guarded")
                };
                let nodes = self.watch.guarded.remove(guards);
                for (leg, node) in legs.iter().zip(nodes) {
                    if node != NodeId::NONE {
                        let direction = guard::direction(leg.side, cmp);
                        self.watch.remove_price(leg.instrument, leg.side, direction, node);
                    }
                }
            }
            Place::Member(node) => {
                let mark = self.watch.detach(node);
                self.triggers[id].mark = mark;
            }
            Place::Timer(node) => self.watch.remove_timer(node),
            Place::Waiting(gate) => self.triggers.stop_waiting(id, gate),
            Place::Held => self.fundings.held -= 1,
        }
        self.triggers[id].place = Place::None;
    }

    /// The class of a pair form on both legs' boards, an existing one or a new one where both have
    /// room.
    fn class_for(&mut self, form: &PairForm) -> Option<u16> {
        let [a, b] = form.legs.map(|leg| leg.instrument);
        let found = self.watch.board(a).classes.iter().copied();
        if let Some(class) = found.into_iter().find(|&class| self.watch.pairs.fits(class, form)) {
            return Some(class);
        }
        if self.watch.board(a).classes.is_full() || self.watch.board(b).classes.is_full() {
            return None;
        }
        let class = self.watch.pairs.open(form)?;
        self.watch.board_mut(a).classes.push(class);
        if a != b {
            self.watch.board_mut(b).classes.push(class);
        }
        Some(class)
    }

    /// Guards a class at the distance of its head; its triggers came in with both legs quoted.
    pub(crate) fn guard_class(&mut self, class: u16, cmp: Cmp, now: Nanos) {
        let quotes = self.class_quotes(class, cmp, now);
        if let [Some(a), Some(b)] = quotes {
            self.watch.guard_class(class, cmp, [&a, &b]);
        }
    }

    /// What a class of a direction looks at: what takes profit at the quotes, what protects at what
    /// is left.
    pub(crate) fn class_quotes(&self, class: u16, cmp: Cmp, now: Nanos) -> [Option<Quote>; 2] {
        self.watch.pairs.legs(class).map(|leg| match cmp {
            Cmp::AtLeast => self.books.quote(leg.instrument),
            Cmp::AtMost => self.books.sight(leg.instrument, TriggerSource::Bbo, now).quote,
        })
    }

    fn leave_class(&mut self, class: u16, cmp: Cmp, node: NodeId) {
        let [a, b] = self.watch.pairs.legs(class).map(|leg| leg.instrument);
        if self.watch.pairs.remove(class, cmp, node) {
            self.watch.unguard_class(class, Cmp::AtLeast);
            self.watch.unguard_class(class, Cmp::AtMost);
            self.watch.pairs.close(class);
            for id in [a, b] {
                self.watch.board_mut(id).classes.retain(|&mut listed| listed != class);
            }
        }
    }

    /// Joins an armed trailing stop of an open one-leg position to its track.
    pub(crate) fn attach(&mut self, id: TriggerId) {
        let trigger = self.triggers[id];
        let leg = self.positions[trigger.position as usize].legs[0];
        let (kind, step, distance) = self.trail_of(&trigger);
        let board = self.board_of(&trigger);
        let tracks = &self.watch.board(board).tracks;
        let track = tracks.iter().position(|track| track.is(leg.side, step, kind));
        let track = track.expect("registration made room for the track");
        let node = self.watch.attach(board, track, trigger.mark, distance, id);
        self.triggers[id].place = Place::Member(node);
    }

    /// Kind, step and distance of a trailing rule of one leg.
    fn trail_of(&self, trigger: &Trigger) -> (DistanceKind, i64, i64) {
        let position = &self.positions[trigger.position as usize];
        let rule =
            &self.policies[usize::from(position.policy)].rules[usize::from(trigger.rule)].rule;
        let instrument = self.books.instrument(position.legs[0].instrument);
        let instrument = instrument.expect("registration knew it");
        match rule {
            Rule::TrailingStop { distance, .. } => {
                match compile::track_distance(*distance, instrument) {
                    compile::TrackDistance::Rate(rate) => (DistanceKind::Rate, 0, rate),
                    compile::TrackDistance::Units(units) => (DistanceKind::Units, 0, units),
                }
            }
            Rule::TrailingProfit { distance, step, .. } => {
                (DistanceKind::Rate, step.raw(), distance.raw())
            }
            Rule::Dump { drop, .. } => (DistanceKind::Rate, 0, drop.raw()),
            Rule::ProfitErosion { fraction, .. } => {
                (DistanceKind::Erosion(fraction.raw()), 0, rules::erosion::key(position))
            }
            _ => unreachable!("only trailing rules have a trail"),
        }
    }

    /// Makes room for the tracks of a position's trailing rules; false when an instrument has too
    /// many. Tracks of equal side, step and kind are shared.
    pub(crate) fn open_tracks(&mut self, slot: u32) -> bool {
        let mut id = self.positions[slot as usize].first;
        while id != TriggerId::NONE {
            let trigger = self.triggers[id];
            if self.trails_alone(&trigger) {
                let leg = self.positions[slot as usize].legs[0];
                let (kind, step, _) = self.trail_of(&trigger);
                let board = self.board_of(&trigger);
                let tracks = &mut self.watch.board_mut(board).tracks;
                let found = tracks.iter_mut().find(|track| track.is(leg.side, step, kind));
                if let Some(track) = found {
                    track.users += 1;
                } else {
                    // A track that nobody uses any more gives its place up.
                    let mut track = Track::new(leg.side, step, kind);
                    track.users = 1;
                    if let Some(idle) = tracks.iter_mut().find(|track| track.users == 0) {
                        *idle = track;
                    } else if tracks.try_push(track).is_err() {
                        self.close_tracks(slot, id);
                        return false;
                    }
                }
            }
            id = trigger.next;
        }
        true
    }

    /// Gives back the tracks of a position's triggers before `end`.
    pub(crate) fn close_tracks(&mut self, slot: u32, end: TriggerId) {
        let mut id = self.positions[slot as usize].first;
        while id != end && id != TriggerId::NONE {
            let trigger = self.triggers[id];
            if self.trails_alone(&trigger) {
                let leg = self.positions[slot as usize].legs[0];
                let (kind, step, _) = self.trail_of(&trigger);
                let board = self.board_of(&trigger);
                let tracks = &mut self.watch.board_mut(board).tracks;
                let track = tracks.iter_mut().find(|track| track.is(leg.side, step, kind));
                track.expect("it was opened with the position").users -= 1;
            }
            id = trigger.next;
        }
    }

    /// A trailing stop of one leg: it follows a track's marks and not a mark of its own.
    pub(crate) fn trails_alone(&self, trigger: &Trigger) -> bool {
        trigger.role == Role::Trail && self.positions[trigger.position as usize].count == 1
    }
}

/// Σ exit values of a position's legs.
pub(crate) fn value(position: &Tracked, exits: &[i64; LEGS_MAX]) -> i128 {
    position.legs().iter().zip(exits).map(|(leg, &x)| leg.form.value(x)).sum()
}

/// A two-leg condition without minimum fees, reduced to its class's terms.
fn pair_form(position: &Tracked, cmp: Cmp, bound: i128) -> Option<PairForm> {
    if position.count != 2 || position.legs.iter().any(|leg| leg.form.min_fee() != 0) {
        return None;
    }
    let leg = |at: usize| PairLeg {
        instrument: position.legs[at].instrument,
        side: position.legs[at].side,
        weight: position.legs[at].form.slope(),
    };
    Some(PairForm::new([leg(0), leg(1)], cmp, bound))
}
