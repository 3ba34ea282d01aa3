//! `[[switch]]`: while running, positions go over to another policy, a rule of theirs is switched on
//! or off, or what is opened from then on gets a newer version of its policy.

use reap_core::policy::PolicyId;

use super::fit;
use super::names::Lookup;
use super::policy::NamedPolicy;
use super::position::{Known, PositionConfig};
use super::rules::kind_of;
use super::task::{self, NamedTask};
use super::timed::{self, Input, Target, TimedInput};
use super::venue::Venue;
use super::walk::{Table, Value};

const FORMS: &str = "write policy = \"NAME\" or rule = \"stop_loss\" and on = false for some positions, or of = \
                     \"NAME\" and policy = \"NAME\" for what is opened from then on";

pub(super) fn switch(
    value: &Value<'_>,
    venues: &Lookup<Venue>,
    positions: &[PositionConfig],
    tasks: &[NamedTask],
    known: &Known<'_>,
) -> Option<TimedInput> {
    let table = value.table("write it as [[switch]]")?;
    let when = timed::when(&table);
    let aims = ["position", "venue", "tag", "all"].iter().any(|key| value.entry(key).is_some());
    let target = if aims { timed::target(&table, venues, positions, &known.tags) } else { None };
    let named = |key| table.get(key).map(|value| known.policies.find(&value, "policy"));
    let (policy, of) = (named("policy"), named("of"));
    let (rule, on) = (table.get("rule"), table.get("on"));
    table.finish();
    let input = match (aims, policy, of, rule) {
        (true, Some(policy), None, None) if on.is_none() => {
            let (policy, target) = (id_of(policy?)?, target?);
            let held = meant(target, positions, known);
            all_suit(&table, &held, policy, known, venues)
                .then_some(Input::Policy { target, policy: policy.0 })
        }
        (true, None, of, Some(rule)) => {
            let of = match of {
                Some(of) => id_of(of?)?,
                None => id_of(own_policy(&table, target?, positions, known)?)?,
            };
            let on = match on {
                Some(on) => on.flag(),
                None => {
                    table.missing("on", "write on = true or on = false");
                    None
                }
            };
            let rule = rule_of(&rule, of.1);
            Some(Input::Rule { target: target?, policy: of.0, rule: rule?, on: on? })
        }
        (false, Some(policy), Some(of), None) if on.is_none() => {
            let (policy, of) = (id_of(policy?)?, id_of(of?)?);
            let named: Vec<_> = positions.iter().filter(|one| one.policy == of.0).collect();
            let tasks = tasks.iter().filter(|one| one.spec.policy == of.0);
            // All that does not suit is reported.
            let tasks = tasks.filter(|one| !suits_task(&table, one, policy, known)).count() == 0;
            (all_suit(&table, &named, policy, known, venues) && tasks)
                .then_some(Input::Commit { of: of.0, policy: policy.0 })
        }
        _ => {
            table.problem("does not say what is switched to what", FORMS);
            None
        }
    };
    Some(TimedInput { when: when?, input: input? })
}

/// A policy that was read, with its id.
fn id_of(found: (usize, Option<&NamedPolicy>)) -> Option<(PolicyId, &NamedPolicy)> {
    Some((PolicyId(u16::try_from(found.0).ok()?), found.1?))
}

/// The policy of the one position that is meant.
fn own_policy<'k>(
    table: &Table<'_>,
    target: Target,
    positions: &[PositionConfig],
    known: &Known<'k>,
) -> Option<(usize, Option<&'k NamedPolicy>)> {
    let Target::Position(at) = target else {
        table.missing("of", "name the policy whose rule is meant, such as of = \"pair\"");
        return None;
    };
    let id = usize::from(positions.get(at)?.policy.0);
    Some((id, known.policies.get(id)))
}

