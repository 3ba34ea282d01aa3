//! The two sides do the same steps in every test: on one thread in random order against a model, on
//! two threads, and under loom in every order.

use std::collections::VecDeque;

use super::{Consumer, Full, Producer, ring, ring_from};
use crate::testing::{Alive, Counted, Patience, Random, Value, explore, sized, thread};

/// A producer that pushes 0, 1, 2 …
struct Pushing<T> {
    producer: Producer<T>,
    next: u64,
    alive: Alive,
}

impl<T: Value> Pushing<T> {
    /// Pushes the next number, if there is room.
    fn step(&mut self) -> bool {
        match self.producer.push(T::new(self.next, &self.alive)) {
            Ok(()) => {
                self.next += 1;
                true
            }
            Err(Full(value)) => {
                assert_eq!(value.number(), Some(self.next), "what did not fit comes back whole");
                false
            }
        }
    }

    /// Pushes up to `end`, unless the consumer goes.
    fn push_until(&mut self, end: u64) {
        let mut patience = Patience::new();
        while self.next < end && !self.producer.is_abandoned() {
            if !self.step() {
                patience.wait();
            }
        }
    }
}

/// A consumer that knows what must come next.
struct Popping<T> {
    consumer: Consumer<T>,
    next: u64,
}

impl<T: Value> Popping<T> {
    /// Pops what there is: whole, in order, nothing left out, nothing twice.
    fn step(&mut self) -> bool {
        let waits = self.consumer.has_next();
        let Some(value) = self.consumer.pop() else {
            assert!(!waits, "what waits can be popped");
            return false;
        };
        assert_eq!(value.number(), Some(self.next), "whole and in order");
        self.next += 1;
        true
    }

    /// Pops until `end`, or until the producer has gone and nothing is left.
    fn pop_until(&mut self, end: u64) {
        let mut patience = Patience::new();
        while self.next < end && !self.consumer.is_finished() {
            if !self.step() {
                patience.wait();
            }
        }
    }
}

fn sides<T: Value>(start: u64, capacity: usize, alive: &Alive) -> (Pushing<T>, Popping<T>) {
    let (producer, consumer) = ring_from(start, capacity);
    (Pushing { producer, next: 0, alive: alive.clone() }, Popping { consumer, next: 0 })
}

/// Random steps on one thread; the model says what each must give.
fn against_model<T: Value>(start: u64, random: &mut Random, steps: u64) {
    let capacity = 1 << (1 + random.below(5));
    let alive = Alive::default();
    let (mut pushing, mut popping) = sides::<T>(start, capacity, &alive);
    let mut model = VecDeque::new();
    assert_eq!(pushing.producer.capacity(), capacity);
    assert_eq!(popping.consumer.capacity(), capacity);
    // Phases of more pushes and of more pops, so that full and empty are both seen often.
    let mut pushes = 5;
    for step in 0..steps {
        if step % (4 * capacity as u64) == 0 {
            pushes = 1 + random.below(9);
        }
        if random.below(10) < pushes {
            let number = pushing.next;
            let room = model.len() < capacity;
            assert_eq!(pushing.step(), room, "{number} with {} of {capacity}", model.len());
            if room {
                model.push_back(number);
            }
        } else {
            assert_eq!(popping.consumer.has_next(), !model.is_empty());
            assert_eq!(popping.step(), model.pop_front().is_some());
        }
        assert!(!popping.consumer.is_finished() && !pushing.producer.is_abandoned());
    }
    let (pushed, left) = (pushing.next, model.len() as u64);
    drop(pushing);
    // Either the rest is taken, or the ring drops it.
    if random.below(2) == 0 {
        popping.pop_until(u64::MAX);
        assert_eq!(popping.next, pushed, "{left} were left");
    }
    drop(popping);
    assert_eq!(alive.count(), 0, "each value is dropped once; {left} were left");
}

