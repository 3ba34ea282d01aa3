//! `[task.NAME]`: what is bought and sold together when it is cheap enough, again and again.

use reap_core::instrument::InstrumentId;
use reap_core::limits::{POLICIES_MAX, TASKS_MAX};
use reap_core::policy::{Policy, PolicyId, Rule, RuleSpec, Threshold};
use reap_core::position::Side;
use reap_core::task::{TaskLeg, TaskSpec, Unreachable};
use reap_core::units::{Decimal, Nanos, Price, Qty, Rate};

use super::fit::misfit;
use super::instrument::NamedInstrument;
use super::names::Lookup;
use super::policy::NamedPolicy;
use super::position::{Entry, FeesPaid, Known, LegConfig, PositionConfig};
use super::value::{RateBounds, SpanBounds};
use super::venue::Venue;
use super::walk::{Table, Value};
use super::words;

/// A task with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedTask {
    /// Its name in the configuration.
    pub name: String,
    /// The task.
    pub spec: TaskSpec,
}

/// A preset of SPEC §5: largest entry cost, profit target, longest age.
struct Preset {
    max_cost: Rate,
    target: Rate,
    max_age: Nanos,
}

/// Version of the presets: positions show it as the version of their policy.
const PRESETS_VERSION: u32 = 1;
const fn preset(cost_bps: i64, target_bps: i64, hours: u64) -> Preset {
    let max_age = Nanos::from_secs(hours * 3600);
    Preset { max_cost: Rate::from_bps(cost_bps), target: Rate::from_bps(target_bps), max_age }
}
const PRESETS: [(&str, Preset); 4] = [
    ("conservative", preset(30, 80, 4)),
    ("aggressive", preset(80, 40, 12)),
    ("high_fee", preset(50, 100, 6)),
    ("low_fee", preset(50, 30, 6)),
];

/// Defaults of SPEC §5.
const SIZE: Decimal = Decimal { mantissa: 20, scale: 0 };
const MAX_COST: Rate = Rate::from_bps(50);
const COOLDOWN: Nanos = Nanos::from_secs(300);
const LOSING_MAX: u32 = 3;
const COOLDOWN_BOUNDS: SpanBounds = SpanBounds::new(Nanos(0), Nanos::from_secs(7 * 86_400));
const COUNT_MAX: u32 = 1_000_000;

/// The tasks, and the policies of those that name a preset: they follow the configured ones.
pub(super) fn tasks(
    root: &Table<'_>,
    venues: &Lookup<Venue>,
    known: &mut Known<'_>,
    positions: &[PositionConfig],
) -> Option<(Vec<NamedTask>, Vec<NamedPolicy>)> {
    let Some(value) = root.get("task") else { return Some((Vec::new(), Vec::new())) };
    let entries = value.table("write each as [task.NAME]")?.named();
    let (mut all, mut policies) = (Vec::new(), Vec::new());
    let first = known.policies.items().count();
    if entries.len() > TASKS_MAX || first + entries.len() > POLICIES_MAX {
        value.problem(format!("at most {TASKS_MAX} are possible"), "split the configuration");
        return None;
    }
    let count = entries.len();
    for (name, value) in entries {
        let next = PolicyId((first + policies.len()) as u16);
        if let Some((task, policy)) = task(name, &value, next, venues, known, positions) {
            all.push(task);
            policies.extend(policy);
        }
    }
    (all.len() == count).then_some((all, policies))
}

/// The legs of what a task opens, before anything of them is known but whether the futures will have
/// a liquidation price: it follows from their entry.
pub(super) fn legs(spot: TaskLeg, futures: TaskLeg, liquidation: Option<Rate>) -> [LegConfig; 2] {
    [(spot, Side::Long), (futures, Side::Short)].map(|(leg, side)| LegConfig {
        account: leg.account,
        instrument: leg.instrument,
        side,
        entry: Entry::FirstQuote,
        qty: Qty::new(1).expect("one"),
        fees_paid: FeesPaid::Taker,
        funding: Decimal { mantissa: 0, scale: 0 },
        margin: None,
        liquidation: liquidation.filter(|_| side == Side::Short).map(|_| Price::ONE),
    })
}

