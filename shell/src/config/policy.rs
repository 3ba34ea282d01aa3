//! `[policy.NAME]`: rules, what their net counts, and how exits are ordered.
//!
//! A rule that is not named is off. A rule is named by its shorthand, `take_profit = "0.2%"`, or by
//! a table, `take_profit = { at = "0.2%", base = "gross" }`, whose missing keys have defaults. Any
//! number of rules, several of a kind among them, stand as `[[policy.NAME.rule]]` with their `kind`.

use reap_core::instrument::CurrencyId;
use reap_core::limits::{FUNDING_HOLD_MAX, PPB, PPB_DIGITS};
use reap_core::policy::{AssetClass, FeeMode, Policy, Rule, RuleSpec};
use reap_core::units::{Nanos, Rate};
use toml::de::DeValue;

use super::blind;
use super::exit::exit_settings;
use super::instrument::NamedInstrument;
use super::names::{Currencies, Lookup};
use super::rules;
use super::units::{Amount, Measure};
use super::value::{RateBounds, SpanBounds};
use super::walk::{Table, Value};

/// A policy with its name.
#[derive(Clone, Debug)]
pub struct NamedPolicy {
    /// Its name in the configuration.
    pub name: String,
    /// The policy.
    pub policy: Policy,
    /// The currency of its amounts; `None` when it has none.
    pub currency: Option<CurrencyId>,
}

/// What is read of a policy, or of a portfolio, beside its rules: the one currency of its amounts.
pub(super) struct PolicyMoney<'c> {
    whose: &'static str,
    currencies: &'c mut Currencies,
    first: Option<(String, CurrencyId)>,
}

impl<'c> PolicyMoney<'c> {
    /// Nothing is read yet.
    pub(super) fn of(whose: &'static str, currencies: &'c mut Currencies) -> Self {
        Self { whose, currencies, first: None }
    }

    /// The currency of what was read.
    pub(super) fn currency(&self) -> Option<CurrencyId> {
        self.first.as_ref().map(|(_, id)| *id)
    }

    /// An amount: every one has the same currency, because the legs of a position do.
    pub(super) fn accept(
        &mut self,
        value: &Value<'_>,
        table: &Table<'_>,
        amount: &Amount,
    ) -> Option<()> {
        match &self.first {
            Some((first, _)) if *first == amount.currency => Some(()),
            Some((first, _)) => {
                let what = format!(
                    "is in {}, another amount of {} in {first}",
                    amount.currency, self.whose
                );
                value.problem(what, format!("write it in {first}"));
                None
            }
            None => {
                let id = self.currencies.id(&amount.currency, table)?;
                self.first = Some((amount.currency.clone(), id));
                Some(())
            }
        }
    }
}

const FEE_MODES: [(&str, FeeMode); 3] =
    [("net", FeeMode::Net), ("entry_only", FeeMode::EntryOnly), ("gross", FeeMode::Gross)];
pub(super) const CLASSES: [(&str, AssetClass); 4] = [
    ("major", AssetClass::Major),
    ("regular", AssetClass::Regular),
    ("meme", AssetClass::Meme),
    ("token", AssetClass::Token),
];
/// How near a settlement of funding may have to be for an exit to wait for it.
const FUNDING_HOLDS: SpanBounds = SpanBounds::new(Nanos::from_secs(1), FUNDING_HOLD_MAX);
/// Largest `fee_buffer`: four times the fee.
const FEE_BUFFER_MAX: i128 = 4 * PPB as i128;

