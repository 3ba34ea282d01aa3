//! What a run's threads did, for people and for programs.

use reap_core::venues::VenueView;
use serde_json::{Value, json};

use super::watch::Outcome;
use crate::config::Config;
use crate::pipeline::span;
use crate::table::table;

/// Percentiles of a duty cycle.
const PERCENTILES: [(&str, f64); 3] = [("p50", 50.0), ("p99", 99.0), ("p99.9", 99.9)];

/// The hot threads' duty cycles.
#[must_use]
pub fn threads_table(outcome: &Outcome) -> Vec<String> {
    let row = |thread: &super::watch::ThreadFigures| {
        let mut row = vec![thread.name.to_owned()];
        row.extend(PERCENTILES.map(|(_, at)| span(thread.duty.value_at_percentile(at))));
        row.push(span(thread.duty.max()));
        row.push(thread.duty.len().to_string());
        row.push(thread.health.late.to_string());
        row
    };
    let rows: Vec<_> = outcome.threads.iter().map(row).collect();
    table(&["duty cycle", "p50", "p99", "p99.9", "max", "cycles", "late"], &rows, 1)
}

/// The same as data.
#[must_use]
pub fn threads_json(outcome: &Outcome) -> Vec<Value> {
    let one = |thread: &super::watch::ThreadFigures| {
        json!({
            "thread": thread.name,
            "p50_ns": thread.duty.value_at_percentile(50.0),
            "p99_ns": thread.duty.value_at_percentile(99.0),
            "p99_9_ns": thread.duty.value_at_percentile(99.9),
            "max_ns": thread.duty.max(),
            "cycles": thread.duty.len(),
            "late": thread.health.late,
        })
    };
    outcome.threads.iter().map(one).collect()
}

/// What was counted between the threads, as data.
#[must_use]
pub fn counters_json(outcome: &Outcome) -> Value {
    json!({
        "quotes": outcome.quotes,
        "conflated": outcome.conflated,
        "lagged": outcome.lagged,
        "notes_lost": outcome.notes_lost,
        "unlogged": outcome.unlogged,
        "inputs_lost": outcome.inputs_lost,
        "alarms": outcome.alarms,
    })
}

/// Lines for what is not as it should be, and nothing otherwise.
#[must_use]
pub fn counters_lines(outcome: &Outcome) -> Vec<String> {
    let told = [
        (outcome.conflated, "ticks waited for room and were conflated"),
        (outcome.lagged, "ticks came late to the engine, which looked at the newest only"),
        (outcome.notes_lost, "notes were lost: this report is incomplete"),
        (outcome.unlogged, "orders were not sent because the order log could not be written"),
        (outcome.inputs_lost, "inputs are missing in the input log: the disk was too slow"),
        (outcome.alarms, "alarms"),
    ];
    told.into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect()
}

/// Orders of which the last word is missing.
#[must_use]
pub fn in_flight_lines(outcome: &Outcome, in_flight: &[(usize, String)]) -> Vec<String> {
    let positions = &outcome.story.config().positions;
    let line = |(at, id): &(usize, String)| {
        let name = &positions[*at].name;
        format!("{name}: {id} may still trade: look at the venue before anything else is sent")
    };
    in_flight.iter().map(line).collect()
}

/// The same as data.
#[must_use]
pub fn in_flight_json(outcome: &Outcome, in_flight: &[(usize, String)]) -> Vec<Value> {
    let positions = &outcome.story.config().positions;
    let one = |(at, id): &(usize, String)| json!({ "position": positions[*at].name, "order": id });
    in_flight.iter().map(one).collect()
}

/// Whether everything that is open could be closed now, by venue.
#[must_use]
pub fn closing_lines(outcome: &Outcome) -> Vec<String> {
    let config = outcome.story.config();
    closing(outcome).iter().map(|view| closing_line(config, view)).collect()
}

/// Whether everything at a venue could be closed now: with how many orders, and within which time.
#[must_use]
pub fn closing_line(config: &Config, view: &VenueView) -> String {
    let name = &config.venues[usize::from(view.venue.0)].name;
    let orders = view.orders;
    if view.can_close_now() {
        let plural = if orders == 1 { "" } else { "s" };
        return format!("{name}: everything can be closed at once, with {orders} order{plural}");
    }
    let why = match (view.held, view.limited_until) {
        (Some(_), _) => "it refuses every order",
        (None, Some(_)) => "it wants to be left alone",
        (None, None) => "its budget allows no more",
    };
    let wait = span(view.wait.0);
    format!(
        "{name}: {} of the {orders} orders that close everything can go at once, all of them \
         within {wait}: {why}",
        view.at_once
    )
}

/// The same as data.
#[must_use]
pub fn closing_json(outcome: &Outcome) -> Vec<Value> {
    let venues = &outcome.story.config().venues;
    let one = |view: &VenueView| {
        json!({
            "venue": venues[usize::from(view.venue.0)].name,
            "can_close_now": view.can_close_now(),
            "orders": view.orders,
            "at_once": view.at_once,
            "wait_ns": view.wait.0,
            "held": view.held.map(|why| format!("{why:?}").to_lowercase()),
            "limited_until_ns": view.limited_until.map(|until| until.0),
        })
    };
    closing(outcome).iter().map(one).collect()
}

/// Venues at which something is open.
fn closing(outcome: &Outcome) -> Vec<VenueView> {
    let open = |view: &VenueView| view.orders > 0;
    outcome.ended.executor.venues_last().filter(open).collect()
}
