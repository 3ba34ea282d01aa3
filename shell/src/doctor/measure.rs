//! What no file says: how long a spinning thread is taken off its core, and how fast one core hears
//! of what another one wrote. One spinner at a time, two for the hand-off.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use core_affinity::CoreId;
use crossbeam_utils::CachePadded;
use hdrhistogram::Histogram;
use rustix::thread::{CpuSet, sched_getaffinity};
use serde_json::{Value, json};

use super::finding::Finding;
use crate::clock::Stopwatch;

/// How long one core spins.
const SPIN_NANOS: u64 = 100_000_000;
/// A gap from here on is time that the thread was not running; reading the clock takes some 30 ns.
const GAP_NANOS: u64 = 1_000;
const LARGEST_GOOD: u64 = 100_000;
const LARGEST_BAD: u64 = 2_000_000;
/// Lost time in parts per million.
const LOST_GOOD_PPM: u64 = 1_000;
const LOST_BAD_PPM: u64 = 20_000;

const ROUNDS: u64 = 20_000;
/// The hand-off ends here, however far it came.
const HAND_OFF_NANOS: u64 = 500_000_000;
const HAND_OFF_GOOD: u64 = 500;
const HAND_OFF_BAD: u64 = 5_000;

/// How evenly one core ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Jitter {
    pub(super) core: usize,
    pub(super) largest: u64,
    pub(super) p999: u64,
    pub(super) lost_ppm: u64,
}

/// Time from one core to another, one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HandOff {
    pub(super) cores: [usize; 2],
    pub(super) rounds: u64,
    pub(super) p50: u64,
    pub(super) p99: u64,
}

/// Nanoseconds as people read them.
pub(super) fn span(nanos: u64) -> String {
    match nanos {
        0..1_000 => format!("{nanos} ns"),
        1_000..1_000_000 => format!("{}.{} µs", nanos / 1_000, nanos % 1_000 / 100),
        _ => format!("{}.{} ms", nanos / 1_000_000, nanos % 1_000_000 / 100_000),
    }
}

impl Jitter {
    pub(super) fn finding(&self) -> Finding {
        let name = "jitter";
        let lost = format!("{}.{:02} %", self.lost_ppm / 10_000, self.lost_ppm % 10_000 / 100);
        let value = format!(
            "core {}: largest gap {}, p99.9 {}, {lost} lost",
            self.core,
            span(self.largest),
            span(self.p999)
        );
        let remedy = "isolate the core, move interrupts and other processes off it, and look at \
                      the host when it is a virtual machine";
        let finding = if self.largest > LARGEST_BAD || self.lost_ppm > LOST_BAD_PPM {
            Finding::bad(name, value, remedy)
        } else if self.largest > LARGEST_GOOD || self.lost_ppm > LOST_GOOD_PPM {
            Finding::warn(name, value, remedy)
        } else {
            Finding::good(name, value)
        };
        finding.matters()
    }

    pub(super) fn to_json(self) -> Value {
        json!({
            "core": self.core,
            "largest_ns": self.largest,
            "p99_9_ns": self.p999,
            "lost_ppm": self.lost_ppm,
        })
    }
}

impl HandOff {
    pub(super) fn finding(&self) -> Finding {
        let name = "hand-off";
        let [from, to] = self.cores;
        let value = format!("core {from} to {to}: p50 {}, p99 {}", span(self.p50), span(self.p99));
        let remedy = "pin to cores of one socket and one cache cluster (lscpu -e), and let nothing \
                      else run there";
        let finding = match self.p50 {
            0..=HAND_OFF_GOOD if self.p99 <= HAND_OFF_BAD => Finding::good(name, value),
            0..=HAND_OFF_BAD => Finding::warn(name, value, remedy),
            _ => Finding::bad(name, value, remedy),
        };
        finding.matters()
    }

