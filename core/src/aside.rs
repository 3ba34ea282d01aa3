//! Orders of unknown fate that were set aside.
//!
//! An order of which nobody knows what became of it may still trade all of its rest, and blocks no
//! more than that: what is open beyond it can be closed by a further order of the leg. It is set
//! aside when that one is sent, keeps its reservation, and is asked for and proven like any other.

use alloc::vec::Vec;

use crate::desk::Desk;
use crate::exit::Exit;
use crate::holding::HoldingKey;
use crate::order::{ClientOrderId, HoldingRead, OrderState};
use crate::position::PositionId;
use crate::units::{Nanos, Qty};
use crate::working::WorkingOrder;

/// The orders that were set aside, the oldest first. It has room for a fixed number; a leg whose
/// order finds none waits for its fate.
#[derive(Debug)]
pub(crate) struct Asides {
    orders: Vec<WorkingOrder>,
    room: usize,
}

impl Asides {
    pub(crate) fn new(room: usize) -> Self {
        Self { orders: Vec::with_capacity(room), room }
    }

    /// How many there may be of so many orders: most of them are answered.
    pub(crate) const fn room(orders_max: usize) -> usize {
        orders_max / 4 + 4
    }

    /// Room for this many in all.
    pub(crate) fn grow(&mut self, room: usize) {
        self.room = self.room.max(room);
        self.orders.reserve_exact(self.room.saturating_sub(self.orders.len()));
    }

    /// Whoever sent them is gone: their venues are asked at once.
    pub(crate) fn restart(&mut self, now: Nanos) {
        for order in &mut self.orders {
            order.restart(now);
        }
    }

    /// The clock was set back by this much.
    pub(crate) fn set_back(&mut self, by: Nanos) {
        self.orders.iter_mut().for_each(|order| order.set_back(by));
    }

    fn is_full(&self) -> bool {
        self.orders.len() == self.room
    }

    fn of(id: ClientOrderId, position: PositionId, leg: usize) -> bool {
        id.position == position && usize::from(id.leg) == leg
    }

    pub(crate) fn find(&self, id: ClientOrderId) -> Option<usize> {
        self.orders.iter().position(|order| order.id == id)
    }

    /// The first of a leg on which a read decides.
    fn decided(&self, position: PositionId, leg: usize, read: &HoldingRead) -> Option<usize> {
        let of = |order: &WorkingOrder| Self::of(order.id, position, leg);
        self.orders.iter().position(|order| of(order) && order.is_decided_by(read))
    }
}

impl Exit {
    /// Whether a further order of a leg may be sent beside its newest one: only beside one of
    /// unknown fate.
    pub(crate) fn steps_aside(&self, i: usize, desk: &Desk) -> bool {
        let unknown = |order: WorkingOrder| matches!(order.state, OrderState::Unknown { .. });
        self.legs[i].order.is_some_and(unknown) && !desk.asides.is_full()
    }

    /// Sets the newest order of a leg aside. It keeps what it has reserved.
    pub(crate) fn set_aside(&mut self, i: usize, desk: &mut Desk) {
        let leg = &mut self.legs[i];
        let order = leg.order.take().expect("it was just looked at");
        assert!(!desk.asides.is_full(), "it was asked for room");
        leg.aside = sum(leg.aside, leg.live);
        leg.live = Qty::ZERO;
        desk.counters.set_aside += 1;
        desk.asides.orders.push(order);
    }

    /// Does something with an order that was set aside as if it were the newest of its leg.
    pub(crate) fn with_aside<R>(
        &mut self,
        at: usize,
        desk: &mut Desk,
        act: impl FnOnce(&mut Self, usize, &mut Desk) -> R,
    ) -> R {
        const KEPT: &str = "what was set aside is part of what is reserved";
        let earlier = desk.asides.orders.remove(at);
        let i = usize::from(earlier.id.leg);
        let leg = &mut self.legs[i];
        let (newest, live) = (leg.order.replace(earlier), leg.live);
        leg.live = earlier.rest();
        leg.aside = sum(leg.aside.checked_sub(leg.live).expect(KEPT), live);
        let done = act(self, i, desk);
        let leg = &mut self.legs[i];
        let earlier = core::mem::replace(&mut leg.order, newest).expect("it was put there");
        leg.aside = sum(leg.aside.checked_sub(live).expect(KEPT), leg.live);
        leg.live = live;
        if earlier.state.is_live() {
            desk.asides.orders.insert(at, earlier);
        }
        done
    }

    /// Has the venues asked for what was set aside; when they will be asked next.
    pub(crate) fn look_after_asides(&mut self, now: Nanos, desk: &mut Desk) -> Option<Nanos> {
        let mut next: Option<Nanos> = None;
        for at in 0..desk.asides.orders.len() {
            let order = desk.asides.orders[at];
            if order.id.position != self.id {
                continue;
            }
            let leg = &self.legs[usize::from(order.id.leg)];
            let mut order = order;
            let asks = order.look_after(now, (leg.account, leg.instrument), desk);
            desk.asides.orders[at] = order;
            next = next.into_iter().chain(asks).min();
        }
        next
    }

    /// Settles the orders of a leg that were set aside and on which a read decides, by what is
    /// missing of their holding; what of it they took.
    pub(crate) fn prove_asides(
        &mut self,
        i: usize,
        read: &HoldingRead,
        mut prove: impl FnMut(&mut Self, usize, &mut Desk),
        desk: &mut Desk,
    ) {
        while let Some(at) = desk.asides.decided(self.id, i, read) {
            self.with_aside(at, desk, &mut prove);
        }
    }
}

impl Desk {
    /// Whether orders of a holding were set aside on which a read does not decide, and whether there
    /// are some on which it does.
    pub(crate) fn asides_of(
        &self,
        exit: &Exit,
        of: HoldingKey,
        read: &HoldingRead,
    ) -> (bool, bool) {
        let (mut undecided, mut decided) = (false, false);
        let ours = |order: &&WorkingOrder| {
            order.id.position == exit.id && exit.legs[usize::from(order.id.leg)].key() == of
        };
        for order in self.asides.orders.iter().filter(ours) {
            let is_decided = order.is_decided_by(read);
            decided |= is_decided;
            undecided |= !is_decided;
        }
        (undecided, decided)
    }
}

fn sum(a: Qty, b: Qty) -> Qty {
    Qty::new(a.raw() + b.raw()).expect("within what is open")
}
