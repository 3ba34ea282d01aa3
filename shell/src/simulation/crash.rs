//! The desk's process: what it writes before it acts, how it dies, and how it comes back.

use reap_core::event::{Command, Event, TradingState};
use reap_core::executor::Executor;
use reap_core::instrument::{Instrument, VenueId};
use reap_core::log::{NotSentWhy, Record, Sights};
use reap_core::order::{Order, OrderEvent};
use reap_core::policy::ExitSettings;
use reap_core::position::{PositionId, PositionSpec};
use reap_core::recovery::Recovery;
use reap_core::restart::Restart;
use reap_core::units::Nanos;

use super::check::Violation;
use super::log::{Log, Unread};
use super::met::Kind;
use super::scene::{engine, executor_limits};
use super::world::{Table, World};
use crate::sim::Random;

/// What is done to each executor first.
pub(super) type Prepare<'p> = &'p dyn Fn(&mut Executor);

/// When the process dies, within a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    BeforeWrite,
    InWrite,
    BeforeSend,
    AfterSome,
    AfterAll,
}

/// See the module.
pub(super) struct Desk<'p> {
    prepare: Prepare<'p>,
    log: Log,
    sights: Sights,
    /// Whether it writes a log and may die.
    dies: bool,
    /// How it has died.
    down: Option<When>,
    /// The operator has stopped everything.
    pub(super) stopped: bool,
}

impl<'p> Desk<'p> {
    /// Every other trial crashes.
    pub(super) fn new(
        random: &mut Random,
        now: Nanos,
        instruments: &[Instrument],
        prepare: Prepare<'p>,
    ) -> Self {
        let mut log = Log::new();
        log.begin(now, executor_limits(), instruments);
        log.commit();
        log.sync();
        Self {
            prepare,
            log,
            sights: Sights::new(instruments.len()),
            dies: random.below(2) == 0,
            down: None,
            stopped: false,
        }
    }

    /// Number of the run.
    pub(super) const fn epoch(&self) -> u16 {
        self.log.epoch
    }

    pub(super) const fn is_down(&self) -> bool {
        self.down.is_some()
    }

    /// Whether orders may leave.
    pub(super) const fn sends(&self) -> bool {
        !self.log.poisoned && !self.stopped
    }

    /// Nothing is taken on that could not be written down.
    pub(super) const fn takes_on(&self) -> bool {
        !self.log.poisoned && !self.is_down()
    }

    /// It does not die any more; one whose log cannot be written is started again.
    pub(super) fn heal(&mut self) {
        if self.log.poisoned {
            self.down = Some(When::AfterAll);
        }
        self.dies = false;
    }

    /// Whether the process dies in this step, and when.
    fn fate(&self, orders: usize, random: &mut Random) -> Option<When> {
        let rare = if orders > 0 { 15 } else { 250 };
        if !self.dies || random.below(rare) > 0 {
            return None;
        }
        let of =
            [When::BeforeWrite, When::InWrite, When::BeforeSend, When::AfterSome, When::AfterAll];
        Some(of[random.below(if orders > 0 { 5 } else { 3 }) as usize])
    }
}

