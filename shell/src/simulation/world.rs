//! A small desk in virtual time.

use std::collections::BTreeSet;

use reap_core::engine::{Engine, EngineLimits};
use reap_core::event::{Command, Event, GateSettings, Outcome, Report, Which};
use reap_core::executor::{Executor, ExecutorLimits};
use reap_core::instrument::{
    AccountId, ContractKind, CurrencyId, Instrument, InstrumentId, InstrumentSpec, SourceId,
    VenueId,
};
use reap_core::intent::Urgency;
use reap_core::note::ExecutorNote;
use reap_core::order::{Ask, ClientOrderId, OrderChange};
use reap_core::policy::{Distance, Policy, PolicyId, Rule, Threshold, Tier};
use reap_core::position::{LegSpec, PositionId, PositionSpec, PositionState, Side};
use reap_core::pricing::{Quotes, Top};
use reap_core::tick::{Stamp, Tick};
use reap_core::units::{Decimal, Nanos, Price, Qty, Rate};
use reap_core::venues::VenueView;

use super::Trial;
use super::check::{Checker, Violation};
use super::market::Market;
use super::met::{Kind, Met};
use super::venue::{In, Venue, budget};
use crate::sim::Random;

/// Instruments: the first two at one venue, the others at the second; the last is spot.
const INSTRUMENTS: usize = 4;
const VENUES: usize = 2;
const POSITIONS_MAX: usize = 6;
/// Events with faults.
const FAULTY: u64 = 2_000;
/// How long everything may take to be closed once the faults have stopped: an order of unknown fate
/// takes 30 s, two answers and a read.
const CLOSE_WITHIN: Nanos = Nanos::from_secs(180);
/// Rounds between engine and executor without time passing.
const ECHOES_MAX: u32 = 256;

/// The latest quotes.
#[derive(Debug)]
struct Table([Option<Top>; INSTRUMENTS]);

