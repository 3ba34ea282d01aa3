//! Walking a parsed TOML tree: every value knows its path and its line, every mistake is collected,
//! and a table knows which keys it was asked for, so that the others are unknown.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use super::nearest::nearest;
use super::problem::Problem;

/// Characters of a value that an error repeats.
const SHOWN_MAX: usize = 60;

/// One file being read.
pub(super) struct Walk<'a> {
    text: &'a str,
    /// Offsets at which lines begin.
    lines: Vec<usize>,
    /// Lines that are not TOML: what is found or missed there is not worth a second message.
    broken: BTreeSet<usize>,
    problems: RefCell<Vec<Problem>>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(text: &'a str, errors: &[Error]) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1));
        let mut walk = Self {
            text,
            lines: lines.collect(),
            broken: BTreeSet::new(),
            problems: RefCell::default(),
        };
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            let line = walk.line(&span);
            walk.broken.insert(line);
            walk.problems.borrow_mut().push(Problem {
                line,
                key: String::new(),
                value: None,
                what: format!("not TOML: {}", error.message()),
                remedy: match error.message().contains("duplicate") {
                    true => "keep one of the two".into(),
                    false => "write key = value, text in double quotes".into(),
                },
            });
        }
        walk
    }

    /// The document as a table without a path.
    pub(super) fn root(&'a self, entries: &'a DeTable<'a>) -> Table<'a> {
        Table { walk: self, path: String::new(), line: 1, entries, known: RefCell::default() }
    }

    fn line(&self, span: &Range<usize>) -> usize {
        self.lines.partition_point(|&start| start <= span.start)
    }

    fn push(&self, problem: Problem) {
        if !self.broken.contains(&problem.line) {
            self.problems.borrow_mut().push(problem);
        }
    }

    /// Every mistake, by line.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort();
        problems.dedup();
        problems
    }
}

/// A table and its path.
pub(super) struct Table<'a> {
    walk: &'a Walk<'a>,
    path: String,
    line: usize,
    entries: &'a DeTable<'a>,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Table<'a> {
    /// The value of a key, which is known from now on.
    pub(super) fn get(&self, key: &'static str) -> Option<Value<'a>> {
        let mut known = self.known.borrow_mut();
        if !known.contains(&key) {
            known.push(key);
        }
        let (name, node) = self.entries.get_key_value(key)?;
        Some(self.value(name.get_ref(), &name.span(), node))
    }

    /// The value of a key that must be there.
    pub(super) fn require(&self, key: &'static str, remedy: &str) -> Option<Value<'a>> {
        let found = self.get(key);
        if found.is_none() {
            self.missing(key, remedy);
        }
        found
    }

    /// Reports that a key is missing, unless the file is not TOML somewhere: then it may be there.
    pub(super) fn missing(&self, key: &str, remedy: &str) {
        if self.walk.broken.is_empty() {
            let (key, what) = (join(&self.path, key), "is missing".into());
            let remedy = remedy.into();
            self.walk.push(Problem { line: self.line, key, value: None, what, remedy });
        }
    }

    /// Reports a mistake of the table as a whole.
    pub(super) fn problem(&self, what: impl Into<String>, remedy: impl Into<String>) {
        let (what, remedy) = (what.into(), remedy.into());
        let key = self.path.clone();
        self.walk.push(Problem { line: self.line, key, value: None, what, remedy });
    }

    /// A key that belongs to another table: reports it when it is here.
    pub(super) fn elsewhere(&self, key: &'static str, section: &str) {
        if let Some((name, node)) = self.entries.get_key_value(key) {
            self.known.borrow_mut().push(key);
            let value = self.value(name.get_ref(), &name.span(), node);
            value.problem("is no key of this table", format!("move it to [{section}]"));
        }
    }

    /// Every entry in the order of the file, for tables whose keys are names.
    pub(super) fn named(&self) -> Vec<(&'a str, Value<'a>)> {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        entries
            .into_iter()
            .map(|(name, node)| {
                let text: &'a str = name.get_ref();
                (text, self.value(text, &name.span(), node))
            })
            .collect()
    }

    /// Reports every key that nobody asked for.
    pub(super) fn finish(&self) {
        let known = self.known.borrow();
        for (name, node) in self.entries {
            let text: &str = name.get_ref();
            if known.contains(&text) {
                continue;
            }
            let value = self.value(text, &name.span(), node);
            let remedy = match nearest(text, known.iter().copied()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("known here: {}", known.join(", ")),
            };
            let key = value.path.clone();
            let value = value.shown();
            let what = "unknown key".into();
            let line = self.walk.line(&name.span());
            self.walk.push(Problem { line, key, value, what, remedy });
        }
    }

    fn value(&self, name: &str, key: &Range<usize>, node: &'a Spanned<DeValue<'a>>) -> Value<'a> {
        let line = self.walk.line(key);
        Value { walk: self.walk, path: join(&self.path, name), line, node, apart: &[] }
    }
}

