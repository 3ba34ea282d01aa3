//! `[instrument.NAME]`.

use reap_core::instrument::{ContractKind, Instrument, InstrumentId, InstrumentSpec, VenueId};
use reap_core::limits::{PRICE_MAX, QTY_MAX, SCALE_MAX};
use reap_core::units::{Decimal, Nanos, Rate};

use super::names::{Currencies, Lookup};
use super::units::{Amount, is_currency};
use super::value::{RateBounds, SpanBounds};
use super::venue::Venue;
use super::walk::{Table, Value};
use super::words;

/// An instrument with its names.
#[derive(Clone, Debug)]
pub struct NamedInstrument {
    /// Its name in the configuration.
    pub name: String,
    /// Its symbol at the venue, as the venue writes it.
    pub symbol: String,
    /// The checked instrument.
    pub instrument: Instrument,
}

impl NamedInstrument {
    /// What the core knows of it.
    #[must_use]
    pub const fn spec(&self) -> &InstrumentSpec {
        self.instrument.spec()
    }

    /// The same with a peer, which is outside the core's checks.
    pub(super) fn with_peer(self, peer: Option<InstrumentId>) -> Self {
        let spec = InstrumentSpec { peer, ..*self.spec() };
        let instrument = Instrument::new(spec).expect("a peer changes nothing that is checked");
        Self { instrument, ..self }
    }
}

/// Default jump limit (SPEC §11): the larger of 10 % and 5 ticks.
const JUMP_LIMIT: Rate = Rate::from_bps(1_000);
const JUMP_TICKS: i64 = 5;
const SYMBOL_MAX: usize = 32;
const AGE_BOUNDS: SpanBounds = SpanBounds::new(Nanos::from_millis(1), Nanos::from_secs(86_400));

/// Reads one instrument. Its peer is looked up later, when every instrument is known.
pub(super) fn instrument<'a>(
    name: &str,
    value: &Value<'a>,
    venues: &Lookup<Venue>,
    currencies: &mut Currencies,
    peer: &mut Option<Value<'a>>,
) -> Option<NamedInstrument> {
    let table = value.table(&format!("write it as [instrument.{name}]"))?;
    let venue = table.require("venue", "name the venue that trades it, one of the [venue.NAME]");
    let venue = venue.and_then(|value| venues.find(&value, "venue"));
    let symbol = table.require("symbol", "write the symbol as the venue does, such as \"BTCUSDT\"");
    let symbol = symbol.and_then(|value| symbol_of(&value));
    let quote = table.require("quote", "write the currency of its prices, such as \"USDT\"");
    let quote = quote.and_then(|value| currency_of(&value));
    let linear = table.get("contract").map_or(Some(()), |value| contract_of(&value));
    let grid = Grid::of(&table);
    let min_notional = match table.get("min_notional") {
        Some(value) => amount_in(&value, quote),
        None => Some(Decimal { mantissa: 0, scale: 0 }),
    };
    let own_fee = |key| table.get(key).map(|value| value.rate(RateBounds::FEE));
    let (taker, maker) = (own_fee("taker"), own_fee("maker"));
    let min_fee = match table.get("min_fee") {
        Some(value) => amount_in(&value, quote).map(Some),
        None => Some(None),
    };
    let age = table.get("max_quote_age").map(|value| value.span(AGE_BOUNDS));
    let jump_limit = match table.get("jump_limit") {
        Some(value) => value.rate(RateBounds::SHARE),
        None => Some(JUMP_LIMIT),
    };
    let jump_ticks = match table.get("jump_ticks") {
        Some(value) => value.ticks(),
        None => Some(JUMP_TICKS),
    };
    let reduce_only = table.get("reduce_only").map(|value| (value.flag(), value));
    *peer = table.get("peer");
    table.finish();

    let (id, venue) = venue?;
    let (venue, grid, quote) = (venue?, grid?, quote?);
    let reduce_only = match reduce_only {
        None => !venue.kind.spot,
        Some((Some(true), value)) if venue.kind.spot => {
            value.problem("a spot market has no reduce-only orders", "remove it or write false");
            return None;
        }
        Some((flag, _)) => flag?,
    };
    let min_fee = match (min_fee?, &venue.min_fee) {
        (Some(own), _) => own,
        (None, None) => Decimal { mantissa: 0, scale: 0 },
        (None, Some(fee)) if fee.currency == quote => fee.value,
        (None, Some(fee)) => {
            let of = format!("venue.{}.min_fee is in {}", venue.name, fee.currency);
            table.problem(
                format!("{of}, the instrument is quoted in {quote}"),
                format!("give the instrument its own min_fee in {quote}"),
            );
            return None;
        }
    };
    let (_, ()) = (symbol?, linear?);
    let spec = InstrumentSpec {
        venue: VenueId(u8::try_from(id).ok()?),
        currency: currencies.id(quote, &table)?,
        contract: ContractKind::Linear,
        price_scale: grid.price_scale,
        qty_scale: grid.qty_scale,
        multiplier: grid.multiplier,
        tick: grid.tick,
        lot: grid.lot,
        min_qty: grid.min_qty,
        min_notional: min_notional?,
        taker: taker.unwrap_or(Some(venue.taker))?,
        maker: maker.unwrap_or(Some(venue.maker))?,
        min_fee,
        max_quote_age: age.unwrap_or(Some(venue.kind.max_quote_age))?,
        jump_limit: jump_limit?,
        jump_ticks: jump_ticks?,
        reduce_only,
        min_notional_on_reduce: venue.kind.min_notional_on_reduce,
        peer: None,
    };
    checked(&table, name, symbol?, spec)
}

