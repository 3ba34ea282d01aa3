//! Degrading (SPEC §4): when its price is gone, a protective rule looks at the next of its ladder,
//! and a position of which no price is left is blind.
//!
//! What is watched stands on the rule's own board. While a lower rung counts there, each of its new
//! prices crosses the two heaps of that board that hold what protects, as a quote would; a rung that
//! changes crosses them once. A stop's limit is the same on every rung, so nothing is moved.
//!
//! Each instrument has one timer for the next time at which a rung that counts lapses. It is put
//! back to that time when it is due, not with each quote.

use crate::arbiter::{Candidate, Origin, RULE_BLIND};
use crate::book::{Change, Sight};
use crate::engine::Engine;
use crate::heap::NodeId;
use crate::instrument::{InstrumentId, SourceId};
use crate::intent::{Intent, Reason};
use crate::note::{EngineNote, SeenBy};
use crate::policy::{Blind, TriggerSource};
use crate::position::{PositionId, PositionState, Side};
use crate::tracked::{Leg, Tracked};
use crate::trigger::{Condition, Gate, Trigger, TriggerId};
use crate::units::{Nanos, Qty};
use crate::watch::{SystemTimer, Timer};

/// The ladders of one instrument.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ladder {
    /// By source: the legs of positions, and the triggers that look at another source first.
    watched: [u32; 3],
    /// By source: which price counts for what looks at that source first; `None`: all are gone.
    counts: [Option<TriggerSource>; 3],
    /// What was said last of that.
    said: [Option<TriggerSource>; 3],
    /// Every watched one is at its own price.
    calm: bool,
    /// Since when no price is left for what looks at the quote first.
    dark: Option<Nanos>,
    /// Its holders were told of that, when it had lasted; some of them may have seen it before.
    spread: bool,
    seen: bool,
    /// When the timer is due.
    due: Nanos,
    timer: NodeId,
}

impl Ladder {
    pub(crate) const NEW: Self = Self {
        watched: [0; 3],
        counts: [None; 3],
        said: [None; 3],
        calm: true,
        dark: None,
        spread: false,
        seen: false,
        due: Nanos(u64::MAX),
        timer: NodeId::NONE,
    };

    /// It is dark since a time, or dark no more. Whether somebody has seen it dark.
    fn turn(&mut self, dark: Option<Nanos>) -> bool {
        self.dark = dark;
        self.spread = false;
        core::mem::take(&mut self.seen)
    }

    /// When its holders are to be told that it is dark.
    fn spreads_at(&self, grace: Nanos) -> Option<Nanos> {
        self.dark.filter(|_| !self.spread).map(|since| since.plus(grace))
    }

    fn settle(&mut self) {
        self.calm = TriggerSource::ALL.into_iter().all(|own| {
            let at = own as usize;
            self.watched[at] == 0 || self.counts[at] == Some(own)
        });
    }
}

/// A position of which no price is left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sightless {
    pub(crate) since: Nanos,
    /// It was said.
    said: bool,
    /// It has asked for its close; again when that plan has ended.
    pub(crate) asked: bool,
    timer: NodeId,
}

impl Sightless {
    const fn since(since: Nanos) -> Self {
        Self { since, said: false, asked: false, timer: NodeId::NONE }
    }
}

impl Engine {
    /// What a trigger that degrades sees of a leg.
    pub(crate) fn sight(&self, trigger: &Trigger, leg: &Leg, now: Nanos) -> Sight {
        self.books.sight(leg.instrument, trigger.source, now)
    }

    /// The board of the prices that a trigger on one price looks at.
    pub(crate) fn prices_of(&self, trigger: &Trigger) -> InstrumentId {
        let leg = &self.positions[trigger.position as usize].legs[trigger.leg()];
        self.books.board(leg.instrument, trigger.source)
    }

    /// Watches the ladders that a position's legs and triggers need; `false` gives them back.
    pub(crate) fn watch_ladders(&mut self, slot: u32, watch: bool, now: Nanos) {
        for at in 0..usize::from(self.positions[slot as usize].count) {
            let id = self.positions[slot as usize].legs[at].instrument;
            self.watch_ladder(id, TriggerSource::Bbo, watch, now);
        }
        self.each_trigger(slot, |engine, id| {
            let trigger = engine.triggers[id];
            engine.watch_source(&trigger, watch, now);
        });
    }

