//! The simulated venues of a run: started from the configuration, with the market's own clock.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reap_core::instrument::{AccountId, InstrumentId, VenueId};
use reap_core::position::Side;
use reap_core::units::Nanos;
use reap_feed::endpoint::Endpoint;
use reap_feed::trading::Keys;
use reap_feed::transport::Trust;

use super::LiveError;
use crate::clock::LiveClock;
use crate::config::{Config, SimConfig, SimMarket};
use crate::merge::{Merge, Merged};
use crate::sim::server::{
    Feed, SimInstrument, SimKeys, SimKind, SimOptions, SimTls, SimVenue, SimVenueConfig,
    market_feed,
};
use crate::sim::{Market, MarketVenue};

/// 2026-01-05 09:00:00 UTC, when a generated market begins.
const START: Nanos = Nanos(1_767_603_600_000_000_000);

/// Running simulated venues.
pub struct Simulated {
    /// By [`VenueId`].
    venues: Vec<SimVenue>,
    /// The market's time.
    pub clock: LiveClock,
    /// When its first message is due.
    pub begins: Nanos,
    /// Who signs the venues' certificates.
    pub trust: Trust,
    secure: bool,
}

impl Simulated {
    /// Starts a venue for each configured one, on free loopback ports. The market begins after the
    /// configured lead.
    ///
    /// # Errors
    /// When a kind cannot be simulated, a recording cannot be read, or a port cannot be had.
    pub fn start(config: &Config, sim: &SimConfig) -> Result<Self, LiveError> {
        let (tls, trust) = if sim.tls {
            let (tls, root) = SimTls::self_signed()?;
            (Some(tls), Trust::with_roots_pem(&root)?)
        } else {
            (None, Trust::webpki())
        };
        let kinds = (0..config.venues.len()).map(|at| kind(config, at));
        let kinds = kinds.collect::<Result<Vec<_>, _>>()?;
        let mut feeds = Vec::new();
        let mut begins = None;
        for (at, kind) in kinds.iter().enumerate() {
            let (first, feed) = feed(config, sim, VenueId(at as u8), *kind)?;
            begins = [begins, first].into_iter().flatten().min();
            feeds.push(feed);
        }
        let begins = begins.ok_or_else(|| LiveError::NoMarket(config.file.clone()))?;
        let lead = Nanos(sim.lead.0.saturating_mul(u64::from(sim.speed)));
        let clock = LiveClock::starting_at(begins.minus(lead), sim.speed);
        let mut venues = Vec::new();
        for ((at, kind), feed) in kinds.into_iter().enumerate().zip(feeds) {
            let config = venue(config, at, kind, tls.clone(), sim.speed);
            venues.push(SimVenue::start(config, feed, Arc::new(clock.clone()))?);
        }
        let simulated = Self { venues, clock, begins, trust, secure: sim.tls };
        simulated.deposit(config);
        Ok(simulated)
    }

    /// What the configured positions hold, the venues know from the beginning.
    fn deposit(&self, config: &Config) {
        for leg in config.positions.iter().flat_map(|position| &position.legs) {
            let venue = config.instruments[usize::from(leg.instrument.0)].spec().venue;
            let qty = match leg.side {
                Side::Long => leg.qty.raw(),
                Side::Short => -leg.qty.raw(),
            };
            self.venues[usize::from(venue.0)].deposit(leg.account, leg.instrument, qty);
        }
    }

    /// Where a venue listens.
    #[must_use]
    pub fn endpoint(&self, venue: VenueId) -> Endpoint {
        let addr = self.venues[usize::from(venue.0)].addr();
        Endpoint { secure: self.secure, host: addr.ip().to_string(), port: addr.port() }
    }

    /// Keys of an account, as its venue knows them.
    #[must_use]
    pub fn keys(account: AccountId) -> Keys {
        let SimKeys { key, secret } = sim_keys(account);
        Keys::new(key, secret)
    }