fn task(
    name: &str,
    value: &Value<'_>,
    next: PolicyId,
    venues: &Lookup<Venue>,
    known: &mut Known<'_>,
    positions: &[PositionConfig],
) -> Option<(NamedTask, Option<NamedPolicy>)> {
    let table = value.table(&format!("write it as [task.{name}]"))?;
    let preset = match table.get("preset") {
        Some(value) => {
            let names = ["conservative", "aggressive", "high_fee", "low_fee"];
            let at = value.word(&[0, 1, 2, 3].map(|at| (names[at], at)));
            at.map(|at| Some(&PRESETS[at].1))
        }
        None => Some(None),
    };
    let policy = match (table.get("policy"), &preset) {
        (Some(_), Some(Some(_))) => {
            table.problem("policy and preset contradict each other", "keep one of the two");
            None
        }
        (Some(value), _) => known.policies.find(&value, "policy").map(|(at, _)| at),
        (None, Some(Some(_)) | None) => Some(usize::from(next.0)),
        (None, Some(None)) => {
            table.missing("policy", "name a [policy.NAME], or write preset = \"conservative\"");
            None
        }
    };
    let account = match table.get("account") {
        Some(value) => value.text("write a name, such as account = \"hedge\"").map(str::to_owned),
        None => Some("main".to_owned()),
    };
    let spot = leg(&table, "spot", account.as_deref(), venues, known);
    let futures = leg(&table, "futures", account.as_deref(), venues, known);
    let size = match table.get("size") {
        Some(value) => size(&value, spot, known),
        None => Some(SIZE),
    };
    let default_cost = preset.as_ref().and_then(|one| one.map(|one| one.max_cost));
    let max_cost = match table.get("max_cost") {
        Some(value) => value.rate(RateBounds::FLOOR),
        None => Some(default_cost.unwrap_or(MAX_COST)),
    };
    let cooldown = match table.get("cooldown") {
        Some(value) => value.span(COOLDOWN_BOUNDS),
        None => Some(COOLDOWN),
    };
    let count = |key, default| match table.get(key) {
        Some(value) => value.integer(1, COUNT_MAX),
        None => Some(default),
    };
    let losing_max = count("pause_after_losses", LOSING_MAX);
    let cycles_max = count("cycles", 0);
    let allowed = match table.get("allow_unreachable") {
        Some(value) => value.flag(),
        None => Some(false),
    };
    let liquidation = match table.get("liquidation") {
        Some(value) => value.rate(RateBounds::SHARE).map(Some),
        None => Some(None),
    };
    table.finish();
    let (spot, futures, preset, policy) = (spot?, futures?, preset?, policy?);
    let liquidation = liquidation?;
    let legs = legs(spot, futures, liquidation);
    let instruments: Vec<&NamedInstrument> = legs
        .iter()
        .filter_map(|leg| known.instruments.get(usize::from(leg.instrument.0)))
        .collect();
    let mut fits = fit(&table, &legs, &instruments, positions);
    if let Some(named) = known.policies.get(policy) {
        for said in &named.policy.rules {
            let misfit = misfit(said, &legs, &instruments);
            if let Some((what, remedy)) = misfit.or_else(|| at_once(&said.rule, liquidation)) {
                table.problem(format!("policy {}: {what}", named.name), remedy);
                fits = false;
            }
        }
    }
    let own = preset.map(|preset| {
        let mut policy = Policy::of([]);
        let threshold = Threshold::Rate { rate: preset.target, base: None };
        policy.rules = [
            Rule::Basis { threshold },
            Rule::Deadline {
                max_age: Some(preset.max_age),
                at: None,
                session_close: None,
                close_before: Nanos(0),
            },
        ]
        .map(RuleSpec::from)
        .to_vec();
        policy.version = PRESETS_VERSION;
        NamedPolicy { name: format!("task {name}"), policy, currency: None }
    });
    let spec = TaskSpec {
        policy: PolicyId(policy as u16),
        tag: 0,
        spot,
        futures,
        size: size?,
        max_cost: max_cost?,
        cooldown: cooldown?,
        losing_max: losing_max?,
        cycles_max: cycles_max?,
        unreachable: if allowed? { Unreachable::Allow } else { Unreachable::Warn },
        liquidation,
    };
    fits.then(|| (NamedTask { name: name.into(), spec }, own))
}

