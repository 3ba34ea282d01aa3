//! `reap doctor`: is this machine fit to run with pinned, spinning threads?
//!
//! What the system says of itself is read from files, which a container may hide: then it is
//! unknown, and said to be. What no file says is measured, one core after the other.

mod cores;
mod finding;
mod machine;
mod measure;
mod system;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use crate::outcome::Outcome;
use crate::output::Output;
use crate::table::table;

pub use finding::{Finding, Verdict};
pub use machine::Machine;

use measure::{HandOff, Jitter};

/// What `--help` says of the verdicts.
pub const HEALTHY: &str = "\
Healthy means: nothing is bad, and cpu quota, clock source, time stamp counter, steal,
jitter and hand-off are good on every core. Other warnings cost latency and are left to you;
what is unknown cannot be read here, as in many containers.

It takes about a tenth of a second for each core, during which that core spins.

Exit codes:
  0  good: healthy
  1  not healthy: each finding that is not good has its remedy
  2  bad input: the command line
  3  the result could not be written";

/// Arguments of `reap doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// Everything that was found.
#[derive(Debug, Default)]
struct Report {
    findings: Vec<Finding>,
    jitter: Vec<Jitter>,
    hand_off: Option<HandOff>,
}

/// Looks at this machine and says whether it is fit.
pub fn run(args: &Args, out: &mut Output) -> Outcome {
    let machine = Machine::below("/");
    let mut report = Report { findings: examine(&machine), ..Report::default() };
    report.measure(&machine);
    let healthy = is_healthy(&report.findings);
    if args.json {
        out.line(report.to_json(healthy));
    } else {
        report.to_text(healthy).iter().for_each(|line| out.line(line));
    }
    if healthy { Outcome::Good } else { Outcome::NotGood }
}

/// What the files of a machine say.
#[must_use]
pub fn examine(machine: &Machine) -> Vec<Finding> {
    let mut findings = cores::find(machine);
    findings.extend(system::find(machine));
    findings
}

/// Whether a machine with these findings is fit.
#[must_use]
pub fn is_healthy(findings: &[Finding]) -> bool {
    findings.iter().all(Finding::is_fit)
}

impl Report {
    /// Spins on one core after the other, and watches the host take time away meanwhile.
    fn measure(&mut self, machine: &Machine) {
        let before = machine.read("proc/stat").unwrap_or_default();
        let mut cores: Vec<usize> =
            core_affinity::get_core_ids().unwrap_or_default().iter().map(|core| core.id).collect();
        cores.sort_unstable();
        if cores.is_empty() {
            self.findings.push(Finding::unknown("jitter", "the system names no cores").matters());
        }
        for &core in &cores {
            match measure::jitter(core) {
                Ok(jitter) => {
                    self.findings.push(jitter.finding());
                    self.jitter.push(jitter);
                }
                Err(why) => self.findings.push(Finding::unknown("jitter", why).matters()),
            }
        }
        if let [first, .., last] = cores[..] {
            match measure::hand_off([first, last]) {
                Ok(hand_off) => {
                    self.findings.push(hand_off.finding());
                    self.hand_off = Some(hand_off);
                }
                Err(why) => self.findings.push(Finding::unknown("hand-off", why).matters()),
            }
        }
        let after = machine.read("proc/stat").unwrap_or_default();
        self.findings.push(measure::steal(&before, &after));
    }

    fn to_json(&self, healthy: bool) -> Value {
        json!({
            "healthy": healthy,
            "findings": self.findings.iter().map(Finding::to_json).collect::<Vec<_>>(),
            "jitter": self.jitter.iter().map(|one| one.to_json()).collect::<Vec<_>>(),
            "hand_off": self.hand_off.map(HandOff::to_json),
        })
    }

    fn to_text(&self, healthy: bool) -> Vec<String> {
        let row = |one: &Finding| {
            vec![one.name.to_owned(), one.verdict.name().to_owned(), one.value.clone()]
        };
        let rows: Vec<Vec<String>> = self.findings.iter().map(row).collect();
        let mut lines = table(&["what", "verdict", "found"], &rows, 3);
        lines.push(String::new());
        for one in self.findings.iter().filter(|one| !one.remedy.is_empty()) {
            let weight = if one.is_fit() { "" } else { " [must]" };
            let remedy = format!("{}{weight}: {}", one.name, one.remedy);
            if !lines.contains(&remedy) {
                lines.push(remedy);
            }
        }
        let count = |verdict| self.findings.iter().filter(|one| one.verdict == verdict).count();
        lines.push(format!(
            "{}: {} good, {} to improve, {} bad, {} unknown",
            if healthy { "fit to run pinned" } else { "not fit to run pinned" },
            count(Verdict::Good),
            count(Verdict::Warn),
            count(Verdict::Bad),
            count(Verdict::Unknown),
        ));
        lines
    }
}
