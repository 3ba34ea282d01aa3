//! Leaders and who goes with them (SPEC §5, correlation).
//!
//! A leader's mid is compared with its highest and lowest of five minutes, kept in buckets of one
//! second: those of the last 300 whole seconds and of the running one. Rules of equal instrument,
//! side, leader and parameters form a class; once a minute each class learns which way it goes with
//! its leader, from the one-minute returns of the last hour. A quote of a leader then costs one
//! comparison for each distinct drop, whatever follows it.
//!
//! Only quotes that may be used count, when they are accepted. A return is ⌊10^9·(m₁ − m₀) / m₀⌋ of
//! the last mids of two minutes in a row, at most 100 %; the correlation is exact in these.

use alloc::vec::Vec;

use arrayvec::ArrayVec;

use crate::instrument::InstrumentId;
use crate::limits::{CORRELATIONS_MAX, LEADER_DROPS_MAX, LEADERS_MAX, PPB};
use crate::position::{RegisterError, Side};
use crate::units::{Nanos, Rate};

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const BUCKETS: u64 = 301;
/// Minutes of returns, and the least number of them.
const RETURNS: u64 = 60;
const SAMPLES_MIN: i128 = 30;

/// When the next minute begins.
pub(crate) const fn next_minute(now: Nanos) -> Nanos {
    Nanos((now.0 / MINUTE + 1).saturating_mul(MINUTE))
}

/// What the rules of a class have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Correlation {
    pub(crate) instrument: InstrumentId,
    pub(crate) side: Side,
    pub(crate) leader: InstrumentId,
    pub(crate) drop: Rate,
    pub(crate) rho: Rate,
    pub(crate) default_rho: Option<Rate>,
}

#[derive(Clone, Copy, Debug)]
struct Class {
    of: Correlation,
    /// Index of its leader, and of its drop there.
    leader: usize,
    drop: usize,
    users: u32,
    /// Which way it goes with its leader; nought: it does not.
    sign: i8,
    /// The minute that this was learnt in.
    minute: u64,
}

impl Class {
    /// Whether its leader moves against it.
    fn is_hit(&self, leaders: &[Leader]) -> bool {
        let drop = &leaders[self.leader].drops[self.drop];
        match self.of.side.sign() * i128::from(self.sign) {
            1 => drop.fell,
            -1 => drop.rose,
            _ => false,
        }
    }
}

/// Whether a leader is so far from its extreme.
#[derive(Clone, Copy, Debug)]
struct Drop {
    drop: Rate,
    users: u32,
    fell: bool,
    rose: bool,
}

#[derive(Clone, Debug)]
struct Leader {
    /// Highest and lowest twofold mid of each second, by its number modulo [`BUCKETS`].
    buckets: Vec<(i64, i64)>,
    second: u64,
    high: i64,
    low: i64,
    last: i64,
    drops: ArrayVec<Drop, LEADER_DROPS_MAX>,
}

const EMPTY: (i64, i64) = (i64::MIN, i64::MAX);

impl Leader {
    fn new() -> Self {
        Self {
            buckets: alloc::vec![EMPTY; BUCKETS as usize],
            second: 0,
            high: EMPTY.0,
            low: EMPTY.1,
            last: 0,
            drops: ArrayVec::new(),
        }
    }

    /// Forgets what is older than the window. That can only end a move.
    fn advance(&mut self, now: Nanos) {
        let second = now.0 / SECOND;
        if second <= self.second {
            return;
        }
        for passed in (self.second + 1..=second).rev().take(BUCKETS as usize) {
            self.buckets[(passed % BUCKETS) as usize] = EMPTY;
        }
        self.second = second;
        self.high = self.buckets.iter().map(|bucket| bucket.0).max().unwrap_or(EMPTY.0);
        self.low = self.buckets.iter().map(|bucket| bucket.1).min().unwrap_or(EMPTY.1);
        for at in 0..self.drops.len() {
            let (fell, rose) = self.judged(self.drops[at].drop);
            (self.drops[at].fell, self.drops[at].rose) = (fell, rose);
        }
    }

    fn on_mid(&mut self, now: Nanos, twice_mid: i64) {
        self.advance(now);
        let bucket = &mut self.buckets[(self.second % BUCKETS) as usize];
        *bucket = (bucket.0.max(twice_mid), bucket.1.min(twice_mid));
        self.high = self.high.max(twice_mid);
        self.low = self.low.min(twice_mid);
        self.last = twice_mid;
    }

