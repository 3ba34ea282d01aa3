//! Engine against reference: the same input to both, every decision compared at once.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use num_bigint::BigInt;
use reap_core::engine::{Engine, EngineLimits};
use reap_core::event::{Command, Event, Report, Which};
use reap_core::follower::{Follower, NearMiss};
use reap_core::intent::Intent;
use reap_core::net::Compiled;
use reap_core::note::{EngineNote, Lost, Overruled};
use reap_core::position::{PositionId, Side};
use reap_core::units::{Decimal, Nanos};

use super::market::{Action, Market, position_of};
use super::portfolio_line;
use super::world::World;
use super::{Decision, Loser, Reference};

/// How far beside the prices of an intent its compiled form is held to the formulas.
const BESIDE: [i64; 6] = [-1, 1, -3, 7, -40, 300];

/// One input with its time and, for a registration, the id it was given.
pub(crate) type Step = (Nanos, Action, Option<PositionId>);

/// Both sides of one world.
pub(crate) struct Duel {
    engine: Engine,
    pub(crate) reference: Reference,
    follower: Follower,
    /// What the follower found since somebody looked.
    pub(crate) near: Vec<NearMiss>,
    now: Nanos,
    sides: BTreeMap<PositionId, Vec<Side>>,
    /// The last intent of each position.
    last: BTreeMap<PositionId, u64>,
    /// What the engine has said since somebody looked.
    pub(crate) notes: Vec<EngineNote>,
    /// What it has said of this event.
    heard: Vec<EngineNote>,
    pub(crate) compared: u64,
    pub(crate) refused: u64,
    /// What was said of signals: a case shows it.
    pub(crate) said: Vec<EngineNote>,
}

/// Where the two part.
#[derive(Clone, Debug)]
pub(crate) struct Mismatch {
    pub(crate) what: String,
    pub(crate) at: Nanos,
    pub(crate) position: Option<PositionId>,
}