impl Quotes for Table {
    fn top(&self, instrument: InstrumentId) -> Option<Top> {
        self.0[usize::from(instrument.0)]
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct World {
    seed: u64,
    random: Random,
    now: Nanos,
    engine: Engine,
    pub(super) executor: Executor,
    quotes: Table,
    market: Market,
    venues: [Venue; VENUES],
    instruments: Vec<Instrument>,
    positions: Vec<(PositionId, PositionSpec)>,
    ids: BTreeSet<ClientOrderId>,
    checker: Checker,
    /// What the account holds of each instrument that is none of ours.
    foreign: [i64; INSTRUMENTS],
    /// Holdings are being read after something was taken on.
    reading: bool,
    /// An order left before what is held beside its position was known: should its fate become
    /// unknown, people must look, so that its closing is not asked for.
    left_early: bool,
    update_id: u64,
    events: u64,
    met: Met,
    story: Option<Vec<String>>,
}

fn instrument(at: usize) -> InstrumentSpec {
    let spot = at == INSTRUMENTS - 1;
    let coarse = at == 1;
    InstrumentSpec {
        venue: VenueId(venue_of(at) as u8),
        currency: CurrencyId(0),
        contract: ContractKind::Linear,
        price_scale: 0,
        qty_scale: 0,
        multiplier: Decimal { mantissa: 1, scale: 0 },
        tick: if coarse { 50 } else { 10 },
        lot: if coarse { 10 } else { 1 },
        min_qty: if coarse { 20 } else { 1 },
        min_notional: Decimal { mantissa: if spot { 500_000 } else { 0 }, scale: 0 },
        taker: Rate::from_bps(5),
        maker: Rate::from_bps(2),
        min_fee: Decimal { mantissa: 0, scale: 0 },
        max_quote_age: Nanos::from_secs(5),
        jump_limit: Rate::from_bps(500),
        jump_ticks: 5,
        reduce_only: !spot,
        min_notional_on_reduce: false,
        peer: None,
    }
}

/// One side of an instrument, so that no account holds both. Spot is long.
const fn side_of(instrument: usize) -> Side {
    if instrument < 2 { Side::Short } else { Side::Long }
}

const fn venue_of(instrument: usize) -> usize {
    instrument / 2
}

fn policies() -> [Policy; 4] {
    let profit = |bps| Threshold::Rate { rate: Rate::from_bps(bps), base: None };
    let tier =
        |bps, percent: i64| Tier { at: Rate::from_bps(bps), share: Rate::from_bps(percent * 100) };
    [
        Policy::of([
            Rule::TakeProfit { threshold: profit(40) },
            Rule::StopLoss { distance: Rate::from_bps(60), base: None },
        ]),
        Policy::of([
            Rule::Tiers {
                base: None,
                tiers: [tier(10, 30), tier(40, 60), tier(90, 100)].into_iter().collect(),
            },
            Rule::StopLoss { distance: Rate::from_bps(150), base: None },
        ]),
        Policy::of([
            Rule::TrailingStop {
                distance: Distance::Rate(Rate::from_bps(80)),
                activation: None,
                base: None,
            },
            Rule::TakeProfit { threshold: profit(300) },
        ]),
        Policy::of([
            Rule::TakeProfit { threshold: profit(100) },
            Rule::Deadline {
                max_age: Some(Nanos::from_secs(20)),
                at: None,
                session_close: None,
                close_before: Nanos(0),
            },
        ]),
    ]
}

impl World {
    pub(super) fn new(seed: u64, tells: bool) -> Self {
        let mut random = Random::new(seed);
        let instruments: Vec<Instrument> = (0..INSTRUMENTS)
            .map(|at| Instrument::new(instrument(at)).expect("within every bound"))
            .collect();
        let limits = EngineLimits::any(POSITIONS_MAX, policies().len(), 8 * POSITIONS_MAX);
        let mut engine = Engine::new(limits, &instruments, 1, GateSettings::default());
        for policy in policies() {
            engine.add_policy(policy).expect("a policy of the trial");
        }
        let limits = ExecutorLimits { positions: POSITIONS_MAX, orders: 2 * POSITIONS_MAX };
        let now = Nanos::from_secs(1_000_000);
        let ticks = instruments.iter().map(|one| one.spec().tick);
        let market = Market::new(&mut random, now, &ticks.collect::<Vec<_>>());
        let mut foreign = [0; INSTRUMENTS];
        for (at, foreign) in foreign.iter_mut().enumerate() {
            if random.below(3) == 0 {
                *foreign = side_of(at).sign() as i64 * 10 * random.below(40) as i64;
            }
        }
        let mut venues: [Venue; VENUES] = std::array::from_fn(|venue| {
            let listed = instruments.iter().enumerate().filter(|(at, _)| venue_of(*at) == venue);
            let listed =
                listed.map(|(at, one)| (InstrumentId(at as u16), *one, !one.spec().reduce_only));
            Venue::new(&mut random, &listed.collect::<Vec<_>>())
        });
        for (at, &qty) in foreign.iter().enumerate() {
            venues[venue_of(at)].deposit(AccountId(0), InstrumentId(at as u16), qty);
        }
        let mut executor = Executor::new(limits, &instruments, 1);
        let mut checker = Checker::default();
        for venue in 0..VENUES {
            if let Some(budget) = budget(&mut random) {
                executor.set_budget(VenueId(venue as u8), budget).expect("within its bounds");
                checker.budgets.insert(venue, budget);
            }
        }
        Self {
            seed,
            now,
            engine,
            executor,
            quotes: Table([None; INSTRUMENTS]),
            market,
            venues,
            instruments,
            positions: Vec::new(),
            ids: BTreeSet::new(),
            checker,
            foreign,
            reading: true,
            left_early: false,
            update_id: 0,
            events: 0,
            met: Met::default(),
            story: tells.then(Vec::new),
            random,
        }
    }

    pub(super) fn run(mut self) -> Trial {
        let violation = self.live().err();
        if let Some(violation) = &violation {
            self.tell(|| format!("VIOLATION {violation}"));
        }
        let venues: u64 = self.venues.iter().map(|venue| venue.events).sum();
        Trial {
            seed: self.seed,
            violation,
            events: self.events + venues,
            met: self.met,
            story: self.story.unwrap_or_default(),
        }
    }

    fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            let millis = self.now.0 / 1_000_000 - 1_000_000_000;
            story.push(format!("{:>6}.{:03} {}", millis / 1_000, millis % 1_000, line()));
        }
    }

