//! Strict TOML configuration: what it may say, and every mistake at once.
//!
//! A file is parsed with the positions of its values, walked by hand into the core's own types, and
//! refused as a whole with every mistake that it contains: line, key, value, bound and remedy.
//! Percentages, amounts and times always carry a unit. Unknown keys are mistakes.

mod blind;
mod connection;
mod exit;
mod fit;
mod health;
mod heard;
mod instrument;
mod keys;
mod modes;
mod names;
mod nearest;
mod operator;
mod policy;
mod portfolio;
mod position;
mod problem;
mod rules;
mod run;
mod setup;
mod simulation;
pub mod summary;
mod switch;
mod task;
mod task_words;
mod time;
mod timed;
mod units;
mod value;
mod venue;
mod walk;
pub mod words;

use std::path::Path;
use std::sync::Arc;

use reap_core::event::GateSettings;
use reap_core::instrument::VenueId;
use reap_core::limits::{INSTRUMENTS_MAX, POLICIES_MAX, POSITIONS_MAX};
use reap_core::policy::PolicyId;
use reap_core::portfolio::PortfolioSettings;
use toml::de::DeTable;

pub use self::connection::Connection;
pub use self::instrument::NamedInstrument;
pub use self::keys::KeyNames;
use self::modes::Held;
use self::names::{Currencies, Lookup};
pub use self::policy::NamedPolicy;
use self::position::Known;
pub use self::position::{Account, Entry, FeesPaid, LegConfig, Opened, PositionConfig};
pub use self::problem::{ConfigError, Problem};
pub use self::rules::kind_of;
pub use self::run::{Cores, Layout, Mode, RunConfig, Sync, Waiting};
use self::simulation::Around;
pub use self::simulation::{SimConfig, SimMarket};
pub use self::task::NamedTask;
pub use self::time::{format_instant, format_time_of_day};
pub use self::timed::{Input, Target, TimedInput, When};
pub use self::venue::{SourceMatch, Venue};
use self::walk::{Table, Value, Walk};

/// Largest file that is read: far more than any list of positions.
const FILE_MAX: u64 = 1 << 26;
const VENUES_MAX: usize = 256;

/// A configuration without mistakes. Ids of the core are indices into its lists.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file's name, for reports.
    pub file: String,
    /// What stands in it: names of secrets, and no secret.
    pub text: Arc<str>,
    /// By [`VenueId`].
    pub venues: Vec<Venue>,
    /// By [`reap_core::instrument::CurrencyId`].
    pub currencies: Vec<String>,
    /// By [`reap_core::instrument::AccountId`].
    pub accounts: Vec<Account>,
    /// By [`reap_core::instrument::InstrumentId`].
    pub instruments: Vec<NamedInstrument>,
    /// By [`reap_core::policy::PolicyId`].
    pub policies: Vec<NamedPolicy>,
    /// The rules over all positions.
    pub portfolio: Option<PortfolioSettings>,
    /// In the order of the file.
    pub positions: Vec<PositionConfig>,
    /// What happens at its time beside the market.
    pub inputs: Vec<TimedInput>,
    /// What enters positions of itself, by [`reap_core::entry::TaskId`].
    pub tasks: Vec<NamedTask>,
    /// Names of the positions' tags: tag 1 is the first.
    pub tags: Vec<String>,
    /// Which recordings are whose.
    pub sources: Vec<SourceMatch>,
    /// Settings of the price gates.
    pub gates: GateSettings,
    /// How a live run is laid out, where `[run]` says so.
    pub run: Option<RunConfig>,
    /// The simulated market of a run.
    pub sim: Option<SimConfig>,
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or with every mistake that it contains.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let file = path.display().to_string();
        let read = || {
            let size = std::fs::metadata(path)?.len();
            if size > FILE_MAX {
                let what = format!("{size} bytes are more than {FILE_MAX}");
                return Err(std::io::Error::other(what));
            }
            std::fs::read_to_string(path)
        };
        match read() {
            Ok(text) => Self::parse(&file, &text),
            Err(error) => Err(ConfigError::Unreadable { file, error }),
        }
    }

    /// The configuration of the demonstration, which is part of the program: its venues are those of
    /// [`crate::sim::MarketVenue`], in that order.
    ///
    /// # Panics
    /// Never: a test reads it.
    #[must_use]
    pub fn demo() -> Self {
        let text = include_str!("../../config/demo.toml");
        Self::parse("demo.toml", text).expect("the embedded configuration has no mistake")
    }

    /// Reads a text; `file` is its name in errors.
    ///
    /// # Errors
    /// With every mistake that it contains.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        let (tree, errors) = DeTable::parse_recoverable(text);
        let walk = Walk::new(text, &errors);
        let config = document(file, &walk.root(tree.get_ref()));
        let problems = walk.into_problems();
        match config {
            Some(config) if problems.is_empty() => Ok(Self { text: text.into(), ..config }),
            _ => {
                assert!(!problems.is_empty(), "what is refused is reported");
                Err(ConfigError::Refused { file: file.into(), problems })
            }
        }
    }

    /// The venue whose recordings are named like this file: that of the longest matching
    /// `[[source]]`; else the venue whose name stands between dots, as `reap record` writes it; else
    /// the only venue when there is no `[[source]]` at all.
    ///
    /// # Errors
    /// In words, when no venue or more than one fits.
    pub fn venue_of_recording(&self, file_name: &str) -> Result<VenueId, String> {
        let named = |part: &str| self.venues.iter().position(|venue| venue.name == part);
        let found = venue::of_recording(&self.sources, self.venues.len(), named, file_name);
        found.map_err(|(what, remedy)| format!("{file_name}: {what} in {}; {remedy}", self.file))
    }

    /// The policies under which may come what is opened under one: that itself, and what is switched
    /// to.
    pub fn policies_from(&self, policy: PolicyId) -> impl Iterator<Item = &NamedPolicy> {
        // A switch of some positions only is counted for all: it costs room, and no more.
        let to = self.inputs.iter().filter_map(|one| match one.input {
            Input::Policy { policy, .. } | Input::Commit { policy, .. } => Some(policy),
            _ => None,
        });
        let ids = std::iter::once(policy).chain(to);
        ids.map(|id| &self.policies[usize::from(id.0)])
    }

    /// The currency in which a position's amounts are.
    #[must_use]
    pub fn currency_of(&self, position: &PositionConfig) -> &str {
        let instrument = usize::from(position.legs[0].instrument.0);
        &self.currencies[usize::from(self.instruments[instrument].spec().currency.0)]
    }
}

