//! What a mode needs of the rest of the file.

use reap_feed::venues::Venue as Kind;

use super::connection::is_open;
use super::keys::Keys;
use super::names::Lookup;
use super::nearest::nearest;
use super::policy::NamedPolicy;
use super::position::{Account, PositionConfig};
use super::run::Mode;
use super::task::NamedTask;
use super::venue::Venue;
use super::walk::{Table, Value};

/// What is held, and with which keys.
pub(super) struct Held<'k> {
    pub(super) accounts: &'k [Account],
    pub(super) positions: &'k [PositionConfig],
    pub(super) tasks: &'k [NamedTask],
    pub(super) policies: &'k Lookup<NamedPolicy>,
    /// `None` when some of them are refused: then none are missed.
    pub(super) keys: Option<&'k [Keys]>,
}

/// Whether orders can be sent to venues of this kind.
fn trades(kind: &Kind) -> bool {
    kind.trading.is_some()
}

/// Whether there are simulated venues of this kind.
fn is_simulated(kind: &Kind) -> bool {
    matches!(kind.name, "binance_usdm" | "bybit_linear" | "bybit_spot")
}

/// What a simulated market cannot be: it brings its own hosts and certificates.
pub(super) fn simulated(sim: &Table<'_>, venues: &Lookup<Venue>) {
    for venue in venues.items().flatten() {
        if !is_simulated(venue.kind) {
            let what = format!("venue {}: there is no simulated {}", venue.name, venue.kind.name);
            sim.problem(what, "remove the venue, or [sim]");
        }
        let given = venue.connection.endpoints().map(|(key, _)| key);
        let root = venue.connection.root.as_ref().map(|_| "root");
        let given = given.chain(root).collect::<Vec<_>>().join(", ");
        if !given.is_empty() {
            let what = format!("venue {}: a simulated venue does not read {given}", venue.name);
            sim.problem(what, "remove it, or [sim]");
        }
    }
}

/// Everything that a mode needs and the file does not have. `written` is where the mode stands.
pub(super) fn check(
    mode: Mode,
    written: &Value<'_>,
    sim: Option<&Value<'_>>,
    venues: &Lookup<Venue>,
    held: &Held<'_>,
) {
    match (mode, sim) {
        (Mode::Sim, None) => {
            written.dangling("needs a simulated market", "add [sim] with seed = 7");
        }
        (Mode::DryRun | Mode::Live, Some(sim)) => {
            let what = format!("mode {} runs on real venues", mode.name());
            sim.problem(what, "remove [sim], or write mode = \"sim\" or \"paper\"");
        }
        _ => {}
    }
    if mode == Mode::Live {
        live(written, venues, held);
    }
}

fn live(written: &Value<'_>, venues: &Lookup<Venue>, held: &Held<'_>) {
    let legs = held.positions.iter().flat_map(|one| &one.legs);
    let entered = held.tasks.iter().flat_map(|task| [task.spec.spot, task.spec.futures]);
    let entered = entered.map(|leg| leg.account);
    let mut used: Vec<_> = legs.map(|leg| leg.account).chain(entered).collect();
    unhedged(written, held);
    used.sort_unstable();
    used.dedup();
    let mut told = Vec::new();
    for id in used {
        let account = &held.accounts[usize::from(id.0)];
        let Some(venue) = venues.get(usize::from(account.venue.0)) else { continue };
        if !told.contains(&account.venue) {
            told.push(account.venue);
            reachable(written, venue);
        }
        let Some(keys) = held.keys.filter(|_| account.keys.is_none()) else { continue };
        let (name, at) = (&account.name, &venue.name);
        let there = keys.iter().filter(|keys| keys.account.venue == account.venue);
        let remedy = match nearest(name, there.map(|keys| keys.account.name.as_str())) {
            Some(near) => format!("add [account.{name}.{at}], or is it [account.{near}.{at}]?"),
            None => format!("add [account.{name}.{at}] with key_env and secret_env"),
        };
        written.dangling(format!("needs the keys of account {name} at {at}"), remedy);
    }
}

/// How much of one leg may be closed alone must be said where several are closed for money.
fn unhedged(written: &Value<'_>, held: &Held<'_>) {
    let pairs = held.positions.iter().filter(|one| one.legs.len() > 1).map(|one| one.policy);
    let mut used: Vec<_> = pairs.chain(held.tasks.iter().map(|task| task.spec.policy)).collect();
    used.sort_unstable();
    used.dedup();
    for id in used {
        let Some(named) = held.policies.get(usize::from(id.0)) else { continue };
        if named.policy.exit.max_unhedged.is_none() {
            let name = &named.name;
            written.dangling(
                format!("needs the most of one leg that policy {name} may close alone"),
                format!("add [policy.{name}.exit] with max_unhedged = \"1000 USDT\""),
            );
        }
    }
}

/// Whether orders can be sent to a venue, and by nobody else.
fn reachable(written: &Value<'_>, venue: &Venue) {
    if !trades(venue.kind) {
        let what = format!("cannot send orders to {}, a {}", venue.name, venue.kind.name);
        written.problem(what, "write mode = \"paper\", or hold nothing there");
    }
    for (key, endpoint) in venue.connection.endpoints() {
        if is_open(endpoint) {
            let what = format!("venue.{}.{key} = {endpoint:?} is not encrypted", venue.name);
            written.problem(what, "write wss:// or https://");
        }
    }
}
