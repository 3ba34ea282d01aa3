//! Whole-path measurements: `cargo run --release -p reap-perf -- SCENARIO [--json]`.
//!
//! Each scenario opens with a drawing of what it measures, drops its warm-up, and compares with a
//! reference that runs interleaved in the same process. Ratios have goals; absolute times are
//! reported and never judged.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the report is what it is for")]

mod figures;
mod scenarios;
mod simulate;
mod timing;

use std::process::ExitCode;

use clap::Parser;

use crate::scenarios::{SCENARIOS, ScenarioError};

/// Measures Reap. A ratio is good when its value is at most its goal.
///
/// Exit codes: 0 measured, 1 could not compare, 2 bad arguments, 3 recorded data is not there.
#[derive(Parser)]
#[command(name = "reap-perf", arg_required_else_help = true)]
struct Arguments {
    /// What to measure; see --list.
    #[arg(required_unless_present = "list")]
    scenario: Option<String>,
    /// List the scenarios.
    #[arg(long)]
    list: bool,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Share of the usual work, in percent: a smoke run takes 1.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1000))]
    work: u64,
    /// simulate: how many seeds; 10,000 at the usual work.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// simulate: the first seed.
    #[arg(long, default_value_t = 1)]
    first_seed: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        for scenario in SCENARIOS {
            println!("{:<10} {}", scenario.name, scenario.about);
        }
        println!("{:<10} {}", "simulate", simulate::ABOUT);
        return ExitCode::SUCCESS;
    }
    let wanted = arguments.scenario.unwrap_or_default();
    if wanted == "simulate" {
        let seeds = arguments.seeds.unwrap_or(100 * arguments.work);
        return simulate::run(arguments.first_seed, seeds, arguments.json);
    }
    let Some(scenario) = SCENARIOS.iter().find(|scenario| scenario.name == wanted) else {
        let names: Vec<&str> =
            SCENARIOS.iter().map(|scenario| scenario.name).chain(["simulate"]).collect();
        eprintln!("no scenario {wanted:?}; there are: {}", names.join(", "));
        return ExitCode::from(2);
    };
    match (scenario.run)(arguments.work) {
        Ok(figures) if arguments.json => println!("{}", figures.to_json(scenario.name)),
        Ok(figures) => println!("{}", figures.to_table(scenario.name)),
        Err(error) => {
            eprintln!("{}: {error}", scenario.name);
            let missing = matches!(error, ScenarioError::Missing(_));
            return if missing { ExitCode::from(3) } else { ExitCode::FAILURE };
        }
    }
    ExitCode::SUCCESS
}
