//! Placeholder table of contents: the lead's own replaces it.

pub mod execution;
pub mod host;
pub mod logs;
pub mod outbox;
