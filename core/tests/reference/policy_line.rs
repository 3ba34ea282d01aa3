//! Policies of cases as text: `P fees=gross buffer=1.1 reserve=0.01%: rule by mark; off rule`.

use reap_core::instrument::{InstrumentId, InstrumentSpec, SourceId};
use reap_core::policy::{
    AssetClass, Base, Blind, DecayStep, Distance, FeeMode, Policy, Remedy, Rule, RuleSpec,
    Threshold, Tier, TriggerSource,
};
use reap_core::units::Nanos;

use super::correlation;
use super::scenario::{decimal, rate, span};

/// `P fees=gross buffer=1.1 reserve=0.01%: rule; rule`
pub(super) fn policy(
    text: &str,
    instruments: &[(String, InstrumentSpec, SourceId)],
) -> (String, Policy) {
    let (head, rules) = text.split_once(':').expect("a colon before the rules");
    let mut words = head.split_whitespace();
    let name = words.next().expect("a name").to_owned();
    let said = |text: &str| {
        let text = text.trim();
        let (on, text) = match text.strip_prefix("off ") {
            Some(text) => (false, text),
            None => (true, text),
        };
        let (text, source) = match text.rsplit_once(" by ") {
            Some((text, "last")) => (text, TriggerSource::Last),
            Some((text, "mark")) => (text, TriggerSource::Mark),
            _ => (text, TriggerSource::Bbo),
        };
        RuleSpec { source, on, ..RuleSpec::from(rule(text, instruments)) }
    };
    let mut policy = Policy::of([]);
    policy.rules = rules.split(';').map(said).collect();
    for setting in words {
        match setting.split_once('=').expect("key=value") {
            ("fees", "gross") => policy.fees = FeeMode::Gross,
            ("fees", "entry_only") => policy.fees = FeeMode::EntryOnly,
            ("fees", _) => policy.fees = FeeMode::Net,
            ("buffer", value) => {
                let ppb = decimal(value).at_scale(9).expect("parts per billion");
                policy.fee_buffer_ppb = ppb as u32;
            }
            ("class", "meme") => policy.class = AssetClass::Meme,
            ("blind", value) => policy.blind = Blind::MarketAfter(span(value)),
            ("hold", value) => policy.hold_for_funding = Some(span(value)),
            ("reserve", value) => policy.slippage_reserve = rate(value),
            (key, _) => panic!("{key}: no such setting"),
        }
    }
    (name, policy)
}

fn rule(text: &str, instruments: &[(String, InstrumentSpec, SourceId)]) -> Rule {
    let words: Vec<&str> = text.split_whitespace().collect();
    let base = |at: usize| {
        let word = words.get(at).filter(|word| !word.contains(':'));
        word.map(|word| base(word))
    };
    let threshold = || match words[1].ends_with('%') {
        true => Threshold::Rate { rate: rate(words[1]), base: base(2) },
        false => Threshold::Amount(decimal(words[1])),
    };
    match words[0] {
        "take_profit" => Rule::TakeProfit { threshold: threshold() },
        "decay" => Rule::Decay {
            threshold: threshold(),
            steps: words.iter().filter_map(|word| word.split_once(':')).map(decay_step).collect(),
        },
        "break_even" => Rule::BreakEven { activation: rate(words[1]), offset: rate(words[2]) },
        "profit_erosion" => {
            let fraction = rate(words[2]);
            let minimum = match words[1].ends_with('%') {
                true => Threshold::Rate { rate: rate(words[1]), base: base(3) },
                false => Threshold::Amount(decimal(words[1])),
            };
            Rule::ProfitErosion { minimum, fraction }
        }
        "basis" => Rule::Basis { threshold: threshold() },
        "tiers" => {
            let tier = |word: &&str| {
                let (at, share) = word.split_once(':').expect("threshold:share");
                Tier { at: rate(at), share: rate(share) }
            };
            Rule::Tiers { base: None, tiers: words[1..].iter().map(tier).collect() }
        }
        "stop_loss" => Rule::StopLoss { distance: rate(words[1]), base: base(2) },
        "trailing_stop" => {
            let after = words.iter().position(|&word| word == "after");
            let distance = match words.get(2) {
                Some(&"ticks") => Distance::Ticks(words[1].parse().expect("ticks")),
                Some(&"price") => Distance::Price(decimal(words[1])),
                _ => Distance::Rate(rate(words[1])),
            };
            let activation = after.map(|at| rate(words[at + 1]));
            Rule::TrailingStop { distance, activation, base: None }
        }
        "trailing_profit" => Rule::TrailingProfit {
            activation: rate(words[1]),
            distance: rate(words[2]),
            floor: rate(words[3]),
            step: rate(words[4]),
            base: base(5),
        },
        "leg_lost" => Rule::LegLost {
            reads: words[1].parse().expect("a number of reads"),
            then: remedy(words[2]),
        },
        "imbalance" => {
            Rule::Imbalance { share: rate(words[1]), hold: span(words[2]), then: remedy(words[3]) }
        }
        "reversal" => Rule::Reversal { at: rate(words[1]), base: base(2), enter: false },
        "liquidation" => Rule::Liquidation { threshold: rate(words[1]) },
        "deadline" => Rule::Deadline {
            max_age: Some(span(words[1])),
            at: None,
            session_close: None,
            close_before: Nanos(0),
        },
        "dump" => Rule::Dump { min_volume: decimal(words[1]), drop: rate(words[2]) },
        "correlation" => correlation::said(&words, |name| {
            let at = instruments.iter().position(|(known, ..)| known == name);
            InstrumentId(at.expect("an instrument above") as u16)
        }),
        "funding_flip" => Rule::FundingFlip {
            threshold: rate(words[1]),
            samples: words[2].parse().expect("a number of settlements"),
            base: base(3),
        },
        other => panic!("{other}: no such rule"),
    }
}

/// `1h:0.3%`
fn decay_step((age, at): (&str, &str)) -> DecayStep {
    let threshold = match at.ends_with('%') {
        true => Threshold::Rate { rate: rate(at), base: None },
        false => Threshold::Amount(decimal(at)),
    };
    DecayStep { age: span(age), threshold }
}

fn remedy(word: &str) -> Remedy {
    if word == "repair" { Remedy::Repair } else { Remedy::Close }
}

fn base(word: &str) -> Base {
    match word {
        "entry" => Base::Entry,
        "max_leg" => Base::MaxLeg,
        "gross" => Base::Gross,
        "margin" => Base::Margin,
        amount => Base::Amount(decimal(amount)),
    }
}
