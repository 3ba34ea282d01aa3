//! The way of a tick on one thread in the market's own time: raw message, codec, engine, executor,
//! simulated venue, and back.
//!
//! Nothing here decides. Between two messages everything that is due earlier runs in the order of
//! its time: the venues' answers first, then the executor's timers, then the engine's. That order
//! is all that a replay needs to be the same at every run, speed and machine.

mod followed;
mod funding;
mod operator;
mod reads;
mod stages;
mod tasks;

use std::collections::VecDeque;

use reap_core::GateCounters;
use reap_core::engine::{Engine, EngineLimits};
use reap_core::entry::{ENTRY_LEGS_MAX, TaskId};
use reap_core::event::{Event, SourceChange, TradingState};
use reap_core::executor::{Executor, ExecutorLimits};
use reap_core::hash::RunningHash;
use reap_core::instrument::{Instrument, InstrumentId, InstrumentSpec, SourceId, VenueId};
use reap_core::limits::SOURCES_MAX;
use reap_core::order::{Order, OrderChange, OrderEvent};
use reap_core::plan::PlanView;
use reap_core::position::PositionId;
use reap_core::pricing::{Quotes, Top};
use reap_core::task::TaskView;
use reap_core::tick::{Quote, Tick, TickBody, TickKind};
use reap_core::units::Nanos;
use reap_feed::decoded::{Counts, Decoded};
use reap_feed::symbols::{Symbol, Symbols};
use reap_feed::venues::MarketCodec;

use self::followed::Followed;
use self::reads::Reads;
pub use self::reads::{READ_EVERY, wants_reads};
pub use self::stages::{Stage, Stages, span};
use crate::clock::Clock;
use crate::config::{Config, Opened, TimedInput};
use crate::funding::Funding;
use crate::report::{Driver, VenueBook};
use crate::sim::Matching;
pub use crate::story::Happening;
use crate::story::{Note, Spent, Standing, Story, Watcher};

/// Why a pipeline could not be built.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// More sources than an engine tells apart.
    #[error("{0} recordings: at most {SOURCES_MAX} at once; leave some out or join them")]
    Sources(usize),
    /// The configuration's symbols do not fit the codec's table.
    #[error("{0}")]
    Symbols(String),
    /// The configuration does not fit the engine.
    #[error("{0}")]
    Refused(String),
}

/// One source of messages: a recording or a generated market, with the codec of its venue.
struct Source {
    codec: Box<dyn MarketCodec>,
    counts: Counts,
}

/// The latest-quote table, as the executor reads it: on one thread the engine's own quotes serve.
struct Believed<'e>(&'e Engine);

impl Quotes for Believed<'_> {
    fn top(&self, instrument: InstrumentId) -> Option<Top> {
        self.0.quote(instrument).map(|(quote, received)| Top { quote, received })
    }
}

/// The whole way of a tick. See the module.
pub struct Pipeline {
    story: Story,
    sources: Vec<Source>,
    engine: Followed,
    executor: Executor,
    venues: Vec<Matching>,
    /// Whether each instrument has had a quote.
    quoted: Vec<bool>,
    /// Positions that wait for a time or a quote.
    waiting: Vec<usize>,
    /// Openings up to here have been looked at.
    opened_until: Nanos,
    /// What happens beside the market, by time; what is to come.
    inputs: VecDeque<(Nanos, TimedInput)>,
    started: bool,
    reads: Reads,
    funding: Vec<Funding>,
    now: Nanos,
    quotes: u64,
    clock: Clock,
    stages: Stages,
    ticks: Vec<Tick>,
}

