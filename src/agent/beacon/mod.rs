//! x
pub mod event;
pub mod sse;
pub mod topics;
