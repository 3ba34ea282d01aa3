//! `reap replay --log`: decides a recorded run once more from its own record. The engine is given
//! what its input log holds, and must decide what the order log says that it decided.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use reap_core::engine::Engine;
use reap_core::entry::EntryIntent;
use reap_core::event::Event;
use reap_core::intent::Intent;
use reap_core::log::{End, Inputs, Record};
use reap_core::units::Nanos;
use serde_json::{Value, json};

use crate::config::{Config, Mode};
use crate::live::journal::fingerprint;
use crate::live::run::for_mode;
use crate::order_log::{SegmentView, config_path, view, view_inputs};
use crate::pipeline;
use crate::report::time_of_day;

/// What the engine decided.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "as the log's records are")]
enum Decided {
    Intent(Intent),
    Entry(EntryIntent),
}

/// A difference between what was decided and what is decided now.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Number of the record in the input log after which it shows.
    pub input: u64,
    /// The time of that input.
    pub at: Nanos,
    /// Both sides, in words.
    pub what: String,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Again {
    /// The run.
    pub epoch: u16,
    /// Inputs that were decided on.
    pub inputs: u64,
    /// Decisions that came out again.
    pub decisions: u64,
    /// The engine's hash.
    pub hash: u64,
    /// The first thing that differs.
    pub difference: Option<Difference>,
    /// Why there is no more to compare, where the log does not end in good order.
    pub cut: Option<String>,
    /// Decisions of the order log whose inputs are missing.
    pub unproven: u64,
    /// Decisions that execution had not taken up when the run ended.
    pub not_taken: u64,
}

/// Decides the newest run of a log's directory again, or that with an epoch.
///
/// # Errors
/// In words, when there is nothing to decide again, or it cannot be read.
pub fn decide_again(dir: &Path, epoch: Option<u16>) -> Result<Again, String> {
    let text = |error: crate::order_log::LogError| error.to_string();
    let mut newest = None;
    for segment in view(dir).map_err(text)? {
        newest = newest.max(Some(segment.map_err(text)?.epoch));
    }
    let epoch = epoch.or(newest).unwrap_or_default();
    let mut decided = VecDeque::new();
    for segment in view(dir).map_err(text)? {
        let segment = segment.map_err(text)?;
        if segment.epoch != epoch {
            continue;
        }
        if let Some(why) = broken(&segment) {
            return Err(why);
        }
        decided.extend(segment.entries.into_iter().filter_map(|entry| match entry.record {
            Record::Intent(intent) => Some(Decided::Intent(intent)),
            Record::Entry(entry) => Some(Decided::Entry(entry)),
            _ => None,
        }));
    }
    let mut again: Option<Deciding> = None;
    let mut cut = None;
    for segment in view_inputs(dir).map_err(text)? {
        let segment = segment.map_err(text)?;
        if segment.epoch != epoch || cut.is_some() {
            continue;
        }
        let whole = broken(&segment);
        for entry in segment.entries {
            match (&entry.record, &mut again) {
                (Record::Inputs(begin), None) => {
                    let decided = std::mem::take(&mut decided);
                    again = Some(Deciding::begin(dir, epoch, begin, decided)?);
                }
                (_, None) => return Err(format!("{}: no beginning", segment.path.display())),
                (Record::Lost { count }, Some(_)) => {
                    cut = Some(format!(
                        "{count} inputs are missing after number {}: the disk was too slow",
                        entry.sequence
                    ));
                }
                (record, Some(again)) => again.step(entry.sequence, entry.at, record)?,
            }
            if cut.is_some() || again.as_ref().is_some_and(|again| again.difference.is_some()) {
                break;
            }
        }
        cut = cut.or(whole);
    }
    let Some(again) = again else {
        return Err(format!(
            "{}: run {epoch} has no input log; write input_log_mib = 1024 under [run] for the next",
            dir.display()
        ));
    };
    Ok(again.finish(cut))
}

/// Why nothing that follows a segment may be trusted.
fn broken(segment: &SegmentView) -> Option<String> {
    let path = segment.path.display();
    if let Some(expected) = segment.expected {
        return Some(format!("{path}: number {expected} is missing"));
    }
    match segment.end {
        Ok(End::Clean { .. } | End::Torn { .. }) => None,
        Ok(end) => Some(format!("{path} {end}")),
        Err(reap_core::log::HeaderError::Unused) => None,
        Err(error) => Some(format!("{path}: {error}")),
    }
}

/// An engine that is given a log's inputs.
struct Deciding {
    engine: Engine,
    epoch: u16,
    /// What the order log says, from the front.
    decided: VecDeque<Decided>,
    inputs: u64,
    decisions: u64,
    not_taken: u64,
    difference: Option<Difference>,
    ended: bool,
}

