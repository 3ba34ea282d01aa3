//! Names of things and their indices.

use std::collections::HashMap;

use reap_core::instrument::CurrencyId;

use super::nearest::nearest;
use super::walk::{Table, Value};

/// Named things in the order of the file. One that was refused keeps its name and its index, so
/// that what refers to it is not reported a second time.
pub(super) struct Lookup<T> {
    names: HashMap<String, usize>,
    items: Vec<Option<T>>,
}

impl<T> Lookup<T> {
    pub(super) fn new() -> Self {
        Self { names: HashMap::new(), items: Vec::new() }
    }

    pub(super) fn push(&mut self, name: &str, item: Option<T>) {
        self.names.insert(name.into(), self.items.len());
        self.items.push(item);
    }

    pub(super) fn get(&self, index: usize) -> Option<&T> {
        self.items.get(index)?.as_ref()
    }

    pub(super) fn items(&self) -> impl Iterator<Item = Option<&T>> {
        self.items.iter().map(Option::as_ref)
    }

    /// The index of the thing that a value names, and the thing itself unless it was refused.
    /// Reports a name that does not exist.
    pub(super) fn find(&self, value: &Value<'_>, kind: &str) -> Option<(usize, Option<&T>)> {
        let name = value.text(&format!("write the name of one [{kind}.NAME]"))?;
        if let Some(&index) = self.names.get(name) {
            return Some((index, self.get(index)));
        }
        value.dangling(format!("no {kind} has this name"), self.remedy(name, kind));
        None
    }

    /// The index of the thing with this name.
    pub(super) fn index(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    /// What to write instead of a name that does not exist.
    pub(super) fn remedy(&self, name: &str, kind: &str) -> String {
        let mut known: Vec<&str> = self.names.keys().map(String::as_str).collect();
        known.sort_unstable();
        match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None if known.is_empty() => format!("add [{kind}.{name}]"),
            None => format!("known are {}", known.join(", ")),
        }
    }

    /// The same names with other things.
    pub(super) fn map<U>(self, change: impl Fn(usize, T) -> U) -> Lookup<U> {
        let change = |(index, item): (usize, Option<T>)| item.map(|item| change(index, item));
        let items = self.items.into_iter().enumerate().map(change).collect();
        Lookup { names: self.names, items }
    }

    /// Everything, when nothing was refused.
    pub(super) fn into_all(self) -> Option<Vec<T>> {
        self.items.into_iter().collect()
    }
}

/// Currencies in the order in which they first occur.
#[derive(Default)]
pub(super) struct Currencies(pub(super) Vec<String>);

impl Currencies {
    /// The id of a currency; reports when there are too many.
    pub(super) fn id(&mut self, currency: &str, table: &Table<'_>) -> Option<CurrencyId> {
        let known = self.0.iter().position(|known| known == currency);
        let index = known.unwrap_or_else(|| {
            self.0.push(currency.into());
            self.0.len() - 1
        });
        let id = u8::try_from(index).ok().map(CurrencyId);
        if id.is_none() {
            table.problem("more than 256 currencies", "split the configuration");
        }
        id
    }
}
