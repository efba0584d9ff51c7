//! The task that owns the store, and the handle everybody else has: one queue, so that what was sent first is durable
//! first, and one commit for all that waits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};
use tracing::{error, info};

use super::{Change, Limits, Priority, Record, SpoolKey, Store, Totals};
use crate::agent::counters::Counters;
use crate::tasks;

/// Requests that wait for the store. When it is full, collectors wait.
const QUEUE: usize = 1_024;
/// Bytes of records that wait for the store. A collector with more waits.
const QUEUE_BYTES: usize = 8 << 20;
/// How long the first event of a commit waits for company.
const LINGER: Duration = Duration::from_millis(20);
/// Records in one commit.
const GROUP: usize = 1_000;
/// Between two attempts to write to a disk that is full or broken.
const RETRY: Duration = Duration::from_secs(2);
/// Attempts after the last handle is gone: then what waits is lost, and said to be.
const LAST_ATTEMPTS: u32 = 2;

enum Request {
    Append(Priority, Record, OwnedSemaphorePermit),
    Note(String, Vec<u8>),
    /// A change that somebody waits for.
    Commit(Change, oneshot::Sender<()>),
    /// Looks something up and answers; once more if the store could not be read.
    Read(Read),
}

type Read = Box<dyn FnMut(&mut Store) -> anyhow::Result<()> + Send>;

/// Asks the store's task. The task ends, with everything written, once the last handle is gone.
#[derive(Clone)]
pub struct StoreHandle {
    requests: mpsc::Sender<Request>,
    bytes: Arc<Semaphore>,
    totals: watch::Receiver<Totals>,
}

/// The task's side of the handle.
pub struct Requests {
    requests: mpsc::Receiver<Request>,
    totals: watch::Sender<Totals>,
}

/// The store's task has ended.
#[derive(Debug, thiserror::Error)]
#[error("the store is closed")]
pub struct Closed;

impl StoreHandle {
    pub fn new(store: &Store) -> (Self, Requests) {
        let (sender, requests) = mpsc::channel(QUEUE);
        let (announce, totals) = watch::channel(store.totals());
        let bytes = Arc::new(Semaphore::new(QUEUE_BYTES));
        let handle = Self {
            requests: sender,
            bytes,
            totals,
        };
        (
            handle,
            Requests {
                requests,
                totals: announce,
            },
        )
    }

    /// Returns once the record has its place in the queue; it is durable within milliseconds, before everything
    /// that is asked for later.
    pub async fn append(&self, priority: Priority, record: Record) -> Result<(), Closed> {
        let bytes = record.len().min(QUEUE_BYTES) as u32;
        let permit = Arc::clone(&self.bytes)
            .acquire_many_owned(bytes)
            .await
            .map_err(|_| Closed)?;
        self.ask(Request::Append(priority, record, permit)).await
    }

    pub async fn note(&self, key: String, value: Vec<u8>) -> Result<(), Closed> {
        self.ask(Request::Note(key, value)).await
    }

    /// Returns once the change is durable.
    pub async fn commit(&self, change: Change) -> Result<(), Closed> {
        let (reply, done) = oneshot::channel();
        self.ask(Request::Commit(change, reply)).await?;
        done.await.map_err(|_| Closed)
    }

    /// See [`Store::take`]. Everything sent before is in the spool.
    pub async fn take(
        &self,
        max_records: usize,
        max_bytes: usize,
        from_the_start: bool,
    ) -> Result<Vec<(SpoolKey, Record)>, Closed> {
        self.read(move |store| {
            if from_the_start {
                store.take_from_the_start();
            }
            store.take(max_records, max_bytes)
        })
        .await
    }

    /// See [`Store::note`].
    pub async fn recall(&self, key: String) -> Result<Option<Vec<u8>>, Closed> {
        self.read(move |store| store.note(&key)).await
    }

    /// See [`Store::registry`].
    pub async fn registry(&self) -> Result<Vec<(String, Vec<u8>)>, Closed> {
        self.read(Store::registry).await
    }

    /// See [`Store::oldest_ms`].
    pub async fn oldest_ms(&self) -> Result<Option<u64>, Closed> {
        self.read(Store::oldest_ms).await
    }

    /// From the next commit on.
    pub async fn set_limits(&self, limits: Limits) -> Result<(), Closed> {
        self.read(move |store| {
            store.set_limits(limits);
            Ok(())
        })
        .await
    }

    /// Changes with every commit that appends or removes.
    pub fn totals(&self) -> watch::Receiver<Totals> {
        self.totals.clone()
    }

