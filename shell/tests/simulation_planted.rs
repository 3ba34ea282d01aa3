//! The simulation is tested too: each bug that is planted in the executor is found within ten
//! thousand seeds, and without a bug the same seeds find nothing.

// Without debug assertions there is nothing to plant.
#![cfg(debug_assertions)]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test says its seeds, and ends where something is missing"
)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use reap_core::planted::Bug;
use reap_shell::simulation::{trial, trial_of};

const SEEDS: u64 = 10_000;

/// What a seed finds: a violation in words, or the assertion that ended the trial.
fn found(seed: u64, bug: Bug) -> Option<String> {
    match catch_unwind(AssertUnwindSafe(|| trial_of(seed, &|executor| executor.plant(bug)))) {
        Ok(trial) => trial.violation.map(|violation| violation.to_string()),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Some(format!("ended by: {}", text.unwrap_or_default()))
        }
    }
}

#[test]
fn each_planted_bug_is_found() {
    // Assertions of the product end trials here, and are told below.
    std::panic::set_hook(Box::new(|_| {}));
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        let hit = (1..=SEEDS).find_map(|seed| Some((seed, found(seed, bug)?)));
        match hit {
            Some((seed, how)) => {
                println!("{bug:?}: seed {seed}, {how}");
                // It is the bug that was found.
                assert_eq!(trial(seed).violation, None, "seed {seed} without {bug:?}");
            }
            None => missed.push(bug),
        }
    }
    drop(std::panic::take_hook());
    assert!(missed.is_empty(), "not found: {missed:?}");
}
