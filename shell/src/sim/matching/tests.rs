use reap_core::instrument::{ContractKind, CurrencyId, InstrumentSpec, VenueId};
use reap_core::position::PositionId;
use reap_core::units::{Decimal, Rate};

use super::*;
use crate::sim::Random;

const BTC: InstrumentId = InstrumentId(3);
const MAIN: AccountId = AccountId(0);
const LATENCY: Nanos = Nanos(21);

fn instrument() -> Instrument {
    Instrument::new(InstrumentSpec {
        venue: VenueId(0),
        currency: CurrencyId(0),
        contract: ContractKind::Linear,
        price_scale: 1,
        qty_scale: 3,
        multiplier: Decimal { mantissa: 1, scale: 0 },
        tick: 5,
        lot: 2,
        min_qty: 4,
        min_notional: Decimal { mantissa: 5, scale: 1 },
        taker: Rate::from_bps(5),
        maker: Rate::from_bps(2),
        min_fee: Decimal { mantissa: 0, scale: 0 },
        max_quote_age: Nanos::from_secs(60),
        jump_limit: Rate::from_bps(1_000),
        jump_ticks: 5,
        reduce_only: true,
        min_notional_on_reduce: false,
        peer: None,
    })
    .unwrap()
}

fn venue(spot: bool) -> Matching {
    let mut venue = Matching::new(LATENCY);
    venue.list(BTC, instrument(), spot);
    venue
}

fn quote(bid: i64, ask: i64, bid_qty: i64, ask_qty: i64) -> Quote {
    Quote::new(bid, ask, bid_qty, ask_qty).unwrap()
}

fn order(attempt: u16, side: OrderSide, qty: i64, limit: Option<i64>) -> Order {
    Order {
        id: ClientOrderId { epoch: 1, position: PositionId(1), leg: 0, plan: 1, attempt },
        account: MAIN,
        instrument: BTC,
        side,
        qty: Qty::new(qty).unwrap(),
        limit: limit.map(|limit| Price::new(limit).unwrap()),
        reduce_only: false,
    }
}

fn filled(trade_id: u64, price: i64, qty: i64) -> OrderChange {
    OrderChange::Filled {
        trade_id,
        price: Price::new(price).unwrap(),
        qty: Qty::new(qty).unwrap(),
        fee: i128::from(price * qty) * 500_000,
    }
}

/// Everything that the sender hears, with the time at which it hears it.
fn drain(venue: &mut Matching) -> Vec<(u64, OrderChange)> {
    let mut heard = Vec::new();
    while let Some(due) = venue.next_due() {
        while let Some(event) = venue.poll_event(due) {
            heard.push((due.0, event.what));
        }
    }
    heard
}

use OrderChange::{Acked, Expired, Rejected};

#[test]
fn an_order_meets_the_book_of_its_arrival() {
    let mut venue = venue(false);
    venue.on_quote(Nanos(0), BTC, quote(1000, 1005, 50, 50));
    venue.on_order(Nanos(100), order(1, OrderSide::Sell, 20, Some(1000)));
    assert_eq!(venue.next_due(), Some(Nanos(110)));
    venue.on_quote(Nanos(109), BTC, quote(1010, 1015, 6, 50));
    venue.on_quote(Nanos(111), BTC, quote(990, 995, 50, 50));
    let heard = drain(&mut venue);
    assert_eq!(heard, [(121, Acked), (121, filled(1, 1010, 6)), (121, Expired)]);
    assert_eq!(venue.position(MAIN, BTC), -6);
}

#[test]
fn an_order_that_arrives_with_a_quote_meets_the_new_one() {
    let mut venue = venue(false);
    venue.on_quote(Nanos(0), BTC, quote(1000, 1005, 50, 50));
    venue.on_order(Nanos(100), order(1, OrderSide::Buy, 20, None));
    venue.on_quote(Nanos(110), BTC, quote(1000, 1020, 50, 50));
    assert_eq!(drain(&mut venue), [(121, Acked), (121, filled(1, 1020, 20))]);
}

#[test]
fn a_limit_is_a_limit_and_a_market_order_has_none() {
    for (side, limit, fills) in [
        (OrderSide::Sell, Some(1000), true),
        (OrderSide::Sell, Some(1005), false),
        (OrderSide::Sell, None, true),
        (OrderSide::Buy, Some(1005), true),
        (OrderSide::Buy, Some(1000), false),
        (OrderSide::Buy, None, true),
    ] {
        let mut venue = venue(false);
        venue.on_quote(Nanos(0), BTC, quote(1000, 1005, 50, 50));
        venue.on_order(Nanos(0), order(1, side, 20, limit));
        let price = if side == OrderSide::Buy { 1005 } else { 1000 };
        let outcome = if fills { filled(1, price, 20) } else { Expired };
        assert_eq!(drain(&mut venue), [(21, Acked), (21, outcome)], "{side:?} {limit:?}");
    }
}

