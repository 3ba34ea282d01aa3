//! `reap check FILE`: every mistake of a configuration, or what it means.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::config::{Config, ConfigError};
use crate::outcome::Outcome;
use crate::output::{Output, complain};

/// Arguments of `reap check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration.
    file: PathBuf,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// Reads the configuration and prints what it means, or everything that is wrong with it.
pub fn run(args: &Args, out: &mut Output) -> Outcome {
    match Config::load(&args.file) {
        Ok(config) => {
            if args.json {
                out.line(understood(&config));
            } else {
                config.summary().iter().for_each(|line| out.line(line));
                out.line(format_args!("{}: no mistakes", config.file));
            }
            Outcome::Good
        }
        Err(error) => {
            if args.json {
                out.line(refused(&error));
            }
            complain(&error);
            Outcome::BadInput
        }
    }
}

fn understood(config: &Config) -> Value {
    let names = |all: Vec<&String>| all.into_iter().cloned().collect::<Vec<_>>();
    json!({
        "ok": true,
        "file": config.file,
        "venues": names(config.venues.iter().map(|one| &one.name).collect()),
        "instruments": names(config.instruments.iter().map(|one| &one.name).collect()),
        "policies": names(config.policies.iter().map(|one| &one.name).collect()),
        "positions": names(config.positions.iter().map(|one| &one.name).collect()),
        "summary": config.summary(),
        "errors": [],
    })
}

fn refused(error: &ConfigError) -> Value {
    let (file, errors) = match error {
        ConfigError::Unreadable { file, error } => {
            (file, vec![json!({ "problem": format!("cannot be read: {error}") })])
        }
        ConfigError::Refused { file, problems } => {
            let one = |problem: &crate::config::Problem| {
                json!({
                    "line": problem.line,
                    "key": problem.key,
                    "value": problem.value,
                    "problem": problem.what,
                    "remedy": problem.remedy,
                })
            };
            (file, problems.iter().map(one).collect())
        }
    };
    json!({ "ok": false, "file": file, "errors": errors })
}
