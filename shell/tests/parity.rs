//! The same market through a replay and through the live pipeline on paper (simulated venues on
//! sockets, threads, rings) gives the same exits: by position, in the same order of reasons, of the
//! same quantities.
//!
//! Times and prices are not compared: live, orders meet what the market shows when they arrive.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may fail")]

mod common;
#[allow(dead_code, reason = "its part of what reads logs")]
mod decided_again;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Mutex;

use common::{START, Scratch, Tape, data, read, recorded};
use reap_core::limits::LEGS_MAX;
use reap_core::task::{TaskState, TaskView};
use reap_core::units::Nanos;
use reap_feed::recording::RecordingWriter;
use reap_shell::config::{Config, Mode};
use reap_shell::live::drive::{Ending, Until, drive};
use reap_shell::merge::{Merge, Merged};
use reap_shell::pipeline::Pipeline;
use reap_shell::report::Driver;
use reap_shell::sim::{Market, MarketVenue};
use reap_shell::story::Story;

/// Runs take turns: each is a market with threads of its own.
static TURN: Mutex<()> = Mutex::new(());

/// What became of a position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Fate {
    /// Why it was closed, and how much of each leg by each reason, in order. Plans that follow each
    /// other for the same reason are one: into how many pieces the market's sizes cut an exit is a
    /// matter of microseconds.
    exits: Vec<(&'static str, [i64; LEGS_MAX])>,
    opened: bool,
    closed: bool,
    /// Funding by leg, since it was opened.
    funding: [i128; LEGS_MAX],
}

/// By name. What a task or a reversal enters follows under a name of its own.
type Fates = BTreeMap<String, Fate>;

/// Where a task stands in the end, its cycles, those of them that lost in a row, and what it missed.
type TaskFate = (TaskState, u32, u32, u32);

fn task_fates(driver: &dyn Driver) -> Vec<TaskFate> {
    let fate = |task: TaskView| (task.state, task.cycles, task.losing, task.missed);
    driver.tasks().into_iter().map(fate).collect()
}

fn fates(story: &Story) -> Fates {
    let names = story.config().positions.iter().map(|position| position.name.clone());
    let mut fates: Vec<(String, Fate)> = names.map(|name| (name, Fate::default())).collect();
    for plan in story.plans().iter().filter(|plan| plan.is_exit()) {
        let exits = &mut fates[plan.position].1.exits;
        let reason = plan.reason().name();
        if exits.last().is_none_or(|(last, _)| *last != reason) {
            exits.push((reason, [0; LEGS_MAX]));
        }
        let (_, closed) = exits.last_mut().unwrap();
        for fill in &plan.fills {
            closed[fill.leg] += fill.qty.raw();
        }
    }
    for ((_, fate), standing) in fates.iter_mut().zip(story.standings()) {
        assert_eq!(standing.refused, None);
        (fate.opened, fate.closed) = (standing.id.is_some(), standing.closed);
        fate.funding = standing.funding;
    }
    fates.into_iter().collect()
}

fn replayed(config: Config, recordings: &[PathBuf]) -> (Fates, Vec<TaskFate>) {
    let mut merge = Merge::open(recordings).unwrap();
    let name = |path: &std::path::Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let of = |path| config.venue_of_recording(&name(path)).unwrap();
    let venues: Vec<_> = merge.paths().map(of).collect();
    let mut pipeline = Pipeline::new(config, &venues).unwrap();
    let mut last = Nanos(0);
    while let Some(merged) = merge.advance().unwrap() {
        let Merged::Message(at, file) = merged else { continue };
        pipeline.on_message(at, file, merge.raw(), &mut |_, _, _| {});
        last = at;
    }
    pipeline.settle(last.plus(Nanos::from_secs(30)), &mut |_, _, _| {});
    (fates(pipeline.story()), task_fates(&pipeline))
}

/// Lines of a live run, for a failure.
type Lines = Vec<String>;

fn live(config: Config, scratch: &Scratch) -> ((Fates, Vec<TaskFate>), Lines) {
    let mut lines = Lines::new();
    let mut tell = |at: Nanos, line: &str| {
        lines.push(format!("{:.3} {line}", at.0 as f64 / 1e9));
        true
    };
    let log = scratch.path("orders");
    let driven = drive(config, Mode::Paper, &log, &Until::default(), &mut |_| {}, &mut tell);
    let driven = driven.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(driven.ending, Ending::MarketOver);
    assert_eq!((driven.outcome.notes_lost, driven.outcome.unlogged), (0, 0));
    ((fates(&driven.outcome.story), task_fates(&driven.outcome)), lines)
}

/// Both ways of a market; gives what both came to.
fn both(name: &str, recordings: &[PathBuf], speed: u32, scratch: &Scratch) -> Fates {
    both_with_tasks(name, recordings, speed, scratch).0
}

