//! Engine and executor with tasks, and a venue that does what a case says.

use reap_core::engine::{Engine, EngineLimits};
use reap_core::entry::{EntryIntent, TaskId};
use reap_core::event::{Event, GateSettings};
use reap_core::executor::{Executor, ExecutorLimits};
use reap_core::instrument::{
    AccountId, ContractKind, CurrencyId, Instrument, InstrumentId, InstrumentSpec, SourceId,
    VenueId,
};
use reap_core::note::{EngineNote, TaskNote};
use reap_core::order::{Order, OrderChange, OrderEvent};
use reap_core::policy::{Policy, PolicyId, Rule, Threshold};
use reap_core::portfolio::PortfolioSettings;
use reap_core::position::{LegSpec, PositionId, PositionSpec, Side};
use reap_core::pricing::{Quotes, Top};
use reap_core::task::{TaskLeg, TaskSpec, TaskState, Unreachable};
use reap_core::tick::{Quote, Stamp, Tick};
use reap_core::units::{Decimal, Nanos, Price, Qty, Rate};

pub(crate) const START: Nanos = Nanos(1_700_000_000_000_000_000);

/// Prices to a cent, lots of a thousandth, fees of 5 bp.
pub(crate) fn instrument(tick: i64, lot: i64) -> InstrumentSpec {
    InstrumentSpec {
        venue: VenueId(0),
        currency: CurrencyId(0),
        contract: ContractKind::Linear,
        price_scale: 2,
        qty_scale: 3,
        multiplier: Decimal { mantissa: 1, scale: 0 },
        tick,
        lot,
        min_qty: 1,
        min_notional: Decimal { mantissa: 5, scale: 0 },
        taker: Rate::from_bps(5),
        maker: Rate::from_bps(2),
        min_fee: Decimal { mantissa: 0, scale: 0 },
        max_quote_age: Nanos::from_secs(60),
        jump_limit: Rate::from_bps(9_000),
        jump_ticks: 5,
        reduce_only: false,
        min_notional_on_reduce: true,
        peer: None,
    }
}

pub(crate) fn task(size: i128) -> TaskSpec {
    let leg = |at| TaskLeg { account: AccountId(0), instrument: InstrumentId(at) };
    TaskSpec {
        policy: PolicyId(0),
        tag: 0,
        spot: leg(0),
        futures: leg(1),
        size: Decimal { mantissa: size, scale: 0 },
        max_cost: Rate::from_bps(50),
        cooldown: Nanos::from_secs(300),
        losing_max: 3,
        cycles_max: 0,
        unreachable: Unreachable::Warn,
        liquidation: None,
    }
}

pub(crate) fn basis(bps: i64) -> Policy {
    let threshold = Threshold::Rate { rate: Rate::from_bps(bps), base: None };
    Policy::of([Rule::Basis { threshold }])
}

pub(crate) struct Desk {
    pub(crate) engine: Engine,
    pub(crate) executor: Executor,
    pub(crate) now: Nanos,
    pub(crate) ids: u64,
    pub(crate) trades: u64,
    pub(crate) sent: Vec<Order>,
    pub(crate) entries: Vec<EntryIntent>,
    pub(crate) notes: Vec<TaskNote>,
}

pub(crate) struct Table<'e>(pub(crate) &'e Engine);

impl Quotes for Table<'_> {
    fn top(&self, instrument: InstrumentId) -> Option<Top> {
        self.0.quote(instrument).map(|(quote, received)| Top { quote, received })
    }
}

impl Desk {
    pub(crate) fn new(
        instruments: [InstrumentSpec; 2],
        policy: Policy,
        tasks: &[TaskSpec],
    ) -> Self {
        Self::beside(None, instruments, policy, tasks)
    }

    pub(crate) fn beside(
        portfolio: Option<PortfolioSettings>,
        instruments: [InstrumentSpec; 2],
        policy: Policy,
        tasks: &[TaskSpec],
    ) -> Self {
        let instruments = instruments.map(|spec| Instrument::new(spec).unwrap());
        let limits = EngineLimits::any(8, 4, 64);
        let mut engine = Engine::new(limits, &instruments, 1, GateSettings::default());
        engine.add_policy(policy).unwrap();
        if let Some(portfolio) = portfolio {
            engine.set_portfolio(portfolio).unwrap();
        }
        for task in tasks {
            engine.add_task(task.clone()).unwrap();
        }
        let limits = ExecutorLimits { positions: 8, orders: 16 };
        let executor = Executor::new(limits, &instruments, 1);
        let (sent, entries, notes) = (Vec::new(), Vec::new(), Vec::new());
        Self { engine, executor, now: START, ids: 0, trades: 0, sent, entries, notes }
    }