    /// mid ≤ high·(1 − drop), mid ≥ low·(1 + drop).
    fn judged(&self, drop: Rate) -> (bool, bool) {
        if self.high < self.low {
            return (false, false);
        }
        let (one, drop) = (i128::from(PPB), i128::from(drop.raw()));
        let last = i128::from(self.last) * one;
        let fell = last <= i128::from(self.high) * (one - drop);
        (fell, last >= i128::from(self.low) * (one + drop))
    }
}

/// The last mids and returns of an instrument's minutes.
#[derive(Clone, Copy, Debug)]
struct Minutes {
    /// The minute of `mid`, which may not be over; nought: none yet.
    minute: u64,
    mid: i64,
    /// The minute with a quote before that.
    before: (u64, i64),
    /// By the number of the minute modulo [`RETURNS`].
    returns: [(u32, i32); RETURNS as usize],
}

impl Minutes {
    const NONE: Self =
        Self { minute: 0, mid: 0, before: (0, 0), returns: [(0, 0); RETURNS as usize] };

    /// Closes the last minute when it is over.
    fn roll(&mut self, minute: u64) {
        if self.minute >= minute || self.mid == 0 {
            return;
        }
        let (before, from) = self.before;
        if before + 1 == self.minute && from > 0 {
            let gain = i128::from(self.mid - from) * i128::from(PPB);
            let gain = gain.div_euclid(i128::from(from)).min(i128::from(PPB));
            self.returns[(self.minute % RETURNS) as usize] = (self.minute as u32, gain as i32);
        }
        self.before = (self.minute, self.mid);
        (self.minute, self.mid) = (minute, 0);
    }

    fn on_mid(&mut self, minute: u64, twice_mid: i64) {
        self.roll(minute);
        (self.minute, self.mid) = (minute, twice_mid);
    }

    fn at(&self, minute: u64) -> Option<i128> {
        let (of, gain) = self.returns[(minute % RETURNS) as usize];
        (u64::from(of) == minute && minute > 0).then_some(i128::from(gain))
    }
}

/// Every leader, class and instrument's minutes.
#[derive(Debug)]
pub(crate) struct Leaders {
    leaders: ArrayVec<Leader, LEADERS_MAX>,
    /// Index of the leader that an instrument is, in `leaders`.
    leader_of: Vec<Option<u8>>,
    /// Empty as long as nobody leads.
    minutes: Vec<Minutes>,
    classes: Vec<Class>,
    /// The timer of minutes is set.
    pub(crate) ticking: bool,
}

impl Leaders {
    pub(crate) fn new(instruments: usize) -> Self {
        Self {
            leaders: ArrayVec::new(),
            leader_of: alloc::vec![None; instruments],
            minutes: Vec::new(),
            classes: Vec::new(),
            ticking: false,
        }
    }

    /// An instrument leads from now on. Not on the hot path: the first one allocates.
    pub(crate) fn add(&mut self, id: InstrumentId) -> Result<(), RegisterError> {
        let Some(leader) = self.leader_of.get_mut(usize::from(id.0)) else {
            let value = i128::from(id.0);
            let bound = "an instrument of the engine";
            return Err(RegisterError::Policy { field: "leader", value, bound });
        };
        if leader.is_some() {
            return Ok(());
        }
        if self.leaders.is_full() {
            return Err(RegisterError::Full {
                what: "leaders of correlation rules",
                max: LEADERS_MAX,
            });
        }
        *leader = Some(self.leaders.len() as u8);
        self.leaders.push(Leader::new());
        self.minutes.resize(self.leader_of.len(), Minutes::NONE);
        self.classes.reserve_exact(CORRELATIONS_MAX);
        Ok(())
    }

    /// Whether anybody leads.
    #[inline]
    pub(crate) fn follows(&self) -> bool {
        !self.leaders.is_empty()
    }

    pub(crate) fn has_users(&self) -> bool {
        self.classes.iter().any(|class| class.users > 0)
    }

    fn find(&self, of: &Correlation) -> Option<u16> {
        let found = self.classes.iter().position(|class| class.users > 0 && class.of == *of);
        found.map(|at| at as u16)
    }