fn both_with_tasks(
    name: &str,
    recordings: &[PathBuf],
    speed: u32,
    scratch: &Scratch,
) -> (Fates, Vec<TaskFate>) {
    let turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut text = read(&data(&format!("data/{name}")));
    write!(
        text,
        "\n[sim]\nspeed = {speed}\ntls = false\nlead = \"3s\"\nrecordings = {recordings:?}\n"
    )
    .unwrap();
    let config = || Config::parse(name, &text).unwrap_or_else(|error| panic!("{error}"));
    let (replayed, replayed_tasks) = replayed(config(), recordings);
    let ((live, live_tasks), lines) = live(config(), scratch);
    drop(turn);
    if live != replayed {
        for name in replayed.keys().chain(live.keys()) {
            let (replayed, live) = (replayed.get(name), live.get(name));
            if live != replayed {
                println!("{name}: replayed {replayed:?}\n{:w$}  live {live:?}", "", w = name.len());
            }
        }
        panic!("not the same exits\n{}", lines.join("\n"));
    }
    assert_eq!(live_tasks, replayed_tasks, "{}", lines.join("\n"));
    (replayed, replayed_tasks)
}

fn reasons<'f>(fates: &'f Fates, name: &str) -> Vec<&'f str> {
    fates[name].exits.iter().map(|(reason, _)| *reason).collect()
}

#[test]
fn a_generated_market_of_two_venues_is_closed_alike() {
    let scratch = Scratch::new();
    let paths = [scratch.path("binance.gz"), scratch.path("bybit.gz")];
    let mut writers = paths.each_ref().map(|path| RecordingWriter::create(path).unwrap());
    let mut market = Market::new(7, Nanos(START), Market::DEMO_LENGTH);
    while let Some(frame) = market.next_frame() {
        let writer = &mut writers[usize::from(frame.venue == MarketVenue::Bybit)];
        writer.write(frame.at, frame.raw).unwrap();
    }
    writers.into_iter().for_each(|writer| writer.finish().unwrap());
    let fates = both("parity-seeded.toml", &paths, 75, &scratch);
    // It is about something: every kind of rule closes a position, and some stay.
    for (name, reason) in [
        ("btc-pair", "basis"),
        ("eth-pair", "basis"),
        ("eth-profit", "take_profit"),
        ("eth-swing", "trailing_profit"),
        ("eth-ladder", "tiers"),
        ("sol-stop", "stop_loss"),
        ("eth-stop", "stop_loss"),
        ("sol-follow", "trailing_stop"),
        ("sol-ride", "trailing_stop"),
        ("btc-clock", "deadline"),
        ("basket", "take_profit"),
        ("btc-late", "operator"),
        ("eth-asked", "operator"),
        ("sol-urgent", "operator"),
    ] {
        assert_eq!(reasons(&fates, name), [reason], "{name}");
        assert!(fates[name].closed, "{name}");
    }
    assert_eq!(reasons(&fates, "sol-short"), ["tiers"]);
    assert!(!fates["sol-short"].closed && !fates["btc-stays"].closed);
    assert!(fates["btc-stays"].opened && !fates["btc-never"].opened);
}

#[test]
fn a_recorded_market_is_closed_alike() {
    let files = [
        "recordings/binance_usdm_btcusdt_20240808.gz",
        "recordings/binance_usdm_ethusdt_20240808.gz",
    ];
    let Some(paths) = recorded(&files) else { return };
    let scratch = Scratch::new();
    let fates = both("parity-recorded.toml", &paths, 50, &scratch);
    for (name, reason) in [
        ("btc-stop", "stop_loss"),
        ("btc-late", "stop_loss"),
        ("btc-profit", "take_profit"),
        ("btc-ladder", "tiers"),
        ("btc-trail", "trailing_stop"),
        ("eth-trail", "trailing_stop"),
        ("eth-ratchet", "trailing_profit"),
        ("btc-clock", "deadline"),
        ("eth-asked", "operator"),
    ] {
        assert_eq!(reasons(&fates, name), [reason], "{name}");
        assert!(fates[name].closed, "{name}");
    }
    assert!(fates["eth-stays"].opened && !fates["eth-stays"].closed);
}

/// Funding is settled on paper too: it brings two positions to their target, and its amounts are the
/// same to the last digit.
#[test]
fn funding_is_settled_alike() {
    let scratch = Scratch::new();
    let mut tape = Tape::default();
    for step in 0..200 {
        let at = step * 100;
        // The prediction after ten seconds names the next settlement.
        if step % 10 == 0 {
            let settles = if at < 10_000 { 10_000 } else { 28_810_000 };
            tape.mark(at, "btc-usdm", "60000.0", "0.00500000", settles);
        }
        tape.quote(at + 1, "btc-usdm", ("59999.9", "9"), ("60000.0", &format!("{}", 9 + step % 2)));
    }
    let fates = both("parity-funding.toml", &tape.save(&scratch), 10, &scratch);
    for name in ["receives", "receives-too"] {
        assert_eq!(reasons(&fates, name), ["take_profit"], "{name}");
    }
    for name in ["too-small", "too-late", "pays"] {
        assert!(fates[name].opened && fates[name].exits.is_empty(), "{name}");
    }
    assert!(fates["pays"].funding[0] < 0 && fates["too-small"].funding[0] > 0);
    assert_eq!(fates["too-late"].funding[0], 0);
}