    async fn read<T: Send + 'static>(
        &self,
        mut work: impl FnMut(&mut Store) -> anyhow::Result<T> + Send + 'static,
    ) -> Result<T, Closed> {
        let (reply, answer) = oneshot::channel();
        let mut reply = Some(reply);
        let read: Read = Box::new(move |store| {
            let value = work(store)?;
            // Whoever waits no longer is not an error.
            reply.take().map(|reply| reply.send(value).ok());
            Ok(())
        });
        self.ask(Request::Read(read)).await?;
        answer.await.map_err(|_| Closed)
    }

    async fn ask(&self, request: Request) -> Result<(), Closed> {
        self.requests.send(request).await.map_err(|_| Closed)
    }
}

/// Serves requests until the last handle is gone. A disk that is full or broken makes everybody wait, is said once, and
/// heals by itself.
pub async fn run(
    mut store: Store,
    mut inbox: Requests,
    counters: Arc<Counters>,
) -> anyhow::Result<()> {
    for rebuilt in store.take_rebuilt() {
        counters.store_rebuilt(&rebuilt);
    }
    while let Some(first) = inbox.requests.recv().await {
        let mut group = gather(first, &mut inbox.requests).await;
        let (mut failures, mut last_attempts) = (0_u32, 0);
        loop {
            let (counted, announce) = (Arc::clone(&counters), inbox.totals.clone());
            let outcome;
            (store, group, outcome) = tasks::blocking(move || {
                let outcome = group.serve(&mut store, &announce, &counted);
                (store, group, outcome)
            })
            .await;
            for rebuilt in store.take_rebuilt() {
                counters.store_rebuilt(&rebuilt);
            }
            let Err(error) = outcome else { break };
            counters.store_fails.store(true, Relaxed);
            if failures == 0 {
                error!(
                    error = format!("{error:#}"),
                    "cannot use the store; collecting waits until it can be used again"
                );
            }
            failures += 1;
            last_attempts += u32::from(inbox.requests.is_closed());
            if last_attempts > LAST_ATTEMPTS {
                return Err(error.context(format!(
                    "cannot write the last {} events",
                    group.change.append.len()
                )));
            }
            // A damaged store is set aside by the next attempt.
            let is_curable = store.is_damaged() && failures == 1;
            if !is_curable {
                tokio::time::sleep(RETRY).await;
            }
        }
        counters.store_fails.store(false, Relaxed);
        if failures > 0 {
            info!(failures, "the store can be used again");
        }
    }
    Ok(())
}

/// The first request and those that follow at once, or within [`LINGER`] while nobody waits for an answer.
async fn gather(first: Request, requests: &mut mpsc::Receiver<Request>) -> Group {
    let mut group = Group::default();
    group.add(first);
    let linger = Instant::now() + LINGER;
    while group.change.append.len() < GROUP {
        let next = match requests.try_recv() {
            Ok(request) => Some(request),
            Err(_) if group.urgent => None,
            Err(_) => timeout_at(linger, requests.recv()).await.ok().flatten(),
        };
        let Some(request) = next else { break };
        group.add(request);
    }
    group
}

/// What one commit takes care of.
#[derive(Default)]
struct Group {
    change: Change,
    permits: Option<OwnedSemaphorePermit>,
    /// Somebody waits for the answer.
    urgent: bool,
    committed: Vec<oneshot::Sender<()>>,
    reads: VecDeque<Read>,
}

impl Group {
    fn add(&mut self, request: Request) {
        match request {
            Request::Append(priority, record, permit) => {
                self.change.append.push((priority, record));
                match &mut self.permits {
                    Some(permits) => permits.merge(permit),
                    none => *none = Some(permit),
                }
            }
            Request::Note(key, value) => self.change.notes.push((key, value)),
            Request::Commit(change, reply) => {
                self.change.merge(change);
                self.committed.push(reply);
                self.urgent = true;
            }
            Request::Read(read) => {
                self.reads.push_back(read);
                self.urgent = true;
            }
        }
    }

    /// Commits, then reads. What was done is taken out, so that a failure can be followed by another attempt.
    fn serve(
        &mut self,
        store: &mut Store,
        announce: &watch::Sender<Totals>,
        counters: &Counters,
    ) -> anyhow::Result<()> {
        if !self.change.is_empty() {
            let began = Instant::now();
            let outcome = store.commit(&self.change);
            counters.committed(began.elapsed(), outcome.is_ok());
            counters.dropped(&outcome?);
            let received = self.change.append.iter();
            counters.received(received.map(|(_, record)| record.dataset()));
            self.change = Change::default();
            self.permits = None;
            // Before the replies: who was answered sees no older totals.
            let totals = store.totals();
            announce.send_if_modified(|known| std::mem::replace(known, totals) != totals);
        }
        for reply in self.committed.drain(..) {
            reply.send(()).ok();
        }
        while let Some(read) = self.reads.front_mut() {
            read(store)?;
            self.reads.pop_front();
        }
        Ok(())
    }
}
