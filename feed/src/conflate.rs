//! What the feed does when a ring is full: it never waits, it keeps what is newest.
//!
//! A missed quote does no harm, a delayed one does. So quotes, marks and funding keep the latest of
//! each instrument, trades of one side and minute add up, and a frame that only says "alive" keeps
//! the latest of each source. Everything that was overwritten is counted.

use std::collections::VecDeque;

use reap_core::instrument::SourceId;
use reap_core::limits::QTY_MAX;
use reap_core::tick::{Tick, TickBody, TickKind};
use reap_core::units::{Nanos, Qty};

/// Slots of one instrument: price, mark, funding, and trades by side and parity of the minute.
const SLOTS: usize = 7;
const PRICE: usize = 0;
const MARK: usize = 1;
const FUNDING: usize = 2;
const TRADES: usize = 3;
const MINUTE: u64 = 60_000_000_000;

/// What was not passed on as it came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConflateCounts {
    /// Ticks that waited.
    pub waited: u64,
    /// Quotes, marks, funding and alive frames that a newer one replaced.
    pub replaced: u64,
    /// Trades that were added to another.
    pub added: u64,
    /// Trades of a minute that two later minutes have pushed out: lost.
    pub lost: u64,
    /// Ticks of a connection that ended while they waited.
    pub forgotten: u64,
}

/// Ticks that wait for room, the newest of each kind. Everything is allocated once.
#[derive(Debug)]
pub struct Conflator {
    slots: Vec<Option<Tick>>,
    /// Slots that hold something, each once, in the order in which they began to wait.
    order: VecDeque<u32>,
    instruments: usize,
    counts: ConflateCounts,
}

impl Conflator {
    /// Room for these many instruments and sources.
    #[must_use]
    pub fn new(instruments: usize, sources: usize) -> Self {
        let slots = instruments * SLOTS + sources;
        Self {
            slots: vec![None; slots],
            order: VecDeque::with_capacity(slots),
            instruments,
            counts: ConflateCounts::default(),
        }
    }

    /// Keeps a tick. One of an instrument or source beyond the table is counted as lost.
    pub fn put(&mut self, tick: Tick) {
        self.counts.waited += 1;
        let Some((at, held)) = self.slot(&tick).and_then(|at| Some((at, self.slots.get_mut(at)?)))
        else {
            self.counts.lost += 1;
            return;
        };
        match held {
            None => {
                *held = Some(tick);
                self.order.push_back(at as u32);
            }
            Some(old) => match sum_of_trades(old, &tick) {
                Some(sum) => {
                    *old = sum;
                    self.counts.added += 1;
                }
                None => {
                    let reset = old.stamp().reset;
                    let lost = tick.kind() == TickKind::Trade;
                    *old = if reset { with_reset(&tick) } else { tick };
                    *if lost { &mut self.counts.lost } else { &mut self.counts.replaced } += 1;
                }
            },
        }
    }

    /// The tick that has waited longest.
    pub fn take(&mut self) -> Option<Tick> {
        while let Some(at) = self.order.pop_front() {
            if let Some(tick) = self.slots[at as usize].take() {
                return Some(tick);
            }
        }
        None
    }

    /// Takes back what [`Self::take`] gave when there was no room for it yet: it is the next again,
    /// and nothing is counted a second time.
    pub fn put_back(&mut self, tick: Tick) {
        let Some(at) = self.slot(&tick) else { return };
        // Something newer of its kind needs nothing older.
        if let Some(empty @ None) = self.slots.get_mut(at) {
            *empty = Some(tick);
            self.order.push_front(at as u32);
        }
    }

    /// Drops what waits of a source: its connection has ended.
    pub fn forget(&mut self, source: SourceId) {
        for at in &self.order {
            let slot = &mut self.slots[*at as usize];
            if slot.is_some_and(|tick| tick.stamp().source == source) {
                *slot = None;
                self.counts.forgotten += 1;
            }
        }
        self.order.retain(|at| self.slots[*at as usize].is_some());
    }

    /// Whether nothing waits.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// How many ticks wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// What was not passed on as it came.
    #[must_use]
    pub const fn counts(&self) -> &ConflateCounts {
        &self.counts
    }

    fn slot(&self, tick: &Tick) -> Option<usize> {
        let kind = match tick.body() {
            TickBody::Alive => {
                return Some(self.instruments * SLOTS + usize::from(tick.stamp().source.0));
            }
            TickBody::Quote(_) | TickBody::Refused(_) => PRICE,
            TickBody::Mark { .. } => MARK,
            TickBody::Funding { .. } => FUNDING,
            TickBody::Trade { buyer_aggressor, at, .. } => {
                TRADES + usize::from(buyer_aggressor) * 2 + (at.0 / MINUTE % 2) as usize
            }
        };
        let instrument = usize::from(tick.instrument().0);
        (instrument < self.instruments).then_some(instrument * SLOTS + kind)
    }
}

/// Two trades of one side and minute as one at the later price; `None` when they are not that, or
/// their quantities together are beyond the bound.
fn sum_of_trades(old: &Tick, new: &Tick) -> Option<Tick> {
    let TickBody::Trade { qty: sum, at: then, .. } = old.body() else { return None };
    let TickBody::Trade { price, qty, buyer_aggressor, at } = new.body() else { return None };
    if then.0 / MINUTE != at.0 / MINUTE {
        return None;
    }
    let qty = Qty::new((sum.raw() + qty.raw()).min(QTY_MAX)).ok()?;
    let at = Nanos(at.0.max(then.0));
    Some(Tick::trade(new.instrument(), new.stamp(), price, qty, buyer_aggressor, at))
}

