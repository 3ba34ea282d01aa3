//! How patient a link is.

use reap_core::units::Nanos;

/// The times and bounds of a link that are no matter of the venue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkSettings {
    /// Longest time without data; the venue's [`Dialect::silence`](super::Dialect::silence) when
    /// `None`.
    pub silence: Option<Nanos>,
    /// Longest time without a quote of one topic; the venue's
    /// [`Dialect::mute`](super::Dialect::mute) when `None`.
    pub mute: Option<Nanos>,
    /// Longest life of a connection; the venue's [`Dialect::life`](super::Dialect::life) when
    /// `None`. The shorter of both counts.
    pub life: Option<Nanos>,
    /// Longest time for connecting. The transport has deadlines of its own: this one is for an
    /// attempt that is never heard of again.
    pub connect_deadline: Nanos,
    /// Longest time until a request is answered.
    pub answer_deadline: Nanos,
    /// How often a request is sent before it counts as unanswered for good; at least once.
    pub attempts: u32,
    /// Longest time in which a replacement must prove itself.
    pub proof_deadline: Nanos,
    /// First back-off after a lost connection or a failed attempt.
    pub backoff_first: Nanos,
    /// Longest back-off.
    pub backoff_max: Nanos,
    /// A connection that was live for this long ends the back-off's growth.
    pub stable: Nanos,
    /// A planned change begins this long before the venue ends the connection's life, …
    pub change_early: Nanos,
    /// … and by up to this much earlier, at random, so that links do not change together.
    pub change_jitter: Nanos,
    /// Silent topics subscribed anew at once, over one link.
    pub resubscribe_burst: u32,
    /// One more each time this has passed.
    pub resubscribe_every: Nanos,
    /// Longest pause between two attempts for one silent topic; the first is the mute time.
    pub resubscribe_max: Nanos,
    /// Rejections within [`LinkSettings::reject_window`] that trip the breaker in any case.
    pub reject_max: u32,
    /// Rejections that trip it when they are a tenth of the window's messages.
    pub reject_few: u32,
    /// The breaker's window.
    pub reject_window: Nanos,
}

impl Default for LinkSettings {
    fn default() -> Self {
        Self {
            silence: None,
            mute: None,
            life: None,
            connect_deadline: Nanos::from_secs(60),
            answer_deadline: Nanos::from_secs(5),
            attempts: 3,
            proof_deadline: Nanos::from_secs(30),
            backoff_first: Nanos::from_millis(250),
            backoff_max: Nanos::from_secs(30),
            stable: Nanos::from_secs(60),
            change_early: Nanos::from_secs(30 * 60),
            change_jitter: Nanos::from_secs(60 * 60),
            resubscribe_burst: 4,
            resubscribe_every: Nanos::from_secs(10),
            resubscribe_max: Nanos::from_secs(600),
            reject_max: 100,
            reject_few: 10,
            reject_window: Nanos::from_secs(10),
        }
    }
}
