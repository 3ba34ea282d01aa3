//! F26: however often connections end, connects stay within the host's budget.

use reap_core::units::Nanos;
use reap_feed::session::{LinkEvent, LinkReason, LinkSettings, LinkState, Slot};

use crate::rig::{Phase, Rig, SECOND};

/// Lets several links share a budget, as links of a host do.
fn advance_together(rigs: &mut [Rig], span: u64) {
    let mut budget = rigs[0].budget.clone();
    let end = rigs[0].now.0 + span;
    loop {
        let due =
            rigs.iter().enumerate().filter_map(|(at, rig)| Some((rig.link.next_timer()?, at)));
        match due.min() {
            Some((at, first)) if at.0 <= end => {
                let rig = &mut rigs[first];
                rig.now = rig.now.max(at);
                rig.link.on_timer(rig.now, &mut budget);
                rig.drain();
            }
            _ => break,
        }
    }
    for rig in rigs.iter_mut() {
        rig.now = Nanos(end);
        rig.budget = budget.clone();
    }
}

#[test]
fn f26_a_thousand_disconnects_a_minute_stay_within_the_budget() {
    let settings = LinkSettings { backoff_max: Nanos(SECOND / 2), ..LinkSettings::default() };
    let mut rigs: Vec<Rig> =
        (0..40).map(|seed| Rig::with("binance_usdm", 1, 0, settings, seed)).collect();
    let begin = rigs[0].now;
    let mut cuts = 0;
    // Sixty milliseconds apart: a thousand a minute, for five minutes.
    for _ in 0..5000 {
        advance_together(&mut rigs, 60 * SECOND / 1000);
        for rig in &mut rigs {
            for slot in Slot::ALL {
                if rig.phases[slot as usize] == Phase::Open {
                    rig.cut(slot);
                    cuts += 1;
                }
            }
        }
    }
    let mut connects: Vec<Nanos> = rigs.iter().flat_map(Rig::connects).collect();
    connects.sort();
    assert!(connects.len() > 150 && cuts > 150, "{} connects, {cuts} cuts", connects.len());
    for (at, first) in connects.iter().enumerate() {
        for seconds in [1, 60, 300] {
            let end = first.plus(Nanos(seconds * SECOND));
            let within = connects[at..].iter().take_while(|time| **time < end).count() as u64;
            assert!(within <= 11 + seconds.div_ceil(2), "{within} in {seconds} s");
        }
    }
    // No link is left out.
    for rig in &rigs {
        let mine = rig.connects().len();
        assert!((2..=6).contains(&mine), "{mine} of {}", connects.len());
    }
    assert!(connects[connects.len() - 1].since(begin) > Nanos(290 * SECOND));
    let put_off: u64 = rigs.iter().map(|rig| rig.link.counters().connects_put_off).sum();
    assert!(put_off > 0);
}

#[test]
fn f26_back_off_grows_with_each_failure_and_starts_again_only_after_a_stable_time() {
    let mut rig = Rig::new("binance_usdm", 1, LinkSettings::default());
    rig.accepts = false;
    let mut waits = Vec::new();
    rig.advance(0);
    for _ in 0..12 {
        let failed = rig.now;
        rig.fail(Slot::A, None);
        while rig.phases[0] != Phase::Connecting {
            rig.advance(SECOND / 100);
        }
        waits.push(rig.now.since(failed).0 as f64 / SECOND as f64);
    }
    let mut step = 0.25;
    for (at, wait) in waits.iter().enumerate() {
        assert!((step / 2.0..step + 0.02).contains(wait), "{at}: {wait} of {step}");
        step = f64::min(step * 2.0, 30.0);
    }
    assert_eq!(rig.events()[..2], [LinkEvent::Failed(1), LinkEvent::Failed(2)]);

    let wait_after = |rig: &mut Rig, stable: u64| {
        rig.accepts = true;
        while rig.link.forwarding().is_none() {
            rig.advance(SECOND);
        }
        rig.tick_all(rig.main());
        rig.advance_ticking(stable, &[0]);
        rig.accepts = false;
        let lost = rig.now;
        rig.cut(rig.main());
        let LinkState::Waiting(until) = rig.link.state() else { panic!("waits") };
        until.since(lost)
    };
    rig.fail(Slot::A, None);
    assert!(wait_after(&mut rig, 30) >= Nanos(15 * SECOND));
    assert!(wait_after(&mut rig, 61) < Nanos(SECOND / 4));
}

#[test]
fn f26_retry_after_holds_for_every_link_of_the_host() {
    let mut rigs: Vec<Rig> =
        (0..3).map(|seed| Rig::with("binance_usdm", 1, 0, LinkSettings::default(), seed)).collect();
    rigs.iter_mut().for_each(|rig| rig.accepts = false);
    advance_together(&mut rigs, 0);
    for rig in &mut rigs {
        assert_eq!(rig.phases[0], Phase::Connecting);
        rig.log.clear();
    }
    rigs[0].fail(Slot::A, Some(Nanos(120 * SECOND)));
    rigs[1].fail(Slot::A, None);
    rigs[2].fail(Slot::A, None);
    advance_together(&mut rigs, 120 * SECOND - 1);
    assert!(rigs.iter().all(|rig| rig.connects().is_empty()));
    advance_together(&mut rigs, SECOND);
    assert!(rigs.iter().all(|rig| rig.connects().len() == 1));
}

#[test]
fn an_attempt_that_is_never_heard_of_again_is_given_up() {
    let mut rig = Rig::new("binance_usdm", 1, LinkSettings::default());
    rig.accepts = false;
    rig.advance(60 * SECOND);
    assert_eq!(rig.closes(), [(Slot::A, LinkReason::ConnectDeadline)]);
    rig.advance(SECOND);
    assert_eq!(rig.connects().len(), 2);
}
