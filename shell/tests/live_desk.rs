//! Engine and execution on their rings: what a slow consumer, a full ring, a full disk and a stop
//! at any moment do. Everything is stepped by hand, so that every order of steps can be had.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod desk;

use std::path::Path;
use std::sync::atomic::Ordering;

use reap_core::event::{Command, SourceChange, Which};
use reap_core::instrument::{InstrumentId, SourceId, VenueId};
use reap_core::intent::Urgency;
use reap_core::log::{HEADER_LEN, Record, StopWhy};
use reap_core::pricing::Quotes;
use reap_core::units::Nanos;
use reap_feed::decoded::{Decoded, Kind, Rejection};
use reap_shell::live::engine::Sink;
use reap_shell::live::runner::Agent;
use reap_shell::live::wires::HaltReason;
use reap_shell::order_log::{OrderLog, SEGMENT_MIN};
use reap_shell::pipeline;

use desk::{Desk, Rooms, START};

const STOP: i64 = 9_850;

/// All three positions open, each instrument quoted at its entry.
fn opened(rooms: Rooms) -> Desk {
    let mut desk = Desk::new(rooms);
    for at in 0..3 {
        let soon = desk.soon();
        let tick = desk.quote(at, 10_000, soon);
        desk.sink.tick(soon, &tick);
        desk.open(usize::from(at));
        desk.settle();
    }
    desk
}

fn push(desk: &mut Desk, at: u16, bid: i64) {
    let soon = desk.soon();
    let tick = desk.quote(at, bid, soon);
    desk.sink.tick(soon, &tick);
}

fn orders(records: &[Record]) -> usize {
    records.iter().filter(|record| matches!(record, Record::Order(_))).count()
}

fn intents(records: &[Record]) -> usize {
    records.iter().filter(|record| matches!(record, Record::Intent(_))).count()
}

#[test]
fn f4_a_crossed_book_is_refused_fires_nothing_and_its_leg_waits_for_the_next() {
    let mut desk = opened(Rooms::default());
    let mut codec = pipeline::codec(&desk.config, VenueId(0)).unwrap();
    // Both sides far below the stop, the bid above the ask.
    let crossed = r#"{"e":"bookTicker","u":900,"s":"AUSDT","b":"90.02","B":"5","a":"90.01","A":"5","T":1,"E":1}"#;
    let soon = desk.soon();
    let mut ticks = Vec::new();
    let decoded = codec.decode(crossed.as_bytes(), soon, SourceId(0), &mut |tick| ticks.push(tick));
    assert_eq!(decoded, Decoded::rejected(Kind::Quote, Rejection::Crossed), "counted by its name");
    assert!(!ticks.is_empty(), "the engine hears that what it has is doubtful");
    ticks.iter().for_each(|tick| desk.sink.tick(soon, tick));
    desk.settle();
    assert!(desk.table.top(InstrumentId(0)).is_none(), "nothing of it is believed");
    assert!(desk.venue.lock().sent.is_empty());
    push(&mut desk, 0, STOP);
    desk.settle();
    assert_eq!(desk.venue.lock().sent.len(), 1, "the next good one is decided on");
}

#[test]
fn r2_late_ticks_are_conflated_and_the_newest_is_decided_on() {
    let mut desk = opened(Rooms::default());
    // A crossing that is over when the engine comes back, and one that is not.
    let late = START;
    for (at, bid) in [(0, STOP), (1, 10_010), (0, 10_005), (1, STOP)] {
        let tick = desk.quote(at, bid, late);
        desk.sink.tick(late, &tick);
    }
    // Late means more than five milliseconds: real time, which passes.
    while desk.clock.now().since(late) <= Nanos::from_millis(5) {
        std::hint::spin_loop();
    }
    assert!(!desk.engine_view.behind.load(Ordering::Relaxed));
    desk.step_engine();
    assert!(desk.engine_view.behind.load(Ordering::Relaxed), "said at once");
    assert_eq!(desk.engine_view.lagged.load(Ordering::Relaxed), 4);
    let top = |desk: &Desk, at| desk.table.top(InstrumentId(at)).unwrap().quote.bid.raw();
    assert_eq!((top(&desk, 0), top(&desk, 1)), (10_005, STOP), "the newest of each");
    desk.settle();
    assert!(!desk.engine_view.behind.load(Ordering::Relaxed), "caught up");
    let sent: Vec<_> = desk.venue.lock().sent.iter().map(|order| order.instrument).collect();
    assert_eq!(sent, [InstrumentId(1)], "what was over is not decided on");
    push(&mut desk, 0, STOP);
    desk.settle();
    assert_eq!(desk.venue.lock().sent.len(), 2, "it goes on as before");
    assert_eq!(desk.engine_view.lagged.load(Ordering::Relaxed), 4);
}

