//! Faults of execution that a price, a size or a hand causes, by example. Ids in brackets are
//! faults that an example shows survived: X10 a price band, X11 a stale price, X12 a stop that the
//! market has left behind, X18 a leg that the venue closed, X27 prevention of self-trades.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod common;
mod script;

use script::check;

/// [X10] A price outside the venue's band is priced again, wider with each refusal, and in the end at
/// the market: the position is never left alone.
#[test]
fn x10_a_price_outside_the_band_is_priced_again() {
    check(
        "position A long 10 @10000
        quote A 9800 9801
        intent 0 stop_loss
        > sell 0.0 10 @9781
        reject 0.0 price
        > sell 0.0 10 @9751
        wait 250
        quote A 9700 9701
        reject 0.0 price
        wait 250
        > sell 0.0 10 @9603
        reject 0.0 price
        wait 500
        > sell 0.0 10 market
        reject 0.0 price
        wait 1000
        > sell 0.0 10 market
        fill 0.0 10 @9690
        > fill 0.0 10 @9690
        > ended 0 Closed",
    );
}

/// [X11] Every attempt is priced off the quote of its own moment, never off the entry. Without a
/// fresh one a normal exit waits for it, and a protective one goes to the market.
#[test]
fn x11_an_exit_is_never_priced_off_a_stale_price() {
    check(
        "position A long 10 @10000
        position A long 10 @10000
        position A long 10 @10000
        quote A 9800 9801
        intent 0 deadline
        > sell 0.0 10 @9791
        expire 0.0
        quote A 9500 9501
        wait 100
        > sell 0.0 10 @9491
        wait 90000
        intent 1 deadline
        wait 1000
        intent 2 stop_loss
        > sell 2.0 10 market
        quote A 9400 9401
        wait 100
        > sell 1.0 10 @9391",
    );
}

/// [X12] A stop that the market has gapped through follows it, rung by rung, without a pause.
#[test]
fn x12_a_stop_that_is_gapped_through_reaches_the_market() {
    check(
        "position A long 10 @10000
        quote A 9900 9901
        intent 0 stop_loss <=9900
        > sell 0.0 10 @9881
        quote A 9000 9001
        expire 0.0
        > sell 0.0 10 @8955
        quote A 8000 8001
        expire 0.0
        > sell 0.0 10 @7920
        quote A 7000 7001
        expire 0.0
        > sell 0.0 10 market
        fill 0.0 10 @6900
        > fill 0.0 10 @6900
        > ended 0 Closed",
    );
}

/// [X18] A leg that the venue has closed by itself is written off, and the leg that is left is closed
/// as an exit of its own, at the market.
#[test]
fn x18_what_a_liquidation_leaves_of_a_pair_is_closed() {
    check(
        "position A long 10 @10000 , B short 10 @10000
        quote A 10500 10501
        quote B 9999 10000
        read A 10
        read B -10
        wait 1000
        read A 0
        > LegRead { position: PositionId(0), leg: 0, qty: Qty(0) }
        read B -10
        > LegRead { position: PositionId(0), leg: 1, qty: Qty(10) }
        intent 0 leg_lost parts 1
        > LegLost { position: PositionId(0), leg: 0, qty: Qty(0) }
        > buy 0.1 10 market
        notes
        > legging 0.1 100000
        fill 0.1 10 @10000
        > fill 0.1 10 @10000
        > ended 0 Closed
        notes
        > hedged 0 0 ms 100000",
    );
}

/// [X27] What the venue ends to prevent a trade with ourselves was not filled: it is priced again.
#[test]
fn x27_a_prevented_self_trade_is_not_filled() {
    check(
        "position A long 10 @10000
        quote A 9800 9801
        intent 0 stop_loss
        > sell 0.0 10 @9781
        ack 0.0
        fill 0.0 4 @9800
        > fill 0.0 4 @9800
        expire 0.0
        > sell 0.0 6 @9751
        leg 0 0
        > open 6 live 6 Sent
        fill 0.0 6 @9790
        > fill 0.0 6 @9790
        > ended 0 Closed",
    );
}
