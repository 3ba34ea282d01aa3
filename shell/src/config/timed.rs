//! What happens at a stated time beside the market: `[[close]]`, an operator's close; `[[signal]]`, a
//! signal to a side of an instrument; `[[read]]`, what an account holds by no order of ours; `[[state]]`,
//! `[[reset]]`, `[[equity]]` and `[[transfer]]`, what an operator says of all positions; `[[switch]]`,
//! policies and rules that are switched.

use reap_core::entry::TaskId;
use reap_core::event::{Command, Event, Latch, TaskCommand, TradingState, Which};
use reap_core::instrument::{AccountId, InstrumentId, VenueId};
use reap_core::intent::Urgency;
use reap_core::policy::PolicyId;
use reap_core::position::Side;
use reap_core::units::{Decimal, Nanos, Price};
use toml::de::DeValue;

use super::instrument::NamedInstrument;
use super::names::Lookup;
use super::position::{PositionConfig, price_of};
use super::rules::point_in_time;
use super::value::SpanBounds;
use super::venue::Venue;
use super::walk::{Table, Value};

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

/// Something that happens at its time, beside the market.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedInput {
    /// When.
    pub when: When,
    /// What.
    pub input: Input,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// An operator closes.
    Close {
        /// Which.
        target: Target,
        /// How urgently.
        urgency: Urgency,
    },
    /// A signal comes.
    Signal {
        /// For which instrument.
        instrument: InstrumentId,
        /// To which side.
        side: Side,
    },
    /// A task is told something.
    Task {
        /// Which.
        task: TaskId,
        /// What.
        what: TaskCommand,
    },
    /// An account holds this much from then on, by no order of ours: reads will show it.
    Read {
        /// The account.
        account: AccountId,
        /// The instrument.
        instrument: InstrumentId,
        /// Signed, at the instrument's quantity scale.
        qty: i64,
    },
    /// An operator says what may be done.
    State(TradingState),
    /// An operator resets what has latched.
    Reset(Latch),
    /// The accounts hold this.
    Equity(Decimal),
    /// Money moves into the accounts, or out of them.
    Transfer(Decimal),
    /// Positions go over to another policy.
    Policy {
        /// Which.
        target: Target,
        /// To what.
        policy: PolicyId,
    },
    /// A rule is switched on or off.
    Rule {
        /// Of which positions.
        target: Target,
        /// Of which policy: positions under another are not meant.
        policy: PolicyId,
        /// Index of the rule in it.
        rule: u8,
        /// On or off.
        on: bool,
    },
    /// What is opened under a policy from then on gets another.
    Commit {
        /// What positions name.
        of: PolicyId,
        /// What they get.
        policy: PolicyId,
    },
    /// A leg's liquidation price becomes known or changes.
    Liquidation {
        /// The position, by its index among the configured ones.
        position: usize,
        /// Index of the leg.
        leg: u8,
        /// The price; `None`: it has none any more.
        price: Option<Price>,
    },
}

