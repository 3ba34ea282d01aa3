//! `[[close]]`: an operator's close at a stated time of a replay or the demonstration.

use reap_core::instrument::VenueId;
use reap_core::intent::Urgency;
use reap_core::units::Nanos;

use super::names::Lookup;
use super::position::PositionConfig;
use super::rules::point_in_time;
use super::value::SpanBounds;
use super::venue::Venue;
use super::walk::Value;

/// When an operator acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Then.
    At(Nanos),
    /// So long after the first message.
    After(Nanos),
}

/// Which positions an operator means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// One, by its index among the configured ones.
    Position(usize),
    /// Those with a leg at a venue.
    Venue(VenueId),
    /// Those with a tag.
    Tag(u32),
    /// All.
    All,
}

/// An operator's close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseConfig {
    /// When.
    pub when: When,
    /// Which.
    pub target: Target,
    /// How urgently.
    pub urgency: Urgency,
}

const URGENCIES: [(&str, Urgency); 4] = [
    ("opportunistic", Urgency::Opportunistic),
    ("normal", Urgency::Normal),
    ("protective", Urgency::Protective),
    ("critical", Urgency::Critical),
];
const TARGETS: &str = "give one of position, venue, tag = their names, or all = true";
const AFTER: SpanBounds = SpanBounds::new(Nanos(0), Nanos::from_secs(366 * 86_400));

pub(super) fn close(
    value: &Value<'_>,
    venues: &Lookup<Venue>,
    positions: &[PositionConfig],
    tags: &[String],
) -> Option<CloseConfig> {
    let table = value.table("write it as [[close]]")?;
    let when = match (table.get("at"), table.get("after")) {
        (Some(at), None) => point_in_time(&at).map(When::At),
        (None, Some(after)) => after.span(AFTER).map(When::After),
        (None, None) => {
            table.missing("after", r#"write after = "30s" or at = a point in time"#);
            None
        }
        (Some(_), Some(after)) => {
            after.problem("at is given too", "remove one of the two");
            None
        }
    };
    let urgency = match table.get("urgency") {
        Some(value) => value.word(&URGENCIES),
        None => Some(Urgency::Normal),
    };
    let mut targets = Vec::new();
    if let Some(value) = table.get("position") {
        targets.push(position(&value, positions));
    }
    if let Some(value) = table.get("venue") {
        let id = venues.find(&value, "venue").and_then(|(id, _)| u8::try_from(id).ok());
        targets.push(id.map(|id| Target::Venue(VenueId(id))));
    }
    if let Some(value) = table.get("tag") {
        targets.push(tag(&value, tags));
    }
    if let Some(value) = table.get("all") {
        targets.push(value.flag().and_then(|all| {
            if !all {
                value.problem("must be true", TARGETS);
            }
            all.then_some(Target::All)
        }));
    }
    if targets.len() != 1 {
        let what = format!("means {} kinds of positions instead of one", targets.len());
        table.problem(what, TARGETS);
    }
    table.finish();
    let target = targets.pop().filter(|_| targets.is_empty())?;
    Some(CloseConfig { when: when?, target: target?, urgency: urgency? })
}

fn position(value: &Value<'_>, positions: &[PositionConfig]) -> Option<Target> {
    let name = value.text("write the name of a [[position]]")?;
    let found = positions.iter().position(|position| position.name == name);
    if found.is_none() {
        value.dangling("no position has this name", "write the name of a [[position]]");
    }
    found.map(Target::Position)
}

fn tag(value: &Value<'_>, tags: &[String]) -> Option<Target> {
    let name = value.text("write the tag of a [[position]]")?;
    let found = tags.iter().position(|tag| tag == name);
    if found.is_none() {
        value.dangling("no position has this tag", "write the tag of a [[position]]");
    }
    found.map(|at| Target::Tag(at as u32 + 1))
}