    pub(super) fn to_json(self) -> Value {
        json!({
            "cores": self.cores,
            "rounds": self.rounds,
            "p50_ns": self.p50,
            "p99_ns": self.p99,
        })
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("constant bounds are valid")
}

/// Pins this thread, and asks the system whether it is so.
fn pin(core: usize) -> Result<(), String> {
    // Beyond the size of the system's set of cores, core_affinity ends the process.
    let asked = core < CpuSet::MAX_CPU && core_affinity::set_for_current(CoreId { id: core });
    let is = sched_getaffinity(None).map_err(|error| error.to_string())?;
    if asked && is.count() == 1 && is.is_set(core) {
        return Ok(());
    }
    Err(format!("a thread cannot be pinned to core {core}"))
}

/// Spins on one core.
pub(super) fn jitter(core: usize) -> Result<Jitter, String> {
    let spin = move || {
        pin(core)?;
        let stopwatch = Stopwatch::start();
        let mut gaps = histogram();
        let (start, mut lost) = (stopwatch.raw(), 0);
        let mut last = start;
        while stopwatch.nanos_between(start, last) < SPIN_NANOS {
            let now = stopwatch.raw();
            let gap = stopwatch.nanos_between(last, now);
            gaps.saturating_record(gap.max(1));
            if gap >= GAP_NANOS {
                lost += gap;
            }
            last = now;
        }
        let whole = stopwatch.nanos_between(start, last).max(1);
        Ok(Jitter {
            core,
            largest: gaps.max(),
            p999: gaps.value_at_quantile(0.999),
            lost_ppm: lost * 1_000_000 / whole,
        })
    };
    join(thread::Builder::new().spawn(spin))
}

fn join<T>(spawned: std::io::Result<thread::JoinHandle<Result<T, String>>>) -> Result<T, String> {
    let handle = spawned.map_err(|error| format!("no thread can be started: {error}"))?;
    handle.join().unwrap_or_else(|_| Err("the measuring thread has panicked".to_owned()))
}

/// Ends the hand-off: no round has this number.
const STOP: u64 = u64::MAX;

/// A number that goes to another core and comes back.
pub(super) fn hand_off(cores: [usize; 2]) -> Result<HandOff, String> {
    let ball = [(); 2].map(|()| CachePadded::new(AtomicU64::new(0)));
    let [there, back] = &ball;
    thread::scope(|scope| {
        let echo = move || {
            let pinned = pin(cores[1]);
            let answers = pinned.is_ok();
            let mut seen = 0;
            loop {
                // Pairs with the Release of the thread that counts.
                let ball = there.load(Ordering::Acquire);
                if ball == STOP {
                    return pinned;
                }
                if ball != seen && answers {
                    seen = ball;
                    // Pairs with the Acquire of the thread that counts.
                    back.store(ball, Ordering::Release);
                }
                std::hint::spin_loop();
            }
        };
        let count = move || {
            let counted = count(cores, there, back);
            there.store(STOP, Ordering::Release);
            counted
        };
        let echo = thread::Builder::new().spawn_scoped(scope, echo);
        let echo = echo.map_err(|error| format!("no thread can be started: {error}"))?;
        let count = match thread::Builder::new().spawn_scoped(scope, count) {
            Ok(count) => count.join(),
            Err(error) => {
                there.store(STOP, Ordering::Release);
                Ok(Err(format!("no thread can be started: {error}")))
            }
        };
        let panicked = || "the measuring thread has panicked".to_owned();
        let echoed = echo.join().map_err(|_| panicked())?;
        echoed.and(count.map_err(|_| panicked())?)
    })
}

fn count(cores: [usize; 2], there: &AtomicU64, back: &AtomicU64) -> Result<HandOff, String> {
    pin(cores[0])?;
    let stopwatch = Stopwatch::start();
    let mut times = histogram();
    let start = stopwatch.raw();
    'rounds: for round in 1..=ROUNDS {
        let sent = stopwatch.raw();
        there.store(round, Ordering::Release);
        // Pairs with the Release of the echo.
        while back.load(Ordering::Acquire) != round {
            std::hint::spin_loop();
            if stopwatch.nanos_between(start, stopwatch.raw()) > HAND_OFF_NANOS {
                break 'rounds;
            }
        }
        times.saturating_record((stopwatch.nanos_between(sent, stopwatch.raw()) / 2).max(1));
    }
    if times.is_empty() {
        return Err(format!("core {} did not answer within half a second", cores[1]));
    }
    Ok(HandOff {
        cores,
        rounds: times.len(),
        p50: times.value_at_quantile(0.5),
        p99: times.value_at_quantile(0.99),
    })
}

