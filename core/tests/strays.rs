//! Every command and every report in every state of a position, of a task and of the portfolio: what
//! a state does not expect is counted and explained, and nothing ends in a panic.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

#[allow(dead_code, reason = "the table of quotes serves the executor's tests")]
mod common;

use common::{ZERO, instrument};
use reap_core::engine::{Engine, EngineLimits};
use reap_core::entry::TaskId;
use reap_core::event::{
    Command, EntryOutcome, Event, GateSettings, Latch, Outcome, Report, SourceChange, TaskCommand,
    TradingState, Which,
};
use reap_core::instrument::{AccountId, CurrencyId, InstrumentId, SourceId, VenueId};
use reap_core::intent::{Reason, Urgency};
use reap_core::note::EngineNote;
use reap_core::policy::{Distance, Policy, PolicyId, Rule, Threshold};
use reap_core::portfolio::{Breakers, DrawdownFrom, PortfolioSettings};
use reap_core::position::{LegSpec, PositionId, PositionSpec, PositionState, Side};
use reap_core::task::{TaskLeg, TaskSpec, TaskState, Unreachable};
use reap_core::tick::{Quote, Stamp, Tick};
use reap_core::units::{Decimal, Nanos, Price, Qty, Rate};

/// The position that everything is said of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Its id will be given to it.
    Before,
    Open,
    Exiting,
    Dust,
    Closed,
    /// Another one has its slot.
    Gone,
}

const STAGES: [Stage; 6] =
    [Stage::Before, Stage::Open, Stage::Exiting, Stage::Dust, Stage::Closed, Stage::Gone];

/// All positions together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Desk {
    /// No rules over them.
    Without,
    Active,
    /// By an operator.
    Reducing,
    /// portfolio_loss has latched.
    Lost,
    /// The last breaker has latched.
    Halted,
}

const DESKS: [Desk; 5] = [Desk::Without, Desk::Active, Desk::Reducing, Desk::Lost, Desk::Halted];

/// The task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Idle,
    Entering,
    Paused,
}

const WORKS: [Work; 3] = [Work::Idle, Work::Entering, Work::Paused];

/// What the position is of; the task trades the two before it.
const HELD: InstrumentId = InstrumentId(2);
const TASK: TaskId = TaskId(0);
/// Rules of each policy.
const RULES: [u8; 3] = [4, 1, 1];

fn policies() -> [Policy; 3] {
    let rate = Rate::from_bps(100);
    let threshold = Threshold::Rate { rate, base: None };
    [
        Policy::of([
            Rule::StopLoss { distance: rate, base: None },
            Rule::TrailingStop { distance: Distance::Rate(rate), activation: None, base: None },
            Rule::TakeProfit { threshold },
            Rule::LegLost { reads: 2, then: reap_core::policy::Remedy::Close },
        ]),
        Policy::of([Rule::StopLoss { distance: Rate::from_bps(50), base: None }]),
        Policy::of([Rule::Basis { threshold }]),
    ]
}

fn portfolio(desk: Desk) -> Option<PortfolioSettings> {
    let amount = |mantissa| Decimal { mantissa, scale: 0 };
    let (loss, equity) = match desk {
        Desk::Without => return None,
        Desk::Active | Desk::Reducing | Desk::Lost => (Some(amount(-500_000)), 1_000_000_000_000),
        Desk::Halted => (None, 10_000_000),
    };
    let breakers = Breakers {
        equity: amount(equity),
        levels: [300, 400, 500].map(Rate::from_bps),
        from: DrawdownFrom::Baseline,
        filter: false,
        reset: Nanos(0),
    };
    let off = PortfolioSettings::off(CurrencyId(0));
    Some(PortfolioSettings { loss, breakers: Some(breakers), ..off })
}

fn spec(policy: u16) -> PositionSpec {
    let leg = LegSpec {
        account: AccountId(0),
        instrument: HELD,
        side: Side::Long,
        entry: Price::new(100_000).unwrap(),
        qty: Qty::new(100).unwrap(),
        fees_paid: ZERO,
        funding: ZERO,
        margin: None,
    };
    let legs = [leg].into_iter().collect();
    PositionSpec { policy: PolicyId(policy), opened: Nanos(0), tag: 1, legs }
}