/// The core's own checks, should one be stricter than ours.
fn checked(
    table: &Table<'_>,
    name: &str,
    symbol: &str,
    spec: InstrumentSpec,
) -> Option<NamedInstrument> {
    match Instrument::new(spec) {
        Ok(instrument) => {
            Some(NamedInstrument { name: name.into(), symbol: symbol.into(), instrument })
        }
        Err(error) => {
            table.problem(error.to_string(), "change that field");
            None
        }
    }
}

/// The instrument that `own` names as its peer.
pub(super) fn peer(
    own: usize,
    value: &Value<'_>,
    known: &Lookup<NamedInstrument>,
) -> Option<InstrumentId> {
    let (peer, other) = known.find(value, "instrument")?;
    if known.get(own)?.spec().venue == other?.spec().venue {
        let what = "must be the same underlying at another venue";
        value.problem(what, "name an instrument of another venue, or remove it");
        return None;
    }
    u16::try_from(peer).ok().map(InstrumentId)
}

/// Prices, quantities and their scales.
struct Grid {
    price_scale: u8,
    qty_scale: u8,
    multiplier: Decimal,
    tick: i64,
    lot: i64,
    min_qty: i64,
}

impl Grid {
    fn of(table: &Table<'_>) -> Option<Self> {
        let required = |key, remedy| {
            table.require(key, remedy).and_then(|value| Some((value.positive()?, value)))
        };
        let tick = required("tick", "write the smallest price step, such as tick = \"0.01\"");
        let lot = required("lot", "write the smallest quantity step, such as lot = \"0.001\"");
        let min_qty = table.get("min_qty").map(|value| (value.positive(), value));
        let multiplier = match table.get("multiplier") {
            Some(value) => value.positive().and_then(|multiplier| {
                scale_fits(&value, multiplier)?;
                mantissa(&value, multiplier, multiplier.scale, QTY_MAX)?;
                Some(multiplier)
            }),
            None => Some(Decimal { mantissa: 1, scale: 0 }),
        };
        let scale = |key, step: &Option<(Decimal, Value<'_>)>| match table.get(key) {
            Some(value) => value.integer(0, u32::from(SCALE_MAX)).map(|scale| scale as u8),
            None => step.as_ref().and_then(|(step, value)| scale_fits(value, *step)),
        };
        let (price_scale, qty_scale) = (scale("price_scale", &tick), scale("qty_scale", &lot));
        let (tick, lot) = (tick?, lot?);
        let tick = mantissa(&tick.1, tick.0, price_scale?, PRICE_MAX);
        let lot = mantissa(&lot.1, lot.0, qty_scale?, QTY_MAX);
        let min_qty = match min_qty {
            None => lot,
            Some((given, value)) => mantissa(&value, given?, qty_scale?, QTY_MAX),
        };
        Some(Self {
            price_scale: price_scale?,
            qty_scale: qty_scale?,
            multiplier: multiplier?,
            tick: tick?,
            lot: lot?,
            min_qty: min_qty?,
        })
    }
}

/// The scale of a step, when it is one that the core takes.
fn scale_fits(value: &Value<'_>, step: Decimal) -> Option<u8> {
    if step.scale <= SCALE_MAX {
        return Some(step.scale);
    }
    let what = format!("has {} decimals, at most {SCALE_MAX} are possible", step.scale);
    value.problem(what, "write it with fewer decimals");
    None
}

/// A decimal as a mantissa of a scale within a bound.
pub(super) fn mantissa(value: &Value<'_>, number: Decimal, scale: u8, max: i64) -> Option<i64> {
    let Some(exact) = number.at_scale(scale) else {
        let what = format!("has more decimals than its scale of {scale}");
        value.problem(what, "write fewer decimals, or raise price_scale or qty_scale");
        return None;
    };
    let fits = i64::try_from(exact).ok().filter(|exact| *exact <= max);
    if fits.is_none() {
        let max = words::mantissa(max, scale);
        value.problem(format!("must be at most {max}"), "write a smaller number");
    }
    fits
}

fn symbol_of<'a>(value: &Value<'a>) -> Option<&'a str> {
    let remedy = "write the symbol as the venue does, such as \"BTCUSDT\"";
    let symbol = value.text(remedy)?;
    if symbol.contains(char::is_whitespace) || symbol.len() > SYMBOL_MAX {
        value.problem(format!("must be one word of at most {SYMBOL_MAX} bytes"), remedy);
        return None;
    }
    if symbol.contains(|c: char| c.is_ascii_lowercase()) {
        let remedy = format!("write \"{}\"", symbol.to_ascii_uppercase());
        value.problem("venues write symbols in capitals", remedy);
        return None;
    }
    Some(symbol)
}

fn currency_of<'a>(value: &Value<'a>) -> Option<&'a str> {
    let text = value.text("write a currency such as \"USDT\"")?;
    if is_currency(text) {
        return Some(text);
    }
    value.problem("is not a currency", "write 2 to 12 capitals or digits, such as \"USDT\"");
    None
}

/// An amount that must be in the instrument's own currency and not negative.
fn amount_in(value: &Value<'_>, quote: Option<&str>) -> Option<Decimal> {
    let Amount { value: number, currency } = value.amount()?;
    if quote.is_some_and(|quote| quote != currency) {
        let quote = quote.unwrap_or_default();
        let what = format!("is in {currency}, the instrument is quoted in {quote}");
        value.problem(what, format!("write it in {quote}"));
        return None;
    }
    if number.mantissa < 0 {
        value.problem("must be at least 0", "write it without the minus");
        return None;
    }
    Some(number)
}

fn contract_of(value: &Value<'_>) -> Option<()> {
    match value.word(&[("linear", true), ("inverse", false)])? {
        true => Some(()),
        false => {
            let what = "inverse (coin-margined) contracts are not linear and not supported";
            value.problem(what, "trade the linear contract of this underlying");
            None
        }
    }
}