/// Mark prices and trades reach the engine of a run as they reach that of a replay: stops that look at
/// them fire, and what is near to its liquidation price is closed, while quotes stay where they are.
#[test]
fn stops_by_other_prices_are_closed_alike() {
    let scratch = Scratch::new();
    let mut tape = Tape::default();
    for step in 0..200u64 {
        let at = step * 100;
        let price = if step < 50 { "60000.0" } else { "59400.0" };
        if step % 10 == 0 {
            tape.mark(at, "btc-usdm", price, "0.00010000", 28_800_000);
        }
        if step % 10 == 5 {
            let (time, id) = (START / 1_000_000 + at, step + 1);
            // As a run is subscribed to trades.
            let trade = format!(
                r#"{{"stream":"btcusdt@aggTrade","data":{{"e":"aggTrade","E":{time},"s":"BTCUSDT","a":{id},"p":"{price}","q":"0.1","f":{id},"l":{id},"T":{time},"m":false}}}}"#
            );
            tape.raw(at, "btc-usdm", trade);
        }
        tape.quote(at + 1, "btc-usdm", ("59999.9", "9"), ("60000.0", &format!("{}", 9 + step % 2)));
    }
    let fates = both("parity-marks.toml", &tape.save(&scratch), 10, &scratch);
    for (name, reason) in
        [("by-mark", "stop_loss"), ("by-trade", "stop_loss"), ("near", "liquidation")]
    {
        assert_eq!(reasons(&fates, name), [reason], "{name}");
        assert!(fates[name].closed, "{name}");
    }
    for name in ["by-quote", "far"] {
        assert!(fates[name].opened && fates[name].exits.is_empty(), "{name}");
    }
}

/// Bybit's best prices of a spot symbol.
fn spot(at: u64, update: u64, symbol: &str, bid: &str, ask: &str) -> String {
    let time = START / 1_000_000 + at;
    format!(
        r#"{{"topic":"orderbook.1.{symbol}","ts":{time},"type":"snapshot","data":{{"s":"{symbol}","b":[["{bid}","9"]],"a":[["{ask}","9"]],"u":{update},"seq":7}},"cts":{time}}}"#
    )
}

/// Tasks enter, exit, wait and enter again; a reversal goes over to the other side and back: with
/// threads, rings and sockets as in a replay.
#[test]
fn tasks_and_reversals_enter_and_exit_alike() {
    let scratch = Scratch::new();
    let mut tape = Tape::default();
    for step in 0..200u64 {
        let at = step * 100;
        // Every four seconds the futures are dear, or the two have met.
        let dear = step / 40 % 2 == 0;
        let (btc, perp) = if dear {
            (("49999.99", "50000.00"), ("50350.0", "50350.1"))
        } else {
            (("50100.00", "50100.01"), ("50000.0", "50000.1"))
        };
        tape.raw(at, "btc-spot", spot(at, 1 + 2 * step, "BTCUSDT", btc.0, btc.1));
        tape.quote(at + 1, "btc-usdm", (perp.0, "9"), (perp.1, "9"));
        tape.raw(at + 2, "btc-spot", spot(at + 2, 2 + 2 * step, "ETHUSDT", "2999.99", "3000.00"));
        tape.quote(at + 3, "eth-usdm", ("3000.00", "9"), ("3000.01", "9"));
        let sol = match at {
            0..4_000 => ("150.00", "150.01"),
            4_000..10_000 => ("152.00", "152.01"),
            _ => ("150.50", "150.51"),
        };
        tape.quote(at + 4, "sol-usdm", (sol.0, "900"), (sol.1, "900"));
    }
    let (fates, tasks) = both_with_tasks("parity-tasks.toml", &tape.save(&scratch), 10, &scratch);
    // It is about something: each task has had two positions, and has closed them by its rules.
    for (name, reason) in [
        ("carry#1", "basis"),
        ("carry#2", "basis"),
        ("clock#1", "deadline"),
        ("clock#2", "deadline"),
        ("sol", "reversal"),
        ("sol#1", "reversal"),
    ] {
        assert_eq!(reasons(&fates, name), [reason], "{name}");
        assert!(fates[name].closed, "{name}");
    }
    assert_eq!(fates["carry#1"].exits[0].1[..2], [40_000, 400]);
    assert!(fates["sol#2"].opened && !fates["sol#2"].closed);
    assert_eq!(fates.len(), 7);
    // The log of the live run holds each decision to enter, and decides everything once more.
    let (epoch, records) = decided_again::read(&scratch.path("orders").join(Mode::Paper.name()));
    let (_, tally) = decided_again::redecide(epoch, &records);
    assert_eq!((tally.entries, tally.intents, tally.positions), (6, 6, 7), "{tally:?}");
    assert_eq!(tasks, [(TaskState::Done, 2, 0, 0), (TaskState::Paused, 2, 2, 0)]);
}
