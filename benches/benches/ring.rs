//! One value through a ring, and through the table of latest values, on one thread: what the
//! instructions cost when no cache line has to travel.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use reap_ring::{latest, ring};

const CAPACITY: usize = 1024;
const TICK: [u64; 7] = [1, 2, 3, 4, 5, 6, 7];

fn push_and_pop(c: &mut Criterion) {
    let mut group = c.benchmark_group("ring");
    let (mut producer, mut consumer) = ring(CAPACITY);
    group.bench_function("push and pop", |b| {
        b.iter(|| {
            producer.push(black_box(TICK)).expect("it was empty");
            black_box(consumer.pop())
        });
    });
    group.bench_function("pop, empty", |b| b.iter(|| black_box(consumer.pop())));
    let (mut producer, mut consumer) = rtrb::RingBuffer::new(CAPACITY);
    group.bench_function("push and pop, rtrb", |b| {
        b.iter(|| {
            producer.push(black_box(TICK)).expect("it was empty");
            black_box(consumer.pop())
        });
    });
    group.finish();
}

fn write_and_read(c: &mut Criterion) {
    let mut group = c.benchmark_group("latest");
    let (mut writer, reader) = latest::table(16);
    group.bench_function("write", |b| b.iter(|| writer.write(black_box(3), black_box(&TICK))));
    group.bench_function("read", |b| b.iter(|| black_box(reader.read(black_box(3)))));
    group.finish();
}

criterion_group!(benches, push_and_pop, write_and_read);
criterion_main!(benches);
