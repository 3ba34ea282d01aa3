//! `dump`: two of three signs of a move against a position of one leg.

use reap_core::policy::Rule;
use reap_core::units::{Decimal, Rate};

use crate::config::value::RateBounds;
use crate::config::walk::Value;

/// Below the best price, by SPEC §5.
const DROP: Rate = Rate::from_bps(50);
/// Largest `min_volume`: no instrument's quantity units are too small to count it.
const VOLUME_MAX: i128 = 1_000_000_000_000;

/// `{ min_volume, drop }`. There is no default volume: it depends on the instrument.
pub(super) fn dump(value: &Value<'_>) -> Option<Rule> {
    let table = value.table(r#"write { min_volume = "10", drop = "0.5%" }"#)?;
    let volume = table.require(
        "min_volume",
        "write the least volume of a minute that counts, in base units, such as \"10\"",
    );
    let volume = volume.and_then(|value| {
        let volume = value.positive()?;
        let fits = volume.round_floor(0).mantissa < VOLUME_MAX;
        if !fits {
            let what = format!("must be less than {VOLUME_MAX} base units");
            value.problem(what, "write a smaller volume, such as \"10\"");
        }
        fits.then_some(volume)
    });
    let drop = match table.get("drop") {
        Some(value) => value.rate(RateBounds::SHARE),
        None => Some(DROP),
    };
    table.finish();
    let min_volume: Decimal = volume?;
    Some(Rule::Dump { min_volume, drop: drop? })
}