    /// A position of somebody else, 1,000 lots under the tasks' policy.
    pub(crate) fn hold(&mut self, instrument: InstrumentId, side: Side, entry: i64) -> PositionId {
        let leg = LegSpec {
            account: AccountId(1),
            instrument,
            side,
            entry: Price::new(entry).unwrap(),
            qty: Qty::new(1_000).unwrap(),
            fees_paid: amount(0),
            funding: amount(0),
            margin: None,
        };
        let legs = [leg].into_iter().collect();
        let spec = PositionSpec { policy: PolicyId(0), opened: self.now, tag: 0, legs };
        let id = self.engine.register(self.now, &spec).unwrap();
        self.executor.register(id, &spec, &Policy::of([]).exit).unwrap();
        id
    }

    pub(crate) fn pump(&mut self) {
        loop {
            while let Some(order) = self.executor.poll_order() {
                self.sent.push(order);
            }
            while let Some(note) = self.engine.poll_note() {
                if let EngineNote::Task { what, .. } = note {
                    self.notes.push(what);
                }
            }
            if let Some(entered) = self.engine.poll_entered() {
                let exit = Policy::of([]).exit;
                self.executor.register(entered.id, &entered.spec, &exit).unwrap();
            } else if let Some(intent) = self.engine.poll_intent() {
                self.executor.on_intent(self.now, &intent, &Table(&self.engine));
            } else if let Some(entry) = self.engine.poll_entry() {
                self.entries.push(entry);
                self.executor.on_entry(self.now, &entry, &Table(&self.engine));
            } else if self.executor.poll_ask().is_some() || self.executor.poll_note().is_some() {
            } else if let Some(report) = self.executor.poll_report() {
                self.engine.on_event(self.now, &Event::Report(report));
            } else {
                return;
            }
        }
    }

    pub(crate) fn event(&mut self, event: &Event) {
        self.engine.on_event(self.now, event);
        self.pump();
    }

    pub(crate) fn quote(&mut self, at: u16, bid: i64, ask: i64) {
        self.quote_of(at, bid, ask, 100_000);
    }

    pub(crate) fn quote_of(&mut self, at: u16, bid: i64, ask: i64, qty: i64) {
        self.ids += 1;
        let stamp = Stamp {
            source: SourceId(0),
            received: self.now,
            update_id: self.ids,
            venue_lag_us: 0,
            reset: false,
        };
        let quote = Quote::new(bid, ask, qty, qty).unwrap();
        self.event(&Event::Tick(Tick::quote(InstrumentId(at), stamp, quote)));
    }

    pub(crate) fn wait(&mut self, span: Nanos) {
        self.now = self.now.plus(span);
        self.executor.on_timer(self.now, &Table(&self.engine));
        self.pump();
        self.event(&Event::Timer);
    }

    pub(crate) fn say(&mut self, order: &Order, what: OrderChange) {
        let event = OrderEvent { id: order.id, what };
        self.executor.on_order_event(self.now, &event, &Table(&self.engine));
        self.pump();
    }

    /// Fills so much of an order, with its fee; the rest expires.
    pub(crate) fn fill(&mut self, order: &Order, price: i64, qty: i64) {
        if qty > 0 {
            self.trades += 1;
            let (trade_id, fee) = (self.trades, i128::from(price * qty) * 500_000);
            let (price, qty) = (Price::new(price).unwrap(), Qty::new(qty).unwrap());
            self.say(order, OrderChange::Filled { trade_id, price, qty, fee });
        }
        if qty < order.qty.raw() {
            self.say(order, OrderChange::Expired);
        }
    }

    pub(crate) fn take(&mut self) -> Vec<Order> {
        std::mem::take(&mut self.sent)
    }

    pub(crate) fn state(&self, task: u16) -> TaskState {
        self.engine.task(TaskId(task)).unwrap().state
    }
}

pub(crate) fn amount(value: i64) -> Decimal {
    Decimal { mantissa: i128::from(value), scale: 0 }
}
