//! `reap demo`: a seeded market, two simulated venues and nineteen positions; no network, no keys, no
//! configuration.
//!
//! Two venues listen on loopback and speak their real protocols over TLS; the product's own threads
//! watch them and trade with them. In the end a fresh connection asks the venues what is still held.
//! `--seconds 0` leaves all that out: one thread in the market's own time, the same bytes every time.

use std::cell::RefCell;
use std::collections::BTreeMap;

use reap_core::instrument::VenueId;
use reap_core::units::Nanos;
use serde_json::json;

use crate::config::{Config, Mode, RunConfig, SimConfig, SimMarket};
use crate::live::drive::{Ending, Until, drive};
use crate::live::run::Run;
use crate::live::summary;
use crate::outcome::Outcome;
use crate::output::{Output, complain};
use crate::pipeline::Pipeline;
use crate::report::{Driver, Report, time_of_day};
use crate::sim::{Market, MarketVenue};
use crate::story::{Happening, Story};

/// Length of the market in its own time.
const LENGTH: Nanos = Market::DEMO_LENGTH;
/// 2026-01-05 09:00:00 UTC, when the market begins.
const START: Nanos = Nanos(1_767_603_600_000_000_000);
/// How long the live plans may take to end after the last message.
const SETTLE: Nanos = Nanos::from_secs(30);
/// Real time from the start until the market begins: for connections to be made.
const LEAD: Nanos = Nanos::from_millis(700);
/// Positions that are meant to stay open: their targets lie out of the market's reach.
const PATIENT: &str = "patient";

/// How long it takes unless told otherwise: the market runs thirty times as fast as time.
const SECONDS: u64 = 20;
/// Below this a hiccup of the machine is minutes of the market.
const SECONDS_MIN: u64 = 10;
/// How long a venue is cut off, in the market's time.
const CUT: Nanos = Nanos::from_secs(45);

/// Arguments of `reap demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Another market: the same seed gives the same bytes, decisions and hash everywhere.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// How long the ten minutes of the market take, 10 to 600. 0 is as fast as it goes, without
    /// sockets and threads: the same output every time.
    #[arg(long, default_value_t = SECONDS, value_parser = seconds)]
    seconds: u64,
    /// Cut Bybit off at this minute of the market, for 45 s of it.
    #[arg(long, value_name = "MINUTE", value_parser = clap::value_parser!(u64).range(1..10))]
    cut_venue_at: Option<u64>,
    /// One JSON object instead of lines and tables.
    #[arg(long)]
    json: bool,
}

impl Default for Args {
    fn default() -> Self {
        Self { seed: 7, seconds: SECONDS, cut_venue_at: None, json: false }
    }
}

fn seconds(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(seconds @ (0 | SECONDS_MIN..=600)) => Ok(seconds),
        _ => Err(format!("it is 0, or {SECONDS_MIN} to 600 whole seconds")),
    }
}

/// Runs the demonstration.
pub fn run(args: &Args, out: &mut Output) -> Outcome {
    if args.seconds == 0 {
        if args.cut_venue_at.is_some() {
            complain("--cut-venue-at: without sockets (--seconds 0) there is nothing to cut");
            return Outcome::BadInput;
        }
        return run_in_process(args, out);
    }
    run_over_sockets(args, out)
}

fn announce(args: &Args, how: &str, positions: usize, out: &mut Output) {
    if !args.json {
        out.line(format_args!(
            "Ten minutes of a seeded market (seed {}) {how}: three instruments on two venues, \
             {positions} positions.",
            args.seed,
        ));
        out.flush();
    }
}

fn run_over_sockets(args: &Args, out: &mut Output) -> Outcome {
    let mut config = Config::demo();
    let speed = u32::try_from(LENGTH.0 / 1_000_000_000 / args.seconds).unwrap_or(1).max(1);
    let market = SimMarket::Seed(args.seed);
    config.sim = Some(SimConfig { market, speed, tls: true, lead: LEAD });
    config.run = Some(RunConfig { mode: Mode::Sim, ..RunConfig::default() });
    let how = format!("in {} s over TLS sockets", args.seconds);
    announce(args, &how, config.positions.len(), out);
    // What it sends is logged as always; nobody needs it afterwards.
    let log = std::env::temp_dir().join(format!("reap-demo-{}", std::process::id()));
    let bybit = id(&config, MarketVenue::Bybit);
    let cuts = args.cut_venue_at.map(|minute| (bybit, Nanos::from_secs(60 * minute), CUT));
    let until = Until { span: None, cuts: cuts.into_iter().collect() };
    let shown = RefCell::new(&mut *out);
    let mut started = |run: &Run| {
        if !args.json {
            shown.borrow_mut().line(&run.layout);
        }
    };
    let mut tell = |at: Nanos, line: &str| {
        let mut out = shown.borrow_mut();
        if !args.json {
            out.line(format_args!("{}  {line}", time_of_day(at)));
            out.flush();
        }
        !out.closed()
    };
    let driven = drive(config, Mode::Sim, &log, &until, &mut started, &mut tell);
    // It may never have been made.
    drop(std::fs::remove_dir_all(&log));
    let driven = match driven {
        Ok(driven) => driven,
        Err(error) => {
            complain(error);
            return Outcome::BadInput;
        }
    };
    if driven.ending == Ending::Unread {
        return Outcome::Good;
    }
    let outcome = &driven.outcome;
    let end = End {
        story: &outcome.story,
        driver: outcome,
        hash: None,
        asked: driven.books.clone(),
        notes: {
            let mut notes = summary::in_flight_lines(outcome, &driven.in_flight);
            notes.extend(summary::counters_lines(outcome));
            if let Ending::Signal(signal) = driven.ending {
                notes.push(format!("stopped by {signal} before the market was over"));
            }
            notes
        },
        complete: driven.ending == Ending::MarketOver && driven.in_flight.is_empty(),
    };
    finish(args, &end, out)
}

