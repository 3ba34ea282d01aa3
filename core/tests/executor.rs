//! What the executor sends at each urgency, by example. Ids in brackets are faults that an example
//! shows survived: X3 over-close, X8 partial fill, X11 a price that can never fill.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod common;
mod script;

use script::check;

#[test]
fn take_profit_sells_at_the_worst_price_at_which_the_rule_holds() {
    check(
        "position A long 10 @10000
        quote A 10030 10031
        intent 0 take_profit >=10020
        > sell 0.0 10 @10020
        ack 0.0
        fill 0.0 10 @10030
        > fill 0.0 10 @10030
        > ended 0 Closed
        realised 0
        > realised 300",
    );
}

/// SPEC §12: take_profit touched, price gone before sending.
#[test]
fn take_profit_gone_before_sending_is_missed_and_nothing_is_sent() {
    check(
        "position A long 10 @10000
        quote A 10019 10021
        intent 0 take_profit >=10020
        > ended 0 Missed
        count refuted
        > refuted: 1
        count orders
        > orders: 0
        quote A 10020 10021
        intent 0 take_profit >=10020
        > sell 0.0 10 @10020
        expire 0.0
        > ended 0 Missed",
    );
}

#[test]
fn take_profit_on_a_stale_or_missing_quote_is_missed() {
    check(
        "position A long 10 @10000
        intent 0 take_profit >=10020
        > ended 0 Missed
        quote A 10030 10031
        wait 5001
        intent 0 take_profit >=10020
        > ended 0 Missed",
    );
}

/// SPEC §12: stop holds and take_profit plan is working: protective, full quantity, same plan. The
/// order in flight is awaited and nothing is sold twice [X3].
#[test]
fn a_stop_raises_the_working_take_profit() {
    check(
        "position A long 10 @10000
        quote A 10030 10031
        intent 0 tiers >=10020 keep 5
        > sell 0.0 5 @10020
        quote A 9800 9801
        intent 0 stop_loss <=9900
        plan 0
        > protective stop_loss number 1
        fill 0.0 2 @10020
        > fill 0.0 2 @10020
        expire 0.0
        > sell 0.0 8 @9781
        plan 0
        > protective stop_loss number 1
        fill 0.0 8 @9790
        > fill 0.0 8 @9790
        > ended 0 Closed
        realised 0
        > realised -1640",
    );
}

/// SPEC §12: opportunistic manual close while liquidation holds: critical, reason liquidation.
#[test]
fn a_lower_intent_takes_nothing_back() {
    check(
        "position A long 10 @10000
        quote A 9800 9801
        intent 0 liquidation
        > sell 0.0 10 market
        intent 0 operator opportunistic keep 4
        plan 0
        > critical liquidation number 1
        fill 0.0 10 @9700
        > fill 0.0 10 @9700
        > ended 0 Closed",
    );
}

#[test]
fn protective_collars_widen_at_once_and_reach_the_market() {
    check(
        "position A short 10 @10000
        quote A 10999 11000
        intent 0 stop_loss >=10900
        > buy 0.0 10 @11022
        expire 0.0
        > buy 0.0 10 @11055
        quote A 11099 11100
        fill 0.0 3 @11040
        > fill 0.0 3 @11040
        expire 0.0
        > buy 0.0 7 @11211
        expire 0.0
        > buy 0.0 7 market
        expire 0.0
        wait 100
        > buy 0.0 7 market
        fill 0.0 4 @11300
        > fill 0.0 4 @11300
        expire 0.0
        > buy 0.0 3 market
        fill 0.0 3 @11400
        > fill 0.0 3 @11400
        > ended 0 Closed",
    );
}

/// The market needs no price: a protective exit without a usable quote goes there [X11].
#[test]
fn protective_without_a_fresh_quote_goes_to_the_market() {
    check(
        "position A long 10 @10000
        quote A 9800 9801
        wait 5001
        intent 0 stop_loss <=9900
        > sell 0.0 10 market",
    );
}

#[test]
fn normal_polls_while_the_spread_is_wide_until_its_deadline() {
    check(
        "position A long 10 @10000
        position B long 10 @10000
        quote A 10000 10021
        quote B 10000 10021
        intent 0 deadline
        intent 1 deadline
        wait 1000
        quote A 10000 10020
        wait 100
        > sell 0.0 10 @9990
        wait 58800
        quote B 9000 9500
        wait 99
        plan 1
        > normal deadline number 1 stuck
        wait 1
        > sell 1.0 10 @8991",
    );
}

/// Priced from the newest quote at each attempt [X11]; three orders without a fill escalate.
#[test]
fn normal_prices_anew_each_attempt_and_escalates_after_three() {
    check(
        "position A long 10 @10000
        quote A 10000 10001
        intent 0 deadline
        > sell 0.0 10 @9990
        expire 0.0
        quote A 9950 9951
        wait 99
        wait 1
        > sell 0.0 10 @9941
        expire 0.0
        wait 100
        > sell 0.0 10 @9941
        plan 0
        > normal deadline number 1
        expire 0.0
        > sell 0.0 10 @9931
        plan 0
        > protective deadline number 1",
    );
}

