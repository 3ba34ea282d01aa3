//! What a link counts.

use super::LinkReason;

/// Everything since the link was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounters {
    /// Connections asked for.
    pub connects: u64,
    /// Attempts that failed.
    pub connects_failed: u64,
    /// Times that a connect waited for the host's budget or ban.
    pub connects_put_off: u64,
    /// Connections that ended, by reason: see [`LinkCounters::ended`].
    pub(super) ended: [u64; LinkReason::ALL.len()],
    /// Replacements that took over.
    pub replaced: u64,
    /// Requests sent, repeated ones included.
    pub requests: u64,
    /// Requests sent again because no answer came.
    pub requests_repeated: u64,
    /// Topics refused by the venue, or never answered.
    pub topics_refused: u64,
    /// Answers that belong to no request of ours.
    pub answers_unknown: u64,
    /// Data messages.
    pub data: u64,
    /// Data messages that the codec rejected, whatever the reason.
    pub rejected: u64,
    /// Times that rejections tripped the breaker.
    pub breaker_trips: u64,
    /// Topics that fell silent while the connection lived.
    pub mutes: u64,
    /// Subscriptions made anew for a silent topic.
    pub resubscribed: u64,
    /// Silent topics that came back.
    pub recovered: u64,
    /// Quotes of a replacement that were given late, when it took over.
    pub replayed: u64,
    /// Calls for a slot in which there is no such connection.
    pub strays: u64,
}

impl LinkCounters {
    /// Connections that ended for this reason.
    #[must_use]
    pub const fn ended(&self, reason: LinkReason) -> u64 {
        self.ended[reason as usize]
    }

    /// Reasons that occurred, with their numbers.
    pub fn ends(&self) -> impl Iterator<Item = (LinkReason, u64)> {
        LinkReason::ALL.into_iter().zip(self.ended).filter(|(_, count)| *count > 0)
    }
}
