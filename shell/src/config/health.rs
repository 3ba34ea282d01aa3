//! `[portfolio.health]`: the score of all positions, and what a low one does.

use reap_core::limits::POSITIONS_MAX;
use reap_core::policy::AssetClass;
use reap_core::portfolio::Health;
use reap_core::units::Nanos;

use super::policy::{CLASSES, class_name};
use super::value::{RateBounds, SpanBounds};
use super::walk::Value;
use super::words;

const LEVELS: &str = "write three whole numbers that fall, such as [70, 50, 30]";
const CLASS: &str = r#"write the classes as a list, such as ["meme"]"#;

pub(super) fn health(value: &Value<'_>, span: SpanBounds) -> Option<Health> {
    let table = value.table("write it as [portfolio.health]")?;
    let off = Health::default();
    let levels = table.get("levels").map_or(Some(off.levels), |value| levels(&value));
    let points = |key, otherwise| match table.get(key) {
        Some(value) => points(&value),
        None => Some(otherwise),
    };
    let hysteresis = points("hysteresis", off.hysteresis);
    let positions = match table.get("positions") {
        Some(value) => value.integer(1, POSITIONS_MAX as u32),
        None => Some(off.positions),
    };
    let spans = |key, otherwise: Nanos| match table.get(key) {
        Some(value) => value.span(span),
        None => Some(otherwise),
    };
    let cooldown = spans("cooldown", off.cooldown);
    let (max_age, older_than) =
        (spans("max_age", off.max_age), spans("older_than", off.older_than));
    let tighten = match table.get("tighten") {
        Some(value) => value.rate(RateBounds::SHARE),
        None => Some(off.tighten),
    };
    let never_tighten = match table.get("never_tighten") {
        Some(value) => value.array(CLASS).and_then(|all| {
            let known: Option<Vec<AssetClass>> = all.iter().map(|one| one.word(&CLASSES)).collect();
            let mut known = known?;
            known.sort_by_key(|class| *class as u8);
            known.dedup();
            Some(known.into_iter().collect())
        }),
        None => Some(off.never_tighten),
    };
    table.finish();
    Some(Health {
        levels: levels?,
        hysteresis: hysteresis?,
        cooldown: cooldown?,
        tighten: tighten?,
        never_tighten: never_tighten?,
        max_age: max_age?,
        positions: positions?,
        older_than: older_than?,
    })
}

fn levels(value: &Value<'_>) -> Option<[u8; 3]> {
    let all: Option<Vec<u8>> = value.array(LEVELS)?.iter().map(points).collect();
    let Ok(levels) = <[u8; 3]>::try_from(all?) else {
        value.problem("must be three levels", LEVELS);
        return None;
    };
    if levels[0] <= levels[1] || levels[1] <= levels[2] {
        value.problem("levels must fall", LEVELS);
        return None;
    }
    Some(levels)
}

/// A whole number from 0 to 100.
fn points(value: &Value<'_>) -> Option<u8> {
    value.integer(0, 100).and_then(|number| u8::try_from(number).ok())
}

/// What it does, in words.
pub(super) fn health_words(health: &Health) -> Vec<String> {
    let [first, second, third] = health.levels;
    let kept: Vec<&str> = health.never_tighten.iter().map(|&class| class_name(class)).collect();
    let kept = if kept.is_empty() { String::new() } else { format!(" (not {})", kept.join(", ")) };
    vec![
        format!(
            "health: while at least {} positions are older than {}, below {first} points no \
             entries, below {second} stops at most {} from the price{kept}, below {third} close \
             the two worst",
            health.positions,
            words::span(health.older_than),
            words::rate(health.tighten),
        ),
        format!(
            "health: recovers {} points above a level; {} between two actions; an age of {} counts \
             nothing",
            health.hysteresis,
            words::span(health.cooldown),
            words::span(health.max_age),
        ),
    ]
}