/// The same tick, saying that the venue restarted its update ids: an overwritten one said so.
fn with_reset(tick: &Tick) -> Tick {
    let mut stamp = tick.stamp();
    stamp.reset = true;
    match tick.body() {
        TickBody::Quote(quote) => Tick::quote(tick.instrument(), stamp, quote),
        TickBody::Refused(reason) => Tick::refused(tick.instrument(), stamp, reason),
        TickBody::Mark { price } => Tick::mark(tick.instrument(), stamp, price),
        TickBody::Funding { rate, settles } => {
            Tick::funding(tick.instrument(), stamp, rate, settles)
        }
        TickBody::Trade { .. } | TickBody::Alive => *tick,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use reap_core::instrument::InstrumentId;
    use reap_core::tick::{Quote, Refusal, Stamp};
    use reap_core::units::{Price, Rate};

    use super::*;
    use crate::test_random::Random;

    fn stamp(received: u64, source: u8, reset: bool) -> Stamp {
        let source = SourceId(source);
        Stamp { source, received: Nanos(received), update_id: received, venue_lag_us: 0, reset }
    }

    fn tick(random: &mut Random, at: u64) -> Tick {
        let instrument = InstrumentId(random.below(3) as u16);
        let stamp = stamp(at, random.below(2) as u8, random.below(8) == 0);
        let price = Price::new(1 + random.below(1_000) as i64).expect("a price");
        let qty = Qty::new(1 + random.below(9) as i64).expect("a quantity");
        match random.below(7) {
            0 | 1 => {
                let quote = Quote { bid: price, ask: price, bid_qty: qty, ask_qty: qty };
                Tick::quote(instrument, stamp, quote)
            }
            2 => Tick::mark(instrument, stamp, price),
            3 => Tick::funding(instrument, stamp, Rate::ZERO, Nanos(at)),
            4 => Tick::alive(stamp),
            5 => Tick::refused(instrument, stamp, Refusal::Crossed),
            _ => {
                let minute = at / 50 * MINUTE;
                Tick::trade(instrument, stamp, price, qty, random.below(2) == 0, Nanos(minute))
            }
        }
    }

    /// What a tick replaces: a plain map of everything that ought to come out.
    type Key = (u16, u8, u64);
    fn key(tick: &Tick) -> Key {
        match tick.body() {
            TickBody::Alive => (u16::MAX, tick.stamp().source.0, 0),
            TickBody::Quote(_) | TickBody::Refused(_) => (tick.instrument().0, 0, 0),
            TickBody::Mark { .. } => (tick.instrument().0, 1, 0),
            TickBody::Funding { .. } => (tick.instrument().0, 2, 0),
            TickBody::Trade { buyer_aggressor, at, .. } => {
                (tick.instrument().0, 3 + u8::from(buyer_aggressor), at.0 / MINUTE)
            }
        }
    }

    #[test]
    fn r1_a_full_ring_keeps_the_newest_of_each_instrument_and_sums_trades() {
        let mut random = Random::from_env("conflate");
        for round in 0..200 {
            let mut conflator = Conflator::new(3, 2);
            let mut expected: BTreeMap<Key, (Tick, i64, bool)> = BTreeMap::new();
            for at in 0..100 {
                let tick = tick(&mut random, at);
                conflator.put(tick);
                let qty = match tick.body() {
                    TickBody::Trade { qty, .. } => qty.raw(),
                    _ => 0,
                };
                let old = expected.get(&key(&tick)).map_or((0, false), |old| (old.1, old.2));
                let reset = old.1 || tick.stamp().reset;
                expected.insert(key(&tick), (tick, old.0 + qty, reset));
            }
            let counts = *conflator.counts();
            assert_eq!(counts.lost, 0, "round {round}: two minutes fit");
            let waiting = conflator.len() as u64;
            assert_eq!(counts.waited, 100, "round {round}");
            assert_eq!(waiting + counts.replaced + counts.added, 100, "round {round}");
            while let Some(got) = conflator.take() {
                let (last, qty, reset) = expected.remove(&key(&got)).expect("each once");
                assert_eq!(
                    got.stamp().received,
                    last.stamp().received,
                    "round {round}: the newest"
                );
                match got.body() {
                    TickBody::Trade { qty: sum, price, .. } => {
                        assert_eq!(sum.raw(), qty, "round {round}: nothing of a trade is lost");
                        assert!(
                            matches!(last.body(), TickBody::Trade { price: p, .. } if p == price)
                        );
                    }
                    TickBody::Alive => assert_eq!(got, last),
                    body => {
                        assert_eq!(body, last.body());
                        assert_eq!(got.stamp().reset, reset, "round {round}: a reset is not lost");
                    }
                }
            }
            assert!(expected.is_empty() && conflator.is_empty());
        }
    }

    #[test]
    fn r1_what_waits_of_an_ended_connection_is_forgotten() {
        let mut conflator = Conflator::new(2, 2);
        let price = Price::new(5).expect("a price");
        conflator.put(Tick::mark(InstrumentId(0), stamp(1, 0, false), price));
        conflator.put(Tick::mark(InstrumentId(1), stamp(2, 1, false), price));
        conflator.forget(SourceId(0));
        conflator.put(Tick::mark(InstrumentId(0), stamp(3, 1, false), price));
        let left: Vec<u64> =
            std::iter::from_fn(|| conflator.take()).map(|tick| tick.stamp().received.0).collect();
        assert_eq!(left, [2, 3]);
        assert_eq!(conflator.counts().forgotten, 1);
        conflator.put(Tick::mark(InstrumentId(9), stamp(4, 0, false), price));
        assert_eq!((conflator.len(), conflator.counts().lost), (0, 1), "an unknown instrument");
    }
}
