//! Presets: what a rule takes by the name of a kind of asset or of strategy, as versioned data.
//!
//! `presets.toml` is part of the program and read like any configuration, by the same readers.

use std::sync::LazyLock;

use reap_core::limits::PPB;
use reap_core::policy::{Distance, Preset};
use reap_core::units::{Nanos, Rate};
use toml::de::DeTable;

use super::AGE_BOUNDS;
use super::correlation::rho;
use crate::config::value::RateBounds;
use crate::config::walk::{Value, Walk};

/// Names with what they stand for.
type Named<T> = Vec<(&'static str, (T, Option<Preset>))>;

struct Presets {
    trailing: Named<Distance>,
    ages: Named<Nanos>,
    correlations: Named<Rate>,
}

static PRESETS: LazyLock<Presets> =
    LazyLock::new(|| read(include_str!("presets.toml")).expect("a test reads it"));

/// Distances of `trailing_stop`.
pub(super) fn trailing() -> &'static [(&'static str, (Distance, Option<Preset>))] {
    &PRESETS.trailing
}

/// Ages of `deadline`.
pub(super) fn ages() -> &'static [(&'static str, (Nanos, Option<Preset>))] {
    &PRESETS.ages
}

/// What `correlation` assumes with too few samples.
pub(super) fn correlations() -> &'static [(&'static str, (Rate, Option<Preset>))] {
    &PRESETS.correlations
}

/// Reads the table, or says what is wrong with it.
fn read(text: &str) -> Result<Presets, String> {
    let (tree, errors) = DeTable::parse_recoverable(text);
    let walk = Walk::new(text, &errors);
    let root = walk.root(tree.get_ref());
    let version = root.require("version", "write version = 1");
    let version = version.and_then(|value| value.integer(1, u16::MAX.into()));
    let version = version.and_then(|version| u16::try_from(version).ok());
    let table = |key| root.require(key, "add its table");
    let trailing = table("trailing_stop").and_then(|value| {
        named(&value, version?, |value| value.rate(RateBounds::SHARE).map(Distance::Rate))
    });
    let ages =
        table("deadline").and_then(|value| named(&value, version?, |value| value.span(AGE_BOUNDS)));
    let correlations =
        table("correlation").and_then(|value| named(&value, version?, |value| rho(value, -PPB)));
    root.finish();
    let problems = walk.into_problems();
    match (trailing, ages, correlations) {
        (Some(trailing), Some(ages), Some(correlations)) if problems.is_empty() => {
            Ok(Presets { trailing, ages, correlations })
        }
        _ => Err(problems.iter().map(|problem| format!("{problem}\n")).collect()),
    }
}

fn named<T>(
    value: &Value<'_>,
    version: u16,
    read: impl Fn(&Value<'_>) -> Option<T>,
) -> Option<Named<T>> {
    let one = |(name, value): (&str, Value<'_>)| {
        // Read once and kept for as long as the program runs.
        let name: &'static str = name.to_owned().leak();
        Some((name, (read(&value)?, Some(Preset { name, version }))))
    };
    value.table("write it as a table")?.named().into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_presets_are_those_of_the_specification() {
        let presets = read(include_str!("presets.toml")).unwrap_or_else(|error| panic!("{error}"));
        let bps = |bps| Distance::Rate(Rate::from_bps(bps));
        let trailing: Vec<_> =
            presets.trailing.iter().map(|(name, (at, _))| (*name, *at)).collect();
        let wanted =
            [("major", bps(30)), ("regular", bps(50)), ("meme", bps(1_750)), ("token", bps(1_000))];
        assert_eq!(trailing, wanted);
        let ages: Vec<_> = presets.ages.iter().map(|(name, (age, _))| (*name, *age)).collect();
        let hours = |hours: u64| Nanos::from_secs(hours * 3600);
        let half = Nanos::from_secs(1800);
        let wanted = [
            ("spot_futures", hours(6)),
            ("scalping", half),
            ("meme", hours(24)),
            ("forex", hours(4)),
        ];
        assert_eq!(ages, wanted);
        let [("major", (rho, Some(_)))] = presets.correlations[..] else {
            panic!("{:?}", presets.correlations)
        };
        assert_eq!(rho, Rate::from_bps(7_500));
        let versions = presets.ages.iter().filter_map(|(_, (_, preset))| *preset);
        assert!(versions.clone().all(|preset| preset.version == 1) && versions.count() == 4);
    }

    #[test]
    fn a_table_with_a_mistake_is_not_taken() {
        let text = include_str!("presets.toml");
        for (old, new) in [("\"0.3%\"", "0.3"), ("version = 1", ""), ("\"30min\"", "\"30\"")] {
            assert!(text.contains(old));
            assert!(read(&text.replacen(old, new, 1)).is_err(), "{new}");
        }
    }
}
