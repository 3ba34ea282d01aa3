//! How a command ended: one exit code each.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Good,
    /// It ran, and the outcome is not as it should be.
    NotGood,
    /// It could not run on this input.
    BadInput,
    /// Its result could not be written.
    Unwritable,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Good => 0,
            Outcome::NotGood => 1,
            Outcome::BadInput => 2,
            Outcome::Unwritable => 3,
        })
    }
}
