//! Live threads: agents that busy-poll, the rings between them, and what watches over them.
//!
//! | module | what lives there |
//! |---|---|
//! | [`layout`], [`runner`], [`stats`] | which thread runs where; the duty cycle, its idling, its measurements |
//! | [`wires`] | the rings, the table of latest quotes, the doorbell, the halt |
//! | [`feed`], [`engine`], [`execution`] | the agents |
//! | [`journal`], [`tap`] | the order log as execution writes it; the input log as the engine feeds it |
//! | `closing` | whether everything could be closed at once |
//! | [`connector`], [`reach`] | the cold side of connections; where and with which keys |
//! | [`gateway`] | where orders go: venues, paper, nowhere |
//! | [`simulated`] | the simulated venues of a run |
//! | [`run`], [`watch`], [`drive`], [`books`], [`summary`] | a run from start to end, as main sees it |

pub mod books;
pub mod carried;
mod closing;
pub mod connector;
pub mod drive;
pub mod engine;
mod error;
pub mod execution;
pub mod feed;
pub mod gateway;
pub mod journal;
pub mod layout;
pub mod reach;
pub mod run;
pub mod runner;
pub mod simulated;
pub mod stats;
pub mod summary;
pub mod tap;
pub mod watch;
pub mod wires;

pub use self::error::LiveError;
