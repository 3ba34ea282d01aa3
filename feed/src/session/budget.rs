//! How often a host may be connected to, over all links: venues ban addresses that storm them.

use reap_core::units::Nanos;

use super::bucket::Bucket;

/// Longest ban that is believed: what a venue or a proxy says is input like any other.
const BAN_MAX: Nanos = Nanos::from_secs(3 * 24 * 3600);

/// The bounds of a [`ConnectBudget`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetSettings {
    /// Connects allowed at once; taken as one when nought.
    pub burst: u32,
    /// One more each time this has passed.
    pub every: Nanos,
}

impl Default for BudgetSettings {
    /// Ten at once, then one each two seconds: 160 in five minutes, about half of what the
    /// strictest venue allows an address (Binance: 300; Bybit: 500).
    fn default() -> Self {
        Self { burst: 10, every: Nanos::from_secs(2) }
    }
}

/// The connects of one host, shared by all of its links.
#[derive(Clone, Debug)]
pub struct ConnectBudget {
    bucket: Bucket,
    banned_until: Nanos,
}

impl ConnectBudget {
    /// A full budget.
    #[must_use]
    pub const fn new(settings: BudgetSettings) -> Self {
        Self { bucket: Bucket::new(settings.burst, settings.every), banned_until: Nanos(0) }
    }

    /// Takes a connect.
    ///
    /// # Errors
    /// The time before which it is of no use to ask again.
    pub fn take(&mut self, now: Nanos) -> Result<(), Nanos> {
        if now < self.banned_until {
            return Err(self.banned_until);
        }
        self.bucket.take(now)
    }

    /// The venue told this address to stay away (`Retry-After`, "banned until"): no link connects
    /// before `until`. An earlier ban that ends later stands; three days are the longest.
    pub fn ban(&mut self, now: Nanos, until: Nanos) {
        self.banned_until = self.banned_until.max(until.min(now.plus(BAN_MAX)));
    }

    /// The end of a ban that stands.
    #[must_use]
    pub fn banned_until(&self, now: Nanos) -> Option<Nanos> {
        (now < self.banned_until).then_some(self.banned_until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f26_a_ban_is_honoured_by_all_and_ends() {
        let mut budget = ConnectBudget::new(BudgetSettings::default());
        let at = Nanos::from_secs;
        budget.ban(at(0), at(120));
        budget.ban(at(0), at(60));
        assert_eq!(budget.take(at(119)), Err(at(120)));
        assert_eq!(budget.banned_until(at(119)), Some(at(120)));
        assert_eq!(budget.take(at(120)), Ok(()));
        assert_eq!(budget.banned_until(at(120)), None);
        budget.ban(at(200), Nanos(u64::MAX));
        assert_eq!(budget.take(at(201)), Err(at(200).plus(BAN_MAX)));
    }
}
