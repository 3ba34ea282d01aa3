//! What a link wants done and what it tells, with the words for people.

use std::fmt;

use reap_core::instrument::InstrumentId;
use reap_core::tick::Tick;
use reap_core::units::Nanos;

use super::{Slot, Utf8Bytes};
use crate::decoded::Rejection;

/// What the driver must do next.
#[derive(Clone, Debug, PartialEq)]
pub enum LinkAction {
    /// Connect this slot to the plan's host and path; then [`Link::on_open`](super::Link::on_open)
    /// or [`Link::on_failed`](super::Link::on_failed).
    Connect(Slot),
    /// Send this as a text message.
    Send(Slot, Utf8Bytes),
    /// Send a WebSocket ping.
    Ping(Slot),
    /// Close and drop the connection, or give up the attempt.
    Close(Slot, LinkReason),
    /// Give this tick to the engine now: the replacement had it before it took over, and the
    /// venue may not send it again.
    Replay(Tick),
    /// For the engine and the operator.
    Changed(LinkEvent),
}

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// A fresh connection is open: `SourceChange::Connected`. A replacement that takes over from
    /// a living connection is no fresh one.
    Connected,
    /// Every topic is answered, at least one accepted, and data comes.
    Live,
    /// The connection is gone and nothing stands in for it: `SourceChange::Lost`.
    Lost(LinkReason),
    /// An attempt to connect failed; this many in a row.
    Failed(u32),
    /// A planned change began: the replacement is opened first.
    Changing(ChangeReason),
    /// The replacement took over, without a gap.
    Replaced,
    /// So many topics were refused and are never live on this connection; the rest lives.
    Partial {
        /// How many: [`Link::missing`](super::Link::missing) names them.
        missing: u16,
    },
    /// The instrument's quotes stopped while the connection lives.
    Mute(InstrumentId),
    /// They are back.
    Recovered(InstrumentId),
    /// Too many messages are rejected, again after a reconnect: the connection is kept for what
    /// can still be read. [`LinkEvent::Live`] ends it.
    Degraded(Rejection),
}

/// Why a connection or an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum LinkReason {
    /// The transport says that it is gone.
    Closed,
    /// It brings no data, whether it answers otherwise or not.
    Silent,
    /// Not a single frame for two ping intervals.
    HalfOpen,
    /// Every topic with quotes is silent, and stayed so when subscribed anew.
    Mute,
    /// Requests are not answered.
    Unanswered,
    /// The venue refused every topic.
    Refused,
    /// Too many messages were rejected by the codec.
    Rejections,
    /// The attempt to connect was never answered.
    ConnectDeadline,
    /// The venue announced that it closes this replacement too.
    GoingAway,
    /// A replacement that did not prove itself in time.
    NotProven,
    /// Its replacement took over.
    Replaced,
}

/// Why a connection is changed while it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeReason {
    /// The venue's longest life of a connection is near.
    Age,
    /// The venue announced that it will close.
    GoingAway,
}

/// Where a link stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// No connection; not before this time is another asked for.
    Waiting(Nanos),
    /// Being connected.
    Connecting,
    /// Open; topics unanswered, or no data yet.
    Subscribing,
    /// Subscribed, with data.
    Live,
    /// Live, while the replacement is made.
    Changing,
    /// Live, with too many rejected messages.
    Degraded,
}

impl LinkReason {
    /// Every reason, in the order of the counters.
    pub const ALL: [Self; 11] = [
        Self::Closed,
        Self::Silent,
        Self::HalfOpen,
        Self::Mute,
        Self::Unanswered,
        Self::Refused,
        Self::Rejections,
        Self::ConnectDeadline,
        Self::GoingAway,
        Self::NotProven,
        Self::Replaced,
    ];

    /// The counter's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Silent => "silent",
            Self::HalfOpen => "half_open",
            Self::Mute => "mute",
            Self::Unanswered => "unanswered",
            Self::Refused => "refused",
            Self::Rejections => "rejections",
            Self::ConnectDeadline => "connect_deadline",
            Self::GoingAway => "going_away",
            Self::NotProven => "not_proven",
            Self::Replaced => "replaced",
        }
    }
}

