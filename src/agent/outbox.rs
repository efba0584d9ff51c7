//! Where collectors leave what they saw.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::counters::{BeaconStream, Counters};
use super::envelope::{Envelope, Identity};
use super::process::{Chain, Fate};
use super::store::{Priority, Record, StoreHandle};
use crate::event::{Document, Event};
use crate::slot::{self, ChainSpec};

/// A handle; the last one that is dropped tells the shipper that no more will come.
#[derive(Clone)]
pub struct Outbox(Arc<Shared>);

struct Shared {
    agent_id: String,
    counters: Arc<Counters>,
    seal: Seal,
    sink: Sink,
}

enum Sink {
    Store(StoreHandle, #[allow(dead_code)] DropGuard),
    /// For tests of collectors and for tools that want the events themselves.
    Memory(mpsc::Sender<Event>, Mutex<HashMap<String, Vec<u8>>>),
}

/// Takes events through the processors and turns them into records, by what is known of the node at that moment.
/// Shared with the shipper, which seals what comes from files.
#[derive(Clone)]
pub struct Seal {
    known: Arc<RwLock<Known>>,
    counters: Arc<Counters>,
}

struct Known {
    identity: Identity,
    envelope: Arc<Envelope>,
    processors: Arc<Chain>,
}

impl Seal {
    /// Without processors.
    pub fn new(identity: Identity) -> Self {
        let known = Known {
            envelope: Arc::new(Envelope::new(&identity)),
            identity,
            processors: Arc::default(),
        };
        Self {
            known: Arc::new(RwLock::new(known)),
            counters: Arc::default(),
        }
    }

    /// What the processors drop, or fail on, is counted.
    #[must_use]
    pub fn with_processors(mut self, processors: Chain, counters: Arc<Counters>) -> Self {
        self.counters = counters;
        self.set_processors(processors);
        self
    }

    /// The processors of every event from now on.
    pub fn set_processors(&self, processors: Chain) {
        self.write().processors = Arc::new(processors);
    }

    /// `None` where a processor dropped the event.
    pub fn seal(&self, mut event: Event) -> Option<Record> {
        let (envelope, processors) = self.current();
        if let Some(processors) = processors {
            let base = envelope.base(event.stream);
            if self.process(&processors, &mut event, base) == Fate::Dropped {
                return None;
            }
        }
        Some(envelope.seal(event, slot::now()))
    }

    /// What events are sealed with now.
    pub(super) fn current(&self) -> (Arc<Envelope>, Option<Arc<Chain>>) {
        let known = self.read();
        let processors = (!known.processors.is_empty()).then(|| Arc::clone(&known.processors));
        (Arc::clone(&known.envelope), processors)
    }

    pub(super) fn process(&self, processors: &Chain, event: &mut Event, base: &Document) -> Fate {
        processors.apply(event, base, |note| self.counters.processed(note))
    }

    fn identity<T>(&self, read: impl FnOnce(&Identity) -> T) -> T {
        read(&self.read().identity)
    }

