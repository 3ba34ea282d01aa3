//! Main's side of a run: opens positions, follows what happens, tells it, and notices when a thread
//! is late or gone.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use reap_core::GateCounters;
use reap_core::entry::TaskId;
use reap_core::event::{Event, Which};
use reap_core::instrument::{InstrumentId, VenueId};
use reap_core::note::ExecutorNote;
use reap_core::order::OrderChange;
use reap_core::plan::PlanView;
use reap_core::position::{PositionId, PositionSpec};
use reap_core::pricing::Quotes;
use reap_core::task::TaskView;
use reap_core::tick::Quote;
use reap_core::units::Nanos;
use reap_feed::decoded::Counts;

use super::books::Holdings;
use super::carried;
use super::run::{Ended, Ends, Run, Watched};
use super::runner::Health;
use super::stats::Stats;
use super::summary::closing_line;
use super::wires::{Opening, Told};
use crate::config::{Config, Opened, Target, TimedInput};
use crate::pipeline::Stages;
use crate::report::{Driver, Report, VenueBook};
use crate::story::{Happening, Story};

/// A thread without a sign of life for this long, real time, is told of.
const SILENT: Duration = Duration::from_secs(1);
/// A thread that was away for this long is told of at once; shorter absences are in the summary.
const AWAY: Duration = Duration::from_millis(250);
/// How often threads are looked at.
const LOOK: u64 = 50_000_000;
/// How often the clock is corrected and histograms are collected.
const SECOND: u64 = 1_000_000_000;
/// Messages that main sends at once; the rings take far more.
const OPENINGS: usize = 256;

/// Takes lines: when, and what.
pub type Tell<'t> = &'t mut dyn FnMut(Nanos, &str);

/// See the module.
pub struct Watch {
    story: Story,
    /// The story's, for names while it is told.
    config: Arc<Config>,
    /// Positions that wait for a time or a quote.
    waiting: Vec<usize>,
    /// What is to be told first, and whether it is an alarm.
    said: Vec<(bool, String)>,
    /// What was asked to be opened: handles that keep hot threads from freeing it.
    asked: Vec<Arc<PositionSpec>>,
    /// What happens beside the market, by time.
    inputs: VecDeque<(Nanos, TimedInput)>,
    /// When the market begins.
    begins: Nanos,
    looked: u64,
    corrected: u64,
    troubles: Vec<Trouble>,
    behind: bool,
    /// Whether each instrument has a fresh price; `None` before its first.
    fresh: Vec<Option<bool>>,
    halted: bool,
    alarms: u64,
}

/// Whether people should look at once.
const fn is_alarm(what: &Happening<'_>) -> bool {
    match what {
        Happening::Stuck | Happening::EntryUnhedged(_) => true,
        Happening::Venue(note) => !matches!(note, ExecutorNote::VenueResumed { .. }),
        Happening::Legging(record) => record.overdue.is_some() && record.over.is_none(),
        _ => false,
    }
}

/// What was told of a thread.
#[derive(Clone, Copy, Debug, Default)]
struct Trouble {
    silent: bool,
    gap_told: Duration,
}

impl Watch {
    /// Watches a run that has just started.
    #[must_use]
    pub fn new(run: &Run) -> Self {
        let config = run.config.clone();
        let begins = run.simulated.as_ref().map_or_else(|| run.clock.now(), |sim| sim.begins);
        let mut inputs: Vec<_> = config.inputs.iter().map(|one| (one.due(begins), *one)).collect();
        let carried = &run.carried;
        let taken_on = |at: &usize| {
            carried.closed.contains(at) || carried.open.iter().any(|open| open.at == *at)
        };
        let mut story = Story::new(config.clone());
        let now = run.clock.now();
        for carried::Watched { at, position } in &carried.open {
            story.resumed(now, *at, position);
            let known = TimedInput::liquidations(*at, &config.positions[*at]);
            inputs.extend(known.map(|one| (now, one)));
        }
        inputs.sort_by_key(|(due, _)| *due);
        Self {
            waiting: (0..config.positions.len()).filter(|at| !taken_on(at)).collect(),
            said: carried.said.clone(),
            asked: Vec::new(),
            inputs: inputs.into(),
            begins,
            looked: 0,
            corrected: 0,
            troubles: vec![Trouble::default(); run.watched.len()],
            behind: false,
            fresh: vec![None; config.instruments.len()],
            halted: false,
            alarms: 0,
            config: Arc::new(config),
            story,
        }
    }

