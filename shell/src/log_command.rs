//! `reap log`: what an order log holds, and whether it is whole.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use reap_core::log::{End, Record};
use reap_core::order::{ClientOrderId, OrderChange, OrderEvent};
use reap_core::recovery::Recovery;
use serde_json::json;

use crate::order_log::{LogError, SegmentView, view, view_inputs};
use crate::outcome::Outcome;
use crate::output::{Output, complain};
use crate::report::time_of_day;

/// Arguments of `reap log`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Read every record of a log and say how each of its files ends
    Verify(Of),
    /// Print every record of a log, in the order in which they were written
    Dump(Of),
    /// Count what a log holds, run by run
    Stats(Of),
}

/// A log.
#[derive(Debug, ClapArgs)]
struct Of {
    /// The log's directory. It is only read: the process that writes it may go on.
    dir: PathBuf,
    /// One JSON object a line instead of text.
    #[arg(long)]
    json: bool,
}

/// Reads a log.
pub fn run(args: &Args, out: &mut Output) -> Outcome {
    let done = match &args.what {
        What::Verify(of) => verify(of, out),
        What::Dump(of) => dump(of, out),
        What::Stats(of) => stats(of, out),
    };
    done.unwrap_or_else(|error| {
        complain(&error);
        Outcome::BadInput
    })
}

/// How a segment ends, in words.
fn ending(segment: &SegmentView) -> String {
    let end = match &segment.end {
        Ok(end) => end.to_string(),
        Err(error) => error.to_string(),
    };
    match segment.expected {
        Some(due) => format!("{end}; record {due} was due at its beginning: a file is missing"),
        None => end,
    }
}

fn verify(of: &Of, out: &mut Output) -> Result<Outcome, LogError> {
    let (mut records, mut files, mut bad, mut torn) = (0, 0, 0, 0);
    let mut recovery = Ok(Recovery::new());
    for segment in view(&of.dir)?.chain(view_inputs(&of.dir)?) {
        let segment = segment?;
        files += 1;
        records += segment.entries.len();
        bad += usize::from(!segment.is_whole());
        torn += usize::from(matches!(segment.end, Ok(End::Torn { .. })));
        recovery = recovery.and_then(|mut recovery| {
            let orders = segment
                .path
                .file_name()
                .is_some_and(|name| name.to_str().is_some_and(|name| name.starts_with("orders-")));
            let mut entries = segment.entries.iter().filter(|_| orders);
            entries.try_for_each(|entry| recovery.take(segment.epoch, entry))?;
            Ok(recovery)
        });
        let numbers = segment.entries.first().zip(segment.entries.last());
        let numbers = numbers.map(|(first, last)| (first.sequence, last.sequence));
        if of.json {
            out.line(json!({
                "file": segment.path,
                "epoch": segment.epoch,
                "segment": segment.segment,
                "records": segment.entries.len(),
                "sequences": numbers,
                "whole": segment.is_whole(),
                "end": ending(&segment),
            }));
        } else {
            let range = numbers.map_or(String::new(), |(first, last)| format!(" ({first}–{last})"));
            let (count, file) = (segment.entries.len(), segment.path.display());
            out.line(format_args!("{file}: {count} records{range}, {}", ending(&segment)));
        }
    }
    let verdict = match (bad, torn) {
        (0, 0) => "whole".to_owned(),
        (0, _) => "whole up to a record that was cut while it was written".to_owned(),
        _ => format!("not to be trusted: {bad} of its files are damaged or missing"),
    };
    let recovered = recovery.and_then(Recovery::finish);
    let left = recovered.as_ref().map(|found| {
        let found = found.as_ref();
        found.map_or((0, 0), |found| (found.open.len(), found.in_flight()))
    });
    if of.json {
        let whole = bad == 0;
        out.line(json!({
            "files": files,
            "records": records,
            "torn": torn,
            "whole": whole,
            "open": left.as_ref().ok().map(|(open, _)| open),
            "in_flight": left.as_ref().ok().map(|(_, orders)| orders),
            "unrecovered": left.as_ref().err().map(ToString::to_string),
        }));
    } else {
        out.line(format_args!("{files} files, {records} records: {verdict}"));
        match left {
            Ok((open, orders)) => out.line(format_args!(
                "decided again: {open} positions open, {orders} orders of which no end is known"
            )),
            Err(error) => out.line(format_args!("cannot be recovered from: {error}")),
        }
    }
    Ok(if bad == 0 && recovered.is_ok() { Outcome::Good } else { Outcome::NotGood })
}

