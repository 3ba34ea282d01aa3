//! `[run]`: how a live run is laid out, and what it may do.

use std::path::PathBuf;

use reap_core::units::Nanos;

use super::value::SpanBounds;
use super::walk::{Table, Value};

/// What a run may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Everything over sockets against simulated venues.
    Sim,
    /// Real market data; decides and sends nothing.
    DryRun,
    /// Real market data; orders are filled on paper.
    #[default]
    Paper,
    /// Real market data, real orders.
    Live,
}

impl Mode {
    /// Every mode by the name that configurations use.
    pub const ALL: [(&'static str, Self); 4] = [
        ("sim", Self::Sim),
        ("dry_run", Self::DryRun),
        ("paper", Self::Paper),
        ("live", Self::Live),
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        Self::ALL[self as usize].0
    }
}

/// How feed, engine and execution share threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// By the cores that the process may use.
    #[default]
    Auto,
    /// A thread each.
    Split,
    /// Feed and engine on one thread, execution on another.
    Fused,
    /// All on one thread.
    Single,
}

impl Layout {
    /// Every layout by the name that configurations use.
    pub const ALL: [(&'static str, Self); 4] = [
        ("auto", Self::Auto),
        ("split", Self::Split),
        ("fused", Self::Fused),
        ("single", Self::Single),
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        Self::ALL[self as usize].0
    }
}

/// How a thread without work waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// It looks again at once.
    Spin,
    /// It sleeps until it is woken.
    Park,
}

/// When a record of the order log is on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// When the system writes it: it survives the end of the process, not that of the machine.
    #[default]
    None,
    /// Before the order leaves.
    BeforeSend,
}

/// CPU numbers of the operating system; different ones. `None` leaves a thread where the layout
/// puts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cores {
    /// Of the feed; only where it has a thread of its own.
    pub feed: Option<u16>,
    /// Of the engine and of what shares its thread.
    pub engine: Option<u16>,
    /// Of the execution; not where everything is on one thread.
    pub execution: Option<u16>,
}

/// `[run]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunConfig {
    /// What it may do.
    pub mode: Mode,
    /// How threads are shared.
    pub layout: Layout,
    /// Where they run.
    pub cores: Cores,
    /// How the execution thread waits; `None` is by layout.
    pub execution: Option<Waiting>,
    /// Folder of the order log; one that is relative begins at the working directory.
    pub log: PathBuf,
    /// When its records are on the disk.
    pub sync: Sync,
    /// What the input log of a run may take on the disk, in MiB; 0: there is none.
    pub input_log_mib: u32,
    /// Longest time that a stop takes.
    pub stop_timeout: Nanos,
    /// Gap of the engine's loop from which on it says that it is late.
    pub engine_late: Nanos,
}

const LOG: &str = "reap-orders";
const INPUT_LOG_MIB: u32 = 1024;
/// A pebibyte.
const INPUT_LOG_MAX: u32 = 1 << 30;
const STOP_TIMEOUT: Nanos = Nanos::from_secs(10);
const STOP_TIMEOUT_BOUNDS: SpanBounds =
    SpanBounds::new(Nanos::from_millis(100), Nanos::from_secs(3600));
const ENGINE_LATE: Nanos = Nanos::from_millis(5);
const ENGINE_LATE_BOUNDS: SpanBounds = SpanBounds::new(Nanos(10_000), Nanos::from_secs(60));
/// Highest CPU number: what Linux can be built for.
const CORE_MAX: u32 = 8191;

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            layout: Layout::default(),
            cores: Cores::default(),
            execution: None,
            log: LOG.into(),
            sync: Sync::default(),
            input_log_mib: INPUT_LOG_MIB,
            stop_timeout: STOP_TIMEOUT,
            engine_late: ENGINE_LATE,
        }
    }
}

/// `[run]` as it is written.
pub(super) struct Written<'a> {
    /// Its mode, and where that stands, for the mistakes that only the whole file shows.
    pub(super) mode: Option<(Mode, Value<'a>)>,
    /// Everything, when nothing of it is refused.
    pub(super) run: Option<RunConfig>,
}

