//! What is wanted of a venue, divided into connections.

use reap_core::instrument::InstrumentId;

use super::Dialect;
use crate::venues::Host;

/// An instrument whose market data is wanted, in the venue's spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// The instrument.
    pub instrument: InstrumentId,
    /// The venue's symbol.
    pub symbol: &'a str,
}

/// One subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name at the venue.
    pub name: String,
    /// The instrument that it is about.
    pub instrument: InstrumentId,
    /// It brings the best bid and offer: its silence is a fault. Marks and trades have none.
    pub pulse: bool,
}

/// One connection of market data: one source.
#[derive(Clone, Debug)]
pub struct StreamPlan {
    /// For people: `public`, `market`.
    pub name: &'static str,
    /// Which of several plans of that name, from 1; 1 also when it is the only one.
    pub part: u16,
    /// Where it connects to.
    pub host: Host,
    /// The path of the handshake.
    pub path: String,
    /// What is subscribed; never empty.
    pub topics: Vec<Topic>,
    /// How one speaks there.
    pub dialect: &'static Dialect,
}

/// Divides topics among plans of one name, an instrument's topics together.
#[derive(Debug)]
pub struct PlanBuilder {
    empty: StreamPlan,
    topics_max: usize,
    bytes_max: usize,
    plans: Vec<StreamPlan>,
    /// Bytes of the last plan's topics, as JSON array members.
    bytes: usize,
}

impl PlanBuilder {
    /// Plans of at most this many topics, and of this many bytes of topics in quotes with commas.
    #[must_use]
    pub fn new(
        name: &'static str,
        path: &str,
        dialect: &'static Dialect,
        topics_max: usize,
        bytes_max: usize,
    ) -> Self {
        let path = path.to_owned();
        let empty =
            StreamPlan { name, part: 0, host: Host::Stream, path, topics: Vec::new(), dialect };
        Self { empty, topics_max, bytes_max, plans: Vec::new(), bytes: 0 }
    }

    /// Adds the topics of one instrument: names, and whether each is a pulse.
    pub fn add(&mut self, instrument: InstrumentId, topics: &[(String, bool)]) {
        let bytes: usize = topics.iter().map(|(name, _)| name.len() + 3).sum();
        let is_full = |plan: &StreamPlan| {
            plan.topics.len() + topics.len() > self.topics_max
                || self.bytes + bytes > self.bytes_max
        };
        if self.plans.last().is_none_or(is_full) {
            self.empty.part += 1;
            self.plans.push(self.empty.clone());
            self.bytes = 0;
        }
        self.bytes += bytes;
        if let Some(plan) = self.plans.last_mut() {
            plan.topics.extend(topics.iter().map(|(name, pulse)| Topic {
                name: name.clone(),
                instrument,
                pulse: *pulse,
            }));
        }
    }

    /// The plans.
    #[must_use]
    pub fn finish(self) -> Vec<StreamPlan> {
        self.plans
    }
}
