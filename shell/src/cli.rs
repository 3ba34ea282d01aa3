//! The command line: one subcommand per line of `Command`, one exit code per [`Outcome`].

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::outcome::Outcome;
use crate::output::{Output, complain};
use crate::{check, demo, doctor, log_command, record, replay, run};

const EXIT_CODES: &str = "\
Exit codes:
  0  good: the command did what it says, and what should be closed is closed
  1  the outcome is not as it should be
  2  bad input: the command line, a configuration, a file that cannot be read
  3  the result could not be written";

/// Reap watches best bids and offers and closes positions at the right moment.
#[derive(Debug, Parser)]
#[command(name = "reap", version, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch a seeded market and a dozen positions close: no network, no keys, no configuration
    #[command(after_help = EXIT_CODES)]
    Demo(demo::Args),
    /// Run recorded messages through codecs, engine and executor with paper fills
    #[command(after_help = EXIT_CODES)]
    Replay(replay::Args),
    /// Tell the exits of a replay in words
    #[command(after_help = EXIT_CODES)]
    Explain(replay::ExplainArgs),
    /// Watch live venues and close positions: simulated, on paper, or for real
    #[command(after_help = EXIT_CODES)]
    Run(run::Args),
    /// Record the market data of every configured venue, for `reap replay`
    #[command(after_help = EXIT_CODES)]
    Record(record::Args),
    /// Explain a configuration, or everything that is wrong with it
    #[command(after_help = EXIT_CODES)]
    Check(check::Args),
    /// Read an order log: verify it, print it, count what it holds
    #[command(after_help = EXIT_CODES)]
    Log(log_command::Args),
    /// Look whether this machine is fit to run with pinned, spinning threads
    #[command(after_help = doctor::HEALTHY)]
    Doctor(doctor::Args),
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    carry_out(Cli::parse(), Output::stdout()).into()
}

fn carry_out(cli: Cli, mut out: Output) -> Outcome {
    let outcome = match cli.command {
        Some(Command::Run(args)) => run::run(&args, &mut out),
        Some(Command::Record(args)) => record::run(&args, &mut out),
        Some(Command::Check(args)) => check::run(&args, &mut out),
        Some(Command::Replay(args)) => replay::run(&args, &mut out),
        Some(Command::Explain(args)) => replay::run_explain(&args, &mut out),
        Some(Command::Log(args)) => log_command::run(&args, &mut out),
        Some(Command::Doctor(args)) => doctor::run(&args, &mut out),
        Some(Command::Demo(args)) => demo::run(&args, &mut out),
        None => demo::run(&demo::Args::default(), &mut out),
    };
    match out.finish() {
        Ok(()) => outcome,
        Err(error) => {
            complain(format_args!("the result cannot be written: {error}"));
            Outcome::Unwritable
        }
    }
}
