//! Leaders and who goes with them as SPEC §5 says it: from every mid of the last minutes, in exact
//! fractions.

use std::cell::RefCell;
use std::collections::BTreeMap;

use reap_core::instrument::InstrumentId;
use reap_core::policy::{Policy, Rule, RuleSpec};
use reap_core::position::Side;
use reap_core::tick::Quote;
use reap_core::units::{Nanos, Rate};

use super::exact::Exact;
use super::gates::Gates;
use super::life::Life;
use super::rng::Rng;
use super::scenario;

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const WINDOW: u64 = 300;

/// One instrument's mids that could be used when they came.
#[derive(Clone, Debug, Default)]
struct Mids {
    /// Second and mid, those of the window.
    recent: Vec<(u64, Exact)>,
    /// The last of each minute.
    minutes: BTreeMap<u64, Exact>,
}

impl Mids {
    /// ⌊10^9·(m₁ − m₀)/m₀⌋ parts per billion over a minute, at most one.
    fn gain(&self, minute: u64) -> Option<Exact> {
        let (from, to) = (self.minutes.get(&(minute - 1))?, self.minutes.get(&minute)?);
        Some((to - from).div_floor(from, 9).min(Exact::int(1)))
    }
}

/// A move against a position; whether exactly as large as the rule asks.
#[derive(Clone, Copy, Debug)]
struct Met {
    equal: bool,
}

/// Whether `value` reaches nought.
fn met(value: &Exact) -> Option<Met> {
    (*value >= Exact::zero()).then(|| Met { equal: value.is_zero() })
}

/// Every instrument's mids.
#[derive(Clone, Debug)]
pub(crate) struct Followed {
    mids: Vec<Mids>,
    known: RefCell<Vec<(Asked, Option<Met>)>>,
}

/// In which minute, who goes with whom, by how much or what is assumed, and which way.
type Asked = (u64, [InstrumentId; 2], (Rate, Option<Rate>), bool);

impl Followed {
    pub(crate) fn new(instruments: usize) -> Self {
        Self { mids: vec![Mids::default(); instruments], known: RefCell::default() }
    }

    pub(crate) fn on_accepted(&mut self, now: Nanos, id: InstrumentId, gates: &Gates) {
        let Some(quote) = gates.quote(id).filter(|_| gates.usable(id, now)) else { return };
        let mid = &Exact::int(quote.bid.raw() + quote.ask.raw()) * &Exact::new(5, 1);
        let mids = &mut self.mids[usize::from(id.0)];
        let (second, minute) = (now.0 / SECOND, now.0 / MINUTE);
        mids.recent.retain(|&(of, _)| of + WINDOW >= second);
        mids.recent.push((second, mid.clone()));
        mids.minutes.retain(|&of, _| of + 70 > minute);
        mids.minutes.insert(minute, mid);
    }

    /// Whether a leader is so far below its highest, or above its lowest, of five minutes.
    fn moved(&self, now: Nanos, leader: InstrumentId, drop: Rate, falls: bool) -> Option<Met> {
        let recent = &self.mids[usize::from(leader.0)].recent;
        let since = (now.0 / SECOND).saturating_sub(WINDOW);
        let seen = recent.iter().filter(|(second, _)| *second >= since).map(|(_, mid)| mid);
        let last = seen.clone().next_back()?;
        let (one, drop) = (Exact::int(1), Exact::ppb(drop.raw()));
        if falls {
            met(&(&(seen.max()? * &(&one - &drop)) - last))
        } else {
            met(&(last - &(seen.min()? * &(&one + &drop))))
        }
    }

    /// Whether two go together (`with`), or against each other, by at least `rho`.
    fn goes(
        &self,
        now: Nanos,
        [a, b]: [InstrumentId; 2],
        (rho, assumed): (Rate, Option<Rate>),
        with: bool,
    ) -> Option<Met> {
        // Every minute has one answer: it is remembered, as it is asked for with each event.
        let minute = now.0 / MINUTE;
        let asked = (minute, [a, b], (rho, assumed), with);
        let known = self.known.borrow().iter().find(|(of, _)| *of == asked).map(|known| known.1);
        known.unwrap_or_else(|| {
            let met = self.together(minute, [a, b], (rho, assumed), with);
            let mut known = self.known.borrow_mut();
            known.retain(|(of, _)| of.0 == minute);
            known.push((asked, met));
            met
        })
    }

