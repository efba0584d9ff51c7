//! The agent: collectors on a node, and the outbox that ships what they see.

pub mod counters;
pub mod envelope;
pub mod outbox;
pub mod store;
