//! A live run from start to end: every part is made, wired, put on its thread, and in the end
//! stopped in the order in which nothing is lost.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use reap_core::engine::Engine;
use reap_core::event::Command;
use reap_core::executor::Executor;
use reap_core::hash::RunningHash;
use reap_core::instrument::{InstrumentId, SourceId, VenueId};
use reap_core::log::Text;
use reap_core::policy::PolicyId;
use reap_core::task::Unreachable;
use reap_core::units::Nanos;
use reap_feed::conflate::Conflator;
use reap_feed::session::{BudgetSettings, ConnectBudget, Link, LinkSettings, Wanted};
use reap_ring::{Consumer, Producer, ring};

use super::LiveError;
use super::carried::{Carried, carry_on};
use super::connector::{Connector, ConnectorBuilder, ConnectorPort};
use super::engine::{EngineAgent, EngineDesk, EngineView, EngineWires, FusedAgent, TickWires};
use super::execution::{BELL, ExecutionAgent, ExecutionParts, ExecutionView, ExecutionWires};
use super::feed::{FeedAgent, FeedNote, FeedView, Line, LiveFeed, RingSink};
use super::gateway::{DryRun, Gateway, Paper, Venues};
use super::journal;
use super::layout::{Idle, Layout, LayoutWish, Shape, allowed};
use super::reach::{Reach, real};
use super::runner::{Pulse, RunnerSettings, spawn};
use super::simulated::Simulated;
use super::stats::{StatsPort, StatsReader, stats};
use super::tap::{InputsView, InputsWriter, Tap};
use super::wires::{Doorbell, Halt, Opening, TableReader, Told, quote_table};
use crate::clock::{LiveClock, WallClock};
use crate::config::{self, Config, Input, Mode, RunConfig, TimedInput, Waiting};
use crate::order_log::{Earlier, InputLog, LogSettings, OrderLog, Sync};
use crate::pipeline;

/// Ticks between feed and engine: some milliseconds of the busiest market.
const TICKS: usize = 1 << 14;
/// Changes of sources.
const SOURCES: usize = 1 << 8;
/// Intents, reports, registrations, commands: never dropped.
const MESSAGES: usize = 1 << 13;
/// Notes to main, which looks every millisecond.
const NOTES: usize = 1 << 13;

/// A hot thread as main sees it.
pub struct Watched {
    /// Its name.
    pub name: &'static str,
    /// Its signs of life.
    pub pulse: Arc<Pulse>,
    /// Its measurements.
    pub stats: StatsReader,
}

/// Main's ends of all wires.
pub struct Ends {
    /// What execution tells.
    pub told: Consumer<Told>,
    /// What the feed tells.
    pub feed: Consumer<FeedNote>,
    /// Positions to be opened.
    pub openings: Producer<Opening>,
    /// Commands to the engine.
    pub commands: Producer<Command>,
    /// Wakes execution.
    pub bell: Arc<Doorbell>,
    /// The latest quotes.
    pub table: TableReader,
    /// Whether something that must not be lost has no room.
    pub halt: Arc<Halt>,
    /// What is seen of the feed.
    pub feed_view: Arc<FeedView>,
    /// What is seen of the engine.
    pub engine_view: Arc<EngineView>,
    /// What is seen of execution.
    pub execution_view: Arc<ExecutionView>,
    /// What is seen of the input log.
    pub inputs_view: Arc<InputsView>,
}

/// The hot threads.
enum Threads {
    Split {
        feed: JoinHandle<FeedAgent<LiveFeed>>,
        engine: JoinHandle<EngineAgent>,
        execution: JoinHandle<ExecutionAgent>,
    },
    Fused {
        fused: JoinHandle<FusedAgent<LiveFeed>>,
        execution: JoinHandle<ExecutionAgent>,
    },
}

/// When each hot thread is to end.
#[derive(Default)]
struct Stops {
    feed: Arc<AtomicBool>,
    engine: Arc<AtomicBool>,
    execution: Arc<AtomicBool>,
}