impl Pipeline {
    /// A pipeline for a configuration, with one source per entry of `sources`.
    ///
    /// # Errors
    /// When there are too many sources, or a table is too small for the configuration.
    pub fn new(config: Config, sources: &[VenueId]) -> Result<Self, PipelineError> {
        if sources.len() > SOURCES_MAX {
            return Err(PipelineError::Sources(sources.len()));
        }
        let story = Story::new(config);
        let (config, instruments) = (story.config(), story.instruments());
        let count = config.positions.len();
        let engine = engine(config, instruments, sources.len())?;
        // No venue is asked anything here: its budget bounds runs, not what is decided again.
        let executor = Executor::new(executor_limits(config), instruments, 1);
        let venues = venues(config);
        let mut codecs = Vec::new();
        for &venue in sources {
            codecs.push(Source { codec: codec(config, venue)?, counts: Counts::default() });
        }
        Ok(Self {
            quoted: vec![false; instruments.len()],
            waiting: (0..count).collect(),
            opened_until: Nanos(0),
            inputs: VecDeque::new(),
            started: false,
            reads: Reads::default(),
            funding: vec![Funding::default(); instruments.len()],
            now: Nanos(0),
            quotes: 0,
            clock: Clock::start(),
            stages: Stages::default(),
            ticks: Vec::with_capacity(64),
            sources: codecs,
            engine: Followed::new(engine),
            executor,
            venues,
            story,
        })
    }

    /// Lets a second engine follow, which finds near misses and must decide the same. Before the
    /// first message.
    ///
    /// # Errors
    /// When the configuration does not fit it, as [`Self::new`].
    ///
    /// # Panics
    /// When something has happened already.
    pub fn follow(&mut self) -> Result<(), PipelineError> {
        assert!(!self.started, "a follower begins at the beginning");
        let (config, instruments) = (self.story.config(), self.story.instruments());
        self.engine.follow(engine(config, instruments, self.sources.len())?);
        Ok(())
    }

    /// Whether the engine that follows has decided as the one that decides; `None` without one.
    #[must_use]
    pub fn follower_agrees(&self) -> Option<bool> {
        let follower = self.engine.follower()?;
        Some(follower.parted().is_none() && follower.hash() == self.engine.hash())
    }

    /// One raw message of a source, received at `at`. Messages come in the order of their time.
    pub fn on_message(
        &mut self,
        at: Nanos,
        source: usize,
        raw: &[u8],
        watch: Watcher<'_>,
    ) -> Decoded {
        self.start(at);
        self.run_until(at, watch);
        self.now = self.now.max(at);
        let received = self.clock.nanos();
        let mut ticks = std::mem::take(&mut self.ticks);
        let of = &mut self.sources[source];
        let id = SourceId(source as u8);
        let decoded = of.codec.decode(raw, at, id, &mut |tick| ticks.push(tick));
        of.counts.record(decoded);
        let decoded_at = self.clock.nanos();
        let before = self.engine.counters().intents;
        for tick in ticks.drain(..) {
            self.on_tick(&tick, watch);
        }
        let decided = self.clock.nanos();
        self.ticks = ticks;
        let decode = decoded_at.saturating_sub(received);
        let decide = decided.saturating_sub(decoded_at);
        self.stages.record(Stage::Decode, decode);
        self.stages.record(Stage::Decide, decide);
        for intent in before + 1..=self.engine.counters().intents {
            self.story.on_spent(Spent { intent, decode, decide });
        }
        decoded
    }

    fn on_tick(&mut self, tick: &Tick, watch: Watcher<'_>) {
        if let TickBody::Quote(quote) = tick.body() {
            self.quotes += 1;
            let venue = self.story.instrument(tick.instrument()).spec().venue;
            self.venues[usize::from(venue.0)].on_quote(self.now, tick.instrument(), quote);
        }
        self.engine.on_event(self.now, &Event::Tick(*tick));
        self.pump(watch);
        let funding = self.funding.get_mut(usize::from(tick.instrument().0));
        if let Some(settlement) = funding.and_then(|funding| funding.on_tick(tick)) {
            self.settle_funding(tick.instrument(), settlement, watch);
        }
        if tick.kind() == TickKind::Quote {
            let quoted = &mut self.quoted[usize::from(tick.instrument().0)];
            if !*quoted && self.engine.quote(tick.instrument()).is_some() {
                *quoted = true;
                self.open_ready(watch);
            }
        }
    }

