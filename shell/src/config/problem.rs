//! What is wrong with a configuration: one record per mistake, all of them at once.

use std::fmt;

/// One mistake: where it is, what it says, why that is refused and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Line in the file, from 1.
    pub line: usize,
    /// Path of the key; empty where the file is not TOML at all.
    pub key: String,
    /// The value as it is written; `None` where something is missing.
    pub value: Option<String>,
    /// What is wrong, with the bound.
    pub what: String,
    /// What to write instead.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.line)?;
        match (&*self.key, &self.value) {
            ("", _) => {}
            (key, None) => write!(f, "{key}: ")?,
            (key, Some(value)) => write!(f, "{key} = {value}: ")?,
        }
        f.write_str(&self.what)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, "; {}", self.remedy) }
    }
}

/// Why a configuration was refused.
#[derive(Debug)]
pub enum ConfigError {
    /// The file cannot be read.
    Unreadable {
        /// Its name.
        file: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// It was read and contains mistakes: every one, in the order of their lines.
    Refused {
        /// The file's name.
        file: String,
        /// At least one.
        problems: Vec<Problem>,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { file, error } => {
                write!(f, "{file}: cannot be read: {error}; name a readable TOML file")
            }
            Self::Refused { file, problems } => {
                for (index, problem) in problems.iter().enumerate() {
                    if index > 0 {
                        f.write_str("\n")?;
                    }
                    write!(f, "{file}:{problem}")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for ConfigError {}
