//! The newest value per index: one writer overwrites, many readers copy.
//!
//! ```text
//!   entry  ┌─────────┬────────┬────────┬───┐     version 0     never written
//!          │ version │ word 0 │ word 1 │ … │             odd   being written
//!          └─────────┴────────┴────────┴───┘             even  whole
//! ```
//!
//! A sequence lock made of atomics: the words are atomic too, so a torn read is noticed and repeated,
//! and is never undefined. The writer never waits; a reader repeats while a write is under way.

use crate::sync::{Arc, AtomicU64, Ordering, fence, spin_loop};

/// Creates a table of `len` entries of `N` words, none of them written yet.
///
/// ```
/// let (mut writer, reader) = reap_ring::latest::table::<2>(8);
/// assert_eq!(reader.read(3), None);
/// writer.write(3, &[10, 11]);
/// writer.write(3, &[20, 21]);
/// assert_eq!(reader.read(3), Some([20, 21]));
/// ```
#[must_use]
pub fn table<const N: usize>(len: usize) -> (Writer<N>, Reader<N>) {
    let entries = (0..len).map(|_| Entry::default()).collect();
    let table = Arc::new(Table { entries });
    (Writer { table: Arc::clone(&table) }, Reader { table })
}

/// One value. Seven words and the version are one cache line; entries never share a line.
#[repr(C, align(64))]
struct Entry<const N: usize> {
    /// Twice the number of writes, and one more while a write is under way. It wraps after 2⁶³
    /// writes: at one in a nanosecond, in 292 years.
    version: AtomicU64,
    words: [AtomicU64; N],
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Entry<7>>() == 64);

impl<const N: usize> Default for Entry<N> {
    fn default() -> Self {
        let words = std::array::from_fn(|_| AtomicU64::new(0));
        Self { version: AtomicU64::new(0), words }
    }
}

struct Table<const N: usize> {
    entries: Box<[Entry<N>]>,
}

/// The side that writes. There is one: it is neither cloned nor shared while it writes.
pub struct Writer<const N: usize> {
    table: Arc<Table<N>>,
}

impl<const N: usize> Writer<N> {
    /// Overwrites the value at `index`; never waits.
    ///
    /// # Panics
    /// If `index` is not below the table's length.
    #[inline]
    pub fn write(&mut self, index: usize, words: &[u64; N]) {
        let entry = &self.table.entries[index];
        // No partner: only this writer stores it.
        let version = entry.version.load(Ordering::Relaxed);
        entry.version.store(version.wrapping_add(1), Ordering::Relaxed);
        // Pairs with the Acquire fence in Reader::read: who read a word stored below finds, after
        // its fence, at least the odd version above, and repeats.
        fence(Ordering::Release);
        for (target, word) in entry.words.iter().zip(words) {
            // Pairs with the load of the words in Reader::read, through the fences.
            target.store(*word, Ordering::Relaxed);
        }
        // Pairs with the Acquire in Reader::read: who sees it sees these words, or newer ones.
        entry.version.store(version.wrapping_add(2), Ordering::Release);
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.entries.len()
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.entries.is_empty()
    }
}

impl<const N: usize> std::fmt::Debug for Writer<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// A side that reads; there may be many.
#[derive(Clone)]
pub struct Reader<const N: usize> {
    table: Arc<Table<N>>,
}

impl<const N: usize> Reader<N> {
    /// The newest whole value at `index`, `None` before the first write. Repeats while a write is
    /// under way, which takes nanoseconds unless the writer's thread was stopped in it.
    ///
    /// # Panics
    /// If `index` is not below the table's length.
    #[must_use]
    #[inline]
    pub fn read(&self, index: usize) -> Option<[u64; N]> {
        let entry = &self.table.entries[index];
        loop {
            // Pairs with the Release of the even version in Writer::write: the words below are at
            // least as new as this version.
            let before = entry.version.load(Ordering::Acquire);
            if before == 0 {
                return None;
            }
            if before.is_multiple_of(2) {
                // Pairs with the stores of the words in Writer::write, through the fences.
                let words = std::array::from_fn(|at| entry.words[at].load(Ordering::Relaxed));
                // Pairs with the Release fence in Writer::write: if one of the words was newer than
                // `before`, so is the version now.
                fence(Ordering::Acquire);
                // Pairs with the store of the odd version in Writer::write, through the fences.
                if entry.version.load(Ordering::Relaxed) == before {
                    return Some(words);
                }
            }
            spin_loop();
        }
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.entries.len()
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.entries.is_empty()
    }
}

impl<const N: usize> std::fmt::Debug for Reader<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
