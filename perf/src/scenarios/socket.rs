//! From a frame on a socket to an intent in the ring to execution.
//!
//! ```text
//!   due ── late ──▶ write ──▶ kernel, loopback ──▶ recv ─▶ [TLS] ─▶ frame ─▶ in hand
//!                                                                              │
//!            core A: a venue, spinning to its schedule                         ▼
//!   ─────────────────────────────────────────────────────    decode ─▶ link ─▶ engine ─▶ ring, bell
//!            core B: LiveFeed + EngineDesk, one loop                                        │
//!                                                                                         intent
//!   due → intent       from when the frame was due        beside them: a bare `read` that spins on
//!   written → intent   from when its write began          a socket of its own, by turns on core B
//!   in hand → intent   from when the message is in hand   warm: decode + step + push, by themselves
//! ```
//!
//! One quote in ten crosses one stop of thousands; the nine between are quotes as any. It is an open
//! loop: a frame is due at its time whatever became of the one before. The hot thread is the
//! product's own runner, agent, feed and desk, pinned; main takes the intents out of the ring from
//! the venue's core. Execution and what waking it costs are `wire`'s. Each turn drops its first tenth.
//!
//! With fewer than four cores the product chooses one loop and a parked execution; that is then
//! measured as it runs, beside three threads that spin on the same cores (`shapes`).

mod market;
mod probe;
mod rig;
mod shapes;
mod venue;

use std::hint::black_box;

use core_affinity::CoreId;
use reap_core::event::Event;
use reap_core::instrument::{SourceId, VenueId};
use reap_core::units::Nanos;
use reap_ring::ring;
use reap_shell::live::layout::{Layout, LayoutWish, Shape, allowed};
use reap_shell::live::wires::ToExecution;
use reap_shell::pipeline;

use self::market::Market;
use self::probe::{Phase, Sample};
use self::rig::{Played, Rig};
use super::ScenarioError;
use super::ring::{Bench, bare};
use crate::figures::Figures;
use crate::timing::{Steps, Stopwatch};

/// Frames of one turn at the usual work.
const FRAMES: u64 = 20_000;
/// From one frame to the next: ten thousand a second.
const INTERVAL: u64 = 100_000;
const TURNS: u64 = 3;
const ROUND_TRIPS: u64 = 20_000;
const WARM_GOAL: f64 = 3.0;
const TAIL_GOAL: f64 = 5.0;
const BARE_GOAL: f64 = 1.15;
const GROWTH_GOAL: f64 = 1.05;

