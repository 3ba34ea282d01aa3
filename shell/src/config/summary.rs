//! What was understood of a configuration, and what its thresholds come to in prices and amounts.

use reap_core::limits::{PPB, PPB_DIGITS};
use reap_core::policy::{Base, Blind, Distance, Rule, Threshold};
use reap_core::position::Side;
use reap_core::units::{Decimal, Rate, div_ceil, div_floor};

use super::position::{Entry, FeesPaid, LegConfig, Opened, PositionConfig};
use super::time::format_instant;
use super::words;
use super::{Config, NamedInstrument};

impl Config {
    /// The whole configuration in words, line by line, with every default that is in force.
    #[must_use]
    pub fn summary(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut section = |title: &str, body: Vec<String>| {
            if !body.is_empty() {
                lines.push(format!("{title}:"));
                lines.extend(body.into_iter().map(|line| format!("  {line}")));
            }
        };
        for (title, body) in self.setup() {
            section(title, body);
        }
        section(
            "venues",
            self.venues
                .iter()
                .map(|venue| {
                    format!(
                        "{} ({}): taker {}, maker {}, paper fills after {}; {}",
                        venue.name,
                        venue.kind.name,
                        words::rate(venue.taker),
                        words::rate(venue.maker),
                        words::span(venue.latency),
                        words::budget(&venue.budget)
                    )
                })
                .collect(),
        );
        section(
            "recordings",
            self.sources
                .iter()
                .map(|source| {
                    let venue = &self.venues[usize::from(source.venue.0)].name;
                    format!("files named …{}… are of {venue}", source.text)
                })
                .collect(),
        );
        section(
            "instruments",
            self.instruments.iter().flat_map(|one| self.instrument(one)).collect(),
        );
        section(
            "policies",
            (0..self.policies.len()).flat_map(|index| self.policy(index)).collect(),
        );
        section("portfolio", self.portfolio_words());
        section("tasks", self.task_words());
        section("positions", self.positions.iter().flat_map(|one| self.position(one)).collect());
        section(
            "gates",
            vec![format!(
                "a source is live for {} after its last frame; legs may be {} apart; a jump waits {}; \
                 an entry may be {} times off the live price",
                words::span(self.gates.liveness),
                words::span(self.gates.max_leg_skew),
                words::span(self.gates.jump_hold),
                self.gates.entry_factor
            )],
        );
        lines
    }

    fn instrument(&self, one: &NamedInstrument) -> Vec<String> {
        let spec = one.spec();
        let venue = &self.venues[usize::from(spec.venue.0)].name;
        let currency = &self.currencies[usize::from(spec.currency.0)];
        let mut lines =
            vec![format!("{}: {} at {venue}, quoted in {currency}", one.name, one.symbol)];
        lines.extend(words::instrument(spec, currency).into_iter().map(|line| format!("  {line}")));
        lines.extend(spec.peer.map(|peer| {
            format!("  jumps are confirmed by {}", self.instruments[usize::from(peer.0)].name)
        }));
        lines
    }

    /// A policy's rules and settings in words.
    fn policy(&self, index: usize) -> Vec<String> {
        let one = &self.policies[index];
        let currency = one.currency.map_or("", |id| &self.currencies[usize::from(id.0)]);
        let mut lines = vec![format!("{} (version {}):", one.name, one.policy.version)];
        let rules = one.policy.rules.iter().map(|said| {
            let off = if said.on { "" } else { " (off until it is switched on)" };
            words::said(said, currency) + off
        });
        lines.extend(rules.map(|line| format!("  {line}")));
        lines.push(format!("  {}", words::fees(&one.policy)));
        if one.policy.blind != Blind::Hold {
            lines.push(format!("  {}", words::blind(one.policy.blind)));
        }
        if let Some(near) = one.policy.hold_for_funding {
            lines.push(format!("  {}", words::hold_for_funding(near)));
        }
        lines.extend(
            words::exit(&one.policy.exit, currency).into_iter().map(|line| format!("  {line}")),
        );
        lines
    }

    /// A position, its legs, and what the thresholds of its rules come to.
    fn position(&self, one: &PositionConfig) -> Vec<String> {
        let policy = &self.policies[usize::from(one.policy.0)];
        let opened = match one.opened {
            Opened::At(at) => format!("opened {}", format_instant(at)),
            Opened::FirstQuote => "opens as soon as every leg has a quote".into(),
        };
        let tag = match one.tag {
            0 => String::new(),
            tag => format!(", tag {}", self.tags[tag as usize - 1]),
        };
        let mut lines = vec![format!("{}: policy {}, {opened}{tag}", one.name, policy.name)];
        lines.extend(one.legs.iter().map(|leg| format!("  {}", self.leg(leg))));
        lines.extend(self.thresholds(one).into_iter().map(|line| format!("  {line}")));
        lines
    }

