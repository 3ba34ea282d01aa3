//! A bounded queue between two threads.
//!
//! ```text
//!   position   0      1      2      3      4 …         slot = position mod capacity
//!   slot     ┌──────┬──────┬──────┬──────┐
//!            │turn 4│turn 2│turn 3│turn 3│              one cache line each: turn and value
//!            │ free │ full │ full │ free │
//!            └──────┴──────┴──────┴──────┘
//!              ▲ 4: next to be taken in the   turn = p      free for the push at position p
//!                lap after this one           turn = p + 1  full for the pop at position p
//! ```
//!
//! A slot's turn says whose it is and for which position. It stands in the same cache line as the
//! value, so handing an item over moves one line. There is no head and no tail that both sides touch:
//! each counts its own position, and asks only the slot that it is about to use. Taking the item of
//! position p makes the slot free for position p + capacity.
//!
//! Positions wrap: the capacity is a power of two, so it divides 2⁶⁴ and the slot after the last
//! position is the slot of position 0. From a capacity of two on, "free" and "full" of one slot
//! differ modulo the capacity, at every position.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

use crate::sync::{Arc, AtomicBool, AtomicU64, Ordering, UnsafeCell};

/// Creates a ring that holds up to `capacity` values.
///
/// ```
/// let (mut producer, mut consumer) = reap_ring::ring(2);
/// assert_eq!(producer.push('a'), Ok(()));
/// assert_eq!(producer.push('b'), Ok(()));
/// assert_eq!(producer.push('c'), Err(reap_ring::Full('c')));
/// drop(producer);
/// assert_eq!(consumer.pop(), Some('a'));
/// assert!(!consumer.is_finished());
/// assert_eq!(consumer.pop(), Some('b'));
/// assert!(consumer.is_finished());
/// ```
///
/// # Panics
/// If `capacity` is not a power of two, or below 2.
#[must_use]
pub fn ring<T: Send>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    ring_from(0, capacity)
}

/// The same from a given position, so that tests see positions wrap.
pub(crate) fn ring_from<T: Send>(start: u64, capacity: usize) -> (Producer<T>, Consumer<T>) {
    assert!(
        capacity >= 2 && capacity.is_power_of_two(),
        "a ring's capacity is a power of two and at least 2; {capacity} is not: take {}",
        capacity.max(2).checked_next_power_of_two().unwrap_or(1 << (usize::BITS - 1)),
    );
    let mask = capacity as u64 - 1;
    // Slot by slot the first position, from `start` on, that falls on it.
    let first = |slot: u64| start.wrapping_add(slot.wrapping_sub(start) & mask);
    let slots = (0..=mask).map(|slot| Slot::free(first(slot))).collect();
    let gone = || AtomicBool::new(false);
    let shared = Arc::new(Shared { slots, producer_gone: gone(), consumer_gone: gone() });
    let producer = Producer { shared: Arc::clone(&shared), position: start, not_sync: PhantomData };
    (producer, Consumer { shared, position: start, not_sync: PhantomData })
}

/// A value that did not fit: the consumer has not yet taken the one a lap before it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Full<T>(pub T);

impl<T> fmt::Debug for Full<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Full(_)")
    }
}

impl<T> fmt::Display for Full<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the ring is full: its consumer takes values too slowly, or not any more")
    }
}

impl<T> std::error::Error for Full<T> {}

/// A turn and the value it speaks of. 56 bytes of value make exactly one cache line.
#[repr(C, align(64))]
struct Slot<T> {
    /// `p`: free for the push at position p. `p + 1`: holds the value of position p.
    turn: AtomicU64,
    /// Initialized while the turn says "full". Belongs to the side whose turn it is.
    value: UnsafeCell<MaybeUninit<T>>,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Slot<[u64; 7]>>() == 64);
#[cfg(not(loom))]
const _: () = assert!(align_of::<Slot<[u64; 7]>>() == 64);

impl<T> Slot<T> {
    fn free(position: u64) -> Self {
        let value = UnsafeCell::new(MaybeUninit::uninit());
        Self { turn: AtomicU64::new(position), value }
    }
}

/// What both sides hold.
struct Shared<T> {
    /// A power of two of them, at least 2.
    slots: Box<[Slot<T>]>,
    /// Set once, by the producer's drop, after its last push.
    producer_gone: AtomicBool,
    /// Set once, by the consumer's drop.
    consumer_gone: AtomicBool,
}

// SAFETY: of all that is shared only the slots' values are not Sync by themselves. A value is touched
// by one thread at a time: by the producer's while the turn says "free", by the consumer's while it
// says "full"; the turn changes hands by Release and Acquire. Values move between threads: T is Send.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    fn mask(&self) -> u64 {
        self.slots.len() as u64 - 1
    }

    #[inline(always)]
    fn slot(&self, position: u64) -> &Slot<T> {
        let index = position as usize & (self.slots.len() - 1);
        // SAFETY: `slots` is never empty, so the mask is below its length and so is `index`.
        unsafe { self.slots.get_unchecked(index) }
    }
}