    /// The same for one trigger, which looks at another price than the quote first.
    pub(crate) fn watch_source(&mut self, trigger: &Trigger, watch: bool, now: Nanos) {
        if trigger.source != TriggerSource::Bbo {
            let leg = &self.positions[trigger.position as usize].legs[trigger.leg()];
            self.watch_ladder(leg.instrument, trigger.source, watch, now);
        }
    }

    fn watch_ladder(&mut self, id: InstrumentId, own: TriggerSource, watch: bool, now: Nanos) {
        let at = own as usize;
        let ladder = &mut self.ladders[usize::from(id.0)];
        if !watch {
            ladder.watched[at] -= 1;
            ladder.settle();
            return;
        }
        ladder.watched[at] += 1;
        if ladder.watched[at] == 1 {
            let counts = self.books.sight(id, own, now).source;
            ladder.counts[at] = counts;
            ladder.said[at] = Some(own);
            if own == TriggerSource::Bbo {
                ladder.turn(counts.is_none().then_some(now));
            }
            ladder.settle();
            self.set_lapse(id);
        }
    }

    /// Puts an instrument's timer to the next time at which a price that counts lapses.
    fn set_lapse(&mut self, id: InstrumentId) {
        let ladder = self.ladders[usize::from(id.0)];
        let watched =
            TriggerSource::ALL.into_iter().filter(|&own| ladder.watched[own as usize] > 0);
        let counts = watched.filter_map(|own| ladder.counts[own as usize]);
        let due = counts.map(|source| self.books.lapses(self.books.board(id, source))).min();
        let due = due.into_iter().chain(ladder.spreads_at(self.blind_grace)).min();
        let due = due.unwrap_or(Nanos(u64::MAX));
        if due == ladder.due {
            return;
        }
        if ladder.timer != NodeId::NONE {
            self.watch.remove_timer(ladder.timer);
        }
        let timer = match due {
            Nanos(u64::MAX) => NodeId::NONE,
            _ => self.watch.add_timer(due.0, Timer::System(SystemTimer::Lapse, id.0.into())),
        };
        let ladder = &mut self.ladders[usize::from(id.0)];
        (ladder.due, ladder.timer) = (due, timer);
    }

    /// A price that counted may have lapsed.
    pub(crate) fn on_lapse(&mut self, now: Nanos, id: InstrumentId) {
        let ladder = &mut self.ladders[usize::from(id.0)];
        (ladder.due, ladder.timer) = (Nanos(u64::MAX), NodeId::NONE);
        self.climb(now, id, None);
    }

    /// A board has changed: what looks at it from another board, or now counts on another, is
    /// looked at. The board's own triggers were crossed by its quote.
    #[inline]
    pub(crate) fn follow_change(&mut self, now: Nanos, board: InstrumentId, change: Change) {
        let (id, source) = self.books.of_board(board);
        let ladder = &self.ladders[usize::from(id.0)];
        match change {
            Change::None => return,
            // Calm: the price that counts is the one that was crossed; a record that was long on its
            // way may bring its end nearer.
            Change::Accepted { .. } | Change::Refreshed if ladder.calm => {
                let watched = ladder.watched[source as usize] > 0;
                if !watched || self.books.lapses(board) >= ladder.due {
                    return;
                }
            }
            Change::Held(_) if ladder.calm => return,
            _ => {}
        }
        self.climb(now, id, Some(source));
    }

    /// A source has changed its state, or delivers again after a silence.
    pub(crate) fn follow_source(&mut self, now: Nanos, source: SourceId) {
        for at in 0..self.books.len() as u16 {
            let id = InstrumentId(at);
            let fed = TriggerSource::ALL
                .into_iter()
                .any(|of| self.books.source_of(self.books.board(id, of)) == Some(source));
            if fed {
                self.climb(now, id, None);
            }
        }
    }

