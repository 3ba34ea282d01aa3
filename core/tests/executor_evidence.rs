//! What the executor makes of evidence, of its absence and of sizes that no venue takes, by example.
//! Ids in brackets are faults that an example shows survived: X3 over-close, X9 dust, X10 price
//! band, X22 duplicated and early fills, X29 retry storm.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod common;
mod script;

use script::check;

/// [X22] A fill before its ack counts, the same fill again does not, and after its end an order is
/// heard no more.
#[test]
fn x8_x22_fills_count_once_whenever_they_come() {
    check(
        "position A long 10 @10000
        quote A 9800 9801
        intent 0 stop_loss <=9900
        > sell 0.0 10 @9781
        fill 0.0 4 @9790 #77
        > fill 0.0 4 @9790
        ack 0.0
        fill 0.0 4 @9790 #77
        count duplicate_fills
        > duplicate_fills: 1
        fill 0.0 6 @9785 #78
        > fill 0.0 6 @9785
        > ended 0 Closed
        fill 0.0 6 @9785 #78
        expire 0.0
        count late_events
        > late_events: 2",
    );
}

/// [X3] More than was ordered is counted as a contradiction, and never goes below nought.
#[test]
fn x3_an_overfill_stops_at_the_order() {
    check(
        "position A long 10 @10000
        quote A 10030 10031
        intent 0 tiers >=10020 keep 5
        > sell 0.0 5 @10020
        fill 0.0 50 @10020
        > fill 0.0 5 @10020
        > ended 0 Done
        count overfills
        > overfills: 1",
    );
}

/// Silence is no evidence: no second order, not closed, but visible.
#[test]
fn a_silent_order_stays_reserved_and_the_plan_becomes_stuck() {
    check(
        "position A long 10 @10000
        quote A 9800 9801
        intent 0 stop_loss <=9900
        > sell 0.0 10 @9781
        wait 29999
        plan 0
        > protective stop_loss number 1
        wait 1
        plan 0
        > protective stop_loss number 1 stuck
        intent 0 liquidation
        wait 3600000
        plan 0
        > critical liquidation number 1 stuck
        count stuck
        > stuck: 1
        expire 0.0
        > sell 0.0 10 market
        fill 0.0 10 @9000
        > fill 0.0 10 @9000
        > ended 0 Closed",
    );
}

/// [X10] A price outside the band is priced anew; [X29] the same refusal over and over is spaced,
/// escalates, and is flagged.
#[test]
fn refused_prices_are_priced_anew_then_spaced() {
    check(
        "position A long 10 @10000
        quote A 10000 10001
        intent 0 deadline
        > sell 0.0 10 @9990
        quote A 9990 9991
        reject 0.0 price
        > sell 0.0 10 @9981
        reject 0.0 price
        wait 249
        wait 1
        > sell 0.0 10 @9981
        expire 0.0
        > sell 0.0 10 @9971
        plan 0
        > protective deadline number 1",
    );
}

#[test]
fn a_venue_that_is_not_to_be_had_is_asked_later_and_no_urgency_overrides_it() {
    check(
        "position A long 10 @10000
        quote A 10000 10001
        intent 0 deadline
        > sell 0.0 10 @9990
        reject 0.0 rate
        wait 249
        intent 0 stop_loss <=10000
        wait 1
        > sell 0.0 10 @9980
        reject 0.0 unavailable
        wait 499
        wait 1
        > sell 0.0 10 @9980
        fill 0.0 10 @9985
        > fill 0.0 10 @9985
        > ended 0 Closed",
    );
}

/// [X29] What would be refused again waits long, is flagged, and is never called closed.
#[test]
fn a_fatal_refusal_is_stuck_and_tried_again() {
    check(
        "position A long 10 @10000
        quote A 10000 10001
        intent 0 liquidation
        > sell 0.0 10 market
        reject 0.0 fatal
        plan 0
        > critical liquidation number 1 stuck
        wait 9999
        wait 1
        > sell 0.0 10 market
        fill 0.0 10 @9985
        > fill 0.0 10 @9985
        > ended 0 Closed",
    );
}

#[test]
fn a_take_profit_that_is_refused_for_a_while_is_missed_without_sending() {
    check(
        "position A long 10 @10000
        quote A 10030 10031
        intent 0 take_profit >=10020
        > sell 0.0 10 @10020
        reject 0.0 rate
        > ended 0 Missed
        wait 20
        intent 0 take_profit >=10020
        > ended 0 Missed
        wait 230
        intent 0 take_profit >=10020
        > sell 0.0 10 @10020",
    );
}

/// [X9] Lots, minimum quantity and minimum notional of C: what is left is dust, said once.
#[test]
fn x9_what_cannot_be_sold_is_dust() {
    check(
        "position C long 47 @10000
        quote C 10000 10005
        intent 0 stop_loss <=10000
        > sell 0.0 40 @9980
        fill 0.0 30 @9990
        > fill 0.0 30 @9990
        expire 0.0
        > ended 0 Dust
        position C long 20 @10000
        quote C 9995 10000
        intent 1 stop_loss <=10000
        > ended 1 Dust",
    );
}

/// [X9] Whether a tier takes all, because it would leave less than an order, is in the engine's intent
/// (golden case `rest_unsellable`): an intent's target is the plan's, on both sides.
#[test]
fn a_plan_wants_what_its_intent_says() {
    check(
        "position C long 60 @10000
        quote C 10030 10035
        intent 0 tiers >=10020 keep 10
        > sell 0.0 50 @10020
        fill 0.0 50 @10030
        > fill 0.0 50 @10030
        > ended 0 Done",
    );
}

#[test]
fn a_tier_keeps_its_rest_and_the_second_tier_lowers_it() {
    check(
        "position A long 10 @10000
        quote A 10060 10061
        intent 0 tiers >=10020 keep 5
        > sell 0.0 5 @10020
        intent 0 tiers >=10050 keep 0
        fill 0.0 5 @10060
        > fill 0.0 5 @10060
        > sell 0.0 5 @10050
        fill 0.0 5 @10060
        > fill 0.0 5 @10060
        > ended 0 Closed",
    );
}

/// [X3] Positions that share a holding never sell more than it has.
#[test]
fn positions_share_a_holding() {
    check(
        "position A long 10 @10000
        position A long 5 @10000
        quote A 9800 9801
        intent 0 stop_loss <=9900
        > sell 0.0 10 @9781
        intent 1 stop_loss <=9900
        > sell 1.0 5 @9781
        fill 1.0 5 @9790
        > fill 1.0 5 @9790
        > ended 1 Closed
        fill 0.0 10 @9790
        > fill 0.0 10 @9790
        > ended 0 Closed",
    );
}

/// The gate: a market that fills nobody is asked at most sixty times a minute.
#[test]
fn the_gate_holds_a_storm_back() {
    let mut script = String::from(
        "position A long 10 @10000
        quote A 9800 9801
        intent 0 liquidation
        > sell 0.0 10 market\n",
    );
    for _ in 1..60 {
        script += "expire 0.0\nwait 100\n> sell 0.0 10 market\n";
    }
    script += "expire 0.0
        wait 100
        wait 10000
        count orders
        > orders: 60
        count gate_trips
        > gate_trips: 1
        wait 60000
        > sell 0.0 10 market";
    check(&script);
}
