//! `reap replay`: recorded messages through the very same codecs, engine and executor, with paper
//! fills; `reap explain`: one exit of it in words.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use reap_core::instrument::VenueId;
use reap_core::units::Nanos;
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::config::Config;
use crate::explain;
use crate::log_replay::{LogInput, decide_again};
use crate::merge::{Merge, Merged};
use crate::outcome::Outcome;
use crate::output::{Output, complain};
use crate::pipeline::Pipeline;
use crate::report::{Report, time_of_day};
use crate::story::Happening;

/// How long the live plans may take to end after the last message.
const SETTLE: Nanos = Nanos::from_secs(30);

/// How fast a replay goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Speed {
    /// As fast as it can.
    #[value(name = "max")]
    Max,
    /// As it was received.
    #[value(name = "1x")]
    Recorded,
}

/// What a replay reads.
#[derive(Debug, clap::Args)]
struct Input {
    /// Recordings: lines of `<receive time> <message>`, gzip or plain, or captures.
    #[arg(required = true)]
    recordings: Vec<PathBuf>,
    /// Venues, instruments, policies and positions.
    #[arg(long)]
    config: PathBuf,
}

/// Arguments of `reap replay`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    input: Option<Input>,
    #[command(flatten)]
    log: LogInput,
    /// One JSON object instead of tables.
    #[arg(long)]
    json: bool,
    /// Also a line for everything that happens.
    #[arg(long)]
    verbose: bool,
    /// The decisions are the same at every speed.
    #[arg(long, value_enum, default_value = "max")]
    speed: Speed,
    /// Also run a second engine on the same events: it must decide the same, and finds near misses.
    #[arg(long)]
    follow: bool,
}

/// Arguments of `reap explain`.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    #[command(flatten)]
    input: Input,
    /// Only exits of this position.
    #[arg(long)]
    position: Option<String>,
    /// Only this exit, as numbered by `reap replay`, from 1; no near misses then.
    #[arg(long)]
    exit: Option<usize>,
    /// One JSON object instead of words.
    #[arg(long)]
    json: bool,
}

/// A replay that has run, and how long it took.
struct Replayed {
    pipeline: Pipeline,
    seconds: f64,
}

/// Runs `reap replay`.
pub fn run(args: &Args, out: &mut Output) -> Outcome {
    if let Some(dir) = &args.log.log {
        return run_log(dir, args, out);
    }
    let Some(input) = &args.input else {
        complain("name recordings and --config FILE, or --log DIR");
        return Outcome::BadInput;
    };
    let mut line = |at: Nanos, text: String| {
        if args.verbose && !args.json {
            out.line(format_args!("{}  {text}", time_of_day(at)));
            if args.speed == Speed::Recorded {
                out.flush();
            }
        }
        !out.closed()
    };
    let replayed = match replay(input, args.speed, args.follow, &mut line) {
        Ok(Some(replayed)) => replayed,
        // Nobody watches any more.
        Ok(None) => return Outcome::Good,
        Err(error) => {
            complain(error);
            return Outcome::BadInput;
        }
    };
    if args.json {
        out.line(as_json(&replayed));
    } else {
        as_text(&replayed, out);
    }
    let report = Report::new(replayed.pipeline.story(), &replayed.pipeline);
    let agrees = replayed.pipeline.follower_agrees() != Some(false);
    let good = report.books_agree() && !report.any_refused() && agrees;
    if good { Outcome::Good } else { Outcome::NotGood }
}

/// Runs `reap replay --log`.
fn run_log(dir: &Path, args: &Args, out: &mut Output) -> Outcome {
    let again = match decide_again(dir, args.log.epoch) {
        Ok(again) => again,
        Err(error) => {
            complain(error);
            return Outcome::BadInput;
        }
    };
    if args.json {
        out.line(again.to_json());
    } else {
        again.lines().iter().for_each(|line| out.line(line));
    }
    if again.is_alike() { Outcome::Good } else { Outcome::NotGood }
}