/// Both sides on threads of their own, until everything has arrived.
fn through_threads<T: Value>(start: u64, capacity: usize, count: u64) {
    let alive = Alive::default();
    let (mut pushing, mut popping) = sides::<T>(start, capacity, &alive);
    let producer = thread::spawn(move || pushing.push_until(count));
    popping.pop_until(u64::MAX);
    assert_eq!(popping.next, count, "finished means: everything was popped");
    producer.join().expect("the producer does not panic");
    drop(popping);
    assert_eq!(alive.count(), 0);
}

#[test]
fn r1_full_and_empty_as_a_queue_says() {
    let random = std::sync::Mutex::new(Random::from_env("r1_full_and_empty_as_a_queue_says"));
    explore(200, move || {
        let random = &mut *random.lock().expect("no test panics with it");
        against_model::<[u64; 7]>(0, random, sized(2_000, 40));
        against_model::<Box<Counted>>(0, random, sized(2_000, 40));
    });
}

#[test]
fn r7_full_and_empty_where_positions_wrap() {
    let random = std::sync::Mutex::new(Random::from_env("r7_full_and_empty_where_positions_wrap"));
    explore(200, move || {
        let random = &mut *random.lock().expect("no test panics with it");
        for end in [u64::MAX, u64::from(u32::MAX), i64::MAX as u64] {
            let start = end.wrapping_sub(random.below(40));
            against_model::<[u64; 7]>(start, random, sized(600, 12));
            against_model::<Box<Counted>>(start, random, sized(600, 12));
        }
    });
}

#[test]
fn r6_what_arrives_is_whole_and_in_order() {
    explore(20, || through_threads::<[u64; 7]>(0, 2, sized(20_000, 3)));
    if cfg!(not(loom)) {
        explore(20, || through_threads::<[u64; 7]>(0, 256, 100_000));
    }
}

#[test]
fn r6_what_is_on_the_heap_is_dropped_once() {
    explore(20, || through_threads::<Box<Counted>>(0, 2, sized(10_000, 3)));
}

#[test]
fn r7_threads_see_positions_wrap() {
    explore(20, || through_threads::<Box<Counted>>(u64::MAX - 1, 2, sized(5_000, 3)));
    if cfg!(not(loom)) {
        explore(2_000, || through_threads::<[u64; 7]>(u64::MAX - 20, 8, 40));
    }
}

#[test]
fn r6_the_consumer_goes_while_the_producer_pushes() {
    explore(2_000, || {
        let alive = Alive::default();
        let (mut pushing, mut popping) = sides::<Box<Counted>>(0, 2, &alive);
        // More than the ring holds: only the consumer's leaving ends this loop.
        let producer = thread::spawn(move || pushing.push_until(sized(u64::MAX, 4)));
        popping.pop_until(1);
        drop(popping);
        producer.join().expect("the producer does not panic");
        assert_eq!(alive.count(), 0, "what was left is dropped once");
    });
}

#[test]
fn r6_the_producer_goes_and_nothing_is_missed() {
    explore(2_000, || {
        let alive = Alive::default();
        let (mut pushing, mut popping) = sides::<Box<Counted>>(0, 4, &alive);
        let producer = thread::spawn(move || {
            assert!(pushing.step() && pushing.step());
        });
        popping.pop_until(u64::MAX);
        assert_eq!(popping.next, 2, "what was pushed before the producer went is never missed");
        assert!(popping.consumer.pop().is_none());
        producer.join().expect("the producer does not panic");
        assert_eq!(alive.count(), 0);
    });
}

#[test]
fn capacities_that_cannot_be() {
    for (capacity, remedy) in [(0, "take 2"), (1, "take 2"), (3, "take 4"), (1000, "take 1024")] {
        let panic = std::panic::catch_unwind(|| ring::<u64>(capacity)).map(|_| ());
        let message = panic.expect_err("refused").downcast::<String>().expect("a message");
        assert!(message.contains(remedy), "{message}");
    }
    let panic = std::panic::catch_unwind(|| ring::<u64>(usize::MAX)).map(|_| ());
    assert!(panic.is_err());
}

#[test]
fn a_value_that_does_not_fit_is_not_printed() {
    let full = Full("a secret");
    assert!(!format!("{full:?} {full}").contains("secret"));
}
