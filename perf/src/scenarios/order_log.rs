//! One record into the order log, and the bare write of as many bytes beside it.
//!
//! ```text
//!   record in hand ──▶ encode, checksum, pwrite ──▶ reserved segment
//!   its bytes ───────▶ pwrite ────────────────────▶ reserved segment of another log
//! ```

use std::fs::File;
use std::os::unix::fs::FileExt;

use reap_core::instrument::{AccountId, InstrumentId};
use reap_core::log::Record;
use reap_core::order::{ClientOrderId, Order, OrderSide};
use reap_core::position::PositionId;
use reap_core::units::{Nanos, Qty};
use reap_shell::order_log::{LogSettings, OrderLog};

use super::ScenarioError;
use crate::figures::Figures;
use crate::timing::{Steps, Stopwatch};

const GOAL: f64 = 1.50;
/// Records at full work: they fit one segment.
const RECORDS: u64 = 200_000;

pub(crate) fn run(work: u64) -> Result<Figures, ScenarioError> {
    let dir = std::env::temp_dir().join(format!("reap-perf-log-{}", std::process::id()));
    let figures = measure(&dir, (RECORDS * work.min(100) / 100).max(1_000));
    // What is left in the system's temporary folder is only space.
    let _ = std::fs::remove_dir_all(&dir);
    figures
}

fn measure(dir: &std::path::Path, records: u64) -> Result<Figures, ScenarioError> {
    let missing = |error: &dyn std::fmt::Display| ScenarioError::Missing(error.to_string());
    let settings = LogSettings::default();
    let open = |name: &str| OrderLog::open(&dir.join(name), Nanos(1), settings);
    let mut log = open("log").map_err(|error| missing(&error))?;
    let other = open("bare").map_err(|error| missing(&error))?;
    let bare = File::options()
        .write(true)
        .open(dir.join("bare").join(format!("orders-{:05}-000002.log", other.epoch())))
        .map_err(|error| missing(&error))?;
    let stopwatch = Stopwatch::new();
    let (mut ours, mut theirs) = (Steps::new(), Steps::new());
    let bytes = [0x5a; 64];
    for n in 0..records {
        let record = order(n);
        ours.record(stopwatch.time(|| log.append(Nanos(n), &record).map(drop).unwrap_or_default()));
        theirs
            .record(stopwatch.time(|| bare.write_at(&bytes, n * 64).map(drop).unwrap_or_default()));
    }
    if let Some(error) = log.poisoned() {
        return Err(missing(error));
    }
    let mut figures = Figures::default();
    for (side, steps) in [("append", &ours), ("bare write", &theirs)] {
        for percent in [50.0, 99.0, 99.9] {
            figures.figure(format!("{side} p{percent}, ns"), steps.percentile(percent));
        }
        figures.figure(format!("{side} max, ns"), steps.max());
    }
    figures.figure("records, count", records as f64);
    for percent in [50.0, 99.0] {
        let ratio = ours.percentile(percent) / theirs.percentile(percent).max(1.0);
        figures.ratio(format!("append p{percent}"), ratio, GOAL);
    }
    Ok(figures)
}

fn order(n: u64) -> Record {
    Record::Order(Order {
        id: ClientOrderId { epoch: 1, position: PositionId(1), leg: 0, plan: n as u32, attempt: 1 },
        account: AccountId(0),
        instrument: InstrumentId(0),
        side: OrderSide::Sell,
        qty: Qty::new(5).expect("within bounds"),
        limit: None,
        reduce_only: true,
    })
}
