//! barter's engine with one position of each instrument.

use barter::EngineEvent;
use barter::engine::clock::HistoricalClock;
use barter::engine::execution_tx::MultiExchangeTxMap;
use barter::engine::state::EngineState;
use barter::engine::state::global::DefaultGlobalData;
use barter::engine::state::instrument::data::DefaultInstrumentMarketData;
use barter::engine::state::instrument::filter::InstrumentFilter;
use barter::engine::state::trading::TradingState;
use barter::engine::{Engine as Core, Processor};
use barter::execution::AccountStreamEvent;
use barter::execution::request::ExecutionRequest;
use barter::risk::DefaultRiskManager;
use barter::strategy::algo::AlgoStrategy;
use barter::strategy::close_positions::ClosePositionsStrategy;
use barter::strategy::on_disconnect::OnDisconnectStrategy;
use barter::strategy::on_trading_disabled::OnTradingDisabled;
use barter_data::books::Level;
use barter_data::event::{DataKind, MarketEvent};
use barter_data::streams::consumer::MarketStreamEvent;
use barter_data::subscription::book::OrderBookL1;
use barter_execution::order::id::{ClientOrderId, OrderId, StrategyId};
use barter_execution::order::request::{OrderRequestCancel, OrderRequestOpen, RequestOpen};
use barter_execution::order::{OrderKey, OrderKind, TimeInForce};
use barter_execution::trade::{AssetFees, Trade, TradeId};
use barter_execution::{AccountEvent, AccountEventKind};
use barter_instrument::asset::AssetIndex;
use barter_instrument::exchange::{ExchangeId, ExchangeIndex};
use barter_instrument::index::IndexedInstruments;
use barter_instrument::instrument::{Instrument, InstrumentIndex};
use barter_instrument::{Side, Underlying};
use barter_integration::channel::{UnboundedRx, UnboundedTx, mpsc_unbounded};
use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;

use crate::{MID, Quoted, SYMBOLS};

type State = EngineState<DefaultGlobalData, DefaultInstrumentMarketData>;
type Risk = DefaultRiskManager<State>;
type Transmitters = MultiExchangeTxMap<UnboundedTx<ExecutionRequest>>;
type Inner = Core<HistoricalClock, State, Transmitters, StopAndTarget, Risk>;

pub(crate) struct Engine {
    core: Inner,
    /// What it would send; it must live, or sending fails.
    requests: UnboundedRx<ExecutionRequest>,
}

impl Engine {
    /// An engine with a position of each symbol; `strategic` lets its strategy look at every event.
    pub(crate) fn new(strategic: bool) -> Self {
        let (transmitter, requests) = mpsc_unbounded();
        let mut instruments = IndexedInstruments::builder();
        for symbol in 0..SYMBOLS {
            let base = format!("coin{symbol}");
            instruments = instruments.add_instrument(Instrument::spot(
                ExchangeId::BinanceSpot,
                format!("binance_spot_{base}_usdt"),
                format!("COIN{symbol}USDT"),
                Underlying::new(base, "usdt".to_owned()),
                None,
            ));
        }
        let instruments = instruments.build();
        let state = EngineState::builder(&instruments, DefaultGlobalData, |_| {
            DefaultInstrumentMarketData::default()
        })
        .time_engine_start(time(0))
        .trading_state(TradingState::Disabled)
        .build();
        let transmitters =
            MultiExchangeTxMap::from_iter([(ExchangeId::BinanceSpot, Some(transmitter))]);
        let clock = HistoricalClock::new(time(0));
        let strategy = StopAndTarget { id: StrategyId::new("stop-and-target") };
        let mut core = Core::new(clock, state, transmitters, strategy, Risk::default());
        for symbol in 0..SYMBOLS {
            core.process(opened(symbol));
        }
        if strategic {
            core.process(EngineEvent::TradingStateUpdate(TradingState::Enabled));
        }
        Self { core, requests }
    }

    pub(crate) fn process(&mut self, events: Vec<EngineEvent<DataKind>>) {
        for event in events {
            let _ = std::hint::black_box(self.core.process(event));
        }
    }

    /// Requests that it sent.
    pub(crate) fn orders(&mut self) -> usize {
        std::iter::from_fn(|| self.requests.rx.try_recv().ok()).count()
    }
}

pub(crate) fn events(quotes: &[Quoted]) -> Vec<EngineEvent<DataKind>> {
    quotes.iter().map(event).collect()
}