    /// What has happened so far.
    #[must_use]
    pub const fn story(&self) -> &Story {
        &self.story
    }

    /// When the market begins.
    #[must_use]
    pub const fn begins(&self) -> Nanos {
        self.begins
    }

    /// One round of everything; call it about every millisecond.
    pub fn step(&mut self, run: &mut Run, tell: Tell<'_>) {
        let now = run.clock.now();
        for (alarm, line) in std::mem::take(&mut self.said) {
            self.alarms += u64::from(alarm);
            tell(now, &line);
        }
        self.take_notes(&mut run.ends, &run.lines, tell);
        self.open_ready(now, run);
        self.input_due(now, run);
        let real = run.clock.real();
        if real.saturating_sub(self.looked) >= LOOK {
            self.looked = real;
            self.look(now, real, run, tell);
        }
        if real.saturating_sub(self.corrected) >= SECOND {
            self.corrected = real;
            run.clock.correct();
            for watched in &mut run.watched {
                watched.stats.collect();
            }
        }
    }

    /// Takes in what the threads have told, in the end too.
    pub fn take_notes(&mut self, ends: &mut Ends, lines: &[String], tell: Tell<'_>) {
        while let Some(note) = ends.feed.pop() {
            tell(note.at, &note.text(lines, &self.config));
        }
        while let Some(told) = ends.told.pop() {
            let config = Arc::clone(&self.config);
            let (mut entered, mut alarms) = (None, 0);
            let mut watch = |at: Nanos, position: usize, what: Happening<'_>| {
                if let Happening::Entered(position, _) = what {
                    entered = Some(position.clone());
                }
                alarms += u64::from(is_alarm(&what));
                if let Some(line) = Report::line(&config, position, &what) {
                    tell(at, &line);
                }
            };
            match told {
                Told::Note(at, note) => self.story.on_note(at, &note, &mut watch),
                Told::Refused(at, position, why) => {
                    self.story.refused(at, position, why.into(), &mut watch);
                }
                Told::News(at, text) => tell(at, &text),
                Told::Closing(at, view) => {
                    tell(at, &closing_line(&self.config, &view));
                }
                Told::Alarm(at, text) => {
                    self.alarms += 1;
                    tell(at, &text);
                }
            }
            self.alarms += alarms;
            drop(config);
            if let Some(position) = entered {
                Arc::make_mut(&mut self.config).positions.push(position);
            }
        }
    }

    fn open_ready(&mut self, now: Nanos, run: &mut Run) {
        if self.waiting.is_empty() {
            return;
        }
        let (mut left, mut known) = (Vec::new(), Vec::new());
        for (asked, at) in std::mem::take(&mut self.waiting).into_iter().enumerate() {
            let config = self.story.config();
            let position = &config.positions[at];
            let ready = match position.opened {
                Opened::At(opened) if opened > now => None,
                _ => position.resolve(&config.instruments, |id| {
                    run.ends.table.top(id).map(|top| (top.received, top.quote))
                }),
            };
            match ready.filter(|_| asked < OPENINGS) {
                Some(spec) => {
                    let spec = Arc::new(spec);
                    let opening = Opening { at, spec: Arc::clone(&spec) };
                    if run.ends.openings.push(opening).is_err() {
                        left.push(at);
                        continue;
                    }
                    run.ends.bell.ring();
                    self.story.resolved(at, (*spec).clone());
                    self.asked.push(spec);
                    known.extend(TimedInput::liquidations(at, &self.story.config().positions[at]));
                }
                None => left.push(at),
            }
        }
        self.waiting = left;
        // They wait for the position to be open, as a close would.
        for input in known.into_iter().rev() {
            self.inputs.push_front((now, input));
        }
    }

    fn input_due(&mut self, now: Nanos, run: &mut Run) {
        let mut later = Vec::new();
        while let Some((due, input)) = self.inputs.pop_front_if(|(due, _)| *due <= now) {
            let which = match input.target().unwrap_or(Target::All) {
                Target::Position(at) => {
                    let standing = &self.story.standings()[at];
                    match standing.id {
                        Some(id) => Which::Position(id),
                        // It is being opened at this moment: closed as soon as it is.
                        None if standing.spec.is_some() && standing.refused.is_none() => {
                            later.push((due, input));
                            continue;
                        }
                        // It was never opened: there is nothing to close.
                        None => continue,
                    }
                }
                Target::Venue(venue) => Which::Venue(venue),
                Target::Tag(tag) => Which::Tag(tag),
                Target::All => Which::All,
            };
            let Some(Event::Command(command)) = input.event(which) else { continue };
            if run.ends.commands.push(command).is_err() {
                // The engine does not look: again at the next round.
                later.push((due, input));
                break;
            }
        }
        for input in later.into_iter().rev() {
            self.inputs.push_front(input);
        }
    }

    /// Looks after the threads.
    fn look(&mut self, now: Nanos, real: u64, run: &Run, tell: Tell<'_>) {
        for (watched, trouble) in run.watched.iter().zip(&mut self.troubles) {
            let Health { silent, gap_max, ended, .. } = watched.pulse.health(real);
            let name = watched.name;
            let is_silent = silent > SILENT && !ended;
            if is_silent != trouble.silent {
                trouble.silent = is_silent;
                let text = if is_silent {
                    self.alarms += 1;
                    format!("{name}: no sign of life for {:.1} s", silent.as_secs_f64())
                } else {
                    format!("{name}: back")
                };
                tell(now, &text);
            }
            if gap_max > AWAY && gap_max > trouble.gap_told {
                trouble.gap_told = gap_max;
                let ms = gap_max.as_secs_f64() * 1e3;
                tell(now, &format!("{name}: late, the system kept it away for {ms:.0} ms"));
            }
        }
        self.look_at_prices(now, run, tell);
        let behind = run.ends.engine_view.behind.load(Ordering::Relaxed);
        if behind != self.behind {
            self.behind = behind;
            tell(
                now,
                if behind {
                    "engine: late, it goes on with the newest quote of each instrument"
                } else {
                    "engine: caught up"
                },
            );
        }
        if let Some(why) = run.ends.inputs_view.trouble.lock().take() {
            self.alarms += 1;
            tell(now, &format!("input log: {why}; deciding and closing go on"));
        }
        if let Some(reason) = run.ends.halt.get()
            && !self.halted
        {
            self.halted = true;
            self.alarms += 1;
            tell(now, reason.text());
        }
    }

    /// Tells when an instrument has no price any more that may be believed, and when it has again.
    fn look_at_prices(&mut self, now: Nanos, run: &Run, tell: Tell<'_>) {
        for (at, named) in self.config.instruments.iter().enumerate() {
            let top = run.ends.table.top(InstrumentId(at as u16));
            let age_max = named.spec().max_quote_age;
            let fresh = top.is_some_and(|top| now.since(top.received) <= age_max);
            let was = self.fresh[at];
            if was == Some(fresh) || was.is_none() && !fresh {
                continue;
            }
            self.fresh[at] = Some(fresh);
            if was.is_none() {
                continue;
            }
            let text = if fresh {
                "fresh again; what waited for it is looked at anew"
            } else {
                "no fresh price: profit rules on it wait, protective ones follow their ladder"
            };
            tell(now, &format!("{}: {text}", named.name));
        }
    }

    /// Orders of which the last word is missing: position and how the order is named.
    #[must_use]
    pub fn in_flight(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for plan in self.story.plans() {
            for record in &plan.orders {
                let filled: i64 = record
                    .said
                    .iter()
                    .map(|(_, what)| match what {
                        OrderChange::Filled { qty, .. } => qty.raw(),
                        _ => 0,
                    })
                    .sum();
                let over = record.said.iter().any(|(_, what)| {
                    matches!(what, OrderChange::Expired | OrderChange::Rejected(_))
                });
                if !over && record.proven.is_none() && filled < record.order.qty.raw() {
                    found.push((plan.position, record.order.id.to_string()));
                }
            }
        }
        found
    }

    /// Whether something was lost or in alarm.
    #[must_use]
    pub const fn alarms(&self) -> u64 {
        self.alarms
    }

    /// Puts the run's figures together when its threads have ended.
    #[must_use]
    pub fn finish(self, ended: Ended, mut watched: Vec<Watched>, ends: Ends) -> Outcome {
        let mut stats = Stats::default();
        let mut threads = Vec::new();
        for one in &mut watched {
            one.stats.collect();
            stats.add(one.stats.total());
            threads.push(ThreadFigures {
                name: one.name,
                health: one.pulse.health(0),
                duty: one.stats.total().duty.clone(),
            });
        }
        Outcome {
            story: self.story,
            alarms: self.alarms,
            counts: *ends.feed_view.counts.lock(),
            conflated: ends.feed_view.conflated.load(Ordering::Relaxed),
            lagged: ends.engine_view.lagged.load(Ordering::Relaxed),
            notes_lost: ends.execution_view.notes_lost.load(Ordering::Relaxed)
                + ends.feed_view.notes_lost.load(Ordering::Relaxed),
            unlogged: ends.execution_view.unlogged.load(Ordering::Relaxed),
            inputs_lost: ends.inputs_view.lost.load(Ordering::Relaxed),
            quotes: ends.engine_view.quotes.load(Ordering::Relaxed),
            stages: stats.stages,
            threads,
            ended,
            holdings: None,
        }
    }
}