#[test]
fn r2_a_flood_of_late_ticks_does_not_keep_the_engine_from_its_reports() {
    let rooms = Rooms { ticks: 1 << 16, ..Rooms::default() };
    let mut desk = opened(rooms);
    for round in 0..(1 << 16) {
        let tick = desk.quote(0, 10_000 + round % 7, START);
        desk.sink.tick(START, &tick);
    }
    while desk.clock.now().since(START) <= Nanos::from_millis(5) {
        std::hint::spin_loop();
    }
    let which = Which::All;
    desk.commands.push(Command::Close { which, urgency: Urgency::Protective }).unwrap();
    desk.step_engine();
    desk.step_execution();
    assert!(desk.engine_view.lagged.load(Ordering::Relaxed) < 1 << 16, "not all at one go");
    assert_eq!(desk.venue.lock().sent.len(), 3, "the command did not wait for the last tick");
}

#[test]
fn r4_a_feed_that_stops_makes_its_leg_stale_and_nothing_fires_on_it() {
    let mut desk = opened(Rooms::default());
    // The engine's own time, far ahead: nothing came for an hour.
    let later = desk.clock.now().plus(Nanos::from_secs(3_600));
    desk.engine.do_work(later, &mut desk.stats);
    desk.settle();
    let top = desk.table.top(InstrumentId(0)).unwrap();
    assert!(later.since(top.received) > Nanos::from_secs(60), "its age shows in the table");
    assert_eq!(desk.venue.lock().sent.len(), 0, "no rule fires on an old price");
    assert_eq!(intents(&desk.records()), 0);
}

#[test]
fn r9_a_stop_is_seen_within_one_loop() {
    let mut desk = opened(Rooms::default());
    desk.stop_engine.store(true, Ordering::Release);
    desk.step_engine();
    assert!(desk.engine.is_done(), "nothing was left: one loop");
    desk.stop_execution.store(true, Ordering::Release);
    desk.step_execution();
    assert!(desk.execution.is_done());
    assert_eq!(desk.records().last(), Some(&Record::Stop(StopWhy::Asked)));
}

#[test]
fn r9_nothing_is_sent_from_the_loop_on_that_sees_the_stop() {
    let mut desk = opened(Rooms::default());
    push(&mut desk, 0, STOP);
    desk.step_engine();
    desk.stop_execution.store(true, Ordering::Release);
    desk.step_execution();
    assert!(desk.venue.lock().sent.is_empty());
    let records = desk.records();
    assert_eq!((intents(&records), orders(&records)), (1, 1), "decided, and on record");
    assert!(records.iter().any(|record| matches!(record, Record::NotSent { .. })));
}

#[test]
fn r9_a_venue_that_never_falls_silent_delays_no_end() {
    let mut desk = opened(Rooms::default());
    desk.venue.lock().chatters = true;
    desk.stop_execution.store(true, Ordering::Release);
    desk.step_execution();
    let later = desk.clock.now().plus(Nanos::from_secs(3_600));
    desk.execution.do_work(later, &mut desk.stats);
    assert!(desk.execution.is_done(), "the longest time that a stop takes has passed");
}

/// One step of the stop's protocol, of any of the three threads.
#[derive(Clone, Copy, Debug)]
enum Step {
    Feed,
    Engine,
    Execution,
    Main,
}

