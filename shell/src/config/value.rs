//! What one value may be: a percentage, a time, an amount, a count or a plain decimal, within bounds.

use reap_core::limits::{PPB, RATE_MAX};
use reap_core::units::{Decimal, Nanos, Rate};
use toml::de::DeValue;

use super::units::{Amount, Measure, UnitError, decimal, measure};
use super::walk::{Value, article};
use super::words;

/// Bounds of a percentage in parts per billion, both included.
#[derive(Clone, Copy)]
pub(super) struct RateBounds {
    min: i64,
    max: i64,
    words: &'static str,
    example: &'static str,
}

impl RateBounds {
    /// Distances and collars: a share that leaves something.
    pub(super) const SHARE: Self =
        Self { min: 1, max: PPB - 1, words: "more than 0% and less than 100%", example: "2%" };
    /// Reserves and floors.
    pub(super) const FLOOR: Self =
        Self { min: 0, max: PPB - 1, words: "at least 0% and less than 100%", example: "1%" };
    /// Targets and activations.
    pub(super) const TARGET: Self = Self {
        min: 1,
        max: RATE_MAX,
        words: "more than 0% and at most 107.3741823%",
        example: "0.2%",
    };
    /// Thresholds that may be nought or a loss.
    pub(super) const LEVEL: Self = Self {
        min: 1 - PPB,
        max: RATE_MAX,
        words: "more than -100% and at most 107.3741823%",
        example: "0.1%",
    };
    /// Cumulative shares of a quantity.
    pub(super) const PART: Self =
        Self { min: 1, max: PPB, words: "more than 0% and at most 100%", example: "50%" };
    /// Fees; a rebate is negative.
    pub(super) const FEE: Self = Self {
        min: 1 - PPB,
        max: PPB - 1,
        words: "more than -100% and less than 100%",
        example: "0.05%",
    };
}

/// Bounds of a span of time.
#[derive(Clone, Copy)]
pub(super) struct SpanBounds {
    min: Nanos,
    max: Nanos,
}

impl SpanBounds {
    /// At least `min`, at most `max`.
    pub(super) const fn new(min: Nanos, max: Nanos) -> Self {
        Self { min, max }
    }
}

