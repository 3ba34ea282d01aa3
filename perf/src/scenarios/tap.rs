//! What the input log costs the engine's thread: an event into its tap, beside one push of the same
//! bytes into a bare ring.

use std::hint::black_box;

use reap_core::event::Event;
use reap_core::instrument::{InstrumentId, SourceId};
use reap_core::tick::{Quote, Stamp, Tick};
use reap_core::units::Nanos;
use reap_ring::ring;
use reap_shell::live::tap::{Tap, Tapped};

use super::ScenarioError;
use super::engine::MID;
use crate::figures::Figures;
use crate::timing::{Steps, Stopwatch};

const GOAL: f64 = 1.50;
/// Pushes that are timed together: the clock ticks too slowly for one.
const BATCH: u64 = 64;
/// Batches at full work.
const BATCHES: u64 = 100_000;
/// Batches that warm both up.
const WARM_UP: u64 = 1_000;

pub(crate) fn run(work: u64) -> Result<Figures, ScenarioError> {
    let stopwatch = Stopwatch::new();
    let (mut tap, mut tapped) = Tap::new();
    let (mut bare, mut taken) = ring::<Tapped>(tapped.capacity());
    let quote = Quote::new(MID, MID + 1, 5, 7);
    let quote = quote.map_err(|error| ScenarioError::failed(&error))?;
    let event = |n: u64| {
        let stamp = Stamp {
            source: SourceId(0),
            received: Nanos(n),
            update_id: n,
            venue_lag_us: 0,
            reset: false,
        };
        Event::Tick(Tick::quote(InstrumentId(0), stamp, quote))
    };
    let (mut ours, mut theirs) = (Steps::new(), Steps::new());
    let mut lost = 0u64;
    for batch in 0..(BATCHES * work / 100).max(100) + WARM_UP {
        let events: Vec<Event> = (0..BATCH).map(|at| event(batch * BATCH + at)).collect();
        let at = Nanos(batch);
        // Picoseconds of one.
        let tap_took = stopwatch.time(|| events.iter().for_each(|one| tap.event(at, one)));
        let ring_took = stopwatch.time(|| {
            for one in &events {
                lost += u64::from(bare.push(Tapped::Event(at, *one)).is_err());
            }
        });
        while let Some(one) = tapped.pop() {
            black_box(&one);
        }
        while let Some(one) = taken.pop() {
            black_box(&one);
        }
        if batch >= WARM_UP {
            ours.record(tap_took * 1_000 / BATCH);
            theirs.record(ring_took * 1_000 / BATCH);
        }
    }
    if lost > 0 {
        return Err(ScenarioError::failed(&"the bare ring had no room"));
    }
    let mut figures = Figures::default();
    for (side, steps) in [("tap", &ours), ("push", &theirs)] {
        for percent in [50.0, 99.0, 99.9] {
            let name = format!("{side} p{percent} of means of {BATCH}, ns");
            figures.figure(name, steps.percentile(percent) / 1e3);
        }
    }
    for percent in [50.0, 99.0] {
        let ratio = ours.percentile(percent) / theirs.percentile(percent).max(1.0);
        figures.ratio(format!("tap p{percent}"), ratio, GOAL);
    }
    Ok(figures)
}
