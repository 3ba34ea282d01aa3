//! Reap's engine with 1,000 positions of mixed rules.

use reap_core::engine::{Engine as Core, EngineLimits};
use reap_core::event::{Event, GateSettings};
use reap_core::instrument::{
    AccountId, ContractKind, CurrencyId, Instrument, InstrumentId, InstrumentSpec, SourceId,
    VenueId,
};
use reap_core::policy::{Distance, Policy, Rule, Threshold, Tier};
use reap_core::position::{LegSpec, PositionSpec, Side};
use reap_core::tick::{Quote, Stamp, Tick};
use reap_core::units::{Decimal, Nanos, Price, Qty, Rate};

use crate::{MID, Quoted, SYMBOLS};

const NOUGHT: Decimal = Decimal { mantissa: 0, scale: 0 };
/// Times begin here: the first quotes stand before the measured ones.
const STEP: u64 = 1_000;

pub(crate) struct Engine {
    core: Core,
    intents: usize,
}

impl Engine {
    pub(crate) fn new() -> Self {
        let spec = InstrumentSpec {
            venue: VenueId(0),
            currency: CurrencyId(0),
            contract: ContractKind::Linear,
            price_scale: 2,
            qty_scale: 3,
            multiplier: Decimal { mantissa: 1, scale: 0 },
            tick: 1,
            lot: 1,
            min_qty: 1,
            min_notional: NOUGHT,
            taker: Rate::from_bps(5),
            maker: Rate::from_bps(2),
            min_fee: NOUGHT,
            max_quote_age: Nanos::from_secs(3600),
            jump_limit: Rate::from_bps(1000),
            jump_ticks: 5,
            reduce_only: true,
            min_notional_on_reduce: true,
            peer: None,
        };
        let instrument = Instrument::new(spec).expect("a constant specification");
        let gates = GateSettings { liveness: Nanos::from_secs(3600), ..GateSettings::default() };
        let limits = EngineLimits::any(SYMBOLS, 8, 8 * SYMBOLS);
        let mut core = Core::new(limits, &vec![instrument; SYMBOLS], 1, gates);
        let policies =
            policies().map(|rules| core.add_policy(Policy::of(rules)).expect("there is room"));
        for symbol in 0..SYMBOLS {
            let now = Nanos(1 + symbol as u64);
            core.on_event(now, &Event::Tick(tick(symbol, MID, now)));
            let leg = LegSpec {
                account: AccountId(0),
                instrument: InstrumentId(symbol as u16),
                side: if symbol % 2 == 0 { Side::Long } else { Side::Short },
                entry: Price::new(MID).expect("a price"),
                qty: Qty::new(1_000).expect("a quantity"),
                fees_paid: NOUGHT,
                funding: NOUGHT,
                margin: None,
            };
            let policy = policies[symbol % policies.len()];
            let legs = [leg].into_iter().collect();
            let spec = PositionSpec { policy, opened: now, tag: 0, legs };
            core.register(now, &spec).expect("there is room");
        }
        Self { core, intents: 0 }
    }

    pub(crate) fn process(&mut self, events: &[(Nanos, Event)]) {
        for (now, event) in events {
            self.core.on_event(*now, event);
            while self.core.poll_intent().is_some() {
                self.intents += 1;
            }
        }
    }

    pub(crate) const fn intents(&self) -> usize {
        self.intents
    }
}

pub(crate) fn events(quotes: &[Quoted]) -> Vec<(Nanos, Event)> {
    let event = |quoted: &Quoted| {
        let now = Nanos((SYMBOLS as u64 + quoted.number) * STEP);
        (now, Event::Tick(tick(quoted.symbol, quoted.bid, now)))
    };
    quotes.iter().map(event).collect()
}

fn tick(symbol: usize, bid: i64, now: Nanos) -> Tick {
    let quote = Quote::new(bid, bid + 1, 1_000, 1_000).expect("a quote");
    let stamp = Stamp {
        source: SourceId(0),
        received: now,
        update_id: now.0,
        venue_lag_us: 0,
        reset: false,
    };
    Tick::quote(InstrumentId(symbol as u16), stamp, quote)
}

/// Two, three, four and six rules, out of the market's reach.
fn policies() -> [Vec<Rule>; 4] {
    let stop = |bps| Rule::StopLoss { distance: Rate::from_bps(bps), base: None };
    let target = |bps| Rule::TakeProfit {
        threshold: Threshold::Rate { rate: Rate::from_bps(bps), base: None },
    };
    let trail = |bps| Rule::TrailingStop {
        distance: Distance::Rate(Rate::from_bps(bps)),
        activation: None,
        base: None,
    };
    let keep = Rule::TrailingProfit {
        activation: Rate::from_bps(250),
        distance: Rate::from_bps(100),
        floor: Rate::from_bps(50),
        step: Rate::from_bps(1),
        base: None,
    };
    let age = Rule::Deadline {
        max_age: Some(Nanos::from_secs(1_000_000)),
        at: None,
        session_close: None,
        close_before: Nanos(0),
    };
    let tier =
        |bps: i64, share: i64| Tier { at: Rate::from_bps(bps), share: Rate::from_bps(share) };
    let tiers = Rule::Tiers {
        base: None,
        tiers: [tier(200, 5_000), tier(400, 10_000)].into_iter().collect(),
    };
    [
        vec![stop(200), target(300)],
        vec![stop(250), trail(150), age.clone()],
        vec![stop(150), target(400), keep.clone(), age.clone()],
        vec![stop(200), target(300), trail(150), keep, tiers, age],
    ]
}
