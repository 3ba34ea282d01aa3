//! Trials of the deterministic simulation: what must always hold, holds for every seed.
//!
//! `FIRST_SEED=… SEEDS=… cargo test -p reap-shell --test simulation` runs others. A seed that fails
//! prints itself and its story.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test says its seeds, and ends where something is missing"
)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use reap_shell::simulation::{Tally, told, trial};

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Prints a failed seed with the end of its story.
fn fail(seed: u64) -> ! {
    let trial = told(seed);
    let from = trial.story.len().saturating_sub(200);
    println!("{}", trial.story[from..].join("\n"));
    panic!("FIRST_SEED={seed} SEEDS=1: {:?}", trial.violation);
}

#[test]
fn nothing_that_venues_do_breaks_what_must_hold() {
    let (first, seeds) = (setting("FIRST_SEED", 1), setting("SEEDS", 20_000));
    println!("FIRST_SEED={first} SEEDS={seeds}");
    let next = AtomicU64::new(first);
    let run = || {
        let (mut tally, mut events, mut failed) = (Tally::default(), 0, None);
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + seeds || failed.is_some() {
                return (tally, events, failed);
            }
            let trial = trial(seed);
            tally.add(trial.met);
            events += trial.events;
            failed = trial.violation.map(|_| seed);
        }
    };
    let parts: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..2).map(|_| scope.spawn(run)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    if let Some(seed) = parts.iter().filter_map(|(.., failed)| *failed).min() {
        fail(seed);
    }
    let mut tally = Tally::default();
    parts.iter().for_each(|(part, ..)| tally.merge(part));
    let events: u64 = parts.iter().map(|(_, events, _)| events).sum();
    println!("{events} events");
    for (name, count) in tally.counts() {
        println!("{name}: {count}");
    }
    if seeds >= 1_000 {
        let rare: Vec<_> = tally.counts().filter(|(_, count)| count * 100 < seeds).collect();
        assert!(rare.is_empty(), "met in less than one trial of a hundred: {rare:?}");
    }
}

#[test]
fn the_same_seed_is_the_same_trial() {
    let first = setting("FIRST_SEED", 1);
    for seed in first..first + 20 {
        let (one, other) = (told(seed), told(seed));
        assert_eq!(one.story, other.story, "seed {seed}");
        assert!(!one.story.is_empty());
        // Telling changes nothing.
        let silent = trial(seed);
        assert_eq!((silent.events, silent.met), (one.events, one.met), "seed {seed}");
    }
    assert_ne!(told(first).story, told(first + 1).story);
}
