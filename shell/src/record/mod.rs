//! `reap record`: the market data of every configured venue into files that `reap replay` reads.
//!
//! The feed is the one of a live run, with a tap on it: what comes is queued for a thread that
//! writes. Recorded is everything that is data, also what no codec can read; answers to
//! subscriptions, pongs and announcements are counted only, they say nothing of the market. While a
//! connection is replaced before the end of its life, both deliver for some seconds, and both are
//! recorded: a replay drops what is older than what it has.

mod files;
mod tap;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reap_core::event::SourceChange;
use reap_core::instrument::{SourceId, VenueId};
use reap_core::tick::Tick;
use reap_core::units::Nanos;
use reap_feed::decoded::Counts;
use reap_ring::{Consumer, ring};
use serde_json::{Value, json};

use self::files::{FileFigures, Writing};
use self::tap::TapView;
use crate::clock::{LiveClock, rest};
use crate::config::Config;
use crate::live::LiveError;
use crate::live::connector::ConnectorBuilder;
use crate::live::drive::{Ending, Signals};
use crate::live::engine::{Feed, Sink};
use crate::live::feed::{FeedNote, FeedView, LiveFeed};
use crate::live::layout::{Layout, Place, allowed};
use crate::live::reach::{Reach, real};
use crate::live::run::{lines, wish};
use crate::live::runner::{Agent, Pulse, RunnerSettings, spawn};
use crate::live::simulated::Simulated;
use crate::live::stats::{Stats, stats};
use crate::outcome::Outcome;
use crate::output::{Output, complain};
use crate::report::time_of_day;
use crate::table::table;

/// Notes of the feed to main.
const NOTES: usize = 1 << 12;
/// Main looks at everything this often.
const ROUND: Duration = Duration::from_millis(1);
/// How often the clock is corrected.
const SECOND: u64 = 1_000_000_000;
/// Real time for a simulated market's last messages to arrive.
const SETTLE: u64 = 500_000_000;

/// Arguments of `reap record`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Venues and instruments; with [sim] the simulated market is recorded.
    #[arg(long)]
    config: PathBuf,
    /// The file, gzip; with several venues one for each, its name before the ending: out.NAME.gz.
    #[arg(long)]
    out: PathBuf,
    /// End after this many seconds; without it by SIGINT or SIGTERM.
    #[arg(long = "for", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    seconds: Option<u64>,
    /// Overwrite files that exist.
    #[arg(long)]
    force: bool,
    /// One JSON object in the end instead of lines and tables.
    #[arg(long)]
    json: bool,
}

/// One venue's file.
struct Target {
    venue: String,
    path: PathBuf,
    /// What a replay with this configuration would make of its name.
    replayable: Result<(), String>,
}

/// A recording that has ended.
struct Recorded {
    /// `None` when a file could not be written.
    ending: Option<Ending>,
    targets: Vec<Target>,
    files: Vec<FileFigures>,
    counts: Counts,
    dropped: u64,
    control: u64,
    notes_lost: u64,
}

/// Runs `reap record`.
pub fn run(args: &Args, out: &mut Output) -> Outcome {
    let mut tell = |at: Option<Nanos>, line: &str| {
        if !args.json {
            match at {
                Some(at) => out.line(format_args!("{}  {line}", time_of_day(at))),
                None => out.line(line),
            }
            // Nobody may read any more: the files are what counts.
            out.flush();
        }
    };
    match record(args, &mut tell) {
        Ok(recorded) => report(args.json, &recorded, out),
        Err(why) => {
            complain(why);
            Outcome::BadInput
        }
    }
}

type Tell<'t> = &'t mut dyn FnMut(Option<Nanos>, &str);

