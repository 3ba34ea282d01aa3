//! A reader sees whole values only, never older than one it saw: against a plain array, with real
//! threads, and under loom.

use super::{Reader, Writer, table};
use crate::testing::{Random, explore, mix, sized, thread};

/// The value of the `number`-th write: every word says which.
fn words<const N: usize>(number: u64) -> [u64; N] {
    std::array::from_fn(|at| if at == 0 { number } else { mix(number ^ at as u64) })
}

/// Which write this is, if it is all of one.
fn number<const N: usize>(read: &[u64; N]) -> u64 {
    assert_eq!(*read, words(read[0]), "torn");
    read[0]
}

fn write_all<const N: usize>(writer: &mut Writer<N>, index: usize, count: u64) {
    for number in 1..=count {
        writer.write(index, &words(number));
    }
}

/// Reads until the last write is seen, or `reads` times; returns the number last seen.
fn read_until<const N: usize>(reader: &Reader<N>, index: usize, last: u64, reads: u64) -> u64 {
    let mut seen = 0;
    for _ in 0..reads {
        let now = reader.read(index).map_or(0, |read| number(&read));
        assert!(now >= seen, "{now} after {seen}");
        seen = now;
        if seen == last {
            break;
        }
    }
    seen
}

#[test]
fn r3_reads_are_the_newest_writes() {
    let test = "r3_reads_are_the_newest_writes";
    let random = std::sync::Mutex::new(Random::from_env(test));
    explore(100, move || {
        let random = &mut *random.lock().expect("no test panics with it");
        let len = 1 + random.below(5) as usize;
        let (mut writer, reader) = table::<3>(len);
        let mut model = vec![None; len];
        for step in 0..sized(1_000, 20) {
            let index = random.below(len as u64) as usize;
            if random.below(2) == 0 {
                // Zeros too: "never written" is told apart from "zero was written".
                let value = if random.below(4) == 0 { [0; 3] } else { words(step) };
                writer.write(index, &value);
                model[index] = Some(value);
            }
            let index = random.below(len as u64) as usize;
            assert_eq!(reader.clone().read(index), model[index]);
        }
        assert_eq!((writer.len(), reader.len(), reader.is_empty()), (len, len, false));
    });
}

#[test]
fn r3_a_reader_never_sees_half_a_value() {
    explore(20, || {
        let (mut writer, reader) = table::<2>(1);
        let count = sized(50_000, 2);
        let reading = thread::spawn({
            let reader = reader.clone();
            move || read_until(&reader, 0, count, sized(u64::MAX, 2))
        });
        write_all(&mut writer, 0, count);
        reading.join().expect("the reader does not panic");
        assert_eq!(read_until(&reader, 0, count, 1), count, "the last write stays");
    });
}

#[test]
#[cfg(not(loom))]
fn r3_many_readers_of_many_entries() {
    let (mut writer, reader) = table::<7>(4);
    let count = 200_000;
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let reader = reader.clone();
            thread::spawn(move || {
                let mut patience = crate::testing::Patience::new();
                let mut seen = [0; 4];
                while seen != [count; 4] {
                    for (index, seen) in seen.iter_mut().enumerate() {
                        *seen = read_until(&reader, index, count, 1).max(*seen);
                    }
                    patience.wait();
                }
            })
        })
        .collect();
    for number in 1..=count {
        for index in 0..4 {
            writer.write(index, &words(number));
        }
    }
    for reader in readers {
        reader.join().expect("the reader does not panic");
    }
}

#[test]
#[should_panic(expected = "index out of bounds")]
#[cfg(not(loom))]
fn an_entry_that_is_not_there() {
    let (mut writer, _) = table::<1>(3);
    writer.write(3, &[0]);
}
