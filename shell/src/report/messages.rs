//! Counters of messages.

use serde_json::{Map, Value, json};

use super::Report;

impl Report<'_> {
    /// Counters of messages as data: by kind, ignored and rejected by reason.
    #[must_use]
    pub fn messages_json(&self) -> [(&'static str, Value); 3] {
        let counts = self.driver.counts();
        let object = |counted: Vec<(&'static str, u64)>| {
            let pairs = counted.into_iter().map(|(name, count)| (name.to_owned(), json!(count)));
            Value::Object(pairs.collect::<Map<String, Value>>())
        };
        let mut ignored: Vec<(&'static str, u64)> = counts.ignored_reasons().collect();
        let mut rejected: Vec<(&'static str, u64)> = counts.rejected_reasons().collect();
        let gates = self.driver.gates();
        let of_gates = [
            ("repeated_update_id", gates.refreshed),
            ("older_update_id", gates.older),
            ("jump_held_aside", gates.held),
            ("jump_returned", gates.jump_returned),
        ];
        ignored.extend(of_gates.into_iter().filter(|(_, count)| *count > 0));
        rejected.sort_unstable();
        [
            ("messages", object(counts.kinds().collect())),
            ("ignored", object(ignored)),
            ("rejected", object(rejected)),
        ]
    }
}
