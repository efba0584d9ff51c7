//! What the parts of the beacon collector share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::api::{Api, ApiError};
use super::clock::Clock;
use super::document::Setting;
use crate::agent::outbox::Outbox;
use crate::config::Beacon;
use crate::slot::ChainSpec;

#[derive(Clone)]
pub(super) struct Context {
    pub(super) config: Arc<Beacon>,
    pub(super) api: Api,
    pub(super) outbox: Outbox,
    pub(super) spec: watch::Receiver<Arc<ChainSpec>>,
    pub(super) clock: watch::Receiver<Clock>,
    pub(super) stop: CancellationToken,
    /// The node answers again: no use to wait out a back-off.
    pub(super) is_back: Arc<Notify>,
    shared: Arc<Mutex<NodeState>>,
}

/// What is known of the node at the moment.
#[derive(Debug, Clone, Default)]
pub(super) struct NodeState {
    /// What the node says of itself; `None` before the first poll.
    pub(super) syncing: Option<bool>,
    /// As `/eth/v1/node/version` gives it; empty before.
    pub(super) version: String,
    pub(super) finalized_epoch: Option<u64>,
    pub(super) stream: StreamState,
    /// How often this agent stood still since it began, and how long at most since the last poll.
    pub(super) pauses: u64,
    pub(super) longest_pause: Option<Duration>,
}

impl NodeState {
    pub(super) fn paused(&mut self, pause: Duration) {
        self.pauses += 1;
        self.longest_pause = self.longest_pause.max(Some(pause));
    }
}

/// The main event stream.
#[derive(Debug, Clone, Default)]
pub(super) struct StreamState {
    pub(super) connected: bool,
    /// Silent while the node moved; until the next event.
    pub(super) stale: bool,
    /// The same at any time since the last poll: a stream that is back soon was silent all the same.
    pub(super) was_stale: bool,
    pub(super) last_event: Option<Instant>,
    pub(super) reconnects: u64,
    pub(super) events: u64,
    pub(super) topics: Vec<String>,
    pub(super) refused: Vec<String>,
}

impl Context {
    pub(super) fn new(
        config: Arc<Beacon>,
        api: Api,
        outbox: Outbox,
        spec: watch::Receiver<Arc<ChainSpec>>,
        clock: watch::Receiver<Clock>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            config,
            api,
            outbox,
            spec,
            clock,
            stop,
            is_back: Arc::default(),
            shared: Arc::default(),
        }
    }

    pub(super) fn spec(&self) -> Arc<ChainSpec> {
        Arc::clone(&self.spec.borrow())
    }

    pub(super) fn state(&self) -> NodeState {
        self.lock().clone()
    }

    /// The state, of which the next poll tells only what is new.
    pub(super) fn polled(&self) -> NodeState {
        let mut state = self.lock();
        let told = state.clone();
        state.stream.was_stale = false;
        state.longest_pause = None;
        told
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut NodeState)) {
        change(&mut self.lock());
    }

    /// Makes documents by what holds now.
    pub(super) fn with_setting<T>(&self, make: impl FnOnce(&Setting<'_>) -> T) -> T {
        let spec = self.spec();
        let clock = self.clock.borrow().clone();
        let syncing = self.lock().syncing;
        make(&Setting {
            agent_id: self.outbox.agent_id(),
            spec: &spec,
            clock: &clock,
            syncing,
        })
    }

    /// Counts a failed call by its kind.
    pub(super) fn count(&self, error: &ApiError) {
        if let Some(counter) = error.counter() {
            self.outbox.count(counter, 1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, NodeState> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
