//! What the unit tests share: a seeded generator that prints its seed.

extern crate std;

/// splitmix64, the generator of Steele, Lea and Flood (2014): one multiplication per step, good
/// enough for tests.
pub(crate) struct Random(u64);

impl Random {
    /// Seeded from `SEED` or a constant; the seed is printed for a failing test's report.
    pub(crate) fn from_env(test: &str) -> Self {
        let seed =
            std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_121);
        std::eprintln!("{test}: SEED={seed}");
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