/// Runs `reap explain`.
pub fn run_explain(args: &ExplainArgs, out: &mut Output) -> Outcome {
    let replayed = match replay(&args.input, Speed::Max, true, &mut |_, _| true) {
        Ok(Some(replayed)) => replayed,
        Ok(None) => return Outcome::Good,
        Err(error) => {
            complain(error);
            return Outcome::BadInput;
        }
    };
    let pipeline = &replayed.pipeline;
    let positions = &pipeline.story().config().positions;
    if let Some(name) = &args.position
        && !positions.iter().any(|position| position.name == *name)
    {
        let names: Vec<&str> = positions.iter().map(|position| position.name.as_str()).collect();
        complain(format_args!("--position {name:?}: there are {}", names.join(", ")));
        return Outcome::BadInput;
    }
    let report = Report::new(pipeline.story(), pipeline);
    let exits: Vec<_> = report.exits().collect();
    if let Some(number) = args.exit
        && !(1..=exits.len()).contains(&number)
    {
        complain(format_args!("--exit {number}: there are exits 1 to {}", exits.len()));
        return Outcome::BadInput;
    }
    let named = |position: usize| {
        args.position.as_ref().is_none_or(|name| *name == positions[position].name)
    };
    let numbered = exits.into_iter().enumerate().map(|(at, plan)| (at + 1, plan));
    let exits: Vec<_> = numbered
        .filter(|(number, plan)| {
            named(plan.position) && args.exit.is_none_or(|wanted| wanted == *number)
        })
        .collect();
    let near_misses = pipeline.story().near_misses().iter();
    let near_misses: Vec<_> =
        near_misses.filter(|near| named(near.position) && args.exit.is_none()).collect();
    let agrees = pipeline.follower_agrees() == Some(true);
    if args.json {
        let exits = exits.iter().map(|(number, plan)| explain::json::exit(&report, *number, plan));
        let near = near_misses.iter().map(|near| explain::json::near_miss(&report, near));
        out.line(json!({
            "exits": exits.collect::<Vec<_>>(),
            "near_misses": near.collect::<Vec<_>>(),
            "follower_agrees": agrees,
            "decision_hash": format!("{:016x}", pipeline.decision_hash()),
        }));
    } else {
        let exits = exits.iter().map(|(_, plan)| explain::explain(&report, plan));
        let near = near_misses.iter().map(|near| explain::near_miss(&report, near));
        for (at, lines) in exits.chain(near).enumerate() {
            if at > 0 {
                out.line("");
            }
            lines.iter().for_each(|line| out.line(line));
        }
    }
    if !agrees {
        complain("the engine that follows has decided otherwise: this is a defect");
        return Outcome::NotGood;
    }
    if exits.is_empty() && near_misses.is_empty() {
        complain("no exit to explain: nothing that was asked for has closed");
        return Outcome::NotGood;
    }
    Outcome::Good
}

/// Reads everything and runs it, with a second engine that follows when asked for. `line` says
/// whether anyone still watches: `None` when not.
fn replay(
    input: &Input,
    speed: Speed,
    follow: bool,
    line: &mut dyn FnMut(Nanos, String) -> bool,
) -> Result<Option<Replayed>, String> {
    let config = Config::load(&input.config).map_err(|error| error.to_string())?;
    let mut merge = Merge::open(&input.recordings).map_err(|error| error.to_string())?;
    let mut venues: Vec<VenueId> = Vec::new();
    for path in merge.paths() {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        venues.push(config.venue_of_recording(&name.unwrap_or_default())?);
    }
    let mut names = config.clone();
    let mut pipeline = Pipeline::new(config, &venues).map_err(|error| error.to_string())?;
    if follow {
        pipeline.follow().map_err(|error| error.to_string())?;
    }
    let watched = Cell::new(true);
    let mut watch = |at: Nanos, position: usize, what: Happening<'_>| {
        if let Happening::Entered(position, _) = what {
            names.positions.push(position.clone());
        }
        if let Some(text) = Report::line(&names, position, &what) {
            watched.set(line(at, text));
        }
    };
    let clock = Clock::start();
    let mut first = None;
    while let Some(merged) = merge.advance().map_err(|error| error.to_string())? {
        let (Merged::Message(at, source) | Merged::Connected(at, source)) = merged;
        if !watched.get() {
            return Ok(None);
        }
        if speed == Speed::Recorded {
            clock.wait_until(at.since(*first.get_or_insert(at)).0);
        }
        match merged {
            Merged::Message(..) => {
                pipeline.on_message(at, source, merge.raw(), &mut watch);
            }
            Merged::Connected(..) => pipeline.on_connected(at, source, &mut watch),
        }
    }
    let end = pipeline.now();
    let seconds = clock.nanos() as f64 / 1e9;
    pipeline.settle(end.plus(SETTLE), &mut watch);
    Ok(Some(Replayed { pipeline, seconds }))
}

