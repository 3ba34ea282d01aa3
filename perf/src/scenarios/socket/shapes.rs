//! The whole product as it would run here, beside three spinning threads on two cores.
//!
//! ```text
//!   chosen    core B: feed + engine, spinning      anywhere: execution parked, main, the venue
//!   spinners  two cores: feed, engine, execution, all spinning; main and the venue in between
//! ```
//!
//! Paper mode: orders are filled by the quotes. The venue sleeps between frames, for the cores belong
//! to the product. The figure is the product's own: message in hand → decided, of every quote.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use reap_shell::clock::{LiveClock, rest};
use reap_shell::config::Mode;
use reap_shell::live::layout::{Idle, Layout, LayoutWish, Place, Shape};
use reap_shell::live::run::Run;
use reap_shell::live::watch::Watch;
use reap_shell::pipeline::Stage;

use super::market::{self, Market};
use super::venue::{Schedule, Venue};
use crate::figures::Figures;
use crate::scenarios::ScenarioError;

const FRAMES: u64 = 3_000;
const WARM_UP: usize = 300;
/// A thousand a second: what several liquid instruments bring.
const INTERVAL: u64 = 1_000_000;
const TURNS: usize = 3;
/// Below this share of the work it is a smoke run: one turn.
const SMOKE: u64 = 10;
const GOAL: f64 = 0.01;
/// The product collects its histograms by swapping them; what is asked for is there a moment later.
const COLLECT: Duration = Duration::from_millis(50);

/// Runs both by turns where the product would not spin three threads anyway.
pub(super) fn measure(
    work: u64,
    cores: &[usize],
    figures: &mut Figures,
) -> Result<(), ScenarioError> {
    let chosen = Layout::choose(cores, &LayoutWish::default());
    let chosen = chosen.map_err(|error| ScenarioError::missing(&error))?;
    let frames = (FRAMES * work.min(100) / 100).max(200) as usize;
    let turns = if work < SMOKE { 1 } else { TURNS };
    let mut chosen_seen = empty();
    if chosen.shape == Shape::Split {
        for _ in 0..turns {
            add(&mut chosen_seen, &once(&chosen, frames)?);
        }
        figures.histogram("split in hand to decided", &chosen_seen);
        return Ok(());
    }
    let free = Place { cpu: None, idle: Idle::Spin };
    let spinners = Layout {
        shape: Shape::Split,
        feed: free,
        engine: Some(free),
        execution: free,
        allowed: cores.to_vec(),
    };
    let mut spinners_seen = empty();
    for _ in 0..turns {
        add(&mut chosen_seen, &once(&chosen, frames)?);
        add(&mut spinners_seen, &once(&spinners, frames)?);
    }
    let name = chosen.shape.name();
    figures.histogram(&format!("{name} layout in hand to decided"), &chosen_seen);
    figures.histogram("three spinners in hand to decided", &spinners_seen);
    let p99 = |seen: &Histogram<u64>| seen.value_at_percentile(99.0) as f64;
    let ratio = p99(&chosen_seen) / p99(&spinners_seen).max(1.0);
    if cores.len() == 2 {
        figures.ratio("in hand to decided p99, of three spinners", ratio, GOAL);
    } else {
        figures.figure("in hand to decided p99, of three spinners", ratio);
    }
    Ok(())
}

fn empty() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("constant bounds are valid")
}

fn add(sum: &mut Histogram<u64>, one: &Histogram<u64>) {
    sum.add(one).expect("all have the same bounds");
}

const CONNECTING: u8 = 0;
const WARM: u8 = 1;
const MEASURED: u8 = 2;
const OVER: u8 = 3;

/// One run of the product, its warm-up taken off.
fn once(layout: &Layout, frames: usize) -> Result<Histogram<u64>, ScenarioError> {
    let failed = |error: &dyn std::fmt::Display| ScenarioError::failed(error);
    let venue = Venue::open(None).map_err(|error| failed(&error))?;
    let port = venue.port().map_err(|error| failed(&error))?;
    let positions = (frames + WARM_UP) as u64 / market::EVERY + 1;
    let config = market::config(&format!("ws://127.0.0.1:{port}"), None, positions)?;
    let log = std::env::temp_dir().join(format!("reap-perf-shape-{}", std::process::id()));
    let state = AtomicU8::new(CONNECTING);
    let seen = std::thread::scope(|scope| {
        let mut run = Run::start_on(layout.clone(), config, Mode::Paper, &log)
            .map_err(|error| failed(&error))?;
        let lines = run.lines.len();
        let clock = run.clock.clone();
        let (listens, state) = (&venue, &state);
        let venue = scope.spawn(move || serve(listens, lines, frames, &clock, state));
        let mut watch = Watch::new(&run);
        let mut before = None;
        while state.load(Ordering::Acquire) != OVER && !venue.is_finished() {
            watch.step(&mut run, &mut |_, _| {});
            if before.is_none() && state.load(Ordering::Acquire) == WARM {
                before = Some(collect(&mut run));
                state.store(MEASURED, Ordering::Release);
            }
            rest(Duration::from_millis(1));
        }
        let mut seen = collect(&mut run);
        let (_, ends) = run.stop(&mut |_| {});
        drop((watch, ends));
        let sent = venue.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        sent.map_err(|error| failed(&error))?;
        let before = before.ok_or_else(|| failed(&"the market never began"))?;
        seen.subtract(&before).map_err(|error| failed(&format!("{error:?}")))?;
        Ok(seen)
    });
    // What is left in the system's temporary folder is only space.
    let _ = std::fs::remove_dir_all(&log);
    seen
}

/// What the product has measured until now.
fn collect(run: &mut Run) -> Histogram<u64> {
    let mut sum = empty();
    for watched in &mut run.watched {
        watched.stats.collect();
        rest(COLLECT);
        add(&mut sum, watched.stats.collect().stages.histogram(Stage::Tick));
    }
    sum
}

fn serve(
    venue: &Venue,
    lines: usize,
    frames: usize,
    clock: &LiveClock,
    state: &AtomicU8,
) -> std::io::Result<()> {
    let mut wires = venue.accept_lines(lines)?;
    let mut send = |frames: &[Vec<u8>]| {
        let start = clock.real() + INTERVAL;
        let schedule = Schedule { clock, start, interval: INTERVAL, spins: false };
        schedule.send(&mut wires[0], frames, || {}).map(drop)
    };
    // Positions are opened meanwhile.
    send(&Market::calm().frames(WARM_UP))?;
    state.store(WARM, Ordering::Release);
    while state.load(Ordering::Acquire) != MEASURED {
        rest(Duration::from_millis(1));
    }
    let mut market = Market::after(WARM_UP as u64);
    send(&market.frames(frames))?;
    rest(Duration::from_millis(200));
    state.store(OVER, Ordering::Release);
    Ok(())
}
