//! How the venues of a configuration are reached: hosts, trust, limits, keys.

use std::sync::Arc;
use std::time::Duration;

use reap_core::instrument::{AccountId, InstrumentId, VenueId};
use reap_feed::endpoint::Endpoint;
use reap_feed::trading::{Keys, LIVE_ORDERS_MAX, Trading, TradingInstrument, TradingSetup};
use reap_feed::transport::{TransportSettings, Trust};
use reap_feed::venues::Host;

use super::LiveError;
use super::connector::Target;
use super::gateway::VenueAccount;
use super::simulated::Simulated;
use crate::config::Config;

/// See the module.
pub struct Reach<'c> {
    config: &'c Config,
    simulated: Option<&'c Simulated>,
    /// Trust by venue.
    trust: Vec<Trust>,
}

impl<'c> Reach<'c> {
    /// Reads what files are named.
    ///
    /// # Errors
    /// When a file of authorities cannot be read.
    pub fn new(config: &'c Config, simulated: Option<&'c Simulated>) -> Result<Self, LiveError> {
        let mut trust = Vec::new();
        for venue in &config.venues {
            trust.push(match (simulated, &venue.connection.root) {
                (Some(simulated), _) => simulated.trust.clone(),
                (None, None) => Trust::webpki(),
                (None, Some(path)) => {
                    let pem = std::fs::read(path).map_err(|error| LiveError::Root {
                        venue: venue.name.clone(),
                        path: path.clone(),
                        error,
                    })?;
                    Trust::with_roots_pem(&pem)?
                }
            });
        }
        Ok(Self { config, simulated, trust })
    }

    /// Where a host of a venue is.
    ///
    /// # Errors
    /// When an endpoint of the configuration is none.
    pub fn target(&self, venue: VenueId, host: Host) -> Result<Arc<Target>, LiveError> {
        let at = usize::from(venue.0);
        let of = &self.config.venues[at];
        let connection = &of.connection;
        let own = match host {
            Host::Stream => None,
            Host::Orders => connection.orders_endpoint.as_ref(),
            Host::Rest => connection.rest_endpoint.as_ref(),
        };
        let written = own.or(connection.endpoint.as_ref());
        let endpoint = match (self.simulated, written) {
            (Some(simulated), _) => simulated.endpoint(venue),
            (None, Some(text)) => Endpoint::parse(text).map_err(|error| LiveError::Endpoint {
                venue: of.name.clone(),
                why: error.to_string(),
            })?,
            (None, None) => Endpoint::tls(of.kind.hosts.get(host)),
        };
        let busy_poll = connection.busy_poll.map(|span| (span.0 / 1_000) as u32);
        let settings =
            TransportSettings { busy_poll_us: busy_poll, ..TransportSettings::default() };
        Ok(Arc::new(Target { endpoint, trust: self.trust[at].clone(), settings }))
    }

    /// The trading of an account, and where its channels connect to.
    ///
    /// # Errors
    /// When the venue has no trading here, or keys are missing.
    pub fn account(&self, account: AccountId) -> Result<VenueAccount, LiveError> {
        let of = &self.config.accounts[usize::from(account.0)];
        let venue = &self.config.venues[usize::from(of.venue.0)];
        let make = venue.kind.trading.ok_or_else(|| LiveError::NoTrading {
            venue: venue.name.clone(),
            kind: venue.kind.name,
        })?;
        let listed = self.config.instruments.iter().enumerate();
        let listed = listed.filter(|(_, named)| named.spec().venue == of.venue);
        let instruments = listed.map(|(at, named)| TradingInstrument {
            id: InstrumentId(at as u16),
            symbol: named.symbol.clone(),
            instrument: named.instrument,
        });
        let rest = self.target(of.venue, Host::Rest)?;
        let setup = TradingSetup {
            keys: self.keys(account)?,
            instruments: instruments.collect(),
            account,
            seed: u64::from(account.0),
            rest_host: rest.endpoint.authority(),
            orders_max: LIVE_ORDERS_MAX,
        };
        let name = format!("{}/{}", venue.name, of.name);
        let trading: Box<dyn Trading> = make(setup)
            .map_err(|error| LiveError::Setup { account: name.clone(), why: error.to_string() })?;
        let targets = trading.channels().iter().map(|plan| self.target(of.venue, plan.host));
        let targets = targets.collect::<Result<_, _>>()?;
        Ok(VenueAccount { venue: of.venue, account, name, trading, targets })
    }

    /// Accounts that a leg of a position or a task names.
    #[must_use]
    pub fn accounts(&self) -> Vec<AccountId> {
        let legs = self.config.positions.iter().flat_map(|position| &position.legs);
        let entered = self.config.tasks.iter().flat_map(|task| [task.spec.spot, task.spec.futures]);
        let entered = entered.map(|leg| leg.account);
        let mut used: Vec<AccountId> = legs.map(|leg| leg.account).chain(entered).collect();
        used.sort_unstable();
        used.dedup();
        used
    }

    fn keys(&self, account: AccountId) -> Result<Keys, LiveError> {
        if self.simulated.is_some() {
            return Ok(Simulated::keys(account));
        }
        let of = &self.config.accounts[usize::from(account.0)];
        let venue = &self.config.venues[usize::from(of.venue.0)].name;
        let name = || format!("{venue}/{}", of.name);
        let names = of.keys.as_ref().ok_or_else(|| LiveError::NoKeys(name()))?;
        let read = |variable: &str| {
            std::env::var(variable).ok().filter(|value| !value.is_empty()).ok_or_else(|| {
                LiveError::EmptyKey { account: name(), variable: variable.to_owned() }
            })
        };
        Ok(Keys::new(read(&names.key_env)?, read(&names.secret_env)?))
    }
}

/// A span of the configuration as real time.
#[must_use]
pub const fn real(span: reap_core::units::Nanos) -> Duration {
    Duration::from_nanos(span.0)
}
