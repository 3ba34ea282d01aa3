//! Why a live run cannot start.

use std::path::PathBuf;

use reap_feed::transport::TrustError;

use super::layout::LayoutError;
use super::runner::SpawnError;
use crate::order_log::LogError;
use crate::pipeline::PipelineError;
use crate::sim::server::SimError;

/// Why a live run cannot start. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// The layout cannot be had.
    #[error("{0}")]
    Layout(#[from] LayoutError),
    /// A thread does not run as it should.
    #[error("{0}")]
    Spawn(#[from] SpawnError),
    /// The order log cannot be opened.
    #[error("{0}")]
    Log(#[from] LogError),
    /// The configuration does not fit the engine.
    #[error("{0}")]
    Pipeline(#[from] PipelineError),
    /// A simulated venue does not start.
    #[error("{0}")]
    Sim(#[from] SimError),
    /// Certificates of authorities that cannot be used.
    #[error("{0}")]
    Trust(#[from] TrustError),
    /// A file of authorities that cannot be read.
    #[error("venue.{venue}.root: {}: {error}; name a readable PEM file", path.display())]
    Root {
        /// The venue.
        venue: String,
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// An endpoint that is none.
    #[error("venue.{venue}.endpoint: {why}")]
    Endpoint {
        /// The venue.
        venue: String,
        /// What is wrong.
        why: String,
    },
    /// A venue that can only be watched.
    #[error(
        "venue.{venue}: {kind} has no trading yet; run it with mode = \"paper\" or \"dry_run\""
    )]
    NoTrading {
        /// The venue.
        venue: String,
        /// Its kind.
        kind: &'static str,
    },
    /// A venue that cannot be simulated.
    #[error(
        "venue.{venue}: {kind} cannot be simulated on sockets; binance_usdm and bybit_linear can"
    )]
    NotSimulated {
        /// The venue.
        venue: String,
        /// Its kind.
        kind: &'static str,
    },
    /// Nothing to play.
    #[error("{0}: [sim] has no message to play; name recordings that have some")]
    NoMarket(String),
    /// A recording that cannot be played.
    #[error("{0}")]
    Recording(String),
    /// An account without keys.
    #[error("account {0} has no keys: name the variables that hold them in [account.NAME]")]
    NoKeys(String),
    /// A variable that holds nothing.
    #[error("account {account}: the environment variable {variable} is not set; set it to the key")]
    EmptyKey {
        /// The account.
        account: String,
        /// The variable.
        variable: String,
    },
    /// An account whose trading cannot start.
    #[error("account {account}: {why}")]
    Setup {
        /// The account.
        account: String,
        /// What is wrong.
        why: String,
    },
    /// What the configuration asks for cannot be had in this run.
    #[error("{what}; {remedy}")]
    NotInARun {
        /// What.
        what: String,
        /// What to do.
        remedy: &'static str,
    },
    /// What earlier runs have left does not fit the configuration.
    #[error("{0}")]
    Carried(String),
    /// The system refuses something.
    #[error("{what}: {error}")]
    System {
        /// What was wanted.
        what: &'static str,
        /// What the system said.
        error: std::io::Error,
    },
}

impl LiveError {
    /// For `map_err`.
    pub(crate) fn system(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |error| Self::System { what, error }
    }
}