/// An engine in some state, and what it has said of strays.
struct World {
    engine: Engine,
    now: Nanos,
    /// Number of the task's last entry.
    entry: u64,
    explained: Vec<Option<PositionId>>,
}

impl World {
    fn event(&mut self, event: Event) {
        self.now = self.now.plus(Nanos(1));
        self.engine.on_event(self.now, &event);
        self.drain();
    }

    fn drain(&mut self) {
        while self.engine.poll_intent().is_some() {}
        while let Some(entry) = self.engine.poll_entry() {
            self.entry = entry.seq;
        }
        while self.engine.poll_entered().is_some() {}
        while let Some(note) = self.engine.poll_note() {
            if let EngineNote::Stray { what, position } = note {
                assert!(!what.is_empty());
                self.explained.push(position);
            }
        }
    }

    fn quote(&mut self, instrument: InstrumentId, bid: i64) {
        let stamp = Stamp {
            source: SourceId(0),
            received: self.now,
            update_id: self.now.0,
            venue_lag_us: 0,
            reset: true,
        };
        let quote = Quote::new(bid, bid + 1, 1_000, 1_000).unwrap();
        self.event(Event::Tick(Tick::quote(instrument, stamp, quote)));
    }

    fn register(&mut self, policy: u16) -> PositionId {
        let id = self.engine.register(self.now, &spec(policy)).unwrap();
        self.drain();
        id
    }

    fn end(&mut self, position: PositionId, outcome: Outcome) {
        let close = Command::Close { which: Which::Position(position), urgency: Urgency::Normal };
        self.event(Event::Command(close));
        self.event(Event::Report(Report::PlanEnded { position, intent: u64::MAX, outcome }));
    }

    /// A world in these states, with the id of its position.
    fn new(stage: Stage, desk: Desk, work: Work) -> (Self, PositionId) {
        let instruments = [(); 3].map(|()| instrument(1, 1, 1, 0));
        let limits = EngineLimits::any(8, 8, 256);
        let mut engine = Engine::new(limits, &instruments, 1, GateSettings::default());
        for policy in policies() {
            engine.add_policy(policy).unwrap();
        }
        if let Some(settings) = portfolio(desk) {
            engine.set_portfolio(settings).unwrap();
        }
        let leg = |at| TaskLeg { account: AccountId(0), instrument: InstrumentId(at) };
        let task = TaskSpec {
            policy: PolicyId(2),
            tag: 0,
            spot: leg(0),
            futures: leg(1),
            size: Decimal { mantissa: 1_000_000, scale: 0 },
            max_cost: Rate::from_bps(50),
            cooldown: Nanos::from_secs(300),
            losing_max: 3,
            cycles_max: 0,
            unreachable: Unreachable::Allow,
            liquidation: None,
        };
        engine.add_task(task).unwrap();
        let mut world =
            Self { engine, now: Nanos::from_secs(1_700_000_000), entry: 1, explained: Vec::new() };
        world.quote(HELD, 100_000);
        world.quote(InstrumentId(0), 100_000);
        let futures = if work == Work::Entering { 100_000 } else { 98_000 };
        world.quote(InstrumentId(1), futures);
        let wanted = match work {
            Work::Idle => TaskState::Idle,
            Work::Entering => TaskState::Entering,
            Work::Paused => {
                let what = TaskCommand::Pause;
                world.event(Event::Command(Command::Task { task: TASK, what }));
                TaskState::Paused
            }
        };
        world.enter(desk);
        let id = world.place(stage);
        assert_eq!(world.engine.task(TASK).unwrap().state, wanted);
        assert_eq!(world.explained, [], "getting there is expected");
        (world, id)
    }

    fn enter(&mut self, desk: Desk) {
        let reached = match desk {
            Desk::Without | Desk::Active => TradingState::Active,
            Desk::Reducing => {
                self.event(Event::Command(Command::SetState(TradingState::Reducing)));
                TradingState::Reducing
            }
            Desk::Lost | Desk::Halted => {
                let lost = self.register(1);
                self.quote(HELD, 90_000);
                self.event(Event::Report(Report::PlanEnded {
                    position: lost,
                    intent: u64::MAX,
                    outcome: Outcome::Closed,
                }));
                self.quote(HELD, 100_000);
                if desk == Desk::Lost { TradingState::Reducing } else { TradingState::Halted }
            }
        };
        assert_eq!(self.engine.trading_state(), reached);
    }

