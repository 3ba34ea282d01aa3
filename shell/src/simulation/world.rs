//! A small desk in virtual time.

use std::collections::{BTreeSet, VecDeque};

use reap_core::engine::Engine;
use reap_core::event::{Command, Event, Outcome, Report, Which};
use reap_core::executor::Executor;
use reap_core::instrument::{AccountId, Instrument, InstrumentId, SourceId, VenueId};
use reap_core::intent::Urgency;
use reap_core::log::Record;
use reap_core::note::ExecutorNote;
use reap_core::order::{Ask, ClientOrderId, Order, OrderChange};
use reap_core::policy::PolicyId;
use reap_core::position::{LegSpec, PositionId, PositionSpec, PositionState, Side};
use reap_core::pricing::{Quotes, Top};
use reap_core::tick::{Stamp, Tick};
use reap_core::units::{Decimal, Nanos, Price, Qty};
use reap_core::venues::VenueView;

use super::Trial;
use super::check::{Checker, Violation};
use super::crash::{Desk, Prepare};
use super::market::Market;
use super::met::{Kind, Met};
use super::scene::{
    INSTRUMENTS, POSITIONS_MAX, VENUES, engine, executor_limits, instrument, policies, side_of,
    venue_of,
};
use super::venue::{In, Venue, budget};
use crate::sim::Random;

/// Events with faults.
const FAULTY: u64 = 2_000;
/// How long everything may take to be closed once the faults have stopped: an order of unknown fate
/// takes 30 s, two answers and a read.
const CLOSE_WITHIN: Nanos = Nanos::from_secs(180);
/// Rounds between engine and executor without time passing.
const ECHOES_MAX: u32 = 256;

/// The latest quotes.
#[derive(Debug, Default)]
pub(super) struct Table(pub(super) [Option<Top>; INSTRUMENTS]);

impl Quotes for Table {
    fn top(&self, instrument: InstrumentId) -> Option<Top> {
        self.0[usize::from(instrument.0)]
    }
}

/// See the module.
pub(super) struct World<'p> {
    seed: u64,
    pub(super) random: Random,
    pub(super) now: Nanos,
    pub(super) engine: Engine,
    pub(super) executor: Executor,
    pub(super) quotes: Table,
    market: Market,
    pub(super) venues: [Venue; VENUES],
    pub(super) instruments: Vec<Instrument>,
    pub(super) positions: Vec<(PositionId, PositionSpec)>,
    ids: BTreeSet<ClientOrderId>,
    pub(super) checker: Checker,
    /// The desk's log, and how it crashes.
    pub(super) desk: Desk<'p>,
    /// What the executor has said and the engine has not heard.
    pub(super) reports: VecDeque<Report>,
    /// What the account holds of each instrument that is none of ours.
    foreign: [i64; INSTRUMENTS],
    /// Holdings are being read after something was taken on.
    pub(super) reading: bool,
    /// An order left before what is held beside its position was known: should its fate become
    /// unknown, people must look, so that its closing is not asked for.
    pub(super) left_early: bool,
    update_id: u64,
    pub(super) events: u64,
    pub(super) met: Met,
    story: Option<Vec<String>>,
}

