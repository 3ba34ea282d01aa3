//! The shell of Reap: configuration, the command line, simulated venues. As little logic as
//! possible: what can be decided without input and output belongs in `reap_core`.

pub mod check;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod doctor;
pub mod explain;
pub mod funding;
pub mod guard;
pub mod live;
pub mod log_command;
pub mod log_replay;
pub mod merge;
pub mod order_log;
pub mod outcome;
pub mod output;
pub mod pipeline;
pub mod record;
pub mod replay;
pub mod report;
pub mod run;
pub mod sim;
pub mod simulation;
pub mod story;
pub mod table;
