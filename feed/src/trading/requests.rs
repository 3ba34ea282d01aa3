//! Requests that wait for an answer on a WebSocket.

use std::collections::VecDeque;

use reap_core::order::ClientOrderId;
use reap_core::units::Nanos;

use super::Channel;

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// An order was placed.
    Place(ClientOrderId),
    /// A key for the private stream.
    ListenKey,
    /// More time for that key.
    KeepAlive,
}

#[derive(Clone, Copy, Debug)]
struct Request {
    id: u64,
    ch: Channel,
    what: What,
    due: Nanos,
}

/// The table, and the ids: strictly increasing, from the wall clock on, so that they do not repeat
/// after a restart. Their last digit checks the others: no change of a single digit turns one
/// request's id into another's.
#[derive(Debug)]
pub(crate) struct Requests {
    waiting: VecDeque<Request>,
    last: u64,
}

impl Requests {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { waiting: VecDeque::with_capacity(capacity), last: 0 }
    }

    /// The next id.
    pub(crate) fn next_id(&mut self, wall_ms: u64) -> u64 {
        // Room for the digit.
        self.last = (self.last + 1).max(wall_ms % (u64::MAX / 20));
        self.last * 10 + check(self.last)
    }

    /// Remembers a request. The oldest is forgotten when there is no room: the fate of an order
    /// hangs on the table of orders, not on this one.
    pub(crate) fn insert(&mut self, id: u64, ch: Channel, what: What, due: Nanos) {
        if self.waiting.len() == self.waiting.capacity() {
            self.waiting.pop_front();
        }
        self.waiting.push_back(Request { id, ch, what, due });
    }

    /// What was asked under this id, once.
    pub(crate) fn take(&mut self, id: u64) -> Option<What> {
        let at = self.waiting.iter().position(|request| request.id == id)?;
        self.waiting.remove(at).map(|request| request.what)
    }

    /// Forgets what was asked on a channel.
    pub(crate) fn drop_channel(&mut self, ch: Channel) {
        self.waiting.retain(|request| request.ch != ch);
    }

    /// A request of any kind but an order that is overdue; it is forgotten.
    pub(crate) fn take_overdue(&mut self, now: Nanos) -> Option<What> {
        let at =
            self.waiting.iter().position(|request| request.is_timed() && request.due <= now)?;
        self.waiting.remove(at).map(|request| request.what)
    }

    pub(crate) fn next_timer(&self) -> Option<Nanos> {
        self.waiting.iter().filter(|request| request.is_timed()).map(|request| request.due).min()
    }
}

impl Request {
    /// Orders have their own times.
    fn is_timed(&self) -> bool {
        !matches!(self.what, What::Place(_))
    }
}

/// Weights without a common divisor with ten: any change of one digit changes the sum.
fn check(mut number: u64) -> u64 {
    const WEIGHTS: [u64; 4] = [3, 7, 9, 1];
    let (mut sum, mut place) = (0, 0);
    while number > 0 {
        sum += number % 10 * WEIGHTS[place % WEIGHTS.len()];
        number /= 10;
        place += 1;
    }
    sum % 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_increase_whatever_the_clock_does_and_no_digit_turns_one_into_another() {
        let mut requests = Requests::new(4);
        let clock = [1_700_000_000_000, 1_700_000_000_000, 1_600_000_000_000, 1_700_000_000_009];
        let mut ids: Vec<u64> = clock.iter().map(|wall| requests.next_id(*wall)).collect();
        ids.extend((0..1000).map(|_| requests.next_id(0)));
        assert!(ids.is_sorted_by(|a, b| a < b));
        let text: Vec<String> = ids.iter().map(u64::to_string).collect();
        for (a, b) in text.iter().zip(&text[1..]) {
            let differ = a.bytes().zip(b.bytes()).filter(|(a, b)| a != b).count();
            assert!(differ > 1, "{a} {b}");
        }
    }

    #[test]
    fn bounded_and_each_answer_once() {
        let mut requests = Requests::new(2);
        let capacity = requests.waiting.capacity() as u64;
        for id in 0..=capacity {
            requests.insert(id, Channel(0), What::ListenKey, Nanos(id));
        }
        assert_eq!(requests.take(0), None);
        assert_eq!(requests.take(1), Some(What::ListenKey));
        assert_eq!(requests.take(1), None);
        assert_eq!(requests.waiting.capacity() as u64, capacity);
    }
}
