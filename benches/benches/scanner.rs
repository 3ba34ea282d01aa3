//! Reading a number: the fast way of the hot messages, the plain loop, and the standard library.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use reap_feed::decimal::{leading_decimal, leading_integer, parse, parse_integer};

/// Numbers as spot and futures write them, with what follows in the message, and their scales.
const DECIMALS: [(&str, &str, u8); 4] = [
    ("spot price", "61837.63000000\",\"B\":\"", 2),
    ("spot size", "1.54698000\",\"a\":\"", 5),
    ("futures price", "61800.20\",\"B\":\"2.507", 2),
    ("futures size", "2.507\",\"a\":\"61800", 3),
];

fn decimals(c: &mut Criterion) {
    let mut group = c.benchmark_group("decimal");
    for (name, text, scale) in DECIMALS {
        let bytes = text.as_bytes();
        let number = text.split('"').next().unwrap_or(text).as_bytes();
        group.bench_function(format!("{name}, words"), |b| {
            b.iter(|| leading_decimal(black_box(bytes), black_box(scale)));
        });
        group.bench_function(format!("{name}, loop"), |b| {
            b.iter(|| parse(black_box(number), black_box(scale)));
        });
    }
    group.finish();
}

fn integers(c: &mut Criterion) {
    let mut group = c.benchmark_group("integer");
    let (bytes, number) = (b"5123107839020,\"s\":\"BTCUSDT\"", "5123107839020");
    group.bench_function("update id, words", |b| b.iter(|| leading_integer(black_box(bytes))));
    group.bench_function("update id, loop", |b| {
        b.iter(|| parse_integer(black_box(number.as_bytes())));
    });
    group.bench_function("update id, std", |b| b.iter(|| black_box(number).parse::<u64>()));
    group.finish();
}

criterion_group!(benches, decimals, integers);
criterion_main!(benches);
