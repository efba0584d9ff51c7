//! Placeholder with the interface of the durable outbox, kept in memory. Replaced at the merge.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use crate::event::Event;
use crate::slot::ChainSpec;

/// Where collectors leave what they saw.
#[derive(Clone)]
pub struct Outbox {
    sender: mpsc::Sender<Event>,
    agent_id: Arc<str>,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    notes: HashMap<String, Vec<u8>>,
    counters: HashMap<&'static str, u64>,
    client: Option<(String, String)>,
    network: Option<ChainSpec>,
}

impl Outbox {
    pub fn in_memory(agent_id: &str, capacity: usize) -> (Self, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel(capacity);
        let outbox = Self {
            sender,
            agent_id: agent_id.into(),
            shared: Arc::default(),
        };
        (outbox, receiver)
    }

    /// Waits while the queue is full.
    pub async fn send(&self, event: Event) {
        if self.sender.send(event).await.is_err() {
            self.count("outbox_closed", 1);
        }
    }

    pub fn agent_id(&self) -> &str {
        &self.agent_id
    }

    pub fn count(&self, counter: &'static str, n: u64) {
        *self.shared().counters.entry(counter).or_default() += n;
    }

    pub fn counted(&self, counter: &str) -> u64 {
        self.shared().counters.get(counter).copied().unwrap_or(0)
    }

    pub async fn recall(&self, key: &str) -> Option<Vec<u8>> {
        self.shared().notes.get(key).cloned()
    }

    pub async fn remember(&self, key: &str, value: Vec<u8>) {
        self.shared().notes.insert(key.to_owned(), value);
    }

    pub fn set_node_client(&self, name: &str, version: &str) {
        self.shared().client = Some((name.to_owned(), version.to_owned()));
    }

    pub fn node_client(&self) -> Option<(String, String)> {
        self.shared().client.clone()
    }

    pub fn set_network(&self, spec: &ChainSpec) {
        self.shared().network = Some(spec.clone());
    }

    fn shared(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