/// See the module.
pub struct Run {
    /// The configuration.
    pub config: Config,
    /// What it may do.
    pub mode: Mode,
    /// Where threads run.
    pub layout: Layout,
    /// The time.
    pub clock: LiveClock,
    /// What venues take for the time.
    pub wall: WallClock,
    /// The simulated venues, if any.
    pub simulated: Option<Simulated>,
    /// What it has carried on.
    pub carried: Carried,
    /// Names of the lines: venue and plan.
    pub lines: Vec<String>,
    /// Hot threads.
    pub watched: Vec<Watched>,
    /// Main's ends of the wires.
    pub ends: Ends,
    threads: Threads,
    inputs: Option<InputsWriter>,
    stops: Stops,
    connector: Connector,
}

/// What is left when every thread has ended.
pub struct Ended {
    /// The engine.
    pub engine: Engine,
    /// The executor.
    pub executor: Executor,
    /// The simulated venues, if any.
    pub simulated: Option<Simulated>,
}

impl Run {
    /// Starts everything. Orders are logged below `log`, each mode in a folder of its own.
    ///
    /// # Errors
    /// See [`LiveError`]. Nothing is left running.
    pub fn start(config: Config, mode: Mode, log: &Path) -> Result<Self, LiveError> {
        let settings = config.run.clone().unwrap_or_default();
        let layout = Layout::choose(&allowed(), &wish(&settings))?;
        Self::start_on(layout, config, mode, log)
    }

    /// As [`Self::start`], with its threads where `layout` has them: one that nobody would choose
    /// may be measured too.
    ///
    /// # Errors
    /// See [`LiveError`]. Nothing is left running.
    pub fn start_on(
        layout: Layout,
        config: Config,
        mode: Mode,
        log: &Path,
    ) -> Result<Self, LiveError> {
        run_able(&config, mode)?;
        let config = for_mode(config, mode);
        let settings = config.run.clone().unwrap_or_default();
        let simulated = match (&config.sim, mode) {
            (Some(sim), Mode::Sim | Mode::Paper) => Some(Simulated::start(&config, sim)?),
            _ => None,
        };
        let (clock, wall) = match &simulated {
            Some(simulated) => {
                (simulated.clock.clone(), WallClock::Market(simulated.clock.clone()))
            }
            None => (LiveClock::live(), WallClock::System),
        };
        let mut config = config;
        let (executor, log, carried) = begin_log(&mut config, mode, &settings, log, &clock)?;
        let begun = (executor, log, &carried);
        let parts =
            Parts::make(&config, mode, &settings, begun, &clock, &wall, simulated.as_ref())?;
        let (threads, watched, stops) = parts.hot.start(&layout, &settings, &clock)?;
        Ok(Self {
            mode,
            layout,
            clock,
            wall,
            simulated,
            lines: parts.lines,
            watched,
            ends: parts.ends,
            threads,
            inputs: parts.inputs,
            stops,
            connector: parts.connector,
            carried,
            config,
        })
    }

    /// Stops the threads: first the feed, then the engine when it has decided everything that came,
    /// then execution when it has taken up everything that was decided and the orders in flight
    /// have ended or their time is up. `step` is called while that is waited for.
    pub fn stop(self, step: &mut dyn FnMut(&mut Ends)) -> (Ended, Ends) {
        let Self { threads, inputs, stops, mut ends, connector, simulated, .. } = self;
        // Each pairs with the Acquire in its agent: what was pushed before is seen by it.
        let (engine, execution) = match threads {
            Threads::Split { feed, engine, execution } => {
                stops.feed.store(true, Ordering::Release);
                drop(join(feed, &mut ends, step));
                stops.engine.store(true, Ordering::Release);
                (join(engine, &mut ends, step).into_engine(), execution)
            }
            Threads::Fused { fused, execution } => {
                stops.feed.store(true, Ordering::Release);
                (join(fused, &mut ends, step).into_engine(), execution)
            }
        };
        while inputs.as_ref().is_some_and(|writer| !writer.has_ended()) {
            step(&mut ends);
            crate::clock::rest(Duration::from_millis(1));
        }
        drop(inputs);
        stops.execution.store(true, Ordering::Release);
        ends.bell.ring();
        let executor = join(execution, &mut ends, step).into_executor();
        step(&mut ends);
        drop(connector);
        (Ended { engine, executor, simulated }, ends)
    }
}

