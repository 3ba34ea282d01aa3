//! Between the feed and the files: a bounded queue that the feed never waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use reap_core::units::Nanos;
use reap_feed::decoded::{Decoded, Outcome};
use reap_ring::{Consumer, Producer, ring};

use crate::live::feed::Tap;

/// Messages that may wait for the files.
const MESSAGES: usize = 1 << 15;
/// Their bytes: seconds of the busiest market.
const BYTES: u64 = 64 << 20;

/// A message on its way to its file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// Which file.
    pub(super) file: usize,
    /// When it came.
    pub(super) received: Nanos,
    /// Its bytes.
    pub(super) raw: Box<[u8]>,
}

/// What both ends count.
#[derive(Debug, Default)]
pub(super) struct TapView {
    /// Bytes in the queue.
    waiting: AtomicU64,
    /// Messages for which there was no room.
    pub(super) dropped: AtomicU64,
    /// Answers, pongs, announcements: not recorded.
    pub(super) control: AtomicU64,
}

/// The feed's end. Recording allocates once for each message, which a run that trades does not do:
/// it has no tap.
pub(super) struct QueueTap {
    /// The file of each line.
    files: Vec<usize>,
    queue: Producer<Message>,
    view: Arc<TapView>,
    bytes_max: u64,
    /// Time of the newest message: a correction of the clock takes none of them back.
    last: Nanos,
}

/// The files' end.
pub(super) struct Queue {
    messages: Consumer<Message>,
    view: Arc<TapView>,
}

/// A queue for lines whose messages go to these files.
pub(super) fn queue(files: Vec<usize>) -> (QueueTap, Queue) {
    bounded(files, MESSAGES, BYTES)
}

fn bounded(files: Vec<usize>, messages: usize, bytes_max: u64) -> (QueueTap, Queue) {
    let (producer, consumer) = ring(messages);
    let view = Arc::new(TapView::default());
    let tap =
        QueueTap { files, queue: producer, view: Arc::clone(&view), bytes_max, last: Nanos(0) };
    (tap, Queue { messages: consumer, view })
}

impl Tap for QueueTap {
    fn on_message(&mut self, line: usize, received: Nanos, raw: &[u8], decoded: Decoded) {
        if decoded.outcome == Outcome::Control {
            self.view.control.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.last = self.last.max(received);
        let bytes = raw.len() as u64;
        // Only this side adds: what it reads is at most too much.
        let fits = self.view.waiting.load(Ordering::Relaxed) + bytes <= self.bytes_max;
        if fits {
            let message = Message { file: self.files[line], received: self.last, raw: raw.into() };
            // Added before the other side can take it away.
            self.view.waiting.fetch_add(bytes, Ordering::Relaxed);
            if self.queue.push(message).is_ok() {
                return;
            }
            self.view.waiting.fetch_sub(bytes, Ordering::Relaxed);
        }
        self.view.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

impl Queue {
    /// The next message.
    pub(super) fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop()?;
        self.view.waiting.fetch_sub(message.raw.len() as u64, Ordering::Relaxed);
        Some(message)
    }

    /// Whether the feed has gone and everything of it was taken.
    pub(super) fn is_finished(&self) -> bool {
        self.messages.is_finished()
    }

    /// What was counted.
    pub(super) fn view(&self) -> Arc<TapView> {
        Arc::clone(&self.view)
    }
}

#[cfg(test)]
mod tests {
    use reap_feed::decoded::{Ignored, Kind, Rejection};

    use super::*;

    const DATA: Decoded = Decoded::used(Kind::Quote);

    fn dropped(queue: &Queue) -> u64 {
        queue.view.dropped.load(Ordering::Relaxed)
    }

    #[test]
    fn what_has_no_room_is_counted_and_the_rest_goes_on() {
        let (mut tap, mut queue) = bounded(vec![0, 1], 4, 10);
        for number in 0..6 {
            tap.on_message(1, Nanos(number), b"x", DATA);
        }
        assert_eq!(dropped(&queue), 2, "four messages fit");
        for number in 0..4 {
            let message = Message { file: 1, received: Nanos(number), raw: (*b"x").into() };
            assert_eq!(queue.pop(), Some(message));
        }
        tap.on_message(0, Nanos(7), &[b'x'; 11], DATA);
        assert_eq!(dropped(&queue), 3, "ten bytes fit");
        for _ in 0..3 {
            tap.on_message(0, Nanos(8), &[b'x'; 10], DATA);
            assert_eq!(queue.pop().map(|message| message.raw.len()), Some(10));
        }
        assert_eq!(dropped(&queue), 3, "room comes back");
        assert!(!queue.is_finished());
        drop(tap);
        assert!(queue.is_finished());
    }

    /// A correction of the clock takes back some microseconds; a recording is ordered.
    #[test]
    fn times_never_go_back() {
        let (mut tap, mut queue) = queue(vec![0]);
        for time in [5, 3, 6] {
            tap.on_message(0, Nanos(time), b"{}", DATA);
        }
        let times: Vec<u64> = std::iter::from_fn(|| queue.pop()).map(|m| m.received.0).collect();
        assert_eq!(times, [5, 5, 6]);
    }

    #[test]
    fn everything_but_control_is_recorded() {
        let (mut tap, mut queue) = queue(vec![0]);
        for kind in [Kind::Ack, Kind::Error, Kind::Pong, Kind::Shutdown] {
            tap.on_message(0, Nanos(1), b"{}", Decoded::control(kind));
        }
        assert_eq!(queue.view.control.load(Ordering::Relaxed), 4);
        assert!(queue.pop().is_none());
        for decoded in [
            Decoded::ignored(Kind::Unknown, Ignored::UnknownShape),
            Decoded::rejected(Kind::Malformed, Rejection::Syntax),
        ] {
            tap.on_message(0, Nanos(1), b"{", decoded);
            assert!(queue.pop().is_some(), "what a codec cannot read is wanted most");
        }
    }
}
