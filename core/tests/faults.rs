//! Faults of the decision that have happened to others, by the ids of the failure catalogue.
//!
//! Every case runs through the engine, its follower and the reference at once. E1 is
//! `extremes.rs`, E15 `shell/tests/config.rs`; others stand with the part that they are about.

mod reference;

/// What a case decides, a line each.
fn decided(case: &str) -> Vec<String> {
    let told = reference::scenario::run(case);
    let lines = told.lines().filter_map(|line| line.strip_prefix("> "));
    lines.map(str::to_owned).collect()
}

fn fires(case: &str) -> bool {
    !decided(case).is_empty()
}

/// A price of two decimals.
fn price(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// E3: equality fires, one tick short of it does not, for both sides of stop and target, at every
/// rate of the catalogue of boundaries.
#[test]
fn e3_a_threshold_is_inclusive() {
    // In hundredths of a per cent; at entry 10 000 every threshold is a whole tick.
    for rate in [10, 20, 58, 1000, 1500, 2500i64] {
        let share = format!("{}.{:02}%", rate / 100, rate % 100);
        let far = rate * 100;
        for (side, sign) in [("long", 1), ("short", -1)] {
            for (rule, way) in [("take_profit", sign), ("stop_loss", -sign)] {
                let case = |cents: i64| {
                    let (bid, ask) = match side {
                        "long" => (cents, cents + 1),
                        _ => (cents - 1, cents),
                    };
                    let (bid, ask) = (price(bid), price(ask));
                    format!(
                        "instrument A price=2 qty=3\npolicy p fees=gross: {rule} {share}\n\
                         open p p: {side} A 1 @ 10000\nquote A {bid} {ask}\n"
                    )
                };
                let at = 1_000_000 + way * far;
                assert!(fires(&case(at)), "{side} {rule} {share} at its threshold");
                assert!(fires(&case(at + way)), "{side} {rule} {share} one tick beyond");
                assert!(!fires(&case(at - way)), "{side} {rule} {share} one tick short");
            }
        }
    }
}

/// E4: what is missing is not a price: no quote, a refused one, the ends of the price range beside
/// heaps that are empty.
#[test]
fn e4_nothing_stands_for_a_missing_price() {
    let rules = "stop_loss 1%; take_profit 1%; trailing_stop 1%; tiers 1%:100%";
    let never = format!(
        "instrument A price=2 qty=3\ninstrument B price=2 qty=3\npolicy p: {rules}\n\
         policy q fees=gross: basis 1%; stop_loss 1%\nopen one p: long A 1 @ 100\nrefused A\n\
         open two q: long A 1 @ 100; short B 1 @ 100\nwait 1h\nrefused A\nrefused B\n"
    );
    assert_eq!(decided(&never), [""; 0], "nothing was ever quoted");
    // The pair sees one leg only, at prices that are far beyond both rules.
    let half = format!("{never}quote B 0.01 0.02\nquote B 1000000 1000000.01\nalive 0\n");
    assert_eq!(decided(&half), [""; 0], "one leg was never quoted");
    // A stop holds at a quote that was refused after it: not before the next good one.
    let refused = "instrument A price=2 qty=3\npolicy p: stop_loss 1%\nquote A 100 100.01\n\
         open p p: long A 1 @ 100\nrefused A\nopen late p: long A 1 @ 200\nwait 1s\n";
    assert_eq!(decided(refused), [""; 0], "a refused quote leaves no usable price");
    let healed = format!("{refused}quote A 100 100.01\n");
    assert_eq!(decided(&healed), ["late stop_loss protective rule 0.0 keep 0.000"]);
    // No price rule at all: every heap is empty, and the ends of the range cross nothing.
    let empty = "instrument A price=2 qty=3\npolicy p: deadline 1h\nopen p p: long A 1 @ 100\n\
         quote A 0.01 0.01 reset\nquote A 2814749767106.54 2814749767106.55 reset\nconfirm A\n\
         quote A 0.01 2814749767106.55 reset\nconfirm A\n";
    assert_eq!(decided(empty), [""; 0], "an empty heap has no head");
}

/// E8: the mark that a trailing stop has reached is the mark that it has after the engine was made
/// anew and told the same: the follower of every case is such an engine, and is made late here.
#[test]
fn e8_a_mark_is_reached_again_from_the_record() {
    let start = "instrument A price=2 qty=3\npolicy p: trailing_stop 1%; \
         trailing_profit 5% 2% 1% 0.1%\nopen p p: long A 1 @ 100\n";
    let mut rally = start.to_owned();
    for cents in 10_000..11_000 {
        rally += &format!("quote A {} {}\n", price(cents), price(cents + 1));
    }
    // 109.99 is the mark: the stop is 108.8901.
    let (above, at) = ("quote A 108.90 108.91\n", "quote A 108.89 108.90\n");
    assert!(!fires(&format!("{rally}{above}")), "the stop is not above its mark's");
    let once = decided(&format!("{rally}{at}"));
    assert_eq!(once, ["p trailing_stop protective rule 0.1 keep 0.000"]);
    // Told a second time, from the beginning: the same, and never a lower mark.
    assert_eq!(decided(&format!("{rally}{above}{at}")), once);
}

/// E11: fees cost and funding received helps, on either side, when they are told at the entry or
/// later; a rebate is money too.
#[test]
fn e11_fees_and_funding_have_their_signs() {
    let case = |side: &str, paid: &str, funding: &str, later: &str, cents: i64| {
        let quote = match side {
            "long" => format!("quote A {} {}\n", price(cents), price(cents + 1)),
            _ => format!("quote A {} {}\n", price(cents - 1), price(cents)),
        };
        format!(
            "instrument A price=2 qty=3\npolicy p: take_profit 3\n\
             open p p: {side} A 1 @ 100 paid {paid} funding {funding}\n{later}{quote}"
        )
    };
    // Paid, funding, what is told later, and the gain in cents that brings 3 after all of it.
    let table = [
        ("0", "0", "", 300),
        ("1", "0", "", 400),
        ("-1", "0", "", 200),
        ("0", "2", "", 100),
        ("0", "-2", "", 500),
        ("1", "2", "", 200),
        ("1", "2", "amounts p 0 1 -2\n", 600),
        ("1", "2", "amounts p 0 0 4\n", -100),
    ];
    for (paid, funding, later, gain) in table {
        for (side, sign) in [("long", 1), ("short", -1)] {
            let at = 10_000 + sign * gain;
            assert!(fires(&case(side, paid, funding, later, at)), "{side} {paid} {funding}");
            let short = case(side, paid, funding, later, at - sign);
            assert!(!fires(&short), "{side} {paid} {funding} {later} one tick short");
        }
    }
}

/// E12: a price that flaps around a threshold is decided once as long as its plan lives, and a plan
/// that misses waits longer each time.
#[test]
fn e12_flapping_does_not_fire_again() {
    let open = "instrument A price=2 qty=3\npolicy p fees=gross: take_profit 0.2%\n\
         open p p: long A 1 @ 1000\n";
    let flaps = "quote A 1002 1002.01\nquote A 1001.99 1002\n".repeat(1000);
    assert_eq!(decided(&format!("{open}{flaps}")).len(), 1, "one plan lives");
    // Each flap misses at once: after 20, 40, … 1000 ms it may try again, 2 ms a flap.
    let misses = "quote A 1002 1002.01\nquote A 1001.99 1002\n";
    let mut case = open.to_owned();
    let mut fired = 0;
    for _ in 0..1000 {
        case += misses;
        let now = decided(&case).len();
        if now > fired {
            case += "ended p missed\n";
            fired = now;
        }
        if case.lines().count() > 700 {
            break;
        }
    }
    assert!((2..=6).contains(&fired), "{fired} plans in 0.7 s");
}

/// E14: the engine knows no clock: a time that leaps brings what it passes, once. One that is told
/// too early takes nothing back: `edges.rs`.
#[test]
fn e14_a_leap_of_time_fires_what_it_passes_once() {
    let leap = "instrument A price=2 qty=3\npolicy p: deadline 1h\nquote A 100 100.01\n\
         open p p: long A 1 @ 100\nwait 59m\nwait 58s\n";
    assert_eq!(decided(leap), [""; 0], "not a moment early");
    let once = "p deadline normal rule 0.0 keep 0.000";
    assert_eq!(decided(&format!("{leap}wait 2s\nwait 1h\nwait 24h\n")), [once]);
}