fn as_json(replayed: &Replayed) -> Value {
    let pipeline = &replayed.pipeline;
    let report = Report::new(pipeline.story(), pipeline);
    let mut all = serde_json::Map::new();
    all.extend(report.messages_json().map(|(name, value)| (name.to_owned(), value)));
    let rest = json!({
        "exits": report.exits_json(),
        "net": report.totals().into_iter().collect::<BTreeMap<_, _>>(),
        "open": report.open_json(),
        "venues": report.venues_json(),
        "books_agree": report.books_agree(),
        "quotes": pipeline.quotes(),
        "seconds": replayed.seconds,
        "quotes_per_second": per_second(replayed),
        "latency": report.latency_json(),
        "decision_hash": format!("{:016x}", pipeline.decision_hash()),
        "hashes": pipeline.hashes().map(|hash| format!("{hash:016x}")),
        "near_misses": pipeline.follower_agrees().map(|_| pipeline.story().near_misses().len()),
        "follower_agrees": pipeline.follower_agrees(),
    });
    if let Value::Object(rest) = rest {
        all.extend(rest);
    }
    let tasks = report.tasks_json();
    if !tasks.is_empty() {
        all.insert("tasks".into(), tasks.into());
    }
    Value::Object(all)
}

fn per_second(replayed: &Replayed) -> u64 {
    (replayed.pipeline.quotes() as f64 / replayed.seconds.max(1e-9)) as u64
}

fn as_text(replayed: &Replayed, out: &mut Output) {
    let pipeline = &replayed.pipeline;
    let report = Report::new(pipeline.story(), pipeline);
    for (name, value) in report.messages_json() {
        let counts: Vec<String> = value
            .as_object()
            .into_iter()
            .flatten()
            .map(|(kind, count)| format!("{kind} {count}"))
            .collect();
        let counts = if counts.is_empty() { "none".into() } else { counts.join(", ") };
        out.line(format_args!("{name:<9} {counts}"));
    }
    out.line(format_args!(
        "{} quotes in {:.2} s, {} a second",
        pipeline.quotes(),
        replayed.seconds,
        per_second(replayed)
    ));
    out.line("");
    report.exits_table().iter().for_each(|line| out.line(line));
    out.line("");
    report.open_table().iter().for_each(|line| out.line(line));
    out.line("");
    let tasks = report.tasks_table();
    if !tasks.is_empty() {
        tasks.iter().for_each(|line| out.line(line));
        out.line("");
    }
    report.latency_table().iter().for_each(|line| out.line(line));
    out.line("");
    let books = if report.books_agree() { "agree" } else { "DISAGREE" };
    out.line(format_args!("the venues' own books {books} with what is left open"));
    out.line(format_args!("decision hash {:016x}", pipeline.decision_hash()));
    let [decisions, orders] = pipeline.hashes();
    out.line(format_args!("  of decisions {decisions:016x}, of orders {orders:016x}"));
    if let Some(agrees) = pipeline.follower_agrees() {
        let decides = if agrees { "decides the same" } else { "DECIDES OTHERWISE" };
        let near = pipeline.story().near_misses().len();
        out.line(format_args!("the engine that follows {decides}; {near} near misses"));
    }
}