/// Steal between two readings of `/proc/stat`.
pub(super) fn steal(before: &str, after: &str) -> Finding {
    let name = "steal";
    let remedy = "the host gives the cores to others: use dedicated cores or another host";
    let (Some(before), Some(after)) = (ticks(before), ticks(after)) else {
        return Finding::unknown(name, "/proc/stat has no line of all cores").matters();
    };
    let all = after.0.saturating_sub(before.0);
    let stolen = after.1.saturating_sub(before.1);
    if all == 0 {
        return Finding::unknown(name, "no time has passed in /proc/stat").matters();
    }
    let value = format!("{stolen} of {all} ticks");
    let finding = match stolen * 100 / all {
        _ if stolen == 0 => Finding::good(name, value),
        0..5 => Finding::warn(name, value, remedy),
        _ => Finding::bad(name, value, remedy),
    };
    finding.matters()
}

/// All ticks and the stolen ones. The first eight columns are apart from each other.
fn ticks(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let columns: Vec<u64> =
        line.split_whitespace().take(8).map(|word| word.parse().ok()).collect::<Option<_>>()?;
    let sum = columns.iter().fold(0u64, |sum, &column| sum.saturating_add(column));
    Some((sum, *columns.get(7)?))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    #[test]
    fn steal_is_what_passed_between_two_readings() {
        let stat = |user: u64, steal: u64| format!("cpu  {user} 0 0 0 0 0 0 {steal} 0 0\ncpu0 1\n");
        let judged = |steal_ticks: u64| {
            let finding = steal(&stat(100, 7), &stat(200, 7 + steal_ticks));
            (finding.verdict, finding.is_fit())
        };
        assert_eq!(judged(0), (Verdict::Good, true));
        assert_eq!(judged(1), (Verdict::Warn, false));
        assert_eq!(judged(10), (Verdict::Bad, false));
        for (before, after) in [("", "cpu 1"), ("cpu  x", "cpu  y"), ("cpu  1 2", "cpu  1 2")] {
            assert_eq!(steal(before, after).verdict, Verdict::Unknown);
        }
        let same = stat(1, 1);
        assert_eq!(steal(&same, &same).verdict, Verdict::Unknown);
    }

    #[test]
    fn jitter_and_hand_off_are_judged_by_their_tails() {
        let jitter =
            |largest, lost_ppm| Jitter { core: 3, largest, p999: 40, lost_ppm }.finding().verdict;
        assert_eq!(jitter(100_000, 1_000), Verdict::Good);
        assert_eq!(jitter(100_001, 0), Verdict::Warn);
        assert_eq!(jitter(0, 1_001), Verdict::Warn);
        assert_eq!(jitter(2_000_001, 0), Verdict::Bad);
        assert_eq!(jitter(0, 20_001), Verdict::Bad);
        let hand_off = |p50, p99| HandOff { cores: [0, 1], rounds: 1, p50, p99 }.finding().verdict;
        assert_eq!(hand_off(500, 5_000), Verdict::Good);
        assert_eq!(hand_off(501, 600), Verdict::Warn);
        assert_eq!(hand_off(100, 5_001), Verdict::Warn);
        assert_eq!(hand_off(5_001, 6_000), Verdict::Bad);
    }

    #[test]
    fn cores_of_this_machine_are_measured() {
        let cores: Vec<usize> =
            core_affinity::get_core_ids().unwrap().iter().map(|core| core.id).collect();
        let jitter = jitter(cores[0]).unwrap();
        assert!(jitter.core == cores[0] && jitter.largest >= jitter.p999 && jitter.p999 > 0);
        assert!(super::jitter(1 << 13).is_err(), "no machine has that core");
        if let [a, b, ..] = cores[..] {
            let hand_off = hand_off([a, b]).unwrap();
            assert!(hand_off.rounds > 0 && hand_off.p99 >= hand_off.p50);
            assert!(super::hand_off([a, 1 << 13]).is_err());
            assert!(super::hand_off([1 << 13, b]).is_err());
        }
    }

    #[test]
    fn spans_are_for_people() {
        assert_eq!([999, 1_250, 3_400_000].map(span), ["999 ns", "1.2 µs", "3.4 ms"]);
    }
}