    fn live(&mut self) -> Result<(), Violation> {
        for at in 0..INSTRUMENTS {
            self.quote_all(at)?;
        }
        let positions = 1 + self.random.below(POSITIONS_MAX as u64);
        for _ in 0..positions {
            self.open()?;
        }
        self.know_holdings()?;
        while self.events < FAULTY {
            self.step()?;
            if self.random.below(800) == 0 {
                self.operator()?;
            }
            if self.random.below(100) == 0 {
                self.open_again()?;
            }
            if self.random.below(50) == 0 {
                self.read();
            }
            let at = self.random.below(VENUES as u64) as usize;
            self.venues[at].hang_up(self.now, &mut self.random, &mut self.met);
            self.venues[at].maintain(self.now, &mut self.random, &mut self.met);
        }
        self.tell(|| "the faults stop".into());
        for venue in &mut self.venues {
            venue.heal(self.now);
        }
        if self.random.below(2) == 0 {
            self.plans_end()?;
        }
        self.everything_closes()
    }

    /// Plans end by themselves, whatever their urgency.
    fn plans_end(&mut self) -> Result<(), Violation> {
        let started = |executor: &Executor, id| executor.plan(id).map(|plan| plan.started);
        let mut left: Vec<(PositionId, Nanos)> = Vec::new();
        for (id, _) in &self.positions {
            left.extend(started(&self.executor, *id).map(|at| (*id, at)));
        }
        let until = self.now.plus(CLOSE_WITHIN);
        while self.now < until && !left.is_empty() {
            self.step()?;
            left.retain(|(id, at)| started(&self.executor, *id) == Some(*at));
        }
        match left.first() {
            Some((position, _)) if !self.left_early => Err(self.not_closed(*position)),
            _ => Ok(()),
        }
    }

    /// Everything is to be closed.
    fn everything_closes(&mut self) -> Result<(), Violation> {
        let which = Which::All;
        self.command(Command::Close { which, urgency: Urgency::Critical })?;
        let until = self.now.plus(CLOSE_WITHIN);
        while self.now < until && self.first_open().is_some() {
            self.step()?;
        }
        match self.first_open() {
            Some(position) if !self.left_early => Err(self.not_closed(position)),
            _ => Ok(()),
        }
    }

    fn not_closed(&self, position: PositionId) -> Violation {
        let open = self.executor.open(position).unwrap_or_default();
        Violation::NotClosed { position, open }
    }

    /// The first position that is neither closed nor dust.
    fn first_open(&self) -> Option<PositionId> {
        let over =
            |id| self.is_closed(id) || self.engine.state(id) == Some(PositionState::DustResidual);
        self.positions.iter().map(|(id, _)| *id).find(|id| !over(*id))
    }

    /// Its place may be another's by now.
    fn is_closed(&self, id: PositionId) -> bool {
        self.executor.is_closed(id) || self.executor.open(id).is_none()
    }

    /// A new position takes the place of one that is closed.
    fn open_again(&mut self) -> Result<(), Violation> {
        let closed = |(id, _): &(PositionId, PositionSpec)| self.is_closed(*id);
        let Some(at) = self.positions.iter().position(closed) else { return Ok(()) };
        // What is taken on beside an order in flight leaves nothing to compare with.
        if self.any_live() {
            return Ok(());
        }
        let (_, spec) = self.positions.swap_remove(at);
        self.checker.on_closed(&spec);
        self.reading = true;
        self.open()?;
        self.know_holdings()
    }

    /// A desk knows what is held before it begins: an order that left earlier would have nothing to
    /// be compared with.
    fn know_holdings(&mut self) -> Result<(), Violation> {
        self.reading = true;
        for at in 0..VENUES {
            while let Some(due) = self.venues[at].reads_due() {
                self.now = self.now.max(due);
                while let Some(word) =
                    self.venues[at].poll(self.now, &mut self.random, &mut self.met)
                {
                    self.hear(at, word)?;
                }
            }
        }
        self.reading = false;
        Ok(())
    }