impl Duel {
    pub(crate) fn new(world: &World) -> Self {
        let mut limits = EngineLimits::any(2048, 16, 8192);
        limits.add_health();
        let engine = || Engine::new(limits, &world.instruments, world.sources, world.settings);
        let (mut engine, mut other) = (engine(), engine());
        let mut reference = Reference::new(&world.instruments, world.sources, world.settings);
        for policy in &world.policies {
            engine.add_policy(policy.clone()).expect("there is room");
            other.add_policy(policy.clone()).expect("there is room");
            reference.add_policy(policy.clone());
        }
        if let Some(portfolio) = &world.portfolio {
            engine.set_portfolio(portfolio.clone()).expect("it is within every bound");
            other.set_portfolio(portfolio.clone()).expect("it is within every bound");
            reference.set_portfolio(portfolio.clone());
        }
        let (sides, last) = (BTreeMap::new(), BTreeMap::new());
        let (notes, said, heard) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            engine,
            reference,
            follower: Follower::new(other),
            near: Vec::new(),
            now: Nanos(0),
            sides,
            last,
            notes,
            heard,
            compared: 0,
            refused: 0,
            said,
        }
    }

    /// Every timer that is due by `to`, each at its time.
    pub(crate) fn pass(&mut self, to: Nanos) -> Result<Vec<Decision>, Mismatch> {
        let mut decisions = Vec::new();
        let mut idle = 0;
        while let Some(due) = self.engine.next_timer().filter(|&due| due <= to) {
            idle = if due > self.now { 0 } else { idle + 1 };
            if idle > 100 {
                return Err(self.mismatch(format!("the timer of {due:?} never goes away"), None));
            }
            self.now = self.now.max(due);
            decisions.append(&mut self.event(self.now, &Event::Timer)?);
        }
        self.now = self.now.max(to);
        Ok(decisions)
    }

    pub(crate) fn event(&mut self, now: Nanos, event: &Event) -> Result<Vec<Decision>, Mismatch> {
        self.now = now;
        self.engine.on_event(now, event);
        self.follower.on_event(now, event);
        self.reference.refused.clear();
        self.hear();
        let expected = self.reference.on_event(now, event);
        self.compare(expected)
    }

    /// Whether a policy fits a position is the engine's to say, as it is of a registration.
    fn hear(&mut self) {
        while let Some(note) = self.engine.poll_note() {
            if let EngineNote::PolicyRefused { position, .. } = note {
                self.reference.refused.push(position);
            }
            self.heard.push(note);
        }
    }

    /// Registers with both. `None` when the engine refuses: nothing is registered then.
    pub(crate) fn register(
        &mut self,
        now: Nanos,
        spec: &reap_core::position::PositionSpec,
    ) -> Result<Option<(PositionId, Vec<Decision>)>, Mismatch> {
        self.now = now;
        let followed = self.follower.register(now, spec);
        let registered = self.engine.register(now, spec);
        if followed.as_ref().ok() != registered.as_ref().ok() {
            return Err(self.mismatch(format!("{registered:?}, follower {followed:?}"), None));
        }
        let id = match registered {
            Ok(id) => id,
            Err(_) => {
                self.refused += 1;
                return Ok(None);
            }
        };
        self.sides.insert(id, spec.legs.iter().map(|leg| leg.side).collect());
        let expected = self.reference.register(now, id, spec);
        let decisions = self.compare(expected)?;
        Ok(Some((id, decisions)))
    }

    fn compare(&mut self, expected: Vec<Decision>) -> Result<Vec<Decision>, Mismatch> {
        self.compared += 1;
        let intents: Vec<Intent> = std::iter::from_fn(|| self.engine.poll_intent()).collect();
        let got: Vec<Decision> = intents.iter().map(decision).collect();
        self.check_follower(&intents)?;
        if got != expected {
            let differs = |(a, b): (&Decision, &Decision)| (a != b).then_some(a.position);
            let longer = if got.len() > expected.len() { &got } else { &expected };
            let at = got.len().min(expected.len());
            let position = got.iter().zip(&expected).find_map(differs);
            let position = position.or_else(|| longer.get(at).map(|decision| decision.position));
            let what = format!("engine    {got:?}\nreference {expected:?}");
            return Err(self.mismatch(what, position));
        }
        for intent in &intents {
            self.check_compiled(intent)?;
        }
        self.check_said(&intents)?;
        for (id, state) in self.reference.positions() {
            if self.reference.is_live(id) {
                let (engine, plain) = (self.engine.policy_of(id), self.reference.policy_of(id));
                if engine != Some(plain) {
                    let what = format!("policy: engine {engine:?}, reference {plain:?}");
                    return Err(self.mismatch(what, Some(id)));
                }
            }
            let engine = self.engine.state(id);
            // A closed position's slot may be another's by now.
            if engine != Some(state) && (engine.is_some() || self.reference.is_live(id)) {
                let what = format!("state: engine {engine:?}, reference {state:?}");
                return Err(self.mismatch(what, Some(id)));
            }
        }
        self.compare_portfolios()?;
        let (engine, reference) = (self.engine.next_timer(), self.reference.next_timer());
        if let Some(wanted) = reference
            && engine.is_none_or(|engine| engine > wanted)
        {
            let what = format!("next timer: engine {engine:?}, reference {reference:?}");
            return Err(self.mismatch(what, None));
        }
        Ok(got)
    }

    /// A follower that is told the same decides the same, and finds only what can be.
    fn check_follower(&mut self, intents: &[Intent]) -> Result<(), Mismatch> {
        intents.iter().for_each(|intent| self.follower.on_intent(intent));
        if self.follower.parted().is_some() || self.follower.hash() != self.engine.hash() {
            return Err(self.mismatch("the follower decides otherwise".into(), None));
        }
        while let Some(near) = self.follower.poll_near_miss() {
            let ordered = near.reached <= near.nearest && near.nearest <= near.left;
            if !ordered || near.left != self.now || near.progress < 900_000_000 {
                return Err(self.mismatch(format!("{near:?}"), Some(near.position)));
            }
            self.near.push(near);
        }
        Ok(())
    }

    /// The engine says of signals what the reference says, and of every rule that held and lost; it
    /// names the intent of this event that it lost to, or the one of the plan that covers it.
    fn check_said(&mut self, intents: &[Intent]) -> Result<(), Mismatch> {
        self.last.extend(intents.iter().map(|intent| (intent.position, intent.seq)));
        let (mut lost, mut of_signals) = (Vec::new(), Vec::new());
        self.hear();
        for note in std::mem::take(&mut self.heard) {
            let of = match note {
                EngineNote::Overruled(of) => of,
                EngineNote::SignalRefused { .. }
                | EngineNote::SignalDropped { .. }
                | EngineNote::EntryAllowed { .. } => {
                    of_signals.push(note);
                    continue;
                }
                _ => {
                    self.notes.push(note);
                    continue;
                }
            };
            let Overruled { position, intent, rule, part, reason, urgency, why } = of;
            let ours = intents.iter().any(|intent| intent.position == position);
            if self.last.get(&position) != Some(&intent) || ours == (why == Lost::Covered) {
                return Err(self.mismatch(format!("intent of {of:?}"), Some(position)));
            }
            lost.push(Loser { position, rule, part, reason, urgency, why });
        }
        lost.sort();
        self.reference.losers.sort();
        if lost != self.reference.losers {
            let position = lost.first().or(self.reference.losers.first()).map(|of| of.position);
            let what = format!("lost: engine {lost:?}\nreference {:?}", self.reference.losers);
            return Err(self.mismatch(what, position));
        }
        self.said.extend(&of_signals);
        let sorted = |notes: Vec<EngineNote>| {
            let mut said: Vec<String> = notes.iter().map(|note| format!("{note:?}")).collect();
            said.sort();
            said
        };
        let (engine, reference) = (sorted(of_signals), sorted(self.reference.take_said()));
        if engine != reference {
            let what = format!("said: engine {engine:?}, reference {reference:?}");
            return Err(self.mismatch(what, None));
        }
        Ok(())
    }

    /// The total is the same to the last digit, and so is what may be done.
    fn compare_portfolios(&self) -> Result<(), Mismatch> {
        let engine = self.engine.portfolio().map(|view| BigInt::from(view.total.mantissa));
        let reference = self.reference.total_net();
        if engine != reference {
            let what = format!("total net: engine {engine:?}, reference {reference:?}");
            return Err(self.mismatch(what, None));
        }
        let score = |score: Decimal| score.mantissa as i64;
        let engine = self.engine.portfolio().and_then(|view| view.health).map(score);
        let reference = self.reference.health();
        if engine != reference {
            let what = format!("health: engine {engine:?}, reference {reference:?}");
            return Err(self.mismatch(what, None));
        }
        let (engine, reference) = (self.engine.trading_state(), self.reference.trading_state());
        if engine != reference {
            let what = format!("trading state: engine {engine:?}, reference {reference:?}");
            return Err(self.mismatch(what, None));
        }
        Ok(())
    }

    /// An intent's compiled form says what the rule's formula says, there and beside it.
    fn check_compiled(&self, intent: &Intent) -> Result<(), Mismatch> {
        if intent.compiled == Compiled::Unconditional {
            return Ok(());
        }
        let sides = &self.sides[&intent.position];
        let exit = |at: usize, side: Side| {
            let quote = intent.inputs[at].and_then(|input| input.quote)?;
            Some(if side == Side::Long { quote.bid.raw() } else { quote.ask.raw() })
        };
        let seen: Option<Vec<i64>> =
            sides.iter().enumerate().map(|(at, &side)| exit(at, side)).collect();
        let Some(seen) = seen else {
            return Err(self.mismatch("an input without a quote".into(), Some(intent.position)));
        };
        let moved = BESIDE.iter().flat_map(|&by| (0..seen.len()).map(move |leg| (leg, by)));
        for (leg, by) in std::iter::once((0, 0)).chain(moved) {
            let mut exits = seen.clone();
            exits[leg] = (exits[leg] + by).max(1);
            let mut padded = [0; reap_core::limits::LEGS_MAX];
            padded[..exits.len()].copy_from_slice(&exits);
            let compiled = intent.compiled.holds(&padded);
            let formula =
                self.reference.holds_at(intent.position, intent.rule, intent.part, &exits);
            if compiled != formula || by == 0 && !compiled {
                let what = format!(
                    "compiled form at {exits:?}: engine {compiled}, formula {formula}; {intent:?}"
                );
                return Err(self.mismatch(what, Some(intent.position)));
            }
        }
        Ok(())
    }

    /// Where all positions together stand, for a golden case.
    pub(crate) fn standing(&self) -> String {
        let view = self.engine.portfolio().expect("the case has a portfolio");
        portfolio_line::standing(&view, self.engine.trading_state())
    }

    /// What the engine said since the last time.
    pub(crate) fn told(&mut self) -> Vec<String> {
        self.notes.drain(..).map(|note| portfolio_line::said(&note)).collect()
    }

    fn mismatch(&self, mut what: String, position: Option<PositionId>) -> Mismatch {
        if let Some(id) = position {
            let _ = write!(what, "\nreference's position: {}", self.reference.story(id));
        }
        Mismatch { what, at: self.now, position }
    }
}

