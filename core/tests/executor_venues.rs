//! What venues let through, by example: budgets, wishes for patience, and venues that refuse
//! everything. Ids in brackets are faults that an example shows survived: X13 rate limits, X16 a
//! venue in maintenance, X25 codes that nobody knows, X29 a storm of the same refusal.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod common;
mod script;

use script::check;

/// [X13] Orders beyond the budget wait for their turn; how long closing everything takes is told.
#[test]
fn x13_orders_beyond_the_budget_wait_for_their_turn() {
    check(
        "budget 0 5
        position A long 10 @10000
        position A long 10 @10000
        position A long 10 @10000
        position A long 10 @10000
        quote A 9800 9801
        venue 0
        > 4 of 4 now, 0 ms
        intent 0 stop_loss
        > sell 0.0 10 @9781
        intent 1 stop_loss
        > sell 1.0 10 @9781
        intent 2 stop_loss
        > sell 2.0 10 @9781
        intent 3 stop_loss
        > sell 3.0 10 @9781
        venue 0
        > 1 of 4 now, 10833 ms
        expire 0.0
        > sell 0.0 10 @9751
        expire 1.0
        count budget_waits
        > budget_waits: 1
        venue 0
        > 0 of 4 now, 10833 ms
        wait 9999
        quote A 9800 9801
        wait 834
        > sell 1.0 10 @9751",
    );
}

/// [X13] Questions leave 30 % of the budget to exits: three unknown orders are asked for only as
/// often as that allows, and an exit goes at once.
#[test]
fn x13_exits_have_a_share_of_the_budget_that_questions_do_not_touch() {
    check(
        "budget 0 50
        position A long 10 @10000
        position A long 10 @10000
        position A long 10 @10000
        position A long 10 @10000
        quote A 9800 9801
        intent 0 stop_loss
        > sell 0.0 10 @9781
        intent 1 stop_loss
        > sell 1.0 10 @9781
        intent 2 stop_loss
        > sell 2.0 10 @9781
        doubt 0.0
        doubt 1.0
        doubt 2.0
        asks
        > holding A, holding A, holding A, holding A
        wait 30000
        asks
        > order 0.0, order 1.0, order 2.0, order 0.0, order 1.0, order 2.0, order 0.0, order 1.0, order 2.0, order 0.0, order 1.0, order 2.0, order 0.0, order 1.0, order 2.0
        count budget_waits
        > budget_waits: 0
        intent 3 liquidation
        > sell 3.0 10 market
        wait 34999
        count budget_waits
        > budget_waits: 4
        asks
        > order 0.0
        wait 1
        asks
        > order 0.0, order 1.0, order 2.0, order 3.0",
    );
}

/// [X13] A venue that says how long it wants to be left alone is left alone so long, by orders and
/// questions, however urgent; other venues are not.
#[test]
fn x13_retry_after_is_honoured() {
    check(
        "position A long 10 @10000
        position B long 10 @10000
        quote A 9800 9801
        quote B 9800 9801
        intent 0 stop_loss
        > sell 0.0 10 @9781
        doubt 0.0
        limited 0 30000
        asks
        > holding A, holding B
        notes
        > limited 0 30000 ms
        venue 0
        > 0 of 1 now, 30000 ms
        intent 1 stop_loss
        > sell 1.0 10 @9781
        wait 29999
        asks
        > order 1.0, order 1.0, order 1.0, order 1.0, order 1.0
        wait 1
        asks
        > order 0.0
        expire 0.0
        > sell 0.0 10 market",
    );
}

/// [X13] Too many requests by one leg hold back every leg there.
#[test]
fn x13_a_rate_limit_binds_the_whole_venue() {
    check(
        "position A long 10 @10000
        position C long 40 @10000
        quote A 9800 9801
        quote C 9800 9805
        intent 0 stop_loss
        > sell 0.0 10 @9781
        reject 0.0 rate
        intent 1 stop_loss
        wait 249
        wait 1
        > sell 0.0 10 @9781
        > sell 1.0 40 @9785",
    );
}

/// [X16] A venue in maintenance is held after three refusals, and told; one order at a time is
/// tried, and one that is taken lets everything go on. A pair with one leg there is told.
#[test]
fn x16_a_venue_in_maintenance_is_held_tried_and_resumed() {
    check(
        "position A long 10 @10000 , B short 10 @10000
        position C long 40 @10000
        quote A 9800 9801
        quote B 9999 10000
        quote C 9800 9805
        intent 1 liquidation
        > sell 1.0 40 market
        reject 1.0 unavailable
        wait 250
        > sell 1.0 40 market
        reject 1.0 unavailable
        wait 500
        > sell 1.0 40 market
        reject 1.0 unavailable
        notes
        > held 0 Unavailable, half held 0.0 0
        venue 0
        > 0 of 2 now, 250 ms, held Unavailable
        intent 0 liquidation
        > buy 0.1 10 market
        wait 250
        > sell 0.0 10 market
        reject 0.0 unavailable
        wait 500
        > sell 0.0 10 market
        ack 0.0
        notes
        > resumed 0
        venue 0
        > 2 of 2 now, 0 ms
        wait 500
        > sell 1.0 40 market",
    );
}

/// [X25] [X29] Refusals for reasons that nobody knows, of more than one instrument, hold the venue;
/// of one instrument alone they are tried again seldom, and flagged, while the others go on.
#[test]
fn x25_x29_unknown_refusals_hold_the_venue_or_the_leg() {
    check(
        "position A long 10 @10000
        position C long 40 @10000
        quote A 9800 9801
        quote C 9800 9805
        intent 0 liquidation
        > sell 0.0 10 market
        reject 0.0 fatal
        wait 10000
        > sell 0.0 10 market
        reject 0.0 fatal
        wait 10000
        > sell 0.0 10 market
        reject 0.0 fatal
        notes
        > stuck 0
        venue 0
        > 2 of 2 now, 0 ms
        intent 1 liquidation
        > sell 1.0 40 market
        reject 1.0 fatal
        wait 10000
        > sell 0.0 10 market
        > sell 1.0 40 market
        reject 0.0 fatal
        notes
        > stuck 1, held 0 Fatal
        venue 0
        > 0 of 2 now, 250 ms, held Fatal",
    );
}