impl TimedInput {
    /// What is known of the liquidation prices of a position that has just been opened.
    pub fn liquidations(at: usize, position: &PositionConfig) -> impl Iterator<Item = Self> + '_ {
        let known = position.legs.iter().enumerate();
        known.filter_map(move |(leg, of)| {
            let input =
                Input::Liquidation { position: at, leg: leg as u8, price: Some(of.liquidation?) };
            Some(Self { when: When::After(Nanos(0)), input })
        })
    }

    /// When it is due in a run that begins then.
    #[must_use]
    pub const fn due(&self, begins: Nanos) -> Nanos {
        match self.when {
            When::At(time) => time,
            When::After(span) => begins.plus(span),
        }
    }

    /// The positions that it means; `None` when it means none in particular.
    #[must_use]
    pub const fn target(&self) -> Option<Target> {
        match self.input {
            Input::Close { target, .. }
            | Input::Policy { target, .. }
            | Input::Rule { target, .. } => Some(target),
            Input::Commit { .. }
            | Input::Signal { .. }
            | Input::Read { .. }
            | Input::Task { .. }
            | Input::State(_)
            | Input::Reset(_)
            | Input::Equity(_)
            | Input::Transfer(_) => None,
            Input::Liquidation { position, .. } => Some(Target::Position(position)),
        }
    }

    /// What the engine is told, where `which` are the positions that it means; `None` when it is
    /// told nothing of it.
    #[must_use]
    pub const fn event(&self, which: Which) -> Option<Event> {
        Some(Event::Command(match self.input {
            Input::Close { urgency, .. } => Command::Close { which, urgency },
            Input::Signal { instrument, side } => Command::Signal { instrument, side },
            Input::State(state) => Command::SetState(state),
            Input::Reset(latch) => Command::Reset(latch),
            Input::Equity(amount) => Command::Equity(amount),
            Input::Transfer(amount) => Command::Transfer(amount),
            Input::Task { task, what } => Command::Task { task, what },
            Input::Policy { policy, .. } => Command::Policy { which, policy },
            Input::Rule { policy, rule, on, .. } => Command::Rule { which, policy, rule, on },
            Input::Commit { of, policy } => Command::Commit { of, policy },
            Input::Liquidation { leg, price, .. } => {
                let Which::Position(position) = which else { return None };
                Command::Liquidation { position, leg, price }
            }
            Input::Read { .. } => return None,
        }))
    }
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
) -> Option<TimedInput> {
    let table = value.table("write it as [[close]]")?;
    let when = when(&table);
    let urgency = match table.get("urgency") {
        Some(value) => value.word(&URGENCIES),
        None => Some(Urgency::Normal),
    };
    let target = target(&table, venues, positions, tags);
    table.finish();
    let input = Input::Close { target: target?, urgency: urgency? };
    Some(TimedInput { when: when?, input })
}

/// `[[liquidation]]`: a venue moves the liquidation price of a leg.
pub(super) fn liquidation(
    value: &Value<'_>,
    positions: &[PositionConfig],
    instruments: &Lookup<NamedInstrument>,
) -> Option<TimedInput> {
    let table = value.table("write it as [[liquidation]]")?;
    let when = when(&table);
    let said = table.require("position", "write the name of a [[position]]");
    let said = said.and_then(|value| position(&value, positions));
    let named = table.get("instrument");
    let price = table.require("price", "write the price, such as price = \"41000\", or \"none\"");
    table.finish();
    let Some(Target::Position(at)) = said else { return None };
    let legs = &positions[at].legs;
    let leg = match &named {
        Some(value) => {
            let (id, _) = instruments.find(value, "instrument")?;
            let leg = legs.iter().position(|leg| usize::from(leg.instrument.0) == id);
            if leg.is_none() {
                value.problem(
                    "the position has no leg there",
                    "name the instrument of one of its legs",
                );
            }
            leg?
        }
        None if legs.len() == 1 => 0,
        None => {
            table.missing("instrument", "name the instrument of the leg that is meant");
            return None;
        }
    };
    let price = price?;
    let none = matches!(price.node(), DeValue::String(text) if text.trim() == "none");
    let own = instruments.get(usize::from(legs[leg].instrument.0));
    let price = if none { None } else { Some(price_of(&price, own)?) };
    let input = Input::Liquidation { position: at, leg: leg as u8, price };
    Some(TimedInput { when: when?, input })
}

/// `at` or `after`.
pub(super) fn when(table: &Table<'_>) -> Option<When> {
    match (table.get("at"), table.get("after")) {
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
    }
}

/// `position`, `venue`, `tag` or `all`: exactly one.
pub(super) fn target(
    table: &Table<'_>,
    venues: &Lookup<Venue>,
    positions: &[PositionConfig],
    tags: &[String],
) -> Option<Target> {
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
    targets.pop().filter(|_| targets.is_empty())?
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