/// Why a rule would close what a task has just opened, and what to do.
fn at_once(rule: &Rule, liquidation: Option<Rate>) -> Option<(String, String)> {
    let Rule::Liquidation { threshold } = rule else { return None };
    let above = liquidation.filter(|above| above <= threshold)?;
    let what = format!(
        "liquidation within {} holds at the entry, {} from its price",
        words::rate(*threshold),
        words::rate(above)
    );
    Some((what, "lower the rule's threshold, or sell with less leverage".to_owned()))
}

fn leg(
    table: &Table<'_>,
    key: &'static str,
    account: Option<&str>,
    venues: &Lookup<Venue>,
    known: &mut Known<'_>,
) -> Option<TaskLeg> {
    let value = table.require(key, "write the name of an [instrument.NAME]")?;
    let (id, own) = known.instruments.find(&value, "instrument")?;
    let venue = own?.spec().venue;
    let is_spot = venues.get(usize::from(venue.0)).is_some_and(|venue| venue.kind.spot);
    if is_spot != (key == "spot") {
        let what = if is_spot { "is of a spot market" } else { "is of a futures market" };
        value.problem(what, "a task buys on a spot market and sells on a futures market");
        return None;
    }
    let account = known.account(venue, account?, table)?;
    Some(TaskLeg { account, instrument: InstrumentId(u16::try_from(id).ok()?) })
}

fn size(value: &Value<'_>, spot: Option<TaskLeg>, known: &Known<'_>) -> Option<Decimal> {
    let amount = value.amount()?;
    let own = known.instruments.get(usize::from(spot?.instrument.0))?;
    let currency = &known.currencies[usize::from(own.spec().currency.0)];
    if amount.currency != *currency {
        let what = format!("is in {}, its instruments are quoted in {currency}", amount.currency);
        value.problem(what, format!("write it in {currency}"));
        return None;
    }
    if amount.value.mantissa <= 0 || amount.value.amount_at(own.instrument.nano_scale()).is_none() {
        let what = "must be more than 0, and not finer than its instruments' money";
        value.problem(what, "write a positive amount such as \"20 USDT\"");
        return None;
    }
    Some(amount.value)
}

/// Whether the legs fit each other and what is held beside them.
fn fit(
    table: &Table<'_>,
    legs: &[LegConfig; 2],
    instruments: &[&NamedInstrument],
    positions: &[PositionConfig],
) -> bool {
    let [spot, futures] = instruments else { return false };
    if spot.spec().currency != futures.spec().currency {
        let what = format!("{} and {} are quoted in different currencies", spot.name, futures.name);
        table.problem(what, "use legs of one quote currency; conversions are not supported");
        return false;
    }
    for leg in legs {
        let against = positions.iter().find(|position| {
            position.legs.iter().any(|held| {
                (held.account, held.instrument) == (leg.account, leg.instrument)
                    && held.side != leg.side
            })
        });
        if let Some(position) = against {
            let what = format!("opposes position {}: the same instrument of the same account", {
                &position.name
            });
            table.problem(what, "a one-way account nets the two; use another account");
            return false;
        }
    }
    true
}
