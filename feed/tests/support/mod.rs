//! What the tests share: random numbers, recorded data, symbol tables, ticks as text.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests")]

use std::path::{Path, PathBuf};

use reap_core::instrument::{
    ContractKind, CurrencyId, Instrument, InstrumentId, InstrumentSpec, SourceId, VenueId,
};
use reap_core::tick::{Tick, TickBody};
use reap_core::units::{Decimal, Nanos, Rate};
use reap_feed::decoded::{Decoded, Kind, Outcome, Rejection};
use reap_feed::symbols::{Symbol, Symbols};
use reap_feed::venues::{MarketCodec, VENUES, Venue};

pub mod oracle;
#[path = "../../src/test_random.rs"]
mod test_random;

#[allow(unused_imports, reason = "each test file uses its part")]
pub(crate) use test_random::Random;

/// The source of every test tick.
pub const SOURCE: SourceId = SourceId(7);

/// Name, price scale, quantity scale; the instrument is the place in the table.
pub type Row = (&'static str, u8, u8);

pub fn symbols(rows: &[Row]) -> Symbols {
    let entry = |(i, row): (usize, &Row)| {
        let instrument = InstrumentId(i as u16);
        (row.0, Symbol { instrument, price_scale: row.1, qty_scale: row.2 })
    };
    Symbols::new(rows.iter().enumerate().map(entry)).unwrap()
}

pub fn codec(venue: &str, rows: &[Row]) -> Box<dyn MarketCodec> {
    (Venue::find(venue).unwrap().market)(symbols(rows))
}

/// The names of every registered venue.
pub fn venues() -> impl Iterator<Item = &'static str> {
    VENUES.iter().map(|venue| venue.name)
}

/// Every venue's golden messages of market data. Those of private streams (`trading.txt`) are read
/// by the tests beside them.
pub fn fixtures() -> Vec<PathBuf> {
    let list = |path: &Path| {
        let mut entries: Vec<PathBuf> =
            path.read_dir().into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        entries
    };
    let is_market = |path: &PathBuf| !path.ends_with("trading.txt");
    let venues = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/venues");
    let files: Vec<PathBuf> = list(&venues)
        .iter()
        .flat_map(|venue| list(&venue.join("fixtures")))
        .filter(is_market)
        .collect();
    assert_eq!(files.len(), VENUES.len(), "a file of fixtures for each venue: {files:?}");
    files
}

/// The messages of all fixtures.
pub fn fixture_messages() -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    for path in fixtures() {
        let text = std::fs::read_to_string(path).unwrap();
        messages.extend(text.lines().filter_map(|line| Some(line.strip_prefix("> ")?.into())));
    }
    messages
}

/// An instrument with these scales.
pub fn instrument(price_scale: u8, qty_scale: u8) -> Instrument {
    let nought = Decimal { mantissa: 0, scale: 0 };
    let spec = InstrumentSpec {
        venue: VenueId(0),
        currency: CurrencyId(0),
        contract: ContractKind::Linear,
        price_scale,
        qty_scale,
        multiplier: Decimal { mantissa: 1, scale: 0 },
        tick: 1,
        lot: 1,
        min_qty: 1,
        min_notional: nought,
        taker: Rate::from_bps(5),
        maker: Rate::from_bps(2),
        min_fee: nought,
        max_quote_age: Nanos::from_secs(5),
        jump_limit: Rate::from_bps(1000),
        jump_ticks: 5,
        reduce_only: true,
        min_notional_on_reduce: false,
        peer: None,
    };
    Instrument::new(spec).unwrap()
}

/// One message and its ticks.
pub fn decode(codec: &mut dyn MarketCodec, raw: &[u8], received: Nanos) -> (Decoded, Vec<Tick>) {
    let mut ticks = Vec::new();
    let decoded = codec.decode(raw, received, SOURCE, &mut |tick| ticks.push(tick));
    (decoded, ticks)
}

/// A file of the recorded data; `None`, with a line that says so, where there is none.
pub fn recorded(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: no {}", path.display());
    None
}

/// A tick as one line of a golden file.
pub fn show(tick: &Tick, names: &[impl AsRef<str>]) -> String {
    let stamp = tick.stamp();
    let name = |id: InstrumentId| names.get(usize::from(id.0)).map_or("?", AsRef::as_ref);
    let name = name(tick.instrument());
    let mut line = match tick.body() {
        TickBody::Quote(quote) => format!(
            "quote {name} bid={} ask={} bid_qty={} ask_qty={}",
            quote.bid.raw(),
            quote.ask.raw(),
            quote.bid_qty.raw(),
            quote.ask_qty.raw()
        ),
        TickBody::Trade { price, qty, buyer_aggressor, at } => {
            let side = if buyer_aggressor { "buy" } else { "sell" };
            format!("trade {name} {side} price={} qty={} at={}", price.raw(), qty.raw(), at.0)
        }
        TickBody::Mark { price } => format!("mark {name} price={}", price.raw()),
        TickBody::Funding { rate, settles } => {
            format!("funding {name} rate_ppb={} settles={}", rate.raw(), settles.0)
        }
        TickBody::Alive => "alive".to_owned(),
        TickBody::Refused(reason) => format!("refused {name} {}", reason.name()),
    };
    if stamp.update_id != 0 {
        line += &format!(" id={}", stamp.update_id);
    }
    if stamp.venue_lag_us != 0 {
        line += &format!(" lag_us={}", stamp.venue_lag_us);
    }
    if stamp.reset {
        line += " reset";
    }
    line
}

/// A venue's codec beside its oracle.
pub struct Pair {
    rows: Vec<Row>,
    venue: &'static str,
    codec: Box<dyn MarketCodec>,
    bybit: oracle::Bybit,
}

impl Pair {
    pub fn new(venue: &'static str, rows: &[Row]) -> Self {
        let bybit = oracle::Bybit::new(rows, venue == "bybit_linear");
        Self { rows: rows.to_vec(), venue, codec: codec(venue, rows), bybit }
    }

    /// Decodes with both and holds them to each other. Only two differences are allowed: which
    /// word is said for bad JSON, and that escapes where the codec reads are refused.
    pub fn check(&mut self, raw: &[u8], received: Nanos) -> (Decoded, Vec<Tick>) {
        let (decoded, ticks) = decode(&mut *self.codec, raw, received);
        let (expected, expected_ticks) = match self.venue {
            "binance_spot" => oracle::binance(&self.rows, false, raw, received),
            "binance_usdm" => oracle::binance(&self.rows, true, raw, received),
            "bybit_linear" | "bybit_spot" => self.bybit.decode(raw, received),
            venue => {
                panic!("write an oracle for {venue} in tests/support/oracle, and call it here")
            }
        };
        let reason = |decoded: Decoded| match decoded.outcome {
            Outcome::Rejected(reason) if decoded.kind == Kind::Malformed => Some(reason),
            _ => None,
        };
        match (reason(decoded), reason(expected)) {
            (Some(Rejection::Escape), _) if raw.contains(&b'\\') => {
                // The oracle took it: both start anew.
                *self = Self::new(self.venue, &self.rows);
            }
            // Whichever fault of bad JSON is met first.
            (Some(_), Some(Rejection::Syntax)) => {}
            _ => assert_eq!(decoded, expected, "{}: {}", self.venue, raw.escape_ascii()),
        }
        if reason(decoded) != Some(Rejection::Escape) {
            assert_eq!(ticks, expected_ticks, "{}: {}", self.venue, raw.escape_ascii());
        }
        (decoded, ticks)
    }
}