    fn any_live(&self) -> bool {
        let live = |(id, leg)| self.executor.leg(id, leg).is_some_and(|leg| leg.live > Qty::ZERO);
        let legs = |(id, spec): &(PositionId, PositionSpec)| {
            let id = *id;
            (0..spec.legs.len()).map(move |leg| (id, leg))
        };
        self.positions.iter().flat_map(legs).any(live)
    }

    /// What an account holds is asked for without need, as rules have it.
    fn read(&mut self) {
        let at = self.random.below(INSTRUMENTS as u64) as usize;
        let (account, instrument) = (AccountId(0), InstrumentId(at as u16));
        let ask = Ask::Holding { account, instrument };
        self.venues[venue_of(at)].ask(self.now, &ask, &mut self.random, &mut self.met);
    }

    /// A hand closes a position, or everything.
    fn operator(&mut self) -> Result<(), Violation> {
        self.met.note(Kind::OperatorCloses);
        let at = self.random.below(self.positions.len() as u64) as usize;
        let urgency = [Urgency::Normal, Urgency::Protective, Urgency::Critical]
            [self.random.below(3) as usize];
        let which = Which::Position(self.positions[at].0);
        self.command(Command::Close { which, urgency })
    }

    fn command(&mut self, command: Command) -> Result<(), Violation> {
        self.tell(|| format!("command {command:?}"));
        self.events += 1;
        self.engine.on_event(self.now, &Event::Command(command));
        self.pump()
    }

    /// The next thing that happens.
    fn step(&mut self) -> Result<(), Violation> {
        let timers = [self.engine.next_timer(), self.executor.next_timer()];
        let venues = self.venues.iter().map(Venue::next);
        let due = timers.into_iter().chain(venues).flatten().min();
        let next = due.map_or(self.market.next, |due| due.min(self.market.next));
        self.now = self.now.max(next);
        let due = |at: Option<Nanos>| at.is_some_and(|at| at <= self.now);
        let (engine, executor) = (due(timers[0]), due(timers[1]));
        for at in 0..VENUES {
            while let Some(word) = self.venues[at].poll(self.now, &mut self.random, &mut self.met) {
                self.hear(at, word)?;
            }
        }
        if engine {
            self.events += 1;
            self.engine.on_event(self.now, &Event::Timer);
            self.pump()?;
        }
        if executor {
            self.events += 1;
            self.executor.on_timer(self.now, &self.quotes);
            self.pump()?;
        }
        if self.market.next <= self.now
            && let Some((id, quote)) = self.market.step(self.now, &mut self.random, &mut self.met)
        {
            self.quote(id, quote)?;
        }
        Ok(())
    }

    fn quote_all(&mut self, at: usize) -> Result<(), Violation> {
        let (id, bid) = (InstrumentId(at as u16), self.market.bid(at));
        let tick = self.instruments[at].spec().tick;
        let quote = reap_core::tick::Quote::new(bid, bid + tick, 100, 100);
        self.quote(id, quote.expect("a bid below its ask"))
    }

    fn quote(&mut self, id: InstrumentId, quote: reap_core::tick::Quote) -> Result<(), Violation> {
        self.events += 1;
        self.update_id += 1;
        let at = usize::from(id.0);
        self.quotes.0[at] = Some(Top { quote, received: self.now });
        self.venues[venue_of(at)].show(self.now, id, quote);
        let stamp = Stamp {
            source: SourceId(0),
            received: self.now,
            update_id: self.update_id,
            venue_lag_us: 0,
            reset: false,
        };
        self.engine.on_event(self.now, &Event::Tick(Tick::quote(id, stamp, quote)));
        self.pump()
    }