pub(super) fn run<'a>(value: &Value<'a>) -> Option<Written<'a>> {
    let table = value.table("write it as [run]")?;
    let default = RunConfig::default();
    let mode_value = table.get("mode");
    let mode = match &mode_value {
        Some(value) => value.word(&Mode::ALL),
        None => Some(default.mode),
    };
    let layout = match table.get("layout") {
        Some(value) => value.word(&Layout::ALL),
        None => Some(default.layout),
    };
    let cores = match table.get("cores") {
        Some(value) => cores(&value, layout),
        None => Some(default.cores),
    };
    let execution = match table.get("execution") {
        Some(value) => execution(&value, layout).map(Some),
        None => Some(None),
    };
    let log = match table.get("log") {
        Some(value) => path(&value, "write the name of a folder, such as log = \"orders\""),
        None => Some(default.log),
    };
    let sync = match table.get("sync") {
        Some(value) => value.word(&[("none", Sync::None), ("before_send", Sync::BeforeSend)]),
        None => Some(default.sync),
    };
    let input_log_mib = match table.get("input_log_mib") {
        Some(value) => value.integer(0, INPUT_LOG_MAX),
        None => Some(default.input_log_mib),
    };
    let span = |key, default, bounds| match table.get(key) {
        Some(value) => value.span(bounds),
        None => Some(default),
    };
    let stop_timeout = span("stop_timeout", default.stop_timeout, STOP_TIMEOUT_BOUNDS);
    let engine_late = span("engine_late", default.engine_late, ENGINE_LATE_BOUNDS);
    table.elsewhere("speed", "sim");
    table.finish();
    let all = || {
        Some(RunConfig {
            mode: mode?,
            layout: layout?,
            cores: cores?,
            execution: execution?,
            log: log?,
            sync: sync?,
            input_log_mib: input_log_mib?,
            stop_timeout: stop_timeout?,
            engine_late: engine_late?,
        })
    };
    let run = all();
    let written = mode_value.unwrap_or_else(|| value.clone());
    Some(Written { mode: mode.map(|mode| (mode, written)), run })
}

/// The name of a file or folder.
pub(super) fn path(value: &Value<'_>, remedy: &str) -> Option<PathBuf> {
    let text = value.text(remedy)?;
    if text.contains('\0') {
        value.problem("no name has a nought byte", remedy);
        return None;
    }
    Some(text.into())
}

fn cores(value: &Value<'_>, layout: Option<Layout>) -> Option<Cores> {
    let remedy = "write cores = { feed = 2, engine = 3, execution = 4 }, or some of them";
    let table = value.table(remedy)?;
    let mut used: Vec<(u16, &str)> = Vec::new();
    let mut core = |key, table: &Table<'_>| {
        let Some(value) = table.get(key) else { return Some(None) };
        let number = value.integer(0, CORE_MAX).and_then(|number| u16::try_from(number).ok())?;
        match (key, layout) {
            ("feed", Some(Layout::Fused | Layout::Single))
            | ("execution", Some(Layout::Single)) => {
                let name = layout.map_or("", Layout::name);
                let what = format!("layout {name} has no thread of its own for it");
                value.problem(what, "remove it: the thread runs on the engine's core");
                return None;
            }
            _ => {}
        }
        if let Some((_, other)) = used.iter().find(|(taken, _)| *taken == number) {
            let what = format!("is the core of {other} too: one of them would wait for the other");
            value.problem(what, "give each its own core, or choose a layout with fewer threads");
            return None;
        }
        used.push((number, key));
        Some(Some(number))
    };
    let feed = core("feed", &table);
    let engine = core("engine", &table);
    let execution = core("execution", &table);
    table.finish();
    Some(Cores { feed: feed?, engine: engine?, execution: execution? })
}

fn execution(value: &Value<'_>, layout: Option<Layout>) -> Option<Waiting> {
    let waiting = value.word(&[("spin", Waiting::Spin), ("park", Waiting::Park)])?;
    if layout == Some(Layout::Single) {
        let what = "layout single has no execution thread that could wait in its own way";
        value.problem(what, "remove it");
        return None;
    }
    Some(waiting)
}
