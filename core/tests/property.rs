//! The compiled engine against the plain reference, on random markets (DESIGN §3).
//!
//! `SEED=n` starts at that world, `EVENTS=n` bounds the events. A mismatch names the seed of its
//! world and prints the shortest run that still shows it.

mod reference;

use std::collections::BTreeMap;
use std::time::Instant;

use reference::duel;
use reference::switching::Switched;

/// Events of one world: short, so that marks, ids and slots start afresh often.
const WORLD: u64 = 2000;

fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} must be a number")),
        Err(_) => default,
    }
}

#[test]
fn engine_decides_as_the_formulas_say() {
    let first = setting("SEED", 1);
    let events = setting("EVENTS", 1_000_000);
    let worlds = events.div_ceil(WORLD);
    println!("SEED={first} EVENTS={events}");
    let begun = Instant::now();
    let mut compared = 0;
    let mut refused = 0;
    let mut tallies = [const { BTreeMap::new() }; 6];
    let mut switched = Switched::default();
    for seed in first..first + worlds {
        match duel::run(seed, WORLD.min(events)) {
            Ok(duel) => {
                compared += duel.compared;
                refused += duel.refused;
                switched.add(&duel.reference.switched);
                let tally = duel.reference.tally;
                let parts = [
                    tally.fired,
                    tally.boundary,
                    tally.several,
                    tally.lost,
                    tally.stood_in,
                    tally.held,
                ];
                for (sum, part) in tallies.iter_mut().zip(parts) {
                    for (name, count) in part {
                        *sum.entry(name).or_insert(0) += count;
                    }
                }
            }
            Err(parted) => {
                let story = duel::shrink(*parted);
                panic!("SEED={seed} EVENTS={WORLD}\n{story}");
            }
        }
    }
    let seconds = begun.elapsed().as_secs();
    println!("{compared} events in {seconds} s, {refused} registrations refused");
    let [fired, boundary, several, lost, stood_in, held] = tallies;
    for (name, count) in &fired {
        let [boundary, several, stood_in] =
            [&boundary, &several, &stood_in].map(|tally| tally.get(name).copied().unwrap_or(0));
        println!(
            "{name}: {count} fired, {boundary} at equality, {several} on several legs, \
             {stood_in} by another price"
        );
    }
    println!("lost: {lost:?}\n{switched:?}\nfor funding: {held:?}");
    if events >= 1_000_000 {
        for why in ["lower_urgency", "later_in_order", "later_rule", "covered"] {
            assert!(lost[why] > 500, "{why} hardly happened");
        }
        let Switched { moved, late, kept, refused: unsuited, off, on, committed } = switched;
        let fewest = [moved, late, kept, off, on, committed].into_iter().min();
        assert!(fewest > Some(50), "little was switched");
        assert!(unsuited * 3 < moved, "policies are refused too often");
        let rules = [
            "take_profit",
            "basis",
            "tiers",
            "stop_loss",
            "trailing_stop",
            "trailing_profit",
            "break_even",
            "profit_erosion",
            "funding_flip",
            "liquidation",
            "blind",
        ];
        for name in rules {
            assert!(fired[name] > 500, "{name} was hardly tested");
            assert!(boundary[name] > 20, "{name} hardly met its threshold exactly");
        }
        let degrade =
            ["stop_loss", "trailing_stop", "trailing_profit", "break_even", "liquidation"];
        for name in degrade {
            assert!(stood_in[name] > 100, "{name} hardly fired by another price than its own");
        }
        assert!(held["waited"] > 500, "hardly anything waited for funding");
        assert!(held["fired late"] > 100, "little fired after it had waited");
        // A minute of trades is long beside a quote.
        assert!(fired["dump"] > 200 && boundary["dump"] > 10, "dump was hardly tested");
        assert!(fired["correlation"] > 200, "correlation was hardly tested");
        assert!(boundary["correlation"] > 20, "correlation hardly met its threshold exactly");
        // Reads and signals come a hundred times less often than quotes.
        for name in ["leg_lost", "imbalance", "reversal"] {
            assert!(fired[name] > 200, "{name} was hardly tested");
        }
        let together = ["portfolio_profit", "portfolio_partial", "portfolio_loss"];
        for name in together {
            assert!(fired[name] > 200, "{name} was hardly tested");
            assert!(boundary[name] > 5, "{name} hardly met its threshold exactly");
        }
        for name in ["breaker_1", "breaker_2", "breaker_3", "max_position_age"] {
            assert!(fired[name] > 100, "{name} was hardly tested");
        }
        assert!(fired["health"] > 500 && fired["tightened"] > 50, "health hardly acted");
        // A base amount of one instrument's size is at times nothing beside another's.
        assert!(refused * 1_000 < compared, "registrations are refused too often");
    }
}
