//! Silence, half-open connections, refusals, rejected messages.

use reap_core::instrument::InstrumentId;
use reap_core::units::Nanos;
use reap_feed::decoded::Rejection;
use reap_feed::session::{LinkAction, LinkEvent, LinkReason, LinkSettings, LinkState, Slot};

use crate::rig::{Rig, SECOND};

#[test]
fn f1_a_connection_that_only_pongs_is_closed_and_made_anew() {
    for (venue, limit) in [("binance_usdm", 30), ("bybit_linear", 10)] {
        let mut rig = Rig::live(venue, 1);
        for _ in 0..10 * limit - 1 {
            rig.advance(SECOND / 10);
            rig.link.on_frame(Slot::A, rig.now);
            rig.message(Slot::A, r#"{"success":true,"ret_msg":"pong","op":"ping"}"#);
            rig.message(Slot::A, r#"{"result":null,"id":77}"#);
        }
        assert_eq!(rig.closes(), [], "{venue}");
        rig.accepts = false;
        rig.advance(SECOND / 10);
        assert_eq!(rig.closes(), [(Slot::A, LinkReason::Silent)], "{venue}");
        let lost = LinkEvent::Lost(LinkReason::Silent);
        assert_eq!(rig.events().last(), Some(&lost));
        assert!(rig.link.forwarding().is_none());
        rig.accepts = true;
        rig.advance(SECOND);
        assert_eq!(rig.connects().len(), 1);
        assert_eq!(
            rig.link.tell(lost).to_string(),
            "public: lost: it brings no data; connecting again"
        );
    }
}

#[test]
fn f1_a_venue_that_stays_mute_is_tried_ever_more_rarely() {
    let mut rig = Rig::new("bybit_linear", 1, LinkSettings::default());
    rig.advance(3600 * SECOND);
    let connects = rig.connects();
    // 10 s of silence and up to 30 s of back-off each time.
    assert!((90..160).contains(&connects.len()), "{}", connects.len());
    assert!(!rig.events().contains(&LinkEvent::Live));
    assert_eq!(rig.link.counters().ended(LinkReason::Silent) as usize + 1, connects.len());
}

#[test]
fn f2_no_frame_for_two_ping_intervals_ends_it_even_where_silence_is_allowed() {
    let never = Some(Nanos(1000 * SECOND));
    let settings = LinkSettings { silence: never, mute: never, ..LinkSettings::default() };
    for venue in ["binance_usdm", "bybit_linear"] {
        let mut rig = Rig::new(venue, 1, settings);
        rig.answers = false;
        rig.advance(SECOND);
        rig.message(Slot::A, r#"{"success":true,"ret_msg":"","req_id":"1","op":"subscribe"}"#);
        rig.message(Slot::A, r#"{"result":null,"id":1}"#);
        rig.accepts = false;
        let last = rig.now;
        rig.advance(39 * SECOND);
        assert_eq!(rig.closes(), []);
        rig.advance(SECOND);
        assert_eq!(rig.closes(), [(Slot::A, LinkReason::HalfOpen)]);
        assert_eq!(rig.now, last.plus(Nanos(40 * SECOND)));

        // Pings of the venue, answered by the transport, are frames.
        rig.accepts = true;
        rig.answers = true;
        rig.advance(SECOND);
        for _ in 0..10 {
            rig.advance(30 * SECOND);
            rig.link.on_frame(rig.main(), rig.now);
        }
        assert_eq!(rig.closes().len(), 1, "{venue}");
    }
}

#[test]
fn f3_one_silent_instrument_is_told_subscribed_anew_and_recovers_alone() {
    let mut rig = Rig::live("bybit_linear", 3);
    rig.advance_ticking(6, &[0, 2]);
    assert_eq!(rig.events(), []);
    rig.advance_ticking(3, &[0, 2]);
    assert_eq!(rig.events(), [LinkEvent::Mute(InstrumentId(1))]);
    assert_eq!(rig.link.mutes().collect::<Vec<_>>(), [InstrumentId(1)]);
    assert_eq!(
        rig.sent(),
        [
            r#"{"req_id":"2","op":"unsubscribe","args":["orderbook.1.C1USDT"]}"#,
            r#"{"req_id":"3","op":"subscribe","args":["orderbook.1.C1USDT"]}"#,
        ]
    );
    let mute = LinkEvent::Mute(InstrumentId(1));
    assert_eq!(
        rig.link.tell(mute).to_string(),
        "public: orderbook.1.C1USDT is silent; subscribing it anew"
    );
    assert_eq!(rig.link.state(), LinkState::Live);
    rig.tick(Slot::A, 1);
    let recovered = LinkEvent::Recovered(InstrumentId(1));
    assert_eq!(rig.events(), [mute, recovered]);
    assert_eq!(rig.link.mutes().count(), 0);
    assert_eq!(rig.closes(), []);
}

#[test]
fn f3_a_silent_instrument_is_tried_exactly_when_its_pause_ends() {
    let mut rig = Rig::live("bybit_linear", 2);
    let last = rig.now;
    rig.advance_ticking(60, &[0]);
    let unsubscribed = rig.log.iter().filter_map(|(at, action)| match action {
        LinkAction::Send(_, text) if text.contains("unsubscribe") => Some(at.since(last).0),
        _ => None,
    });
    // Mute after seven seconds; then after pauses of seven, fourteen, twenty-eight.
    assert_eq!(unsubscribed.collect::<Vec<_>>(), [7, 14, 28, 56].map(|at| at * SECOND));
}

#[test]
fn f3_subscribing_anew_has_a_budget() {
    let mut rig = Rig::live("bybit_linear", 60);
    // Fifty of sixty are mute for an hour.
    rig.advance_ticking(3600, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let counters = rig.link.counters();
    assert_eq!(counters.mutes, 50);
    assert!((300..=364).contains(&counters.resubscribed), "{}", counters.resubscribed);
    assert_eq!(rig.closes(), []);
    // All of them had their turn.
    for instrument in 10..60 {
        let topic = format!("orderbook.1.C{instrument}USDT\"");
        assert!(rig.sent().iter().any(|text| text.contains(&topic)), "{topic}");
    }
}

#[test]
fn f3_when_every_instrument_stays_silent_the_connection_is_made_anew() {
    let mut rig = Rig::live("binance_spot", 2);
    // Trades go on.
    let trade = r#"{"e":"aggTrade","E":1,"s":"C0USDT","a":1,"p":"25.35","q":"1","f":1,"l":1,"T":1,"m":true}"#;
    for _ in 0..600 {
        rig.advance(SECOND);
        if let Some(slot) = rig.link.forwarding() {
            rig.message(slot, trade);
        }
    }
    assert_eq!(rig.closes().first(), Some(&(Slot::A, LinkReason::Mute)));
    assert!(rig.link.counters().resubscribed >= 4);
}

#[test]
fn f29_one_bad_topic_fails_the_request_and_the_others_live() {
    for (venue, bad) in
        [("bybit_linear", "orderbook.1.C3USDT"), ("binance_usdm", "c3usdt@bookTicker")]
    {
        let mut rig = Rig::new(venue, 7, LinkSettings::default());
        rig.refused.insert(bad.to_owned());
        rig.advance(4 * SECOND);
        for instrument in [0, 1, 2, 4, 5, 6] {
            rig.tick(Slot::A, instrument);
        }
        let partial = LinkEvent::Partial { missing: 1 };
        assert_eq!(rig.events(), [LinkEvent::Connected, partial, LinkEvent::Live], "{venue}");
        let missing: Vec<_> = rig.link.missing().collect();
        assert_eq!(missing.len(), 1);
        assert_eq!((missing[0].topic, missing[0].instrument), (bad, InstrumentId(3)));
        let text = rig.link.tell(partial).to_string();
        assert!(text.contains(bad) && text.contains(missing[0].why), "{text}");
        // Not live is not mute, and it is not asked for again on this connection.
        let sent = rig.sent().len();
        rig.advance_ticking(600, &[0, 1, 2, 4, 5, 6]);
        assert!(!rig.events().iter().any(|event| matches!(event, LinkEvent::Mute(_))));
        assert!(!rig.sent()[sent..].iter().any(|text| text.contains(bad)));
        // The next connection asks again.
        rig.refused.clear();
        rig.cut(Slot::A);
        rig.advance(5 * SECOND);
        rig.tick_all(rig.main());
        assert_eq!(rig.link.missing().count(), 0);
        assert_eq!(rig.link.state(), LinkState::Live);
    }
}

#[test]
fn f29_a_subscription_that_is_accepted_and_brings_nothing_is_mute() {
    let mut rig = Rig::new("binance_usdm", 2, LinkSettings::default());
    rig.advance_ticking(59, &[0]);
    assert!(!rig.events().contains(&LinkEvent::Mute(InstrumentId(1))));
    rig.advance_ticking(2, &[0]);
    assert_eq!(rig.events().last(), Some(&LinkEvent::Mute(InstrumentId(1))));
}

#[test]
fn f29_a_venue_that_refuses_everything_is_asked_again_on_another_connection() {
    let mut rig = Rig::new("bybit_spot", 2, LinkSettings::default());
    for at in 0..2 {
        rig.refused.insert(format!("orderbook.1.C{at}USDT"));
        rig.refused.insert(format!("publicTrade.C{at}USDT"));
    }
    rig.advance(3 * SECOND);
    assert_eq!(rig.closes().first(), Some(&(Slot::A, LinkReason::Refused)));
    rig.refused.clear();
    rig.advance(5 * SECOND);
    rig.tick_all(rig.main());
    assert_eq!(rig.link.state(), LinkState::Live);
}

#[test]
fn f29_requests_are_repeated_and_a_late_answer_to_the_first_counts() {
    let mut rig = Rig::new("binance_usdm", 2, LinkSettings::default());
    rig.answers = false;
    rig.advance(6 * SECOND);
    assert_eq!(rig.sent().len(), 2);
    rig.message(Slot::A, r#"{"result":null,"id":99}"#);
    assert_eq!(rig.link.counters().answers_unknown, 1);
    rig.message(Slot::A, r#"{"result":null,"id":1}"#);
    rig.tick(Slot::A, 0);
    assert_eq!(rig.events().last(), Some(&LinkEvent::Live));

    // Without any answer: what delivers is subscribed, the rest is named.
    let mut rig = Rig::new("binance_usdm", 2, LinkSettings::default());
    rig.answers = false;
    rig.advance_ticking(16, &[0]);
    assert_eq!(rig.sent().len(), 3);
    assert_eq!(rig.link.missing().map(|m| m.why).collect::<Vec<_>>(), ["no answer"]);
    assert_eq!(rig.link.state(), LinkState::Live);

    // Without answers and data of these topics: another connection.
    let mut rig = Rig::new("binance_usdm", 2, LinkSettings::default());
    rig.answers = false;
    rig.advance(16 * SECOND);
    assert_eq!(rig.closes().first(), Some(&(Slot::A, LinkReason::Unanswered)));
}

#[test]
fn f29_already_subscribed_is_subscribed() {
    let mut rig = Rig::new("bybit_linear", 1, LinkSettings::default());
    rig.answers = false;
    rig.advance(0);
    let already = |id: u64| {
        format!(
            r#"{{"success":false,"ret_msg":"error:already subscribed,topic:x","req_id":"{id}","op":"subscribe"}}"#
        )
    };
    // Three topics: the refused request is divided until each stands alone.
    for id in 1..=5 {
        rig.message(Slot::A, &already(id));
        rig.advance(SECOND / 2);
    }
    rig.tick(Slot::A, 0);
    assert_eq!(rig.events(), [LinkEvent::Connected, LinkEvent::Live]);
}

/// A quote whose price is a number instead of a string: a schema that changed.
const CHANGED: &str =
    r#"{"e":"bookTicker","u":5,"s":"C1USDT","b":25.35,"B":"1","a":25.36,"A":"1","T":1}"#;

#[test]
fn f30_messages_that_cannot_be_read_cost_one_reconnect_and_are_then_borne() {
    let mut rig = Rig::live("binance_usdm", 2);
    for _ in 0..10 {
        rig.message(Slot::A, CHANGED);
    }
    assert_eq!(rig.closes(), [(Slot::A, LinkReason::Rejections)]);
    assert_eq!(rig.events(), [LinkEvent::Lost(LinkReason::Rejections)]);
    rig.advance(SECOND);
    let slot = rig.main();
    rig.tick(slot, 0);
    for _ in 0..200 {
        rig.message(slot, CHANGED);
    }
    let degraded = LinkEvent::Degraded(Rejection::Field);
    assert_eq!(rig.events().last(), Some(&degraded));
    assert_eq!(rig.events().iter().filter(|event| **event == degraded).count(), 1);
    assert_eq!(rig.link.state(), LinkState::Degraded);
    assert!(rig.link.tell(degraded).to_string().contains("(field)"));
    // What can be read goes to the engine all the same.
    let given = rig.engine.len();
    rig.tick(slot, 0);
    assert_eq!(rig.engine.len(), given + 1);
    // A calm window ends it.
    rig.advance_ticking(25, &[0, 1]);
    assert_eq!(rig.events().last(), Some(&LinkEvent::Live));
    assert_eq!(rig.closes().len(), 1);
    assert_eq!(rig.link.counters().rejected, 210);
    assert_eq!(rig.link.counters().breaker_trips, 2);
}

#[test]
fn calls_for_connections_that_are_not_there_are_counted_and_change_nothing() {
    let mut rig = Rig::live("binance_usdm", 1);
    let before = format!("{:?}", rig.link.state());
    rig.link.on_open(Slot::B, rig.now);
    rig.link.on_open(Slot::A, rig.now);
    rig.link.on_failed(Slot::A, rig.now, None);
    rig.link.on_closed(Slot::B, rig.now);
    rig.link.on_frame(Slot::B, rig.now);
    rig.link.on_going_away(Slot::B, rig.now);
    rig.message(Slot::B, "{}");
    rig.drain();
    assert_eq!(rig.events(), []);
    assert_eq!(rig.link.counters().strays, 7);
    assert_eq!(format!("{:?}", rig.link.state()), before);
}