impl Deciding {
    fn begin(
        dir: &Path,
        epoch: u16,
        begin: &Inputs,
        decided: VecDeque<Decided>,
    ) -> Result<Self, String> {
        let path = config_path(dir, epoch);
        let config = Config::load(&path).map_err(|error| error.to_string())?;
        if fingerprint(&config) != begin.config {
            let path = path.display();
            return Err(format!("{path} has changed since run {epoch}: put it back as it was"));
        }
        let mode = if begin.live { Mode::Live } else { Mode::Paper };
        let config = for_mode(config, mode);
        let instruments: Vec<_> = config.instruments.iter().map(|named| named.instrument).collect();
        let engine = pipeline::engine(&config, &instruments, usize::from(begin.sources))
            .map_err(|error| error.to_string())?;
        let difference = None;
        let (inputs, decisions, not_taken, ended) = (0, 0, 0, false);
        Ok(Self { engine, epoch, decided, inputs, decisions, not_taken, difference, ended })
    }

    fn step(&mut self, sequence: u64, at: Nanos, record: &Record) -> Result<(), String> {
        match record {
            Record::Tick(tick) => self.engine.on_event(at, &Event::Tick(*tick)),
            Record::Report(report) => self.engine.on_event(at, &Event::Report(*report)),
            Record::Command(command) => self.engine.on_event(at, &Event::Command(*command)),
            Record::Source { source, change } => {
                self.engine.on_event(at, &Event::Source(*source, *change));
            }
            Record::Timer => self.engine.on_event(at, &Event::Timer),
            // One that was refused then is refused now.
            Record::Register(spec) => drop(self.engine.register(at, spec)),
            Record::Hash { hash } => {
                let now = self.engine.hash();
                if now != *hash {
                    let what = format!("the hash was {hash:016x} and is {now:016x}");
                    self.difference = Some(Difference { input: sequence, at, what });
                }
                return Ok(());
            }
            Record::Stop(_) => {
                self.ended = true;
                return Ok(());
            }
            other => return Err(format!("record {sequence}: {} is no input", other.name())),
        }
        self.inputs += 1;
        while self.engine.poll_entered().is_some() {}
        while let Some(intent) = self.engine.poll_intent() {
            self.compare(sequence, at, &Decided::Intent(intent));
        }
        while let Some(entry) = self.engine.poll_entry() {
            self.compare(sequence, at, &Decided::Entry(entry));
        }
        while self.engine.poll_note().is_some() {}
        Ok(())
    }

    fn compare(&mut self, input: u64, at: Nanos, now: &Decided) {
        match self.decided.pop_front() {
            Some(then) if then == *now => self.decisions += 1,
            Some(then) if self.difference.is_none() => {
                let what = format!("then {then:?}; now {now:?}");
                self.difference = Some(Difference { input, at, what });
            }
            Some(_) => {}
            None => self.not_taken += 1,
        }
    }

    fn finish(self, cut: Option<String>) -> Again {
        let ends = "the input log ends before its run did: the process was killed";
        let mut difference = self.difference;
        let cut = cut.or_else(|| (!self.ended).then(|| ends.to_owned()));
        let left = self.decided.len() as u64;
        if cut.is_none() && difference.is_none() && left > 0 {
            let what = format!("{left} decisions of the order log do not come out again");
            difference = Some(Difference { input: self.inputs, at: Nanos(0), what });
        }
        Again {
            epoch: self.epoch,
            inputs: self.inputs,
            decisions: self.decisions,
            hash: self.engine.hash(),
            unproven: if cut.is_some() { left } else { 0 },
            difference,
            cut,
            not_taken: self.not_taken,
        }
    }
}

impl Again {
    /// Whether everything that there is to compare is alike.
    #[must_use]
    pub const fn is_alike(&self) -> bool {
        self.difference.is_none()
    }

    /// In words.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let Self { epoch, inputs, decisions, hash, .. } = self;
        let mut lines = vec![format!(
            "run {epoch}: {inputs} inputs, {decisions} decisions came out again, hash {hash:016x}"
        )];
        if let Some(Difference { input, at, what }) = &self.difference {
            lines.push(format!("DIFFERS after input {input} at {}: {what}", time_of_day(*at)));
        }
        if let Some(cut) = &self.cut {
            lines.push(format!("{cut}; {} later decisions stand unproven", self.unproven));
        }
        if self.not_taken > 0 {
            lines.push(format!("{} decisions were not taken up at the end", self.not_taken));
        }
        lines
    }

    /// As data.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "epoch": self.epoch,
            "inputs": self.inputs,
            "decisions": self.decisions,
            "hash": format!("{:016x}", self.hash),
            "alike": self.is_alike(),
            "difference": self.difference.as_ref().map(|one| json!({
                "input": one.input,
                "at": one.at.0,
                "what": one.what,
            })),
            "cut": self.cut,
            "unproven": self.unproven,
            "not_taken": self.not_taken,
        })
    }
}

/// Which log is to be decided again.
#[derive(Debug, clap::Args)]
pub struct LogInput {
    /// Decide a recorded run again from its own logs: the folder of its mode, such as
    /// `reap-orders/paper`.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["recordings", "config", "speed", "follow"])]
    pub log: Option<PathBuf>,
    /// With --log: this run, instead of the newest.
    #[arg(long, requires = "log")]
    pub epoch: Option<u16>,
}