fn event(quoted: &Quoted) -> EngineEvent<DataKind> {
    let at = time(SYMBOLS as u64 + quoted.number);
    let level = |price: i64| Some(Level { price: Decimal::new(price, 2), amount: Decimal::ONE });
    EngineEvent::Market(MarketStreamEvent::Item(MarketEvent {
        time_exchange: at,
        time_received: at,
        exchange: ExchangeId::BinanceSpot,
        instrument: InstrumentIndex(quoted.symbol),
        kind: DataKind::OrderBookL1(OrderBookL1 {
            last_update_time: at,
            best_bid: level(quoted.bid),
            best_ask: level(quoted.bid + 1),
        }),
    }))
}

/// A fill that opens the position of a symbol.
fn opened(symbol: usize) -> EngineEvent<DataKind> {
    EngineEvent::Account(AccountStreamEvent::Item(AccountEvent {
        exchange: ExchangeIndex(0),
        kind: AccountEventKind::Trade(Trade {
            id: TradeId::new(symbol.to_string()),
            order_id: OrderId::new(symbol.to_string()),
            instrument: InstrumentIndex(symbol),
            strategy: StrategyId::new("stop-and-target"),
            time_exchange: time(1 + symbol as u64),
            side: if symbol % 2 == 0 { Side::Buy } else { Side::Sell },
            price: Decimal::new(MID, 2),
            quantity: Decimal::ONE,
            fees: AssetFees::quote_fees(Decimal::ZERO),
        }),
    }))
}

fn time(step: u64) -> DateTime<Utc> {
    DateTime::<Utc>::UNIX_EPOCH + TimeDelta::microseconds(step as i64)
}

/// Closes a position whose price is 2 % against it or 3 % in its favour.
struct StopAndTarget {
    id: StrategyId,
}

impl AlgoStrategy for StopAndTarget {
    type State = State;

    fn generate_algo_orders(
        &self,
        state: &Self::State,
    ) -> (
        impl IntoIterator<Item = OrderRequestCancel<ExchangeIndex, InstrumentIndex>>,
        impl IntoIterator<Item = OrderRequestOpen<ExchangeIndex, InstrumentIndex>>,
    ) {
        let stop = Decimal::new(2, 2);
        let target = Decimal::new(3, 2);
        let closes = state.instruments.instruments(&InstrumentFilter::None).filter_map(move |of| {
            let position = of.position.current.as_ref()?;
            let (side, price) = match position.side {
                Side::Buy => (Side::Sell, of.data.l1.best_bid?.price),
                Side::Sell => (Side::Buy, of.data.l1.best_ask?.price),
            };
            let gain = match position.side {
                Side::Buy => price - position.price_entry_average,
                Side::Sell => position.price_entry_average - price,
            };
            let share = gain / position.price_entry_average;
            if share > -stop && share < target {
                return None;
            }
            Some(OrderRequestOpen {
                key: OrderKey {
                    exchange: of.instrument.exchange,
                    instrument: of.key,
                    strategy: self.id.clone(),
                    cid: ClientOrderId::new(of.key.index().to_string()),
                },
                state: RequestOpen {
                    side,
                    price,
                    quantity: position.quantity_abs,
                    kind: OrderKind::Market,
                    time_in_force: TimeInForce::ImmediateOrCancel,
                },
            })
        });
        (std::iter::empty(), closes)
    }
}

impl ClosePositionsStrategy for StopAndTarget {
    type State = State;

    fn close_positions_requests<'a>(
        &'a self,
        _: &'a Self::State,
        _: &'a InstrumentFilter<ExchangeIndex, AssetIndex, InstrumentIndex>,
    ) -> (
        impl IntoIterator<Item = OrderRequestCancel<ExchangeIndex, InstrumentIndex>> + 'a,
        impl IntoIterator<Item = OrderRequestOpen<ExchangeIndex, InstrumentIndex>> + 'a,
    )
    where
        ExchangeIndex: 'a,
        AssetIndex: 'a,
        InstrumentIndex: 'a,
    {
        (std::iter::empty(), std::iter::empty())
    }
}

impl OnDisconnectStrategy<HistoricalClock, State, Transmitters, Risk> for StopAndTarget {
    type OnDisconnect = ();

    fn on_disconnect(_: &mut Inner, _: ExchangeId) {}
}

impl OnTradingDisabled<HistoricalClock, State, Transmitters, Risk> for StopAndTarget {
    type OnTradingDisabled = ();

    fn on_trading_disabled(_: &mut Inner) {}
}
