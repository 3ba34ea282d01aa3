//! A moving average over time: half of a difference is left after two seconds, at every rate of
//! events and without a float.
//!
//! Time goes in steps of 2 s / 1024. After n of them `2^(−n/1024)` of the distance to the figure that
//! stood meanwhile is left, rounded down.

use crate::units::{Nanos, mul_div_floor};

use super::money::Money;

/// 2 s / 1024.
const STEP: u64 = 1_953_125;
const _: () = assert!(STEP * 1024 == Nanos::from_secs(2).0);
/// One, in the tables' units.
const ONE: i64 = 1 << 46;

/// `⌊2^46 · 2^(−i/32)⌋`.
const COARSE: [i64; 32] = [
    70_368_744_177_664,
    68_860_887_096_458,
    67_385_340_283_169,
    65_941_411_395_382,
    64_528_422_926_153,
    63_145_711_886_112,
    61_792_629_492_389,
    60_468_540_864_188,
    59_172_824_724_903,
    57_904_873_110_602,
    56_664_091_084_769,
    55_449_896_459_147,
    54_261_719_520_577,
    53_099_002_763_676,
    51_961_200_629_251,
    50_847_779_248_318,
    49_758_216_191_607,
    48_692_000_224_427,
    47_648_631_066_792,
    46_627_619_158_687,
    45_628_485_430_356,
    44_650_761_077_522,
    43_693_987_341_416,
    42_757_715_293_523,
    41_841_505_624_942,
    40_944_928_440_253,
    40_067_563_055_812,
    39_208_997_802_355,
    38_368_829_831_842,
    37_546_664_928_438,
    36_742_117_323_538,
    35_954_809_514_762,
];
/// `⌊2^46 · 2^(−i/1024)⌋`.
const FINE: [i64; 32] = [
    70_368_744_177_664,
    70_321_127_583_805,
    70_273_543_210_787,
    70_225_991_036_805,
    70_178_471_040_071,
    70_130_983_198_812,
    70_083_527_491_270,
    70_036_103_895_699,
    69_988_712_390_371,
    69_941_352_953_572,
    69_894_025_563_601,
    69_846_730_198_773,
    69_799_466_837_418,
    69_752_235_457_879,
    69_705_036_038_516,
    69_657_868_557_702,
    69_610_732_993_825,
    69_563_629_325_288,
    69_516_557_530_508,
    69_469_517_587_916,
    69_422_509_475_961,
    69_375_533_173_101,
    69_328_588_657_814,
    69_281_675_908_589,
    69_234_794_903_932,
    69_187_945_622_361,
    69_141_128_042_410,
    69_094_342_142_628,
    69_047_587_901_577,
    69_000_865_297_836,
    68_954_174_309_996,
    68_907_514_916_663,
];

/// The average of a figure that stands between events.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Average {
    value: Money,
    /// The figure since the last event.
    stands: Money,
    at: Nanos,
}

impl Average {
    pub(super) fn new(now: Nanos, value: Money) -> Self {
        Self { value, stands: value, at: now }
    }

    /// What comes in at once moves figure and average alike.
    pub(super) fn shift(&mut self, by: Money) {
        self.value += by;
        self.stands += by;
    }

    /// The average now, where the figure is `next` from now on.
    pub(super) fn step(&mut self, now: Nanos, next: Money) -> Money {
        let steps = now.since(self.at).0 / STEP;
        if steps > 0 {
            self.at = self.at.plus(Nanos(steps * STEP));
            let apart = self.value - self.stands;
            let left = mul_div_floor(apart, left_after(steps), ONE);
            self.value = self.stands + left;
        }
        self.stands = next;
        self.value
    }
}

/// `2^(−steps/1024)` in units of [`ONE`].
fn left_after(steps: u64) -> i64 {
    let (halvings, rest) = (steps / 1024, (steps % 1024) as usize);
    if halvings >= 46 {
        return 0;
    }
    let (coarse, fine) = (i128::from(COARSE[rest / 32]), i128::from(FINE[rest % 32]));
    let left = coarse * fine / i128::from(ONE);
    left as i64 >> halvings
}

#[cfg(test)]
mod tests {
    use super::super::money::UNIT;
    use super::*;

    /// Half is left after 2 s, in one step or in many, and 2^-k for every k.
    #[test]
    fn half_is_left_after_two_seconds() {
        let start = Nanos::from_secs(1_000);
        let from = 1000 * UNIT;
        let mut once = Average::new(start, from);
        once.step(start, 0);
        assert_eq!(once.step(start.plus(Nanos::from_secs(2)), 0), from / 2);
        let mut often = Average::new(start, from);
        often.step(start, 0);
        let mut value = from;
        for nth in 1..=2000u64 {
            value = often.step(start.plus(Nanos::from_millis(nth)), 0);
        }
        let apart = (value - from / 2).abs();
        assert!(apart < UNIT / 1_000, "{value}");
    }

    /// What comes in at once is no gain: nothing is left to be approached.
    #[test]
    fn what_comes_in_moves_figure_and_average_alike() {
        let start = Nanos::from_secs(1_000);
        let mut average = Average::new(start, 1000 * UNIT);
        average.shift(50 * UNIT);
        for nth in 1..=3 {
            let now = start.plus(Nanos::from_secs(nth));
            assert_eq!(average.step(now, 1050 * UNIT), 1050 * UNIT);
        }
        average.shift(-100 * UNIT);
        assert_eq!(average.step(start.plus(Nanos::from_secs(9)), 0), 950 * UNIT);
    }

    /// The tables against their definition: (2^(−i/32))^32 = 2^−i, by repeated multiplication.
    #[test]
    fn tables_are_roots_of_powers_of_two() {
        for (table, root) in [(&COARSE, 5), (&FINE, 10)] {
            for (at, &value) in table.iter().enumerate() {
                let mut power = i128::from(value);
                for _ in 0..root {
                    power = (power * power) >> 46;
                }
                let exact = i128::from(ONE) >> at;
                assert!((power - exact).abs() <= (exact >> 30).max(1 << 12), "{at} of {root}");
            }
        }
    }
}
