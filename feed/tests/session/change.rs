//! F25: replacements are opened, proven and take over without a gap.

use std::collections::BTreeSet;

use reap_core::instrument::InstrumentId;
use reap_core::units::Nanos;
use reap_feed::session::{
    ChangeReason, LinkAction, LinkEvent, LinkReason, LinkSettings, LinkState, Slot,
};

use crate::rig::{Phase, Rig, SECOND};

const HOUR: u64 = 3600 * SECOND;
const SHUTDOWN: &str = r#"{"e":"serverShutdown","E":1770123456789}"#;

/// A live rig whose replacement is open and unproven.
fn changing(venue: &str, instruments: usize) -> Rig {
    let mut rig = Rig::live(venue, instruments);
    rig.link.on_going_away(Slot::A, rig.now);
    rig.advance(0);
    assert_eq!(rig.phases, [Phase::Open; 2]);
    assert_eq!(rig.events(), [LinkEvent::Changing(ChangeReason::GoingAway)]);
    assert_eq!(rig.link.state(), LinkState::Changing);
    assert_eq!(rig.main(), Slot::A);
    rig.log.clear();
    rig.engine.clear();
    rig
}

#[test]
fn f25_the_replacement_takes_over_when_every_live_topic_ticked_on_it() {
    let mut rig = changing("binance_usdm", 3);
    rig.tick_of(Slot::B, 0, 100);
    rig.tick_of(Slot::A, 0, 100);
    rig.tick_of(Slot::B, 1, 101);
    rig.tick_of(Slot::A, 1, 101);
    assert_eq!(rig.main(), Slot::A);
    assert_eq!(rig.engine, [(InstrumentId(0), 100), (InstrumentId(1), 101)]);
    rig.tick_of(Slot::B, 2, 102);
    assert_eq!(rig.main(), Slot::B);
    assert_eq!(rig.engine.last(), Some(&(InstrumentId(2), 102)));
    assert_eq!(rig.closes(), [(Slot::A, LinkReason::Replaced)]);
    assert_eq!(rig.events(), [LinkEvent::Replaced]);
    assert_eq!(rig.link.counters().replayed, 0);
    // What the old one still had on its way is nobody's.
    rig.tick_of(Slot::A, 2, 102);
    assert_eq!(rig.engine.len(), 3);
    assert_eq!(rig.link.state(), LinkState::Live);
}

/// The new connection is ahead: what it held back and the old one never said is given at the
/// take-over, or the engine would keep an old price of a quiet instrument.
#[test]
fn f25_what_only_the_replacement_saw_is_not_lost() {
    let mut rig = changing("binance_usdm", 2);
    rig.tick_of(Slot::A, 0, 100);
    rig.tick_of(Slot::B, 0, 105);
    rig.tick_of(Slot::B, 1, 106);
    assert_eq!(rig.main(), Slot::B);
    let given: BTreeSet<_> = rig.engine.iter().copied().collect();
    assert!(given.contains(&(InstrumentId(0), 105)) && given.contains(&(InstrumentId(1), 106)));
    assert_eq!(rig.link.counters().replayed, 1);
}

/// Bybit restarts its ids with 1. The old connection has not said so.
#[test]
fn f25_a_restart_of_ids_that_only_the_replacement_saw_is_told() {
    let mut rig = changing("bybit_linear", 2);
    rig.tick_of(Slot::A, 0, 1_000_000);
    rig.tick_of(Slot::B, 0, 1);
    rig.tick_of(Slot::B, 0, 2);
    rig.tick_of(Slot::B, 1, 1_000_001);
    let replayed: Vec<_> = rig
        .log
        .iter()
        .filter_map(|(_, action)| match action {
            LinkAction::Replay(tick) => Some((tick.stamp().update_id, tick.stamp().reset)),
            _ => None,
        })
        .collect();
    assert_eq!(replayed, [(2, true)]);
}

#[test]
fn f25_mute_and_refused_topics_do_not_hold_the_replacement_up() {
    let mut rig = Rig::live("bybit_linear", 3);
    rig.advance_ticking(8, &[0, 1]);
    assert_eq!(rig.link.mutes().collect::<Vec<_>>(), [InstrumentId(2)]);
    rig.message(Slot::A, SHUTDOWN);
    rig.link.on_going_away(Slot::A, rig.now);
    rig.advance(0);
    rig.log.clear();
    rig.tick(Slot::B, 0);
    rig.tick(Slot::B, 1);
    assert_eq!(rig.events(), [LinkEvent::Replaced]);
    // Still mute, until it delivers.
    assert_eq!(rig.link.mutes().collect::<Vec<_>>(), [InstrumentId(2)]);
    rig.tick(Slot::B, 2);
    assert_eq!(rig.events().last(), Some(&LinkEvent::Recovered(InstrumentId(2))));
}

