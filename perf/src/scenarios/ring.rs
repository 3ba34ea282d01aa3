//! 56 bytes from one pinned thread to another, by our ring and by rtrb.
//!
//! ```text
//!   stream     core A ── push, push, push … ──▶ ring ──▶ … pop, pop, pop ── core B    both at once
//!   batches    core A ── fills the ring, then waits ──▶ core B ── empties it          by turns
//!   hand-off   core A ──▶ ring ──▶ core B ──▶ ring ──▶ core A       one at a time; half a round trip
//!   bare       core A ──▶ one atomic ──▶ core B ──▶ one atomic ──▶ core A   the least it can be
//! ```
//!
//! All sides spin. Ours and rtrb's run by turns; each ratio is the median of those of the pairs. A
//! run's figure is the median of its blocks, so that one interrupted by the machine does not decide.

use std::hint::{black_box, spin_loop};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use core_affinity::CoreId;
use reap_ring::{Consumer, Producer};

use super::ScenarioError;
use crate::figures::Figures;
use crate::timing::{Steps, Stopwatch};

const PAIRS: u64 = 20;
/// Items of one run at the usual work.
const ITEMS: u64 = 400_000;
/// Items between two looks at the clock.
const BLOCK: u64 = 2_000;
const ROUND_TRIPS: u64 = 50_000;
/// Round trips whose mean is taken: the clock ticks too slowly for one.
const GROUP: u64 = 25;
const CAPACITIES: [usize; 3] = [64, 1024, 16_384];
const THROUGHPUT_GOAL: f64 = 1.0 / 1.5;
const HAND_OFF_GOAL: f64 = 1.1;

type Tick = [u64; 7];

/// One of the rings that are compared.
trait Ring {
    type Sender: Send + 'static;
    type Receiver: Send + 'static;
    fn new(capacity: usize) -> (Self::Sender, Self::Receiver);
    fn push(sender: &mut Self::Sender, tick: Tick) -> bool;
    fn pop(receiver: &mut Self::Receiver) -> Option<Tick>;
}

struct Ours;

impl Ring for Ours {
    type Sender = Producer<Tick>;
    type Receiver = Consumer<Tick>;

    fn new(capacity: usize) -> (Self::Sender, Self::Receiver) {
        reap_ring::ring(capacity)
    }

    #[inline(always)]
    fn push(sender: &mut Self::Sender, tick: Tick) -> bool {
        sender.push(tick).is_ok()
    }

    #[inline(always)]
    fn pop(receiver: &mut Self::Receiver) -> Option<Tick> {
        receiver.pop()
    }
}

struct Theirs;

impl Ring for Theirs {
    type Sender = rtrb::Producer<Tick>;
    type Receiver = rtrb::Consumer<Tick>;

    fn new(capacity: usize) -> (Self::Sender, Self::Receiver) {
        rtrb::RingBuffer::new(capacity)
    }

    #[inline(always)]
    fn push(sender: &mut Self::Sender, tick: Tick) -> bool {
        sender.push(tick).is_ok()
    }

    #[inline(always)]
    fn pop(receiver: &mut Self::Receiver) -> Option<Tick> {
        receiver.pop().ok()
    }
}

pub(crate) fn run(work: u64) -> Result<Figures, ScenarioError> {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let [first, second, ..] = cores[..] else {
        let message = "the ring needs two cores; this process may use only one".to_owned();
        return Err(ScenarioError::Missing(message));
    };
    let bench = Bench { cores: [first, second], stopwatch: Stopwatch::new() };
    let pairs = (PAIRS * work / 100).clamp(3, 10 * PAIRS);
    let share = |usual: u64| (usual * work.min(100) / 100).max(1_000);
    let mut figures = Figures::default();
    figures.figure("cost of measuring, ns", bench.stopwatch.cost as f64);
    for capacity in CAPACITIES {
        let count = share(ITEMS).max(4 * capacity as u64);
        let name = format!("stream {capacity}");
        let mut runs = Pairs::new(pairs, || {
            [stream::<Ours>(capacity, count, &bench), stream::<Theirs>(capacity, count, &bench)]
        });
        runs.report(&mut figures, &name, "per item", Some(THROUGHPUT_GOAL));
        let name = format!("batches {capacity}");
        runs = Pairs::new(pairs, || {
            [batches::<Ours>(capacity, count, &bench), batches::<Theirs>(capacity, count, &bench)]
        });
        runs.report(&mut figures, &name, "per item", Some(THROUGHPUT_GOAL));
    }
    hand_offs(pairs, share(ROUND_TRIPS), &bench, &mut figures);
    Ok(figures)
}