impl<T> Drop for Shared<T> {
    /// Drops what was pushed and never popped.
    fn drop(&mut self) {
        if !std::mem::needs_drop::<T>() {
            return;
        }
        let mask = self.mask();
        for (index, slot) in self.slots.iter().enumerate() {
            // No partner: the last owner of the Arc is alone, and its count ordered all before.
            let turn = slot.turn.load(Ordering::Relaxed);
            let full = turn & mask == (index as u64 + 1) & mask;
            if full {
                // SAFETY: the turn says that the slot was pushed into and not popped from, so it is
                // initialized; nobody else is left, and each slot is visited once.
                slot.value.with_mut(|value| unsafe { (*value).assume_init_drop() });
            }
        }
    }
}

/// The side that pushes. It can be sent to another thread, but not shared.
///
/// ```compile_fail
/// fn shared<T: Sync>() {}
/// shared::<reap_ring::Producer<u64>>();
/// ```
// Aligned to a pair of cache lines: the two sides' positions never share one, wherever they lie.
#[repr(align(128))]
pub struct Producer<T> {
    shared: Arc<Shared<T>>,
    /// Of the next push. All before it were pushed.
    position: u64,
    not_sync: PhantomData<Cell<()>>,
}

impl<T: Send> Producer<T> {
    /// Appends `value`; never waits.
    ///
    /// # Errors
    /// [`Full`] hands the value back when as many as the ring holds wait for the consumer.
    #[inline]
    pub fn push(&mut self, value: T) -> Result<(), Full<T>> {
        let position = self.position;
        let slot = self.shared.slot(position);
        // Pairs with the Release in Consumer::pop, a lap ago: the value there has been moved out.
        if slot.turn.load(Ordering::Acquire) != position {
            return Err(Full(value));
        }
        // SAFETY: the turn says that the slot is free for this position, which only this producer
        // has; the consumer does not touch the value before the turn below. What is overwritten was
        // moved out or never initialized.
        slot.value.with_mut(|target| unsafe { (*target).write(value) });
        let next = position.wrapping_add(1);
        // Pairs with the Acquire in Consumer::pop: the value is written before the turn says so.
        slot.turn.store(next, Ordering::Release);
        self.position = next;
        Ok(())
    }
}

impl<T> Producer<T> {
    /// Whether the consumer was dropped: nobody will take what is pushed.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        // Pairs with the Release in Consumer::drop.
        self.shared.consumer_gone.load(Ordering::Acquire)
    }

    /// How many values the ring holds at most.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.shared.slots.len()
    }
}

impl<T> Drop for Producer<T> {
    fn drop(&mut self) {
        // Pairs with the Acquire in Consumer::is_finished: who sees this sees every push.
        self.shared.producer_gone.store(true, Ordering::Release);
    }
}

impl<T> fmt::Debug for Producer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("position", &self.position).finish_non_exhaustive()
    }
}

/// The side that pops. It can be sent to another thread, but not shared.
///
/// ```compile_fail
/// fn shared<T: Sync>() {}
/// shared::<reap_ring::Consumer<u64>>();
/// ```
#[repr(align(128))]
pub struct Consumer<T> {
    shared: Arc<Shared<T>>,
    /// Of the next pop. All before it were popped.
    position: u64,
    not_sync: PhantomData<Cell<()>>,
}

impl<T: Send> Consumer<T> {
    /// Takes the oldest value; never waits.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        let position = self.position;
        let next = position.wrapping_add(1);
        let slot = self.shared.slot(position);
        // Pairs with the Release in Producer::push: the turn says "full", so the value is written.
        if slot.turn.load(Ordering::Acquire) != next {
            return None;
        }
        // SAFETY: the turn says that this position's value is there, initialized; the producer does
        // not touch it before the turn below. It is read once: that turn makes the slot free.
        let value = slot.value.with(|source| unsafe { (*source).assume_init_read() });
        let lap = self.shared.slots.len() as u64;
        // Pairs with the Acquire in Producer::push, a lap later: the value is out before it says so.
        slot.turn.store(position.wrapping_add(lap), Ordering::Release);
        self.position = next;
        Some(value)
    }
}

impl<T> Consumer<T> {
    /// Whether a value waits to be popped.
    #[must_use]
    #[inline]
    pub fn has_next(&self) -> bool {
        let next = self.position.wrapping_add(1);
        // Pairs with the Release in Producer::push.
        self.shared.slot(self.position).turn.load(Ordering::Acquire) == next
    }

    /// Whether the producer was dropped and everything it pushed has been popped.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        // Pairs with the Release in Producer::drop. In this order: once it is set, every push has
        // happened before, and the look at the slot cannot miss one.
        self.shared.producer_gone.load(Ordering::Acquire) && !self.has_next()
    }

    /// How many values the ring holds at most.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.shared.slots.len()
    }
}

impl<T> Drop for Consumer<T> {
    fn drop(&mut self) {
        // Pairs with the Acquire in Producer::is_abandoned.
        self.shared.consumer_gone.store(true, Ordering::Release);
    }
}

impl<T> fmt::Debug for Consumer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("position", &self.position).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
