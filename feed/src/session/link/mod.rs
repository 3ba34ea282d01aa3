//! One plan's connection, kept alive for ever, with at most one replacement beside it.
//!
//! - **Live** is a connection whose every topic was answered, one of them at least accepted, once
//!   data comes. Pongs and acks prove nothing.
//! - **Silence** of the whole connection ends it; silence of one topic with quotes is told, and the
//!   topic subscribed anew, within a budget.
//! - **A change** (the venue's age limit, an announcement) opens the replacement first. It takes
//!   over when every topic that delivers on the old connection has delivered on the new one, or at
//!   a deadline if it delivers at all; at that instant and no other the ticks that go to the engine
//!   change sides.
//!
//! Data messages cost a few stores. Whatever else happens ends with [`Link::refresh`], which finds
//! the next deadline; data only ever moves deadlines away, so a timer may find nothing to do.

use std::collections::VecDeque;

use reap_core::instrument::InstrumentId;
use reap_core::tick::{Tick, TickKind};
use reap_core::units::Nanos;

use super::bucket::Bucket;
use super::connection::{Connection, Phase, Standing};
use super::rejects::Breaker;
use super::{
    Backoff, ChangeReason, ConnectBudget, Jitter, LinkAction, LinkCounters, LinkEvent, LinkReason,
    LinkSettings, LinkState, Slot, StreamPlan, Telling, Turn,
};
use crate::decoded::{Decoded, Kind, Outcome, Rejection};

mod change;
mod subscriptions;
mod timers;

/// See the module's documentation.
#[derive(Debug)]
pub struct Link {
    plan: StreamPlan,
    settings: LinkSettings,
    silence: Nanos,
    mute: Nanos,
    jitter: Jitter,
    connections: [Connection; 2],
    /// Whose ticks go to the engine.
    main: Slot,
    /// Why a replacement is being made.
    change: Option<ChangeReason>,
    /// Not before this time is the main slot connected, …
    connect_at: Nanos,
    /// … and the replacement.
    spare_at: Nanos,
    turn: Turn,
    backoff: Backoff,
    change_backoff: Backoff,
    /// A ban that the next timer passes to the budget.
    ban_until: Option<Nanos>,
    /// By instrument: its topic with quotes, [`NO_TOPIC`] when there is none.
    pulses: Vec<u16>,
    /// By topic: update id and receive time of the last quote that went to the engine.
    forwarded: Vec<(u64, Nanos)>,
    /// Subscriptions made anew.
    renewals: Bucket,
    last_request: u64,
    missing_told: u16,
    /// The last reconnect was because of rejected messages: another one would not help.
    reconnected_for_rejections: bool,
    degraded: bool,
    due: Nanos,
    actions: VecDeque<LinkAction>,
    counters: LinkCounters,
}

const NO_TOPIC: u16 = u16::MAX;
/// No deadline.
const NEVER: Nanos = Nanos(u64::MAX);

/// A topic that the venue refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// Its instrument.
    pub instrument: InstrumentId,
    /// The venue's words.
    pub why: &'a str,
}

impl Link {
    /// A link that connects at its first timer, which is due now. Links of one process take
    /// different seeds, so that they do not act in step.
    ///
    /// # Panics
    /// When the plan has no topic, or 65,535 of them or more.
    #[must_use]
    pub fn new(plan: StreamPlan, settings: LinkSettings, seed: u64, now: Nanos) -> Self {
        let topics = plan.topics.len();
        assert!(topics > 0, "a plan has at least one topic");
        assert!(topics < usize::from(NO_TOPIC), "a plan has fewer than {NO_TOPIC} topics");
        let instruments = plan.topics.iter().map(|topic| usize::from(topic.instrument.0) + 1);
        let mut pulses = vec![NO_TOPIC; instruments.max().unwrap_or(0)];
        for (at, topic) in plan.topics.iter().enumerate().filter(|(_, topic)| topic.pulse) {
            pulses[usize::from(topic.instrument.0)] = at as u16;
        }
        Self {
            silence: settings.silence.unwrap_or(plan.dialect.silence),
            mute: settings.mute.unwrap_or(plan.dialect.mute),
            jitter: Jitter::new(seed),
            connections: [Connection::new(topics), Connection::new(topics)],
            main: Slot::A,
            change: None,
            connect_at: now,
            spare_at: now,
            turn: Turn::default(),
            backoff: Backoff::new(settings.backoff_first, settings.backoff_max),
            change_backoff: Backoff::new(settings.backoff_first, settings.backoff_max),
            ban_until: None,
            pulses,
            forwarded: vec![(0, Nanos(0)); topics],
            renewals: Bucket::new(settings.resubscribe_burst, settings.resubscribe_every),
            last_request: 0,
            missing_told: 0,
            reconnected_for_rejections: false,
            degraded: false,
            due: now,
            // Between two drains at most: each topic replayed and recovered, and a few more.
            actions: VecDeque::with_capacity(2 * topics + 32),
            counters: LinkCounters::default(),
            plan,
            settings,
        }
    }

    /// What is kept alive here.
    #[must_use]
    pub const fn plan(&self) -> &StreamPlan {
        &self.plan
    }