/// `"stop_loss"`, or `"stop_loss 2"` for the second of the kind.
fn rule_of(value: &Value<'_>, policy: &NamedPolicy) -> Option<u8> {
    let text = value.text("write the kind of a rule, such as \"stop_loss\"")?;
    let names = names_of(policy);
    let wanted = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let found = names.iter().position(|name| *name == wanted);
    if found.is_none() {
        let what = format!("policy {} has no such rule", policy.name);
        value.problem(what, format!("it has {}", names.join(", ")));
    }
    found.and_then(|at| u8::try_from(at).ok())
}

/// The kinds of a policy's rules; the second of a kind and those after it have their number.
fn names_of(policy: &NamedPolicy) -> Vec<String> {
    let kinds: Vec<_> = policy.policy.rules.iter().map(|said| kind_of(&said.rule)).collect();
    let name = |(at, kind): (usize, &&str)| match kinds[..at]
        .iter()
        .filter(|other| *other == kind)
        .count()
    {
        0 => (*kind).to_owned(),
        before => format!("{kind} {}", before + 1),
    };
    kinds.iter().enumerate().map(name).collect()
}

/// The positions that a target means.
fn meant<'p>(
    target: Target,
    positions: &'p [PositionConfig],
    known: &Known<'_>,
) -> Vec<&'p PositionConfig> {
    let is_meant = |(at, one): (usize, &PositionConfig)| match target {
        Target::Position(own) => own == at,
        Target::Tag(tag) => one.tag == tag,
        Target::All => true,
        Target::Venue(venue) => one.legs.iter().any(|leg| {
            let instrument = known.instruments.get(usize::from(leg.instrument.0));
            instrument.is_some_and(|instrument| instrument.spec().venue == venue)
        }),
    };
    let all = positions.iter().enumerate();
    all.filter(|&(at, one)| is_meant((at, one))).map(|(_, one)| one).collect()
}

/// Whether a policy suits all of these positions; reports one that it does not.
fn all_suit(
    table: &Table<'_>,
    held: &[&PositionConfig],
    (_, policy): (PolicyId, &NamedPolicy),
    known: &Known<'_>,
    venues: &Lookup<Venue>,
) -> bool {
    held.iter().all(|one| {
        let of = format!("position {}", one.name);
        if fit::turns_on_spot(policy, &one.legs, known, venues) {
            let what = format!(
                "{of}: policy {}: its reversal can enter nothing short on a spot market",
                policy.name
            );
            table.problem(what, "leave enter out of that reversal");
            return false;
        }
        if fit::marks_on_spot(policy, &one.legs, known, venues) {
            let what = format!("{of}: policy {}: a spot market has no mark price", policy.name);
            table.problem(what, "write source = \"last\" in that policy, or leave source out");
            return false;
        }
        let exits = same_exits(table, &of, one.policy, policy, known);
        exits && fit::suits(table, Some(&of), &one.legs, policy, known)
    })
}

/// Whether a policy suits what a task opens from then on; reports what does not.
fn suits_task(
    table: &Table<'_>,
    task: &NamedTask,
    (_, policy): (PolicyId, &NamedPolicy),
    known: &Known<'_>,
) -> bool {
    let of = format!("task {}", task.name);
    let legs = task::legs(task.spec.spot, task.spec.futures, task.spec.liquidation);
    let exits = same_exits(table, &of, task.spec.policy, policy, known);
    exits && fit::suits(table, Some(&of), &legs, policy, known)
}

fn same_exits(
    table: &Table<'_>,
    of: &str,
    own: PolicyId,
    policy: &NamedPolicy,
    known: &Known<'_>,
) -> bool {
    let own = known.policies.get(usize::from(own.0));
    let same = own.is_none_or(|own| own.policy.exit == policy.policy.exit);
    if !same {
        let what = format!("policy {} orders its exits otherwise than that of {of}", policy.name);
        table.problem(what, "give both policies the same exit settings: they stay as opened");
    }
    same
}