    /// Finds out which prices of an instrument count now. Where another one does, or the one that
    /// stands in for another has `changed`, what protects is looked at.
    fn climb(&mut self, now: Nanos, id: InstrumentId, changed: Option<TriggerSource>) {
        let mut tells = false;
        for own in TriggerSource::ALL {
            let ladder = &mut self.ladders[usize::from(id.0)];
            if ladder.watched[own as usize] == 0 {
                continue;
            }
            let sight = self.books.sight(id, own, now);
            let before = core::mem::replace(&mut ladder.counts[own as usize], sight.source);
            if before != sight.source {
                if core::mem::replace(&mut ladder.said[own as usize], sight.source) != sight.source
                {
                    let (instrument, counts) = (id, sight.source);
                    self.notes.push(EngineNote::Rung { instrument, own, counts });
                }
                if own == TriggerSource::Bbo && before.is_none() != sight.source.is_none() {
                    let dark = sight.source.is_none().then_some(now);
                    tells = self.ladders[usize::from(id.0)].turn(dark);
                }
            } else {
                // What stands in has changed, or marks have moved by a price that does not count.
                let crossed = sight.source.is_none_or(|counts| counts == own);
                if crossed || sight.source != changed && Some(own) != changed {
                    continue;
                }
            }
            let board = self.books.board(id, own);
            self.triggers.drain(Gate::Instrument(board), &mut self.retest);
            if let (Some(_), Some(quote)) = (sight.source, sight.quote) {
                self.watch.cross_protective(board, &quote, &mut self.due, &mut self.due_classes);
                if !self.due.is_empty() {
                    self.take_due();
                }
                if !self.due_classes.is_empty() {
                    self.cross_classes(now);
                }
            }
            self.run_retests(now);
        }
        let ladder = &mut self.ladders[usize::from(id.0)];
        ladder.settle();
        // Its holders are told of what lasts, and of the end of what they know.
        if ladder.spreads_at(self.blind_grace).is_some_and(|at| at <= now) {
            (ladder.spread, tells) = (true, true);
        }
        self.set_lapse(id);
        if tells {
            self.each_holder(id, |engine, slot| engine.look_for_prices(slot, now));
        }
    }

    /// Since when a leg that is open has no price left; `None` when each has one.
    fn dark_since(&self, position: &Tracked, now: Nanos) -> Option<Nanos> {
        let open = position.legs().iter().filter(|leg| leg.open > Qty::ZERO);
        let dark = open.filter(|leg| {
            self.books.sight(leg.instrument, TriggerSource::Bbo, now).source.is_none()
        });
        dark.map(|leg| self.ladders[usize::from(leg.instrument.0)].dark.unwrap_or(now)).min()
    }

    /// Somebody has seen an instrument without a price, and is to hear of the next one.
    pub(crate) fn hear_of_price(&mut self, id: InstrumentId) {
        self.ladders[usize::from(id.0)].seen = true;
    }

    /// A position that has no price from its beginning is blind since then, whatever was before.
    pub(crate) fn begin_blind(&mut self, slot: u32, now: Nanos) {
        let dark = self.dark_since(&self.positions[slot as usize], now);
        self.positions[slot as usize].blind = dark.map(|_| Sightless::since(now));
    }

    /// Begins or ends a position's blindness, says so, and closes what has been blind for too long.
    pub(crate) fn look_for_prices(&mut self, slot: u32, now: Nanos) {
        let position = &self.positions[slot as usize];
        if !matches!(position.state, PositionState::Open | PositionState::Exiting) {
            self.forget_blindness(slot);
            return;
        }
        // What is flat has nothing to see, and will be closed.
        if position.is_flat() {
            return;
        }
        let Some(dark) = self.dark_since(position, now) else {
            self.see_again(slot);
            self.tighten_late(slot);
            return;
        };
        for leg in position.legs() {
            // Of those that have a price it says nothing, until they have none.
            let ladder = &mut self.ladders[usize::from(leg.instrument.0)];
            ladder.seen |= ladder.dark.is_some();
        }
        let id = PositionId::new(slot, position.generation);
        let blind = self.policies[usize::from(position.policy)].blind;
        let mut state = position.blind.unwrap_or(Sightless::since(dark));
        state.since = state.since.max(dark);
        if state.timer != NodeId::NONE {
            self.watch.remove_timer(state.timer);
        }
        // What was never priced is not blind before a price could have come.
        let speak = state.since.plus(self.books.liveness());
        let quoted = position.legs().iter().all(|leg| self.books.quote(leg.instrument).is_some());
        if !state.said && (quoted || now >= speak) {
            state.said = true;
            self.notes.push(EngineNote::Blind { position: id, on: true });
        }
        let close = match blind {
            Blind::Hold => None,
            Blind::MarketAfter(span) => Some(state.since.plus(span)).filter(|_| !state.asked),
        };
        if !position.is_settled() && close.is_some_and(|at| at <= now) {
            state.asked = true;
            let reason = Reason::Blind;
            self.candidates.push(Candidate {
                position: slot,
                rule: RULE_BLIND,
                part: 0,
                reason,
                urgency: reason.urgency(),
                origin: Origin::NONE,
            });
        }
        let next = [close, (!state.said).then_some(speak)];
        let next = next.into_iter().flatten().filter(|&at| at > now).min();
        state.timer = next.map_or(NodeId::NONE, |at| {
            self.watch.add_timer(at.0, Timer::System(SystemTimer::Blind, slot))
        });
        self.positions[slot as usize].blind = Some(state);
    }