fn hand_offs(pairs: u64, rounds: u64, bench: &Bench, figures: &mut Figures) {
    figures.figure("bare hand-off before p50, ns", bare(rounds, bench).0);
    let mut tails = Vec::new();
    let typical = Pairs::new(pairs, || {
        let ours = hand_off::<Ours>(rounds, bench);
        let theirs = hand_off::<Theirs>(rounds, bench);
        tails.push([ours.1, theirs.1]);
        [ours.0, theirs.0]
    });
    figures.figure("bare hand-off after p50, ns", bare(rounds, bench).0);
    typical.report(figures, "hand-off p50", "", Some(HAND_OFF_GOAL));
    Pairs(tails).report(figures, "hand-off p99", "", None);
}

/// Where runs take place and how they are timed.
pub(super) struct Bench {
    pub(super) cores: [CoreId; 2],
    pub(super) stopwatch: Stopwatch,
}

/// What pairs of runs gave, ours and theirs, in nanoseconds.
struct Pairs(Vec<[f64; 2]>);

impl Pairs {
    /// The first pair warms up and is dropped.
    fn new(count: u64, mut pair: impl FnMut() -> [f64; 2]) -> Self {
        Self((0..=count).map(|_| pair()).skip(1).collect())
    }

    fn report(&self, figures: &mut Figures, name: &str, of: &str, goal: Option<f64>) {
        let of = if of.is_empty() { String::new() } else { format!(" {of}") };
        for (side, label) in ["ours", "rtrb"].into_iter().enumerate() {
            let value = median(self.0.iter().map(|pair| pair[side]));
            figures.figure(format!("{name} {label}{of}, ns"), value);
        }
        let ratio = median(self.0.iter().map(|pair| pair[0] / pair[1]));
        match goal {
            Some(goal) => figures.ratio(name, ratio, goal),
            None => figures.figure(format!("{name}, ratio"), ratio),
        }
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Runs two sides on a core each, begun together; gives what the first returns.
fn on_two_cores<R: Send + 'static>(
    cores: [CoreId; 2],
    first: impl FnOnce() -> R + Send + 'static,
    second: impl FnOnce() + Send + 'static,
) -> R {
    let ready = Arc::new(AtomicU64::new(0));
    let others = Arc::clone(&ready);
    let meet = |ready: &AtomicU64| {
        ready.fetch_add(1, Ordering::AcqRel);
        while ready.load(Ordering::Acquire) < 2 {
            spin_loop();
        }
    };
    let pinned = "a core of this process's own list can be pinned to";
    let second = thread::spawn(move || {
        assert!(core_affinity::set_for_current(cores[1]), "{pinned}");
        meet(&others);
        second();
    });
    let first = thread::spawn(move || {
        assert!(core_affinity::set_for_current(cores[0]), "{pinned}");
        meet(&ready);
        first()
    });
    second.join().expect("the second side does not panic");
    first.join().expect("the first side does not panic")
}

#[inline(always)]
fn tick(number: u64) -> Tick {
    [number, 1, 2, 3, 4, 5, number]
}

#[inline(always)]
fn push<R: Ring>(sender: &mut R::Sender, number: u64) {
    while !R::push(sender, tick(number)) {
        spin_loop();
    }
}

#[inline(always)]
fn pop<R: Ring>(receiver: &mut R::Receiver) -> Tick {
    loop {
        if let Some(tick) = R::pop(receiver) {
            return tick;
        }
        spin_loop();
    }
}

fn checked(tick: Tick, number: u64) {
    assert_eq!([tick[0], tick[6]], [number; 2], "what arrives is what was sent");
}

/// Nanoseconds per item with both sides at full speed: the median of the receiver's blocks.
fn stream<R: Ring>(capacity: usize, count: u64, bench: &Bench) -> f64 {
    let (mut sender, mut receiver) = R::new(capacity);
    let stopwatch = bench.stopwatch.clone();
    let receive = move || {
        let mut blocks = Steps::new();
        for block in 0..count / BLOCK {
            blocks.record(stopwatch.time(|| {
                for number in block * BLOCK..(block + 1) * BLOCK {
                    checked(black_box(pop::<R>(&mut receiver)), number);
                }
            }));
        }
        blocks.percentile(50.0) / BLOCK as f64
    };
    let send = move || {
        for number in 0..count {
            push::<R>(&mut sender, number);
        }
    };
    on_two_cores(bench.cores, receive, send)
}

/// Nanoseconds per item when one side fills the whole ring, then the other empties it: the median of
/// the batches, from the end of one to the end of the next.
fn batches<R: Ring>(capacity: usize, count: u64, bench: &Bench) -> f64 {
    let (mut sender, mut receiver) = R::new(capacity);
    let capacity = capacity as u64;
    let sent = Arc::new(AtomicU64::new(0));
    let taken = Arc::new(AtomicU64::new(0));
    let (sent_there, taken_there) = (Arc::clone(&sent), Arc::clone(&taken));
    let reached = |done: &AtomicU64, number: u64| {
        while done.load(Ordering::Acquire) < number {
            spin_loop();
        }
    };
    let stopwatch = bench.stopwatch.clone();
    let receive = move || {
        let mut batches = Steps::new();
        for batch in 0..count / capacity {
            batches.record(stopwatch.time(|| {
                reached(&sent, (batch + 1) * capacity);
                for number in 0..capacity {
                    checked(black_box(pop::<R>(&mut receiver)), batch * capacity + number);
                }
                taken.store((batch + 1) * capacity, Ordering::Release);
            }));
        }
        batches.percentile(50.0) / capacity as f64
    };
    let send = move || {
        for batch in 0..count / capacity {
            reached(&taken_there, batch * capacity);
            for number in 0..capacity {
                push::<R>(&mut sender, batch * capacity + number);
            }
            sent_there.store((batch + 1) * capacity, Ordering::Release);
        }
    };
    on_two_cores(bench.cores, receive, send)
}

/// p50 and p99 of half a round trip through two rings, in nanoseconds.
fn hand_off<R: Ring>(rounds: u64, bench: &Bench) -> (f64, f64) {
    let (mut there, mut arrives) = R::new(CAPACITIES[1]);
    let (mut back, mut returns) = R::new(CAPACITIES[1]);
    let stopwatch = bench.stopwatch.clone();
    let ask = move || {
        half_round_trips(&stopwatch, rounds, |number| {
            push::<R>(&mut there, number);
            checked(pop::<R>(&mut returns), number);
        })
    };
    let answer = move || {
        for _ in 0..rounds {
            let tick = pop::<R>(&mut arrives);
            push::<R>(&mut back, tick[0]);
        }
    };
    on_two_cores(bench.cores, ask, answer)
}

/// The same with nothing but an atomic in each direction.
pub(super) fn bare(rounds: u64, bench: &Bench) -> (f64, f64) {
    /// One cache line, and the one that the processor fetches with it.
    #[repr(align(128))]
    struct Line(AtomicU64);
    let line = || Arc::new(Line(AtomicU64::new(u64::MAX)));
    let (there, back) = (line(), line());
    let (arrives, answers) = (Arc::clone(&there), Arc::clone(&back));
    let until = |line: &Line, number: u64| {
        while line.0.load(Ordering::Acquire) != number {
            spin_loop();
        }
    };
    let stopwatch = bench.stopwatch.clone();
    let ask = move || {
        half_round_trips(&stopwatch, rounds, |number| {
            there.0.store(number, Ordering::Release);
            until(&back, number);
        })
    };
    let answer = move || {
        for number in 0..rounds {
            until(&arrives, number);
            answers.0.store(number, Ordering::Release);
        }
    };
    on_two_cores(bench.cores, ask, answer)
}

fn half_round_trips(
    stopwatch: &Stopwatch,
    rounds: u64,
    mut round_trip: impl FnMut(u64),
) -> (f64, f64) {
    let (mut single, mut groups) = (Steps::new(), Steps::new());
    let mut sum = 0;
    for number in 0..rounds {
        let nanos = stopwatch.time(|| round_trip(number));
        single.record(nanos);
        sum += nanos;
        if (number + 1).is_multiple_of(GROUP) {
            groups.record(sum * 10 / GROUP);
            sum = 0;
        }
    }
    (groups.percentile(50.0) / 20.0, single.percentile(99.0) / 2.0)
}
