//! The agent's status page: `/metrics` for Prometheus, `/health/live` and `/health/ready` for whoever starts and
//! watches it. Off unless the configuration has `[status]`; nothing here changes anything.

mod health;
mod listener;
mod metrics;
mod serve;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

pub use self::listener::Listener;
pub use self::serve::serve;
use super::counters::Counters;
use super::store::{StoreHandle, Totals};
use super::usage::Usage;

/// Where the answers come from.
#[derive(Clone)]
pub struct Source {
    pub store: StoreHandle,
    pub counters: Arc<Counters>,
    pub spool_max_bytes: u64,
    /// Whose file system must not run full.
    pub data_dir: PathBuf,
    /// When the agent began, in seconds since 1970.
    pub started_at_s: i64,
}

/// Everything an answer is made of, as it was at one moment.
struct State<'a> {
    counters: &'a Counters,
    totals: Totals,
    spool_max_bytes: u64,
    spool_lag_ms: u64,
    usage: Usage,
    started_at_s: i64,
}
