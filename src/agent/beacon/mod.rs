//! x
pub mod api;
pub mod clock;
pub mod decode;
pub mod event;
pub mod sse;
pub mod topics;
