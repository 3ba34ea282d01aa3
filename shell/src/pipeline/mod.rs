//! The way of a tick on one thread in the market's own time: raw message, codec, engine, executor,
//! simulated venue, and back.
//!
//! Nothing here decides. Between two messages everything that is due earlier runs in the order of
//! its time: the venues' answers first, then the executor's timers, then the engine's. That order
//! is all that a replay needs to be the same at every run, speed and machine.

mod funding;
mod operator;
mod record;
mod stages;

use std::collections::{HashMap, VecDeque};

use reap_core::engine::{Engine, EngineLimits};
use reap_core::event::{Event, Outcome, Report, SourceChange};
use reap_core::executor::{Executor, ExecutorLimits};
use reap_core::hash::RunningHash;
use reap_core::instrument::{Instrument, InstrumentId, InstrumentSpec, SourceId, VenueId};
use reap_core::intent::Intent;
use reap_core::limits::{LEGS_MAX, SOURCES_MAX};
use reap_core::order::{Order, OrderChange, OrderEvent};
use reap_core::position::{PositionId, PositionSpec, Side};
use reap_core::pricing::{Quotes, Top};
use reap_core::tick::{Tick, TickBody, TickKind};
use reap_core::units::{Decimal, Nanos, Price, Qty};
use reap_feed::decoded::{Counts, Decoded};
use reap_feed::symbols::{Symbol, Symbols};
use reap_feed::venues::MarketCodec;

use self::funding::Funding;
pub use self::record::{FillRecord, OrderRecord, PlanRecord, Standing};
pub use self::stages::{Stage, Stages};
use crate::clock::Clock;
use crate::config::{CloseConfig, Config, Opened};
use crate::sim::Matching;