    /// A position of one leg, or of two at different venues.
    fn open(&mut self) -> Result<(), Violation> {
        let pair = self.random.below(3) == 0;
        let first = self.random.below(INSTRUMENTS as u64) as usize;
        let policy = self.random.below(4) as usize;
        let second = (first + 2) % INSTRUMENTS;
        let legs = [first, second].into_iter().take(1 + usize::from(pair)).map(|at| LegSpec {
            account: AccountId(0),
            instrument: InstrumentId(at as u16),
            side: side_of(at),
            entry: Price::new(self.market.bid(at)).expect("a price"),
            qty: Qty::new(20 * (1 + self.random.below(20) as i64)).expect("a quantity"),
            fees_paid: Decimal { mantissa: 0, scale: 0 },
            funding: Decimal { mantissa: 0, scale: 0 },
            margin: None,
        });
        let spec = PositionSpec {
            policy: PolicyId(policy as u16),
            opened: self.now,
            tag: 0,
            legs: legs.collect(),
        };
        let exit = &policies()[policy].exit;
        let id = self.engine.register(self.now, &spec).expect("there is room");
        self.executor.register(id, &spec, exit).expect("there is room");
        for leg in &spec.legs {
            let qty = match leg.side {
                Side::Long => leg.qty.raw(),
                Side::Short => -leg.qty.raw(),
            };
            let at = venue_of(usize::from(leg.instrument.0));
            self.venues[at].deposit(leg.account, leg.instrument, qty);
        }
        self.checker.on_opened(&spec);
        self.tell(|| format!("opened {id:?}: {:?}", spec.legs));
        self.positions.push((id, spec));
        self.pump()
    }

    fn hear(&mut self, from: usize, word: In) -> Result<(), Violation> {
        self.tell(|| format!("heard {word:?}"));
        self.events += 1;
        match word {
            In::Event(event) => {
                let strays = |executor: &Executor| {
                    let counters = executor.counters();
                    counters.late_events + counters.unknown_orders
                };
                let before = strays(&self.executor);
                self.executor.on_order_event(self.now, &event, &self.quotes);
                let held =
                    |view: &VenueView| usize::from(view.venue.0) == from && view.held.is_some();
                if matches!(event.what, OrderChange::Acked | OrderChange::Expired)
                    && strays(&self.executor) == before
                    && self.executor.venues(self.now).any(|view| held(&view))
                {
                    return Err(Violation::StillHeld { venue: from });
                }
                let of = (event.id.position, usize::from(event.id.leg));
                if !matches!(event.what, OrderChange::Doubted | OrderChange::NotFound) {
                    self.checker.on_evidence(of.0, of.1);
                }
                let leg = self.executor.leg(of.0, of.1);
                if let Some((_, state)) = leg.and_then(|leg| leg.order) {
                    self.met.note_state(state);
                }
            }
            In::Read(read) => self.executor.on_read(self.now, &read, &self.quotes),
            In::Limited(wait) => {
                let venue = VenueId(from as u8);
                self.executor.on_limited(self.now, venue, wait);
                self.checker.on_limited(from, self.now.plus(wait));
            }
        }
        self.pump()
    }

