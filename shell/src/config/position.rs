//! `[[position]]`: what is held, and under which policy.

use arrayvec::ArrayVec;
use reap_core::instrument::{AccountId, Instrument, InstrumentId, VenueId};
use reap_core::limits::{LEGS_MAX, PRICE_MAX, QTY_MAX};
use reap_core::policy::PolicyId;
use reap_core::position::{LegSpec, PositionSpec, Side};
use reap_core::tick::Quote;
use reap_core::units::{Decimal, Nanos, Price, Qty};
use toml::de::DeValue;

use super::instrument::{NamedInstrument, mantissa};
use super::keys::KeyNames;
use super::names::Lookup;
use super::policy::NamedPolicy;
use super::rules::point_in_time;
use super::units::Amount;
use super::walk::{Table, Value};
use super::words;

/// A position as it is configured: some of it may wait for the first quotes.
#[derive(Clone, Debug)]
pub struct PositionConfig {
    /// Its name.
    pub name: String,
    /// Its policy.
    pub policy: PolicyId,
    /// Operator's tag, an index into [`super::Config::tags`] plus one; 0 is none.
    pub tag: u32,
    /// When it was opened.
    pub opened: Opened,
    /// One to four legs.
    pub legs: ArrayVec<LegConfig, LEGS_MAX>,
}

/// When a position was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// Then.
    At(Nanos),
    /// As soon as every leg has a quote.
    FirstQuote,
}

/// A leg as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegConfig {
    /// Where it is held.
    pub account: AccountId,
    /// What is held.
    pub instrument: InstrumentId,
    /// Long or short.
    pub side: Side,
    /// Average entry price.
    pub entry: Entry,
    /// Quantity.
    pub qty: Qty,
    /// Fees paid for it.
    pub fees_paid: FeesPaid,
    /// Funding settled so far; positive was received.
    pub funding: Decimal,
    /// Margin that backs it.
    pub margin: Option<Decimal>,
    /// Where the venue liquidates it, as far as it is known.
    pub liquidation: Option<Price>,
}

/// Entry price of a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Known.
    At(Price),
    /// What an order would pay as soon as every leg has a quote: a long leg the ask, a short one the
    /// bid.
    FirstQuote,
}

/// Fees paid for a leg's entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeesPaid {
    /// Known.
    Amount(Decimal),
    /// The instrument's taker fee on the entry notional.
    Taker,
    /// The instrument's maker fee on the entry notional.
    Maker,
}

impl PositionConfig {
    /// What a task or a reversal has entered.
    #[must_use]
    pub fn entered(name: String, spec: &PositionSpec) -> Self {
        let leg = |leg: &LegSpec| LegConfig {
            account: leg.account,
            instrument: leg.instrument,
            side: leg.side,
            entry: Entry::At(leg.entry),
            qty: leg.qty,
            fees_paid: FeesPaid::Amount(leg.fees_paid),
            funding: leg.funding,
            margin: leg.margin,
            liquidation: None,
        };
        let legs = spec.legs.iter().map(leg).collect();
        let opened = Opened::At(spec.opened);
        Self { name, policy: spec.policy, tag: spec.tag, opened, legs }
    }

    /// The position to register, or `None` while it waits for a first quote: to be asked from its
    /// opening time on, whenever a quote comes. `latest` gives an instrument's latest quote and when
    /// it came; the entries are then the prices of one moment. `instruments` are the configuration's.
    #[must_use]
    pub fn resolve(
        &self,
        instruments: &[NamedInstrument],
        latest: impl Fn(InstrumentId) -> Option<(Nanos, Quote)>,
    ) -> Option<PositionSpec> {
        let mut seen = Nanos(0);
        let mut legs = ArrayVec::new();
        for leg in &self.legs {
            let quote = latest(leg.instrument);
            if self.opened == Opened::FirstQuote {
                seen = seen.max(quote?.0);
            }
            let entry = match (leg.entry, leg.side) {
                (Entry::At(price), _) => price,
                (Entry::FirstQuote, Side::Long) => quote?.1.ask,
                (Entry::FirstQuote, Side::Short) => quote?.1.bid,
            };
            let instrument = &instruments[usize::from(leg.instrument.0)].instrument;
            let at_rate = |rate| Decimal {
                mantissa: instrument.fee_nano(entry, leg.qty, rate),
                scale: instrument.nano_scale(),
            };
            legs.push(LegSpec {
                account: leg.account,
                instrument: leg.instrument,
                side: leg.side,
                entry,
                qty: leg.qty,
                fees_paid: match leg.fees_paid {
                    FeesPaid::Amount(amount) => amount,
                    FeesPaid::Taker => at_rate(instrument.spec().taker),
                    FeesPaid::Maker => at_rate(instrument.spec().maker),
                },
                funding: leg.funding,
                margin: leg.margin,
            });
        }
        let opened = match self.opened {
            Opened::At(at) => at,
            Opened::FirstQuote => seen,
        };
        Some(PositionSpec { policy: self.policy, opened, tag: self.tag, legs })
    }
}