#[test]
fn size_that_was_taken_stays_taken_until_its_side_changes() {
    let mut venue = venue(false);
    let mut at = 0;
    let mut sell = |venue: &mut Matching, attempt, quote: Quote| {
        at += 100;
        venue.on_quote(Nanos(at), BTC, quote);
        venue.on_order(Nanos(at), order(attempt, OrderSide::Sell, 40, Some(1000)));
        let fills = drain(venue).into_iter().filter_map(|(_, what)| match what {
            OrderChange::Filled { qty, .. } => Some(qty.raw()),
            _ => None,
        });
        fills.sum::<i64>()
    };
    assert_eq!(sell(&mut venue, 1, quote(1000, 1005, 50, 50)), 40);
    assert_eq!(sell(&mut venue, 2, quote(1000, 1010, 50, 60)), 10, "the bid is as before");
    assert_eq!(sell(&mut venue, 3, quote(1000, 1010, 50, 60)), 0);
    assert_eq!(sell(&mut venue, 4, quote(1000, 1010, 31, 60)), 30, "another size, in whole lots");
    assert_eq!(sell(&mut venue, 5, quote(1005, 1010, 31, 60)), 30, "another price");
    let counts = Counts { orders: 5, fills: 4, expired: 4, rejected: [0; 5] };
    assert_eq!((venue.position(MAIN, BTC), venue.counts()), (-110, counts));
}

#[test]
fn what_the_venue_cannot_take_is_refused_by_class() {
    use RejectClass::{Fatal, Price as OffGrid, Size, Unavailable};
    let with = |change: fn(&mut Order)| {
        let mut order = order(1, OrderSide::Sell, 20, Some(1000));
        change(&mut order);
        order
    };
    let size = |qty| Qty::new(qty).unwrap();
    let cases: [(&str, Order, Option<RejectClass>); 13] = [
        ("as it should be", with(|_| ()), None),
        ("nothing", with(|o| o.qty = Qty::ZERO), Some(Size)),
        ("off the lot", Order { qty: size(21), ..with(|_| ()) }, Some(Size)),
        ("below the minimum", Order { qty: size(2), ..with(|_| ()) }, Some(Size)),
        ("off the tick", with(|o| o.limit = Some(Price::new(1001).unwrap())), Some(OffGrid)),
        ("below the notional", Order { qty: size(4), ..with(|_| ()) }, Some(Size)),
        ("the same, reducing", Order { qty: size(4), ..with(|o| o.reduce_only = true) }, None),
        (
            "reducing too much",
            Order { qty: size(32), ..with(|o| o.reduce_only = true) },
            Some(Size),
        ),
        (
            "reducing the wrong way",
            with(|o| {
                o.reduce_only = true;
                o.side = OrderSide::Buy;
            }),
            Some(Size),
        ),
        ("another instrument", with(|o| o.instrument = InstrumentId(9)), Some(Fatal)),
        (
            "another account, reducing",
            with(|o| {
                o.account = AccountId(7);
                o.reduce_only = true;
            }),
            Some(Size),
        ),
        ("another account", with(|o| o.account = AccountId(7)), None),
        ("more than is held", Order { qty: size(32), ..with(|_| ()) }, None),
    ];
    for (name, order, expected) in cases {
        let mut venue = venue(false);
        venue.deposit(MAIN, BTC, 30);
        venue.on_order(Nanos(0), order);
        assert_eq!(
            drain(&mut venue)[0].1,
            match order.instrument {
                BTC => Rejected(Unavailable),
                _ => Rejected(Fatal),
            }
        );
        venue.on_quote(Nanos(50), BTC, quote(1000, 1005, 50, 50));
        venue.on_order(Nanos(50), order);
        assert_eq!(drain(&mut venue)[0].1, Rejected(Fatal), "{name}: the id was used");
        let order = Order { id: ClientOrderId { attempt: 2, ..order.id }, ..order };
        venue.on_order(Nanos(100), order);
        assert_eq!(drain(&mut venue)[0].1, expected.map_or(Acked, Rejected), "{name}");
    }
}

#[test]
fn a_spot_market_sells_what_is_held_and_knows_no_reduce_only() {
    let mut venue = venue(true);
    venue.deposit(MAIN, BTC, 30);
    venue.on_quote(Nanos(0), BTC, quote(1000, 1005, 50, 50));
    let reducing = Order { reduce_only: true, ..order(1, OrderSide::Sell, 20, None) };
    for (at, order, expected) in [
        (100, reducing, Rejected(RejectClass::Fatal)),
        (200, order(2, OrderSide::Sell, 32, None), Rejected(RejectClass::Size)),
        (300, order(3, OrderSide::Sell, 30, None), Acked),
        (400, order(4, OrderSide::Buy, 30, None), Acked),
    ] {
        venue.on_order(Nanos(at), order);
        assert_eq!(drain(&mut venue)[0].1, expected);
    }
    assert_eq!(venue.positions().collect::<Vec<_>>(), [(MAIN, BTC, 30)]);
}

