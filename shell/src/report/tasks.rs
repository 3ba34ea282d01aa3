//! What tasks have done.

use reap_core::task::TaskView;
use serde_json::{Value, json};

use super::{Report, money};
use crate::config::NamedTask;
use crate::table::table;

impl Report<'_> {
    fn tasks(&self) -> Vec<(&NamedTask, TaskView, &str)> {
        let config = self.story.config();
        let mut all = Vec::new();
        for (named, view) in config.tasks.iter().zip(self.driver.tasks()) {
            let spot = self.story.instrument(named.spec.spot.instrument);
            all.push((
                named,
                view,
                config.currencies[usize::from(spot.spec().currency.0)].as_str(),
            ));
        }
        all
    }

    /// Every task as data.
    #[must_use]
    pub fn tasks_json(&self) -> Vec<Value> {
        let one = |(named, view, currency): (&NamedTask, TaskView, &str)| {
            json!({
                "task": named.name,
                "state": view.state.name(),
                "cycles": view.cycles,
                "losing": view.losing,
                "missed": view.missed,
                "volume": money(view.volume, 8),
                "net": money(view.net, 8),
                "currency": currency,
            })
        };
        self.tasks().into_iter().map(one).collect()
    }

    /// The table of tasks; nothing without any.
    #[must_use]
    pub fn tasks_table(&self) -> Vec<String> {
        let row = |(named, view, currency): (&NamedTask, TaskView, &str)| {
            vec![
                named.name.clone(),
                view.state.name().into(),
                view.cycles.to_string(),
                view.missed.to_string(),
                money(view.volume, 2),
                format!("{} {currency}", money(view.net, 2)),
            ]
        };
        let rows: Vec<Vec<String>> = self.tasks().into_iter().map(row).collect();
        if rows.is_empty() {
            return Vec::new();
        }
        table(&["task", "state", "cycles", "missed", "volume", "net"], &rows, 2)
    }
}