/// An account: one set of keys at a venue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The venue.
    pub venue: VenueId,
    /// Its name; `main` where the configuration names none.
    pub name: String,
    /// Where its keys are found, if the configuration says so.
    pub keys: Option<KeyNames>,
}

/// What positions refer to.
pub(super) struct Known<'k> {
    pub(super) instruments: &'k Lookup<NamedInstrument>,
    pub(super) policies: &'k Lookup<NamedPolicy>,
    pub(super) currencies: &'k [String],
    pub(super) accounts: Vec<Account>,
    pub(super) tags: Vec<String>,
}

const ACCOUNT: &str = "main";
const FIRST_QUOTE: &str = "first quote";

/// The name that an entry of `[[position]]` gives itself, if it is readable.
pub(super) fn name_of<'a>(value: &Value<'a>) -> Option<&'a str> {
    match value.entry("name")? {
        DeValue::String(name) if !name.trim().is_empty() => Some(name.trim()),
        _ => None,
    }
}

/// A position, and its values for the errors that only all positions together show.
pub(super) fn position<'a>(
    value: &Value<'a>,
    known: &mut Known<'_>,
) -> Option<(PositionConfig, Vec<Value<'a>>)> {
    let table = value.table("write it as [[position]]")?;
    let name = table.require("name", "give the position a name, such as name = \"btc-pair\"");
    let name = name.and_then(|value| value.text("write a name in double quotes"));
    let policy = table.require("policy", "name one of the [policy.NAME]");
    let policy = policy.and_then(|value| known.policies.find(&value, "policy"));
    let tag = match table.get("tag") {
        Some(value) => {
            value.text("write a word, such as tag = \"pairs\"").map(|tag| known.tag(tag))
        }
        None => Some(0),
    };
    let remedy = "write opened = \"2026-01-31T21:00:00Z\" or opened = \"first quote\"";
    let opened = table.require("opened", remedy).and_then(|value| opened_of(&value));
    let example =
        "write legs = [{ instrument = \"…\", side = \"long\", entry = \"…\", qty = \"…\" }]";
    let legs = table.require("legs", example).and_then(|value| {
        let elements = value.array(example)?;
        if (1..=LEGS_MAX).contains(&elements.len()) {
            return Some(elements);
        }
        let what = format!("must be 1 to {LEGS_MAX} legs, these are {}", elements.len());
        value.problem(what, example);
        None
    });
    table.finish();
    let values = legs?;
    let legs: Vec<Option<LegConfig>> = values.iter().map(|leg| leg_of(leg, known)).collect();
    let legs: ArrayVec<LegConfig, LEGS_MAX> = legs.into_iter().collect::<Option<_>>()?;
    let (id, policy) = policy?;
    let fits = super::fit::fits(&table, &values, &legs, policy?, known);
    let position = PositionConfig {
        name: name?.to_owned(),
        policy: PolicyId(u16::try_from(id).ok()?),
        tag: tag?,
        opened: opened?,
        legs,
    };
    fits.then_some((position, values))
}

fn opened_of(value: &Value<'_>) -> Option<Opened> {
    match value.node() {
        DeValue::String(text) if text.trim() == FIRST_QUOTE => Some(Opened::FirstQuote),
        DeValue::String(text) if text.trim().ends_with("ns") => {
            let number = text.trim().trim_end_matches("ns").trim_end();
            let at = number.parse().ok().map(|at| Opened::At(Nanos(at)));
            if at.is_none() {
                value.problem("is not a number of nanoseconds", "write digits and ns");
            }
            at
        }
        DeValue::Integer(number) => value.no_unit(&format!(
            r#"write "{number} ns" since 1970, or a date such as "2026-01-31T21:00:00Z""#
        )),
        _ => point_in_time(value).map(Opened::At),
    }
}

fn leg_of(value: &Value<'_>, known: &mut Known<'_>) -> Option<LegConfig> {
    let table = value.table("write a leg as { instrument, side, entry, qty }")?;
    let instrument = table.require("instrument", "name one of the [instrument.NAME]");
    let instrument = instrument.and_then(|value| known.instruments.find(&value, "instrument"));
    let own = instrument.as_ref().and_then(|(_, instrument)| *instrument);
    let account = match table.get("account") {
        Some(value) => value.text("write a name, such as account = \"hedge\""),
        None => Some(ACCOUNT),
    };
    let side = table.require("side", "write side = \"long\" or side = \"short\"");
    let side = side.and_then(|value| {
        Some((value.word(&[("long", Side::Long), ("short", Side::Short)])?, value))
    });
    let entry = table.require("entry", "write a price or entry = \"first quote\"");
    let entry = entry.and_then(|value| entry_of(&value, own));
    let qty = table.require("qty", "write a quantity, such as qty = \"0.5\"");
    let qty = qty.and_then(|value| qty_of(&value, own));
    let fees_paid = match table.get("fees_paid") {
        Some(value) => fees_of(&value, own, known.currencies),
        None => Some(FeesPaid::Amount(NOUGHT)),
    };
    let funding = match table.get("funding") {
        Some(value) => amount_of(&value, own, known.currencies),
        None => Some(NOUGHT),
    };
    let margin = match table.get("margin") {
        Some(value) => margin_of(&value, own, known.currencies).map(Some),
        None => Some(None),
    };
    let liquidation = match table.get("liquidation") {
        Some(value) => price_of(&value, own).map(Some),
        None => Some(None),
    };
    table.finish();
    let (id, own) = (instrument?.0, own?);
    let account = known.account(own.spec().venue, account?, &table);
    Some(LegConfig {
        account: account?,
        instrument: InstrumentId(u16::try_from(id).ok()?),
        side: side?.0,
        entry: entry?,
        qty: qty?,
        fees_paid: fees_paid?,
        funding: funding?,
        margin: margin?,
        liquidation: liquidation?,
    })
}