    fn together(
        &self,
        minute: u64,
        ids: [InstrumentId; 2],
        (rho, assumed): (Rate, Option<Rate>),
        with: bool,
    ) -> Option<Met> {
        let [a, b] = ids.map(|id| &self.mids[usize::from(id.0)]);
        let pairs = (minute - 60..minute).filter_map(|at| Some((a.gain(at)?, b.gain(at)?)));
        let pairs: Vec<(Exact, Exact)> = pairs.collect();
        let rho = Exact::ppb(rho.raw());
        if pairs.len() < 30 {
            let assumed = Exact::ppb(assumed?.raw());
            let towards = if with { assumed } else { -&assumed };
            return (towards >= rho).then_some(Met { equal: false });
        }
        let count = Exact::int(pairs.len() as i64);
        let sum = |of: &dyn Fn(&(Exact, Exact)) -> Exact| {
            pairs.iter().fold(Exact::zero(), |sum, pair| &sum + &of(pair))
        };
        let (x, y) = (sum(&|pair| pair.0.clone()), sum(&|pair| pair.1.clone()));
        let moment = |product: Exact, by: &Exact| &(&count * &product) - by;
        let cov = moment(sum(&|(x, y)| x * y), &(&x * &y));
        let var_x = moment(sum(&|(x, _)| x * x), &(&x * &x));
        let var_y = moment(sum(&|(_, y)| y * y), &(&y * &y));
        let cov = if with { cov } else { -&cov };
        if var_x.is_zero() || var_y.is_zero() || cov <= Exact::zero() {
            return None;
        }
        let bound = &(&rho * &rho) * &(&var_x * &var_y);
        met(&(&(&cov * &cov) - &bound))
    }
}

impl Life {
    /// What the leaders say at this moment: of each, whether by equality.
    pub(crate) fn see_leaders(&mut self, now: Nanos, followed: &Followed, gates: &Gates) {
        let leg = &self.legs[0].spec;
        for (RuleSpec { rule, .. }, state) in self.policy.rules.iter().zip(&mut self.rules) {
            let Rule::Correlation { leaders, drop, rho, default_rho } = rule else { continue };
            let hit = |leader: InstrumentId| {
                if !gates.usable(leader, now) {
                    return None;
                }
                [true, false].into_iter().find_map(|with| {
                    let falls = with == (leg.side == Side::Long);
                    let moved = followed.moved(now, leader, *drop, falls)?;
                    let ids = [leg.instrument, leader];
                    let goes = followed.goes(now, ids, (*rho, *default_rho), with)?;
                    Some(moved.equal || goes.equal)
                })
            };
            state.led = leaders.iter().map(|&leader| hit(leader)).collect();
        }
    }
}

/// A rule that follows one or two of so many instruments.
pub(crate) fn rule(rng: &mut Rng, instruments: usize) -> Rule {
    let mut any = || InstrumentId(rng.within(0, instruments as i64 - 1) as u16);
    let mut leaders = vec![any(), any()];
    leaders.dedup();
    let rate = |ppb| Rate::new(ppb).expect("a small rate");
    Rule::Correlation {
        leaders: leaders.into_iter().collect(),
        drop: rate(rng.pick(&[2_000_000, 5_000_000, 10_000_000, 25_000_000, 50_000_000])),
        rho: rate(rng.pick(&[50_000_000, 100_000_000, 250_000_000, 700_000_000])),
        default_rho: rng.pick(&[None, None, Some(750_000_000), Some(-800_000_000)]).map(rate),
    }
}

/// The generator's memory of an instrument that leads: twofold mids of the window, as they were sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent(Vec<(u64, i64)>);

impl Sent {
    pub(crate) fn note(&mut self, now: Nanos, quote: Quote) {
        let second = now.0 / SECOND;
        self.0.retain(|&(of, _)| of + WINDOW >= second);
        self.0.push((second, quote.bid.raw() + quote.ask.raw()));
    }

    /// A twofold mid that meets one of these rules exactly, or a round one, from which they can be met.
    pub(crate) fn aim(&self, rng: &mut Rng, now: Nanos, drop: Rate) -> Option<i64> {
        const ROUND: i64 = 1000;
        let recent = self.0.iter().filter(|(of, _)| of + WINDOW >= now.0 / SECOND);
        let mids = recent.map(|&(_, mid)| mid);
        let (high, low) = (mids.clone().max()?, mids.min()?);
        let met = |from: i64, sign: i64| {
            let product = i128::from(from) * i128::from(1_000_000_000 + sign * drop.raw());
            (product % 1_000_000_000 == 0).then_some((product / 1_000_000_000) as i64)
        };
        let fallen = rng.one_in(2);
        let exactly = if fallen { met(high, -1) } else { met(low, 1) };
        exactly.or(Some(if fallen { high / ROUND + 1 } else { (low - 1) / ROUND } * ROUND))
    }
}

/// The drops at which a policy follows `leader`.
pub(crate) fn drops_of(policy: &Policy, leader: InstrumentId) -> impl Iterator<Item = Rate> {
    policy.rules.iter().filter_map(move |said| match &said.rule {
        Rule::Correlation { leaders, drop, .. } if leaders.contains(&leader) => Some(*drop),
        _ => None,
    })
}

/// `correlation BTC,ETH 1.5% 0.7 [0.75]`
pub(crate) fn said(words: &[&str], id: impl Fn(&str) -> InstrumentId) -> Rule {
    let number = |text: &str| {
        let ppb = match text.strip_prefix('-') {
            Some(text) => -scenario::decimal(text).at_scale(9).expect("parts per billion"),
            None => scenario::decimal(text).at_scale(9).expect("parts per billion"),
        };
        Rate::new(ppb as i64).expect("at most one")
    };
    Rule::Correlation {
        leaders: words[1].split(',').map(id).collect(),
        drop: scenario::rate(words[2]),
        rho: number(words[3]),
        default_rho: words.get(4).map(|word| number(word)),
    }
}