/// What happens, for those who watch.
#[derive(Clone, Copy, Debug)]
pub enum Happening<'p> {
    /// A position is watched from now on.
    Opened(&'p PositionSpec),
    /// A position was refused at registration.
    Refused(&'p str),
    /// The engine decided.
    Intent(&'p Intent),
    /// An order leaves.
    Sent(&'p Order),
    /// A venue answers.
    Answered(&'p Order, OrderChange),
    /// A plan has ended.
    Ended(Outcome, &'p PlanRecord),
}

/// Watches a pipeline: time, index of the configured position, what happens.
pub type Watcher<'w> = &'w mut dyn FnMut(Nanos, usize, Happening<'_>);

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
    config: Config,
    instruments: Vec<Instrument>,
    sources: Vec<Source>,
    engine: Engine,
    executor: Executor,
    venues: Vec<Matching>,
    /// Whether each instrument has had a quote.
    quoted: Vec<bool>,
    standings: Vec<Standing>,
    /// Positions that wait for a time or a quote.
    waiting: Vec<usize>,
    /// What an operator closes, by time; those to come.
    closes: VecDeque<(Nanos, CloseConfig)>,
    started: bool,
    funding: Vec<Funding>,
    by_id: HashMap<PositionId, usize>,
    plans: Vec<PlanRecord>,
    /// The live plan of each configured position.
    live: Vec<Option<usize>>,
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
        let instruments: Vec<Instrument> =
            config.instruments.iter().map(|named| named.instrument).collect();
        let count = config.positions.len();
        let legs: usize = config.positions.iter().map(|position| position.legs.len()).sum();
        let limits = EngineLimits {
            positions: count.max(1),
            policies: config.policies.len().max(1),
            triggers: (count * reap_core::limits::TRIGGERS_MAX).max(1),
        };
        let mut engine = Engine::new(limits, &instruments, sources.len(), config.gates);
        for named in &config.policies {
            let added = engine.add_policy(named.policy.clone());
            added.map_err(|error| PipelineError::Refused(error.to_string()))?;
        }
        let limits = ExecutorLimits { positions: count.max(1), orders: legs.max(1) };
        let executor = Executor::new(limits, &instruments, 1);
        let venues = venues(&config);
        let mut codecs = Vec::new();
        for &venue in sources {
            codecs.push(Source { codec: codec(&config, venue)?, counts: Counts::default() });
        }
        let standing = Standing {
            spec: None,
            id: None,
            refused: None,
            closed: false,
            open: [Qty::ZERO; LEGS_MAX],
            funding: [0; LEGS_MAX],
            unearned: 0,
            missed: 0,
        };
        Ok(Self {
            quoted: vec![false; instruments.len()],
            standings: vec![standing; count],
            waiting: (0..count).collect(),
            closes: VecDeque::new(),
            started: false,
            funding: vec![Funding::default(); instruments.len()],
            by_id: HashMap::new(),
            plans: Vec::new(),
            live: vec![None; count],
            now: Nanos(0),
            quotes: 0,
            clock: Clock::start(),
            stages: Stages::default(),
            ticks: Vec::with_capacity(64),
            config,
            instruments,
            sources: codecs,
            engine,
            executor,
            venues,
        })
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
        for tick in ticks.drain(..) {
            self.on_tick(&tick, watch);
        }
        let decided = self.clock.nanos();
        self.ticks = ticks;
        self.stages.record(Stage::Decode, decoded_at.saturating_sub(received));
        self.stages.record(Stage::Decide, decided.saturating_sub(decoded_at));
        decoded
    }

    fn on_tick(&mut self, tick: &Tick, watch: Watcher<'_>) {
        if let TickBody::Quote(quote) = tick.body() {
            self.quotes += 1;
            let venue = self.instrument(tick.instrument()).spec().venue;
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
        while self.live.iter().any(Option::is_some) {
            let Some(due) = self.next_due().filter(|due| *due < until) else { return };
            self.now = self.now.max(due);
            self.run_due(watch);
        }
    }

    /// When something happens next without a further message.
    fn next_due(&self) -> Option<Nanos> {
        let venues = self.venues.iter().filter_map(Matching::next_due);
        let openings =
            self.waiting.iter().filter_map(|&at| match self.config.positions[at].opened {
                Opened::At(at) if at > self.now => Some(at),
                _ => None,
            });
        let close = self.closes.front().map(|(due, _)| *due);
        let timers = [self.executor.next_timer(), self.engine.next_timer(), close];
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
        while self.closes.front().is_some_and(|(due, _)| *due <= now) {
            if let Some((_, close)) = self.closes.pop_front() {
                self.on_close(&close, watch);
            }
        }
        self.open_ready(watch);
    }

    fn on_answer(&mut self, event: &OrderEvent, watch: Watcher<'_>) {
        if let Some(&at) = self.by_id.get(&event.id.position)
            && let Some(plan) = self.live[at]
            && let Some(order) = self.plans[plan].order_mut(event.id)
        {
            let waited = self.now.since(order.sent_at).0;
            match event.what {
                OrderChange::Acked => self.stages.record(Stage::Ack, waited),
                OrderChange::Filled { .. } => self.stages.record(Stage::Fill, waited),
                OrderChange::Expired | OrderChange::Rejected(_) => {}
            }
            order.said.push((self.now, event.what));
            watch(self.now, at, Happening::Answered(&order.order, event.what));
        }
        self.executor.on_order_event(self.now, event, &Believed(&self.engine));
        self.pump(watch);
    }

    /// Carries intents, orders and reports between the parts until all are quiet.
    fn pump(&mut self, watch: Watcher<'_>) {
        loop {
            while let Some(order) = self.executor.poll_order() {
                self.send(order, watch);
            }
            if let Some(intent) = self.engine.poll_intent() {
                self.note_intent(&intent, watch);
                self.executor.on_intent(self.now, &intent, &Believed(&self.engine));
            } else if let Some(report) = self.executor.poll_report() {
                self.engine.on_event(self.now, &Event::Report(report));
                self.note_report(&report, watch);
            } else {
                return;
            }
        }
    }

    fn send(&mut self, order: Order, watch: Watcher<'_>) {
        if let Some(&at) = self.by_id.get(&order.id.position) {
            if let Some(plan) = self.live[at] {
                self.plans[plan].orders.push(OrderRecord {
                    order,
                    leg: usize::from(order.id.leg),
                    sent_at: self.now,
                    said: Vec::new(),
                });
            }
            watch(self.now, at, Happening::Sent(&order));
        }
        let venue = self.instruments[usize::from(order.instrument.0)].spec().venue;
        self.venues[usize::from(venue.0)].on_order(self.now, order);
    }

    fn note_intent(&mut self, intent: &Intent, watch: Watcher<'_>) {
        let Some(&at) = self.by_id.get(&intent.position) else { return };
        match self.live[at] {
            Some(plan) => self.plans[plan].intents.push(*intent),
            None => {
                let scale = self.executor.realised(intent.position).map_or(0, |net| net.scale);
                self.live[at] = Some(self.plans.len());
                self.plans.push(PlanRecord::new(at, *intent, scale));
            }
        }
        watch(self.now, at, Happening::Intent(intent));
    }

    fn note_report(&mut self, report: &Report, watch: Watcher<'_>) {
        match *report {
            Report::Fill { position, leg, price, qty, fee } => {
                let Some(&at) = self.by_id.get(&position) else { return };
                if let Some(open) = self.executor.open(position) {
                    self.standings[at].open = open;
                }
                if let Some(plan) = self.live[at] {
                    let leg = usize::from(leg);
                    self.plans[plan].fills.push(FillRecord { leg, at: self.now, price, qty, fee });
                }
            }
            Report::PlanEnded { position, outcome, .. } => {
                let Some(&at) = self.by_id.get(&position) else { return };
                self.standings[at].closed = outcome == Outcome::Closed;
                let Some(plan) = self.live[at].take() else { return };
                let before: i128 = self
                    .plans
                    .iter()
                    .filter(|plan| plan.position == at && plan.ended.is_some())
                    .map(|plan| plan.net.mantissa)
                    .sum();
                let before = before + self.standings[at].unearned;
                let plan = &mut self.plans[plan];
                plan.ended = Some((self.now, outcome));
                if let Some(net) = self.executor.realised(position) {
                    plan.net = Decimal { mantissa: net.mantissa - before, scale: net.scale };
                }
                watch(self.now, at, Happening::Ended(outcome, plan));
                if !plan.is_exit() {
                    // A market that touches a target all day misses all day: count, do not keep.
                    self.standings[at].missed += 1;
                    self.forget_last(at);
                }
            }
        }
    }

    /// Drops a plan without fills when it is the newest record.
    fn forget_last(&mut self, at: usize) {
        if self.plans.last().is_some_and(|plan| plan.position == at && !plan.is_exit()) {
            self.plans.pop();
        }
    }

    /// The configuration.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The instruments, by id.
    #[must_use]
    pub fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    /// Where each configured position stands.
    #[must_use]
    pub fn standings(&self) -> &[Standing] {
        &self.standings
    }

    /// Every plan that is live or has closed something, in the order of their beginning.
    #[must_use]
    pub fn plans(&self) -> &[PlanRecord] {
        &self.plans
    }

    /// The simulated venues, by id.
    #[must_use]
    pub fn venues(&self) -> &[Matching] {
        &self.venues
    }

    /// The decision engine.
    #[must_use]
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The executor.
    #[must_use]
    pub const fn executor(&self) -> &Executor {
        &self.executor
    }

    /// Latency by stage.
    #[must_use]
    pub const fn stages(&self) -> &Stages {
        &self.stages
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

    /// What became of the messages of all sources.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut sum = Counts::default();
        self.sources.iter().for_each(|source| sum.add(&source.counts));
        sum
    }

    /// One number for everything that engine and executor decided, in order.
    #[must_use]
    pub fn decision_hash(&self) -> u64 {
        let mut hash = RunningHash::new();
        hash.fold(self.engine.hash());
        hash.fold(self.executor.hash());
        hash.value()
    }

    /// Net of what is still open of a position at the latest quotes, before exit fees; `None`
    /// without a quote of every open leg.
    #[must_use]
    pub fn unrealised(&self, at: usize) -> Option<Decimal> {
        let standing = &self.standings[at];
        let spec = standing.spec.as_ref()?;
        let scale =
            spec.legs.iter().map(|leg| self.instrument(leg.instrument).nano_scale()).max()?;
        let mut mantissa = 0;
        for (leg, open) in spec.legs.iter().zip(standing.open) {
            if open == Qty::ZERO {
                continue;
            }
            let quote = self.engine.quote(leg.instrument)?.0;
            let exit = match leg.side {
                Side::Long => quote.bid,
                Side::Short => quote.ask,
            };
            let instrument = self.instrument(leg.instrument);
            let align = 10i128.pow(u32::from(scale - instrument.nano_scale()));
            let per_unit = instrument.notional_nano(Price::new(1).ok()?, open) * align;
            mantissa += leg.side.sign() * i128::from(exit.raw() - leg.entry.raw()) * per_unit;
        }
        Some(Decimal { mantissa, scale })
    }

    fn instrument(&self, id: InstrumentId) -> &Instrument {
        &self.instruments[usize::from(id.0)]
    }
}

fn venues(config: &Config) -> Vec<Matching> {
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
fn codec(config: &Config, venue: VenueId) -> Result<Box<dyn MarketCodec>, PipelineError> {
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
