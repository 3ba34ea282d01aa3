//! `[venue.NAME]`, `[[source]]` and `[gates]`.

use reap_core::budget::{Quota, VenueBudget};
use reap_core::event::GateSettings;
use reap_core::instrument::VenueId;
use reap_core::units::{Nanos, Rate};
use reap_feed::venues::{VENUES, Venue as Kind};

use super::connection::{Connection, connection};
use super::units::Amount;
use super::value::{RateBounds, SpanBounds};
use super::walk::{Table, Value};

/// A venue.
#[derive(Clone, Debug)]
pub struct Venue {
    /// Its name in the configuration.
    pub name: String,
    /// Its kind: codec, ages of its quotes, what its orders know.
    pub kind: &'static Kind,
    /// Fee of a crossing order of its instruments.
    pub taker: Rate,
    /// Fee of a resting order.
    pub maker: Rate,
    /// For paper fills: from the decision to its answer, half of it there and half back.
    pub latency: Nanos,
    /// What it takes within a time.
    pub budget: VenueBudget,
    /// How a live run reaches it.
    pub connection: Connection,
    pub(super) min_fee: Option<Amount>,
}

/// Default of `latency`.
const LATENCY: Nanos = Nanos::from_millis(20);
const LATENCY_BOUNDS: SpanBounds = SpanBounds::new(Nanos(0), Nanos::from_secs(60));

pub(super) fn venue(name: &str, value: &Value<'_>) -> Option<Venue> {
    let table = value.table(&format!("write it as [venue.{name}]"))?;
    let words: Vec<_> = VENUES.iter().map(|kind| (kind.name, *kind)).collect();
    let kinds = VENUES.iter().map(|kind| format!("{:?}", kind.name)).collect::<Vec<_>>().join(", ");
    let kind = table.require("kind", &format!("write kind = one of {kinds}"));
    let kind = kind.and_then(|value| value.word(&words));
    let fee = |key, example| {
        let remedy = format!("write for example {key} = {example:?}; a rebate is negative");
        table.require(key, &remedy).and_then(|value| value.rate(RateBounds::FEE))
    };
    let taker = fee("taker", "0.05%");
    let maker = fee("maker", "0.02%");
    let min_fee = min_fee(&table);
    let latency = match table.get("latency") {
        Some(value) => value.span(LATENCY_BOUNDS),
        None => Some(LATENCY),
    };
    let connection = connection(&table);
    let known = kind.map(|kind| kind.budget);
    let budget = match table.get("budget") {
        Some(value) => budget(&value, known),
        None => known,
    };
    table.finish();
    Some(Venue {
        name: name.into(),
        kind: kind?,
        budget: budget?,
        taker: taker?,
        maker: maker?,
        latency: latency?,
        connection: connection?,
        min_fee: min_fee?,
    })
}

const BUDGET_SPAN: SpanBounds = SpanBounds::new(Nanos::from_millis(100), Nanos::from_secs(86_400));

/// `budget = { orders = 300, orders_within = "10s", … }`; what is left out is the kind's own.
fn budget(value: &Value<'_>, known: Option<VenueBudget>) -> Option<VenueBudget> {
    let remedy = r#"write for example { orders = 300, orders_within = "10s" }"#;
    let table = value.table(remedy)?;
    let known = known?;
    let count = |key, least, default| match table.get(key) {
        Some(value) => value.integer(least, 1_000_000),
        None => Some(default),
    };
    let within = |key, default| match table.get(key) {
        Some(value) => value.span(BUDGET_SPAN),
        None => Some(default),
    };
    let orders = count("orders", Quota::LEAST, known.orders.max);
    let orders_within = within("orders_within", known.orders.span);
    let weight = count("weight", Quota::LEAST, known.weight.max);
    let weight_within = within("weight_within", known.weight.span);
    let order_weight = count("order_weight", 0, known.order_weight);
    let query_weight = count("query_weight", 0, known.query_weight);
    let read_weight = count("read_weight", 0, known.read_weight);
    table.finish();
    let budget = VenueBudget {
        orders: Quota { max: orders?, span: orders_within? },
        weight: Quota { max: weight?, span: weight_within? },
        order_weight: order_weight?,
        query_weight: query_weight?,
        read_weight: read_weight?,
    };
    if let Err(error) = budget.check() {
        table.problem(error.to_string(), "raise weight, or lower what one request weighs");
        return None;
    }
    Some(budget)
}

