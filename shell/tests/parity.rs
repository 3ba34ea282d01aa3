//! The same market through a replay and through the live pipeline on paper (simulated venues on
//! sockets, threads, rings) gives the same exits: by position, in the same order of reasons, of the
//! same quantities.
//!
//! Times and prices are not compared: live, orders meet what the market shows when they arrive.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may fail")]

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Mutex;

use common::{START, Scratch, Tape, data, read, recorded};
use reap_core::limits::LEGS_MAX;
use reap_core::units::Nanos;
use reap_feed::recording::RecordingWriter;
use reap_shell::config::{Config, Mode};
use reap_shell::live::drive::{Ending, Until, drive};
use reap_shell::merge::{Merge, Merged};
use reap_shell::pipeline::Pipeline;
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

type Fates = BTreeMap<String, Fate>;

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

fn replayed(config: Config, recordings: &[PathBuf]) -> Fates {
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
    fates(pipeline.story())
}

/// Lines of a live run, for a failure.
type Lines = Vec<String>;

fn live(config: Config, scratch: &Scratch) -> (Fates, Lines) {
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
    (fates(&driven.outcome.story), lines)
}

/// Both ways of a market; gives what both came to.
fn both(name: &str, recordings: &[PathBuf], speed: u32, scratch: &Scratch) -> Fates {
    let turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut text = read(&data(&format!("data/{name}")));
    write!(
        text,
        "\n[sim]\nspeed = {speed}\ntls = false\nlead = \"3s\"\nrecordings = {recordings:?}\n"
    )
    .unwrap();
    let config = || Config::parse(name, &text).unwrap_or_else(|error| panic!("{error}"));
    let replayed = replayed(config(), recordings);
    let (live, lines) = live(config(), scratch);
    drop(turn);
    if live != replayed {
        for (name, fate) in &replayed {
            if live[name] != *fate {
                println!(
                    "{name}: replayed {fate:?}\n{:w$}  live {:?}",
                    "",
                    live[name],
                    w = name.len()
                );
            }
        }
        panic!("not the same exits\n{}", lines.join("\n"));
    }
    replayed
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
