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

/// A link's place in the queue for connects, so that a link which loses its connection all the time
/// takes nothing from the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turn(Option<Nanos>);

/// The connects of one host, shared by all of its links: at most `burst + 1 + span / every` in any
/// span of time.
#[derive(Clone, Debug)]
pub struct ConnectBudget {
    bucket: Bucket,
    every: Nanos,
    banned_until: Nanos,
}

impl ConnectBudget {
    /// A full budget.
    #[must_use]
    pub const fn new(settings: BudgetSettings) -> Self {
        let bucket = Bucket::new(settings.burst, settings.every);
        Self { bucket, every: settings.every, banned_until: Nanos(0) }
    }

    /// Takes a connect, now or not at all.
    ///
    /// # Errors
    /// The time before which it is of no use to ask again.
    pub fn take(&mut self, now: Nanos) -> Result<(), Nanos> {
        if now < self.banned_until {
            return Err(self.banned_until);
        }
        self.bucket.take(now)
    }

    /// Takes a connect, or a place in the queue for one. A turn that is not taken within the time
    /// of one connect is lost: after a stall turns would come all at once.
    ///
    /// # Errors
    /// The time to ask again.
    pub fn take_turn(&mut self, now: Nanos, turn: &mut Turn) -> Result<(), Nanos> {
        let reserved = turn.0.take();
        if now < self.banned_until {
            return Err(self.banned_until);
        }
        if let Some(at) = reserved {
            if now < at {
                turn.0 = reserved;
                return Err(at);
            }
            if now.since(at) < self.every {
                return Ok(());
            }
        }
        let at = self.bucket.reserve(now);
        if at <= now {
            return Ok(());
        }
        turn.0 = Some(at);
        Err(at)
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
        let mut turn = Turn::default();
        assert_eq!(budget.take_turn(at(121), &mut turn), Ok(()));
        budget.ban(at(200), Nanos(u64::MAX));
        assert_eq!(budget.take_turn(at(201), &mut turn), Err(at(200).plus(BAN_MAX)));
        assert_eq!(budget.take(at(201)), Err(at(200).plus(BAN_MAX)));
    }

    #[test]
    fn f26_turns_come_one_after_the_other_and_are_lost_when_missed() {
        let mut budget = ConnectBudget::new(BudgetSettings { burst: 1, every: Nanos(10) });
        let mut turns = [Turn::default(); 4];
        let mut ask = |at: u64, who: usize| budget.take_turn(Nanos(at), &mut turns[who]);
        assert_eq!(ask(100, 0), Ok(()));
        assert_eq!(ask(100, 1), Err(Nanos(110)));
        assert_eq!(ask(100, 2), Err(Nanos(120)));
        // The first comes again and has to wait for the others.
        assert_eq!(ask(105, 0), Err(Nanos(130)));
        assert_eq!(ask(110, 1), Ok(()));
        // Too late: back to the end.
        assert_eq!(ask(130, 2), Err(Nanos(140)));
        assert_eq!(ask(130, 0), Ok(()));
        assert_eq!(ask(149, 2), Ok(()));
    }
}