fn min_fee(table: &Table<'_>) -> Option<Option<Amount>> {
    let Some(value) = table.get("min_fee") else { return Some(None) };
    let amount = value.amount()?;
    if amount.value.mantissa < 0 {
        value.problem("must be at least 0", "write for example \"0.1 USDT\"");
        return None;
    }
    Some(Some(amount))
}

/// Which recordings are a venue's: those whose file name contains a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceMatch {
    /// The venue.
    pub venue: VenueId,
    /// The text.
    pub text: String,
}

/// One `[[source]]`; `venue` looks a venue up by name and reports what is wrong with it.
pub(super) fn source(
    value: &Value<'_>,
    venue: impl Fn(&Value<'_>) -> Option<VenueId>,
) -> Option<SourceMatch> {
    let table = value.table("write it as [[source]]")?;
    let id = table
        .require("venue", "name the venue that these recordings are of")
        .as_ref()
        .and_then(venue);
    let remedy = r#"write a part of the file's name, such as match = "usdm""#;
    let text = table.require("match", remedy).and_then(|value| value.text(remedy));
    table.finish();
    Some(SourceMatch { venue: id?, text: text?.to_owned() })
}

/// Of so many venues the one whose recordings are named like this file: that of the longest matching source; else
/// the venue whose name stands between dots, as `reap record` writes it; else the only venue when
/// there is no source at all. In words why not, and what to do about it.
pub(super) fn of_recording(
    sources: &[SourceMatch],
    venues: usize,
    named: impl Fn(&str) -> Option<usize>,
    file_name: &str,
) -> Result<VenueId, (String, &'static str)> {
    let fits = sources.iter().filter(|source| file_name.contains(&source.text));
    let longest = fits.clone().map(|source| source.text.len()).max();
    let mut best = fits.filter(|source| Some(source.text.len()) == longest);
    let Some(first) = best.next() else {
        return match file_name.rsplit('.').find_map(named) {
            Some(at) => Ok(VenueId(at as u8)),
            None if sources.is_empty() && venues == 1 => Ok(VenueId(0)),
            None => {
                let remedy = "add one with its venue and match = a part of the name";
                Err(("no [[source]] matches this name".into(), remedy))
            }
        };
    };
    match best.find(|other| other.venue != first.venue) {
        None => Ok(first.venue),
        Some(other) => {
            let (one, other) = (&first.text, &other.text);
            let what = format!("\"{one}\" and \"{other}\" both match and name different venues");
            Err((what, "make one of them longer"))
        }
    }
}

pub(super) fn gates(value: &Value<'_>) -> Option<GateSettings> {
    let table = value.table("write it as [gates]")?;
    let default = GateSettings::default();
    let span = |key, default, bounds| match table.get(key) {
        Some(value) => value.span(bounds),
        None => Some(default),
    };
    let silence = SpanBounds::new(Nanos::from_millis(1), Nanos::from_secs(3600));
    let wait = SpanBounds::new(Nanos(0), Nanos::from_secs(60));
    let liveness = span("liveness", default.liveness, silence);
    let max_leg_skew = span("max_leg_skew", default.max_leg_skew, wait);
    let jump_hold = span("jump_hold", default.jump_hold, wait);
    let entry_factor = match table.get("entry_factor") {
        Some(value) => value.integer(2, 1_000_000),
        None => Some(default.entry_factor),
    };
    table.finish();
    Some(GateSettings {
        liveness: liveness?,
        max_leg_skew: max_leg_skew?,
        jump_hold: jump_hold?,
        entry_factor: entry_factor?,
    })
}
