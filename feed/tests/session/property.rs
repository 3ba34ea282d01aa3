//! Random venues: whatever happens, in whatever order, the rig's rules hold, and when the faults
//! stop the link becomes live.

use reap_core::units::Nanos;
use reap_feed::session::{LinkAction, LinkSettings, LinkState, Slot};

use crate::rig::{Phase, Rig, SECOND};

struct Random(u64);

impl Random {
    fn next(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn seeds(test: &str, count: u64) -> impl Iterator<Item = u64> {
    let given = std::env::var("SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    let first = given.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(1, |now| now.as_nanos() as u64 / 1_000_000)
    });
    println!("{test}: SEED={first}");
    first..first + if given.is_some() { 1 } else { count }
}

const VENUES: [(&str, usize); 5] = [
    ("binance_usdm", 0),
    ("binance_usdm", 1),
    ("binance_spot", 0),
    ("bybit_linear", 0),
    ("bybit_spot", 0),
];

/// One thing that may happen.
fn disturb(rig: &mut Rig, random: &mut Random, instruments: u64) {
    let slot = Slot::ALL[random.next(2) as usize];
    let phase = rig.phases[slot as usize];
    match (random.next(24), phase) {
        (0, Phase::Open) => rig.cut(slot),
        (0 | 1, Phase::Connecting) => {
            let retry_after = (random.next(4) == 0).then(|| Nanos(random.next(5 * SECOND)));
            rig.fail(slot, retry_after);
        }
        (2..8, Phase::Connecting) => rig.open(slot),
        (1, Phase::Open) => {
            rig.link.on_going_away(slot, rig.now);
            rig.drain();
        }
        (2, Phase::Open) => rig.message(slot, r#"{"e":"serverShutdown","E":1}"#),
        (3, _) => rig.accepts = random.next(2) == 0,
        (4, _) => rig.answers = random.next(3) > 0,
        (5, Phase::Open) => {
            let id = random.next(30);
            rig.message(slot, &format!(r#"{{"result":null,"id":{id}}}"#));
            rig.message(slot, &format!(r#"{{"code":2,"msg":"x","id":{id}}}"#));
        }
        (6, Phase::Open) => {
            let op = ["subscribe", "unsubscribe", ""][random.next(3) as usize];
            let good = random.next(2) == 0;
            let raw = format!(r#"{{"success":{good},"ret_msg":"","req_id":"","op":"{op}"}}"#);
            rig.message(slot, &raw);
        }
        (7, Phase::Open) => {
            for _ in 0..random.next(30) {
                if rig.phases[slot as usize] == Phase::Open {
                    rig.message(slot, r#"{"e":"bookTicker","s":1}"#);
                }
            }
        }
        (8, _) => {
            // Timers may come late.
            rig.now = rig.now.plus(Nanos(random.next(40 * SECOND)));
        }
        (9, Phase::Open) => {
            rig.link.on_frame(slot, rig.now);
        }
        (10, _) => rig.advance(random.next(3600 * SECOND)),
        (11, Phase::Idle) => {
            // Late words of a connection that is gone.
            rig.link.on_closed(slot, rig.now);
            rig.link.on_frame(slot, rig.now);
            rig.drain();
        }
        (12..20, Phase::Open) => rig.tick(slot, random.next(instruments) as usize),
        _ => rig.advance(random.next(2 * SECOND)),
    }
}

/// The faults stop: connects succeed, requests are answered, everything ticks.
fn calm(rig: &mut Rig, instruments: u64) {
    rig.accepts = true;
    rig.answers = true;
    for slot in Slot::ALL {
        if rig.phases[slot as usize] == Phase::Connecting {
            rig.open(slot);
        }
    }
    for _ in 0..300 {
        rig.advance(SECOND / 2);
        for slot in Slot::ALL {
            for instrument in 0..instruments as usize {
                if rig.phases[slot as usize] == Phase::Open {
                    rig.tick(slot, instrument);
                }
            }
        }
    }
}

#[test]
fn f26_f29_whatever_happens_the_rules_hold_and_it_becomes_live_again() {
    for seed in seeds("session property", 60) {
        let mut random = Random(seed);
        let (venue, plan) = VENUES[random.next(5) as usize];
        let instruments = 1 + random.next(6);
        let settings = LinkSettings::default();
        let mut rig = Rig::with(venue, instruments as usize, plan, settings, seed);
        for _ in 0..3 {
            for _ in 0..random.next(400) {
                disturb(&mut rig, &mut random, instruments);
            }
            // A request that was refused by a lie stays refused on this connection only.
            calm(&mut rig, instruments);
            let state = rig.link.state();
            assert!(
                matches!(state, LinkState::Live | LinkState::Changing | LinkState::Degraded),
                "SEED={seed} {venue}: {state:?}"
            );
            rig.log.clear();
        }
        let first = rig.engine.len();
        rig.tick(rig.main(), 0);
        assert_eq!(rig.engine.len(), first + 1, "SEED={seed}");
    }
}

/// The same venue seen twice: once with timers called each millisecond, once only when they are
/// due. Everything that the link wants comes at the same time.
#[test]
fn timers_called_when_due_and_each_millisecond_are_the_same() {
    const STEP: u64 = SECOND / 1000;
    let run = |seed: u64, exact: bool| {
        let mut random = Random(seed);
        let (venue, plan) = VENUES[random.next(5) as usize];
        let instruments = 1 + random.next(4);
        let mut rig = Rig::with(venue, instruments as usize, plan, LinkSettings::default(), seed);
        let mut calls = 0u64;
        // Half of the venues are well but for instruments that stay silent.
        let is_well = random.next(2) == 0;
        for _ in 0..if is_well { 100 } else { 40 } {
            // Whole milliseconds between the things that happen.
            for _ in 0..random.next(3_000) {
                rig.now = rig.now.plus(Nanos(STEP));
                let is_due = rig.link.next_timer().is_some_and(|at| at <= rig.now);
                if !exact || is_due {
                    calls += 1;
                    rig.link.on_timer(rig.now, &mut rig.budget);
                    rig.drain();
                }
            }
            if is_well {
                let last = if random.next(30) == 0 { instruments as usize } else { 1 };
                if let Some(slot) = rig.link.forwarding() {
                    (0..last).for_each(|instrument| rig.tick(slot, instrument));
                }
                continue;
            }
            for _ in 0..3 {
                disturb_in_place(&mut rig, &mut random, instruments);
            }
        }
        let wanted: Vec<(Nanos, LinkAction)> = std::mem::take(&mut rig.log);
        (wanted, *rig.link.counters(), rig.now, calls)
    };
    for seed in seeds("session timers", 12) {
        let (each, exact) = (run(seed, false), run(seed, true));
        assert_eq!((&each.0, each.1, each.2), (&exact.0, exact.1, exact.2), "SEED={seed}");
        assert!(each.3 > 10 * exact.3, "SEED={seed}: {} and {}", each.3, exact.3);
    }
}

/// As [`disturb`], but no time passes.
fn disturb_in_place(rig: &mut Rig, random: &mut Random, instruments: u64) {
    let slot = Slot::ALL[random.next(2) as usize];
    match (random.next(12), rig.phases[slot as usize]) {
        (0, Phase::Open) => rig.cut(slot),
        (0, Phase::Connecting) => rig.fail(slot, None),
        (1..6, Phase::Connecting) => rig.open(slot),
        (1, Phase::Open) => rig.message(slot, r#"{"e":"serverShutdown","E":1}"#),
        (2, _) => rig.accepts = random.next(2) == 0,
        (3, _) => rig.answers = random.next(3) > 0,
        (_, Phase::Open) => rig.tick(slot, random.next(instruments) as usize),
        _ => {}
    }
}
