//! Trials of the deterministic simulation: how many hold, and how fast they run.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use reap_shell::simulation::{Tally, told, trial};
use serde_json::{Map, Value, json};

/// What the command does, for `--list`.
pub(crate) const ABOUT: &str =
    "seeds of the deterministic simulation: violations, events, coverage";

/// What one thread has seen.
#[derive(Default)]
struct Seen {
    seeds: u64,
    events: u64,
    violations: Vec<u64>,
    tally: Tally,
}

/// Runs `seeds` trials on all cores. Prints figures, and the story of the first that fails.
pub(crate) fn run(first: u64, seeds: u64, as_json: bool) -> ExitCode {
    let end = first.saturating_add(seeds);
    let (next, stop) = (AtomicU64::new(first), AtomicBool::new(false));
    let work = || {
        let mut seen = Seen::default();
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                break;
            }
            let trial = trial(seed);
            seen.seeds += 1;
            seen.events += trial.events;
            seen.tally.add(trial.met);
            if trial.violation.is_some() {
                seen.violations.push(seed);
                stop.store(true, Ordering::Relaxed);
            }
        }
        seen
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let begun = Instant::now();
    let parts: Vec<Seen> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).collect()
    });
    let seconds = begun.elapsed().as_secs_f64();
    if parts.len() < threads {
        eprintln!("simulate: a trial ended in a panic; its seed is near {}", next.into_inner());
        return ExitCode::FAILURE;
    }
    let mut all = Seen::default();
    for part in parts {
        all.seeds += part.seeds;
        all.events += part.events;
        all.violations.extend(part.violations);
        all.tally.merge(&part.tally);
    }
    let per_second = all.seeds as f64 / seconds;
    let per_core = per_second / threads as f64;
    if as_json {
        let coverage: Map<String, Value> =
            all.tally.counts().map(|(name, count)| (name.to_owned(), count.into())).collect();
        println!(
            "{}",
            json!({
                "scenario": "simulate",
                "first_seed": first,
                "seeds": all.seeds,
                "violations": all.violations.len(),
                "failed_seeds": all.violations,
                "events": all.events,
                "events_per_seed": all.events / all.seeds.max(1),
                "seconds": seconds,
                "seeds_per_second": per_second,
                "seeds_per_second_and_core": per_core,
                "threads": threads,
                "coverage": coverage,
            })
        );
    } else {
        println!(
            "{} seeds from {first}: {} violations, {} events ({} a seed)\n{per_second:.0} seeds a \
             second on {threads} cores, {per_core:.0} on each",
            all.seeds,
            all.violations.len(),
            all.events,
            all.events / all.seeds.max(1)
        );
        for (name, count) in all.tally.counts() {
            println!("{name:<26} {count:>9} {:>6.1} %", 100.0 * count as f64 / all.seeds as f64);
        }
    }
    let Some(&failed) = all.violations.iter().min() else { return ExitCode::SUCCESS };
    for line in told(failed).story {
        eprintln!("{line}");
    }
    eprintln!("seed {failed} fails: reap-perf simulate --first-seed {failed} --seeds 1");
    ExitCode::FAILURE
}