fn join<A>(thread: JoinHandle<A>, ends: &mut Ends, step: &mut dyn FnMut(&mut Ends)) -> A {
    while !thread.is_finished() {
        step(ends);
        crate::clock::rest(Duration::from_millis(1));
    }
    // In a release a panic ends the process at once.
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// What a configuration asks for.
pub(crate) fn wish(settings: &RunConfig) -> LayoutWish {
    let cpu = |core: Option<u16>| core.map(usize::from);
    LayoutWish {
        shape: match settings.layout {
            config::Layout::Auto => None,
            config::Layout::Split => Some(Shape::Split),
            config::Layout::Fused => Some(Shape::Fused),
            config::Layout::Single => Some(Shape::Single),
        },
        feed: cpu(settings.cores.feed),
        engine: cpu(settings.cores.engine),
        execution: cpu(settings.cores.execution),
        execution_idle: settings.execution.map(|waiting| match waiting {
            Waiting::Spin => Idle::Spin,
            Waiting::Park => Idle::Park,
        }),
    }
}

/// The agents and their rings, before they have threads.
struct Hot {
    feed: LiveFeed,
    feed_view: Arc<FeedView>,
    desk: EngineDesk,
    execution: ExecutionAgent,
    instruments: usize,
    sources: usize,
    stops: Stops,
}

struct Parts {
    hot: Hot,
    inputs: Option<InputsWriter>,
    ends: Ends,
    lines: Vec<String>,
    connector: Connector,
}

impl Parts {
    fn make(
        config: &Config,
        mode: Mode,
        settings: &RunConfig,
        (executor, log, carried): (Executor, OrderLog, &Carried),
        clock: &LiveClock,
        wall: &WallClock,
        simulated: Option<&Simulated>,
    ) -> Result<Self, LiveError> {
        let instruments: Vec<_> = config.instruments.iter().map(|named| named.instrument).collect();
        let reach = Reach::new(config, simulated)?;
        let mut connectors = ConnectorBuilder::default();
        let poll = mio::Poll::new().map_err(LiveError::system("a poll of sockets"))?;
        let bell = Doorbell::new(poll.registry(), BELL).map_err(LiveError::system("a waker"))?;
        let stops = Stops::default();

        let (lines, names, budgets) = lines(config, &reach)?;
        let sources = lines.len();
        let feed_view = Arc::new(FeedView::default());
        let (feed_notes, feed_end) = ring(NOTES);
        let feed = LiveFeed::new(
            lines,
            budgets,
            connectors.client(None),
            feed_notes,
            Arc::clone(&feed_view),
            clock.clone(),
            mio::Poll::new().map_err(LiveError::system("a poll of sockets"))?,
        );

        let (table_in, table) = quote_table(instruments.len());
        let (intents_in, intents) = ring(MESSAGES);
        let (reports_in, reports) = ring(MESSAGES);
        let (commands_in, commands) = ring(MESSAGES);
        let (openings_in, openings) = ring(MESSAGES);
        let (notes_in, told) = ring(NOTES);
        let halt = Arc::new(Halt::default());
        let engine_view = Arc::new(EngineView::default());
        let execution_view = Arc::new(ExecutionView::default());
        let mut room = pipeline::engine_limits(config);
        room.positions = room.positions.max(carried.slots());
        let engine = pipeline::engine_from(room, config, &instruments, sources)?;
        // What a run carries on is in no input log: it could not be decided again from that.
        let (tap, inputs) = if carried.open.is_empty() {
            tap(config, mode, settings, sources, &log, clock)?
        } else {
            (Tap::default(), None)
        };
        let inputs_view = inputs.as_ref().map(|writer| Arc::clone(&writer.view));
        let mut desk = EngineDesk::new(
            engine,
            clock.clone(),
            &instruments,
            EngineWires {
                table: table_in,
                to_execution: intents_in,
                from_execution: reports,
                commands,
                bell: Arc::clone(&bell),
                halt: Arc::clone(&halt),
                view: Arc::clone(&engine_view),
                tap,
            },
        );

        desk.carry_on(carried)?;

        let port = connectors.client(Some(Arc::clone(&bell)));
        let registry =
            poll.registry().try_clone().map_err(LiveError::system("a poll of sockets"))?;
        let reads = config.policies.iter().any(|named| pipeline::wants_reads(&named.policy));
        let gateway: Box<dyn Gateway> = match mode {
            Mode::Paper => Box::new(Paper::new(config)),
            Mode::DryRun => Box::new(DryRun),
            Mode::Sim | Mode::Live => {
                Box::new(to_venues(&reach, &instruments, port, registry, clock, wall, reads)?)
            }
        };
        let mut limits = pipeline::executor_limits(config);
        limits.positions = limits.positions.max(carried.slots());
        let policies = config.policies.iter().map(|named| named.policy.exit.clone()).collect();
        let execution = ExecutionAgent::new(
            ExecutionParts {
                executor,
                policies,
                names: config.positions.iter().map(|one| Text::cut(&one.name)).collect(),
                tasks: config.tasks.iter().map(|one| Text::cut(&one.name)).collect(),
                gateway,
                log,
                limits,
                instruments: instruments.clone(),
                clock: clock.clone(),
                stop_timeout: Nanos(
                    settings.stop_timeout.0.saturating_mul(u64::from(clock.rate())),
                ),
                poll,
                carried: carried.open.iter().map(|one| one.position.clone()).collect(),
            },
            ExecutionWires {
                from_engine: intents,
                to_engine: reports_in,
                openings,
                notes: notes_in,
                table: table.clone(),
                bell: Arc::clone(&bell),
                halt: Arc::clone(&halt),
                view: Arc::clone(&execution_view),
                stop: Arc::clone(&stops.execution),
            },
        );
        let connector = connectors.start().map_err(LiveError::system("the connector's thread"))?;
        let ends = Ends {
            told,
            feed: feed_end,
            openings: openings_in,
            commands: commands_in,
            bell,
            table,
            halt,
            feed_view: Arc::clone(&feed_view),
            engine_view,
            execution_view,
            inputs_view: inputs_view.unwrap_or_default(),
        };
        let instruments = instruments.len();
        let hot = Hot { feed, feed_view, desk, execution, instruments, sources, stops };
        Ok(Self { hot, inputs, ends, lines: names, connector })
    }
}

/// The market data connections that the configuration needs, their names, and a budget of connects
/// for each venue.
type Lines = (Vec<Line>, Vec<String>, Vec<ConnectBudget>);

/// Makes them.
///
/// # Errors
/// When a host or a table of symbols does not fit.
pub fn lines(config: &Config, reach: &Reach<'_>) -> Result<Lines, LiveError> {
    let (mut lines, mut names, mut budgets) = (Vec::new(), Vec::new(), Vec::new());
    for (at, venue) in config.venues.iter().enumerate() {
        let id = VenueId(at as u8);
        let listed = config.instruments.iter().enumerate();
        let wanted: Vec<Wanted<'_>> = listed
            .filter(|(_, named)| named.spec().venue == id)
            .map(|(at, named)| Wanted {
                instrument: InstrumentId(at as u16),
                symbol: &named.symbol,
            })
            .collect();
        for plan in (venue.kind.streams)(&wanted) {
            let source = lines.len();
            let target = reach.target(id, plan.host)?;
            let part = if plan.part > 1 { format!(" {}", plan.part) } else { String::new() };
            names.push(format!("{} {}{part}", venue.name, plan.name));
            let connection = &venue.connection;
            let (silence, life) = (connection.silence, connection.max_life);
            let settings = LinkSettings { silence, life, ..LinkSettings::default() };
            lines.push(Line {
                path: Arc::from(plan.path.as_str()),
                link: Link::new(plan, settings, source as u64, Nanos(0)),
                codecs: [pipeline::codec(config, id)?, pipeline::codec(config, id)?],
                source: SourceId(source as u8),
                target,
                budget: at,
            });
        }
        budgets.push(ConnectBudget::new(BudgetSettings::default()));
    }
    Ok((lines, names, budgets))
}

/// A configuration as a mode takes it: with real money a task enters nothing whose target cannot be
/// reached by convergence, unless it allows that.
#[must_use]
pub fn for_mode(mut config: Config, mode: Mode) -> Config {
    for task in &mut config.tasks {
        if mode == Mode::Live && task.spec.unreachable == Unreachable::Warn {
            task.spec.unreachable = Unreachable::Refuse;
        }
    }
    config
}

/// What only a replay can do is refused before anything starts.
fn run_able(config: &Config, mode: Mode) -> Result<(), LiveError> {
    let reads = |one: &TimedInput| matches!(one.input, Input::Read { .. });
    if config.inputs.iter().any(reads) {
        let (what, remedy) = ("[[read]] is for replays", "remove it: a run asks its venues");
        return Err(LiveError::NotInARun { what: what.into(), remedy });
    }
    let held = |policy: &PolicyId| config.positions.iter().any(|one| one.policy == *policy);
    let ids = (0..config.policies.len()).map(|at| PolicyId(at as u16));
    for id in ids.filter(held).filter(|_| mode == Mode::DryRun) {
        let named = &config.policies[usize::from(id.0)];
        if pipeline::wants_reads(&named.policy) {
            let what = format!(
                "policy {}: leg_lost and imbalance look at what accounts hold, which a dry run \
                 does not ask",
                named.name
            );
            let remedy = "write mode = \"paper\" or \"live\", or use a policy without them";
            return Err(LiveError::NotInARun { what, remedy });
        }
    }
    Ok(())
}

fn to_venues(
    reach: &Reach<'_>,
    instruments: &[reap_core::instrument::Instrument],
    port: ConnectorPort,
    registry: mio::Registry,
    clock: &LiveClock,
    wall: &WallClock,
    reads: bool,
) -> Result<Venues, LiveError> {
    let accounts = reach.accounts().into_iter().map(|account| reach.account(account));
    let accounts = accounts.collect::<Result<Vec<_>, _>>()?;
    let venues = Venues::new(accounts, instruments, port, registry, clock.clone(), wall.clone());
    Ok(venues.reading(reads))
}

/// Opens the order log and begins the run in it. With real money it goes on from what the runs before
/// it have left; simulated venues end with their process, so that those runs begin anew.
fn begin_log(
    config: &mut Config,
    mode: Mode,
    settings: &RunConfig,
    dir: &Path,
    clock: &LiveClock,
) -> Result<(Executor, OrderLog, Carried), LiveError> {
    let now = clock.now();
    let sync = match settings.sync {
        config::Sync::None => Sync::None,
        config::Sync::BeforeSend => Sync::BeforeSend,
    };
    // A log of other accounts, or of a simulated market, is none to go on with.
    let mut whose = RunningHash::new();
    for account in &config.accounts {
        let venue = &config.venues[usize::from(account.venue.0)];
        let words = [mode.name(), venue.kind.name, &venue.name, &account.name];
        words.iter().flat_map(|word| word.bytes()).for_each(|byte| whose.fold(byte.into()));
    }
    let settings = LogSettings { sync, fingerprint: whose.value(), ..LogSettings::default() };
    let mut log = OrderLog::open(&dir.join(mode.name()), now, settings)?;
    let earlier = match mode {
        Mode::Live => log.refuse_restarts(now).and_then(|()| log.recover()),
        Mode::Sim | Mode::Paper | Mode::DryRun => Ok(Earlier::default()),
    };
    let begun = earlier
        .map_err(LiveError::from)
        .and_then(|earlier| carry_on(earlier, config, &mut log, now));
    match begun {
        Ok((executor, carried)) => Ok((executor, log, carried)),
        Err(error) => {
            log.abandon();
            Err(error)
        }
    }
}

/// What writes the engine's inputs down, unless the configuration wants none.
fn tap(
    config: &Config,
    mode: Mode,
    settings: &RunConfig,
    sources: usize,
    log: &OrderLog,
    clock: &LiveClock,
) -> Result<(Tap, Option<InputsWriter>), LiveError> {
    if settings.input_log_mib == 0 {
        return Ok((Tap::default(), None));
    }
    let now = clock.now();
    let limit = u64::from(settings.input_log_mib) << 20;
    let mut inputs = InputLog::begin(log, now, &config.text, limit)?;
    inputs.append(now, &journal::inputs_begin(config, mode, sources))?;
    let (tap, tapped) = Tap::new();
    Ok((tap, Some(InputsWriter::start(tapped, inputs)?)))
}

impl Hot {
    fn start(
        self,
        layout: &Layout,
        settings: &RunConfig,
        clock: &LiveClock,
    ) -> Result<(Threads, Vec<Watched>, Stops), LiveError> {
        let late = real(settings.engine_late);
        let mut watched = Vec::new();
        let mut runner = |name, place| -> (RunnerSettings, Arc<Pulse>, StatsPort) {
            let pulse = Arc::new(Pulse::default());
            let (port, reader) = stats();
            watched.push(Watched { name, pulse: Arc::clone(&pulse), stats: reader });
            (RunnerSettings { name, place, late }, pulse, port)
        };
        // What was started is stopped again when the next does not start.
        let stops = StopOnDrop(self.stops);
        let (settings, pulse, port) = runner("execution", layout.execution);
        let execution = spawn(self.execution, settings, clock.clone(), pulse, port)?;
        let threads = match layout.engine {
            Some(place) => {
                let (ticks_in, ticks) = ring(TICKS);
                let (sources_in, sources) = ring(SOURCES);
                let wires = TickWires { ticks, sources };
                let stop = Arc::clone(&stops.0.engine);
                let engine = EngineAgent::new(self.desk, wires, self.sources, stop);
                let (settings, pulse, port) = runner("engine", place);
                let engine = spawn(engine, settings, clock.clone(), pulse, port)?;
                let backlog = Conflator::new(self.instruments, self.sources);
                let sink = RingSink::new(ticks_in, sources_in, backlog, self.feed_view);
                let feed = FeedAgent::new(self.feed, sink, Arc::clone(&stops.0.feed));
                let (settings, pulse, port) = runner("feed", layout.feed);
                let feed = spawn(feed, settings, clock.clone(), pulse, port)?;
                Threads::Split { feed, engine, execution }
            }
            None => {
                let fused = FusedAgent::new(self.feed, self.desk, Arc::clone(&stops.0.feed));
                let (settings, pulse, port) = runner("feed + engine", layout.feed);
                let fused = spawn(fused, settings, clock.clone(), pulse, port)?;
                Threads::Fused { fused, execution }
            }
        };
        Ok((threads, watched, stops.keep()))
    }
}

/// Ends threads that were started when others cannot be.
struct StopOnDrop(Stops);

impl StopOnDrop {
    fn keep(mut self) -> Stops {
        std::mem::take(&mut self.0)
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        let Stops { feed, engine, execution } = &self.0;
        for stop in [feed, engine, execution] {
            stop.store(true, Ordering::Release);
        }
    }
}