    fn learn(&self, change: impl FnOnce(&mut Identity)) {
        let mut known = self.write();
        change(&mut known.identity);
        known.envelope = Arc::new(Envelope::new(&known.identity));
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outbox {
    /// `ended` is cancelled when the last handle is dropped.
    pub fn new(
        store: StoreHandle,
        seal: Seal,
        counters: Arc<Counters>,
        ended: CancellationToken,
    ) -> Self {
        let agent_id = seal.identity(|identity| identity.agent_id.clone());
        let sink = Sink::Store(store, ended.drop_guard());
        Self(Arc::new(Shared {
            agent_id,
            counters,
            seal,
            sink,
        }))
    }

    /// An outbox whose events come out of a channel, and whose notes are forgotten with it.
    pub fn in_memory(agent_id: &str, capacity: usize) -> (Self, mpsc::Receiver<Event>) {
        let (sender, events) = mpsc::channel(capacity);
        let agent_id = agent_id.to_owned();
        let seal = Seal::new(Identity {
            agent_id: agent_id.clone(),
            ..Identity::default()
        });
        let sink = Sink::Memory(sender, Mutex::default());
        (
            Self(Arc::new(Shared {
                agent_id,
                counters: Arc::default(),
                seal,
                sink,
            })),
            events,
        )
    }

    /// Waits while the queue to the store is full. Once this returns the event has its place: it is durable within
    /// milliseconds, and before anything that is sent or remembered later.
    pub async fn send(&self, event: Event) {
        let sent = match &self.0.sink {
            Sink::Store(store, _) => {
                let priority = Priority::of(event.stream);
                match self.0.seal.seal(event) {
                    Some(record) => store.append(priority, record).await.is_ok(),
                    // A processor dropped it, and it is counted there.
                    None => true,
                }
            }
            Sink::Memory(events, _) => events.send(event).await.is_ok(),
        };
        if !sent {
            self.count("outbox_closed", 1);
        }
    }

    /// The same over restarts; part of the ids of documents.
    pub fn agent_id(&self) -> &str {
        &self.0.agent_id
    }

    /// Counts what a collector could not use, or found worth counting, by reason; the self-report shows it.
    pub fn count(&self, reason: &'static str, n: u64) {
        self.0.counters.count(reason, n);
    }

    /// How the beacon node's stream stands, for the status page.
    pub fn set_beacon_stream(&self, stream: BeaconStream) {
        self.0.counters.beacon_stream.store(stream as u8, Relaxed);
    }

    pub fn counted(&self, reason: &str) -> u64 {
        self.0
            .counters
            .tallies()
            .counted
            .get(reason)
            .copied()
            .unwrap_or(0)
    }

    /// What was remembered under the key, in this life or an earlier one.
    pub async fn recall(&self, key: &str) -> Option<Vec<u8>> {
        match &self.0.sink {
            Sink::Store(store, _) => store.recall(key.to_owned()).await.ok().flatten(),
            Sink::Memory(_, notes) => lock(notes).get(key).cloned(),
        }
    }

    /// Keeps a small value over restarts. Durable after everything that was sent before.
    pub async fn remember(&self, key: &str, value: Vec<u8>) {
        let key = key.to_owned();
        let kept = match &self.0.sink {
            Sink::Store(store, _) => store.note(key, value).await.is_ok(),
            Sink::Memory(_, notes) => {
                lock(notes).insert(key, value);
                true
            }
        };
        if !kept {
            self.count("outbox_closed", 1);
        }
    }

    /// `ethereum.node.{client,version}` of everything sent from now on.
    pub fn set_node_client(&self, name: &str, version: &str) {
        let client = Some((name.to_owned(), version.to_owned()));
        if self.node_client() != client {
            self.0.seal.learn(|identity| identity.client = client);
        }
    }

    /// Name and version, where they are known.
    pub fn node_client(&self) -> Option<(String, String)> {
        self.0.seal.identity(|identity| identity.client.clone())
    }

    /// `ethereum.network.*` of everything sent from now on.
    pub fn set_network(&self, spec: &ChainSpec) {
        self.0.seal.learn(|identity| identity.set_network(spec));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::store::{self, Limits, Store};
    use crate::event::{DataStream, DocumentId};
    use crate::tasks::Tasks;

    async fn with_store(dir: &std::path::Path, work: impl AsyncFnOnce(Outbox)) {
        let store = Store::open(dir, Limits::default()).unwrap();
        let (handle, requests) = StoreHandle::new(&store);
        let counters = Arc::new(Counters::default());
        let mut tasks = Tasks::new(CancellationToken::new());
        tasks.spawn("store", store::run(store, requests, Arc::clone(&counters)));
        let ended = CancellationToken::new();
        let outbox = Outbox::new(
            handle,
            Seal::new(Identity::default()),
            counters,
            ended.clone(),
        );
        work(outbox).await;
        assert!(ended.is_cancelled(), "the last handle is gone");
        tasks.join().await.unwrap();
    }

    #[tokio::test]
    async fn what_was_sent_and_remembered_is_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        with_store(dir.path(), async |outbox| {
            for number in 0..2_500_u32 {
                let id = DocumentId::of(&[&number.to_string()]);
                outbox
                    .send(Event::new(DataStream::Block, id, slot::now()))
                    .await;
            }
            outbox.remember("cursor", b"2500".to_vec()).await;
            assert_eq!(outbox.recall("cursor").await.as_deref(), Some(&b"2500"[..]));
            assert_eq!(
                outbox.0.counters.tallies().received["ethereum.block"],
                2_500
            );
        })
        .await;

        let mut store = Store::open(dir.path(), Limits::default()).unwrap();
        assert_eq!(store.totals().spool().records, 2_500);
        let taken = store.take(1, usize::MAX).unwrap();
        assert_eq!(taken[0].1.id(), DocumentId::of(&["0"]).as_str());
        assert_eq!(store.note("cursor").unwrap().as_deref(), Some(&b"2500"[..]));
    }

    #[tokio::test]
    async fn what_is_learnt_is_on_the_next_document() {
        let dir = tempfile::tempdir().unwrap();
        with_store(dir.path(), async |outbox| {
            outbox.set_node_client("Teku", "v25");
            outbox.set_network(&ChainSpec::example());
            outbox
                .send(Event::new(
                    DataStream::Block,
                    DocumentId::of(&["x"]),
                    slot::now(),
                ))
                .await;
        })
        .await;
        let mut store = Store::open(dir.path(), Limits::default()).unwrap();
        let (_, record) = store.take(1, usize::MAX).unwrap().remove(0);
        let document: serde_json::Value = serde_json::from_slice(record.document()).unwrap();
        assert_eq!(document["ethereum"]["node"]["client"], "Teku");
        assert_eq!(document["ethereum"]["network"]["name"], "mainnet");
    }
}
