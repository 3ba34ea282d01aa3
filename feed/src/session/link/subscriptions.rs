//! What is wanted against what the venue accepted.

use reap_core::units::Nanos;

use super::super::connection::Standing;
use super::super::requests::Request;
use super::super::{Answer, Operation};
use super::{Link, LinkAction, LinkEvent, LinkReason, Slot};
use crate::decoded::Kind;

impl Link {
    /// Sends the request that may be sent, if there is one.
    pub(super) fn send_requests(&mut self, slot: Slot, now: Nanos) {
        let requests = &mut self.connections[slot.index()].requests;
        let outgoing = requests.poll_send(now, &mut self.last_request, &self.plan, &self.settings);
        if let Some(outgoing) = outgoing {
            self.counters.requests += 1;
            self.counters.requests_repeated += u64::from(outgoing.repeated);
            self.actions.push_back(LinkAction::Send(slot, outgoing.text));
        }
    }

    /// The venue answers a request.
    #[cold]
    pub(super) fn on_answer(&mut self, slot: Slot, now: Nanos, raw: &[u8], kind: Kind) {
        let (id, refusal, already) = match (self.plan.dialect.answer)(raw, kind) {
            Answer::Accepted { id } => (id, None, false),
            Answer::Already { id } => (id, None, true),
            Answer::Refused { id, why } => (id, Some(why), false),
            Answer::None => {
                self.counters.answers_unknown += 1;
                return;
            }
        };
        let connection = &mut self.connections[slot.index()];
        let Some(request) = connection.requests.answered(id) else {
            self.counters.answers_unknown += 1;
            return;
        };
        if request.operation == Operation::Subscribe {
            if (refusal.is_some() || already) && request.topics.len() > 1 {
                connection.requests.split(&request);
            } else {
                let standing = match refusal {
                    Some(why) => Standing::Refused(why.into()),
                    None => Standing::Accepted,
                };
                for &topic in &request.topics {
                    let refused = connection.settle(topic, standing.clone(), now);
                    self.counters.topics_refused += u64::from(refused);
                }
            }
        }
        self.send_requests(slot, now);
        self.check_live(slot, now);
        self.refresh();
    }

    /// A request was sent for the last time and not answered. Topics that deliver are subscribed,
    /// whatever the venue says; a connection on which none of them does is of no use. A renewed
    /// subscription changes nothing: the topic stays silent until it delivers.
    pub(super) fn on_unanswered(&mut self, slot: Slot, now: Nanos, request: &Request) {
        let connection = &mut self.connections[slot.index()];
        let states = || request.topics.iter().map(|&topic| usize::from(topic));
        let is_first = states().any(|at| connection.topics[at].standing == Standing::Asked);
        if request.operation == Operation::Unsubscribe || !is_first {
            return;
        }
        if !states().any(|at| connection.topics[at].seen) {
            self.end(slot, now, LinkReason::Unanswered, true);
            return;
        }
        for &topic in &request.topics {
            let standing = if connection.topics[usize::from(topic)].seen {
                Standing::Accepted
            } else {
                Standing::Refused("no answer".into())
            };
            let refused = connection.settle(topic, standing, now);
            self.counters.topics_refused += u64::from(refused);
        }
        self.check_live(slot, now);
    }

    /// Whether the connection became live, or the replacement proven.
    pub(super) fn check_live(&mut self, slot: Slot, now: Nanos) {
        let connection = &mut self.connections[slot.index()];
        if !connection.is_open() || connection.asked > 0 {
            return;
        }
        let missing = connection.missing();
        if usize::from(missing) == connection.topics.len() {
            self.end(slot, now, LinkReason::Refused, true);
            return;
        }
        let is_new = connection.has_data && connection.live_since.is_none();
        if is_new {
            connection.live_since = Some(now);
        }
        if slot != self.main {
            if is_new && self.is_proven() {
                self.take_over(now, true);
            }
            return;
        }
        if missing != self.missing_told {
            self.missing_told = missing;
            self.tell_changed(LinkEvent::Partial { missing });
        }
        if is_new {
            self.tell_changed(LinkEvent::Live);
        }
    }
}
