//! `[sim]`: a simulated market on sockets, from a seed or from recordings.

use std::path::PathBuf;

use reap_core::units::Nanos;
use toml::de::DeValue;

use super::names::Lookup;
use super::run::path;
use super::value::SpanBounds;
use super::venue::{self, SourceMatch, Venue};
use super::walk::Value;
use super::{NamedInstrument, modes};
use crate::sim::Market;

/// Where a simulated market's messages come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SimMarket {
    /// From the generator of the demonstration.
    Seed(u64),
    /// From files; which is whose says `[[source]]`.
    Recordings(Vec<PathBuf>),
}

/// `[sim]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimConfig {
    /// Where the messages come from.
    pub market: SimMarket,
    /// The market's time that passes in one unit of real time: 1 to 1000.
    pub speed: u32,
    /// Whether its connections are encrypted, with a certificate made for the run.
    pub tls: bool,
    /// Real time from the start until the market begins: for connections to be made.
    pub lead: Nanos,
}

const SPEED_MAX: u32 = 1000;
const LEAD: Nanos = Nanos::from_secs(1);
const LEAD_BOUNDS: SpanBounds = SpanBounds::new(Nanos(0), Nanos::from_secs(600));
const MARKET: &str = "write either seed = 7 or recordings = [\"file.gz\"]";

/// What `[sim]` refers to.
pub(super) struct Around<'k> {
    pub(super) venues: &'k Lookup<Venue>,
    pub(super) instruments: &'k Lookup<NamedInstrument>,
    pub(super) sources: &'k [SourceMatch],
}

pub(super) fn sim(value: &Value<'_>, around: &Around<'_>) -> Option<SimConfig> {
    let table = value.table("write it as [sim]")?;
    let market = match (table.get("seed"), table.get("recordings")) {
        (Some(seed), None) => seed_of(&seed, around),
        (None, Some(recordings)) => recordings_of(&recordings, around),
        (Some(_), Some(recordings)) => {
            recordings.problem("a seed is given too", MARKET);
            None
        }
        (None, None) => {
            table.missing("seed", MARKET);
            None
        }
    };
    let speed = match table.get("speed") {
        Some(value) => value.integer(1, SPEED_MAX),
        None => Some(1),
    };
    let tls = match table.get("tls") {
        Some(value) => value.flag(),
        None => Some(true),
    };
    let lead = match table.get("lead") {
        Some(value) => value.span(LEAD_BOUNDS),
        None => Some(LEAD),
    };
    table.finish();
    modes::simulated(&table, around.venues);
    Some(SimConfig { market: market?, speed: speed?, tls: tls?, lead: lead? })
}

/// The seeded market has its own symbols and each of its venues once: what it never quotes would
/// wait for ever.
fn seed_of(value: &Value<'_>, around: &Around<'_>) -> Option<SimMarket> {
    let seed = match value.node() {
        DeValue::Integer(number) if number.radix() == 10 => number.as_str().parse().ok(),
        _ => None,
    };
    let Some(seed) = seed else {
        value.problem("is not a whole number from 0 on", "write for example seed = 7");
        return None;
    };
    let mut fine = true;
    let venues: Vec<&Venue> = around.venues.items().flatten().collect();
    for (at, venue) in venues.iter().enumerate() {
        if let Some(twin) = venues[..at].iter().find(|other| other.kind.name == venue.kind.name) {
            let kind = venue.kind.name;
            let what =
                format!("the seeded market has one {kind}, not {} and {}", twin.name, venue.name);
            value.problem(what, "remove one of the two venues, or use recordings");
            fine = false;
        }
    }
    for named in around.instruments.items().flatten() {
        if !Market::SYMBOLS.contains(&named.symbol.as_str()) {
            let symbols = Market::SYMBOLS.join(", ");
            let what =
                format!("the seeded market has no symbol {} for {}", named.symbol, named.name);
            value.problem(what, format!("use {symbols}, or use recordings"));
            fine = false;
        }
    }
    fine.then_some(SimMarket::Seed(seed))
}

fn recordings_of(value: &Value<'_>, around: &Around<'_>) -> Option<SimMarket> {
    let elements = value.array("write recordings = [\"file.gz\"]")?;
    if elements.is_empty() {
        value.problem("names no file", MARKET);
        return None;
    }
    let read = |value: &Value<'_>| {
        let path = path(value, "write the name of a recording")?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let venues = around.venues.items().count();
        let named = |part: &str| around.venues.index(part);
        match venue::of_recording(around.sources, venues, named, &name.unwrap_or_default()) {
            Ok(_) => Some(path),
            Err((what, remedy)) => {
                value.problem(what, remedy);
                None
            }
        }
    };
    let all: Vec<_> = elements.iter().map(read).collect();
    all.into_iter().collect::<Option<_>>().map(SimMarket::Recordings)
}
