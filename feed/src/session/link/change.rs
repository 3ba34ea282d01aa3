//! Make before break: the replacement is opened, proven, and takes over at one instant.

use reap_core::tick::{Stamp, Tick, TickBody};
use reap_core::units::Nanos;

use super::super::connection::Phase;
use super::{ChangeReason, Link, LinkAction, LinkEvent, LinkReason, Slot};

impl Link {
    /// Wants a replacement of the connection in use.
    pub(super) fn begin_change(&mut self, now: Nanos, reason: ChangeReason) {
        self.change = Some(reason);
        self.change_backoff.reset();
        self.spare_at = now;
        self.tell_changed(LinkEvent::Changing(reason));
    }

    /// A quote of the connection in use.
    #[inline]
    pub(super) fn note_quote(&mut self, topic: u16, now: Nanos, tick: &Tick) {
        let at = usize::from(topic);
        let stamp = tick.stamp();
        self.forwarded[at] = (stamp.update_id, stamp.received);
        let state = &mut self.connections[self.main.index()].topics[at];
        state.seen = true;
        state.last = now;
        if state.mute {
            self.recover(topic);
        }
    }

    /// A quote of the replacement: kept in case that it takes over.
    pub(super) fn hold_quote(&mut self, slot: Slot, topic: u16, now: Nanos, tick: &Tick) {
        let state = &mut self.connections[slot.index()].topics[usize::from(topic)];
        state.last = now;
        state.held = Some(*tick);
        state.restarted |= tick.stamp().reset;
        if !state.seen {
            state.seen = true;
            if self.is_proven() {
                // This tick is given by its own return, the held ones of other topics are replayed.
                let state = &mut self.connections[slot.index()].topics[usize::from(topic)];
                if !state.restarted {
                    state.held = None;
                }
                self.take_over(now, true);
                self.note_quote(topic, now, tick);
                self.refresh();
            }
        }
    }

    /// Whether the replacement delivers all that the connection in use delivers.
    pub(super) fn is_proven(&self) -> bool {
        let [main, spare] =
            [self.main, self.main.other()].map(|slot| &self.connections[slot.index()]);
        let delivers = self.plan.topics.iter().zip(main.topics.iter().zip(&spare.topics)).all(
            |(topic, (old, new))| {
                !topic.pulse || !old.seen || old.mute || !old.is_accepted() || new.seen
            },
        );
        spare.is_open() && spare.live_since.is_some() && delivers
    }

    /// The replacement's time is up: it takes over if it delivers at all.
    pub(super) fn proof_is_due(&mut self, now: Nanos) {
        let spare = self.main.other();
        if self.connections[spare.index()].live_since.is_some() {
            self.take_over(now, true);
        } else {
            self.end(spare, now, LinkReason::NotProven, true);
        }
    }

    /// From now on the replacement's ticks go to the engine. `closes`: the old connection still
    /// stands and is closed behind it.
    pub(super) fn take_over(&mut self, now: Nanos, closes: bool) {
        let old = self.main;
        self.main = old.other();
        self.change = None;
        self.degraded = false;
        self.missing_told = 0;
        self.counters.replaced += 1;
        self.tell_changed(LinkEvent::Replaced);
        for at in 0..self.plan.topics.len() {
            let was_mute = self.connections[old.index()].topics[at].mute;
            let state = &mut self.connections[self.main.index()].topics[at];
            if !state.seen {
                state.last = now;
            }
            let (held, restarted) = (state.held.take(), state.restarted);
            state.mute = was_mute;
            state.renew_at = now.plus(self.mute);
            let recovered = was_mute && state.seen;
            if let Some(tick) = held.and_then(|tick| self.to_replay(at, tick, restarted)) {
                let stamp = tick.stamp();
                self.forwarded[at] = (stamp.update_id, stamp.received);
                self.counters.replayed += 1;
                self.actions.push_back(LinkAction::Replay(tick));
            }
            if recovered {
                self.recover(at as u16);
            }
        }
        if closes {
            self.counters.ended[LinkReason::Replaced as usize] += 1;
            self.connections[old.index()].clear();
            self.close(old, LinkReason::Replaced);
        }
        self.check_live(self.main, now);
    }

    /// A quote that was held back, when the engine has not had it from the old connection. If the
    /// venue restarted its update ids and the old connection did not say so yet, the quote says it:
    /// the engine would refuse the lower ids otherwise.
    fn to_replay(&self, at: usize, tick: Tick, restarted: bool) -> Option<Tick> {
        let (id, received) = self.forwarded[at];
        let stamp = tick.stamp();
        if restarted && id > stamp.update_id {
            let stamp = Stamp { reset: true, ..stamp };
            return Some(match tick.body() {
                TickBody::Quote(quote) => Tick::quote(tick.instrument(), stamp, quote),
                TickBody::Refused(reason) => Tick::refused(tick.instrument(), stamp, reason),
                _ => tick,
            });
        }
        ((stamp.update_id, stamp.received) > (id, received)).then_some(tick)
    }

    /// The connection in use is gone. A replacement that is on its way stands in.
    pub(super) fn main_ended(&mut self, now: Nanos, reason: LinkReason) {
        let old = self.main;
        let spare = &self.connections[old.other().index()];
        if spare.is_open() && spare.has_data {
            self.take_over(now, false);
            self.connections[old.index()].clear();
            return;
        }
        let phase = spare.phase;
        self.change = None;
        self.connections[old.index()].clear();
        self.tell_changed(LinkEvent::Lost(reason));
        if phase == Phase::Idle {
            self.connect_at = now.plus(self.backoff.next(&mut self.jitter));
            return;
        }
        self.main = old.other();
        if phase == Phase::Open {
            self.missing_told = 0;
            self.tell_changed(LinkEvent::Connected);
            self.check_live(self.main, now);
        }
    }

    /// A silent topic is back.
    #[cold]
    pub(super) fn recover(&mut self, topic: u16) {
        let at = usize::from(topic);
        let state = &mut self.connections[self.main.index()].topics[at];
        state.mute = false;
        state.renewed = 0;
        self.counters.recovered += 1;
        let instrument = self.plan.topics[at].instrument;
        self.tell_changed(LinkEvent::Recovered(instrument));
    }
}
