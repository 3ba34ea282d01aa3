//! What is under way between the desk and one venue, in one direction.

use reap_core::units::Nanos;

/// Messages with the times at which they arrive. Equal times keep the order of sending.
#[derive(Debug)]
pub(super) struct Wire<T> {
    sent: u64,
    /// The latest first.
    queue: Vec<(Nanos, u64, T)>,
}

impl<T> Wire<T> {
    pub(super) const fn new() -> Self {
        Self { sent: 0, queue: Vec::new() }
    }

    pub(super) fn send(&mut self, due: Nanos, message: T) {
        self.sent += 1;
        let at = self.queue.partition_point(|(other, ..)| *other > due);
        self.queue.insert(at, (due, self.sent, message));
    }

    pub(super) fn next(&self) -> Option<Nanos> {
        self.queue.last().map(|(due, ..)| *due)
    }

    pub(super) fn take(&mut self, now: Nanos) -> Option<T> {
        self.queue.pop_if(|(due, ..)| *due <= now).map(|(.., message)| message)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.queue.iter().map(|(.., message)| message)
    }

    /// Everything that is under way is lost.
    pub(super) fn cut(&mut self) {
        self.queue.clear();
    }
}
