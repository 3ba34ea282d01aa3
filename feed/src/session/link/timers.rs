//! The link's deadlines.

use reap_core::units::Nanos;

use super::super::connection::{Phase, TopicState};
use super::{ChangeReason, ConnectBudget, Link, LinkAction, LinkEvent, LinkReason, NEVER, Slot};

/// A topic is subscribed anew so often before its silence counts as the connection's.
const RENEWALS_BEFORE_RECONNECT: u32 = 2;

impl Link {
    /// Does what is due. Call it at [`Link::next_timer`]; calls in between change nothing. Read the
    /// sockets first: what waits there is no silence.
    pub fn on_timer(&mut self, now: Nanos, budget: &mut ConnectBudget) {
        if now < self.due {
            return;
        }
        if let Some(until) = self.ban_until.take() {
            budget.ban(now, until);
        }
        for slot in Slot::ALL {
            self.check_connection(slot, now);
        }
        let change_at = self.connections[self.main.index()].change_at;
        if self.change.is_none() && change_at.is_some_and(|at| now >= at) {
            self.begin_change(now, ChangeReason::Age);
        }
        self.connect(now, budget);
        self.refresh();
    }

    /// When [`Link::on_timer`] is to be called next, whatever else happens.
    #[must_use]
    #[inline]
    pub fn next_timer(&self) -> Option<Nanos> {
        (self.due != NEVER).then_some(self.due)
    }

    fn check_connection(&mut self, slot: Slot, now: Nanos) {
        let connection = &mut self.connections[slot.index()];
        let dialect = self.plan.dialect;
        match connection.phase {
            Phase::Idle => return,
            Phase::Connecting => {
                if now >= connection.since.plus(self.settings.connect_deadline) {
                    self.counters.ended[LinkReason::ConnectDeadline as usize] += 1;
                    self.close(slot, LinkReason::ConnectDeadline);
                    self.failed(slot, now);
                }
                return;
            }
            Phase::Open => {}
        }
        if now >= connection.last_frame.plus(half_open(dialect.heartbeat.every)) {
            return self.end(slot, now, LinkReason::HalfOpen, true);
        }
        if now >= connection.last_data.plus(self.silence) {
            return self.end(slot, now, LinkReason::Silent, true);
        }
        if let Some(request) = connection.requests.poll_unanswered(now, &self.settings) {
            self.on_unanswered(slot, now, &request);
            if !self.connections[slot.index()].is_open() {
                return;
            }
        }
        if slot == self.main {
            self.check_mutes(slot, now);
        } else if self.is_proven() {
            self.take_over(now, true);
        } else if now >= self.connections[slot.index()].since.plus(self.settings.proof_deadline) {
            self.proof_is_due(now);
        }
        if !self.connections[slot.index()].is_open() {
            return;
        }
        self.send_requests(slot, now);
        let connection = &mut self.connections[slot.index()];
        if now >= connection.ping_at {
            connection.ping_at = now.plus(dialect.heartbeat.every);
            connection.requests.sent(now, &self.plan);
            self.actions.push_back(match &dialect.heartbeat.text {
                Some(text) => LinkAction::Send(slot, text.clone()),
                None => LinkAction::Ping(slot),
            });
        }
    }

    /// Tells of topics that fell silent and subscribes them anew, within the budget.
    fn check_mutes(&mut self, slot: Slot, now: Nanos) {
        let mut all_lost = true;
        let mut any_due = false;
        for (topic, state) in
            self.plan.topics.iter().zip(&mut self.connections[slot.index()].topics)
        {
            if !topic.pulse || !state.is_accepted() {
                continue;
            }
            if !state.mute && now >= state.last.plus(self.mute) {
                state.mute = true;
                state.renewed = 0;
                state.renew_at = now;
                self.counters.mutes += 1;
                self.actions.push_back(LinkAction::Changed(LinkEvent::Mute(topic.instrument)));
            }
            any_due |= state.mute && now >= state.renew_at;
            all_lost &= state.mute && state.renewed >= RENEWALS_BEFORE_RECONNECT;
        }
        if any_due && all_lost {
            return self.end(slot, now, LinkReason::Mute, true);
        }
        let connection = &mut self.connections[slot.index()];
        let is_due =
            |state: &TopicState| state.mute && state.is_accepted() && now >= state.renew_at;
        // The topic that had the fewest turns is next, so that the budget reaches all.
        while let Some((at, state)) = connection
            .topics
            .iter_mut()
            .enumerate()
            .filter(|(_, state)| is_due(state))
            .min_by_key(|(_, state)| state.renewed)
        {
            if let Err(later) = self.renewals.take(now) {
                let due = connection.topics.iter_mut().filter(|state| is_due(state));
                due.for_each(|state| state.renew_at = later);
                break;
            }
            let pause = self.mute.0.saturating_mul(1 << state.renewed.min(20));
            state.renewed += 1;
            state.renew_at = now.plus(Nanos(pause).min(self.settings.resubscribe_max));
            self.counters.resubscribed += u64::from(connection.requests.renew(at as u16));
        }
    }

    /// Finds the next deadline.
    pub(super) fn refresh(&mut self) {
        let mut due = NEVER;
        let mut at = |time: Nanos| due = due.min(time);
        if self.ban_until.is_some() {
            at(Nanos(0));
        }
        for slot in Slot::ALL {
            let connection = &self.connections[slot.index()];
            let is_main = slot == self.main;
            match connection.phase {
                Phase::Idle if is_main => at(self.connect_at),
                Phase::Idle if self.change.is_some() => at(self.spare_at),
                Phase::Idle => {}
                Phase::Connecting => at(connection.since.plus(self.settings.connect_deadline)),
                Phase::Open => {
                    let every = self.plan.dialect.heartbeat.every;
                    at(connection.last_frame.plus(half_open(every)));
                    at(connection.last_data.plus(self.silence));
                    at(connection.ping_at);
                    if let Some(time) = connection.requests.next_timer() {
                        at(time);
                    }
                    if !is_main {
                        at(connection.since.plus(self.settings.proof_deadline));
                        continue;
                    }
                    if let (None, Some(time)) = (self.change, connection.change_at) {
                        at(time);
                    }
                    let pulses = self.plan.topics.iter().zip(&connection.topics);
                    for (_, state) in
                        pulses.filter(|(topic, state)| topic.pulse && state.is_accepted())
                    {
                        at(if state.mute { state.renew_at } else { state.last.plus(self.mute) });
                    }
                }
            }
        }
        self.due = due;
    }
}

/// The time without any frame after which a connection is dead.
const fn half_open(every: Nanos) -> Nanos {
    Nanos(every.0.saturating_mul(2))
}