/// Everything, or `None` after reporting why not.
fn document(file: &str, root: &Table<'_>) -> Option<Config> {
    let mut currencies = Currencies::default();
    let venues = named(root, "venue", VENUES_MAX, venue::venue);
    let instruments = instruments(root, &venues, &mut currencies);
    let policies = named(root, "policy", POLICIES_MAX, |name, value| {
        policy::policy(name, value, &instruments, &mut currencies)
    });
    let portfolio = portfolio::portfolio(root, &mut currencies);
    let sources = sources(root, &venues);
    let gates = match root.get("gates") {
        Some(value) => venue::gates(&value),
        None => Some(GateSettings::default()),
    };
    let mut known = Known {
        instruments: &instruments,
        policies: &policies,
        currencies: &currencies.0,
        accounts: Vec::new(),
        tags: Vec::new(),
    };
    let positions = positions(root, &venues, &mut known);
    let tasks = task::tasks(root, &venues, &mut known, positions.as_deref().unwrap_or_default());
    let around = operator::Around {
        portfolio: portfolio.as_ref().map(Option::as_ref),
        currencies: known.currencies,
        tasks: tasks.as_ref().map_or(&[][..], |(tasks, _)| tasks),
    };
    let open = positions.as_deref().unwrap_or_default();
    let inputs = inputs(root, &venues, open, &known, &around);
    let (mut accounts, tags) = (known.accounts, known.tags);
    let keys = keys::keys(root, &venues);
    for keys in keys.iter().flatten() {
        let same = accounts.iter_mut().find(|account| **account == keys.account);
        if let Some(account) = same {
            account.keys = Some(keys.names.clone());
        }
    }
    let around = Around {
        venues: &venues,
        instruments: &instruments,
        sources: sources.as_deref().unwrap_or_default(),
    };
    let sim_value = root.get("sim");
    let sim = match &sim_value {
        Some(value) => simulation::sim(value, &around).map(Some),
        None => Some(None),
    };
    let run = match root.get("run") {
        Some(value) => run::run(&value).and_then(|written| {
            if let Some((mode, value)) = &written.mode {
                let positions = positions.as_deref().unwrap_or_default();
                let tasks = tasks.as_ref().map_or(&[][..], |(tasks, _)| tasks);
                let keys = keys.as_deref();
                let policies = &policies;
                let held = Held { accounts: &accounts, positions, tasks, policies, keys };
                modes::check(*mode, value, sim_value.as_ref(), &venues, &held);
            }
            written.run.map(Some)
        }),
        None => Some(None),
    };
    root.finish();
    keys?;
    let (tasks, of_tasks) = tasks?;
    let mut config = Config {
        file: file.into(),
        text: Arc::from(""),
        venues: venues.into_all()?,
        instruments: instruments.into_all()?,
        policies: policies.into_all()?.into_iter().chain(of_tasks).collect(),
        tasks,
        portfolio: portfolio?,
        positions: positions?,
        inputs: inputs?,
        currencies: currencies.0,
        accounts,
        tags,
        sources: sources?,
        gates: gates?,
        run: run?,
        sim: sim?,
    };
    config.settle_portfolio(root)?;
    Some(config)
}