    /// A source's connection was made, or made again, at `at`.
    pub fn on_connected(&mut self, at: Nanos, source: usize, watch: Watcher<'_>) {
        self.run_until(at, watch);
        self.now = self.now.max(at);
        self.sources[source].codec.reset();
        let change = Event::Source(SourceId(source as u8), SourceChange::Connected);
        self.engine.on_event(self.now, &change);
        self.pump(watch);
    }

    /// Runs everything that is due before `at`.
    pub fn run_until(&mut self, at: Nanos, watch: Watcher<'_>) {
        while let Some(due) = self.next_due().filter(|due| *due < at) {
            self.now = self.now.max(due);
            self.run_due(watch);
        }
    }

    /// After the last message: lets the plans that are live end, at most until `until`. Nothing else
    /// is waited for: nobody has recorded the market that it would meet.
    pub fn settle(&mut self, until: Nanos, watch: Watcher<'_>) {
        while self.story.is_closing() || self.engine.is_entering() {
            let Some(due) = self.next_due().filter(|due| *due < until) else { return };
            self.now = self.now.max(due);
            self.run_due(watch);
        }
    }

    /// When something happens next without a further message.
    fn next_due(&self) -> Option<Nanos> {
        let venues = self.venues.iter().filter_map(Matching::next_due);
        let openings =
            self.waiting.iter().filter_map(|&at| match self.story.config().positions[at].opened {
                // At the very time of a message as well, whichever comes first.
                Opened::At(at) if at > self.opened_until => Some(at),
                _ => None,
            });
        let input = self.inputs.front().map(|(due, _)| *due);
        let reads = self.reads.next_due();
        let timers = [self.executor.next_timer(), self.engine.next_timer(), input, reads];
        venues.chain(openings).chain(timers.into_iter().flatten()).min()
    }

    fn run_due(&mut self, watch: Watcher<'_>) {
        let now = self.now;
        for venue in 0..self.venues.len() {
            while let Some(event) = self.venues[venue].poll_event(now) {
                self.on_answer(&event, watch);
            }
        }
        if self.executor.next_timer().is_some_and(|due| due <= now) {
            self.executor.on_timer(now, &Believed(&self.engine));
            self.pump(watch);
        }
        if self.engine.next_timer().is_some_and(|due| due <= now) {
            self.engine.on_event(now, &Event::Timer);
            self.pump(watch);
        }
        while self.inputs.front().is_some_and(|(due, _)| *due <= now) {
            if let Some((_, input)) = self.inputs.pop_front() {
                self.on_input(&input, watch);
            }
        }
        self.open_ready(watch);
        self.read_due(watch);
    }

    fn on_answer(&mut self, event: &OrderEvent, watch: Watcher<'_>) {
        if let Some(order) = self.story.order(event.id) {
            let waited = self.now.since(order.sent_at).0;
            match event.what {
                OrderChange::Acked => self.stages.record(Stage::Ack, waited),
                OrderChange::Filled { .. } => self.stages.record(Stage::Fill, waited),
                OrderChange::Expired
                | OrderChange::Rejected(_)
                | OrderChange::Doubted
                | OrderChange::NotFound => {}
            }
        }
        self.story.on_note(self.now, &Note::Answer(*event), watch);
        self.executor.on_order_event(self.now, event, &Believed(&self.engine));
        self.pump(watch);
    }

    /// Carries intents, orders and reports between the parts until all are quiet.
    fn pump(&mut self, watch: Watcher<'_>) {
        self.tell(watch);
        let stopped = self.engine.trading_state() == TradingState::Stopped;
        self.executor.on_stopped(self.now, stopped, &Believed(&self.engine));
        loop {
            while let Some(order) = self.executor.poll_order() {
                self.send(order, watch);
            }
            // Nothing is ever lost between here and the simulated venues: answers are on their way.
            while self.executor.poll_ask().is_some() {}
            self.tell(watch);
            while let Some(miss) = self.engine.poll_near_miss() {
                self.story.on_note(self.now, &Note::NearMiss(miss), watch);
            }
            if let Some(intent) = self.engine.poll_intent() {
                self.story.on_note(self.now, &Note::Intent(intent), watch);
                self.executor.on_intent(self.now, &intent, &Believed(&self.engine));
            } else if let Some(entry) = self.engine.poll_entry() {
                self.executor.on_entry(self.now, &entry, &Believed(&self.engine));
            } else if let Some(report) = self.executor.poll_report() {
                self.engine.on_event(self.now, &Event::Report(report));
                let note = Note::of_report(report, &self.executor);
                self.story.on_note(self.now, &note, watch);
            } else {
                return;
            }
        }
    }

