//! What a scenario found: figures, ratios with goals, and the record of where it ran.

use std::fmt::Write;
use std::process::Command;

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

use crate::timing::Steps;

/// The result of one scenario.
#[derive(Default)]
pub(crate) struct Figures {
    figures: Vec<(String, f64)>,
    ratios: Vec<(String, f64, f64)>,
}

impl Figures {
    /// Adds a figure; its unit is the last word of its name.
    pub(crate) fn figure(&mut self, name: impl Into<String>, value: f64) {
        self.figures.push((name.into(), value));
    }

    /// Adds what single steps took, in nanoseconds.
    pub(crate) fn steps(&mut self, name: &str, steps: &Steps) {
        self.histogram(name, steps.histogram());
    }

    /// Adds what a histogram of nanoseconds holds.
    pub(crate) fn histogram(&mut self, name: &str, of: &Histogram<u64>) {
        for percent in [50.0, 90.0, 99.0, 99.9] {
            self.figure(format!("{name} p{percent}, ns"), of.value_at_percentile(percent) as f64);
        }
        self.figure(format!("{name} max, ns"), of.max() as f64);
        self.figure(format!("{name}, count"), of.len() as f64);
    }

    /// Adds a ratio; it is good when `value ≤ goal`.
    pub(crate) fn ratio(&mut self, name: impl Into<String>, value: f64, goal: f64) {
        self.ratios.push((name.into(), value, goal));
    }

    pub(crate) fn to_json(&self, scenario: &str) -> Value {
        let figures: Map<String, Value> =
            self.figures.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let ratio = |(name, value, goal): &(String, f64, f64)| {
            (name.clone(), json!({ "value": value, "goal": goal }))
        };
        let ratios: Map<String, Value> = self.ratios.iter().map(ratio).collect();
        json!({
            "scenario": scenario,
            "figures": figures,
            "ratios": ratios,
            "record": record(),
        })
    }

    pub(crate) fn to_table(&self, scenario: &str) -> String {
        let mut out = format!("{scenario}\n");
        for (name, value) in &self.figures {
            let _ = writeln!(out, "  {name:<44} {value:>14.1}");
        }
        for (name, value, goal) in &self.ratios {
            let verdict = if value <= goal { "good" } else { "MISSED" };
            let _ = writeln!(out, "  {name:<44} {value:>14.3}  goal {goal:.2}  {verdict}");
        }
        for (name, value) in record().as_object().into_iter().flatten() {
            let _ = writeln!(out, "  {name:<10} {}", value.as_str().unwrap_or_default());
        }
        out
    }
}

/// Where and how this ran: a figure without it cannot be compared.
fn record() -> Value {
    let output = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        Some(text.trim().to_owned()).filter(|text| output.status.success() && !text.is_empty())
    };
    let cpu = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let unknown = || "unknown".to_owned();
    let command: Vec<String> = std::env::args().skip(1).collect();
    json!({
        "machine": format!("{}, {cores} cores", cpu.unwrap_or_else(unknown)),
        "kernel": output("uname", &["-sr"]).unwrap_or_else(unknown),
        "commit": output("git", &["describe", "--always", "--dirty"]).unwrap_or_else(unknown),
        "command": format!("reap-perf {}", command.join(" ")),
    })
}
