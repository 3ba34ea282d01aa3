//! Orders whose fate nobody knows, by example: what is asked, what counts as an answer, and what is
//! never done meanwhile. Ids in brackets are faults that an example shows survived: X1 an unknown
//! order, X2 a time-out that is taken for a failure, X19 closed by hand, X22 fills that never came,
//! X24 a read that says nothing.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod common;
mod script;

use script::check;

/// [X1] [X2] A time-out sends nothing again, however urgent; the venue is asked, less and less
/// often.
#[test]
fn x1_x2_a_doubted_order_is_asked_for_and_never_sent_again() {
    check(
        "position A long 10 @10000
        read A 10
        quote A 9800 9801
        intent 0 stop_loss <=9900
        > sell 0.0 10 @9781
        doubt 0.0
        count doubted
        > doubted: 1
        leg 0 0
        > open 10 live 10 Unknown { not_found: 0 }
        wait 999
        asks
        > holding A
        wait 1
        asks
        > order 0.0
        wait 1000
        wait 2000
        asks
        > order 0.0, order 0.0
        intent 0 liquidation
        wait 3600000
        plan 0
        > critical liquidation number 1 stuck
        leg 0 0
        > open 10 live 10 Unknown { not_found: 0 }
        fill 0.0 10 @9790
        > fill 0.0 10 @9790
        > ended 0 Closed
        notes
        > stuck 0",
    );
}

/// An order is asked for when nothing is heard of it, whether somebody doubts it or not.
#[test]
fn silence_is_asked_about() {
    check(
        "position A long 10 @10000
        read A 10
        quote A 9800 9801
        intent 0 stop_loss <=9900
        > sell 0.0 10 @9781
        ack 0.0
        wait 4999
        asks
        > holding A
        wait 1
        asks
        > order 0.0
        leg 0 0
        > open 10 live 10 Acked
        expire 0.0
        > sell 0.0 10 @9751",
    );
}

/// [X1] Proof of death: two answers late enough and apart, then a read that was asked for after
/// them. Only then is a new order sent.
#[test]
fn x1_an_order_is_dead_by_two_answers_and_a_read() {
    check(
        "position A long 10 @10000
        read A 10
        quote A 9800 9801
        intent 0 stop_loss <=9900
        > sell 0.0 10 @9781
        doubt 0.0
        wait 29999
        no_such 0.0
        leg 0 0
        > open 10 live 10 Unknown { not_found: 0 }
        wait 1
        no_such 0.0
        no_such 0.0
        leg 0 0
        > open 10 live 10 Unknown { not_found: 1 }
        wait 999
        no_such 0.0
        leg 0 0
        > open 10 live 10 Unknown { not_found: 1 }
        read A 10
        asks
        > holding A, order 0.0, order 0.0, order 0.0, order 0.0, order 0.0
        wait 1
        no_such 0.0
        leg 0 0
        > open 10 live 10 Unknown { not_found: 2 }
        asks
        > order 0.0, holding A
        wait 500
        read A 10 ago 501
        leg 0 0
        > open 10 live 10 Unknown { not_found: 2 }
        quote A 9800 9801
        read A 10 ago 500
        > sell 0.0 10 @9751
        leg 0 0
        > open 10 live 10 Sent
        asks
        > forget 0.0
        notes
        > stuck 0, proven 0.0 0
        count dead
        > dead: 1",
    );
}

/// [X22] What is missing of the holding is what the order took: all of it, or a part.
#[test]
fn x22_what_is_missing_of_the_holding_was_filled() {
    check(
        "position A long 10 @10000
        read A 10
        quote A 9800 9801
        intent 0 stop_loss <=9900
        > sell 0.0 10 @9781
        fill 0.0 2 @9790
        > fill 0.0 2 @9790
        doubt 0.0
        wait 30000
        no_such 0.0
        wait 1000
        no_such 0.0
        quote A 9800 9801
        read A 5
        > fill 0.0 3 @9781
        > sell 0.0 5 @9751
        notes
        > stuck 0, proven 0.0 3
        fill 0.0 3 @9770
        > fill 0.0 3 @9770
        doubt 0.0
        wait 30000
        no_such 0.0
        wait 1000
        no_such 0.0
        read A 0
        > fill 0.0 2 @9751
        > ended 0 Closed
        count inferred
        > inferred: 2",
    );
}