pub(crate) fn run(work: u64) -> Result<Figures, ScenarioError> {
    let cores = allowed();
    let wish = LayoutWish { shape: Some(Shape::Fused), ..LayoutWish::default() };
    let layout = Layout::choose(&cores, &wish).map_err(|error| ScenarioError::missing(&error))?;
    let place = layout.feed;
    let hot = place.cpu.ok_or_else(|| ScenarioError::missing(&"a core to spin on"))?;
    let own = cores.iter().copied().find(|core| *core != hot);
    let own = own.ok_or_else(|| ScenarioError::missing(&"a second core for the venue"))?;
    let stopwatch = Stopwatch::new();
    let bench = Bench { cores: [own, hot].map(|id| CoreId { id }), stopwatch: stopwatch.clone() };
    let frames = (FRAMES * work.min(100) / 100).max(400) as usize;
    let rounds = (ROUND_TRIPS * work.min(100) / 100).max(1_000);

    let mut figures = Figures::default();
    figures.figure("cost of measuring, ns", stopwatch.cost as f64);
    figures.figure("core to core before p50, ns", bare(rounds, &bench).0);
    // On a thread of its own: it is pinned, and what comes after is not.
    let found = std::thread::scope(|scope| {
        let hot = scope.spawn(|| turns(frames, [own, hot], &stopwatch));
        hot.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    found.report(&mut figures);
    figures.figure("core to core after p50, ns", bare(rounds, &bench).0);
    shapes::measure(work, &cores, &mut figures)?;
    Ok(figures)
}

/// What the turns of one kind of socket brought.
#[derive(Default)]
struct Side {
    bare: Steps,
    late: Steps,
    write_intent: Steps,
    /// The same from when the write began: what a late venue adds to both sides is not in it.
    written_bare: Steps,
    written_intent: Steps,
    in_hand_intent: Steps,
    in_hand_quote: Steps,
    /// Allocations per message, early and late in the run.
    allocations: [f64; 2],
}

impl Side {
    fn note_late(&mut self, played: &Played) {
        for (at, written) in played.written.iter().enumerate() {
            self.late.record(written.saturating_sub(played.due(at)));
        }
    }
}

/// What a tight loop takes for the same work on the same core.
#[derive(Default)]
struct Warm {
    decode: Steps,
    step: Steps,
    push: Steps,
}

#[derive(Default)]
struct Found {
    plain: Side,
    tls: Side,
    warm: Warm,
}

fn turns(
    frames: usize,
    [own, hot]: [usize; 2],
    stopwatch: &Stopwatch,
) -> Result<Found, ScenarioError> {
    let pinned =
        |cpu| reap_shell::live::layout::pin(cpu).map_err(|why| ScenarioError::missing(&why));
    pinned(own)?;
    let counted = (frames / 4).max(100);
    let messages = TURNS as usize * frames + 2 * counted;
    let mut plain = Rig::start(false, hot, messages)?;
    let mut tls = Rig::start(true, hot, messages)?;
    let mut found = Found::default();
    for turn in 0..TURNS {
        for (rig, side) in [(&mut plain, &mut found.plain), (&mut tls, &mut found.tls)] {
            let played = rig.play(Phase::Bare, frames, INTERVAL)?;
            side.note_late(&played);
            for sample in kept(&played.samples, frames)? {
                let at = (sample.id as usize) % frames;
                side.bare.record(sample.done.saturating_sub(played.due(at)));
                side.written_bare.record(sample.done.saturating_sub(played.written[at]));
            }
            let first = rig.next_id();
            let played = rig.play(Phase::Live, frames, INTERVAL)?;
            side.note_late(&played);
            for sample in kept(&played.samples, frames)? {
                let in_hand = sample.done.saturating_sub(sample.in_hand);
                if Market::crosses(sample.id) {
                    let at = (sample.id - first) as usize;
                    side.write_intent.record(sample.done.saturating_sub(played.due(at)));
                    side.written_intent.record(sample.done.saturating_sub(played.written[at]));
                    side.in_hand_intent.record(in_hand);
                } else {
                    side.in_hand_quote.record(in_hand);
                }
            }
            if turn != 1 {
                let at = usize::from(turn > 1);
                let allocations = rig.count(counted, INTERVAL)?;
                side.allocations[at] = allocations as f64 / counted as f64;
            }
        }
        pinned(hot)?;
        warm(frames, stopwatch, &mut found.warm)?;
        pinned(own)?;
    }
    for rig in [plain, tls] {
        rig.stop()?;
    }
    Ok(found)
}

/// Every message arrived, or there is nothing to report; the first tenth warms up.
fn kept(samples: &[Sample], frames: usize) -> Result<&[Sample], ScenarioError> {
    if samples.len() == frames {
        return Ok(&samples[frames / 10..]);
    }
    let what = format!("{} of {frames} messages arrived", samples.len());
    Err(ScenarioError::failed(&what))
}

/// The parts of the way one after another in a tight loop, nothing between them.
fn warm(frames: usize, stopwatch: &Stopwatch, warm: &mut Warm) -> Result<(), ScenarioError> {
    const GROUP: u64 = 25;
    let config = market::config("ws://127.0.0.1:1", None, frames as u64 / market::EVERY + 1)?;
    let codec = pipeline::codec(&config, VenueId(0));
    let mut codec = codec.map_err(|error| ScenarioError::failed(&error))?;
    let mut engine = market::engine(&config, 1)?;
    let (mut sender, mut receiver) = ring::<ToExecution>(1 << 13);
    let mut market = Market::default();
    let mut group = (0, 0);
    for at in 0..frames {
        let crosses = Market::crosses(market.next_id());
        let message = market.message();
        let now = Nanos(1_800_000_000_000_000_000 + at as u64 * INTERVAL);
        let mut tick = None;
        let nanos = stopwatch.time(|| {
            black_box(codec.decode(black_box(&message), now, SourceId(0), &mut |one| {
                tick = Some(one);
            }));
        });
        let tick = tick.ok_or_else(|| ScenarioError::failed(&"a message is no quote"))?;
        let event = Event::Tick(tick);
        let mut intent = None;
        let step = stopwatch.time(|| {
            engine.on_event(now, &event);
            intent = engine.poll_intent();
        });
        if crosses != intent.is_some() {
            return Err(ScenarioError::failed(
                &"a quote that should cross does not, or the reverse",
            ));
        }
        let push = intent.map(|intent| {
            let message = ToExecution::Intent(intent);
            let nanos = stopwatch.time(|| drop(black_box(sender.push(message))));
            drop(black_box(receiver.pop()));
            nanos
        });
        if at < frames / 10 {
            continue;
        }
        group = (group.0 + nanos, group.1 + 1);
        if group.1 == GROUP {
            warm.decode.record(group.0 / GROUP);
            group = (0, 0);
        }
        if let Some(push) = push {
            warm.step.record(step);
            warm.push.record(push);
        }
    }
    Ok(())
}

impl Found {
    fn report(&self, figures: &mut Figures) {
        let Warm { decode, step, push } = &self.warm;
        let parts = [("decode", decode), ("step with intent", step), ("push", push)];
        for (name, steps) in parts {
            figures.figure(format!("warm {name} p50, ns"), steps.percentile(50.0));
        }
        let sum: f64 = parts.iter().map(|(_, steps)| steps.percentile(50.0)).sum();
        figures.figure("warm sum, ns", sum);
        for (name, side) in [("plain", &self.plain), ("tls", &self.tls)] {
            figures.steps(&format!("{name} sender late"), &side.late);
            figures.steps(&format!("{name} bare due to in hand"), &side.bare);
            figures.steps(&format!("{name} due to intent"), &side.write_intent);
            figures.steps(&format!("{name} bare written to in hand"), &side.written_bare);
            figures.steps(&format!("{name} written to intent"), &side.written_intent);
            figures.steps(&format!("{name} in hand to intent"), &side.in_hand_intent);
            figures.steps(&format!("{name} in hand to decided, no intent"), &side.in_hand_quote);
            for (when, allocations) in ["early", "late"].iter().zip(side.allocations) {
                figures.figure(format!("{name} allocations {when}, per message"), allocations);
            }
        }
        let p50 = |steps: &Steps| steps.percentile(50.0);
        let Side { bare, write_intent, in_hand_intent, allocations, .. } = &self.plain;
        figures.ratio("in hand to intent p50, of warm", p50(in_hand_intent) / sum, WARM_GOAL);
        let tail = in_hand_intent.percentile(99.0) / p50(in_hand_intent).max(1.0);
        figures.ratio("in hand to intent p99, of p50", tail, TAIL_GOAL);
        let beyond = |intent: &Steps, bare: &Steps| p50(intent) / p50(bare).max(1.0);
        figures.ratio("due to intent p50, of bare", beyond(write_intent, bare), BARE_GOAL);
        // A venue that is late for its schedule dilutes the ratio above, not this one.
        let written = beyond(&self.plain.written_intent, &self.plain.written_bare);
        figures.ratio("written to intent p50, of bare", written, BARE_GOAL);
        let secure = beyond(&self.tls.written_intent, &self.tls.written_bare);
        figures.figure("tls written to intent p50, of bare", secure);
        figures.ratio("plain allocations, per message", allocations[1], 0.0);
        let [early, late] = self.tls.allocations;
        // One a record when each is read alone, fewer when several are read at once.
        let growth = late.max(1.0) / early.max(1.0);
        figures.ratio("tls allocations, late of early", growth, GROWTH_GOAL);
    }
}