impl Value<'_> {
    /// A percentage within bounds.
    pub(super) fn rate(&self, bounds: RateBounds) -> Option<Rate> {
        match self.measure(&["0.2%", "20bps"])? {
            Measure::Rate(ppb) => self.rate_within(ppb, bounds),
            Measure::Bare(value) => self.no_unit(&rate_remedy(value)),
            other => self.wanted(&other, "a percentage", r#"write for example "0.2%" or "20bps""#),
        }
    }

    /// A percentage that was already told from other measures.
    pub(super) fn rate_within(&self, ppb: i128, bounds: RateBounds) -> Option<Rate> {
        let inside = (i128::from(bounds.min)..=i128::from(bounds.max)).contains(&ppb);
        let rate = i64::try_from(ppb).ok().filter(|_| inside).and_then(|ppb| Rate::new(ppb).ok());
        if rate.is_none() {
            let remedy = format!(r#"write for example "{}""#, bounds.example);
            self.problem(format!("must be {}", bounds.words), remedy);
        }
        rate
    }

    /// A span of time within bounds.
    pub(super) fn span(&self, bounds: SpanBounds) -> Option<Nanos> {
        let span = match self.measure(&["6h", "30s", "250ms"])? {
            Measure::Span(nanos) => u64::try_from(nanos).ok().map(Nanos),
            Measure::Bare(value) => {
                return self.no_unit(&format!(r#"write "{value}s" or "{value}ms""#));
            }
            other => {
                return self.wanted(&other, "a time", r#"write for example "6h" or "250ms""#);
            }
        };
        let span = span.filter(|span| (bounds.min..=bounds.max).contains(span));
        if span.is_none() {
            let (min, max) = (words::span(bounds.min), words::span(bounds.max));
            let remedy = format!("write a time from {min} to {max}");
            self.problem(format!("must be at least {min} and at most {max}"), remedy);
        }
        span
    }

    /// An amount of money with its currency.
    pub(super) fn amount(&self) -> Option<Amount> {
        match self.measure(&["1.1 USDT"])? {
            Measure::Amount(amount) => Some(amount),
            Measure::Bare(value) => {
                self.no_unit(&format!(r#"write it with its currency, such as "{value} USDT""#))
            }
            other => self.wanted(&other, "an amount", r#"write for example "1.1 USDT""#),
        }
    }

    /// A whole number of ticks, written `"10 ticks"` or, where the key says ticks, `10`.
    pub(super) fn ticks(&self) -> Option<i64> {
        let number = match self.measure(&["10 ticks"])? {
            Measure::Ticks(number) | Measure::Bare(number) => number,
            other => return self.wanted(&other, "a number of ticks", r#"write "10 ticks""#),
        };
        self.ticks_of(number)
    }

    /// A whole number of ticks that was already told from other measures.
    pub(super) fn ticks_of(&self, number: Decimal) -> Option<i64> {
        let ticks = number.at_scale(0).and_then(|ticks| i64::try_from(ticks).ok());
        let ticks = ticks.filter(|&ticks| (1..=1_000_000_000).contains(&ticks));
        if ticks.is_none() {
            let bound = "a whole number of ticks from 1 to 1000000000";
            self.problem(format!("must be {bound}"), r#"write for example "10 ticks""#);
        }
        ticks
    }

    /// A plain decimal that is neither a percentage nor an amount nor a time: a price, a quantity,
    /// a grid. A number or text; its digits are taken as they are written.
    pub(super) fn decimal(&self) -> Option<Decimal> {
        let parsed = match self.node() {
            DeValue::Integer(number) if number.radix() == 10 => decimal(number.as_str()),
            DeValue::Float(number) => decimal(number.as_str()),
            DeValue::String(text) => decimal(text.trim()),
            _ => None,
        };
        if parsed.is_none() {
            let what = "is not a plain decimal number";
            self.problem(what, r#"write digits and at most one point, such as "0.01""#);
        }
        parsed
    }

    /// A plain decimal above nought.
    pub(super) fn positive(&self) -> Option<Decimal> {
        let value = self.decimal()?;
        if value.mantissa > 0 {
            return Some(value);
        }
        self.problem("must be more than 0", "write a positive number");
        None
    }

    /// A whole number within bounds, both included.
    pub(super) fn integer(&self, min: u32, max: u32) -> Option<u32> {
        let number = match self.node() {
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().parse().ok(),
            _ => None,
        };
        let number = number.filter(|number| (min..=max).contains(number));
        if number.is_none() {
            let what = format!("must be a whole number from {min} to {max}");
            self.problem(what, format!("write a number from {min} to {max}, without quotes"));
        }
        number
    }

    /// What kind of measure the value is; `examples` are for the remedy when it is none.
    pub(super) fn measure(&self, examples: &[&str]) -> Option<Measure> {
        let list = examples.iter().map(|e| format!("{e:?}")).collect::<Vec<_>>().join(" or ");
        let parsed = match self.node() {
            DeValue::Integer(number) if number.radix() == 10 => bare(number.as_str()),
            DeValue::Float(number) => bare(number.as_str()),
            DeValue::String(text) => measure(text),
            other => Err(UnitError::new(
                format!("is {}, not a number with a unit", article(other)),
                format!("write for example {list}"),
            )),
        };
        match parsed {
            Ok(measure) => Some(measure),
            Err(error) => {
                self.problem(error.what, error.remedy);
                None
            }
        }
    }

    /// Reports a bare number.
    pub(super) fn no_unit<T>(&self, remedy: &str) -> Option<T> {
        self.problem("a bare number has no unit", remedy);
        None
    }

    /// Reports a measure of the wrong kind.
    pub(super) fn wanted<T>(&self, found: &Measure, kind: &str, remedy: &str) -> Option<T> {
        self.problem(format!("is {}, not {kind}", found.kind()), remedy);
        None
    }
}

/// What a bare number may have meant as a percentage: `"0.2%"`, which is `"20bps"`.
pub(super) fn rate_remedy(value: Decimal) -> String {
    let bps = Decimal { mantissa: value.mantissa * 100, scale: value.scale };
    format!(r#"write "{value}%" or "{}bps""#, words::decimal(bps))
}

fn bare(text: &str) -> Result<Measure, UnitError> {
    decimal(text).map(Measure::Bare).ok_or_else(|| {
        UnitError::new(
            "is not a plain decimal number",
            r#"write digits and a unit, such as "0.2%", "6h" or "1.1 USDT""#,
        )
    })
}