impl fmt::Display for LinkReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the connection was closed",
            Self::Silent => "it brings no data",
            Self::HalfOpen => "not a single frame for two ping intervals",
            Self::Mute => "every quote topic stays silent though subscribed anew",
            Self::Unanswered => "the venue does not answer subscriptions",
            Self::Refused => "the venue refused every topic",
            Self::Rejections => "too many messages cannot be read",
            Self::ConnectDeadline => "the attempt to connect was never answered",
            Self::GoingAway => "the venue announced that it closes",
            Self::NotProven => "the replacement did not prove itself in time",
            Self::Replaced => "its replacement took over",
        })
    }
}

impl fmt::Display for ChangeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Age => "the connection nears the end of its life",
            Self::GoingAway => "the venue announced that it closes",
        })
    }
}

impl fmt::Display for LinkState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting(_) => "no connection; waits before it connects again",
            Self::Connecting => "connecting; then it subscribes",
            Self::Subscribing => "subscribing; live with the answers and the first data",
            Self::Live => "live",
            Self::Changing => {
                "live; a replacement is being opened and takes over when it is proven"
            }
            Self::Degraded => "degraded: too many messages cannot be read; the rest is used",
        })
    }
}

impl fmt::Display for LinkEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => f.write_str("connected; subscribing"),
            Self::Live => f.write_str("live"),
            Self::Lost(reason) => write!(f, "lost: {reason}; connecting again"),
            Self::Failed(count) => {
                write!(f, "connecting failed, {count} in a row; tried again after a pause")
            }
            Self::Changing(reason) => write!(f, "{reason}; a replacement is opened first"),
            Self::Replaced => f.write_str("the replacement took over without a gap"),
            Self::Partial { missing } => {
                let topics = if *missing == 1 { "topic is" } else { "topics are" };
                write!(
                    f,
                    "{missing} {topics} refused and never live; asked again on the next connection"
                )
            }
            Self::Mute(instrument) => {
                write!(f, "instrument {} is silent; subscribing it anew", instrument.0)
            }
            Self::Recovered(instrument) => {
                write!(f, "instrument {} delivers again", instrument.0)
            }
            Self::Degraded(reason) => write!(
                f,
                "degraded: too many messages cannot be read ({}), after a reconnect too; \
                 what can be read is used",
                reason.name()
            ),
        }
    }
}

/// A text with the connection's name and its topics' names: see
/// [`Link::tell`](super::Link::tell).
#[derive(Debug)]
pub struct Telling<'a> {
    pub(super) link: &'a super::Link,
    pub(super) event: LinkEvent,
}

impl fmt::Display for Telling<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = self.link.plan();
        f.write_str(plan.name)?;
        if plan.part > 1 {
            write!(f, " {}", plan.part)?;
        }
        f.write_str(": ")?;
        let pulse = |instrument: InstrumentId| {
            let found = plan.topics.iter().find(|t| t.pulse && t.instrument == instrument);
            found.map_or("", |topic| topic.name.as_str())
        };
        match self.event {
            LinkEvent::Mute(instrument) => {
                write!(f, "{} is silent; subscribing it anew", pulse(instrument))
            }
            LinkEvent::Recovered(instrument) => write!(f, "{} delivers again", pulse(instrument)),
            event @ LinkEvent::Partial { .. } => {
                write!(f, "{event}")?;
                const NAMED_MAX: usize = 10;
                for (at, missing) in self.link.missing().take(NAMED_MAX).enumerate() {
                    let separator = if at == 0 { ": " } else { ", " };
                    write!(f, "{separator}{} ({})", missing.topic, missing.why)?;
                }
                if self.link.missing().count() > NAMED_MAX {
                    f.write_str(", …")?;
                }
                Ok(())
            }
            event => write!(f, "{event}"),
        }
    }
}
