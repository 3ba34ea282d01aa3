//! Latency by stage, always on: preallocated histograms with fixed bounds.

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

/// A stage of a tick's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Message in hand → ticks, by our clock.
    Decode,
    /// Tick → everything decided and ordered that it calls for, by our clock.
    Decide,
    /// Message in hand → decided, over whatever rings are between; live only.
    Tick,
    /// Decided → the order's bytes given to the system, by our clock; live only.
    Send,
    /// Order sent → taken by the venue, in the time of the market.
    Ack,
    /// Order sent → first fill, in the time of the market.
    Fill,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 6] =
        [Self::Decode, Self::Decide, Self::Tick, Self::Send, Self::Ack, Self::Fill];

    /// The name that reports use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Decode => "received_decoded",
            Self::Decide => "decoded_decided",
            Self::Tick => "received_decided",
            Self::Send => "decided_sent",
            Self::Ack => "sent_acked",
            Self::Fill => "sent_filled",
        }
    }
}

/// A histogram per stage: 1 ns to 60 s, three significant digits.
#[derive(Clone, Debug)]
pub struct Stages {
    histograms: [Histogram<u64>; Stage::ALL.len()],
}

/// The percentiles that reports show.
const PERCENTILES: [(&str, f64); 4] =
    [("p50_ns", 50.0), ("p90_ns", 90.0), ("p99_ns", 99.0), ("p99_9_ns", 99.9)];

impl Default for Stages {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, 60_000_000_000, 3);
        let histogram = histogram.expect("constant bounds are valid");
        Self { histograms: Stage::ALL.map(|_| histogram.clone()) }
    }
}

impl Stages {
    /// Takes one latency in.
    #[inline]
    pub fn record(&mut self, stage: Stage, nanos: u64) {
        self.histograms[stage as usize].saturating_record(nanos);
    }

    /// What was taken in of a stage, in nanoseconds.
    #[must_use]
    pub const fn histogram(&self, stage: Stage) -> &Histogram<u64> {
        &self.histograms[stage as usize]
    }

    /// Adds what another measured.
    pub fn add(&mut self, other: &Self) {
        for (to, from) in self.histograms.iter_mut().zip(&other.histograms) {
            to.add(from).expect("all have the same bounds");
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.histograms.iter_mut().for_each(Histogram::reset);
    }

    /// The stages to show. Those that exist only between live threads are left out elsewhere.
    fn measured(&self) -> impl Iterator<Item = Stage> {
        let live = !self.histograms[Stage::Tick as usize].is_empty();
        let only_live = [Stage::Tick, Stage::Send];
        Stage::ALL.into_iter().filter(move |stage| live || !only_live.contains(stage))
    }

    /// `{stage: {p50_ns, …, max_ns, count}}`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let stage = |stage: Stage| {
            let histogram = &self.histograms[stage as usize];
            let mut figures: Map<String, Value> = PERCENTILES
                .iter()
                .map(|&(name, percent)| {
                    (name.to_owned(), json!(histogram.value_at_percentile(percent)))
                })
                .collect();
            figures.insert("max_ns".into(), json!(histogram.max()));
            figures.insert("count".into(), json!(histogram.len()));
            (stage.name().to_owned(), Value::Object(figures))
        };
        Value::Object(self.measured().map(stage).collect())
    }

    /// Rows of a table: stage, percentiles, maximum, count.
    #[must_use]
    pub fn rows(&self) -> Vec<Vec<String>> {
        let row = |stage: Stage| {
            let histogram = &self.histograms[stage as usize];
            let mut row = vec![stage.name().replace('_', " → ")];
            for (_, percent) in PERCENTILES {
                row.push(span(histogram.value_at_percentile(percent)));
            }
            row.push(span(histogram.max()));
            row.push(histogram.len().to_string());
            row
        };
        self.measured().map(row).collect()
    }
}

/// A span for people: three digits and a unit.
#[must_use]
pub fn span(nanos: u64) -> String {
    match nanos {
        0..1_000 => format!("{nanos} ns"),
        1_000..1_000_000 => format!("{:.1} µs", nanos as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} ms", nanos as f64 / 1e6),
        _ => format!("{:.2} s", nanos as f64 / 1e9),
    }
}
