//! From a decision to the order's bytes on the venue's socket.
//!
//! ```text
//!   tick ─▶ engine ─▶ ring, bell ─▶ execution ─▶ order log ─▶ encode, sign ─▶ write
//!   └ decided                       spins on core B, or sleeps until the bell      └ sent
//!                                                                                 │
//!                beside it, warm:   one append ──┐                                ▼
//!                                   gateway.send ┴─ one after another     a simulated venue
//! ```
//!
//! The engine, its rings and the bell, the execution agent with its log and the venue's trading are
//! the product's, wired as the product wires them; the quotes come from a clock instead of a socket.
//! Each one crosses the stop of one position, and each order is filled by a simulated venue that
//! speaks the venue's own protocol. The figure is the product's own stage, from the time that the
//! engine was told to when the system has taken the order's bytes: on loopback they are then in the
//! other side's socket. It holds the engine's step, which the warm parts leave out.
//!
//! Execution has core B to itself, also where it parks; everything else shares core A: a venue that
//! lived on core B would be woken by the order's last byte and run before the write returns. Quotes
//! come open loop, at their times; the thread that makes them sleeps in between, so that only
//! execution spins. The first tenth warms up.

mod rig;

use reap_shell::live::layout::{Idle, Layout, LayoutWish, Shape, allowed};
use reap_shell::order_log::{LogSettings, OrderLog};

use core_affinity::CoreId;
use hdrhistogram::Histogram;
use reap_core::log::Record;
use reap_core::units::Nanos;

use super::ScenarioError;
use super::ring::{Bench, bare};
use crate::figures::Figures;
use crate::timing::{Steps, Stopwatch};

/// Orders of one turn at the usual work.
const ORDERS: u64 = 400;
const TURNS: usize = 3;
/// Below this share of the work it is a smoke run: one turn.
const SMOKE: u64 = 10;
const APPENDS: u64 = 20_000;
const ROUND_TRIPS: u64 = 20_000;
const GOAL: f64 = 3.0;
const VENUES: [&str; 2] = ["binance_usdm", "bybit_linear"];

pub(crate) fn run(work: u64) -> Result<Figures, ScenarioError> {
    let cores = allowed();
    let wish = LayoutWish { shape: Some(Shape::Fused), ..LayoutWish::default() };
    let layout = Layout::choose(&cores, &wish).map_err(|error| ScenarioError::missing(&error))?;
    let hot = layout.feed.cpu.ok_or_else(|| ScenarioError::missing(&"a core to spin on"))?;
    let own = cores.iter().copied().find(|core| *core != hot);
    let own = own.ok_or_else(|| ScenarioError::missing(&"a second core for the venue"))?;
    let stopwatch = Stopwatch::new();
    let bench = Bench { cores: [own, hot].map(|id| CoreId { id }), stopwatch: stopwatch.clone() };
    let orders = (ORDERS * work.min(100) / 100).max(20) as usize;
    let rounds = (ROUND_TRIPS * work.min(100) / 100).max(1_000);

    let turns = if work < SMOKE { 1 } else { TURNS };
    let mut figures = Figures::default();
    figures.figure("cost of measuring, ns", stopwatch.cost as f64);
    figures.figure("core to core before p50, ns", bare(rounds, &bench).0);
    let appends = (APPENDS * work.min(100) / 100).max(500);
    let append = on_core(hot, || appended(appends, &stopwatch))?;
    figures.steps("warm append", &append);
    for venue in VENUES {
        let empty = || Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3);
        let mut seen = [Idle::Spin, Idle::Park]
            .map(|idle| (idle, empty().expect("constant bounds are valid")));
        let mut send = Steps::new();
        for _ in 0..turns {
            send.add(&on_core(own, || rig::sends(venue, hot, orders, &stopwatch))?);
            for (idle, seen) in &mut seen {
                let once = on_core(own, || rig::intents_to_bytes(venue, *idle, hot, orders))?;
                seen.add(once).expect("all have the same bounds");
            }
        }
        figures.steps(&format!("{venue} warm encode, sign, write"), &send);
        let sum = append.percentile(50.0) + send.percentile(50.0);
        figures.figure(format!("{venue} warm sum, ns"), sum);
        for (idle, seen) in &seen {
            let name = match idle {
                Idle::Park => format!("{venue} parked"),
                _ => format!("{venue} spinning"),
            };
            figures.histogram(&format!("{name} intent to bytes"), seen);
            let p50 = seen.value_at_percentile(50.0) as f64;
            let name = format!("{name} intent to bytes p50, of warm");
            match idle {
                // Waking a thread is the machine's matter: shown, not judged.
                Idle::Park => figures.figure(name, p50 / sum),
                _ => figures.ratio(name, p50 / sum, GOAL),
            }
        }
    }
    figures.figure("core to core after p50, ns", bare(rounds, &bench).0);
    Ok(figures)
}

/// Runs on a thread of its own that is pinned there.
fn on_core<T: Send>(
    cpu: usize,
    measure: impl FnOnce() -> Result<T, ScenarioError> + Send,
) -> Result<T, ScenarioError> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            reap_shell::live::layout::pin(cpu).map_err(|why| ScenarioError::missing(&why))?;
            measure()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn appended(appends: u64, stopwatch: &Stopwatch) -> Result<Steps, ScenarioError> {
    let dir = std::env::temp_dir().join(format!("reap-perf-wire-append-{}", std::process::id()));
    let log = OrderLog::open(&dir, Nanos(1), LogSettings::default());
    let mut log = log.map_err(|error| ScenarioError::missing(&error))?;
    let mut steps = Steps::new();
    for at in 0..appends {
        let record = Record::Order(rig::order(at as u32));
        let nanos = stopwatch.time(|| log.append(Nanos(at), &record).map(drop).unwrap_or_default());
        if at >= appends / 10 {
            steps.record(nanos);
        }
    }
    let poisoned = log.poisoned().cloned();
    drop(log);
    // What is left in the system's temporary folder is only space.
    let _ = std::fs::remove_dir_all(&dir);
    poisoned.map_or(Ok(steps), |error| Err(ScenarioError::missing(&error)))
}