/// More is missing than the order could take: the rest was closed by somebody else [X19], which a
/// rule has to believe first.
#[test]
fn x19_what_an_order_cannot_explain_is_read_as_lost() {
    check(
        "position A long 10 @10000
        read A 10
        quote A 10030 10031
        intent 0 tiers >=10020 keep 6
        > sell 0.0 4 @10020
        doubt 0.0
        wait 30000
        no_such 0.0
        wait 1000
        no_such 0.0
        read A 3
        > fill 0.0 4 @10020
        > ended 0 Done
        > LegRead { position: PositionId(0), leg: 0, qty: Qty(3) }",
    );
}

/// An answer of the venue takes the doubt back, at any stage of it.
#[test]
fn a_word_of_the_venue_ends_the_doubt() {
    check(
        "position A long 10 @10000
        read A 10
        quote A 9800 9801
        intent 0 stop_loss <=9900
        > sell 0.0 10 @9781
        doubt 0.0
        wait 30000
        no_such 0.0
        wait 1000
        no_such 0.0
        ack 0.0
        leg 0 0
        > open 10 live 10 Acked
        quote A 9800 9801
        read A 0
        leg 0 0
        > open 10 live 10 Acked
        doubt 0.0
        leg 0 0
        > open 10 live 10 Unknown { not_found: 0 }
        expire 0.0
        > sell 0.0 10 @9751",
    );
}

/// [X24] A read says nothing while another order of the same holding may explain it.
#[test]
fn x24_a_read_decides_nothing_while_another_order_of_the_holding_is_in_flight() {
    check(
        "position A long 10 @10000
        position A long 7 @10000
        read A 17
        quote A 9800 9801
        intent 0 stop_loss <=9900
        > sell 0.0 10 @9781
        doubt 0.0
        wait 30000
        no_such 0.0
        wait 1000
        no_such 0.0
        quote A 9800 9801
        intent 1 stop_loss <=9900
        > sell 1.0 7 @9781
        read A 7
        leg 0 0
        > open 10 live 10 Unknown { not_found: 2 }
        fill 1.0 7 @9790
        > fill 1.0 7 @9790
        > ended 1 Closed
        read A 0
        > fill 0.0 10 @9781
        > ended 0 Closed",
    );
}

/// Two legs of one holding, both unknown: what is missing is shared, never counted twice.
#[test]
fn one_read_settles_all_that_wait_for_it() {
    check(
        "position A long 10 @10000
        position A long 7 @10000
        read A 17
        quote A 9800 9801
        intent 0 liquidation
        > sell 0.0 10 market
        intent 1 liquidation
        > sell 1.0 7 market
        doubt 0.0
        doubt 1.0
        wait 30000
        no_such 0.0
        no_such 1.0
        wait 1000
        no_such 0.0
        no_such 1.0
        quote A 9800 9801
        read A 4
        > fill 0.0 10 @9800
        > ended 0 Closed
        > fill 1.0 3 @9800
        > sell 1.0 4 market",
    );
}

/// The account holds more than is known here, or the other side: only what has changed since the read
/// before is the order's work.
#[test]
fn what_others_hold_there_is_no_part_of_the_proof() {
    check(
        "position A long 10 @10000
        read A 20
        quote A 9800 9801
        intent 0 liquidation
        > sell 0.0 10 market
        doubt 0.0
        wait 30000
        no_such 0.0
        wait 1000
        no_such 0.0
        quote A 9800 9801
        read A 10
        > fill 0.0 10 @9800
        > ended 0 Closed",
    );
}

/// A holding that was not read before an order left has nothing to compare with: the order stays as
/// it is, whatever is read now.
#[test]
fn without_an_earlier_read_nothing_is_proven() {
    check(
        "position A long 10 @10000
        quote A 9800 9801
        intent 0 liquidation
        > sell 0.0 10 market
        doubt 0.0
        wait 30000
        no_such 0.0
        wait 1000
        no_such 0.0
        quote A 9800 9801
        read A 10
        read A 0
        leg 0 0
        > open 10 live 10 Unknown { not_found: 2 }
        fill 0.0 10 @9790
        > fill 0.0 10 @9790
        > ended 0 Closed",
    );
}

/// [X19] Part of a leg was closed by somebody else while its order was on its way: when that has
/// ended, what the read did not show is written off, and nothing is sent for it for ever.
#[test]
fn x19_a_loss_that_is_believed_during_an_order_is_written_off_at_its_end() {
    check(
        "position A long 10 @10000
        quote A 9800 9801
        read A 10
        read A 6
        > LegRead { position: PositionId(0), leg: 0, qty: Qty(6) }
        intent 0 stop_loss <=9900
        > sell 0.0 10 @9781
        intent 0 leg_lost parts 15
        fill 0.0 6 @9790
        > fill 0.0 6 @9790
        expire 0.0
        > LegLost { position: PositionId(0), leg: 0, qty: Qty(0) }
        > ended 0 Closed",
    );
}
