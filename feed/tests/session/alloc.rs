//! Data messages cost no allocation, and neither does what they may set off.

use reap_core::instrument::{InstrumentId, SourceId};
use reap_core::tick::{Quote, Stamp, Tick};
use reap_core::units::Nanos;
use reap_feed::decoded::{Decoded, Kind, Rejection};
use reap_feed::session::{LinkSettings, Slot};

use crate::rig::{Rig, SECOND};

fn tick(instrument: u16, id: u64, received: Nanos) -> Tick {
    let (source, update_id) = (SourceId(0), id);
    let stamp = Stamp { source, received, update_id, venue_lag_us: 0, reset: false };
    Tick::quote(InstrumentId(instrument), stamp, Quote::new(1, 2, 3, 4).unwrap())
}

#[test]
fn data_messages_allocate_nothing() {
    let mut rig = Rig::live("binance_usdm", 50);
    rig.link.on_going_away(Slot::A, rig.now);
    rig.advance(0);
    let (link, mut now) = (&mut rig.link, rig.now);
    let mut given = 0u64;
    let mut actions = 0u64;
    let counted = allocation_counter::measure(|| {
        for step in 0..200_000u64 {
            now = now.plus(Nanos(1000));
            let instrument = (step % 50) as u16;
            // The replacement is a little behind, is proven, and takes over.
            for slot in Slot::ALL {
                if slot == Slot::B && step < 100 {
                    continue;
                }
                if slot == Slot::A && link.forwarding() == Some(Slot::B) {
                    continue;
                }
                given += u64::from(link.on_tick(slot, now, &tick(instrument, step, now)));
                let decoded = if step % 1000 == 0 {
                    Decoded::rejected(Kind::Quote, Rejection::Crossed)
                } else {
                    Decoded::used(Kind::Quote)
                };
                link.on_message(slot, now, b"{}", decoded);
                link.on_frame(slot, now);
                assert!(link.next_timer().is_some());
                while link.poll_action().is_some() {
                    actions += 1;
                }
            }
        }
    });
    assert_eq!(link.forwarding(), Some(Slot::B));
    assert_eq!(counted.count_total, 0, "{given} given, {actions} actions");
    assert!(given >= 199_000 && actions >= 2, "{given} given, {actions} actions");
}

/// A venue that falls silent and comes back: what comes back is a data message.
#[test]
fn recovering_allocates_nothing() {
    let mut rig = Rig::new("bybit_linear", 20, LinkSettings::default());
    rig.advance(SECOND);
    rig.tick_all(Slot::A);
    rig.advance_ticking(9, &[0]);
    let (link, now) = (&mut rig.link, rig.now);
    assert_eq!(link.mutes().count(), 19);
    let counted = allocation_counter::measure(|| {
        for instrument in 0..20 {
            assert!(link.on_tick(Slot::A, now, &tick(instrument, 9_000, now)));
            link.on_message(Slot::A, now, b"{}", Decoded::used(Kind::Quote));
        }
    });
    assert_eq!(counted.count_total, 0);
    assert_eq!(link.mutes().count(), 0);
}
