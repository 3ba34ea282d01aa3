//! The order log as execution writes it: once a record could not be written none is any more.

use reap_core::executor::ExecutorLimits;
use reap_core::hash::RunningHash;
use reap_core::instrument::{AccountId, InstrumentId, VenueId};
use reap_core::log::{Inputs, Named, Record, Sights, Start, Text};
use reap_core::policy::PolicyId;
use reap_core::units::Nanos;

use crate::config::{Config, Mode};
use crate::order_log::{LogError, OrderLog};

/// Writes what a run begins with: everything that its executor is made of, and what numbers mean.
///
/// # Errors
/// When the log cannot be written.
pub fn begin(
    log: &mut OrderLog,
    now: Nanos,
    config: &Config,
    limits: ExecutorLimits,
) -> Result<(), LogError> {
    let start = Start {
        build: version(),
        config: fingerprint(config),
        positions: limits.positions as u32,
        orders: limits.orders as u32,
    };
    log.append(now, &Record::Start(start))?;
    for (at, named) in config.instruments.iter().enumerate() {
        let id = InstrumentId(at as u16);
        log.append(now, &Record::Instrument { id, spec: *named.spec() })?;
    }
    for (at, venue) in config.venues.iter().enumerate() {
        let (venue, budget) = (VenueId(at as u8), venue.budget);
        log.append(now, &Record::Budget { venue, budget })?;
    }
    let mut name = |of: Named, text: &str| {
        log.append(now, &Record::Name { of, text: Text::cut(text) }).map(drop)
    };
    for (at, venue) in config.venues.iter().enumerate() {
        name(Named::Venue(VenueId(at as u8)), &venue.name)?;
    }
    for (at, account) in config.accounts.iter().enumerate() {
        name(Named::Account(AccountId(at as u8)), &account.name)?;
    }
    for (at, named) in config.instruments.iter().enumerate() {
        name(Named::Instrument(InstrumentId(at as u16)), &named.name)?;
    }
    for (at, named) in config.policies.iter().enumerate() {
        name(Named::Policy(PolicyId(at as u16)), &named.name)?;
    }
    Ok(())
}

/// What an input log begins with.
pub fn inputs_begin(config: &Config, mode: Mode, sources: usize) -> Record {
    let (build, live) = (version(), mode == Mode::Live);
    Record::Inputs(Inputs { build, config: fingerprint(config), sources: sources as u16, live })
}

/// Tells configurations apart by their text.
pub fn fingerprint(config: &Config) -> u64 {
    let mut hash = RunningHash::new();
    config.text.bytes().for_each(|byte| hash.fold(byte.into()));
    hash.value()
}

/// The program's version.
fn version() -> [u16; 3] {
    let parts = [
        env!("CARGO_PKG_VERSION_MAJOR"),
        env!("CARGO_PKG_VERSION_MINOR"),
        env!("CARGO_PKG_VERSION_PATCH"),
    ];
    parts.map(|part| part.parse().unwrap_or(u16::MAX))
}

/// See the module. What it returns is for an operator, and said once.
pub(super) struct Journal {
    log: OrderLog,
    failed: bool,
    prepare_failed: bool,
}

impl Journal {
    pub(super) const fn new(log: OrderLog) -> Self {
        Self { log, failed: false, prepare_failed: false }
    }

    /// Whether records are missing: no order may leave.
    pub(super) const fn has_failed(&self) -> bool {
        self.failed
    }

    /// Gets a record ready; [`Self::commit`] writes it.
    pub(super) fn append(&mut self, now: Nanos, record: &Record) -> Option<Box<str>> {
        if self.failed {
            return None;
        }
        let done = self.log.stage(now, record).map(drop);
        self.judge(done)
    }

    /// Writes everything that is ready: before an order leaves, and before the thread rests.
    pub(super) fn commit(&mut self) -> Option<Box<str>> {
        if self.failed {
            return None;
        }
        let done = self.log.commit();
        self.judge(done)
    }

    fn judge(&mut self, done: Result<(), LogError>) -> Option<Box<str>> {
        let error = done.err()?;
        self.failed = true;
        Some(format!("order log: {error}; nothing is sent any more").into_boxed_str())
    }

    /// All that was seen in a step, however much: a timer may look after many positions.
    pub(super) fn append_sights(&mut self, now: Nanos, sights: &mut Sights) -> Option<Box<str>> {
        let mut alarm = None;
        for saw in sights.saw() {
            alarm = alarm.or_else(|| self.append(now, &Record::Saw(saw)));
        }
        alarm
    }

    /// Reserves the log's next segment: for idle time.
    pub(super) fn prepare(&mut self) -> Option<Box<str>> {
        if self.failed || self.prepare_failed {
            return None;
        }
        let error = self.log.prepare().err()?;
        self.prepare_failed = true;
        let text = format!("order log: {error}; what is left of its segment is used up first");
        Some(text.into_boxed_str())
    }

    /// Waits for the disk.
    pub(super) fn sync(&mut self) -> Option<Box<str>> {
        if self.failed {
            return None;
        }
        let error = self.log.sync().err()?;
        Some(format!("order log: {error}; its last records may be missing").into_boxed_str())
    }
}