const NOUGHT: Decimal = Decimal { mantissa: 0, scale: 0 };

fn entry_of(value: &Value<'_>, own: Option<&NamedInstrument>) -> Option<Entry> {
    if matches!(value.node(), DeValue::String(text) if text.trim() == FIRST_QUOTE) {
        return Some(Entry::FirstQuote);
    }
    if let DeValue::String(text) = value.node()
        && text.trim().starts_with(|c: char| c.is_alphabetic())
    {
        let remedy = "write a price, or entry = \"first quote\"";
        value.problem("is neither a price nor \"first quote\"", remedy);
        return None;
    }
    price_of(value, own).map(Entry::At)
}

/// A price that is exact at the instrument's scale.
pub(super) fn price_of(value: &Value<'_>, own: Option<&NamedInstrument>) -> Option<Price> {
    let price = mantissa(value, value.positive()?, own?.spec().price_scale, PRICE_MAX)?;
    Price::new(price).ok()
}

fn qty_of(value: &Value<'_>, own: Option<&NamedInstrument>) -> Option<Qty> {
    let number = value.positive()?;
    let spec = own?.spec();
    let qty = mantissa(value, number, spec.qty_scale, QTY_MAX)?;
    if qty % spec.lot != 0 {
        let lot = words::mantissa(spec.lot, spec.qty_scale);
        let rounded = words::mantissa(qty - qty % spec.lot, spec.qty_scale);
        let what = format!("is not a multiple of the lot of {lot}");
        value.problem(what, format!("write a multiple, such as {rounded}"));
        return None;
    }
    Qty::new(qty).ok()
}

fn fees_of(
    value: &Value<'_>,
    own: Option<&NamedInstrument>,
    currencies: &[String],
) -> Option<FeesPaid> {
    match value.node() {
        DeValue::String(text) if text.trim().starts_with(|c: char| c.is_alphabetic()) => {
            value.word(&[("taker", FeesPaid::Taker), ("maker", FeesPaid::Maker)])
        }
        _ => amount_of(value, own, currencies).map(FeesPaid::Amount),
    }
}

fn margin_of(
    value: &Value<'_>,
    own: Option<&NamedInstrument>,
    currencies: &[String],
) -> Option<Decimal> {
    let amount = amount_of(value, own, currencies)?;
    if amount.mantissa <= 0 {
        value.problem("must be more than 0", "write a positive amount such as \"500 USDT\"");
        return None;
    }
    Some(amount)
}

/// An amount in the currency that the leg's instrument is quoted in.
fn amount_of(
    value: &Value<'_>,
    own: Option<&NamedInstrument>,
    currencies: &[String],
) -> Option<Decimal> {
    let Amount { value: number, currency } = value.amount()?;
    let own = own?;
    let quote = &currencies[usize::from(own.spec().currency.0)];
    if *quote != currency {
        let what = format!("is in {currency}, the leg is quoted in {quote}");
        value.problem(what, format!("write it in {quote}"));
        return None;
    }
    if fits_amount(&own.instrument, number) {
        return Some(number);
    }
    let what = "has too many digits for the instrument";
    value.problem(what, "write a smaller amount or fewer decimals");
    None
}

/// Whether an amount is exact and within bounds at the instrument's nano scale.
pub(super) fn fits_amount(instrument: &Instrument, amount: Decimal) -> bool {
    let max = reap_core::limits::AMOUNT_MAX;
    amount.at_scale(instrument.nano_scale()).is_some_and(|nano| (-max..=max).contains(&nano))
}

impl Known<'_> {
    /// The tag's number, from 1.
    fn tag(&mut self, tag: &str) -> u32 {
        let index = self.tags.iter().position(|known| known == tag).unwrap_or_else(|| {
            self.tags.push(tag.into());
            self.tags.len() - 1
        });
        u32::try_from(index + 1).expect("there are fewer tags than positions")
    }

    pub(super) fn account(
        &mut self,
        venue: VenueId,
        name: &str,
        table: &Table<'_>,
    ) -> Option<AccountId> {
        let known = self.accounts.iter();
        let mut known = known.map(|known| known.venue == venue && known.name == name);
        let index = known.position(|same| same).unwrap_or_else(|| {
            self.accounts.push(Account { venue, name: name.into(), keys: None });
            self.accounts.len() - 1
        });
        let id = u8::try_from(index).ok().map(AccountId);
        if id.is_none() {
            table.problem("more than 256 accounts", "split the configuration");
        }
        id
    }
}