/// A hot thread's figures.
pub struct ThreadFigures {
    /// Its name.
    pub name: &'static str,
    /// How it did.
    pub health: Health,
    /// Its duty cycles, real nanoseconds.
    pub duty: hdrhistogram::Histogram<u64>,
}

/// A run that has ended.
pub struct Outcome {
    /// What happened.
    pub story: Story,
    /// How often an operator should have looked.
    pub alarms: u64,
    /// Messages by kind and reason.
    pub counts: Counts,
    /// Ticks that waited because the ring to the engine was full.
    pub conflated: u64,
    /// Ticks that came late to the engine.
    pub lagged: u64,
    /// Notes that had no room: the story is incomplete.
    pub notes_lost: u64,
    /// Orders that the log could not take, which were not sent.
    pub unlogged: u64,
    /// Inputs that are missing in the input log.
    pub inputs_lost: u64,
    /// Quotes that reached the engine.
    pub quotes: u64,
    /// Latency by stage, real time.
    pub stages: Stages,
    /// The hot threads.
    pub threads: Vec<ThreadFigures>,
    /// Engine, executor, simulated venues.
    pub ended: Ended,
    /// What the venues say that is held, when they were asked.
    pub holdings: Option<Holdings>,
}

impl Outcome {
    fn config(&self) -> &Config {
        self.story.config()
    }
}

