//! Where orders go: a venue, paper, or nowhere.

mod paper;
mod patience;
mod venues;

use reap_core::instrument::{AccountId, VenueId};
use reap_core::log::NotSentWhy;
use reap_core::order::{Ask, HoldingRead, Order, OrderEvent};
use reap_core::position::PositionSpec;
use reap_core::units::Nanos;

pub use self::paper::Paper;
pub use self::venues::{VenueAccount, Venues};
use super::wires::TableReader;

/// What a gateway tells execution.
#[derive(Debug)]
pub enum GatewayEvent {
    /// What a venue said of an order.
    Order(OrderEvent),
    /// What an account holds of an instrument, when it was asked for.
    Position(HoldingRead),
    /// A venue wants to be left alone for so long.
    Limited {
        /// Which.
        venue: VenueId,
        /// For how long.
        wait: Nanos,
    },
    /// An account has said everything that it holds.
    PositionsEnd {
        /// The account.
        account: AccountId,
    },
    /// Something that an operator may want to know.
    News(Box<str>),
    /// Something that an operator should act on.
    Alarm(Box<str>),
}

/// Where orders go. Every method returns at once.
pub trait Gateway: Send {
    /// A position is watched from now on: what an account holds, where nobody else knows it.
    fn on_opened(&mut self, spec: &PositionSpec);

    /// A position has come of an entry: what is held of it came by its orders.
    fn on_entered(&mut self, _: &PositionSpec) {}

    /// Sends an order.
    ///
    /// # Errors
    /// When nothing of it has left our hands.
    fn send(&mut self, now: Nanos, order: &Order) -> Result<(), NotSentWhy>;

    /// Asks what the executor wants to know. What cannot be asked now is asked for again by it.
    fn ask(&mut self, now: Nanos, ask: &Ask);

    /// A socket is ready.
    fn on_ready(&mut self, token: mio::Token);

    /// Goes on with everything that is under way; returns how much that was.
    fn poll(&mut self, now: Nanos, quotes: &TableReader, out: &mut Vec<GatewayEvent>) -> usize;

    /// When [`Self::poll`] has something to do even if nothing comes in.
    fn next_timer(&self) -> Option<Nanos>;

    /// Whether [`Self::poll`] has something to do at once, of which no socket tells: a thread that
    /// would sleep does not.
    fn has_next(&self) -> bool {
        false
    }

    /// Whether there are sockets to look at.
    fn has_sockets(&self) -> bool;

    /// Whether orders for this order's account could be sent now.
    fn is_ready(&self) -> bool;

    /// Whether funding is booked when the market shows that it was settled: where no venue will say
    /// it.
    fn books_funding(&self) -> bool {
        false
    }

    /// Whether anything is ever heard of an order.
    fn answers(&self) -> bool {
        true
    }

    /// No more orders will come: connections are closed.
    fn stop(&mut self);
}

/// Decides as live and places nothing: what would have been sent is recorded and told. Nothing is
/// invented about what would have become of it, so a position stays with the exit that it would have
/// begun.
#[derive(Debug, Default)]
pub struct DryRun;

impl Gateway for DryRun {
    fn on_opened(&mut self, _: &PositionSpec) {}

    fn send(&mut self, _: Nanos, _: &Order) -> Result<(), NotSentWhy> {
        Ok(())
    }

    /// There is nobody to ask.
    fn ask(&mut self, _: Nanos, _: &Ask) {}

    fn on_ready(&mut self, _: mio::Token) {}

    fn poll(&mut self, _: Nanos, _: &TableReader, _: &mut Vec<GatewayEvent>) -> usize {
        0
    }

    fn next_timer(&self) -> Option<Nanos> {
        None
    }

    fn has_sockets(&self) -> bool {
        false
    }

    fn is_ready(&self) -> bool {
        true
    }

    fn answers(&self) -> bool {
        false
    }

    fn stop(&mut self) {}
}
