//! What the tests share: how a body is explored, random numbers, values that know whether they are
//! whole and whether each was dropped once.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Threads of a body: the operating system's, or loom's.
#[cfg(not(loom))]
pub(crate) use std::thread;

#[cfg(loom)]
pub(crate) use loom::thread;

/// Runs `body` `times` times with real threads: stress. Under loom runs it once for every order in
/// which its threads may meet, with at most three preemptions.
#[cfg(not(loom))]
pub(crate) fn explore(times: usize, body: impl Fn() + Sync + Send + 'static) {
    for _ in 0..times {
        body();
    }
}

#[cfg(loom)]
pub(crate) fn explore(_times: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(body);
}

/// `stress` with real threads, `model` under loom, which tries every order of them.
pub(crate) const fn sized(stress: u64, model: u64) -> u64 {
    if cfg!(loom) { model } else { stress }
}

/// Lets the other side work. Spins at first: the sides should meet.
pub(crate) struct Patience(u32);

impl Patience {
    pub(crate) fn new() -> Self {
        Self(0)
    }

    pub(crate) fn wait(&mut self) {
        self.0 += 1;
        if cfg!(loom) || self.0.is_multiple_of(256) {
            thread::yield_now();
        } else {
            std::hint::spin_loop();
        }
    }
}

/// Random numbers: splitmix64, from a seed that is printed and can be given.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn from_env(test: &str) -> Self {
        let given = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            now.map_or(1, |now| now.as_nanos() as u64)
        });
        println!("{test}: SEED={seed}");
        Self(seed)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0) % bound
    }
}

pub(crate) fn mix(number: u64) -> u64 {
    let mut z = number;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// How many values are alive: below zero, one was dropped twice.
#[derive(Clone, Default)]
pub(crate) struct Alive(Arc<AtomicI64>);

impl Alive {
    pub(crate) fn count(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// What travels: made from its number, and able to say whether it arrived as it was made.
pub(crate) trait Value: Send + 'static {
    fn new(number: u64, alive: &Alive) -> Self;
    fn number(&self) -> Option<u64>;
}

/// A tick's 56 bytes: each word is a checksum of the number.
impl Value for [u64; 7] {
    fn new(number: u64, _: &Alive) -> Self {
        std::array::from_fn(|at| if at == 0 { number } else { mix(number ^ at as u64) })
    }

    fn number(&self) -> Option<u64> {
        (*self == Self::new(self[0], &Alive::default())).then_some(self[0])
    }
}

/// On the heap and counted: a leak or a second drop shows in the count (and in the allocator).
pub(crate) struct Counted {
    words: [u64; 2],
    alive: Alive,
}

impl Value for Box<Counted> {
    fn new(number: u64, alive: &Alive) -> Self {
        alive.0.fetch_add(1, Ordering::SeqCst);
        Self::new(Counted { words: [number, mix(number)], alive: alive.clone() })
    }

    fn number(&self) -> Option<u64> {
        (self.words[1] == mix(self.words[0])).then_some(self.words[0])
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.alive.0.fetch_sub(1, Ordering::SeqCst);
        // A second drop or a read after it would find nothing whole.
        self.words = [0, 0];
    }
}