    fn place(&mut self, stage: Stage) -> PositionId {
        let id = match stage {
            // Its slot is taken by nobody: the first generation of one that was never used.
            Stage::Before => PositionId(5),
            _ => self.register(0),
        };
        let close = Command::Close { which: Which::Position(id), urgency: Urgency::Normal };
        let state = match stage {
            Stage::Before => None,
            Stage::Open => Some(PositionState::Open),
            Stage::Exiting => {
                self.event(Event::Command(close));
                Some(PositionState::Exiting)
            }
            Stage::Dust => {
                self.end(id, Outcome::Dust);
                Some(PositionState::DustResidual)
            }
            Stage::Closed => {
                self.end(id, Outcome::Closed);
                Some(PositionState::Closed)
            }
            Stage::Gone => {
                self.end(id, Outcome::Closed);
                let next = self.register(1);
                assert_eq!((next.slot(), next == id), (id.slot(), false));
                None
            }
        };
        assert_eq!(self.engine.state(id), state, "{stage:?}");
        id
    }
}

/// Legs that are there, and that are not.
const LEGS: [u8; 4] = [0, 1, 2, 255];
const TASKS: [TaskId; 2] = [TASK, TaskId(7)];

/// Every report, with what is there and what is not.
fn reports(position: PositionId, entry: u64) -> Vec<Report> {
    let (price, qty) = (Price::new(100_000).unwrap(), Qty::new(30).unwrap());
    let mut all = Vec::new();
    for leg in LEGS {
        all.push(Report::Fill { position, leg, price, qty, fee: 5 });
        all.push(Report::LegRead { position, leg, qty });
        all.push(Report::LegLost { position, leg, qty });
        for task in TASKS {
            all.push(Report::EntryFill { task, leg, price, qty, fee: 5 });
            all.push(Report::EntryUndone { task, leg, price, qty, fee: 5 });
        }
    }
    for outcome in [Outcome::Done, Outcome::Missed, Outcome::Dust, Outcome::Closed] {
        all.extend([0, u64::MAX].map(|intent| Report::PlanEnded { position, intent, outcome }));
    }
    for outcome in [EntryOutcome::Filled, EntryOutcome::Partial, EntryOutcome::Nothing] {
        for task in TASKS {
            all.extend([entry, entry + 1].map(|entry| Report::EntryEnded { task, entry, outcome }));
        }
    }
    all
}

const AMOUNT: Decimal = Decimal { mantissa: 1_000_000_000, scale: 0 };
/// More than any position or account has.
const WILD: Decimal = Decimal { mantissa: i128::MAX, scale: 0 };

/// Every command, about this position, about all, and about what is not there.
fn commands(position: PositionId) -> Vec<Command> {
    let mut all = Vec::new();
    let any = [Which::Position(position), Which::Venue(VenueId(9)), Which::Tag(1), Which::All];
    for which in any {
        all.push(Command::Close { which, urgency: Urgency::Critical });
        for policy in [0, 1, 2, 9].map(PolicyId) {
            all.push(Command::Policy { which, policy });
            for (rule, on) in [(0, false), (0, true), (3, false), (63, true), (255, false)] {
                all.push(Command::Rule { which, policy, rule, on });
            }
        }
    }
    for leg in LEGS {
        for fees_paid in [ZERO, WILD] {
            all.push(Command::Amounts { position, leg, fees_paid, funding: ZERO });
        }
        for price in [None, Price::new(90_000).ok()] {
            all.push(Command::Liquidation { position, leg, price });
        }
    }
    for instrument in [0, 1, 2, 3, u16::MAX].map(InstrumentId) {
        all.push(Command::ConfirmJump(instrument));
        all.extend([Side::Long, Side::Short].map(|side| Command::Signal { instrument, side }));
    }
    let states =
        [TradingState::Active, TradingState::Reducing, TradingState::Halted, TradingState::Stopped];
    all.extend(states.map(Command::SetState));
    all.extend([Latch::PortfolioLoss, Latch::Drawdown].map(Command::Reset));
    all.extend([AMOUNT, WILD].map(Command::Equity));
    all.extend([AMOUNT, WILD].map(Command::Transfer));
    for (of, policy) in [(0, 1), (1, 9), (9, 0)] {
        all.push(Command::Commit { of: PolicyId(of), policy: PolicyId(policy) });
    }
    for task in TASKS {
        let whats =
            [TaskCommand::Start, TaskCommand::Pause, TaskCommand::Resume, TaskCommand::Stop];
        all.extend(whats.map(|what| Command::Task { task, what }));
    }
    all
}