    /// What the engine has said of the last event: of a position after the position itself.
    fn tell(&mut self, watch: Watcher<'_>) {
        while let Some(entered) = self.engine.poll_entered() {
            self.on_entered(entered, watch);
        }
        while let Some(note) = self.executor.poll_note() {
            self.story.on_note(self.now, &Note::Executor(note), watch);
        }
        while let Some(note) = self.engine.poll_note() {
            self.story.on_note(self.now, &Note::Engine(note), watch);
        }
    }

    fn send(&mut self, order: Order, watch: Watcher<'_>) {
        self.story.on_note(self.now, &Note::Sent(order), watch);
        let venue = self.story.instrument(order.instrument).spec().venue;
        self.venues[usize::from(venue.0)].on_order(self.now, order);
    }

    /// What has happened so far.
    #[must_use]
    pub const fn story(&self) -> &Story {
        &self.story
    }

    /// Where each configured position stands.
    #[must_use]
    pub fn standings(&self) -> &[Standing] {
        self.story.standings()
    }

    /// Quotes that reached the engine.
    #[must_use]
    pub const fn quotes(&self) -> u64 {
        self.quotes
    }

    /// The market's time.
    #[must_use]
    pub const fn now(&self) -> Nanos {
        self.now
    }

    /// One number for everything that engine and executor decided, in order.
    #[must_use]
    pub fn decision_hash(&self) -> u64 {
        let mut hash = RunningHash::new();
        hash.fold(self.engine.hash());
        hash.fold(self.executor.hash());
        hash.value()
    }

    /// The engine's hash over its intents, and the executor's over its orders.
    #[must_use]
    pub fn hashes(&self) -> [u64; 2] {
        [self.engine.hash(), self.executor.hash()]
    }
}

impl Driver for Pipeline {
    fn quote(&self, instrument: InstrumentId) -> Option<Quote> {
        self.engine.quote(instrument).map(|(quote, _)| quote)
    }

    fn plan(&self, id: PositionId) -> Option<PlanView> {
        self.executor.plan(id)
    }

    fn books(&self) -> Vec<VenueBook> {
        let book = |venue: &Matching| {
            let counts = venue.counts();
            VenueBook {
                orders: counts.orders,
                fills: counts.fills,
                expired: counts.expired,
                rejected: counts.rejected.iter().sum(),
                holdings: venue.positions().collect(),
            }
        };
        self.venues.iter().map(book).collect()
    }

    fn tasks(&self) -> Vec<TaskView> {
        let ids = (0..self.story.config().tasks.len()).map(|at| TaskId(at as u16));
        ids.filter_map(|id| self.engine.task(id)).collect()
    }

    fn counts(&self) -> Counts {
        let mut sum = Counts::default();
        self.sources.iter().for_each(|source| sum.add(&source.counts));
        sum
    }

    fn gates(&self) -> GateCounters {
        *self.engine.gate_counters()
    }

    fn stages(&self) -> &Stages {
        &self.stages
    }
}

/// An engine with a configuration's policies and room for its positions.
///
/// # Errors
/// When a policy is refused.
pub fn engine(
    config: &Config,
    instruments: &[Instrument],
    sources: usize,
) -> Result<Engine, PipelineError> {
    engine_from(engine_limits(config), config, instruments, sources)
}