/// The tables `[kind.NAME]` in the order of the file.
fn named<T>(
    root: &Table<'_>,
    kind: &'static str,
    max: usize,
    mut read: impl FnMut(&str, &Value<'_>) -> Option<T>,
) -> Lookup<T> {
    let mut all = Lookup::new();
    for (name, value) in sections(root, kind, max) {
        let item = read(name, &value);
        all.push(name, item);
    }
    all
}

fn sections<'a>(root: &Table<'a>, kind: &'static str, max: usize) -> Vec<(&'a str, Value<'a>)> {
    let Some(value) = root.get(kind) else { return Vec::new() };
    let Some(table) = value.table(&format!("write each as [{kind}.NAME]")) else {
        return Vec::new();
    };
    let entries = table.named();
    if entries.len() > max {
        value.problem(
            format!("at most {max} are possible, these are {}", entries.len()),
            "split it",
        );
    }
    entries
}

fn instruments(
    root: &Table<'_>,
    venues: &Lookup<Venue>,
    currencies: &mut Currencies,
) -> Lookup<NamedInstrument> {
    let mut all: Lookup<NamedInstrument> = Lookup::new();
    let mut peers = Vec::new();
    for (name, value) in sections(root, "instrument", INSTRUMENTS_MAX) {
        let mut peer = None;
        let item = instrument::instrument(name, &value, venues, currencies, &mut peer);
        if let Some(item) = &item {
            let twin = all.items().flatten().find(|other| {
                other.spec().venue == item.spec().venue && other.symbol == item.symbol
            });
            if let Some(twin) = twin {
                let what = format!("is the same symbol of the same venue as {}", twin.name);
                value.problem(what, "remove one of the two");
            }
        }
        peers.push(peer);
        all.push(name, item);
    }
    let ids: Vec<_> = peers
        .iter()
        .enumerate()
        .map(|(own, value)| instrument::peer(own, value.as_ref()?, &all))
        .collect();
    all.map(|index, item: NamedInstrument| item.with_peer(ids[index]))
}

fn sources(root: &Table<'_>, venues: &Lookup<Venue>) -> Option<Vec<SourceMatch>> {
    let Some(value) = root.get("source") else { return Some(Vec::new()) };
    let venue = |value: &Value<'_>| {
        let (id, _) = venues.find(value, "venue")?;
        u8::try_from(id).ok().map(VenueId)
    };
    let mut all: Vec<SourceMatch> = Vec::new();
    let mut fine = true;
    for value in value.array("write each as [[source]]")? {
        let Some(source) = venue::source(&value, venue) else {
            fine = false;
            continue;
        };
        if all.iter().any(|other| other.text == source.text) {
            let what = format!("match \"{}\" occurs twice", source.text);
            value.problem(what, "remove one of the two");
        }
        all.push(source);
    }
    fine.then_some(all)
}

fn inputs(
    root: &Table<'_>,
    venues: &Lookup<Venue>,
    positions: &[PositionConfig],
    known: &Known<'_>,
    around: &operator::Around<'_>,
) -> Option<Vec<TimedInput>> {
    let close = |value: &Value<'_>| timed::close(value, venues, positions, &known.tags);
    let mut all = vec![
        each(root, "close", close),
        each(root, "signal", |value| heard::signal(value, known)),
        each(root, "read", |value| heard::read(value, known)),
        each(root, "task_command", |value| heard::task_command(value, around.tasks)),
        each(root, "switch", |value| switch::switch(value, venues, positions, around.tasks, known)),
        each(root, "liquidation", |value| timed::liquidation(value, positions, known.instruments)),
    ];
    all.extend(
        operator::KINDS.map(|(kind, read)| {
            each(root, kind, |value| operator::input(kind, read, value, around))
        }),
    );
    let all: Option<Vec<Vec<TimedInput>>> = all.into_iter().collect();
    all.map(|all| all.concat())
}

/// The elements of `[[kind]]`, if there are any.
fn each<T>(
    root: &Table<'_>,
    kind: &'static str,
    read: impl Fn(&Value<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let Some(value) = root.get(kind) else { return Some(Vec::new()) };
    let elements = value.array(&format!("write each as [[{kind}]]"))?;
    let all: Vec<_> = elements.iter().map(read).collect();
    all.into_iter().collect()
}

fn positions(
    root: &Table<'_>,
    venues: &Lookup<Venue>,
    known: &mut Known<'_>,
) -> Option<Vec<PositionConfig>> {
    let Some(value) = root.get("position") else { return Some(Vec::new()) };
    let elements = value.array("write each as [[position]]")?;
    if elements.len() > POSITIONS_MAX {
        let what = format!("at most {POSITIONS_MAX} are possible, these are {}", elements.len());
        value.problem(what, "split the configuration");
        return None;
    }
    let mut names = std::collections::HashSet::new();
    let mut all = Vec::new();
    let count = elements.len();
    for value in elements {
        let value = match position::name_of(&value) {
            Some(name) => {
                let value = value.renamed(format!("position.{name}"));
                if !names.insert(name) {
                    value.problem("another position has this name", "give each its own name");
                }
                value
            }
            None => value,
        };
        all.extend(position::position(&value, known));
    }
    fit::oppositions(&all);
    fit::not_on_spot(&all, known, venues);
    let complete = all.len() == count;
    complete.then(|| all.into_iter().map(|(position, _)| position).collect())
}
