//! What the system says of itself: small text files below a root, which tests put elsewhere.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::PathBuf;

/// Longest file that is read: `/proc/cpuinfo` of a large machine takes half of it.
const FILE_MAX: u64 = 4 << 20;

/// The machine as its files show it.
#[derive(Clone, Debug)]
pub struct Machine {
    root: PathBuf,
}

impl Machine {
    /// A machine whose `proc`, `sys` and `run` are below `root`: `/` for this one.
    #[must_use]
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// A file without the white space around it, or why it cannot be read.
    pub(super) fn read(&self, path: &str) -> Result<String, String> {
        let mut bytes = Vec::new();
        File::open(self.root.join(path))
            .and_then(|file| file.take(FILE_MAX).read_to_end(&mut bytes))
            .map_err(|error| match error.kind() {
                ErrorKind::NotFound => format!("there is no /{path} here"),
                _ => format!("/{path} cannot be read: {error}"),
            })?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    /// A file that holds one number.
    pub(super) fn number(&self, path: &str) -> Result<u64, String> {
        let text = self.read(path)?;
        text.parse().map_err(|_| format!("/{path} is \"{}\", no number", text.escape_debug()))
    }

    pub(super) fn exists(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    /// The value behind a name in a file of `name: value` lines.
    pub(super) fn field(&self, path: &str, name: &str) -> Result<String, String> {
        let text = self.read(path)?;
        let value = text.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            (found.trim() == name).then(|| value.trim().to_owned())
        });
        value.ok_or_else(|| format!("/{path} has no line {name}"))
    }

    /// The cores that this process may use, by the system's numbers.
    pub(super) fn allowed(&self) -> Result<Vec<usize>, String> {
        let list = self.field("proc/self/status", "Cpus_allowed_list")?;
        parse_cpus(&list).filter(|cpus| !cpus.is_empty()).ok_or_else(|| {
            format!("Cpus_allowed_list of /proc/self/status is \"{}\"", list.escape_debug())
        })
    }
}

/// `0-3,8` as numbers; `None` when it is no such list, or one of more cores than there are.
pub(super) fn parse_cpus(list: &str) -> Option<Vec<usize>> {
    const CPUS_MAX: usize = 1 << 14;
    let mut cpus = Vec::new();
    for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if first > last || last >= CPUS_MAX || cpus.len() >= CPUS_MAX {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

/// Numbers as a list of ranges: `0-3,8`.
pub(super) fn show_cpus(cpus: &[usize]) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for &cpu in cpus {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == cpu => *last = cpu,
            _ => ranges.push((cpu, cpu)),
        }
    }
    let show = |&(first, last): &(usize, usize)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    ranges.iter().map(show).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cores_are_read_and_shown() {
        for (list, cpus) in [("0-3,8", vec![0, 1, 2, 3, 8]), ("5", vec![5]), ("", vec![])] {
            assert_eq!(parse_cpus(list), Some(cpus.clone()));
            assert_eq!(show_cpus(&cpus), list);
        }
        for wrong in ["a", "3-1", "0-99999999", "1-", "-"] {
            assert_eq!(parse_cpus(wrong), None, "{wrong}");
        }
    }
}
