//! The subscriptions of one connection on their way to the venue: one request at a time, so that
//! an answer without an id cannot be about another one.

use std::collections::VecDeque;

use reap_core::units::Nanos;

use super::{LinkSettings, Operation, StreamPlan, Utf8Bytes, quote_json};

/// Topics, by their place in the plan, that are asked for together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) operation: Operation,
    pub(super) topics: Vec<u16>,
}

/// A request that was sent.
#[derive(Debug)]
struct Flight {
    request: Request,
    /// Each attempt has an id of its own, one after the other: a late answer to an earlier attempt
    /// is an answer.
    id_first: u64,
    id_last: u64,
    deadline: Nanos,
}

/// What waits and what was sent. Bounded: a topic waits in at most one request of a kind.
#[derive(Debug, Default)]
pub(super) struct Requests {
    waiting: VecDeque<Request>,
    flight: Option<Flight>,
    /// No message of ours before this time.
    free_at: Nanos,
}

/// A message to send.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) text: Utf8Bytes,
    pub(super) repeated: bool,
}

impl Requests {
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Every topic of the plan.
    pub(super) fn start(&mut self, plan: &StreamPlan) {
        self.clear();
        let topics: Vec<u16> = (0..plan.topics.len() as u16).collect();
        for chunk in topics.chunks(plan.dialect.topics_per_request.max(1)) {
            let request = Request { operation: Operation::Subscribe, topics: chunk.to_vec() };
            self.waiting.push_back(request);
        }
    }

    /// One topic anew, which makes the venue send its snapshot again. False when it waits already.
    pub(super) fn renew(&mut self, topic: u16) -> bool {
        let has = |request: &Request| request.topics.contains(&topic);
        let in_flight = self.flight.as_ref().is_some_and(|flight| has(&flight.request));
        if in_flight || self.waiting.iter().any(has) {
            return false;
        }
        for operation in [Operation::Unsubscribe, Operation::Subscribe] {
            self.waiting.push_back(Request { operation, topics: vec![topic] });
        }
        true
    }

    /// The halves of a refused request, to be asked before all others: the topic at fault ends up
    /// alone.
    pub(super) fn split(&mut self, request: &Request) {
        let halves = request.topics.split_at(request.topics.len().div_ceil(2));
        for topics in [halves.1, halves.0] {
            let operation = request.operation;
            self.waiting.push_front(Request { operation, topics: topics.to_vec() });
        }
    }

    /// When something is to be done here.
    pub(super) fn next_timer(&self) -> Option<Nanos> {
        match &self.flight {
            Some(flight) => Some(flight.deadline.max(self.free_at)),
            None if self.waiting.is_empty() => None,
            None => Some(self.free_at),
        }
    }

    /// The request that was sent for the last time and not answered.
    pub(super) fn poll_unanswered(
        &mut self,
        now: Nanos,
        settings: &LinkSettings,
    ) -> Option<Request> {
        let flight = self.flight.as_ref()?;
        let attempts = flight.id_last - flight.id_first + 1;
        if now < flight.deadline || attempts < u64::from(settings.attempts) {
            return None;
        }
        self.flight.take().map(|flight| flight.request)
    }

    /// The message that may be sent now: the next request, or the same once more.
    pub(super) fn poll_send(
        &mut self,
        now: Nanos,
        last_id: &mut u64,
        plan: &StreamPlan,
        settings: &LinkSettings,
    ) -> Option<Outgoing> {
        if self.next_timer().is_none_or(|at| now < at) {
            return None;
        }
        *last_id += 1;
        let deadline = now.plus(settings.answer_deadline);
        let repeated = self.flight.is_some();
        let flight = match self.flight.take() {
            Some(flight) => Flight { id_last: *last_id, deadline, ..flight },
            None => {
                let request = self.waiting.pop_front()?;
                Flight { request, id_first: *last_id, id_last: *last_id, deadline }
            }
        };
        let mut names = String::new();
        for &topic in &flight.request.topics {
            if !names.is_empty() {
                names.push(',');
            }
            quote_json(&plan.topics[usize::from(topic)].name, &mut names);
        }
        let text = (plan.dialect.request)(flight.request.operation, *last_id, &names).into();
        self.flight = Some(flight);
        self.sent(now, plan);
        Some(Outgoing { text, repeated })
    }

    /// Any message of ours was sent.
    pub(super) fn sent(&mut self, now: Nanos, plan: &StreamPlan) {
        self.free_at = now.plus(plan.dialect.spacing);
    }

    /// The request that an answer is about.
    pub(super) fn answered(&mut self, id: Option<u64>) -> Option<Request> {
        let flight = self.flight.as_ref()?;
        if id.is_some_and(|id| !(flight.id_first..=flight.id_last).contains(&id)) {
            return None;
        }
        self.flight.take().map(|flight| flight.request)
    }
}
