//! ethmon: an Ethereum network monitor on Elasticsearch.
//!
//! `agent` collects on a node and ships; `aggregator` reads what all agents shipped, judges and mails.
//! The middle is pure: `network`, `rules` and `alert` take events and `now`, and return values.

pub mod agent;
pub mod aggregator;
pub mod alert;
pub mod chain_spec;
pub mod cli;
pub mod config;
pub mod elastic;
pub mod event;
pub mod fuzz;
pub mod network;
pub mod replay;
pub mod rules;
pub mod setup;
pub mod slot;
pub mod system;
pub mod tasks;
