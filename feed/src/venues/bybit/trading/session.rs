//! One of the two sockets: its login, its subscription, its heartbeat.

use reap_core::units::Nanos;

use super::{PRIVATE, encode};
use crate::trading::desk::Desk;
use crate::trading::{Channel, REQUEST_WAIT, RefusedWhat};

/// Pause before another login on a socket that refused one: an operator must act first.
const LOGIN_AGAIN: Nanos = Nanos::from_secs(60);
/// How often the venue wants to be pinged, and how long it may then be silent.
const PING_EVERY: Nanos = Nanos::from_secs(20);
const SILENCE_MAX: Nanos = Nanos::from_secs(45);

/// How far a socket has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Not connected.
    Closed,
    /// A login is to be sent, at the due time.
    Login,
    /// The answer to the login is waited for.
    LoggingIn,
    /// A subscription is to be sent, at the due time.
    Subscribe,
    /// Its answer is waited for.
    Subscribing,
    /// All of that is done.
    Stands,
}

/// A socket.
#[derive(Debug)]
pub(super) struct Session {
    ch: Channel,
    id_name: &'static str,
    pub(super) step: Step,
    due: Nanos,
    ping_due: Nanos,
    heard: Nanos,
}

impl Session {
    pub(super) fn new(ch: Channel, id_name: &'static str) -> Self {
        let zero = Nanos(0);
        Self { ch, id_name, step: Step::Closed, due: zero, ping_due: zero, heard: zero }
    }

    pub(super) fn stands(&self) -> bool {
        self.step == Step::Stands
    }

    pub(super) fn opened(&mut self, now: Nanos) {
        self.step = Step::Login;
        self.due = now;
        self.heard = now;
        self.ping_due = now.plus(PING_EVERY);
    }

    pub(super) fn heard(&mut self, now: Nanos) {
        self.heard = now;
    }

    /// The login was answered.
    pub(super) fn on_login(&mut self, desk: &mut Desk, now: Nanos, done: bool, code: i64) {
        if self.step != Step::LoggingIn {
            desk.orders.counters.unasked += 1;
            return;
        }
        self.due = now;
        if !done {
            let what = super::codes::alarm(code).unwrap_or(RefusedWhat::Login);
            desk.refuse(what, code);
            self.step = Step::Login;
            self.due = now.plus(LOGIN_AGAIN);
        } else if self.ch == PRIVATE {
            self.step = Step::Subscribe;
        } else {
            self.step = Step::Stands;
        }
    }

    /// The subscription was answered, for all topics at once.
    pub(super) fn on_subscribed(&mut self, desk: &mut Desk, now: Nanos, done: bool) {
        if self.step != Step::Subscribing {
            desk.orders.counters.unasked += 1;
        } else if done {
            self.step = Step::Stands;
        } else {
            desk.refuse(RefusedWhat::Subscription, 0);
            self.step = Step::Subscribe;
            self.due = now.plus(LOGIN_AGAIN);
        }
    }

    /// Sends what is due; closes a socket that does not answer.
    pub(super) fn work(&mut self, desk: &mut Desk, now: Nanos, wall_ms: u64) {
        if self.step == Step::Closed || !desk.outbox.is_open(self.ch) {
            return;
        }
        let is_due = self.due <= now;
        let Desk { outbox, requests, keys, .. } = desk;
        match self.step {
            Step::Login if is_due => {
                let request = requests.next_id(wall_ms);
                let id_name = self.id_name;
                outbox.send(self.ch, None, |out| {
                    encode::login(out, keys, id_name, request, wall_ms);
                });
                self.step = Step::LoggingIn;
                self.due = now.plus(REQUEST_WAIT);
            }
            Step::Subscribe if is_due => {
                let request = requests.next_id(wall_ms);
                outbox.send(self.ch, None, |out| encode::subscribe(out, request));
                self.step = Step::Subscribing;
                self.due = now.plus(REQUEST_WAIT);
            }
            Step::LoggingIn | Step::Subscribing if is_due => return self.give_up(desk),
            _ => {}
        }
        if now.since(self.heard) >= SILENCE_MAX {
            return self.give_up(desk);
        }
        if self.ping_due <= now {
            self.ping_due = now.plus(PING_EVERY);
            let request = desk.requests.next_id(wall_ms);
            let id_name = self.id_name;
            desk.outbox.send(self.ch, None, |out| encode::ping(out, id_name, request));
        }
    }

    fn give_up(&mut self, desk: &mut Desk) {
        self.step = Step::Closed;
        desk.outbox.close(self.ch);
    }

    pub(super) fn next_timer(&self) -> Option<Nanos> {
        let step = match self.step {
            Step::Closed => return None,
            Step::Stands => None,
            _ => Some(self.due),
        };
        [step, Some(self.ping_due), Some(self.heard.plus(SILENCE_MAX))].into_iter().flatten().min()
    }
}
