//! `blind` of a policy: what is done with a position of which no price is left.

use reap_core::policy::Blind;
use reap_core::units::Nanos;
use toml::de::DeValue;

use super::value::SpanBounds;
use super::walk::Value;

const SPANS: SpanBounds = SpanBounds::new(Nanos::from_millis(1), Nanos::from_secs(86_400));
const REMEDY: &str = r#"write blind = "hold" or blind = { market_after = "30s" }"#;

/// `"hold"` or `{ market_after = "30s" }`.
pub(super) fn blind(value: &Value<'_>) -> Option<Blind> {
    if matches!(value.node(), DeValue::String(_)) {
        return value.word(&[("hold", Blind::Hold)]);
    }
    let table = value.table(REMEDY)?;
    let after = table.require("market_after", "write how long no price is borne, such as \"30s\"");
    let after = after.and_then(|value| value.span(SPANS));
    table.finish();
    after.map(Blind::MarketAfter)
}
