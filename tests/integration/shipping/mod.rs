//! The shipping half of an agent, driven in this process or in one that is killed.

mod crash;
mod endpoint;
mod outage;
mod processed;

use std::path::Path;
use std::sync::Arc;

use ethmon::agent::counters::Counters;
use ethmon::agent::envelope::Identity;
use ethmon::agent::outbox::{Outbox, Seal};
use ethmon::agent::process::Chain;
use ethmon::agent::ship::{self, LogBatch, Shipper};
use ethmon::agent::store::{self, Limits, Record, Store, StoreHandle};
use ethmon::config::Elasticsearch;
use ethmon::elastic::{self, Client};
use ethmon::event::{DataStream, DocumentId, Event};
use ethmon::slot;
use ethmon::tasks::{self, Tasks};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::bulk_server::BulkServer;

/// The shipping half of an agent.
pub(crate) struct Agent {
    pub(crate) outbox: Outbox,
    store: StoreHandle,
    pub(crate) files: mpsc::Sender<LogBatch>,
    seal: Seal,
    pub(crate) counters: Arc<Counters>,
    pub(crate) stop: CancellationToken,
    tasks: Tasks,
}

impl Agent {
    pub(crate) fn start(dir: &Path, url: &str) -> Self {
        Self::start_with(dir, config(url), ship::LIMITS)
    }

    pub(crate) fn start_with(dir: &Path, config: Elasticsearch, limits: elastic::Limits) -> Self {
        let store = Store::open(dir, Limits::default()).unwrap();
        let (handle, requests) = StoreHandle::new(&store);
        let counters = Arc::new(Counters::default());
        let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
        let identity = Identity {
            agent_id: "agent".into(),
            namespace: config.namespace.clone(),
            ..Identity::default()
        };
        let seal = Seal::new(identity).with_processors(Chain::default(), Arc::clone(&counters));
        let (files, inbox) = mpsc::channel(4);
        let outbox = Outbox::new(
            handle.clone(),
            seal.clone(),
            Arc::clone(&counters),
            ended.clone(),
        );
        let client = Client::new(&config).unwrap();
        let shipper = Shipper {
            store: handle.clone(),
            files: inbox,
            client,
            counters: Arc::clone(&counters),
            limits,
        };
        let mut tasks = Tasks::new(stop.clone());
        tasks.spawn("store", store::run(store, requests, Arc::clone(&counters)));
        tasks.spawn("ship", ship::run(shipper, stop.clone(), ended));
        Self {
            outbox,
            store: handle,
            files,
            seal,
            counters,
            stop,
            tasks,
        }
    }

    pub(crate) async fn send(&self, ids: std::ops::Range<usize>) {
        for id in ids {
            self.outbox.send(event(id)).await;
        }
    }

    /// As the reader of files seals its lines.
    pub(crate) fn sealed(&self, events: impl IntoIterator<Item = Event>) -> Vec<Record> {
        let sealed = events.into_iter().filter_map(|event| self.seal.seal(event));
        sealed.collect()
    }

    /// As the agent ends: collectors first.
    pub(crate) async fn end(self) -> Arc<Counters> {
        self.stop.cancel();
        drop((self.outbox, self.store, self.files));
        self.tasks.join().await.unwrap();
        self.counters
    }
}

fn config(url: &str) -> Elasticsearch {
    Elasticsearch {
        hosts: vec![url.parse().unwrap()],
        ..Elasticsearch::default()
    }
}

pub(crate) fn id(number: usize) -> DocumentId {
    DocumentId::existing(format!("{number:06}"))
}

pub(crate) fn event(number: usize) -> Event {
    Event::new(DataStream::Block, id(number), slot::now()).with("ethereum.block.slot", number)
}

pub(crate) fn ids(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| id(number).to_string()).collect()
}

/// Waiting for the endpoint blocks; the agent must go on meanwhile.
pub(crate) async fn wait(
    server: &Arc<BulkServer>,
    wait: impl FnOnce(&BulkServer) + Send + 'static,
) {
    let server = Arc::clone(server);
    tasks::blocking(move || wait(&server)).await;
}
