//! Where the files of a log stand and how they are named.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::LogError;

/// What order logs are called, and what input logs are.
pub(super) const ORDERS: &str = "orders";
pub(super) const INPUTS: &str = "inputs";

/// The segments of one kind and one run: `<stem>-<epoch>-<n>.log`.
#[derive(Debug)]
pub(super) struct Files {
    path: PathBuf,
    /// The directory itself, to make new names durable.
    directory: File,
    epoch: u16,
    stem: &'static str,
}

impl Files {
    pub(super) const fn new(
        path: PathBuf,
        directory: File,
        epoch: u16,
        stem: &'static str,
    ) -> Self {
        Self { path, directory, epoch, stem }
    }

    /// Others of the same run beside these.
    pub(super) fn beside(&self, stem: &'static str) -> Result<Self, LogError> {
        let directory = self.directory.try_clone();
        let directory =
            directory.map_err(|cause| LogError::system("opened", &self.path, 0, cause))?;
        Ok(Self::new(self.path.clone(), directory, self.epoch, stem))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) const fn epoch(&self) -> u16 {
        self.epoch
    }

    /// Where a segment stands.
    pub(super) fn segment_path(&self, number: u32) -> PathBuf {
        self.path.join(format!("{}-{:05}-{number:06}.log", self.stem, self.epoch))
    }

    /// Makes the names in the directory durable.
    pub(super) fn sync(&self) -> Result<(), LogError> {
        let synced: io::Result<()> = self.directory.sync_all();
        synced.map_err(|cause| LogError::system("synced", &self.path, 0, cause))
    }
}

/// Epoch and number of a segment of this kind.
pub(super) fn parse_name(stem: &str, name: &str) -> Option<(u16, u32)> {
    let rest = name.strip_prefix(stem)?.strip_prefix('-')?.strip_suffix(".log")?;
    let (epoch, segment) = rest.split_once('-')?;
    Some((epoch.parse().ok()?, segment.parse().ok()?))
}