pub(super) fn policy(
    name: &str,
    value: &Value<'_>,
    instruments: &Lookup<NamedInstrument>,
    currencies: &mut Currencies,
) -> Option<NamedPolicy> {
    let table = value.table(&format!("write it as [policy.{name}]"))?;
    let mut money = PolicyMoney::of("the policy", currencies);
    let class = class(&table);
    let rules = rules::rules(&table, instruments, &mut money);
    let version = match table.get("version") {
        Some(value) => value.integer(1, u32::MAX),
        None => Some(1),
    };
    let fees = match table.get("fees") {
        Some(value) => value.word(&FEE_MODES),
        None => Some(FeeMode::Net),
    };
    let fee_buffer = match table.get("fee_buffer") {
        Some(value) => fee_buffer(&value),
        None => Some(PPB as u32),
    };
    let slippage_reserve = match table.get("slippage_reserve") {
        Some(value) => value.rate(RateBounds::FLOOR),
        None => Some(Rate::ZERO),
    };
    let blind = match table.get("blind") {
        Some(value) => blind::blind(&value),
        None => Some(Default::default()),
    };
    let hold_for_funding = match table.get("hold_for_funding") {
        Some(value) => hold_for_funding(&value, rules.as_deref()).map(Some),
        None => Some(None),
    };
    let exit = match table.get("exit") {
        Some(value) => exit_settings(&value, &mut money),
        None => Some(Default::default()),
    };
    table.finish();
    let rules = rules?;
    if rules.is_empty() {
        let rule = "take_profit = \"0.2%\" or stop_loss = \"2%\"";
        table.problem("has no rule and would never close anything", format!("add {rule}"));
        return None;
    }
    let mut policy = Policy::of([]);
    policy.rules = rules;
    policy.version = version?;
    policy.fees = fees?;
    policy.fee_buffer_ppb = fee_buffer?;
    policy.slippage_reserve = slippage_reserve?;
    policy.blind = blind?;
    policy.hold_for_funding = hold_for_funding?;
    policy.exit = exit?;
    policy.class = class?;
    let currency = money.currency();
    Some(NamedPolicy { name: name.into(), policy, currency })
}

/// `hold_for_funding`: how near a settlement must be for the rules that wait; one of them is there.
fn hold_for_funding(value: &Value<'_>, rules: Option<&[RuleSpec]>) -> Option<Nanos> {
    let waits = |rule: &Rule| {
        is_opportunistic(rule) || matches!(rule, Rule::Deadline { .. } | Rule::FundingFlip { .. })
    };
    if rules.is_some_and(|rules| !rules.iter().any(|said| waits(&said.rule))) {
        value.problem(
            "holds nothing: the policy has no rule that waits",
            "add take_profit, tiers, basis, a deadline or funding_flip, or leave it out",
        );
        return None;
    }
    value.span(FUNDING_HOLDS)
}

/// `class`: the kind of asset that a policy is for.
pub(super) fn class(policy: &Table<'_>) -> Option<AssetClass> {
    policy.get("class").map_or(Some(AssetClass::default()), |value| value.word(&CLASSES))
}

/// The name of a kind of asset.
pub(super) fn class_name(class: AssetClass) -> &'static str {
    let known = CLASSES.iter().find(|(_, known)| *known == class);
    known.map_or("", |(name, _)| name)
}

/// A factor on the exit's fees, `1.1` or `"110%"`: at least one, because less would claim a profit
/// that is not there.
pub(super) fn fee_buffer(value: &Value<'_>) -> Option<u32> {
    let remedy = "write a factor from 1 to 4, such as fee_buffer = 1.1";
    let parts = match value.node() {
        DeValue::Integer(_) | DeValue::Float(_) => value.decimal()?.at_scale(PPB_DIGITS),
        _ => match value.measure(&["110%"])? {
            Measure::Rate(parts) => Some(parts),
            Measure::Bare(number) => number.at_scale(PPB_DIGITS),
            other => return value.wanted(&other, "a factor", remedy),
        },
    };
    let parts = parts.filter(|parts| (i128::from(PPB)..=FEE_BUFFER_MAX).contains(parts));
    let parts = parts.and_then(|parts| u32::try_from(parts).ok());
    if parts.is_none() {
        value.problem(
            "must be a factor of at least 1 and at most 4 with at most 9 decimals",
            remedy,
        );
    }
    parts
}

/// Whether a rule takes profit without being told to by a risk: what `take_profit.enabled = false`
/// switches off.
pub(super) const fn is_opportunistic(rule: &Rule) -> bool {
    matches!(
        rule,
        Rule::TakeProfit { .. } | Rule::Decay { .. } | Rule::Tiers { .. } | Rule::Basis { .. }
    )
}