fn record(args: &Args, tell: Tell<'_>) -> Result<Recorded, String> {
    let config = Config::load(&args.config).map_err(|error| error.to_string())?;
    let system = |what| move |error: std::io::Error| LiveError::system(what)(error).to_string();
    let signals = Signals::listen().map_err(system("handlers of signals"))?;
    let settings = config.run.clone().unwrap_or_default();
    let layout = Layout::choose(&allowed(), &wish(&settings)).map_err(|error| error.to_string())?;
    let simulated = config.sim.as_ref().map(|sim| Simulated::start(&config, sim)).transpose();
    let simulated = simulated.map_err(|error| error.to_string())?;
    let clock = simulated.as_ref().map_or_else(LiveClock::live, |sim| sim.clock.clone());
    let reach = Reach::new(&config, simulated.as_ref()).map_err(|error| error.to_string())?;
    let (lines, names, budgets) = lines(&config, &reach).map_err(|error| error.to_string())?;

    // Every venue with a connection has a file. A line's budget is its venue's number.
    let mut venues: Vec<usize> = lines.iter().map(|line| line.budget).collect();
    let file_of: Vec<usize> = {
        let of_line = venues.clone();
        venues.dedup();
        let at = |venue| venues.iter().position(|one| *one == venue).unwrap_or_default();
        of_line.into_iter().map(at).collect()
    };
    if venues.is_empty() {
        return Err(format!("{}: no instrument, so nothing to record; add one", config.file));
    }
    let targets: Vec<Target> =
        venues.iter().map(|venue| target(&config, args, *venue, venues.len())).collect();

    let mut connectors = ConnectorBuilder::default();
    let (notes_in, mut notes) = ring(NOTES);
    let view = Arc::new(FeedView::default());
    let poll = mio::Poll::new().map_err(system("a poll of sockets"))?;
    let port = connectors.client(None);
    let mut feed =
        LiveFeed::new(lines, budgets, port, notes_in, Arc::clone(&view), clock.clone(), poll);
    let (tap, queue) = tap::queue(file_of);
    let tapped = queue.view();
    feed.tap(Box::new(tap));
    let paths: Vec<PathBuf> = targets.iter().map(|target| target.path.clone()).collect();
    let writers = files::create(&paths, args.force).map_err(|error| files::refusal(&error))?;
    let writing = Writing::start(writers, queue, clock.clone());
    let writing = writing.map_err(system("the writer's thread"))?;
    let connector = connectors.start().map_err(system("the connector's thread"))?;
    let stop = Arc::new(AtomicBool::new(false));
    let agent = RecordAgent { feed, stop: Arc::clone(&stop), done: false };
    let place: Place = layout.feed;
    let runner = RunnerSettings { name: "feed", place, late: real(settings.engine_late) };
    let (stats_in, _stats) = stats();
    let thread = spawn(agent, runner, clock.clone(), Arc::new(Pulse::default()), stats_in);
    let thread = thread.map_err(|error| error.to_string())?;

    let what = if simulated.is_some() { "the simulated market" } else { "live market data" };
    tell(None, &format!("records {what}"));
    for target in &targets {
        tell(None, &format!("{} into {}", target.venue, target.path.display()));
        if let Err(why) = &target.replayable {
            tell(None, why);
        }
    }
    let mut take = |notes: &mut Consumer<FeedNote>| {
        while let Some(note) = notes.pop() {
            tell(Some(note.at), &note.text(&names, &config));
        }
    };
    let ending = wait(args, &signals, &clock, simulated.as_ref(), &writing, &mut || {
        take(&mut notes);
    });
    // Pairs with the Acquire in the agent.
    stop.store(true, Ordering::Release);
    // The feed goes with its thread, and with it the queue's other end: the files are finished then.
    drop(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
    let files = writing.finish();
    take(&mut notes);
    drop(connector);
    let TapView { dropped, control, .. } = &*tapped;
    let counts = *view.counts.lock();
    Ok(Recorded {
        ending,
        targets,
        files,
        counts,
        dropped: dropped.load(Ordering::Relaxed),
        control: control.load(Ordering::Relaxed),
        notes_lost: view.notes_lost.load(Ordering::Relaxed),
    })
}

fn target(config: &Config, args: &Args, at: usize, venues: usize) -> Target {
    let venue = config.venues[at].name.clone();
    let path = files::path_of(&args.out, &venue, venues);
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let replayable = match config.venue_of_recording(&name.unwrap_or_default()) {
        Ok(VenueId(found)) if usize::from(found) == at => Ok(()),
        Ok(VenueId(found)) => {
            let other = &config.venues[usize::from(found)].name;
            let path = path.display();
            Err(format!(
                "to replay it, add a [[source]] for {venue}: {path} would be taken for {other}'s"
            ))
        }
        Err(why) => Err(format!("to replay it: {why}")),
    };
    Target { venue, path, replayable }
}

/// Until it is over, and why. `None` when a file cannot be written.
fn wait(
    args: &Args,
    signals: &Signals,
    clock: &LiveClock,
    simulated: Option<&Simulated>,
    writing: &Writing,
    step: &mut dyn FnMut(),
) -> Option<Ending> {
    let begun = clock.real();
    let mut corrected = begun;
    let mut over_since = None;
    loop {
        step();
        if writing.has_failed() {
            return None;
        }
        if let Some(signal) = signals.received() {
            return Some(Ending::Signal(signal));
        }
        let now = clock.real();
        let passed = Duration::from_nanos(now.saturating_sub(begun));
        if args.seconds.is_some_and(|seconds| passed >= Duration::from_secs(seconds)) {
            return Some(Ending::TimeUp);
        }
        if simulated.is_some_and(Simulated::is_over)
            && now.saturating_sub(*over_since.get_or_insert(now)) >= SETTLE
        {
            return Some(Ending::MarketOver);
        }
        if now.saturating_sub(corrected) >= SECOND {
            corrected = now;
            clock.correct();
        }
        rest(ROUND);
    }
}

/// The feed on a thread of its own, and nobody behind it.
struct RecordAgent {
    feed: LiveFeed,
    stop: Arc<AtomicBool>,
    done: bool,
}

struct Nobody;

impl Sink for Nobody {
    fn tick(&mut self, _: Nanos, _: &Tick) {}
    fn source(&mut self, _: Nanos, _: SourceId, _: SourceChange) {}
    fn message_done(&mut self, _: u64, _: u64, _: &mut Stats) {}
}

impl Agent for RecordAgent {
    fn do_work(&mut self, now: Nanos, stats: &mut Stats) -> usize {
        let work = self.feed.read(now, &mut Nobody, stats);
        self.done = self.stop.load(Ordering::Acquire);
        work
    }

    fn park(&mut self, most: Duration) {
        self.feed.park(most);
    }

    fn next_timer(&self) -> Option<Nanos> {
        self.feed.next_timer()
    }

    fn is_done(&self) -> bool {
        self.done
    }
}

impl Recorded {
    fn refused(&self) -> u64 {
        self.files.iter().map(|file| file.refused).sum()
    }

    fn outcome(&self) -> Outcome {
        let is_empty = |file: &FileFigures| file.flushed.messages == 0;
        if self.files.iter().any(|file| file.error.is_some()) {
            Outcome::Unwritable
        } else if self.dropped > 0
            || self.refused() > 0
            || self.notes_lost > 0
            || self.files.iter().any(is_empty)
        {
            Outcome::NotGood
        } else {
            Outcome::Good
        }
    }

    fn ended(&self) -> String {
        let ended = self.ending.map(|ending| ending.to_string());
        ended.unwrap_or_else(|| "a file cannot be written".into())
    }
}

fn report(as_json: bool, recorded: &Recorded, out: &mut Output) -> Outcome {
    let outcome = recorded.outcome();
    for error in recorded.files.iter().filter_map(|file| file.error.as_ref()) {
        complain(format_args!("{error}; the file is good up to the last message that is counted"));
    }
    if as_json {
        out.line(json(recorded, outcome));
    } else {
        text(recorded, out);
    }
    outcome
}

fn json(recorded: &Recorded, outcome: Outcome) -> Value {
    let file = |(target, file): (&Target, &FileFigures)| {
        json!({
            "venue": target.venue,
            "file": target.path.display().to_string(),
            "messages": file.flushed.messages,
            "bytes": file.flushed.bytes,
            "first_ns": file.span.map(|(first, _)| first.0),
            "last_ns": file.span.map(|(_, last)| last.0),
            "not_recordable": file.refused,
            "error": file.error.as_ref().map(ToString::to_string),
        })
    };
    let files: Vec<Value> = recorded.targets.iter().zip(&recorded.files).map(file).collect();
    json!({
        "ok": outcome == Outcome::Good,
        "ended": recorded.ended(),
        "files": files,
        "dropped": recorded.dropped,
        "control": recorded.control,
        "notes_lost": recorded.notes_lost,
        "messages": recorded.counts.kinds().collect::<std::collections::BTreeMap<_, _>>(),
    })
}

fn text(recorded: &Recorded, out: &mut Output) {
    out.line("");
    out.line(recorded.ended());
    out.line("");
    let row = |(target, file): (&Target, &FileFigures)| {
        let span = file.span.map_or(Nanos(0), |(first, last)| last.since(first));
        vec![
            target.venue.clone(),
            target.path.display().to_string(),
            file.flushed.messages.to_string(),
            file.flushed.bytes.to_string(),
            format!("{:.1} s", span.0 as f64 / 1e9),
        ]
    };
    let rows: Vec<_> = recorded.targets.iter().zip(&recorded.files).map(row).collect();
    let head = ["venue", "file", "messages", "bytes", "span"];
    table(&head, &rows, 2).iter().for_each(|line| out.line(line));
    let kinds: Vec<String> =
        recorded.counts.kinds().map(|(kind, count)| format!("{kind} {count}")).collect();
    out.line(format_args!("came in: {}", kinds.join(", ")));
    out.line(format_args!("{} answers and pongs, not recorded", recorded.control));
    let told = [
        (recorded.dropped, "messages DROPPED: the disk was slower than the market"),
        (recorded.refused(), "messages with line ends or too long, not recorded"),
        (recorded.notes_lost, "notes were lost: what is told of connections is incomplete"),
    ];
    for (count, what) in told.into_iter().filter(|(count, _)| *count > 0) {
        out.line(format_args!("{count} {what}"));
    }
    for (target, file) in recorded.targets.iter().zip(&recorded.files) {
        if file.flushed.messages == 0 {
            out.line(format_args!("nothing came from {}: look at the lines above", target.venue));
        }
    }
}

#[cfg(test)]
mod tests {
    use reap_feed::recording::Flushed;

    use super::*;

    fn recorded(change: impl FnOnce(&mut Recorded)) -> Outcome {
        let flushed = Flushed { messages: 1, bytes: 1 };
        let mut recorded = Recorded {
            ending: Some(Ending::TimeUp),
            targets: Vec::new(),
            files: vec![FileFigures { flushed, ..FileFigures::default() }],
            counts: Counts::default(),
            dropped: 0,
            control: 1,
            notes_lost: 0,
        };
        change(&mut recorded);
        recorded.outcome()
    }

    #[test]
    fn only_a_recording_without_loss_is_good() {
        assert_eq!(recorded(|_| {}), Outcome::Good);
        assert_eq!(recorded(|one| one.dropped = 1), Outcome::NotGood);
        assert_eq!(recorded(|one| one.notes_lost = 1), Outcome::NotGood);
        assert_eq!(recorded(|one| one.files[0].refused = 1), Outcome::NotGood);
        assert_eq!(recorded(|one| one.files[0].flushed.messages = 0), Outcome::NotGood);
    }
}