    /// The WebSocket handshake is done.
    pub fn on_open(&mut self, slot: Slot, now: Nanos) {
        if self.connections[slot.index()].phase != Phase::Connecting {
            self.counters.strays += 1;
            return;
        }
        let change_at =
            [self.plan.dialect.life, self.settings.life].into_iter().flatten().min().map(|life| {
                let early =
                    self.settings.change_early.plus(self.jitter.below(self.settings.change_jitter));
                // A short life is used by half at least.
                now.plus(life.minus(early).max(Nanos(life.0 / 2)))
            });
        let connection = &mut self.connections[slot.index()];
        connection.open(now, &self.plan);
        connection.change_at = change_at;
        if slot == self.main {
            self.missing_told = 0;
            self.tell_changed(LinkEvent::Connected);
        }
        self.send_requests(slot, now);
        self.refresh();
    }

    /// An attempt to connect failed; `retry_after` is the venue's wish, for the whole host.
    pub fn on_failed(&mut self, slot: Slot, now: Nanos, retry_after: Option<Nanos>) {
        if self.connections[slot.index()].phase != Phase::Connecting {
            self.counters.strays += 1;
            return;
        }
        if let Some(span) = retry_after {
            self.ban_until = Some(now.plus(span));
        }
        self.failed(slot, now);
        self.refresh();
    }

    /// A text message came and was decoded. Its ticks were given to [`Link::on_tick`] before.
    #[inline]
    pub fn on_message(&mut self, slot: Slot, now: Nanos, raw: &[u8], decoded: Decoded) {
        let connection = &mut self.connections[slot.index()];
        if !connection.is_open() {
            self.counters.strays += 1;
            return;
        }
        connection.last_frame = now;
        match decoded.kind {
            Kind::Ack | Kind::Error => return self.on_answer(slot, now, raw, decoded.kind),
            Kind::Shutdown => return self.on_going_away(slot, now),
            Kind::Pong => return,
            Kind::Unknown | Kind::Malformed => {}
            _ => {
                self.counters.data += 1;
                connection.last_data = now;
                if !connection.has_data {
                    connection.has_data = true;
                    self.check_live(slot, now);
                    self.refresh();
                }
            }
        }
        let reason = match decoded.outcome {
            Outcome::Rejected(reason) => Some(reason),
            _ => None,
        };
        self.counters.rejected += u64::from(reason.is_some());
        match self.connections[slot.index()].rejects.note(now, reason, &self.settings) {
            Breaker::Quiet => {}
            Breaker::Tripped => self.on_tripped(slot, now, reason),
            Breaker::Calm => {
                if slot == self.main && std::mem::take(&mut self.degraded) {
                    self.tell_changed(LinkEvent::Live);
                }
            }
        }
    }

    /// A tick was decoded. True when it goes to the engine: ticks of the connection in use do,
    /// those of a replacement that is not proven do not.
    #[inline]
    pub fn on_tick(&mut self, slot: Slot, now: Nanos, tick: &Tick) -> bool {
        if !self.connections[slot.index()].is_open() {
            self.counters.strays += 1;
            return false;
        }
        if matches!(tick.kind(), TickKind::Quote | TickKind::Refused)
            && let Some(&topic) = self.pulses.get(usize::from(tick.instrument().0))
            && topic != NO_TOPIC
        {
            if slot == self.main {
                self.note_quote(topic, now, tick);
            } else {
                self.hold_quote(slot, topic, now, tick);
            }
        }
        slot == self.main
    }

    /// A WebSocket ping or pong came: the connection lives, which says nothing of the data.
    #[inline]
    pub fn on_frame(&mut self, slot: Slot, now: Nanos) {
        let connection = &mut self.connections[slot.index()];
        if connection.is_open() {
            connection.last_frame = now;
        } else {
            self.counters.strays += 1;
        }
    }

    /// The venue announced that it will close this connection (a message, a close frame of code
    /// 1001 or 1012): its replacement is opened first. [`Link::on_message`] finds announcements in
    /// messages by itself.
    pub fn on_going_away(&mut self, slot: Slot, now: Nanos) {
        if !self.connections[slot.index()].is_open() {
            self.counters.strays += 1;
            return;
        }
        if slot != self.main {
            self.end(slot, now, LinkReason::GoingAway, true);
        } else if self.change.is_none() {
            self.begin_change(now, ChangeReason::GoingAway);
        }
        self.refresh();
    }

    /// The transport says that the connection is gone.
    pub fn on_closed(&mut self, slot: Slot, now: Nanos) {
        match self.connections[slot.index()].phase {
            Phase::Idle => self.counters.strays += 1,
            Phase::Connecting => self.failed(slot, now),
            Phase::Open => self.end(slot, now, LinkReason::Closed, false),
        }
        self.refresh();
    }

    /// What to do next; drain it after every call.
    pub fn poll_action(&mut self) -> Option<LinkAction> {
        self.actions.pop_front()
    }

