//! What is to be sent, in order, in buffers that are used again; and which channels stand.

use std::collections::VecDeque;

use reap_core::order::ClientOrderId;

use super::{Channel, Output};

/// Bytes of a buffer: the largest request of any venue, with a long key and symbol.
pub(crate) const BUFFER_LEN: usize = 1536;

/// Where a channel stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nobody asked for it.
    Down,
    /// Asked for.
    Opening,
    /// Connected.
    Open,
    /// To be closed; what still comes is ignored.
    Closing,
}

#[derive(Debug)]
enum What {
    Open,
    Send,
    Close,
}

#[derive(Debug)]
struct Item {
    ch: Channel,
    what: What,
    text: String,
    /// The order that these bytes place.
    order: Option<ClientOrderId>,
}

/// The queue.
#[derive(Debug)]
pub(crate) struct Outbox {
    states: Vec<State>,
    queue: VecDeque<Item>,
    free: Vec<String>,
    /// What was polled last: its buffer is lent out.
    lent: Option<Item>,
}

impl Outbox {
    /// With `buffers` buffers; more are made when they do not suffice, which happens only beside
    /// the sending of orders.
    pub(crate) fn new(channels: usize, buffers: usize) -> Self {
        Self {
            states: vec![State::Down; channels],
            queue: VecDeque::with_capacity(buffers + 2 * channels),
            free: (0..buffers).map(|_| String::with_capacity(BUFFER_LEN)).collect(),
            lent: None,
        }
    }

    pub(crate) fn state(&self, ch: Channel) -> State {
        self.states.get(usize::from(ch.0)).copied().unwrap_or(State::Down)
    }

    pub(crate) fn is_open(&self, ch: Channel) -> bool {
        self.state(ch) == State::Open
    }

    fn set(&mut self, ch: Channel, state: State) {
        if let Some(place) = self.states.get_mut(usize::from(ch.0)) {
            *place = state;
        }
    }

    /// The driver says that it is connected: true when that was asked for.
    pub(crate) fn opened(&mut self, ch: Channel) -> bool {
        let asked = self.state(ch) == State::Opening;
        if asked {
            self.set(ch, State::Open);
        }
        asked
    }

    /// Asks for a connection.
    pub(crate) fn open(&mut self, ch: Channel, path: &str) {
        self.set(ch, State::Opening);
        self.push(ch, What::Open, None, |text| text.push_str(path));
    }

    /// Asks for the end of a connection, once.
    pub(crate) fn close(&mut self, ch: Channel) {
        if self.is_open(ch) {
            self.set(ch, State::Closing);
            self.push(ch, What::Close, None, |_| {});
        }
    }

    /// Queues what `write` writes.
    pub(crate) fn send(
        &mut self,
        ch: Channel,
        order: Option<ClientOrderId>,
        write: impl FnOnce(&mut String),
    ) {
        self.push(ch, What::Send, order, write);
    }

    fn push(
        &mut self,
        ch: Channel,
        what: What,
        order: Option<ClientOrderId>,
        write: impl FnOnce(&mut String),
    ) {
        let mut text = self.free.pop().unwrap_or_else(|| String::with_capacity(BUFFER_LEN));
        write(&mut text);
        self.queue.push_back(Item { ch, what, text, order });
    }

    /// The channel is gone: what was queued for it is dropped. `unsent` gets the orders that never
    /// left.
    pub(crate) fn closed(&mut self, ch: Channel, mut unsent: impl FnMut(ClientOrderId)) {
        self.set(ch, State::Down);
        for _ in 0..self.queue.len() {
            let Some(item) = self.queue.pop_front() else { break };
            if item.ch == ch {
                if let Some(id) = item.order {
                    unsent(id);
                }
                self.reuse(item);
            } else {
                self.queue.push_back(item);
            }
        }
    }

    fn reuse(&mut self, item: Item) {
        let mut text = item.text;
        text.clear();
        if self.free.len() < self.free.capacity() {
            self.free.push(text);
        }
    }

    /// The next output.
    pub(crate) fn poll(&mut self) -> Option<Output<'_>> {
        if let Some(item) = self.lent.take() {
            self.reuse(item);
        }
        let item = self.lent.insert(self.queue.pop_front()?);
        let ch = item.ch;
        Some(match item.what {
            What::Open => Output::Open { ch, path: &item.text },
            What::Send => Output::Send { ch, text: &item.text },
            What::Close => Output::Close { ch },
        })
    }
}
