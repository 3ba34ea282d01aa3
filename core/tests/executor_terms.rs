//! The executor without a script: exact money, and what it refuses to take on.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod common;

use common::{Table, ZERO, instrument};
use reap_core::admission::AdmitError;
use reap_core::event::{Outcome, Report};
use reap_core::executor::{Executor, ExecutorLimits};
use reap_core::instrument::{AccountId, InstrumentId};
use reap_core::intent::{Intent, Reason, Urgency};
use reap_core::limits::{LEGS_MAX, PPB};
use reap_core::net::{Cmp, Compiled, LegForm, NetForm};
use reap_core::order::{OrderChange, OrderEvent};
use reap_core::policy::{ExitSettings, PolicyId};
use reap_core::position::{LegSpec, PositionId, PositionSpec, Side};
use reap_core::pricing::Top;
use reap_core::tick::Quote;
use reap_core::units::{Decimal, Nanos, Price, Qty, Rate};

fn leg(instrument: u16, side: Side, qty: i64) -> LegSpec {
    LegSpec {
        account: AccountId(0),
        instrument: InstrumentId(instrument),
        side,
        entry: Price::new(100_000).unwrap(),
        qty: Qty::new(qty).unwrap(),
        fees_paid: ZERO,
        funding: ZERO,
        margin: None,
    }
}

fn position(legs: impl IntoIterator<Item = LegSpec>) -> PositionSpec {
    PositionSpec { policy: PolicyId(0), opened: Nanos(0), tag: 0, legs: legs.into_iter().collect() }
}

/// SPEC §12: net 349.75 at a threshold of 0.2 % of 100 000: the two limits together concede at most
/// 149.75, so that filled at both of them the position has made its 200.
#[test]
fn filled_at_both_limits_the_pair_has_made_its_threshold() {
    let instruments = [instrument(1, 1, 1, 0), instrument(1, 1, 1, 0)];
    let mut executor = Executor::new(ExecutorLimits::default(), &instruments, 1);
    let mut spec = position([leg(0, Side::Long, 1), leg(1, Side::Short, 1)]);
    for leg in &mut spec.legs {
        leg.fees_paid = Decimal { mantissa: 25, scale: 0 };
    }
    let id = PositionId(0);
    executor.register(id, &spec, &ExitSettings::default()).unwrap();

    let now = Nanos::from_secs(1);
    let top = |bid, ask| Some(Top { quote: Quote::new(bid, ask, 5, 5).unwrap(), received: now });
    let quotes = Table(vec![top(100_500, 100_510), top(99_980, 100_000)]);
    let fee = Rate::from_bps(5);
    let mut form = NetForm {
        legs: [LegForm::NONE; LEGS_MAX],
        count: 2,
        cmp: Cmp::AtLeast,
        bound: (50 + 200) * i128::from(PPB),
    };
    form.legs[0] = LegForm::new(Side::Long, 1, fee, Rate::ZERO, 0);
    form.legs[1] = LegForm::new(Side::Short, 1, fee, Rate::ZERO, 0);
    let intent = Intent {
        seq: 1,
        at: now,
        position: id,
        policy_version: 1,
        rule: 0,
        part: 0,
        reason: Reason::Basis,
        urgency: Urgency::Opportunistic,
        legs: 2,
        keep: [Qty::ZERO; LEGS_MAX],
        compiled: Compiled::Net(form),
        inputs: [None; LEGS_MAX],
    };
    executor.on_intent(now, &intent, &quotes);
    for _ in 0..2 {
        let order = executor.poll_order().expect("both legs go at once");
        let price = order.limit.expect("at a limit");
        let fee = i128::from(price.raw()) * i128::from(fee.raw());
        let what = OrderChange::Filled { trade_id: 1, price, qty: order.qty, fee };
        executor.on_order_event(now, &OrderEvent { id: order.id, what }, &quotes);
    }
    let realised = executor.realised(id).unwrap();
    assert_eq!(realised.scale, 9);
    let least = 200 * i128::from(PPB);
    assert!((least..least + i128::from(PPB)).contains(&realised.mantissa), "{realised}");
    let reports: Vec<_> = std::iter::from_fn(|| executor.poll_report()).collect();
    assert_eq!(reports.len(), 3);
    assert_eq!(reports[2], Report::PlanEnded { position: id, intent: 1, outcome: Outcome::Closed });
    assert!(executor.is_closed(id));
}

#[test]
fn what_does_not_fit_is_refused_with_its_bound() {
    let instruments = [instrument(1, 1, 1, 0)];
    let limits = ExecutorLimits { positions: 3, orders: 2 };
    let mut executor = Executor::new(limits, &instruments, 1);
    let long = |qty| leg(0, Side::Long, qty);
    let plain = ExitSettings::default();
    let collars = ExitSettings {
        collars_protective: [20, 20].into_iter().map(Rate::from_bps).collect(),
        ..plain.clone()
    };
    let unhedged = ExitSettings { max_unhedged: Some(ZERO), ..plain.clone() };
    let restless = ExitSettings { rearm_first: Nanos(0), ..plain.clone() };
    executor.register(PositionId(0), &position([long(1)]), &plain).unwrap();
    let cases = [
        (3, position([long(1)]), &plain, "positions are limited to 3"),
        (0, position([long(1)]), &plain, "slot 0 still holds a position that is not closed"),
        (1, position([]), &plain, "there is no leg 0"),
        (1, position([leg(9, Side::Long, 1)]), &plain, "leg 0: instrument 9 is not registered"),
        (1, position([long(0)]), &plain, "leg 0: qty must be above 0"),
        (1, position([long(1), long(1)]), &plain, "live orders are limited to 2"),
        (1, position([long(1)]), &collars, "collars_protective must be each wider than the last"),
        (1, position([long(1)]), &restless, "rearm_first must be above 0"),
        (1, position([long(1)]), &unhedged, "max_unhedged must be above 0"),
    ];
    for (slot, spec, exit, message) in cases {
        let error = executor.register(PositionId(slot), &spec, exit).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
    }
    executor.register(PositionId(1), &position([long(1)]), &plain).unwrap();
    let amounts = executor.on_amounts(PositionId(2), 0, ZERO, ZERO);
    assert_eq!(amounts, Err(AdmitError::UnknownPosition));
}
