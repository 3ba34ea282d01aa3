//! A finding, and how bad it is.

use serde_json::{Value, json};

/// How a finding is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// It costs latency, or will.
    Warn,
    /// Not fit.
    Bad,
    /// It cannot be read here, for example in a container.
    Unknown,
}

impl Verdict {
    /// The name that reports use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Unknown => "unknown",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub name: &'static str,
    /// What was found.
    pub value: String,
    /// How that is judged.
    pub verdict: Verdict,
    /// What to do about it, in one sentence; empty when it is good.
    pub remedy: String,
    /// Whether anything but good makes the machine unfit; else only bad does.
    pub matters: bool,
}

impl Finding {
    pub(super) fn good(name: &'static str, value: impl Into<String>) -> Self {
        let verdict = Verdict::Good;
        Self { name, value: value.into(), verdict, remedy: String::new(), matters: false }
    }

    fn not_good(
        name: &'static str,
        value: impl Into<String>,
        verdict: Verdict,
        remedy: impl Into<String>,
    ) -> Self {
        Self { name, value: value.into(), verdict, remedy: remedy.into(), matters: false }
    }

    pub(super) fn warn(
        name: &'static str,
        value: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::not_good(name, value, Verdict::Warn, remedy)
    }

    pub(super) fn bad(
        name: &'static str,
        value: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::not_good(name, value, Verdict::Bad, remedy)
    }

    pub(super) fn unknown(name: &'static str, why: impl Into<String>) -> Self {
        let remedy = "run it where this can be read, for example outside the container";
        Self::not_good(name, why, Verdict::Unknown, remedy)
    }

    /// Anything but good makes the machine unfit.
    pub(super) fn matters(mut self) -> Self {
        self.matters = true;
        self
    }

    /// Whether a machine with this finding is fit.
    #[must_use]
    pub fn is_fit(&self) -> bool {
        match self.verdict {
            Verdict::Good => true,
            Verdict::Warn | Verdict::Unknown => !self.matters,
            Verdict::Bad => false,
        }
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "value": self.value,
            "verdict": self.verdict.name(),
            "remedy": self.remedy,
            "matters": self.matters,
        })
    }
}