/// Runs one order of steps: a feed that pushes a crossing at each of its steps, main that stops the
/// feed, then the engine, then execution, each when the one before has ended.
fn interleaved(steps: &[Step], fills: bool, rooms: Rooms) {
    let mut desk = opened(rooms);
    desk.venue.lock().fills = fills;
    let (mut pushed, mut feed_stopped) = (0, false);
    let mut stopped_at = None;
    let main = |desk: &mut Desk, feed_stopped: &mut bool, stopped_at: &mut Option<usize>| {
        if !*feed_stopped {
            *feed_stopped = true;
        } else if !desk.stop_engine.load(Ordering::Relaxed) {
            desk.stop_engine.store(true, Ordering::Release);
        } else if desk.engine.is_done() && !desk.stop_execution.load(Ordering::Relaxed) {
            desk.stop_execution.store(true, Ordering::Release);
            *stopped_at = Some(desk.venue.lock().sent.len());
        }
    };
    for step in steps {
        match step {
            Step::Feed if !feed_stopped && pushed < 3 => {
                push(&mut desk, pushed, STOP);
                pushed += 1;
            }
            Step::Engine if !desk.engine.is_done() => drop(desk.step_engine()),
            Step::Execution if !desk.execution.is_done() => drop(desk.step_execution()),
            Step::Main => main(&mut desk, &mut feed_stopped, &mut stopped_at),
            _ => {}
        }
    }
    // Then everything goes on to its end.
    let mut owed = !fills;
    for _ in 0..200 {
        main(&mut desk, &mut feed_stopped, &mut stopped_at);
        if !desk.engine.is_done() {
            desk.step_engine();
        }
        if !desk.execution.is_done() {
            desk.step_execution();
        }
        if stopped_at.is_some() && std::mem::take(&mut owed) {
            // Those who are owed an answer get one.
            let mut venue = desk.venue.lock();
            let sent = std::mem::take(&mut venue.sent);
            sent.iter().for_each(|order| venue.fill(order));
            venue.sent = sent;
        }
    }
    let case = format!("{steps:?}, fills {fills}");
    assert!(desk.engine.is_done() && desk.execution.is_done(), "{case}");
    let records = desk.records();
    let sent = desk.venue.lock().sent.clone();
    assert_eq!(intents(&records), usize::from(pushed), "{case}: each decision is on record");
    for order in &sent {
        assert!(records.contains(&Record::Order(*order)), "{case}: {} has no record", order.id);
    }
    assert_eq!(Some(sent.len()), stopped_at, "{case}: nothing is sent after the stop");
    let unsent = records.iter().filter(|record| matches!(record, Record::NotSent { .. })).count();
    assert_eq!(orders(&records), sent.len() + unsent, "{case}: each order was sent or was not");
    assert_eq!(records.last(), Some(&Record::Stop(StopWhy::Asked)), "{case}");
}

/// Every word of this length over the four threads, where the crossings are pushed first.
fn every_interleaving(length: u32, mut run: impl FnMut(&[Step])) {
    const THREADS: [Step; 4] = [Step::Feed, Step::Engine, Step::Execution, Step::Main];
    for mut word in 0..4u32.pow(length) {
        let mut steps = Vec::new();
        for _ in 0..length {
            steps.push(THREADS[word as usize % 4]);
            word /= 4;
        }
        run(&steps);
    }
}

#[test]
fn r10_an_intent_raised_while_stopping_is_in_the_log_in_every_interleaving() {
    every_interleaving(5, |steps| interleaved(steps, true, Rooms::default()));
}

#[test]
fn r10_the_same_where_the_ring_of_intents_is_full_or_answers_are_late() {
    let tight = Rooms { intents: 2, ..Rooms::default() };
    for (at, rooms, fills) in [(0, tight, true), (1, Rooms::default(), false)] {
        let mut count = 0u32;
        every_interleaving(5, |steps| {
            // Each takes half of them.
            count += 1;
            if count % 2 == at {
                interleaved(steps, fills, rooms);
            }
        });
    }
}

#[test]
fn r1_intents_without_room_wait_raise_the_alarm_and_arrive_in_order() {
    let mut desk = opened(Rooms { intents: 2, ..Rooms::default() });
    let soon = desk.soon();
    for at in [2, 0, 1] {
        let tick = desk.quote(at, STOP, soon);
        desk.sink.tick(soon, &tick);
    }
    assert_eq!(desk.halt.get(), None);
    desk.step_engine();
    assert_eq!(desk.halt.get(), Some(HaltReason::Intents));
    assert!(desk.halt.get().unwrap().text().contains("ring of intents is full"));
    desk.stop_engine.store(true, Ordering::Release);
    desk.step_engine();
    assert!(!desk.engine.is_done(), "it does not end with a decision in its hands");
    desk.settle();
    let of = |record: &Record| match record {
        Record::Intent(intent) => Some(intent.inputs[0].unwrap().instrument.0),
        _ => None,
    };
    let taken: Vec<_> = desk.records().iter().filter_map(of).collect();
    assert_eq!(taken, [2, 0, 1], "in the order in which they were decided");
    assert!(desk.engine.is_done());
}