impl<'p> World<'p> {
    pub(super) fn new(seed: u64, tells: bool, prepare: Prepare<'p>) -> Self {
        let mut random = Random::new(seed);
        let instruments: Vec<Instrument> = (0..INSTRUMENTS)
            .map(|at| Instrument::new(instrument(at)).expect("within every bound"))
            .collect();
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
        let mut executor = Executor::new(executor_limits(), &instruments, 1);
        prepare(&mut executor);
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
            engine: engine(&instruments),
            executor,
            desk: Desk::new(&mut random, now, &instruments, prepare),
            reports: VecDeque::new(),
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

    pub(super) fn tell(&mut self, line: impl FnOnce() -> String) {
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
            if self.random.below(if self.desk.stopped { 200 } else { 8_000 }) == 0 {
                self.stop(!self.desk.stopped)?;
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
            if self.restart()? {
                return Ok(());
            }
        }
        self.desk.heal();
        if self.restart()? {
            return Ok(());
        }
        self.stop(false)?;
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
        if self.any_live() || !self.desk.takes_on() {
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
    pub(super) fn know_holdings(&mut self) -> Result<(), Violation> {
        self.reading = true;
        for at in 0..VENUES {
            while let Some(due) = self.venues[at].reads_due() {
                if self.desk.is_down() {
                    return Ok(());
                }
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

    pub(super) fn any_live(&self) -> bool {
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

    pub(super) fn command(&mut self, command: Command) -> Result<(), Violation> {
        if self.desk.is_down() {
            return Ok(());
        }
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
        if engine && !self.desk.is_down() {
            self.events += 1;
            self.engine.on_event(self.now, &Event::Timer);
            self.pump()?;
        }
        if executor && !self.desk.is_down() {
            self.events += 1;
            self.act(&Record::Timer)?;
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
        if self.desk.is_down() {
            return Ok(());
        }
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
        self.take_on(id, &spec, exit.clone())?;
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
                self.act(&Record::Answer(event))?;
                let held =
                    |view: &VenueView| usize::from(view.venue.0) == from && view.held.is_some();
                if self.desk.takes_on()
                    && matches!(event.what, OrderChange::Acked | OrderChange::Expired)
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
            In::Read(read) => self.act(&Record::Read(read))?,
            In::Limited(wait) => {
                let venue = VenueId(from as u8);
                self.act(&Record::Limited { venue, wait })?;
                self.checker.on_limited(from, self.now.plus(wait));
            }
        }
        self.pump()
    }

    /// Carries everything between engine and executor until nobody has anything to say.
    pub(super) fn pump(&mut self) -> Result<(), Violation> {
        let mut echoes = 0;
        loop {
            if let Some(intent) = self.engine.poll_intent() {
                self.tell(|| {
                    let (reason, urgency) = (intent.reason.name(), intent.urgency.name());
                    format!(
                        "intent {:?} {reason} {urgency} keep {:?}",
                        intent.position, intent.keep
                    )
                });
                self.act(&Record::Intent(intent))?;
            } else if let Some(report) = self.reports.pop_front() {
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
            if self.desk.is_down() {
                return Ok(());
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
        if self.desk.is_down() { Ok(()) } else { self.check() }
    }

    /// What the executor has to say to people, and what it wants asked.
    pub(super) fn say(&mut self) -> Result<(), Violation> {
        while let Some(note) = self.executor.poll_note() {
            self.tell(|| format!("note {note:?}"));
            match note {
                ExecutorNote::Stuck { .. } => self.met.note(Kind::Stuck),
                ExecutorNote::Proven { inferred: Qty::ZERO, .. } => self.met.note(Kind::StateDead),
                ExecutorNote::Proven { .. } => self.met.note(Kind::Inferred),
                ExecutorNote::Legging { .. } => self.met.note(Kind::Legging),
                ExecutorNote::Unhedged { .. } => self.met.note(Kind::Unhedged),
                ExecutorNote::Hedged { .. } => self.met.note(Kind::Hedged),
                ExecutorNote::EntryUnhedged { .. } | ExecutorNote::TakenBack { .. } => {}
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
        Ok(())
    }

    /// An order leaves.
    pub(super) fn send(&mut self, order: Order) -> Result<(), Violation> {
        self.tell(|| format!("sends {order:?}"));
        self.met.note(Kind::StateSent);
        if self.desk.stopped {
            return Err(Violation::SentWhileStopped);
        }
        if order.id.epoch != self.desk.epoch() {
            return Err(Violation::WrongRun { position: order.id.position });
        }
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
        Ok(())
    }

    pub(super) fn check(&mut self) -> Result<(), Violation> {
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
            if self.desk.sends() {
                self.checker.legs(self.now, &self.executor, *id, spec)?;
            } else {
                self.checker.restart(false);
            }
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
