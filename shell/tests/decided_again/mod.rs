//! Reads an order log and decides it once more.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use reap_core::event::Report;
use reap_core::executor::{Executor, ExecutorLimits};
use reap_core::instrument::{Instrument, InstrumentId};
use reap_core::log::{HeaderError, Reader, Record, Sight};
use reap_core::order::{ClientOrderId, Order, OrderEvent};
use reap_core::pricing::{Quotes, Top};
use reap_core::units::Nanos;

/// Epoch and records of a log, over all its segments.
pub(crate) fn read(dir: &Path) -> (u16, Vec<(Nanos, Record)>) {
    let paths = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = paths.filter(|path| is_order_log(path)).collect();
    files.sort();
    let (mut epoch, mut records) = (0, Vec::new());
    for file in files {
        let bytes = std::fs::read(file).unwrap();
        let mut reader = match Reader::new(&bytes) {
            Err(HeaderError::Unused) => continue,
            reader => reader.unwrap(),
        };
        epoch = reader.header().epoch;
        records.extend(reader.by_ref().map(|entry| (entry.at, entry.record)));
    }
    (epoch, records)
}

/// `orders-<epoch>-<n>.log`, and no input log beside it.
fn is_order_log(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("orders-"))
        && path.extension().is_some_and(|end| end == "log")
}

/// What was seen at one step, and nothing else.
struct Seen(HashMap<InstrumentId, Option<Top>>);

impl Quotes for Seen {
    fn top(&self, instrument: InstrumentId) -> Option<Top> {
        *self.0.get(&instrument).expect("what was looked at is in the log")
    }
}

#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) intents: u64,
    pub(crate) entries: u64,
    pub(crate) answers: u64,
    pub(crate) timers: u64,
    pub(crate) unsent: u64,
    pub(crate) amounts: u64,
    pub(crate) reads: u64,
    pub(crate) orders: u64,
    pub(crate) reports: u64,
    pub(crate) positions: u64,
    /// Instruments that one step looked at, at most.
    pub(crate) sights_max: usize,
    /// Orders of one step, at most.
    pub(crate) orders_max: usize,
}

/// Decides a log once more. Every order and report must come out as it stands there.
pub(crate) fn redecide(epoch: u16, records: &[(Nanos, Record)]) -> (u64, Tally) {
    let Some((_, Record::Start(start))) = records.first() else { panic!("no start") };
    let limits =
        ExecutorLimits { positions: start.positions as usize, orders: start.orders as usize };
    let mut instruments = Vec::new();
    for (_, record) in records {
        if let Record::Instrument { id, spec } = record {
            assert_eq!(usize::from(id.0), instruments.len());
            instruments.push(Instrument::new(*spec).unwrap());
        }
    }
    let mut executor = Executor::new(limits, &instruments, epoch);
    let mut tally = Tally::default();
    let mut at = 0;
    while at < records.len() {
        let (now, input) = &records[at];
        at += 1;
        let (mut seen, mut sights) = (HashMap::new(), 0);
        let (mut orders, mut reports) = (Vec::<Order>::new(), Vec::<Report>::new());
        while let Some((same, record)) = records.get(at) {
            match record {
                Record::Saw(saw) => {
                    for Sight { instrument, top } in &saw.sights {
                        assert_eq!(seen.insert(*instrument, *top), None, "said once");
                        sights += 1;
                    }
                }
                Record::Order(order) => orders.push(*order),
                Record::Report(report) => reports.push(*report),
                _ => break,
            }
            assert_eq!(same, now, "a step has one time");
            at += 1;
        }
        let quotes = Seen(seen);
        match input {
            Record::Position { id, spec, exit } => {
                executor.register(*id, spec, exit).unwrap();
                tally.positions += 1;
            }
            Record::Amounts { position, leg, fees_paid, funding } => {
                // One that is out of bounds changes nothing, then as now.
                let _ = executor.on_amounts(*position, usize::from(*leg), *fees_paid, *funding);
                tally.amounts += 1;
            }
            Record::Intent(intent) => {
                executor.on_intent(*now, intent, &quotes);
                tally.intents += 1;
            }
            Record::Entry(entry) => {
                executor.on_entry(*now, entry, &quotes);
                tally.entries += 1;
            }
            Record::Answer(event) => {
                executor.on_order_event(*now, event, &quotes);
                tally.answers += 1;
            }
            Record::NotSent { id, .. } => {
                executor.on_order_event(*now, &OrderEvent::not_sent(*id), &quotes);
                tally.unsent += 1;
            }
            Record::Read(read) => {
                executor.on_read(*now, read, &quotes);
                tally.reads += 1;
            }
            Record::Budget { venue, budget } => drop(executor.set_budget(*venue, *budget)),
            Record::Limited { venue, wait } => executor.on_limited(*now, *venue, *wait),
            Record::Stopped { stopped } => executor.on_stopped(*now, *stopped, &quotes),
            Record::Timer => {
                executor.on_timer(*now, &quotes);
                tally.timers += 1;
            }
            Record::Start(_)
            | Record::Instrument { .. }
            | Record::Name { .. }
            | Record::Resumed { .. }
            | Record::Stop(_) => {}
            Record::Saw(_) | Record::Order(_) | Record::Report(_) => panic!("without an input"),
            other => panic!("{}: not of an order log", other.name()),
        }
        let mut again = (Vec::new(), Vec::new());
        again.0.extend(std::iter::from_fn(|| executor.poll_order()));
        again.1.extend(std::iter::from_fn(|| executor.poll_report()));
        while executor.poll_ask().is_some() || executor.poll_note().is_some() {}
        assert_eq!(again, (orders, reports), "record {at}: {input:?}");
        tally.orders += again.0.len() as u64;
        tally.reports += again.1.len() as u64;
        tally.sights_max = tally.sights_max.max(sights);
        tally.orders_max = tally.orders_max.max(again.0.len());
    }
    (executor.hash(), tally)
}

/// Orders of a log that were not said to have stayed.
pub(crate) fn left(records: &[(Nanos, Record)]) -> Vec<Order> {
    let unsent: HashSet<ClientOrderId> = records
        .iter()
        .filter_map(|(_, record)| match record {
            Record::NotSent { id, .. } => Some(*id),
            _ => None,
        })
        .collect();
    let orders = records.iter().filter_map(|(_, record)| match record {
        Record::Order(order) => Some(*order),
        _ => None,
    });
    orders.filter(|order| !unsent.contains(&order.id)).collect()
}