    /// Carries everything between engine, executor and venues until nobody has anything to say.
    fn pump(&mut self) -> Result<(), Violation> {
        let mut echoes = 0;
        loop {
            while let Some(note) = self.executor.poll_note() {
                self.tell(|| format!("note {note:?}"));
                match note {
                    ExecutorNote::Stuck { .. } => self.met.note(Kind::Stuck),
                    ExecutorNote::Proven { inferred: Qty::ZERO, .. } => {
                        self.met.note(Kind::StateDead);
                    }
                    ExecutorNote::Proven { .. } => self.met.note(Kind::Inferred),
                    ExecutorNote::Legging { .. } => self.met.note(Kind::Legging),
                    ExecutorNote::Unhedged { .. } => self.met.note(Kind::Unhedged),
                    ExecutorNote::Hedged { .. } => self.met.note(Kind::Hedged),
                    ExecutorNote::EntryUnhedged { .. } => {}
                    ExecutorNote::VenueHeld { .. } => self.met.note(Kind::Held),
                    ExecutorNote::HalfHeld { .. } => self.met.note(Kind::HalfHeld),
                    ExecutorNote::VenueResumed { .. } => self.met.note(Kind::Resumed),
                    ExecutorNote::VenueLimited { .. } => self.met.note(Kind::Limited),
                }
            }
            while let Some(ask) = self.executor.poll_ask() {
                self.tell(|| format!("asks {ask:?}"));
                let (Ask::Order { instrument, .. }
                | Ask::Holding { instrument, .. }
                | Ask::Forget { instrument, .. }) = ask;
                let at = venue_of(usize::from(instrument.0));
                self.checker.on_ask(self.now, at, &ask)?;
                self.venues[at].ask(self.now, &ask, &mut self.random, &mut self.met);
            }
            while let Some(order) = self.executor.poll_order() {
                self.tell(|| format!("sends {order:?}"));
                self.met.note(Kind::StateSent);
                let (position, leg) = (order.id.position, usize::from(order.id.leg));
                if !self.ids.insert(order.id) {
                    return Err(Violation::IdTwice { position });
                }
                let at = venue_of(usize::from(order.instrument.0));
                let open = self.executor.leg(position, leg).map_or(0, |leg| leg.open.raw());
                if self.venues[at].live_of(order.id) + order.qty.raw() > open {
                    return Err(Violation::TwoOrders { position, leg });
                }
                self.checker.on_sent(self.now, position, leg)?;
                self.checker.on_request(self.now, at)?;
                self.left_early |= self.reading;
                self.venues[at].send(self.now, order, &mut self.random, &mut self.met);
            }
            if let Some(intent) = self.engine.poll_intent() {
                self.tell(|| {
                    let (reason, urgency) = (intent.reason.name(), intent.urgency.name());
                    format!(
                        "intent {:?} {reason} {urgency} keep {:?}",
                        intent.position, intent.keep
                    )
                });
                self.executor.on_intent(self.now, &intent, &self.quotes);
            } else if let Some(report) = self.executor.poll_report() {
                self.tell(|| format!("report {report:?}"));
                if let Report::PlanEnded { outcome, .. } = report {
                    match outcome {
                        Outcome::Missed => self.met.note(Kind::Missed),
                        Outcome::Done => self.met.note(Kind::Done),
                        Outcome::Closed => self.met.note(Kind::Closed),
                        Outcome::Dust => {}
                    }
                }
                self.engine.on_event(self.now, &Event::Report(report));
            } else {
                break;
            }
            while self.engine.poll_note().is_some() {}
            echoes += 1;
            if echoes > ECHOES_MAX {
                return Err(Violation::PingPong);
            }
        }
        while self.engine.poll_note().is_some() {}
        if self.executor.counters().escalated > 0 {
            self.met.note(Kind::Escalated);
        }
        if self.executor.counters().set_aside > 0 {
            self.met.note(Kind::SetAside);
        }
        if self.executor.counters().budget_waits > 0 {
            self.met.note(Kind::BudgetWait);
        }
        self.check()
    }

    fn check(&mut self) -> Result<(), Violation> {
        let (venues, foreign) = (&self.venues, self.foreign);
        let truth = |account, instrument: InstrumentId| {
            let venue = &venues[venue_of(usize::from(instrument.0))];
            let ours = venue.position(account, instrument) - foreign[usize::from(instrument.0)];
            (ours, venue.under_way(account, instrument))
        };
        let positions = self.positions.iter().map(|(id, spec)| (*id, spec));
        self.checker.holdings(&self.executor, positions, truth)?;
        for (id, spec) in &self.positions {
            self.checker.position(&self.executor, *id, spec.legs.len())?;
            self.checker.legs(self.now, &self.executor, *id, spec)?;
            let planned = self.executor.plan(*id).is_some();
            let exiting = self.engine.state(*id) == Some(PositionState::Exiting);
            let same = |leg| {
                let open = self.executor.leg(*id, leg).map(|leg| leg.open);
                open.is_none() || open == self.engine.open(*id, leg) || self.is_closed(*id)
            };
            if planned != exiting || !(0..spec.legs.len()).all(same) {
                return Err(Violation::Disagree { position: *id });
            }
        }
        Ok(())
    }
}