impl Driver for Outcome {
    fn quote(&self, instrument: InstrumentId) -> Option<Quote> {
        self.ended.engine.quote(instrument).map(|(quote, _)| quote)
    }

    fn plan(&self, id: PositionId) -> Option<PlanView> {
        self.ended.executor.plan(id)
    }

    fn books(&self) -> Vec<VenueBook> {
        let book = |at: usize| {
            let venue = VenueId(at as u8);
            let counts = self.ended.simulated.as_ref().map(|sim| sim.counts(venue));
            let counts = counts.unwrap_or_default();
            let of = |id: InstrumentId| self.story.instrument(id).spec().venue == venue;
            let holdings = self.holdings.iter().flatten();
            VenueBook {
                orders: counts.orders,
                fills: counts.fills,
                expired: counts.expired,
                rejected: counts.rejected.iter().sum(),
                holdings: holdings
                    .filter(|((_, instrument), _)| of(*instrument))
                    .map(|(&(account, instrument), &qty)| (account, instrument, qty))
                    .collect(),
            }
        };
        (0..self.config().venues.len()).map(book).collect()
    }

    fn holds_from_the_beginning(&self) -> bool {
        self.ended.simulated.is_some()
    }

    fn tasks(&self) -> Vec<TaskView> {
        let ids = (0..self.config().tasks.len()).map(|at| TaskId(at as u16));
        ids.filter_map(|id| self.ended.engine.task(id)).collect()
    }

    fn counts(&self) -> Counts {
        self.counts
    }

    fn gates(&self) -> GateCounters {
        *self.ended.engine.gate_counters()
    }

    fn stages(&self) -> &Stages {
        &self.stages
    }
}
