//! The agent: collectors on a node, and the outbox that ships what they see.

pub mod beacon;
pub mod outbox;
