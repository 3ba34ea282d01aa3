//! A running hash: one number that says whether two runs decided the same, in the same order.

/// A 64-bit fold over words. Each step is a bijection of the state and of the word (the finaliser
/// of splitmix64 over both), so two streams that differ in one word differ after it, and the
/// order of the words counts. It is portable: wrapping integer arithmetic only, the same on every
/// machine and in every build. It proves equality between honest runs; it is no defence against
/// someone who wants a collision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunningHash(u64);

impl RunningHash {
    /// The hash of nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(0)
    }

    /// Takes one word in.
    #[inline]
    pub const fn fold(&mut self, word: u64) {
        let mut x = (self.0.rotate_left(32) ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        self.0 = x ^ (x >> 31);
    }

    /// Takes a wide number in as two words, the low one first.
    #[inline]
    pub const fn fold_wide(&mut self, value: i128) {
        self.fold(value as u64);
        self.fold((value >> 64) as u64);
    }

    /// The hash of everything so far.
    #[must_use]
    pub const fn value(&self) -> u64 {
        self.0
    }
}

impl Default for RunningHash {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[u64]) -> u64 {
        let mut hash = RunningHash::new();
        words.iter().for_each(|&word| hash.fold(word));
        hash.value()
    }

    #[test]
    fn order_number_and_value_of_words_count() {
        let all = [of(&[]), of(&[0]), of(&[0, 0]), of(&[1, 2]), of(&[2, 1]), of(&[1]), of(&[2])];
        for (i, a) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|b| a != b), "{all:x?}");
        }
    }

    #[test]
    fn the_fold_is_pinned() {
        // A change here changes every recorded hash.
        assert_eq!(of(&[1, u64::MAX, 42]), 0x87a5_033f_1ee7_52cf);
        let mut wide = RunningHash::new();
        wide.fold_wide(-5);
        assert_eq!(wide.value(), of(&[(-5i64) as u64, u64::MAX]));
    }
}