impl World<'_> {
    /// A position is taken on: the process does not die of that.
    pub(super) fn take_on(
        &mut self,
        id: PositionId,
        spec: &PositionSpec,
        exit: ExitSettings,
    ) -> Result<(), Violation> {
        self.executor.register(id, spec, &exit).expect("there is room");
        if self.desk.dies {
            self.desk.log.stage(self.now, &Record::Position { id, spec: spec.clone(), exit });
            self.desk.log.commit();
        }
        self.say()
    }

    /// One input of the executor, and all that comes of it: written, and then done.
    pub(super) fn act(&mut self, input: &Record) -> Result<(), Violation> {
        if self.desk.is_down() {
            return Ok(());
        }
        let now = self.now;
        let quotes = self.desk.sights.over(&self.quotes);
        match input {
            Record::Intent(intent) => self.executor.on_intent(now, intent, &quotes),
            Record::Answer(event) => self.executor.on_order_event(now, event, &quotes),
            Record::NotSent { id, .. } => {
                self.executor.on_order_event(now, &OrderEvent::not_sent(*id), &quotes);
            }
            Record::Read(read) => self.executor.on_read(now, read, &quotes),
            Record::Stopped { stopped } => self.executor.on_stopped(now, *stopped, &quotes),
            Record::Limited { venue, wait } => self.executor.on_limited(now, *venue, *wait),
            Record::Timer => self.executor.on_timer(now, &quotes),
            other => unreachable!("{} is no input of a trial", other.name()),
        }
        drop(quotes);
        if !self.desk.dies {
            while let Some(report) = self.executor.poll_report() {
                self.reports.push_back(report);
            }
            self.say()?;
            while let Some(order) = self.executor.poll_order() {
                self.send(order)?;
            }
            return Ok(());
        }
        let log = &mut self.desk.log;
        log.stage(now, input);
        for saw in self.desk.sights.saw() {
            log.stage(now, &Record::Saw(saw));
        }
        while let Some(report) = self.executor.poll_report() {
            log.stage(now, &Record::Report(report));
            self.reports.push_back(report);
        }
        let mut orders = Vec::new();
        while let Some(order) = self.executor.poll_order() {
            log.stage(now, &Record::Order(order));
            orders.push(order);
        }
        self.write_and_send(&orders)
    }

    fn write_and_send(&mut self, orders: &[Order]) -> Result<(), Violation> {
        // One that is in the log may have left, for all that a restart knows.
        self.left_early |= self.reading && !orders.is_empty();
        let fate = self.desk.fate(orders.len(), &mut self.random);
        self.desk.down = fate;
        match fate {
            Some(When::BeforeWrite) => return Ok(()),
            Some(When::InWrite) => {
                self.desk.log.tear(&mut self.random);
                return Ok(());
            }
            _ if self.desk.log.poisoned => {}
            _ if !orders.is_empty() && self.random.below(300) == 0 => {
                self.met.note(Kind::DiskFull);
                self.tell(|| "the disk is full".into());
                self.desk.log.tear(&mut self.random);
                self.desk.log.poisoned = true;
            }
            _ => self.desk.log.commit(),
        }
        if fate == Some(When::BeforeSend) {
            return Ok(());
        }
        self.say()?;
        let some = match fate {
            Some(When::AfterSome) => self.random.below(orders.len() as u64) as usize,
            _ => orders.len(),
        };
        for order in &orders[..some] {
            if self.desk.log.poisoned {
                let id = order.id;
                self.act(&Record::NotSent { id, why: NotSentWhy::Stopped })?;
            } else {
                self.send(*order)?;
            }
        }
        Ok(())
    }

    /// The operator stops everything, or lets it go on.
    pub(super) fn stop(&mut self, stopped: bool) -> Result<(), Violation> {
        if self.desk.stopped == stopped {
            return Ok(());
        }
        self.met.note(Kind::Stops);
        let state = if stopped { TradingState::Stopped } else { TradingState::Active };
        self.command(Command::SetState(state))?;
        if self.desk.is_down() {
            // It has died before the executor heard of it.
            return Ok(());
        }
        self.desk.stopped = stopped;
        self.act(&Record::Stopped { stopped })?;
        self.pump()
    }

    /// Starts a process that has died again. Whether the trial is over: a log that is damaged is for
    /// people.
    pub(super) fn restart(&mut self) -> Result<bool, Violation> {
        let Some(when) = self.desk.down else { return Ok(false) };
        self.met.note(match when {
            When::BeforeWrite => Kind::CrashBeforeWrite,
            When::InWrite => Kind::CrashTorn,
            When::BeforeSend => Kind::CrashBeforeSend,
            When::AfterSome | When::AfterAll => Kind::CrashAfterSend,
        });
        let power = self.desk.dies && self.random.below(2) == 0;
        let lost = power && self.desk.log.lose_power(&mut self.random);
        if power {
            self.met.note(Kind::PowerLoss);
        }
        if lost {
            self.met.note(Kind::Unsynced);
        }
        self.tell(|| format!("the desk dies {when:?}, power lost {power}, records lost {lost}"));
        let away = if self.random.below(4) == 0 { 40_000 } else { 1_500 };
        self.now = self.now.plus(Nanos::from_millis(1 + self.random.below(away)));
        for venue in &mut self.venues {
            venue.away(self.now, &mut self.random, &mut self.met);
        }
        let written = matches!(when, When::BeforeSend | When::AfterSome | When::AfterAll);
        let whole = written && !lost && !self.desk.log.poisoned;
        self.checker.restart(!whole);
        if self.recover(whole, lost)? {
            return Ok(true);
        }
        self.say()?;
        self.pump()?;
        self.know_holdings()?;
        Ok(false)
    }

    fn recover(&mut self, whole: bool, lost: bool) -> Result<bool, Violation> {
        let (prepare, budgets) = (self.desk.prepare, self.checker.budgets.clone());
        let prepare = |executor: &mut Executor| {
            prepare(executor);
            for (venue, budget) in &budgets {
                executor.set_budget(VenueId(*venue as u8), *budget).expect("within its bounds");
            }
        };
        let mut recovery = Recovery::preparing(&prepare);
        match self.desk.log.read(&mut recovery) {
            Ok(()) => {}
            Err(Unread::Damaged(_)) if lost => {
                self.met.note(Kind::LogRefused);
                return Ok(true);
            }
            Err(Unread::Damaged(end)) => {
                return Err(Violation::NotRecovered { why: end.to_string() });
            }
            Err(Unread::Refused(error)) => {
                return Err(Violation::NotRecovered { why: error.to_string() });
            }
        }
        let recovered = recovery.finish();
        let recovered = recovered
            .map_err(|error| Violation::NotRecovered { why: error.to_string() })?
            .ok_or_else(|| Violation::NotRecovered { why: "nothing is there".into() })?;
        let mut executor = recovered.executor;
        if whole {
            drain(&mut self.executor);
            if format!("{executor:?}") != format!("{:?}", self.executor) {
                return Err(Violation::NotRecovered { why: "another state".into() });
            }
        }
        if recovered.unsent > 0 {
            self.met.note(Kind::NeverLeft);
        }
        let hash = executor.hash();
        let log = &mut self.desk.log;
        let epoch = log.begin(self.now, executor_limits(), &self.instruments);
        let next = Restart {
            epoch,
            limits: executor_limits(),
            instruments: &self.instruments,
            last: recovered.last,
        };
        let carried = executor.restart(self.now, &next);
        carried.map_err(|error| Violation::NotRecovered { why: error.to_string() })?;
        log.stage(self.now, &Record::Resumed { from: recovered.epoch, hash });
        if self.desk.dies && self.random.below(8) == 0 {
            // It dies again before it has done anything.
            self.met.note(Kind::CrashAtStart);
            log.tear(&mut self.random);
            self.executor = executor;
            drain(&mut self.executor);
            self.now = self.now.plus(Nanos::from_millis(self.random.below(2_000)));
            return self.recover(false, lost);
        }
        log.commit();
        log.sync();
        self.executor = executor;
        self.quotes = Table::default();
        self.reports.clear();
        self.engine = engine(&self.instruments);
        self.engine.count_on_from(recovered.intents);
        recovered.closed.iter().for_each(|id| self.engine.pass_over(*id));
        let mut intents = Vec::new();
        for of in &recovered.open {
            let taken = self.engine.take_up(self.now, of);
            taken.map_err(|error| Violation::NotRecovered { why: error.to_string() })?;
            while let Some(intent) = self.engine.poll_intent() {
                intents.push(intent);
            }
            if of.plan.is_some() {
                self.met.note(Kind::ResumedPlan);
            }
        }
        if whole && self.executor.is_stopped() != self.desk.stopped {
            return Err(Violation::NotRecovered { why: "a stop is forgotten".into() });
        }
        self.desk.stopped = self.executor.is_stopped();
        if self.desk.stopped {
            let stop = Event::Command(Command::SetState(TradingState::Stopped));
            self.engine.on_event(self.now, &stop);
            while let Some(intent) = self.engine.poll_intent() {
                intents.push(intent);
            }
        }
        self.desk.down = None;
        if self.any_live() {
            self.met.note(Kind::ResumedOrder);
        }
        self.say()?;
        for intent in intents {
            self.act(&Record::Intent(intent))?;
        }
        Ok(false)
    }
}

/// Questions and notes that nobody has heard.
fn drain(executor: &mut Executor) {
    while executor.poll_ask().is_some() || executor.poll_note().is_some() {}
}