    /// Whether every message of the market has been sent.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.venues.iter().all(SimVenue::finished)
    }

    /// Cuts a venue off for this long, real time: every connection ends without a word, and no new
    /// one is taken.
    pub fn cut(&self, venue: VenueId, span: Duration) {
        self.venues[usize::from(venue.0)].cut(span);
    }

    /// What a venue's matching did.
    #[must_use]
    pub fn counts(&self, venue: VenueId) -> crate::sim::Counts {
        self.venues[usize::from(venue.0)].counts().matching
    }

    /// Stops them.
    pub fn stop(self) {
        self.venues.into_iter().for_each(SimVenue::stop);
    }
}

fn kind(config: &Config, at: usize) -> Result<SimKind, LiveError> {
    let venue = &config.venues[at];
    match venue.kind.name {
        "binance_usdm" => Ok(SimKind::BinanceUsdm),
        "bybit_linear" | "bybit_spot" => Ok(SimKind::Bybit),
        kind => Err(LiveError::NotSimulated { venue: venue.name.clone(), kind }),
    }
}

fn sim_keys(account: AccountId) -> SimKeys {
    // Nothing is protected by these: the venue lives in this process, on loopback.
    SimKeys {
        key: format!("simulated-account-{}", account.0),
        secret: format!("simulated-secret-{}", account.0),
    }
}

fn venue(
    config: &Config,
    at: usize,
    kind: SimKind,
    tls: Option<SimTls>,
    speed: u32,
) -> SimVenueConfig {
    // Heartbeats and lives of connections are real time, as they are on our side.
    let real = |span: Nanos| Nanos(span.0.saturating_mul(u64::from(speed)));
    let sheet = SimOptions::default();
    let options = SimOptions {
        ping_every: real(sheet.ping_every),
        pong_within: real(sheet.pong_within),
        connection_life: real(sheet.connection_life),
        listen_key_life: real(sheet.listen_key_life),
        idle_limit: real(sheet.idle_limit),
        rate: speed,
        ..sheet
    };
    let id = VenueId(at as u8);
    let listed = config.instruments.iter().enumerate();
    let listed = listed.filter(|(_, named)| named.spec().venue == id);
    let instruments = listed.map(|(at, named)| SimInstrument {
        symbol: named.symbol.clone(),
        id: InstrumentId(at as u16),
        instrument: named.instrument,
        spot: config.venues[usize::from(id.0)].kind.spot,
    });
    let accounts = config.accounts.iter().enumerate();
    let accounts = accounts.filter(|(_, account)| account.venue == id);
    let accounts = accounts.map(|(at, _)| {
        let account = AccountId(at as u8);
        (account, sim_keys(account))
    });
    SimVenueConfig {
        kind,
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        tls,
        instruments: instruments.collect(),
        accounts: accounts.collect(),
        latency: config.venues[at].latency,
        options,
    }
}

/// A venue's messages, and when the first is due.
fn feed(
    config: &Config,
    sim: &SimConfig,
    venue: VenueId,
    kind: SimKind,
) -> Result<(Option<Nanos>, Feed), LiveError> {
    match &sim.market {
        SimMarket::Seed(seed) => {
            let of = match kind {
                SimKind::BinanceUsdm => MarketVenue::Binance,
                SimKind::Bybit => MarketVenue::Bybit,
            };
            Ok((Some(START), market_feed(*seed, START, Market::DEMO_LENGTH, of)))
        }
        SimMarket::Recordings(paths) => {
            let mut own: Vec<PathBuf> = Vec::new();
            for path in paths {
                let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
                let of = config.venue_of_recording(&name.unwrap_or_default());
                if of.map_err(LiveError::Recording)? == venue {
                    own.push(path.clone());
                }
            }
            recorded(own)
        }
    }
}

fn recorded(paths: Vec<PathBuf>) -> Result<(Option<Nanos>, Feed), LiveError> {
    let broken =
        |error: reap_feed::recording::RecordingError| LiveError::Recording(error.to_string());
    let mut merge = Merge::open(&paths).map_err(broken)?;
    // Read whole before the market begins: a broken file is refused now, and the disk is not waited
    // for later.
    let mut messages = Vec::new();
    while let Some(merged) = merge.advance().map_err(broken)? {
        if let Merged::Message(at, _) = merged {
            messages.push((at, merge.raw().to_vec()));
        }
    }
    let first = messages.first().map(|(at, _)| *at);
    Ok((first, Box::new(messages.into_iter())))
}
