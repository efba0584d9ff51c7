//! An Elasticsearch that fails on purpose, compared with a real one, and the agent before it under random schedules.
//!
//! `ETHMON_CHAOS_SEED=n cargo test --test chaos schedule -- --nocapture` repeats one schedule.

// Helpers of tests are tests.
#![allow(clippy::unwrap_used)]

mod differential;
mod environment;
mod schedule;
mod server;
