//! How a run is set up, in words: what `reap check` prints of `[run]` and of what belongs to it.

use super::run::{Cores, Layout, Mode, RunConfig, Sync, Waiting};
use super::simulation::{SimConfig, SimMarket};
use super::{Config, Venue, words};

impl Config {
    /// Sections of the summary, with every default that is in force; none without `[run]`.
    pub(super) fn setup(&self) -> Vec<(&'static str, Vec<String>)> {
        let Some(run) = &self.run else { return Vec::new() };
        let mut sections = vec![("run", run.words())];
        match &self.sim {
            Some(sim) => sections.push(("simulated market", sim.words())),
            None => sections.push(("connections", self.venues.iter().map(reached).collect())),
        }
        sections.push(("accounts", self.accounts()));
        sections
    }

    fn accounts(&self) -> Vec<String> {
        let account = |account: &super::Account| {
            let venue = &self.venues[usize::from(account.venue.0)].name;
            let keys = account.keys.as_ref().map_or("no keys".into(), |keys| {
                format!("key in ${}, secret in ${}", keys.key_env, keys.secret_env)
            });
            format!("{} at {venue}: {keys}", account.name)
        };
        self.accounts.iter().map(account).collect()
    }
}

impl RunConfig {
    fn words(&self) -> Vec<String> {
        let mode = match self.mode {
            Mode::Sim => "simulated venues on sockets of this machine",
            Mode::DryRun => "real market data; decides and sends nothing",
            Mode::Paper => "market data of the venues; orders are filled on paper",
            Mode::Live => "REAL ORDERS",
        };
        let layout = match self.layout {
            Layout::Auto => "threads by the cores that the process may use",
            Layout::Split => "feed, engine and execution on a thread each",
            Layout::Fused => "feed and engine on one thread, execution on another",
            Layout::Single => "feed, engine and execution on one thread",
        };
        let waiting = match self.execution {
            None => "as the layout has it",
            Some(Waiting::Spin) => "spinning",
            Some(Waiting::Park) => "parked",
        };
        let sync = match self.sync {
            Sync::None => "written before an order leaves, on the disk when the system gets to it",
            Sync::BeforeSend => "on the disk before an order leaves",
        };
        vec![
            format!("mode {}: {mode}", self.mode.name()),
            format!("layout {}: {layout}", self.layout.name()),
            format!("cores: {}; execution waits {waiting}", cores(self.cores)),
            format!("order log in {}: {sync}", self.log.display()),
            match self.input_log_mib {
                0 => "no input log: a run cannot be decided again".into(),
                mib => format!("input log beside it: at most {mib} MiB for a run"),
            },
            format!(
                "a stop takes at most {}; the engine is late after a gap of {}",
                words::span(self.stop_timeout),
                words::span(self.engine_late)
            ),
        ]
    }
}

fn cores(cores: Cores) -> String {
    let all = [("feed", cores.feed), ("engine", cores.engine), ("execution", cores.execution)];
    let given = all.iter().filter_map(|(name, core)| Some(format!("{name} on {}", (*core)?)));
    let given = given.collect::<Vec<_>>();
    if given.is_empty() { "as the layout has them".into() } else { given.join(", ") }
}

impl SimConfig {
    fn words(&self) -> Vec<String> {
        let market = match &self.market {
            SimMarket::Seed(seed) => format!("seed {seed}"),
            SimMarket::Recordings(paths) => {
                let names = paths.iter().map(|path| path.display().to_string());
                format!("recorded in {}", names.collect::<Vec<_>>().join(", "))
            }
        };
        let tls = if self.tls { "encrypted" } else { "not encrypted" };
        let lead = words::span(self.lead);
        let speed = match self.speed {
            1 => "its own speed".into(),
            speed => format!("{speed} times its speed"),
        };
        vec![format!("{market}, at {speed}, {tls}, from {lead} after the start")]
    }
}

/// How a venue is reached.
fn reached(venue: &Venue) -> String {
    let one = &venue.connection;
    let given: Vec<String> = one.endpoints().map(|(key, text)| format!("{key} {text}")).collect();
    let hosts = if given.is_empty() { "its own hosts".into() } else { given.join(", ") };
    let trust = match &one.root {
        None => "trusts the usual authorities".into(),
        Some(root) => format!("trusts {} only", root.display()),
    };
    let own = |span: Option<_>| span.map_or("as the venue has it".into(), words::span);
    let busy_poll = one.busy_poll.map_or("off".into(), words::span);
    format!(
        "{}: {hosts}; {trust}; busy poll {busy_poll}; silence {}; longest life {}",
        venue.name,
        own(one.silence),
        own(one.max_life)
    )
}
