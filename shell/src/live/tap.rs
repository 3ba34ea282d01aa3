//! What the engine consumes, on its way to the input log: a ring that the engine's thread pushes into
//! and a thread of its own that writes. Neither ever waits for the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;
use reap_core::event::Event;
use reap_core::log::{Record, StopWhy};
use reap_core::position::PositionSpec;
use reap_core::units::Nanos;
use reap_ring::{Consumer, Producer, ring};

use super::LiveError;
use crate::clock::rest;
use crate::order_log::{InputLog, LogError};

/// Inputs on their way: a hundred milliseconds of the busiest market.
const ROOM: usize = 1 << 14;
/// How long the writer rests when nothing is there.
const REST: Duration = Duration::from_millis(1);

/// One input.
#[derive(Debug)]
pub enum Tapped {
    /// An event and its time.
    Event(Nanos, Event),
    /// A registration. Main keeps a handle of its own, so that no hot thread ever frees it.
    Register(Nanos, Arc<PositionSpec>),
    /// So many had no room.
    Lost(Nanos, u64),
    /// The engine has ended with this hash.
    End(Nanos, u64),
}

/// The engine's end. Without an input log nothing is passed on.
#[derive(Debug, Default)]
pub struct Tap {
    ring: Option<Producer<Tapped>>,
    /// Inputs that had no room and were not told yet.
    lost: u64,
}

impl Tap {
    /// A tap, and where what it takes comes out.
    #[must_use]
    pub fn new() -> (Self, Consumer<Tapped>) {
        let (producer, consumer) = ring(ROOM);
        (Self { ring: Some(producer), lost: 0 }, consumer)
    }

    /// An event, after it was decided on.
    #[inline]
    pub fn event(&mut self, now: Nanos, event: &Event) {
        self.push(now, Tapped::Event(now, *event));
    }

    /// A registration.
    pub fn register(&mut self, now: Nanos, spec: &Arc<PositionSpec>) {
        self.push(now, Tapped::Register(now, Arc::clone(spec)));
    }

    /// The last word.
    pub fn end(&mut self, now: Nanos, hash: u64) {
        self.push(now, Tapped::End(now, hash));
    }

    #[inline]
    fn push(&mut self, now: Nanos, input: Tapped) {
        let Some(ring) = &mut self.ring else { return };
        if self.lost > 0 {
            self.push_late(now, input);
        } else if ring.push(input).is_err() {
            self.lost = 1;
        }
    }

    /// What is lost is told before what comes after it.
    #[cold]
    fn push_late(&mut self, now: Nanos, input: Tapped) {
        let Some(ring) = &mut self.ring else { return };
        if ring.push(Tapped::Lost(now, self.lost)).is_ok() {
            self.lost = u64::from(ring.push(input).is_err());
        } else {
            self.lost += 1;
        }
    }
}

/// What others see of the writer.
#[derive(Debug, Default)]
pub struct InputsView {
    /// Inputs that are missing in the log.
    pub lost: AtomicU64,
    /// Why it ended early, until somebody has taken it.
    pub trouble: Mutex<Option<String>>,
}

/// The writer's thread.
#[derive(Debug)]
pub struct InputsWriter {
    /// What others see.
    pub view: Arc<InputsView>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl InputsWriter {
    /// Writes what a tap takes until its engine is gone.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(inputs: Consumer<Tapped>, log: InputLog) -> Result<Self, LiveError> {
        let view = Arc::new(InputsView::default());
        let stop = Arc::new(AtomicBool::new(false));
        let body =
            Body { inputs, log: Some(log), view: Arc::clone(&view), stop: Arc::clone(&stop) };
        let spawned = Builder::new().name("reap-inputs".into()).spawn(move || body.run());
        let thread = spawned.map_err(LiveError::system("the input log's thread"))?;
        Ok(Self { view, stop, thread: Some(thread) })
    }

    /// Whether everything is written, now that the engine has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for InputsWriter {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has nothing to say in the end, and its panic would have ended the process.
            drop(thread.join());
        }
    }
}

struct Body {
    inputs: Consumer<Tapped>,
    /// Until it cannot be written.
    log: Option<InputLog>,
    view: Arc<InputsView>,
    stop: Arc<AtomicBool>,
}

impl Body {
    fn run(mut self) {
        loop {
            // Before the last look: what is pushed until then is seen.
            let over = self.inputs.is_finished() || self.stop.load(Ordering::Relaxed);
            let mut some = false;
            while let Some(input) = self.inputs.pop() {
                some = true;
                self.write(&input);
            }
            self.judge(|log| log.flush());
            if over {
                return;
            }
            if !some {
                rest(REST);
            }
        }
    }

    fn write(&mut self, input: &Tapped) {
        let (at, record) = match *input {
            Tapped::Event(at, event) => (at, record_of(event)),
            Tapped::Register(at, ref spec) => (at, Record::Register((**spec).clone())),
            Tapped::Lost(at, count) => {
                self.view.lost.fetch_add(count, Ordering::Relaxed);
                (at, Record::Lost { count })
            }
            Tapped::End(at, hash) => {
                self.judge(|log| log.append(at, &Record::Hash { hash }));
                (at, Record::Stop(StopWhy::Done))
            }
        };
        self.judge(|log| log.append(at, &record));
    }

    fn judge(&mut self, write: impl FnOnce(&mut InputLog) -> Result<(), LogError>) {
        let Some(log) = &mut self.log else { return };
        if let Err(error) = write(log) {
            self.log = None;
            *self.view.trouble.lock() = Some(error.to_string());
        }
    }
}

/// How an event stands in the log.
const fn record_of(event: Event) -> Record {
    match event {
        Event::Tick(tick) => Record::Tick(tick),
        Event::Report(report) => Record::Report(report),
        Event::Command(command) => Record::Command(command),
        Event::Source(source, change) => Record::Source { source, change },
        Event::Timer => Record::Timer,
    }
}