#[test]
fn normal_never_goes_blind() {
    check(
        "position A long 10 @10000
        intent 0 deadline
        wait 90000
        plan 0
        > normal deadline number 1 stuck
        count orders
        > orders: 0
        quote A 9000 9001
        wait 100
        > sell 0.0 10 @8991",
    );
}

/// [X8] The rest of a partial fill goes on within the same plan.
#[test]
fn a_partly_filled_take_profit_is_completed_at_normal_urgency() {
    check(
        "position A long 10 @10000
        quote A 10030 10031
        intent 0 take_profit >=10020
        > sell 0.0 10 @10020
        fill 0.0 4 @10025
        > fill 0.0 4 @10025
        quote A 10010 10011
        expire 0.0
        > sell 0.0 6 @10000
        plan 0
        > normal take_profit number 1
        fill 0.0 6 @10010
        > fill 0.0 6 @10010
        > ended 0 Closed",
    );
}

#[test]
fn a_pair_splits_its_slack_by_the_spreads() {
    // Σ = 10·(10500 − 10000) = 5000 against 3000: a slack of 200 price units in all. One tick each,
    // the other 198 by spreads of one to three, what rounding leaves to the first.
    check(
        "position A long 10 @10000 , B short 10 @10000
        quote A 10500 10501
        quote B 9997 10000
        intent 0 basis net 3000
        > sell 0.0 10 @10449
        > buy 0.1 10 @10149
        fill 0.0 10 @10500
        > fill 0.0 10 @10500
        fill 0.1 10 @10000
        > fill 0.1 10 @10000
        > ended 0 Closed",
    );
}

#[test]
fn a_pair_closes_in_proportional_clips_each_verified() {
    check(
        "max_unhedged 600000
        position A long 100 @10000 , B short 200 @10000
        quote A 10500 10501 80 9
        quote B 9999 10000 9 1000
        intent 0 basis net -1000000
        > sell 0.0 30 @10332
        > buy 0.1 60 @10166
        fill 0.0 30 @10500
        > fill 0.0 30 @10500
        fill 0.1 60 @10000
        > fill 0.1 60 @10000
        > sell 0.0 30 @10332
        > buy 0.1 60 @10166
        quote A 8000 8001
        fill 0.1 60 @10000
        > fill 0.1 60 @10000
        fill 0.0 30 @10500
        > fill 0.0 30 @10500
        > ended 0 Done
        count orders
        > orders: 4",
    );
}

/// One leg filled, the other refused: the rest is closed at normal urgency, at once, and becomes
/// protective when that fails.
#[test]
fn a_pair_with_one_leg_filled_completes_the_other() {
    check(
        "position A long 10 @10000 , B short 10 @10000
        quote A 10500 10501
        quote B 9999 10000
        intent 0 basis net 5000
        > sell 0.0 10 @10500
        > buy 0.1 10 @10000
        expire 0.1
        fill 0.0 10 @10500
        > fill 0.0 10 @10500
        > buy 0.1 10 @10010
        plan 0
        > normal basis number 1
        expire 0.1
        wait 100
        > buy 0.1 10 @10010
        expire 0.1
        wait 100
        > buy 0.1 10 @10010
        expire 0.1
        > buy 0.1 10 @10020
        plan 0
        > protective basis number 1
        fill 0.1 10 @10015
        > fill 0.1 10 @10015
        > ended 0 Closed",
    );
}

#[test]
fn a_pair_without_any_fill_is_missed_only_when_both_orders_are_over() {
    check(
        "position A long 10 @10000 , B short 10 @10000
        quote A 10500 10501
        quote B 9999 10000
        intent 0 basis net 5000
        > sell 0.0 10 @10500
        > buy 0.1 10 @10000
        expire 0.0
        plan 0
        > opportunistic basis number 1
        reject 0.1 price
        > ended 0 Missed",
    );
}

/// The trading state stopped: nothing is sent, and what was held back is priced when it goes on.
#[test]
fn while_stopped_nothing_is_sent_and_plans_wait() {
    check(
        "position A long 10 @10000
        position B long 10 @10000
        quote A 9800 9801
        quote B 10030 10031
        intent 0 stop_loss <=9900
        > sell 0.0 10 @9781
        stop
        expire 0.0
        intent 1 take_profit >=10020
        wait 5000
        plan 0
        > protective stop_loss number 1
        plan 1
        > opportunistic take_profit number 1
        quote A 9700 9701
        quote B 10031 10032
        go
        > sell 0.0 10 @9652
        > sell 1.0 10 @10020",
    );
}

/// A target that is gone when orders may be sent again is missed.
#[test]
fn a_target_that_is_gone_after_a_stop_is_missed() {
    check(
        "position A long 10 @10000
        quote A 10030 10031
        stop
        intent 0 take_profit >=10020
        quote A 10019 10021
        go
        > ended 0 Missed",
    );
}
