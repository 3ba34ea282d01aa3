//! Drives a run until its end: the market is over, the time is up, somebody asks for it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use reap_core::instrument::VenueId;
use reap_core::units::Nanos;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::LiveError;
use super::books;
use super::reach::Reach;
use super::run::Run;
use super::watch::{Outcome, Watch};
use crate::clock::{LiveClock, WallClock, rest};
use crate::config::{Config, Mode};

/// How long the live plans may take to end after a simulated market's last message, in its time.
const SETTLE: Nanos = Nanos::from_secs(30);
/// Main looks at everything this often.
const ROUND: Duration = Duration::from_millis(1);

/// How far a run goes.
#[derive(Debug, Default)]
pub struct Until {
    /// Longest real time.
    pub span: Option<Duration>,
    /// Venues that are cut off: when, in the market's time from its beginning; for how long.
    pub cuts: Vec<(VenueId, Nanos, Nanos)>,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The simulated market is over.
    MarketOver,
    /// The time that was given is up.
    TimeUp,
    /// A signal.
    Signal(&'static str),
    /// Nobody reads any more.
    Unread,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MarketOver => f.write_str("the simulated market is over"),
            Self::TimeUp => f.write_str("the time is up"),
            Self::Signal(signal) => write!(f, "stopped by {signal}"),
            Self::Unread => f.write_str("nobody reads any more"),
        }
    }
}

/// Signals that ask for an end. One that comes while that is under way ends the process at once;
/// within half a second it is taken for an echo of the first, as from a wrapper that passes on what
/// its whole group has got.
pub struct Signals {
    last: Arc<AtomicUsize>,
    force: Arc<AtomicBool>,
}

/// How long an echo may take.
const ECHO: Duration = Duration::from_millis(500);

impl Signals {
    /// Listens for SIGINT and SIGTERM from now on.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn listen() -> std::io::Result<Self> {
        let last = Arc::new(AtomicUsize::new(0));
        let force = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&force))?;
            let number = usize::try_from(signal).unwrap_or_default();
            signal_hook::flag::register_usize(signal, Arc::clone(&last), number)?;
        }
        Ok(Self { last, force })
    }

    /// The end is under way: from soon on a further signal ends the process at once.
    fn arm(&self) {
        let force = Arc::clone(&self.force);
        let arm = move || {
            rest(ECHO);
            force.store(true, Ordering::Relaxed);
        };
        // Without it a second signal changes nothing, and the end comes by itself.
        drop(std::thread::Builder::new().name("reap-signals".into()).spawn(arm));
    }

    /// The signal that came.
    #[must_use]
    pub fn received(&self) -> Option<&'static str> {
        match i32::try_from(self.last.load(Ordering::Relaxed)) {
            Ok(SIGINT) => Some("SIGINT"),
            Ok(SIGTERM) => Some("SIGTERM"),
            _ => None,
        }
    }
}

/// What a driven run came to.
pub struct Driven {
    /// Why it ended.
    pub ending: Ending,
    /// What happened.
    pub outcome: Outcome,
    /// Orders of which the last word is missing.
    pub in_flight: Vec<(usize, String)>,
    /// Why the venues' books could not be read, if they were asked and could not.
    pub books: Result<(), String>,
}

/// Starts a run and drives it to its end. `tell` takes lines and says whether anyone still reads.
/// `started` hears of the layout first.
///
/// # Errors
/// When it cannot start.
pub fn drive(
    config: Config,
    mode: Mode,
    log: &Path,
    until: &Until,
    started: &mut dyn FnMut(&Run),
    tell: &mut dyn FnMut(Nanos, &str) -> bool,
) -> Result<Driven, LiveError> {
    let signals = Signals::listen().map_err(LiveError::system("handlers of signals"))?;
    let mut run = Run::start(config.clone(), mode, log)?;
    started(&run);
    let mut watch = Watch::new(&run);
    let mut read = true;
    let mut cuts = until.cuts.clone();
    let begun = run.clock.real();
    let mut over_since = None;
    let ending = loop {
        watch.step(&mut run, &mut |at, line| read &= tell(at, line));
        if let Some(signal) = signals.received() {
            signals.arm();
            break Ending::Signal(signal);
        }
        if !read {
            break Ending::Unread;
        }
        let passed = Duration::from_nanos(run.clock.real().saturating_sub(begun));
        if until.span.is_some_and(|span| passed >= span) {
            break Ending::TimeUp;
        }
        let now = run.clock.now();
        if let Some(simulated) = &run.simulated {
            cuts.retain(|(venue, at, span)| {
                let due = now >= watch.begins().plus(*at);
                if due {
                    let name = &config.venues[usize::from(venue.0)].name;
                    let seconds = span.0 as f64 / 1e9;
                    tell(
                        now,
                        &format!("{name}: cut off on purpose for {seconds} s of the market's time"),
                    );
                    simulated.cut(*venue, Duration::from_nanos(run.clock.real_span(*span)));
                }
                !due
            });
            if simulated.is_over() {
                let since = *over_since.get_or_insert(now);
                let at_work = watch.story().is_closing() || watch.story().is_entering();
                if !at_work || now.since(since) > SETTLE {
                    break Ending::MarketOver;
                }
            }
        }
        rest(ROUND);
    };
    Ok(finish(run, watch, &config, mode, ending, tell))
}

fn finish(
    mut run: Run,
    mut watch: Watch,
    config: &Config,
    mode: Mode,
    ending: Ending,
    tell: &mut dyn FnMut(Nanos, &str) -> bool,
) -> Driven {
    let lines = std::mem::take(&mut run.lines);
    let watched = std::mem::take(&mut run.watched);
    let (clock, wall) = (run.clock.clone(), run.wall.clone());
    let (ended, ends) = run.stop(&mut |ends| {
        watch.take_notes(ends, &lines, &mut |at, line| {
            tell(at, line);
        });
    });
    // In a dry run none has left.
    let in_flight = if mode == Mode::DryRun { Vec::new() } else { watch.in_flight() };
    let mut outcome = watch.finish(ended, watched, ends);
    let asks = matches!(mode, Mode::Sim | Mode::Live);
    let books = if asks { ask(config, &mut outcome, &clock, &wall) } else { Ok(()) };
    Driven { ending, outcome, in_flight, books }
}

fn ask(
    config: &Config,
    outcome: &mut Outcome,
    clock: &LiveClock,
    wall: &WallClock,
) -> Result<(), String> {
    let reach = Reach::new(config, outcome.ended.simulated.as_ref());
    let reach = reach.map_err(|error| error.to_string())?;
    let instruments = outcome.story.instruments();
    let asked = books::ask(&reach, instruments, clock, wall).map_err(|error| error.to_string())?;
    outcome.holdings = Some(asked?);
    Ok(())
}
