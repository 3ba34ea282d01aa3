//! `reap run`: a live run from a configuration, until it is asked to stop.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::config::{Config, Mode};
use crate::guard::keep_memory_private;
use crate::live::drive::{Driven, Until, drive};
use crate::live::run::Run;
use crate::live::summary;
use crate::outcome::Outcome;
use crate::output::{Output, complain};
use crate::report::{Report, time_of_day};

/// Arguments of `reap run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Venues, instruments, policies, positions, and [run].
    #[arg(long)]
    config: PathBuf,
    /// Instead of the configuration's mode; `live` only by --live.
    #[arg(long, value_parser = ["sim", "dry_run", "paper"])]
    mode: Option<String>,
    /// Real orders at real venues: needs mode = "live" in the configuration, too.
    #[arg(long, conflicts_with = "mode")]
    live: bool,
    /// End after this many seconds.
    #[arg(long = "for", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    seconds: Option<u64>,
    /// One JSON object in the end instead of lines and tables.
    #[arg(long)]
    json: bool,
}

/// Runs `reap run`.
pub fn run(args: &Args, out: &mut Output) -> Outcome {
    let config = match Config::load(&args.config) {
        Ok(config) => config,
        Err(error) => {
            complain(error);
            return Outcome::BadInput;
        }
    };
    let mode = match mode(args, &config) {
        Ok(mode) => mode,
        Err(why) => {
            complain(why);
            return Outcome::BadInput;
        }
    };
    if let Err(error) = keep_memory_private() {
        let what = "a core file of this process would hold the keys of its accounts";
        complain(format_args!(
            "the system does not let it keep its memory private: {error}; {what}"
        ));
        if mode == Mode::Live {
            return Outcome::BadInput;
        }
    }
    let log = config.run.clone().unwrap_or_default().log;
    let until = Until { span: args.seconds.map(Duration::from_secs), cuts: Vec::new() };
    let shown = std::cell::RefCell::new(&mut *out);
    let mut started = |run: &Run| {
        if !args.json {
            let mut out = shown.borrow_mut();
            out.line(format_args!("mode {}; {}", mode.name(), run.layout));
            out.flush();
        }
    };
    let mut tell = |at, line: &str| {
        let mut out = shown.borrow_mut();
        if !args.json {
            out.line(format_args!("{}  {line}", time_of_day(at)));
            out.flush();
        }
        !out.closed()
    };
    let driven = match drive(config, mode, &log, &until, &mut started, &mut tell) {
        Ok(driven) => driven,
        Err(error) => {
            complain(error);
            return Outcome::BadInput;
        }
    };
    report(args.json, mode, &driven, out)
}

fn mode(args: &Args, config: &Config) -> Result<Mode, String> {
    let written = config.run.as_ref().map_or_else(Mode::default, |run| run.mode);
    let mode = match &args.mode {
        Some(name) => {
            let found = Mode::ALL.into_iter().find(|(word, _)| word == name);
            found.map_or(written, |(_, mode)| mode)
        }
        None => written,
    };
    let file = &config.file;
    match (mode, args.live) {
        (Mode::Live, false) => Err(format!(
            "{file}: mode = \"live\" sends real orders: say so with --live, or try it first with \
             --mode paper"
        )),
        (Mode::Live, true) => Ok(mode),
        (_, true) => Err(format!(
            "--live: {file} has mode = {:?}; write mode = \"live\" there, too",
            mode.name()
        )),
        (Mode::Sim, false) if config.sim.is_none() => Err(format!(
            "{file}: mode sim needs a simulated market; write [sim] with seed = 7 or recordings"
        )),
        _ => Ok(mode),
    }
}

fn report(as_json: bool, mode: Mode, driven: &Driven, out: &mut Output) -> Outcome {
    let Driven { ending, outcome, in_flight, books } = driven;
    let report = Report::new(&outcome.story, outcome);
    let asked = matches!(mode, Mode::Sim);
    let agree = (asked && books.is_ok()).then(|| report.books_agree());
    let ok = agree != Some(false)
        && books.is_ok()
        && !report.any_refused()
        && in_flight.is_empty()
        && outcome.alarms == 0
        && outcome.notes_lost == 0
        && outcome.unlogged == 0;
    let ended = ending.to_string();
    if as_json {
        let mut object = json!({
            "ok": ok,
            "mode": mode.name(),
            "ended": ended,
            "exits": report.exits_json(),
            "net": report.totals().into_iter().collect::<BTreeMap<_, _>>(),
            "open": report.open_json(),
            "in_flight": summary::in_flight_json(outcome, in_flight),
            "closing": summary::closing_json(outcome),
            "venues": report.venues_json(),
            "books_agree": agree,
            "books_unread": books.as_ref().err(),
            "latency": report.latency_json(),
            "threads": summary::threads_json(outcome),
            "counters": summary::counters_json(outcome),
        });
        let tasks = report.tasks_json();
        if !tasks.is_empty() {
            object["tasks"] = tasks.into();
        }
        for (name, value) in report.messages_json() {
            object[name] = value;
        }
        out.line(object);
    } else {
        out.line("");
        out.line(&ended);
        out.line("");
        report.exits_table().iter().for_each(|line| out.line(line));
        out.line("");
        report.open_table().iter().for_each(|line| out.line(line));
        for line in summary::in_flight_lines(outcome, in_flight) {
            out.line(line);
        }
        summary::closing_lines(outcome).iter().for_each(|line| out.line(line));
        let tasks = report.tasks_table();
        if !tasks.is_empty() {
            out.line("");
            tasks.iter().for_each(|line| out.line(line));
        }
        out.line("");
        report.latency_table().iter().for_each(|line| out.line(line));
        out.line("");
        summary::threads_table(outcome).iter().for_each(|line| out.line(line));
        summary::counters_lines(outcome).iter().for_each(|line| out.line(line));
        match (agree, books) {
            (Some(true), _) => out.line("the venues' own books agree with what is left open"),
            (Some(false), _) => out.line("the venues' own books DISAGREE with what is left open"),
            (None, Err(why)) => out.line(format_args!("the venues' books cannot be read: {why}")),
            (None, Ok(())) => {}
        }
    }
    if ok { Outcome::Good } else { Outcome::NotGood }
}