    /// Ends a position's blindness: there is a price again.
    fn see_again(&mut self, slot: u32) {
        if self.forget_blindness(slot) {
            let id = PositionId::new(slot, self.positions[slot as usize].generation);
            self.notes.push(EngineNote::Blind { position: id, on: false });
        }
    }

    /// Nothing of a position is left to be priced. Returns whether it was said to be blind.
    pub(crate) fn forget_blindness(&mut self, slot: u32) -> bool {
        let Some(state) = self.positions[slot as usize].blind.take() else { return false };
        if state.timer != NodeId::NONE {
            self.watch.remove_timer(state.timer);
        }
        state.said
    }

    /// The timer of a position that is blind.
    pub(crate) fn on_blind_timer(&mut self, now: Nanos, slot: u32) {
        if let Some(state) = &mut self.positions[slot as usize].blind {
            state.timer = NodeId::NONE;
        }
        self.look_for_prices(slot, now);
    }

    /// Says of an intent which price it was raised by, where that was not the best bid or ask.
    pub(crate) fn tell_source(&mut self, intent: &Intent, trigger: TriggerId) {
        if trigger == TriggerId::NONE || !self.triggers[trigger].degrades() {
            return;
        }
        let trigger = self.triggers[trigger];
        let position = &self.positions[trigger.position as usize];
        let of_one = position.count > 1 && trigger.reason != Reason::Liquidation;
        for (at, leg) in position.legs().iter().enumerate() {
            if !of_one && at != trigger.leg() || leg.open == Qty::ZERO {
                continue;
            }
            let sight = self.sight(&trigger, leg, self.now);
            let (Some(source), Some(quote)) = (sight.source, sight.quote) else { continue };
            if source == TriggerSource::Bbo && trigger.source == TriggerSource::Bbo {
                continue;
            }
            let board = self.books.board(leg.instrument, source);
            let price = match leg.side {
                Side::Long => quote.bid,
                Side::Short => quote.ask,
            };
            let confirmed = self.books.confirmed_at(board).unwrap_or(self.now);
            self.notes.push(EngineNote::SeenBy(SeenBy {
                position: intent.position,
                intent: intent.seq,
                leg: at as u8,
                source,
                price,
                age: self.now.since(confirmed),
                limit: match trigger.condition {
                    Condition::Price(cmp, limit) => Some((cmp, limit)),
                    _ => None,
                },
            }));
        }
    }

    /// Whether every price that a trigger looks at is the best bid or ask: only these are in its
    /// intent, to be compared with again. A leg that is closed may never have been quoted.
    pub(crate) fn is_seen_in_quotes(&self, trigger: &Trigger) -> bool {
        let position = &self.positions[trigger.position as usize];
        if trigger.source != TriggerSource::Bbo {
            return false;
        }
        let of_bbo = Some(TriggerSource::Bbo);
        let mut legs = position.legs().iter();
        !trigger.degrades()
            || legs.all(|leg| match leg.open {
                Qty::ZERO => self.books.quote(leg.instrument).is_some(),
                _ => self.sight(trigger, leg, self.now).source == of_bbo,
            })
    }

    /// The gate at which a trigger waits that sees a price which may not fire it yet.
    pub(crate) fn gate_of(&self, leg: &Leg, trigger: &Trigger) -> Gate {
        Gate::Instrument(self.books.board(leg.instrument, trigger.source))
    }
}