/// What both sides must agree on of an intent.
pub(crate) fn decision(intent: &Intent) -> Decision {
    Decision {
        position: intent.position,
        rule: intent.rule,
        part: intent.part,
        reason: intent.reason,
        urgency: intent.urgency,
        keep: intent.keep[..usize::from(intent.legs)].to_vec(),
    }
}

/// A run that ended where the two part.
pub(crate) struct Parted {
    world: World,
    steps: Vec<Step>,
    mismatch: Mismatch,
}

/// Runs one market for this many inputs.
pub(crate) fn run(seed: u64, events: u64) -> Result<Duel, Box<Parted>> {
    let mut market = Market::new(seed);
    let mut duel = Duel::new(&market.world);
    let mut steps = Vec::new();
    while duel.compared < events {
        if let Err(mismatch) = step(&mut duel, &mut market, &mut steps) {
            return Err(Box::new(Parted { world: market.world, steps, mismatch }));
        }
        assert!(!duel.reference.inconsistent, "the market only reports what can be");
    }
    Ok(duel)
}

fn step(duel: &mut Duel, market: &mut Market, steps: &mut Vec<Step>) -> Result<(), Mismatch> {
    market.pass_time();
    let now = market.now;
    let passed = duel.pass(now);
    if passed.is_err() {
        steps.push((now, Action::Event(Event::Timer), None));
    }
    market.on_decisions(&passed?);
    market.missing = duel.reference.missing();
    let action = market.next();
    steps.push((now, action.clone(), None));
    let decisions = match &action {
        Action::Register(spec) => {
            let Some((id, decisions)) = duel.register(now, spec)? else { return Ok(()) };
            steps.last_mut().expect("just pushed").2 = Some(id);
            market.on_registered(id, spec.clone());
            decisions
        }
        Action::Event(event) => duel.event(now, event)?,
    };
    market.on_decisions(&decisions);
    market.on_policies(|id| duel.reference.policy_of(id));
    Ok(())
}