/// The seed of a random test, from SEED or fixed; printed, so that a failure can be repeated.
fn seed() -> u64 {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_240_808);
    println!("SEED={seed}");
    seed
}

#[test]
fn random_orders_never_get_more_than_was_shown() {
    let mut random = Random::new(seed());
    for _ in 0..200 {
        run_randomly(&mut random);
    }
}

fn run_randomly(random: &mut Random) {
    let mut venue = venue(false);
    let mut quotes: Vec<(Nanos, Quote)> = Vec::new();
    let mut orders: BTreeMap<ClientOrderId, (Nanos, Order)> = BTreeMap::new();
    let mut heard: Vec<OrderEvent> = Vec::new();
    let mut now = Nanos(0);
    for step in 0..400u16 {
        now = now.plus(Nanos(1 + random.below(30)));
        if random.below(2) == 0 || quotes.is_empty() {
            let bid = 1000 + 5 * random.around(2);
            let ask = bid + 5 * random.below(3) as i64;
            let size = |random: &mut Random| 1 + random.below(40) as i64;
            let mut new = quote(bid, ask, size(random), size(random));
            if let Some((_, old)) = quotes.last().filter(|_| random.below(3) == 0) {
                (new.bid, new.bid_qty, new.ask) = (old.bid, old.bid_qty, old.ask.max(new.ask));
            }
            venue.on_quote(now, BTC, new);
            quotes.push((now, new));
        } else {
            let side = if random.below(2) == 0 { OrderSide::Buy } else { OrderSide::Sell };
            let limit = (random.below(4) > 0).then(|| 1000 + 5 * random.around(4));
            let mut order = order(step, side, 2 * random.below(30) as i64, limit);
            order.account = AccountId(random.below(2) as u8);
            order.reduce_only = random.below(4) == 0;
            venue.on_order(now, order);
            orders.insert(order.id, (now, order));
        }
        if random.below(3) == 0 {
            while let Some(event) = venue.poll_event(now) {
                assert!(now >= orders[&event.id].0.plus(LATENCY), "an answer takes its time");
                heard.push(event);
            }
        }
    }
    now = now.plus(LATENCY);
    heard.extend(std::iter::from_fn(|| venue.poll_event(now)));
    assert_eq!(venue.next_due(), None);
    audit(&venue, &quotes, &orders, &heard);
}

/// Holds everything that was heard against the quotes of the arrivals, from scratch.
fn audit(
    venue: &Matching,
    quotes: &[(Nanos, Quote)],
    orders: &BTreeMap<ClientOrderId, (Nanos, Order)>,
    heard: &[OrderEvent],
) {
    let mut got: BTreeMap<ClientOrderId, i64> = BTreeMap::new();
    let mut ended: HashSet<ClientOrderId> = HashSet::new();
    let mut held: BTreeMap<AccountId, i64> = BTreeMap::new();
    // By side and by the quote with which that side last changed: what orders got of it.
    let mut given: BTreeMap<(OrderSide, usize), i64> = BTreeMap::new();
    for event in heard {
        let (sent, order) = orders[&event.id];
        let OrderChange::Filled { price, qty, fee, .. } = event.what else {
            if event.what != Acked {
                assert!(ended.insert(event.id), "an order ends once");
            }
            continue;
        };
        let arrival = sent.plus(Nanos(LATENCY.0 / 2));
        let met = quotes.iter().rposition(|(at, _)| *at <= arrival).unwrap();
        let side = |quote: &Quote| match order.side {
            OrderSide::Buy => (quote.ask, quote.ask_qty),
            OrderSide::Sell => (quote.bid, quote.bid_qty),
        };
        let shown = side(&quotes[met].1);
        let since = quotes[..met].iter().rposition(|(_, quote)| side(quote) != shown);
        let taken = given.entry((order.side, since.map_or(0, |index| index + 1))).or_default();
        *taken += qty.raw();
        assert!(*taken <= shown.1.raw(), "no more than was shown");
        assert_eq!(price, shown.0, "at the price that was shown");
        let sign = if order.side == OrderSide::Buy { 1 } else { -1 };
        let worse = |limit: Price| sign * (price.raw() - limit.raw()) > 0;
        assert!(!order.limit.is_some_and(worse), "never worse than the limit");
        assert_eq!(fee, i128::from(price.raw() * qty.raw()) * 500_000);
        *got.entry(event.id).or_default() += qty.raw();
        *held.entry(order.account).or_default() += sign * qty.raw();
    }
    for (id, (_, order)) in orders {
        let whole = got.get(id).is_some_and(|got| *got == order.qty.raw());
        assert!(got.get(id).is_none_or(|got| *got <= order.qty.raw()));
        assert_ne!(whole, ended.contains(id), "an order is filled, or it ends");
    }
    for (account, qty) in held {
        assert_eq!(venue.position(account, BTC), qty, "the books are the sum of the fills");
    }
    assert_eq!(venue.counts().orders, orders.len() as u64);
    assert!(venue.counts().fills > 0 && venue.counts().expired > 0);
}
