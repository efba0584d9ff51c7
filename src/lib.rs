//! ethmon: an Ethereum network monitor on Elasticsearch.
//!
//! `agent` collects on a node and ships; `aggregator` reads what all agents shipped, judges and mails.
//! The middle is pure: `network` and `rules` take events and `now`, and return values.

pub mod agent;
pub mod aggregator;
pub mod chain_spec;
pub mod config;
pub mod elastic;
pub mod event;
pub mod network;
pub mod setup;
pub mod slot;
pub mod tasks;