fn events(position: PositionId, entry: u64) -> Vec<Event> {
    let reports = reports(position, entry).into_iter().map(Event::Report);
    let commands = commands(position).into_iter().map(Event::Command);
    let sources = [SourceChange::Lost, SourceChange::Connected];
    let sources = sources.map(|change| Event::Source(SourceId(0), change));
    reports.chain(commands).chain(sources).chain([Event::Timer]).collect()
}

/// Whether a state expects an event: without a wildcard, so that what is new is thought of here.
struct Expects {
    stage: Stage,
    desk: Desk,
    work: Work,
    entry: u64,
}

impl Expects {
    fn live(&self) -> bool {
        match self.stage {
            Stage::Open | Stage::Exiting => true,
            Stage::Before | Stage::Dust | Stage::Closed | Stage::Gone => false,
        }
    }

    fn event(&self, event: &Event) -> bool {
        match *event {
            Event::Tick(_) | Event::Source(..) | Event::Timer => true,
            Event::Report(report) => self.report(report),
            Event::Command(command) => self.command(command),
        }
    }

    fn report(&self, report: Report) -> bool {
        let at_work = |task| task == TASK && self.work == Work::Entering;
        match report {
            Report::Fill { leg, .. } | Report::LegLost { leg, .. } => self.live() && leg == 0,
            // Of dust it is read on, and nothing is done about it.
            Report::LegRead { leg, .. } => self.stage == Stage::Dust || self.live() && leg == 0,
            Report::PlanEnded { outcome, .. } => match outcome {
                Outcome::Closed | Outcome::Dust => self.live(),
                Outcome::Done | Outcome::Missed => self.stage == Stage::Exiting,
            },
            Report::EntryFill { task, leg, .. } | Report::EntryUndone { task, leg, .. } => {
                at_work(task) && leg < 2
            }
            Report::EntryEnded { task, entry, .. } => at_work(task) && entry == self.entry,
        }
    }

    fn which(&self, which: Which) -> bool {
        match which {
            Which::Position(_) => self.live(),
            Which::Venue(_) | Which::Tag(_) | Which::All => true,
        }
    }

    fn command(&self, command: Command) -> bool {
        let known = |policy: PolicyId| usize::from(policy.0) < RULES.len();
        let breakers = self.desk != Desk::Without;
        match command {
            Command::Close { which, .. } => self.which(which),
            Command::Amounts { leg, fees_paid, .. } => self.live() && leg == 0 && fees_paid != WILD,
            Command::ConfirmJump(instrument) | Command::Signal { instrument, .. } => {
                instrument.0 < 3
            }
            Command::SetState(_) => true,
            Command::Reset(latch) => match latch {
                Latch::PortfolioLoss => self.desk == Desk::Lost,
                Latch::Drawdown => self.desk == Desk::Halted,
            },
            // What no account has is refused, and that is told by a note of the portfolio.
            Command::Equity(_) | Command::Transfer(_) => breakers,
            Command::Liquidation { leg, .. } => self.live() && leg == 0,
            Command::Commit { of, policy } => known(of) && known(policy),
            Command::Policy { which, policy } => known(policy) && self.which(which),
            Command::Rule { which, policy, rule, .. } => {
                let there = known(policy) && rule < RULES[usize::from(policy.0)];
                let under = matches!(which, Which::Position(_)) && policy != PolicyId(0);
                there && !under && self.which(which)
            }
            Command::Task { task, what } => match what {
                TaskCommand::Start
                | TaskCommand::Pause
                | TaskCommand::Resume
                | TaskCommand::Stop => task == TASK,
            },
        }
    }
}