    /// One more user of a class, which is opened when it is the first.
    pub(crate) fn open(
        &mut self,
        now: Nanos,
        of: Correlation,
    ) -> Result<u16, (&'static str, usize)> {
        if let Some(class) = self.find(&of) {
            self.classes[usize::from(class)].users += 1;
            return Ok(class);
        }
        let leader = self.leader_of[usize::from(of.leader.0)].expect("its policy was added");
        let leader = usize::from(leader);
        let free = self.classes.iter().position(|class| class.users == 0);
        if free.is_none() && self.classes.len() == CORRELATIONS_MAX {
            let what = "distinct (instrument, side, leader, parameters) of correlation rules";
            return Err((what, CORRELATIONS_MAX));
        }
        self.leaders[leader].advance(now);
        let (fell, rose) = self.leaders[leader].judged(of.drop);
        let fresh = Drop { drop: of.drop, users: 0, fell, rose };
        let drops = &mut self.leaders[leader].drops;
        let same = drops.iter().position(|drop| drop.users > 0 && drop.drop == of.drop);
        let idle = drops.iter().position(|drop| drop.users == 0);
        let drop = match (same, idle) {
            (Some(at), _) => at,
            (None, Some(at)) => {
                drops[at] = fresh;
                at
            }
            (None, None) => {
                if drops.try_push(fresh).is_err() {
                    return Err(("distinct drops of one leader", LEADER_DROPS_MAX));
                }
                drops.len() - 1
            }
        };
        drops[drop].users += 1;
        let (sign, minute) = (self.sign(now, &of), now.0 / MINUTE);
        let class = Class { of, leader, drop, users: 1, sign, minute };
        let at = free.unwrap_or(self.classes.len());
        if at == self.classes.len() {
            self.classes.push(class);
        } else {
            self.classes[at] = class;
        }
        Ok(at as u16)
    }

    /// One user less.
    pub(crate) fn close(&mut self, class: u16) {
        let class = &mut self.classes[usize::from(class)];
        class.users -= 1;
        if class.users == 0 {
            self.leaders[class.leader].drops[class.drop].users -= 1;
        }
    }

    /// A mid that may be used. `wake` is told the classes that are hit since.
    pub(crate) fn on_mid(
        &mut self,
        now: Nanos,
        id: InstrumentId,
        twice_mid: i64,
        mut wake: impl FnMut(u16),
    ) {
        self.minutes[usize::from(id.0)].on_mid(now.0 / MINUTE, twice_mid);
        let Some(of) = self.leader_of[usize::from(id.0)].map(usize::from) else { return };
        let leader = &mut self.leaders[of];
        leader.on_mid(now, twice_mid);
        let mut came = [false; LEADER_DROPS_MAX];
        for (at, came) in came.iter_mut().enumerate().take(leader.drops.len()) {
            let (fell, rose) = leader.judged(leader.drops[at].drop);
            let drop = &mut leader.drops[at];
            *came = drop.users > 0 && (fell && !drop.fell || rose && !drop.rose);
            (drop.fell, drop.rose) = (fell, rose);
        }
        if came == [false; LEADER_DROPS_MAX] {
            return;
        }
        for (at, class) in self.classes.iter().enumerate() {
            let here = class.users > 0 && class.leader == of && came[class.drop];
            if here && class.is_hit(&self.leaders) {
                wake(at as u16);
            }
        }
    }

    /// A minute begins: every class learns how it goes with its leader. `wake` is told those that
    /// are hit.
    pub(crate) fn on_minute(&mut self, now: Nanos, mut wake: impl FnMut(u16)) {
        for at in 0..self.classes.len() as u16 {
            if self.classes[usize::from(at)].users > 0 && self.is_hit(now, at) {
                wake(at);
            }
        }
    }

    /// Whether a class goes with its leader and that has moved against it.
    pub(crate) fn is_hit(&mut self, now: Nanos, class: u16) -> bool {
        let at = usize::from(class);
        let Class { of, leader, minute, .. } = self.classes[at];
        if minute != now.0 / MINUTE {
            self.classes[at].sign = self.sign(now, &of);
            self.classes[at].minute = now.0 / MINUTE;
        }
        self.leaders[leader].advance(now);
        self.classes[at].is_hit(&self.leaders)
    }

    /// Whom a class follows.
    pub(crate) fn leader(&self, class: u16) -> InstrumentId {
        self.classes[usize::from(class)].of.leader
    }

