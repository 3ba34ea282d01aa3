//! A session of the portfolio, as SPEC §5 states it: its base, and an average with a half-life of 2 s.

use std::sync::LazyLock;

use num_bigint::BigInt;
use num_traits::Signed;
use reap_core::units::Nanos;

#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) began: Nanos,
    pub(super) ends: Nanos,
    pub(super) equity: BigInt,
    pub(super) total: BigInt,
    pub(super) fired: u8,
    pub(super) average: BigInt,
    pub(super) stands: BigInt,
    pub(super) averaged_at: Nanos,
    pub(super) since: [Option<Nanos>; 3],
}

pub(super) fn floor(a: BigInt, b: &BigInt) -> BigInt {
    let (quotient, rest) = (&a / b, &a % b);
    if rest.is_negative() { quotient - 1 } else { quotient }
}

/// What is left after so many 1024ths of a half-life, in units of 2^-46: the product of two roots.
fn left_after(steps: u64) -> BigInt {
    static ROOTS: LazyLock<[Vec<BigInt>; 2]> = LazyLock::new(|| {
        [32u32, 1024].map(|degree| {
            let below_one = |power| BigInt::from(1) << (46 * degree - power);
            (0..32).map(|power| below_one(power).nth_root(degree)).collect()
        })
    });
    let rest = (steps % 1024) as usize;
    let product: BigInt = (&ROOTS[0][rest / 32] * &ROOTS[1][rest % 32]) >> 46;
    product >> (steps / 1024)
}

impl Session {
    pub(super) fn measure_from(&mut self, now: Nanos, equity: BigInt, total: BigInt) {
        self.equity = equity;
        (self.average, self.stands, self.total) = (total.clone(), total.clone(), total);
        self.averaged_at = now;
        self.since = [None; 3];
    }

    pub(super) fn average(&mut self, now: Nanos, total: &BigInt) -> BigInt {
        let steps = now.since(self.averaged_at).0 / 1_953_125;
        if steps > 0 {
            let apart = &self.average - &self.stands;
            let left = floor(apart * left_after(steps), &(BigInt::from(1) << 46));
            self.average = &self.stands + left;
            self.averaged_at = self.averaged_at.plus(Nanos(steps * 1_953_125));
        }
        self.stands.clone_from(total);
        self.average.clone()
    }
}

pub(super) fn next_reset(now: Nanos, reset: Nanos) -> Nanos {
    const DAY: u64 = 86_400_000_000_000;
    let mut at = reset.0;
    while at <= now.0 {
        at += DAY;
    }
    Nanos(at)
}