    /// Where the link stands.
    #[must_use]
    pub fn state(&self) -> LinkState {
        let main = &self.connections[self.main.index()];
        match main.phase {
            Phase::Idle => LinkState::Waiting(self.connect_at),
            Phase::Connecting => LinkState::Connecting,
            Phase::Open if self.degraded => LinkState::Degraded,
            Phase::Open if main.live_since.is_none() => LinkState::Subscribing,
            Phase::Open if self.change.is_some() => LinkState::Changing,
            Phase::Open => LinkState::Live,
        }
    }

    /// The slot whose ticks go to the engine, while it is open.
    #[must_use]
    pub fn forwarding(&self) -> Option<Slot> {
        self.connections[self.main.index()].is_open().then_some(self.main)
    }

    /// The topics of the connection in use that the venue refused.
    pub fn missing(&self) -> impl Iterator<Item = Missing<'_>> {
        let states = &self.connections[self.main.index()].topics;
        self.plan.topics.iter().zip(states).filter_map(|(topic, state)| match &state.standing {
            Standing::Refused(why) => {
                Some(Missing { topic: &topic.name, instrument: topic.instrument, why })
            }
            _ => None,
        })
    }

    /// The instruments of the connection in use whose quotes stopped.
    pub fn mutes(&self) -> impl Iterator<Item = InstrumentId> {
        let states = &self.connections[self.main.index()].topics;
        let mute = self.plan.topics.iter().zip(states).filter(|(_, state)| state.mute);
        mute.map(|(topic, _)| topic.instrument)
    }

    /// What was counted.
    #[must_use]
    pub const fn counters(&self) -> &LinkCounters {
        &self.counters
    }

    /// An event in words: which connection, what, and what happens next.
    #[must_use]
    pub const fn tell(&self, event: LinkEvent) -> Telling<'_> {
        Telling { link: self, event }
    }

    fn tell_changed(&mut self, event: LinkEvent) {
        self.actions.push_back(LinkAction::Changed(event));
    }

    /// An attempt to connect came to nothing. What was lost before it was told then.
    fn failed(&mut self, slot: Slot, now: Nanos) {
        self.counters.connects_failed += 1;
        self.connections[slot.index()].clear();
        if slot == self.main {
            self.connect_at = now.plus(self.backoff.next(&mut self.jitter));
            self.tell_changed(LinkEvent::Failed(self.backoff.waits()));
        } else {
            self.spare_at = now.plus(self.change_backoff.next(&mut self.jitter));
            self.tell_changed(LinkEvent::Failed(self.change_backoff.waits()));
        }
    }

    /// Ends an open connection; `ours` when the transport does not know yet.
    fn end(&mut self, slot: Slot, now: Nanos, reason: LinkReason, ours: bool) {
        let connection = &self.connections[slot.index()];
        let live_for = connection.live_since.map(|since| now.since(since));
        let was_stable = live_for.is_some_and(|span| span >= self.settings.stable);
        self.counters.ended[reason as usize] += 1;
        if ours {
            self.close(slot, reason);
        }
        if slot != self.main {
            self.connections[slot.index()].clear();
            self.spare_at = now.plus(self.change_backoff.next(&mut self.jitter));
            return;
        }
        self.degraded = false;
        if was_stable {
            self.backoff.reset();
            self.reconnected_for_rejections = false;
        }
        self.main_ended(now, reason);
    }

    /// Asks for the end of a connection; what was still to be sent on it is not.
    fn close(&mut self, slot: Slot, reason: LinkReason) {
        self.actions.retain(|action| match action {
            LinkAction::Send(at, _) | LinkAction::Ping(at) => *at != slot,
            _ => true,
        });
        self.actions.push_back(LinkAction::Close(slot, reason));
    }

    #[cold]
    fn on_tripped(&mut self, slot: Slot, now: Nanos, reason: Option<Rejection>) {
        self.counters.breaker_trips += 1;
        if slot != self.main {
            self.end(slot, now, LinkReason::Rejections, true);
        } else if !self.reconnected_for_rejections {
            self.end(slot, now, LinkReason::Rejections, true);
            self.reconnected_for_rejections = true;
        } else if let Some(reason) = reason
            && !self.degraded
        {
            self.degraded = true;
            self.tell_changed(LinkEvent::Degraded(reason));
        }
        self.refresh();
    }

    /// Takes a connect from the budget for a slot that wants one.
    fn connect(&mut self, now: Nanos, budget: &mut ConnectBudget) {
        let spare = self.main.other();
        let is_idle = |slot: Slot| self.connections[slot.index()].phase == Phase::Idle;
        let slot = if is_idle(self.main) && now >= self.connect_at {
            self.main
        } else if self.change.is_some() && is_idle(spare) && now >= self.spare_at {
            spare
        } else {
            return;
        };
        match budget.take_turn(now, &mut self.turn) {
            Ok(()) => {
                self.counters.connects += 1;
                self.connections[slot.index()].connect(now);
                self.actions.push_back(LinkAction::Connect(slot));
            }
            Err(later) => {
                self.counters.connects_put_off += 1;
                let at = if slot == self.main { &mut self.connect_at } else { &mut self.spare_at };
                *at = later;
            }
        }
    }
}