fn dump(of: &Of, out: &mut Output) -> Result<Outcome, LogError> {
    let mut good = true;
    for segment in view(&of.dir)? {
        let segment = segment?;
        for entry in &segment.entries {
            if out.closed() {
                return Ok(Outcome::Good);
            }
            let (sequence, name) = (entry.sequence, entry.record.name());
            if of.json {
                out.line(json!({
                    "epoch": segment.epoch,
                    "sequence": sequence,
                    "at_ns": entry.at.0,
                    "kind": name,
                    "record": format!("{:?}", entry.record),
                }));
            } else {
                let (epoch, at) = (segment.epoch, time_of_day(entry.at));
                out.line(format_args!("{epoch}:{sequence} {at} {:?}", entry.record));
            }
        }
        if !segment.is_whole() {
            good = false;
            complain(format_args!("{}: {}", segment.path.display(), ending(&segment)));
        }
    }
    Ok(if good { Outcome::Good } else { Outcome::NotGood })
}

/// What a run has written.
#[derive(Debug, Default)]
struct Run {
    files: u64,
    kinds: BTreeMap<&'static str, u64>,
    first: Option<u64>,
    last: Option<u64>,
    /// What is left of orders of which the last word is missing.
    open: BTreeMap<ClientOrderId, i64>,
}

impl Run {
    fn take(&mut self, at: u64, record: &Record) {
        *self.kinds.entry(record.name()).or_default() += 1;
        self.first = self.first.or(Some(at));
        self.last = Some(at);
        match record {
            Record::Order(order) => {
                self.open.insert(order.id, order.qty.raw());
            }
            Record::NotSent { id, .. } => {
                self.open.remove(id);
            }
            Record::Answer(OrderEvent { id, what }) => match what {
                OrderChange::Expired | OrderChange::Rejected(_) => {
                    self.open.remove(id);
                }
                OrderChange::Filled { qty, .. } => {
                    if let Some(left) = self.open.get_mut(id) {
                        *left -= qty.raw();
                        if *left <= 0 {
                            self.open.remove(id);
                        }
                    }
                }
                OrderChange::Acked | OrderChange::Doubted | OrderChange::NotFound => {}
            },
            _ => {}
        }
    }
}

fn stats(of: &Of, out: &mut Output) -> Result<Outcome, LogError> {
    let mut runs: BTreeMap<u16, Run> = BTreeMap::new();
    let mut good = true;
    for segment in view(&of.dir)? {
        let segment = segment?;
        good &= segment.is_whole();
        let run = runs.entry(segment.epoch).or_default();
        run.files += 1;
        for entry in &segment.entries {
            run.take(entry.at.0, &entry.record);
        }
    }
    for (epoch, run) in &runs {
        let records: u64 = run.kinds.values().sum();
        let seconds = run
            .last
            .zip(run.first)
            .map_or(0, |(last, first)| last.saturating_sub(first) / 1_000_000_000);
        if of.json {
            out.line(json!({
                "epoch": epoch,
                "files": run.files,
                "records": records,
                "first_ns": run.first,
                "last_ns": run.last,
                "kinds": run.kinds,
                "orders_without_an_end": run.open.keys().map(ToString::to_string).collect::<Vec<_>>(),
            }));
            continue;
        }
        out.line(format_args!(
            "run {epoch}: {} files, {records} records over {seconds} s",
            run.files
        ));
        for (kind, count) in &run.kinds {
            out.line(format_args!("  {kind:<12} {count:>9}"));
        }
        for id in run.open.keys() {
            out.line(format_args!("  {id} was sent, and its end is not in the log"));
        }
    }
    if !good {
        complain("the log is not whole: see reap log verify");
    }
    Ok(if good { Outcome::Good } else { Outcome::NotGood })
}
