//! What a link knows of one of its two connections.

use reap_core::tick::Tick;
use reap_core::units::Nanos;

use super::StreamPlan;
use super::rejects::Rejects;
use super::requests::Requests;

/// How far a slot's connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// There is none.
    Idle,
    /// Asked for.
    Connecting,
    /// Open.
    Open,
}

/// What became of a topic's subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Not answered yet.
    Asked,
    /// Accepted.
    Accepted,
    /// Refused, in the venue's words.
    Refused(Box<str>),
}

/// A topic on one connection.
#[derive(Clone, Debug)]
pub(super) struct TopicState {
    pub(super) standing: Standing,
    /// It brought a quote on this connection.
    pub(super) seen: bool,
    /// Its last quote, or what stands for one: the answer, the take-over, the new subscription.
    pub(super) last: Nanos,
    /// It is silent, and that was told.
    pub(super) mute: bool,
    /// Subscribed anew so often since it fell silent, and not again before this time.
    pub(super) renewed: u32,
    pub(super) renew_at: Nanos,
    /// The last quote that was held back.
    pub(super) held: Option<Tick>,
    /// One that was held back restarted the venue's update ids.
    pub(super) restarted: bool,
}

impl TopicState {
    const fn new() -> Self {
        Self {
            standing: Standing::Asked,
            seen: false,
            last: Nanos(0),
            mute: false,
            renewed: 0,
            renew_at: Nanos(0),
            held: None,
            restarted: false,
        }
    }

    /// Whether quotes are to be expected.
    pub(super) fn is_accepted(&self) -> bool {
        self.standing == Standing::Accepted
    }
}

/// One of a link's two connections.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) phase: Phase,
    /// Since when it is in this phase.
    pub(super) since: Nanos,
    pub(super) last_frame: Nanos,
    pub(super) last_data: Nanos,
    pub(super) has_data: bool,
    pub(super) ping_at: Nanos,
    /// When its planned change begins.
    pub(super) change_at: Option<Nanos>,
    /// Since when every topic is answered and data comes.
    pub(super) live_since: Option<Nanos>,
    pub(super) requests: Requests,
    pub(super) topics: Vec<TopicState>,
    /// Topics that are not answered.
    pub(super) asked: usize,
    pub(super) rejects: Rejects,
}

impl Connection {
    pub(super) fn new(topics: usize) -> Self {
        Self {
            phase: Phase::Idle,
            since: Nanos(0),
            last_frame: Nanos(0),
            last_data: Nanos(0),
            has_data: false,
            ping_at: Nanos(0),
            change_at: None,
            live_since: None,
            requests: Requests::default(),
            topics: vec![TopicState::new(); topics],
            asked: topics,
            rejects: Rejects::new(Nanos(0)),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Back to nothing.
    pub(super) fn clear(&mut self) {
        self.phase = Phase::Idle;
        self.has_data = false;
        self.change_at = None;
        self.live_since = None;
        self.requests.clear();
        self.topics.fill(TopicState::new());
        self.asked = self.topics.len();
    }

    /// It was asked for.
    pub(super) fn connect(&mut self, now: Nanos) {
        self.clear();
        self.phase = Phase::Connecting;
        self.since = now;
    }

    /// It is open: every topic waits to be subscribed.
    pub(super) fn open(&mut self, now: Nanos, plan: &StreamPlan) {
        self.phase = Phase::Open;
        self.since = now;
        self.last_frame = now;
        self.last_data = now;
        self.ping_at = now.plus(plan.dialect.heartbeat.every);
        self.rejects = Rejects::new(now);
        self.requests.start(plan);
    }

    /// Notes what became of a topic. True when it was refused and had not been.
    pub(super) fn settle(&mut self, topic: u16, standing: Standing, now: Nanos) -> bool {
        let state = &mut self.topics[usize::from(topic)];
        if state.standing == Standing::Asked {
            self.asked -= 1;
        }
        let refused = matches!(standing, Standing::Refused(_));
        let was_refused = matches!(state.standing, Standing::Refused(_));
        if !refused {
            state.last = state.last.max(now);
        }
        state.standing = standing;
        refused && !was_refused
    }

    /// How many topics are never live here.
    pub(super) fn missing(&self) -> u16 {
        let refused = |topic: &&TopicState| matches!(topic.standing, Standing::Refused(_));
        self.topics.iter().filter(refused).count() as u16
    }
}
