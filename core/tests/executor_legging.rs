//! Legs without their counterpart, by example: what is waited for, what is done when the wait is
//! over, and what an order of unknown fate does not hold back. Ids in brackets are faults that an
//! example shows survived: X17 one leg filled and the other refused, X22 answers that never come.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod common;
mod script;

use script::check;

/// [X17] Both legs at once; the refused one is ordered again at once, and the time naked is told.
#[test]
fn x17_one_leg_filled_the_other_refused() {
    check(
        "position A long 10 @10000 , B short 10 @10000
        quote A 10500 10501
        quote B 9999 10000
        intent 0 stop_loss
        > sell 0.0 10 @10479
        > buy 0.1 10 @10020
        fill 0.0 10 @10500
        > fill 0.0 10 @10500
        notes
        > nothing
        wait 40
        reject 0.1 price
        > buy 0.1 10 @10050
        notes
        > legging 0.1 100000
        fill 0.1 10 @10020
        > fill 0.1 10 @10020
        > ended 0 Closed
        notes
        > hedged 0 40 ms 100000
        count naked_ns
        > naked_ns: 40000000",
    );
}

/// [X17] A normal exit may wait for its spread for a minute, but not with one leg alone.
#[test]
fn x17_a_naked_leg_waits_for_no_spread_beyond_the_bound() {
    check(
        "position A long 10 @10000 , B short 10 @10000
        quote A 10500 10501
        quote B 9000 10000
        intent 0 deadline
        > sell 0.0 10 @10490
        fill 0.0 10 @10500
        > fill 0.0 10 @10500
        wait 500
        notes
        > legging 0.1 100000
        wait 4499
        plan 0
        > normal deadline number 1
        wait 1
        > buy 0.1 10 @10020
        notes
        > unhedged 0 5000 ms 100000
        plan 0
        > protective deadline number 1
        fill 0.1 10 @10010
        > fill 0.1 10 @10010
        > ended 0 Closed
        notes
        > hedged 0 5000 ms 100000",
    );
}

/// [X17] More than `max_unhedged` without an answer to wait for is repaired urgently at once, and at
/// the market when that has not helped within twice the bound.
#[test]
fn x17_too_much_of_a_leg_is_urgent_at_once() {
    check(
        "max_unhedged 50000
        position A long 10 @10000 , B short 10 @10000
        quote A 10500 10501
        quote B 9999 10000
        intent 0 deadline
        > sell 0.0 10 @10490
        > buy 0.1 10 @10010
        fill 0.0 10 @10500
        > fill 0.0 10 @10500
        plan 0
        > normal deadline number 1
        expire 0.1
        > buy 0.1 10 @10020
        plan 0
        > protective deadline number 1
        notes
        > legging 0.1 100000, unhedged 0 0 ms 100000
        wait 9999
        plan 0
        > protective deadline number 1
        wait 1
        expire 0.1
        > buy 0.1 10 market
        notes
        > unhedged 0 10000 ms 100000
        fill 0.1 10 @10010
        > fill 0.1 10 @10010
        > ended 0 Closed
        notes
        > hedged 0 10000 ms 100000",
    );
}

/// [X17] [X22] One leg's order is unknown: its venue is asked soon, clips do not hold the other leg
/// back beyond the bound, and what is open beside the unknown order is closed too. What is left is
/// naked by no more than one clip.
#[test]
fn x17_x22_an_unknown_leg_blocks_only_its_own_order() {
    check(
        "max_unhedged 300000
        position A long 100 @10000 , B short 100 @10000
        read A 100
        read B -100
        quote A 10500 10501
        quote B 9999 10000
        intent 0 basis net -1000000
        > sell 0.0 28 @5250
        > buy 0.1 28 @15250
        asks
        > holding A, holding B
        fill 0.0 28 @10500
        > fill 0.0 28 @10500
        wait 499
        asks
        > nothing
        wait 1
        asks
        > order 0.1
        doubt 0.1
        notes
        > legging 0.1 280000
        wait 4499
        leg 0 0
        > open 72 live 0 Filled
        wait 1
        > sell 0.0 72 @10479
        > buy 0.1 72 @10020
        plan 0
        > protective basis number 1
        notes
        > unhedged 0 5000 ms 280000
        count set_aside
        > set_aside: 1
        leg 0 1
        > open 100 live 100 Sent
        fill 0.0 72 @10500
        > fill 0.0 72 @10500
        fill 0.1 72 @10000
        > fill 0.1 72 @10000
        leg 0 1
        > open 28 live 28 Filled
        wait 25000
        no_such 0.1~
        wait 1000
        no_such 0.1~
        quote B 9999 10000
        read A 0
        > LegRead { position: PositionId(0), leg: 0, qty: Qty(0) }
        read B -28
        > LegRead { position: PositionId(0), leg: 1, qty: Qty(28) }
        > buy 0.1 28 market
        leg 0 1
        > open 28 live 28 Sent
        fill 0.1 28 @10000
        > fill 0.1 28 @10000
        > ended 0 Closed",
    );
}

/// [X22] A stop closes what stays beside a tier's order that is unknown; each order ends by its own
/// word, and what one of them did not take is ordered anew.
#[test]
fn x22_a_stop_closes_what_an_unknown_order_does_not_hold() {
    check(
        "position A long 100 @10000
        read A 100
        quote A 10500 10501
        intent 0 tiers >=10400 keep 40
        > sell 0.0 60 @10400
        doubt 0.0
        quote A 9800 9801
        intent 0 stop_loss <=9900
        > sell 0.0 40 @9781
        leg 0 0
        > open 100 live 100 Sent
        fill 0.0~ 25 @10400
        > fill 0.0 25 @10400
        leg 0 0
        > open 75 live 75 Sent
        expire 0.0
        > sell 0.0 40 @9751
        leg 0 0
        > open 75 live 75 Sent
        fill 0.0 40 @9800
        > fill 0.0 40 @9800
        leg 0 0
        > open 35 live 35 Filled
        fill 0.0~~ 25 @10400
        > fill 0.0 25 @10400
        leg 0 0
        > open 10 live 10 Filled",
    );
}
