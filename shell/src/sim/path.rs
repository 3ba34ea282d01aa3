//! A level over time: straight lines between knots, in integers.

use super::random::Random;

/// A path of levels in parts per billion.
#[derive(Clone, Debug)]
pub(super) struct Path {
    /// Nanoseconds since the start, rising, and the level then.
    knots: Vec<(u64, i64)>,
}

impl Path {
    /// A path through `sketch`: (thousandths of `length`, basis points). Its levels are scaled by one
    /// random factor of `scale` per mille, its inner knots moved by up to 15 thousandths.
    pub(super) fn new(
        sketch: &[(u64, i64)],
        length: u64,
        scale: (i64, i64),
        random: &mut Random,
    ) -> Self {
        let (low, high) = scale;
        let factor = low + random.below((high - low).unsigned_abs() + 1) as i64;
        let last = sketch.len() - 1;
        let knot = |(index, &(place, bps)): (usize, &(u64, i64))| {
            let inner = index > 0 && index < last;
            let place = if inner { place.saturating_add_signed(random.around(15)) } else { place };
            let at = (u128::from(length) * u128::from(place) / 1000) as u64;
            (at, bps * 100 * factor)
        };
        Self { knots: sketch.iter().enumerate().map(knot).collect() }
    }

    /// The level at a time since the start; beyond the ends that of the end.
    pub(super) fn at(&self, time: u64) -> i64 {
        let next = self.knots.partition_point(|&(at, _)| at <= time);
        let Some(&(to, level_to)) = self.knots.get(next) else {
            return self.knots[self.knots.len() - 1].1;
        };
        if next == 0 {
            return level_to;
        }
        let (from, level_from) = self.knots[next - 1];
        let rise = i128::from(level_to - level_from) * i128::from(time - from);
        level_from + rise.div_euclid(i128::from(to - from)) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_straight_and_ends_stay() {
        let path = Path { knots: vec![(100, 0), (200, 1000), (300, -1000)] };
        for (time, level) in [
            (0, 0),
            (100, 0),
            (150, 500),
            (200, 1000),
            (250, 0),
            (299, -980),
            (300, -1000),
            (900, -1000),
        ] {
            assert_eq!(path.at(time), level, "{time}");
        }
    }
}