    fn leg(&self, leg: &LegConfig) -> String {
        let own = &self.instruments[usize::from(leg.instrument.0)];
        let spec = own.spec();
        let currency = &self.currencies[usize::from(spec.currency.0)];
        let qty = words::mantissa(leg.qty.raw(), spec.qty_scale);
        let (side, first) = match leg.side {
            Side::Long => ("long", "the ask then"),
            Side::Short => ("short", "the bid then"),
        };
        let entry = match leg.entry {
            Entry::At(price) => words::mantissa(price.raw(), spec.price_scale),
            Entry::FirstQuote => first.into(),
        };
        let fees = match leg.fees_paid {
            FeesPaid::Amount(amount) => words::amount(amount, currency),
            FeesPaid::Taker => format!("taker, {}", words::rate(spec.taker)),
            FeesPaid::Maker => format!("maker, {}", words::rate(spec.maker)),
        };
        let mut text = format!("{side} {qty} {} at {entry}, fees paid {fees}", own.name);
        if leg.funding.mantissa != 0 {
            text += &format!(", funding {}", words::amount(leg.funding, currency));
        }
        if let Some(margin) = leg.margin {
            text += &format!(", margin {}", words::amount(margin, currency));
        }
        if let Some(at) = leg.liquidation {
            text += &format!(", liquidation at {}", words::mantissa(at.raw(), spec.price_scale));
        }
        let account = &self.accounts[usize::from(leg.account.0)].name;
        if account != "main" {
            text += &format!(", account {account}");
        }
        text
    }

    /// The thresholds that known entries give: prices of price rules, amounts of the others. Nothing
    /// where an entry waits for its first quote.
    fn thresholds(&self, one: &PositionConfig) -> Vec<String> {
        let known = Known::of(self, one);
        let Some(known) = known else { return Vec::new() };
        let policy = &self.policies[usize::from(one.policy.0)].policy;
        policy.rules.iter().flat_map(|said| known.threshold(&said.rule)).collect()
    }
}

/// A position whose entries are all known.
struct Known<'c> {
    config: &'c Config,
    position: &'c PositionConfig,
    /// Entry prices, in the legs' own scales.
    entries: Vec<i64>,
    currency: &'c str,
}

impl<'c> Known<'c> {
    fn of(config: &'c Config, position: &'c PositionConfig) -> Option<Self> {
        let entry = |leg: &LegConfig| match leg.entry {
            Entry::At(price) => Some(price.raw()),
            Entry::FirstQuote => None,
        };
        let entries = position.legs.iter().map(entry).collect::<Option<_>>()?;
        Some(Self { config, position, entries, currency: config.currency_of(position) })
    }

    fn threshold(&self, rule: &Rule) -> Vec<String> {
        let single = self.position.legs.len() == 1;
        match rule {
            Rule::TakeProfit { threshold } => self.net("take_profit", *threshold),
            Rule::Basis { threshold } => self.net("basis", *threshold),
            Rule::Tiers { base, tiers } => tiers
                .iter()
                .map(|tier| format!("tier at net ≥ {}", self.share(tier.at, *base)))
                .collect(),
            Rule::StopLoss { distance, .. } if single => {
                vec![format!("stop_loss at {}", self.adverse(*distance))]
            }
            Rule::StopLoss { distance, base } => {
                vec![format!("stop_loss at net ≤ -{}", self.share(*distance, *base))]
            }
            Rule::TrailingStop { distance: Distance::Rate(far), activation: None, .. }
                if single =>
            {
                vec![format!(
                    "trailing_stop at {} until the price moves in favour",
                    self.adverse(*far)
                )]
            }
            Rule::TrailingStop { activation: Some(gain), .. } if single => {
                vec![format!("trailing_stop from {} on", self.favourable(*gain))]
            }
            Rule::TrailingProfit { activation, floor, .. } if single => vec![format!(
                "trailing_profit from {} on, then never beyond {}",
                self.favourable(*activation),
                self.favourable(*floor).replace(['≥', '≤'], "").trim_start()
            )],
            Rule::Decay { threshold, steps } => {
                let mut lines = self.net("take_profit", *threshold);
                lines.extend(steps.iter().flat_map(|step| {
                    let name = format!("take_profit from the age of {} on", words::span(step.age));
                    self.net(&name, step.threshold)
                }));
                lines
            }
            Rule::Liquidation { threshold } => self.liquidations(*threshold),
            Rule::BreakEven { activation, offset } => vec![format!(
                "break_even from {} on, then {}",
                self.favourable(*activation),
                self.adverse(Rate::new(-offset.raw()).expect("a rate's negative is a rate"))
            )],
            Rule::ProfitErosion { minimum, .. } => self.net("profit_erosion begins", *minimum),
            _ => Vec::new(),
        }
    }

