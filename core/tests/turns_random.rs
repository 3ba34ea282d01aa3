//! A random world of reversals that enter: its own ledger says when an entry may be there.
//!
//! `SEED=… cargo test -p reap-core --test turns_random` repeats a run.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod turning;

use std::collections::BTreeMap;

use reap_core::event::{Command, Event, TradingState, Which};
use reap_core::intent::Urgency;
use reap_core::note::{EngineNote, SignalDrop};
use reap_core::position::{PositionId, PositionState, Side};
use reap_core::units::Nanos;

use turning::Desk;

/// What the world knows of a signal: when, to which side, and what stood against it.
struct Wanted {
    at: Nanos,
    side: Side,
    /// Id, first quantity, whether its policy turns it.
    against: Vec<(PositionId, i64, bool)>,
}

/// Positions come, signals come, fills come late, in part and twice as far apart as a signal lives.
/// Whatever enters must be allowed by the world's own ledger, and what that allows must be answered.
#[test]
fn a_random_world_finds_evidence_for_every_entry() {
    let given = std::env::var("SEED").ok();
    let first = given.map_or(5, |seed| seed.parse().unwrap());
    println!("SEED={first}");
    let mut seed: u64 = first;
    let mut below = |bound: i64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((seed >> 33) as i64) % bound
    };
    let (mut entries, mut entered, mut dropped) = (0, 0, BTreeMap::<&str, u64>::new());
    for _ in 0..3_000 {
        let mut desk = Desk::new();
        // Side and quantity of each position, by id; the newest signal of each instrument.
        let mut held = BTreeMap::<PositionId, (u16, Side, i64, u16)>::new();
        let mut known = BTreeMap::<PositionId, u16>::new();
        let mut wanted: [Option<Wanted>; 2] = [None, None];
        let mut active = true;
        let mut bids = [100_000i64; 2];
        for _ in 0..150 {
            let at = below(2) as u16;
            let seen = desk.entries.len();
            match below(14) {
                0 if held.len() < 12 => {
                    let side = if below(2) == 0 { Side::Long } else { Side::Short };
                    let (policy, qty) = (below(3) as u16, 10 * (1 + below(60)));
                    let entry = 5 * (15_000 + below(10_000));
                    let id = desk.hold(policy, at, side, entry, qty);
                    held.insert(id, (at, side, qty, policy));
                    known.insert(id, policy);
                }
                1 | 2 => {
                    let side = if below(2) == 0 { Side::Long } else { Side::Short };
                    let open = |id: &PositionId| {
                        matches!(
                            desk.engine.state(*id),
                            Some(PositionState::Open | PositionState::Exiting)
                        )
                    };
                    let against =
                        held.iter().filter(|(id, of)| of.0 == at && of.1 != side && open(id));
                    let against = against.map(|(id, of)| (*id, of.2, of.3 != 1)).collect();
                    let signal = Wanted { at: desk.now, side, against };
                    let busy = desk.engine.is_entering();
                    desk.signal(at, side);
                    let refused = desk.notes.iter().any(|note| {
                        let EngineNote::SignalDropped { instrument, why, .. } = note else {
                            return false;
                        };
                        let why = *why;
                        instrument.0 == at
                            && (why == SignalDrop::Refused || busy && why == SignalDrop::Entering)
                    });
                    wanted[usize::from(at)] = (!refused).then_some(signal);
                }
                3..=6 if !desk.orders.is_empty() => {
                    let qty = desk.orders[0].qty.raw();
                    let part = [0, qty, qty, qty / 20 * 10][below(4) as usize];
                    desk.fill(part);
                }
                7 => desk.wait(Nanos(1 + below(2_000_000_000) as u64)),
                8 if below(4) == 0 => {
                    active = !active;
                    let state = if active { TradingState::Active } else { TradingState::Halted };
                    desk.event(&Event::Command(Command::SetState(state)));
                }
                9 if below(3) == 0 => {
                    let which = Which::All;
                    let urgency = Urgency::Normal;
                    desk.event(&Event::Command(Command::Close { which, urgency }));
                }
                _ => {
                    let bid = &mut bids[usize::from(at)];
                    *bid = (*bid + 5 * (below(4_001) - 2_000)).clamp(80_000, 120_000);
                    let (bid, ask) = (*bid, *bid + 5 * (1 + below(3)));
                    desk.quote(at, bid, ask);
                }
            }
            for entry in &desk.entries[seen..] {
                entries += 1;
                let [leg] = entry.legs() else { panic!("one leg") };
                let signal = wanted[usize::from(leg.instrument.0)].as_mut().expect("a signal");
                assert!(active, "trading is not active");
                assert_eq!(leg.side, signal.side);
                assert!(desk.now.since(signal.at) <= Nanos::from_secs(5), "too late");
                // Everything that stood against it is closed, each lot by a fill.
                for (id, qty, _) in &signal.against {
                    assert_eq!(desk.closed.get(id), Some(qty), "not closed by fills");
                }
                let opposes =
                    |of: &&(u16, Side, i64, u16)| of.0 == leg.instrument.0 && of.1 != leg.side;
                for (id, _) in held.iter().filter(|(_, of)| opposes(of)) {
                    assert!(
                        !matches!(desk.engine.state(*id), Some(PositionState::Open)),
                        "the other side is held"
                    );
                }
                // One for each position that was to be turned, of its first quantity.
                let turned = signal
                    .against
                    .iter()
                    .position(|(_, qty, turns)| *turns && *qty == leg.qty.raw());
                signal.against[turned.expect("a position of this quantity")].2 = false;
                let (quote, _) = desk.engine.quote(leg.instrument).unwrap();
                // 0.1 % beyond the best price, on the grid and a step at least.
                let (ask, bid) = (quote.ask.raw(), quote.bid.raw());
                let limit = match leg.side {
                    Side::Long => (ask * 1_001 / 1_000).max(ask + 5) / 5 * 5,
                    Side::Short => (((bid * 999 + 999) / 1_000).min(bid - 5) + 4) / 5 * 5,
                };
                assert_eq!(leg.limit.raw(), limit);
                assert!(desk.engine.is_entering());
            }
            for one in desk.entered.drain(..) {
                entered += 1;
                let leg = &one.spec.legs[0];
                let of = one.of.expect("it takes the place of a position");
                assert_eq!(known.get(&of), Some(&one.spec.policy.0));
                known.insert(one.id, one.spec.policy.0);
                let of = (leg.instrument.0, leg.side, leg.qty.raw(), one.spec.policy.0);
                held.insert(one.id, of);
            }
            // Whoever may enter does, or says why not.
            let mut allowed = desk.notes.iter().filter_map(|note| match note {
                EngineNote::EntryAllowed { instrument, .. } => Some(usize::from(instrument.0)),
                _ => None,
            });
            if let Some(at) = allowed.next()
                && let Some(signal) = &wanted[at]
            {
                let unheard = signal.against.iter().filter(|(.., turns)| *turns).count();
                let drops = desk.notes.iter().filter(|note| {
                    let EngineNote::SignalDropped { instrument, why, .. } = note else {
                        return false;
                    };
                    let kinds = [SignalDrop::NoPrice, SignalDrop::TooSmall, SignalDrop::Missed];
                    usize::from(instrument.0) == at && kinds.contains(why)
                });
                assert_eq!(unheard, drops.count().min(unheard), "a turn was forgotten");
            }
            for why in desk.drops() {
                *dropped.entry(why.name()).or_default() += 1;
            }
            held.retain(|id, _| {
                desk.engine.state(*id).is_some_and(|state| state != PositionState::Closed)
            });
        }
    }
    println!("{entries} entries, {entered} entered, {dropped:?}");
    assert!(entries > 100 && entered > 50, "{entries} entries, {entered} entered");
    for why in ["refused", "expired", "replaced", "not_active", "no_price", "missed", "too_small"] {
        assert!(dropped.contains_key(why), "{why} did not occur: {dropped:?}");
    }
}
