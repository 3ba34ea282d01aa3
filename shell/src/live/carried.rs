//! What a run carries on from the runs before it, and how that fits its configuration.

use reap_core::executor::{Executor, ExecutorLimits};
use reap_core::instrument::{Instrument, InstrumentId};
use reap_core::log::{Record, Text};
use reap_core::policy::PolicyId;
use reap_core::position::PositionId;
use reap_core::recovery::{OpenPosition, Recovered};
use reap_core::restart::Restart;
use reap_core::units::Nanos;

use super::LiveError;
use super::journal;
use crate::config::{Config, PositionConfig};
use crate::order_log::{Earlier, OrderLog};
use crate::pipeline;

/// A position that is watched again.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Its index among the configured positions; one that the configuration does not have follows
    /// them.
    pub at: usize,
    /// As the engine takes it up.
    pub position: OpenPosition,
}

/// What was carried on, for main.
#[derive(Clone, Debug, Default)]
pub struct Carried {
    /// Positions that are open.
    pub open: Vec<Watched>,
    /// Configured positions that earlier runs have closed: they are not opened again.
    pub closed: Vec<usize>,
    /// Ids of positions that are closed, the newest of each slot.
    pub gone: Vec<PositionId>,
    /// Highest number of an intent.
    pub intents: u64,
    /// Nothing is to be sent: that was so when the last run ended.
    pub stopped: bool,
    /// What is to be told at the start; whether it is an alarm.
    pub said: Vec<(bool, String)>,
}

impl Carried {
    /// Slots that are in use.
    #[must_use]
    pub fn slots(&self) -> usize {
        let slots = self.open.iter().map(|one| one.position.id.slot() + 1);
        slots.max().unwrap_or(0)
    }
}

/// Begins a run that carries on what earlier ones have left: compares that with the configuration,
/// which gets the positions that it does not have, and writes the run's first records.
///
/// # Errors
/// When what is open would mean something else under this configuration, or the log cannot be
/// written.
pub fn carry_on(
    earlier: Earlier,
    config: &mut Config,
    log: &mut OrderLog,
    now: Nanos,
) -> Result<(Executor, Carried), LiveError> {
    let mut carried = Carried::default();
    for path in &earlier.torn {
        let text = format!(
            "order log: {}: its last record was cut while it was written; the run goes on without it",
            path.display()
        );
        carried.said.push((true, text));
    }
    let instruments: Vec<Instrument> =
        config.instruments.iter().map(|named| named.instrument).collect();
    let Some(mut recovered) = earlier.recovered else {
        let limits = pipeline::executor_limits(config);
        journal::begin(log, now, config, limits)?;
        return Ok((pipeline::executor(config, &instruments, log.epoch()), carried));
    };
    same_names(&recovered, config)?;
    let orders = recovered.in_flight();
    for mut position in std::mem::take(&mut recovered.open) {
        position.spec.policy = policy_of(&position, config)?;
        let at = index_of(&position, config)?;
        carried.open.push(Watched { at, position });
    }
    for (at, one) in config.positions.iter().enumerate() {
        let is_open = carried.open.iter().any(|open| open.at == at);
        if !is_open && recovered.names.contains(Text::cut(&one.name).as_str()) {
            let name = &one.name;
            let text = format!(
                "{name}: an earlier run has closed it; it is not opened again (another name would)"
            );
            carried.said.push((false, text));
            carried.closed.push(at);
        }
    }
    carried.gone = std::mem::take(&mut recovered.closed);
    (carried.intents, carried.stopped) = (recovered.intents, recovered.executor.is_stopped());
    let mut limits = pipeline::executor_limits(config);
    limits.positions = limits.positions.max(carried.slots());
    let executor = restart(&mut recovered, &instruments, limits, config, log, now)?;
    tell(&recovered, &executor, orders, config, &mut carried);
    Ok((executor, carried))
}

fn restart(
    recovered: &mut Recovered,
    instruments: &[Instrument],
    limits: ExecutorLimits,
    config: &Config,
    log: &mut OrderLog,
    now: Nanos,
) -> Result<Executor, LiveError> {
    let nothing = Executor::new(ExecutorLimits { positions: 0, orders: 0 }, &[], 0);
    let mut executor = std::mem::replace(&mut recovered.executor, nothing);
    let hash = executor.hash();
    let next = Restart { epoch: log.epoch(), limits, instruments, last: recovered.last };
    executor.restart(now, &next).map_err(|error| LiveError::Carried(error.to_string()))?;
    pipeline::set_budgets(config, instruments, &mut executor);
    journal::begin(log, now, config, limits)?;
    log.append(now, &Record::Resumed { from: recovered.epoch, hash })?;
    log.sync()?;
    Ok(executor)
}