fn run_in_process(args: &Args, out: &mut Output) -> Outcome {
    let config = Config::demo();
    let sources: Vec<VenueId> = MarketVenue::ALL.iter().map(|venue| id(&config, *venue)).collect();
    let names = config.clone();
    let mut pipeline = match Pipeline::new(config, &sources) {
        Ok(pipeline) => pipeline,
        Err(error) => {
            complain(&error);
            return Outcome::BadInput;
        }
    };
    announce(args, "on one thread", names.positions.len(), out);
    let mut market = Market::new(args.seed, START, LENGTH);
    let mut watch = |at: Nanos, position: usize, what: Happening<'_>| {
        if !args.json
            && let Some(line) = Report::line(&names, position, &what)
        {
            out.line(format_args!("{}  {line}", time_of_day(at)));
        }
    };
    while let Some(frame) = market.next_frame() {
        let source = MarketVenue::ALL.iter().position(|venue| *venue == frame.venue);
        let source = source.expect("every venue of the market is a source");
        pipeline.on_message(frame.at, source, frame.raw, &mut watch);
    }
    pipeline.settle(START.plus(LENGTH).plus(SETTLE), &mut watch);
    let end = End {
        story: pipeline.story(),
        driver: &pipeline,
        hash: Some(pipeline.decision_hash()),
        asked: Ok(()),
        notes: Vec::new(),
        complete: true,
    };
    finish(args, &end, out)
}

fn id(config: &Config, venue: MarketVenue) -> VenueId {
    let name = match venue {
        MarketVenue::Binance => "binance",
        MarketVenue::Bybit => "bybit",
    };
    let at = config.venues.iter().position(|venue| venue.name == name);
    VenueId(at.expect("the demonstration's configuration names both venues") as u8)
}

/// What a demonstration came to.
struct End<'e> {
    story: &'e Story,
    driver: &'e dyn Driver,
    /// Only what runs in the market's own time decides the same every time.
    hash: Option<u64>,
    /// Why the venues could not be asked what is held, if they could not.
    asked: Result<(), String>,
    /// What a reader should know beside the tables.
    notes: Vec<String>,
    /// Whether it ran to its end.
    complete: bool,
}

fn finish(args: &Args, end: &End<'_>, out: &mut Output) -> Outcome {
    let report = Report::new(end.story, end.driver);
    let open = report.open_json();
    let meant = |position: &serde_json::Value| {
        let positions = &end.story.config().positions;
        let found = positions.iter().find(|one| position["position"] == one.name.as_str());
        found.is_some_and(|one| {
            end.story.config().policies[usize::from(one.policy.0)].name == PATIENT
        })
    };
    let unexpected: Vec<_> = open.iter().filter(|position| !meant(position)).collect();
    let agree = end.asked.is_ok() && report.books_agree();
    let ok = unexpected.is_empty() && agree && end.complete;
    if args.json {
        let mut object = json!({
            "ok": ok,
            "seed": args.seed,
            "exits": report.exits_json(),
            "net": report.totals().into_iter().collect::<BTreeMap<_, _>>(),
            "open": open,
            "venues": report.venues_json(),
            "books_agree": agree,
            "notes": end.notes,
            "latency": report.latency_json(),
        });
        if let Some(hash) = end.hash {
            object["decision_hash"] = format!("{hash:016x}").into();
        }
        out.line(object);
    } else {
        out.line("");
        report.exits_table().iter().for_each(|line| out.line(line));
        out.line("");
        report.open_table().iter().for_each(|line| out.line(line));
        out.line("");
        report.latency_table().iter().for_each(|line| out.line(line));
        out.line("");
        end.notes.iter().for_each(|line| out.line(line));
        match &end.asked {
            Ok(()) => {
                let books = if agree { "agree" } else { "DISAGREE" };
                out.line(format_args!("the venues' own books {books} with what is left open"));
            }
            Err(why) => out.line(format_args!("the venues' own books cannot be read: {why}")),
        }
        for position in &unexpected {
            out.line(format_args!("should have closed: {}", position["position"]));
        }
        if let Some(hash) = end.hash {
            out.line(format_args!("decision hash {hash:016x}"));
        }
    }
    if ok { Outcome::Good } else { Outcome::NotGood }
}