fn join(path: &str, key: &str) -> String {
    let bare = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    let key =
        if !key.is_empty() && key.chars().all(bare) { key.into() } else { format!("{key:?}") };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

/// A value, its path and its line.
#[derive(Clone)]
pub(super) struct Value<'a> {
    walk: &'a Walk<'a>,
    path: String,
    line: usize,
    node: &'a Spanned<DeValue<'a>>,
    /// Keys of the table that it is which were read already.
    apart: &'static [&'static str],
}

impl<'a> Value<'a> {
    pub(super) fn node(&self) -> &'a DeValue<'a> {
        self.node.get_ref()
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The same value under the name that people know it by: `position.btc` for `position[0]`.
    pub(super) fn renamed(self, path: String) -> Self {
        Self { path, ..self }
    }

    /// The same value, a table of which these keys were read already.
    pub(super) fn apart(self, apart: &'static [&'static str]) -> Self {
        Self { apart, ..self }
    }

    /// Reports a mistake of this value.
    pub(super) fn problem(&self, what: impl Into<String>, remedy: impl Into<String>) {
        self.walk.push(Problem {
            line: self.line,
            key: self.path.clone(),
            value: self.shown(),
            what: what.into(),
            remedy: remedy.into(),
        });
    }

    /// Reports a mistake of this value without repeating it.
    pub(super) fn unseen(&self, what: impl Into<String>, remedy: impl Into<String>) {
        self.walk.push(Problem {
            line: self.line,
            key: self.path.clone(),
            value: None,
            what: what.into(),
            remedy: remedy.into(),
        });
    }

    /// Reports a reference to something that is not there, unless the file is broken and it may be.
    pub(super) fn dangling(&self, what: impl Into<String>, remedy: impl Into<String>) {
        if self.walk.broken.is_empty() {
            self.problem(what, remedy);
        }
    }

    /// As it is written, in one short line; nothing for tables and for what may be a secret.
    fn shown(&self) -> Option<String> {
        if matches!(self.node(), DeValue::Table(_)) || is_private(&self.path) {
            return None;
        }
        let text = self.walk.text.get(self.node.span())?;
        let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some((end, _)) = line.char_indices().nth(SHOWN_MAX) {
            line.truncate(end);
            line.push('…');
        }
        Some(line)
    }

    pub(super) fn is_table(&self) -> bool {
        matches!(self.node(), DeValue::Table(_))
    }

    /// The value as a table.
    pub(super) fn table(&self, remedy: &str) -> Option<Table<'a>> {
        let DeValue::Table(entries) = self.node() else {
            self.problem("is not a table", remedy);
            return None;
        };
        let (path, known) = (self.path.clone(), RefCell::new(self.apart.to_vec()));
        Some(Table { walk: self.walk, path, line: self.line, entries, known })
    }

    /// A value inside this table, which stays unknown.
    pub(super) fn entry(&self, key: &str) -> Option<&'a DeValue<'a>> {
        match self.node() {
            DeValue::Table(entries) => entries.get(key).map(Spanned::get_ref),
            _ => None,
        }
    }

    /// The elements of an array.
    pub(super) fn array(&self, remedy: &str) -> Option<Vec<Self>> {
        let DeValue::Array(elements) = self.node() else {
            self.problem("is not an array", remedy);
            return None;
        };
        let element = |(index, node): (usize, &'a Spanned<DeValue<'a>>)| {
            let line = self.walk.line(&node.span()).max(self.line);
            let path = format!("{}[{index}]", self.path);
            Self { walk: self.walk, path, line, node, apart: &[] }
        };
        Some(elements.iter().enumerate().map(element).collect())
    }

    /// The value as text.
    pub(super) fn text(&self, remedy: &str) -> Option<&'a str> {
        match self.node() {
            DeValue::String(text) if !text.trim().is_empty() => Some(text.trim()),
            DeValue::String(_) => {
                self.problem("is empty", remedy);
                None
            }
            other => {
                self.problem(format!("is {}, not text", article(other)), remedy);
                None
            }
        }
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&self, words: &[(&'static str, T)]) -> Option<T> {
        let list = words.iter().map(|(word, _)| format!("{word:?}")).collect::<Vec<_>>().join(", ");
        let text = self.text(&format!("write one of {list}"))?;
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*meaning);
        }
        let remedy = match nearest(text, words.iter().map(|(word, _)| *word)) {
            Some(near) => format!("did you mean \"{near}\"? It is one of {list}"),
            None => format!("write one of {list}"),
        };
        self.problem("is not known", remedy);
        None
    }

    /// `true` or `false`.
    pub(super) fn flag(&self) -> Option<bool> {
        if let DeValue::Boolean(flag) = self.node() {
            return Some(*flag);
        }
        self.problem("is neither true nor false", "write true or false, without quotes");
        None
    }
}

/// Whether a value may be a secret that somebody wrote into the file: nothing below `[account]` is
/// repeated, and nothing that is called a key or the like, wherever it stands.
fn is_private(path: &str) -> bool {
    let last = path.rsplit('.').next().unwrap_or(path).to_ascii_lowercase();
    let secret = ["key", "secret", "password", "passphrase", "token", "auth"];
    path.split(['.', '[']).next() == Some("account")
        || secret.iter().any(|word| last.contains(word))
}

/// A kind of value with its article.
pub(super) fn article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) | DeValue::Float(_) => "a bare number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