    fn net(&self, rule: &str, threshold: Threshold) -> Vec<String> {
        let amount = match threshold {
            Threshold::Amount(value) => words::amount(value, self.currency),
            Threshold::Rate { rate, base } => self.share(rate, base),
        };
        vec![format!("{rule} at net ≥ {amount}")]
    }

    /// A percentage of the position's base, as an amount.
    fn share(&self, rate: Rate, base: Option<Base>) -> String {
        let notional = |(leg, &entry): (&LegConfig, &i64)| {
            let own = &self.config.instruments[usize::from(leg.instrument.0)];
            let product =
                i128::from(entry) * i128::from(leg.qty.raw()) * own.spec().multiplier.mantissa;
            (product, own.instrument.nano_scale() - PPB_DIGITS)
        };
        let parts: Vec<(i128, u8)> = match base {
            Some(Base::Amount(amount)) => vec![(amount.mantissa, amount.scale)],
            Some(Base::Margin) => {
                let margins = self.position.legs.iter().filter_map(|leg| leg.margin);
                margins.map(|margin| (margin.mantissa, margin.scale)).collect()
            }
            _ => self.position.legs.iter().zip(&self.entries).map(notional).collect(),
        };
        let scale = parts.iter().map(|(_, scale)| *scale).max().unwrap_or_default();
        let aligned = parts.iter().map(|(value, own)| value * 10i128.pow(u32::from(scale - own)));
        let larger = match base {
            None => self.position.legs.len() > 1,
            Some(base) => base == Base::MaxLeg,
        };
        let of: i128 = if larger { aligned.max().unwrap_or_default() } else { aligned.sum() };
        let Some(mantissa) = of.checked_mul(i128::from(rate.raw())) else {
            return format!("{} of an amount too large to print", words::rate(rate));
        };
        let value = Decimal { mantissa, scale: scale + PPB_DIGITS };
        words::amount(value, self.currency)
    }

    /// The price of a one-leg position that lies against it by this share: a stop holds there.
    fn adverse(&self, distance: Rate) -> String {
        let factor = |sign: i64| i128::from(PPB + sign * distance.raw());
        self.price(factor(-1), factor(1), false)
    }

    /// The price of a one-leg position that lies in its favour by this share.
    fn favourable(&self, gain: Rate) -> String {
        let factor = |sign: i64| i128::from(PPB + sign * gain.raw());
        self.price(factor(1), factor(-1), true)
    }

    /// The mark prices at which the legs with a liquidation price are this near to it.
    fn liquidations(&self, near: Rate) -> Vec<String> {
        let line = |leg: &LegConfig| {
            let own = &self.config.instruments[usize::from(leg.instrument.0)];
            let at = i128::from(leg.liquidation?.raw()) * i128::from(PPB);
            let (cmp, price) = match leg.side {
                Side::Long => ("≤", div_floor(at, i128::from(PPB - near.raw()))),
                Side::Short => ("≥", div_ceil(at, i128::from(PPB + near.raw()))),
            };
            let price = Decimal { mantissa: price, scale: own.spec().price_scale };
            let price = words::amount(price, self.currency);
            Some(format!("liquidation at a mark price of {} {cmp} {price}", own.name))
        };
        self.position.legs.iter().filter_map(line).collect()
    }

    /// Entry times a factor in parts per billion, by side, at the first price that satisfies it.
    fn price(&self, long: i128, short: i128, favourable: bool) -> String {
        let leg = &self.position.legs[0];
        let own = &self.config.instruments[usize::from(leg.instrument.0)];
        let entry = i128::from(self.entries[0]);
        let ppb = i128::from(PPB);
        let up = (leg.side == Side::Long) == favourable;
        let exact = entry * if leg.side == Side::Long { long } else { short };
        let price = if up { div_ceil(exact, ppb) } else { div_floor(exact, ppb) };
        let price = Decimal { mantissa: price, scale: own.spec().price_scale };
        let price = words::amount(price, self.currency);
        let (of, cmp) = match leg.side {
            Side::Long => ("bid", if up { "≥" } else { "≤" }),
            Side::Short => ("ask", if up { "≥" } else { "≤" }),
        };
        format!("{of} {cmp} {price}")
    }
}