/// Replays recorded steps; `None` when the two agree, or when the steps contradict themselves.
fn replay(world: &World, steps: &[Step]) -> Option<Mismatch> {
    let mut duel = Duel::new(world);
    let mut ids = BTreeMap::new();
    let mut result = Ok(());
    for (now, action, id) in steps {
        result = duel.pass(*now).map(|_| ());
        if result.is_ok() {
            result = match action {
                Action::Register(spec) => duel.register(*now, spec).map(|registered| {
                    if let (Some(id), Some((new, _))) = (id, registered) {
                        ids.insert(*id, new);
                    }
                }),
                Action::Event(event) => duel.event(*now, &renamed(event, &ids)?).map(|_| ()),
            };
        }
        if duel.reference.inconsistent {
            return None;
        }
        if result.is_err() {
            break;
        }
    }
    result.err()
}

/// The event with positions as this replay knows them; `None` when its position is left out.
fn renamed(event: &Event, ids: &BTreeMap<PositionId, PositionId>) -> Option<Event> {
    let mut event = *event;
    match &mut event {
        Event::Report(
            Report::Fill { position, .. }
            | Report::PlanEnded { position, .. }
            | Report::LegRead { position, .. }
            | Report::LegLost { position, .. },
        )
        | Event::Command(
            Command::Close { which: Which::Position(position), .. }
            | Command::Policy { which: Which::Position(position), .. }
            | Command::Rule { which: Which::Position(position), .. }
            | Command::Amounts { position, .. }
            | Command::Liquidation { position, .. },
        ) => *position = *ids.get(position)?,
        _ => {}
    }
    Some(event)
}

/// Leaves out positions and events as long as the two still part, and says what is left.
pub(crate) fn shrink(parted: Parted) -> String {
    let Parted { world, mut steps, mismatch } = parted;
    let world = &world;
    let registered: Vec<PositionId> = steps.iter().filter_map(|step| step.2).collect();
    for id in registered {
        let concerns = |step: &Step| match &step.1 {
            Action::Register(_) => step.2 == Some(id),
            Action::Event(event) => position_of(event) == Some(id),
        };
        let fewer: Vec<Step> = steps.iter().filter(|step| !concerns(step)).cloned().collect();
        if replay(world, &fewer).is_some() {
            steps = fewer;
        }
    }
    let mut chunk = steps.len() / 2;
    while chunk > 0 {
        let mut at = 0;
        while at < steps.len() {
            let mut fewer = steps.clone();
            fewer.drain(at..(at + chunk).min(steps.len()));
            if replay(world, &fewer).is_some() {
                steps = fewer;
            } else {
                at += chunk;
            }
        }
        chunk /= 2;
    }
    let mut text = String::new();
    let _ = writeln!(text, "first seen: {mismatch:?}");
    for instrument in &world.instruments {
        let _ = writeln!(text, "{:?}", instrument.spec());
    }
    let _ = writeln!(text, "sources: {}, settings: {:?}", world.sources, world.settings);
    let _ = writeln!(text, "{:?}", world.portfolio);
    for (now, action, id) in &steps {
        if let Action::Register(spec) = action {
            let policy = &world.policies[usize::from(spec.policy.0)];
            let _ = writeln!(text, "{} {id:?} {spec:?}\n    {policy:?}", now.0);
        } else if let Action::Event(Event::Command(Command::Policy { policy, .. })) = action {
            let said = &world.policies[usize::from(policy.0)];
            let _ = writeln!(text, "{} {action:?}\n    {said:?}", now.0);
        } else {
            let _ = writeln!(text, "{} {action:?}", now.0);
        }
    }
    match replay(world, &steps) {
        Some(last) => {
            let _ = writeln!(text, "{} steps, at {}\n{}", steps.len(), last.at.0, last.what);
        }
        None => text.push_str("the recorded steps do not show it again\n"),
    }
    text
}
