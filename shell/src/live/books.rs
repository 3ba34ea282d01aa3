//! What the venues' own books say: asked over fresh connections, by nobody who has a stake in the
//! answer.

use std::collections::BTreeMap;
use std::time::Duration;

use reap_core::instrument::{AccountId, Instrument, InstrumentId};
use reap_core::order::HoldingRead;
use reap_core::units::Nanos;

use super::LiveError;
use super::connector::ConnectorBuilder;
use super::gateway::{Gateway, GatewayEvent, Venues};
use super::reach::Reach;
use super::wires::quote_table;
use crate::clock::{LiveClock, WallClock, rest};

/// Longest wait for all answers.
const PATIENCE: Duration = Duration::from_secs(10);

/// Holdings that are not flat: signed, at the instrument's quantity scale.
pub type Holdings = BTreeMap<(AccountId, InstrumentId), i64>;

/// Asks every account that the configuration uses.
///
/// # Errors
/// When it cannot be asked at all.
pub fn ask(
    reach: &Reach<'_>,
    instruments: &[Instrument],
    clock: &LiveClock,
    wall: &WallClock,
) -> Result<Result<Holdings, String>, LiveError> {
    let accounts = reach.accounts();
    let mut poll = mio::Poll::new().map_err(LiveError::system("a poll of sockets"))?;
    let registry = poll.registry().try_clone().map_err(LiveError::system("a poll of sockets"))?;
    let mut builder = ConnectorBuilder::default();
    let port = builder.client(None);
    let connector = builder.start().map_err(LiveError::system("the connector's thread"))?;
    let desks = accounts.iter().map(|account| reach.account(*account));
    let desks = desks.collect::<Result<Vec<_>, _>>()?;
    let mut venues = Venues::new(desks, instruments, port, registry, clock.clone(), wall.clone());
    let (_, quotes) = quote_table(instruments.len());
    let mut holdings = Holdings::new();
    let mut answered = vec![false; accounts.len()];
    let mut said: Option<String> = None;
    let mut events = mio::Events::with_capacity(64);
    let mut inbox = Vec::new();
    let until = clock.real() + PATIENCE.as_nanos() as u64;
    while clock.real() < until && answered.contains(&false) {
        drop(poll.poll(&mut events, Some(Duration::from_millis(1))));
        events.iter().for_each(|event| venues.on_ready(event.token()));
        if venues.poll(Nanos(0), &quotes, &mut inbox) == 0 {
            rest(Duration::from_micros(200));
        }
        venues.ask_positions();
        for event in inbox.drain(..) {
            match event {
                GatewayEvent::Position(HoldingRead { account, instrument, qty: 0, .. }) => {
                    holdings.remove(&(account, instrument));
                }
                GatewayEvent::Position(HoldingRead { account, instrument, qty, .. }) => {
                    holdings.insert((account, instrument), qty);
                }
                GatewayEvent::PositionsEnd { account } => {
                    if let Some(at) = accounts.iter().position(|one| *one == account) {
                        answered[at] = true;
                    }
                }
                GatewayEvent::Alarm(text) | GatewayEvent::News(text) => said = Some(text.into()),
                GatewayEvent::Order(_) | GatewayEvent::Limited { .. } => {}
            }
        }
    }
    venues.stop();
    drop(connector);
    let missing = answered.iter().filter(|answered| !**answered).count();
    Ok(match missing {
        0 => Ok(holdings),
        _ => Err(format!(
            "{missing} of {} accounts did not say what they hold within {} s{}",
            accounts.len(),
            PATIENCE.as_secs(),
            said.map_or(String::new(), |said| format!("; last heard: {said}")),
        )),
    })
}