/// Accounts and instruments of which something is open are called as they were.
fn same_names(recovered: &Recovered, config: &Config) -> Result<(), LiveError> {
    let changed = |what: &str, at: usize, was: &str, now: Option<&str>| {
        let now = now.map_or("gone".to_owned(), |now| format!("{now:?}"));
        let text = format!(
            "{what} {at} is {now}, and was {was:?} when what is open of it was taken on: put it back \
             at its place until that is closed"
        );
        Err(LiveError::Carried(text))
    };
    for leg in recovered.open.iter().flat_map(|position| &position.spec.legs) {
        let at = usize::from(leg.instrument.0);
        let was = recovered.instruments.get(at).and_then(|(_, name)| *name);
        let now = config.instruments.get(at).map(|named| named.name.as_str());
        if let Some(was) = was.filter(|was| now.map(Text::cut) != Some(*was)) {
            return changed("instrument", at, was.as_str(), now);
        }
        let at = usize::from(leg.account.0);
        let now = config.accounts.get(at).map(|account| account.name.as_str());
        let was = recovered.accounts.get(&leg.account.0);
        if let Some(was) = was.filter(|was| now.map(Text::cut) != Some(**was)) {
            return changed("account", at, was.as_str(), now);
        }
    }
    Ok(())
}

fn name_of(position: &OpenPosition) -> &str {
    position.name.as_ref().map_or("", Text::as_str)
}

/// Under which policy a position goes on: the one of its name.
fn policy_of(position: &OpenPosition, config: &Config) -> Result<PolicyId, LiveError> {
    let Some(policy) = position.policy else { return Ok(position.spec.policy) };
    let found = config.policies.iter().position(|named| Text::cut(&named.name) == policy);
    let name = name_of(position);
    let at = found.ok_or_else(|| {
        LiveError::Carried(format!(
            "{name} is open under policy {:?}, which the configuration does not have: put it back \
             until {name} is closed",
            policy.as_str()
        ))
    })?;
    Ok(PolicyId(at as u16))
}

/// Which of the configured positions it is; it is added when it is none of them.
fn index_of(position: &OpenPosition, config: &mut Config) -> Result<usize, LiveError> {
    let name = name_of(position);
    if let Some(task) = config.tasks.iter().find(|task| Text::cut(&task.name).as_str() == name) {
        return Err(LiveError::Carried(format!(
            "task {}: a position that it has entered is open from an earlier run, and it cannot go \
             on beside that: take the task out of the configuration until that position is closed",
            task.name
        )));
    }
    let found = config.positions.iter().position(|one| Text::cut(&one.name).as_str() == name);
    if let Some(at) = found {
        // What is held is what the log says, under the policy that it was taken on with.
        let mut held = PositionConfig::entered(config.positions[at].name.clone(), &position.spec);
        for (leg, said) in held.legs.iter_mut().zip(&config.positions[at].legs) {
            leg.liquidation = said.liquidation;
        }
        config.positions[at] = held;
        return Ok(at);
    }
    config.positions.push(PositionConfig::entered(name.to_owned(), &position.spec));
    Ok(config.positions.len() - 1)
}

fn tell(
    recovered: &Recovered,
    executor: &Executor,
    orders: usize,
    config: &Config,
    carried: &mut Carried,
) {
    let plans = carried.open.iter().filter(|one| one.position.plan.is_some()).count();
    let text = format!(
        "recovered from {} records of earlier runs: {} positions open, {plans} of them being closed, \
         {orders} orders whose fate their venues are asked for; marks of trailing rules begin anew, and \
         this run writes no input log",
        recovered.records,
        carried.open.len()
    );
    carried.said.push((false, text));
    if carried.stopped {
        let text = "trading is stopped, as it was when the last run ended: nothing is sent".into();
        carried.said.push((true, text));
    }
    for entry in executor.entries() {
        let task = config.tasks.get(usize::from(entry.task.0));
        let name = task.map_or("reversal", |task| task.name.as_str());
        let text = format!(
            "{name}: an entry was at work when the last run ended; it is taken back: what it has \
             bought or sold is undone"
        );
        carried.said.push((true, text));
    }
    for left in &recovered.unwatched {
        let name = |id: InstrumentId| {
            let named = config.instruments.get(usize::from(id.0));
            named.map_or_else(|| id.0.to_string(), |named| named.name.clone())
        };
        let text = format!(
            "{}: an entry had bought or sold {} of it (in units of its last decimal) when the last \
             run died, before its position was taken on: nobody watches that; give the configuration \
             a position for it, or close it by hand",
            name(left.instrument),
            left.qty.raw()
        );
        carried.said.push((true, text));
    }
}