#[test]
fn r1_reports_without_room_wait_raise_the_alarm_and_arrive_in_order() {
    let mut desk = opened(Rooms { reports: 2, ..Rooms::default() });
    for at in 0..3 {
        push(&mut desk, at, STOP);
    }
    desk.step_engine();
    // Orders, acknowledgements and fills of three positions, while the engine does not look.
    for _ in 0..20 {
        desk.step_execution();
    }
    assert_eq!(desk.halt.get(), Some(HaltReason::Reports));
    desk.settle();
    let reports = desk.records();
    let reports = reports.iter().filter(|record| matches!(record, Record::Report(_))).count();
    assert!(reports >= 6, "{reports}");
    // What the engine was told, it tells by what it still watches: nothing is open.
    let engine = desk.engine.into_engine();
    assert_eq!(engine.counters().intents, 3);
    let executor = desk.execution.into_executor();
    let ids = desk.venue.lock().sent.iter().map(|order| order.id.position).collect::<Vec<_>>();
    for id in ids {
        assert!(executor.is_closed(id));
        assert_eq!(engine.state(id), Some(reap_core::position::PositionState::Closed));
    }
}

#[test]
fn r1_a_change_of_a_source_without_room_is_not_overtaken_by_its_ticks() {
    let mut desk = opened(Rooms { sources: 2, ..Rooms::default() });
    // Source 0 carries instruments 0 and 2.
    for _ in 0..5 {
        desk.sink.source(START, SourceId(0), SourceChange::Lost);
        desk.sink.source(START, SourceId(0), SourceChange::Connected);
    }
    push(&mut desk, 0, 10_007);
    for _ in 0..10 {
        desk.step_engine();
        desk.sink.drain();
    }
    desk.settle();
    let top = |at| desk.table.top(InstrumentId(at)).map(|top| top.quote.bid.raw());
    assert_eq!(top(0), Some(10_007), "the new connection's quote is believed");
    assert_eq!(top(2), None, "what the old one said is not");
}

/// Fills the log until these many bytes are left, and takes away the room for more.
fn worn(left: u64) -> Desk {
    let wear = |log: &mut OrderLog, dir: &Path| {
        while log.counters().rotations == 0 {
            log.append(START, &Record::Timer).unwrap();
        }
        // Behind the header the first record of this segment stands already.
        let used = |log: &OrderLog| log.counters().bytes;
        let first = used(log);
        let each = first / log.counters().records;
        let room = SEGMENT_MIN - HEADER_LEN as u64 - each - left;
        while used(log) - first + each <= room {
            log.append(START, &Record::Timer).unwrap();
        }
        // The files live on, but no further one can be made.
        std::fs::remove_dir_all(dir).unwrap();
    };
    let mut desk = Desk::with_log(Rooms::default(), wear);
    for at in 0..3 {
        push(&mut desk, at, 10_000);
        desk.open(usize::from(at));
        desk.settle();
    }
    desk
}

#[test]
fn p6_a_disk_that_fills_up_at_any_record_stops_orders_and_nothing_else() {
    let (mut none, mut some, mut all) = (0, 0, 0);
    for left in (0..8_000).step_by(160) {
        let mut desk = worn(left);
        for at in 0..3 {
            push(&mut desk, at, STOP);
            desk.settle();
        }
        let sent = desk.venue.lock().sent.clone();
        let alarms = desk.alarms();
        let failed = alarms.iter().any(|text| text.contains("nothing is sent any more"));
        let unlogged = desk.execution_view.unlogged.load(Ordering::Relaxed);
        match sent.len() {
            0 => none += 1,
            3 => all += 1,
            _ => some += 1,
        }
        assert_eq!(sent.len() < 3, unlogged > 0, "{left}: not sent and said so, or sent");
        assert!(failed || sent.len() == 3, "{left}: an alarm names the log: {alarms:?}");
        assert!(alarms.iter().all(|text| text.contains("order log: ")), "{left}: {alarms:?}");
        // What was sent is followed to its end, whatever the log can still take.
        desk.stop_engine.store(true, Ordering::Release);
        desk.stop_execution.store(true, Ordering::Release);
        desk.settle();
        assert!(desk.execution.is_done(), "{left}");
        let executor = desk.execution.into_executor();
        for order in sent {
            assert!(executor.is_closed(order.id.position), "{left}: its fill was taken up");
        }
    }
    assert!(none > 0 && some > 0 && all > 0, "{none} {some} {all}: every case was met");
}