    /// Which way an instrument goes with its leader: −1, 0 or 1.
    fn sign(&mut self, now: Nanos, of: &Correlation) -> i8 {
        let minute = now.0 / MINUTE;
        for id in [of.instrument, of.leader] {
            self.minutes[usize::from(id.0)].roll(minute);
        }
        let [a, b] = [of.instrument, of.leader].map(|id| &self.minutes[usize::from(id.0)]);
        let pairs = (minute.saturating_sub(RETURNS)..minute)
            .filter_map(|minute| Some((a.at(minute)?, b.at(minute)?)));
        let mut sums = Sums::default();
        pairs.for_each(|pair| sums.add(pair));
        if sums.count >= SAMPLES_MIN {
            return sums.sign(of.rho);
        }
        let default = of.default_rho.unwrap_or(Rate::ZERO).raw();
        if default.abs() >= of.rho.raw() { default.signum() as i8 } else { 0 }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    count: i128,
    x: i128,
    y: i128,
    xx: i128,
    yy: i128,
    xy: i128,
}

impl Sums {
    fn add(&mut self, (x, y): (i128, i128)) {
        self.count += 1;
        self.x += x;
        self.y += y;
        self.xx += x * x;
        self.yy += y * y;
        self.xy += x * y;
    }

    /// The sign of Pearson's ρ when |ρ| is at least `rho`: without a root, cov² ≥ rho²·var·var. Of
    /// returns below 2^30 and at most 60 of them, cov and var stay below 2^73 and the squares of
    /// their products with 10^9 below 2^206: they are compared in 256 bits.
    fn sign(&self, rho: Rate) -> i8 {
        let cov = self.count * self.xy - self.x * self.y;
        let [a, b] = [(self.xx, self.x), (self.yy, self.y)]
            .map(|(square, sum)| (self.count * square - sum * sum).unsigned_abs());
        if a == 0 || b == 0 || cov == 0 {
            return 0;
        }
        let rho = u128::from(rho.raw().unsigned_abs());
        let cov_ppb = cov.unsigned_abs() * PPB as u128;
        let reaches = wide(cov_ppb, cov_ppb) >= wide(a * rho, b * rho);
        if reaches { cov.signum() as i8 } else { 0 }
    }
}

/// The product of two numbers as (high, low) 128 bits.
const fn wide(a: u128, b: u128) -> (u128, u128) {
    const LOW: u128 = u64::MAX as u128;
    let (a1, a0, b1, b0) = (a >> 64, a & LOW, b >> 64, b & LOW);
    let (low, mid, other, high) = (a0 * b0, a1 * b0, a0 * b1, a1 * b1);
    let carry = (low >> 64) + (mid & LOW) + (other & LOW);
    (high + (mid >> 64) + (other >> 64) + (carry >> 64), carry << 64 | low & LOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_256_bits() {
        assert_eq!(wide(u128::MAX, u128::MAX), (u128::MAX - 1, 1));
        assert_eq!(wide(1 << 100, 1 << 100), (1 << 72, 0));
        assert_eq!(wide(u128::MAX, 2), (1, u128::MAX - 1));
        assert_eq!(wide(12_345, 67_890), (0, 838_102_050));
    }

    #[test]
    fn a_correlation_at_its_threshold_counts() {
        let of = |pairs: &[(i128, i128)]| {
            let mut sums = Sums::default();
            pairs.iter().for_each(|&pair| sums.add(pair));
            sums
        };
        // ρ of these is 0.6 exactly: cov 24, var 40 and 40 (times n²).
        let sums = of(&[(-2, -2), (-1, 1), (0, 0), (1, -1), (2, 2)]);
        let rate = |ppb| Rate::new(ppb).unwrap();
        assert_eq!(sums.sign(rate(600_000_000)), 1);
        assert_eq!(sums.sign(rate(600_000_001)), 0);
        let sums = of(&[(-2, 2), (-1, -1), (0, 0), (1, 1), (2, -2)]);
        assert_eq!(sums.sign(rate(600_000_000)), -1);
        // What does not move goes with nobody.
        assert_eq!(of(&[(1, 5), (2, 5), (3, 5)]).sign(rate(1)), 0);
    }

    #[test]
    fn the_window_is_five_minutes_and_the_running_second() {
        let mut leader = Leader::new();
        let drop = Rate::from_bps(150);
        leader.on_mid(Nanos::from_secs(1000), 2000);
        leader.on_mid(Nanos::from_secs(1300), 1970);
        assert_eq!(leader.judged(drop), (true, false));
        leader.advance(Nanos::from_secs(1301));
        assert_eq!(leader.judged(drop), (false, false));
        leader.advance(Nanos::from_secs(1601));
        assert_eq!(leader.judged(drop), (false, false));
        assert!(leader.high < leader.low, "it knows nothing any more");
    }
}