/// The position that an event names.
fn named(event: &Event) -> Option<PositionId> {
    match *event {
        Event::Report(report) => report.position(),
        Event::Command(
            Command::Close { which: Which::Position(id), .. }
            | Command::Policy { which: Which::Position(id), .. }
            | Command::Rule { which: Which::Position(id), .. }
            | Command::Amounts { position: id, .. }
            | Command::Liquidation { position: id, .. },
        ) => Some(id),
        _ => None,
    }
}

#[test]
fn what_a_state_does_not_expect_is_counted_and_explained() {
    let (mut thrown, mut strays) = (0, 0);
    for (stage, desk, work) in combinations() {
        let (world, id) = World::new(stage, desk, work);
        let expects = Expects { stage, desk, work, entry: world.entry };
        for event in events(id, world.entry) {
            let (mut world, id) = World::new(stage, desk, work);
            let before = world.engine.state(id);
            world.event(event);
            let counted = world.engine.counters().stray;
            let expected = expects.event(&event);
            let place = format!("{stage:?} {desk:?} {work:?}: {event:?}");
            assert_eq!(counted, u64::from(!expected), "{place}");
            assert_eq!(world.explained.len() as u64, counted, "{place}");
            if !expected {
                let unknown = named(&event).filter(|_| is_known_whatever(&event));
                let said = world.explained[0];
                assert_eq!(said, named(&event).filter(|_| unknown.is_none()), "{place}");
                assert_eq!(world.engine.state(id), before, "{place}: it changes nothing");
            }
            // Once more is no worse.
            world.event(event);
            let counted = world.engine.counters().stray;
            assert_eq!(world.explained.len() as u64, counted, "{place}, twice");
            (thrown, strays) = (thrown + 2, strays + counted);
        }
    }
    assert!(thrown > 30_000 && strays > 10_000, "{strays} strays of {thrown}");
}

/// Commands that name a policy or rule that nobody has: that is what is said of them.
fn is_known_whatever(event: &Event) -> bool {
    match *event {
        Event::Command(Command::Policy { policy, .. }) => usize::from(policy.0) >= RULES.len(),
        Event::Command(Command::Rule { policy, rule, .. }) => {
            RULES.get(usize::from(policy.0)).is_none_or(|&rules| rule >= rules)
        }
        _ => false,
    }
}

fn combinations() -> impl Iterator<Item = (Stage, Desk, Work)> {
    let desks = |stage| DESKS.into_iter().map(move |desk| (stage, desk));
    let both = STAGES.into_iter().flat_map(desks);
    both.flat_map(|(stage, desk)| WORKS.into_iter().map(move |work| (stage, desk, work)))
}

#[test]
fn after_everything_that_can_come_the_engine_goes_on() {
    for (stage, desk, work) in combinations() {
        let (mut world, id) = World::new(stage, desk, work);
        let all = events(id, world.entry);
        let mut seed = 11u64;
        for _ in 0..2_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
            world.event(all[(seed >> 33) as usize % all.len()]);
        }
        let counted = world.engine.counters().stray;
        assert_eq!(world.explained.len() as u64, counted, "{stage:?} {desk:?} {work:?}");
        // Whatever was switched, latched or lost: a new position's stop holds.
        let (of, policy) = (PolicyId(1), PolicyId(1));
        world.event(Event::Command(Command::Commit { of, policy }));
        world.event(Event::Source(SourceId(0), SourceChange::Connected));
        world.quote(HELD, 100_000);
        let id = world.register(1);
        world.now = world.now.plus(Nanos(1));
        let stamp = Stamp {
            source: SourceId(0),
            received: world.now,
            update_id: world.now.0,
            venue_lag_us: 0,
            reset: true,
        };
        let quote = Quote::new(99_500, 99_501, 1_000, 1_000).unwrap();
        world.engine.on_event(world.now, &Event::Tick(Tick::quote(HELD, stamp, quote)));
        let intents: Vec<_> = std::iter::from_fn(|| world.engine.poll_intent()).collect();
        let of_new = intents.iter().find(|intent| intent.position == id);
        assert_eq!(
            of_new.map(|intent| intent.reason),
            Some(Reason::StopLoss),
            "{stage:?} {desk:?}"
        );
    }
}