#[test]
fn f25_a_quiet_instrument_cannot_hold_it_up_for_ever() {
    let mut rig = changing("binance_usdm", 2);
    for _ in 0..29 {
        rig.tick(Slot::A, 0);
        rig.tick(Slot::B, 0);
        rig.advance(SECOND);
    }
    assert_eq!(rig.main(), Slot::A);
    rig.advance(SECOND);
    assert_eq!(rig.main(), Slot::B);
    assert_eq!(rig.closes(), [(Slot::A, LinkReason::Replaced)]);
}

#[test]
fn f25_a_replacement_without_data_is_given_up_and_tried_again() {
    let mut rig = changing("binance_usdm", 1);
    rig.advance_ticking(31, &[0]);
    assert_eq!(rig.closes(), [(Slot::B, LinkReason::Silent)]);
    assert_eq!(rig.main(), Slot::A);
    assert_eq!(rig.connects().len(), 1);
    assert!(!rig.events().iter().any(|event| matches!(event, LinkEvent::Lost(_))));
    rig.tick(Slot::B, 0);
    assert_eq!(rig.main(), Slot::B);
}

#[test]
fn f25_announced_by_a_message_the_replacement_is_opened_at_once_and_once() {
    let mut rig = Rig::live("binance_spot", 1);
    for _ in 0..100 {
        rig.message(Slot::A, SHUTDOWN);
    }
    rig.advance(0);
    assert_eq!(rig.events(), [LinkEvent::Changing(ChangeReason::GoingAway)]);
    assert_eq!(rig.connects().len(), 1);
    rig.tick(Slot::B, 0);
    assert_eq!(rig.events().last(), Some(&LinkEvent::Replaced));
}

#[test]
fn f25_the_old_connection_may_die_while_the_replacement_is_made() {
    // Before it is asked for, while it is connecting, open without data, open with data.
    let gap = |prepare: fn(&mut Rig)| {
        let mut rig = Rig::live("binance_usdm", 2);
        rig.accepts = false;
        rig.link.on_going_away(Slot::A, rig.now);
        prepare(&mut rig);
        rig.log.clear();
        rig.cut(Slot::A);
        let lost = LinkEvent::Lost(LinkReason::Closed);
        (rig.events().contains(&lost), rig)
    };
    let (lost, mut rig) = gap(|_| {});
    assert!(lost);
    rig.accepts = true;
    rig.advance(SECOND);
    rig.tick_all(rig.main());
    assert_eq!(rig.link.state(), LinkState::Live);

    let (lost, mut rig) = gap(|rig| rig.advance(0));
    assert!(lost);
    rig.open(Slot::B);
    assert_eq!(rig.events(), [LinkEvent::Lost(LinkReason::Closed), LinkEvent::Connected]);
    rig.tick_all(Slot::B);
    assert_eq!(rig.link.state(), LinkState::Live);
    assert_eq!(rig.connects().len(), 0);

    let (lost, mut rig) = gap(|rig| {
        rig.advance(0);
        rig.open(Slot::B);
    });
    assert!(lost);
    assert_eq!(rig.events(), [LinkEvent::Lost(LinkReason::Closed), LinkEvent::Connected]);
    rig.tick_all(Slot::B);
    assert_eq!(rig.link.state(), LinkState::Live);

    let (lost, rig) = gap(|rig| {
        rig.advance(0);
        rig.open(Slot::B);
        rig.tick_of(Slot::B, 1, 500);
    });
    assert!(!lost);
    assert_eq!(rig.events(), [LinkEvent::Replaced]);
    assert_eq!(rig.main(), Slot::B);
    assert_eq!(rig.engine.last(), Some(&(InstrumentId(1), 500)));
}

#[test]
fn f25_a_day_is_never_lived_to_its_end_and_links_change_apart() {
    let mut starts = BTreeSet::new();
    for seed in 0..20 {
        let mut rig = Rig::with("binance_usdm", 1, 0, LinkSettings::default(), seed);
        let begin = rig.now;
        let is_changing =
            |rig: &Rig| rig.events().contains(&LinkEvent::Changing(ChangeReason::Age));
        while !is_changing(&rig) {
            rig.advance_ticking(20, &[0]);
            rig.log.retain(|(_, action)| matches!(action, LinkAction::Changed(_)));
        }
        let age = rig.now.since(begin).0;
        assert!((22 * HOUR + HOUR / 2..24 * HOUR - HOUR / 2 + 60 * SECOND).contains(&age), "{age}");
        starts.insert(age / (60 * SECOND));
        rig.tick(rig.main().other(), 0);
        assert_eq!(rig.events().last(), Some(&LinkEvent::Replaced));
        assert!(!rig.events().iter().any(|event| matches!(event, LinkEvent::Lost(_))));
    }
    assert!(starts.len() > 10, "{starts:?}");

    // Bybit names no age.
    let mut rig = Rig::live("bybit_linear", 1);
    for _ in 0..60 * 24 {
        rig.now = rig.now.plus(Nanos(60 * SECOND));
        rig.tick(Slot::A, 0);
        rig.advance(0);
    }
    assert!(rig.connects().is_empty());
}
