//! `reap demo`: a seeded market, two simulated venues and a dozen positions; no network, no keys,
//! no configuration.

use std::cell::RefCell;
use std::collections::BTreeMap;

use reap_core::instrument::VenueId;
use reap_core::units::Nanos;
use serde_json::json;

use crate::clock::Clock;
use crate::config::Config;
use crate::outcome::Outcome;
use crate::output::{Output, complain};
use crate::pipeline::Pipeline;
use crate::report::{Report, time_of_day};
use crate::sim::{Market, MarketVenue};
use crate::story::Happening;

/// Length of the market in its own time.
const LENGTH: Nanos = Market::DEMO_LENGTH;
/// 2026-01-05 09:00:00 UTC, when the market begins.
const START: Nanos = Nanos(1_767_603_600_000_000_000);
/// How long the live plans may take to end after the last message.
const SETTLE: Nanos = Nanos::from_secs(30);
/// Positions that are meant to stay open: their targets lie out of the market's reach.
const PATIENT: &str = "patient";

/// Arguments of `reap demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Another market: the same seed gives the same bytes, decisions and hash everywhere.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// How long the ten minutes of the market take to watch; 0 is as fast as it goes.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u64).range(0..=600))]
    seconds: u64,
    /// One JSON object instead of lines and tables.
    #[arg(long)]
    json: bool,
}

impl Default for Args {
    fn default() -> Self {
        Self { seed: 7, seconds: 12, json: false }
    }
}

/// Runs the demonstration.
pub fn run(args: &Args, out: &mut Output) -> Outcome {
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
    if !args.json {
        out.line(format_args!(
            "Ten minutes of a seeded market (seed {}) in {} s: three instruments on two venues, {} positions.",
            args.seed,
            args.seconds,
            names.positions.len(),
        ));
    }
    let clock = Clock::start();
    let mut market = Market::new(args.seed, START, LENGTH);
    let shown = RefCell::new(out);
    let mut watch = |at: Nanos, position: usize, what: Happening<'_>| {
        if args.json {
            return;
        }
        if let Some(line) = Report::line(&names, position, &what) {
            let mut out = shown.borrow_mut();
            out.line(format_args!("{}  {line}", time_of_day(at)));
            if args.seconds > 0 {
                out.flush();
            }
        }
    };
    while let Some(frame) = market.next_frame() {
        if args.seconds > 0 {
            if shown.borrow().closed() {
                // Nobody watches any more.
                return Outcome::Good;
            }
            clock.wait_until(scaled(frame.at.since(START).0, args.seconds));
        }
        let source = MarketVenue::ALL.iter().position(|venue| *venue == frame.venue);
        let source = source.expect("every venue of the market is a source");
        pipeline.on_message(frame.at, source, frame.raw, &mut watch);
    }
    pipeline.settle(START.plus(LENGTH).plus(SETTLE), &mut watch);
    finish(args, &pipeline, shown.into_inner())
}

/// Time of the market to time of the watcher, in nanoseconds.
fn scaled(passed: u64, seconds: u64) -> u64 {
    let scaled = u128::from(passed) * u128::from(seconds) * 1_000_000_000 / u128::from(LENGTH.0);
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

fn id(config: &Config, venue: MarketVenue) -> VenueId {
    let name = match venue {
        MarketVenue::Binance => "binance",
        MarketVenue::Bybit => "bybit",
    };
    let at = config.venues.iter().position(|venue| venue.name == name);
    VenueId(at.expect("the demonstration's configuration names both venues") as u8)
}

fn finish(args: &Args, pipeline: &Pipeline, out: &mut Output) -> Outcome {
    let report = Report::new(pipeline.story(), pipeline);
    let open = report.open_json();
    let meant = |position: &serde_json::Value| {
        let positions = &pipeline.story().config().positions;
        let found = positions.iter().find(|one| position["position"] == one.name.as_str());
        found.is_some_and(|one| {
            pipeline.story().config().policies[usize::from(one.policy.0)].name == PATIENT
        })
    };
    let unexpected: Vec<_> = open.iter().filter(|position| !meant(position)).collect();
    let agree = report.books_agree();
    let ok = unexpected.is_empty() && agree;
    if args.json {
        out.line(json!({
            "ok": ok,
            "seed": args.seed,
            "exits": report.exits_json(),
            "net": report.totals().into_iter().collect::<BTreeMap<_, _>>(),
            "open": open,
            "venues": report.venues_json(),
            "books_agree": agree,
            "latency": report.latency_json(),
            "decision_hash": format!("{:016x}", pipeline.decision_hash()),
        }));
    } else {
        out.line("");
        report.exits_table().iter().for_each(|line| out.line(line));
        out.line("");
        report.open_table().iter().for_each(|line| out.line(line));
        out.line("");
        report.latency_table().iter().for_each(|line| out.line(line));
        out.line("");
        let books = if agree { "agree" } else { "DISAGREE" };
        out.line(format_args!("the venues' own books {books} with what is left open"));
        for position in &unexpected {
            out.line(format_args!("should have closed: {}", position["position"]));
        }
        out.line(format_args!("decision hash {:016x}", pipeline.decision_hash()));
    }
    if ok { Outcome::Good } else { Outcome::NotGood }
}