/// As [`engine`], with room as it is said.
///
/// # Errors
/// When the configuration does not fit.
pub fn engine_from(
    limits: EngineLimits,
    config: &Config,
    instruments: &[Instrument],
    sources: usize,
) -> Result<Engine, PipelineError> {
    let mut engine = Engine::new(limits, instruments, sources, config.gates);
    for named in &config.policies {
        let added = engine.add_policy(named.policy.clone());
        added.map_err(|error| PipelineError::Refused(error.to_string()))?;
    }
    if let Some(portfolio) = &config.portfolio {
        let set = engine.set_portfolio(portfolio.clone());
        set.map_err(|error| PipelineError::Refused(error.to_string()))?;
    }
    for task in &config.tasks {
        let added = engine.add_task(task.spec.clone());
        added.map_err(|error| PipelineError::Refused(format!("task {}: {error}", task.name)))?;
    }
    Ok(engine)
}

/// Room for a configuration's policies and positions, and for what these need of every table.
#[must_use]
pub fn engine_limits(config: &Config) -> EngineLimits {
    let mut limits = EngineLimits { policies: config.policies.len(), ..EngineLimits::NONE };
    for position in &config.positions {
        let policies = config.policies_from(position.policy).map(|named| &named.policy);
        limits.add_any(policies, position.legs.len(), 1);
    }
    for task in &config.tasks {
        let policies = config.policies_from(task.spec.policy).map(|named| &named.policy);
        limits.add_any(policies, 2, 1);
    }
    if config.portfolio.as_ref().is_some_and(|portfolio| portfolio.health.is_some()) {
        limits.add_health();
    }
    limits
}

/// The executor of a configuration, with the budgets of its venues.
///
/// # Panics
/// Never: budgets are checked where they are read.
#[must_use]
pub fn executor(config: &Config, instruments: &[Instrument], epoch: u16) -> Executor {
    let mut executor = Executor::new(executor_limits(config), instruments, epoch);
    set_budgets(config, instruments, &mut executor);
    executor
}

/// What a configuration's venues take.
///
/// # Panics
/// Never: budgets are checked where they are read.
pub fn set_budgets(config: &Config, instruments: &[Instrument], executor: &mut Executor) {
    let last = instruments.iter().map(|of| of.spec().venue).max();
    for (at, venue) in config.venues.iter().enumerate() {
        let id = VenueId(at as u8);
        // Of venues without instruments it knows nothing.
        if Some(id) <= last {
            executor.set_budget(id, venue.budget).expect("checked where it was read");
        }
    }
}

/// Room for a configuration's positions and one order of each of their legs.
#[must_use]
pub fn executor_limits(config: &Config) -> ExecutorLimits {
    let legs: usize = config.positions.iter().map(|position| position.legs.len()).sum();
    let positions = config.positions.len() + config.tasks.len();
    let legs = legs + ENTRY_LEGS_MAX * config.tasks.len();
    ExecutorLimits { positions: positions.max(1), orders: legs.max(1) }
}

/// A matching core for each configured venue.
#[must_use]
pub fn venues(config: &Config) -> Vec<Matching> {
    let mut venues: Vec<Matching> =
        config.venues.iter().map(|venue| Matching::new(venue.latency)).collect();
    for (at, named) in config.instruments.iter().enumerate() {
        let venue = usize::from(named.instrument.spec().venue.0);
        let spot = config.venues[venue].kind.spot;
        venues[venue].list(InstrumentId(at as u16), named.instrument, spot);
    }
    venues
}

/// The codec of a venue, with the configuration's symbols of that venue.
///
/// # Errors
/// When the symbols do not fit its table.
pub fn codec(config: &Config, venue: VenueId) -> Result<Box<dyn MarketCodec>, PipelineError> {
    let kind = config.venues[usize::from(venue.0)].kind;
    let listed = config.instruments.iter().enumerate();
    let listed = listed.filter(|(_, named)| named.instrument.spec().venue == venue);
    let symbols = Symbols::new(listed.map(|(at, named)| {
        let InstrumentSpec { price_scale, qty_scale, .. } = *named.spec();
        let instrument = InstrumentId(at as u16);
        (named.symbol.as_str(), Symbol { instrument, price_scale, qty_scale })
    }));
    let symbols = symbols.map_err(|error| PipelineError::Symbols(error.to_string()))?;
    Ok((kind.market)(symbols))
}
