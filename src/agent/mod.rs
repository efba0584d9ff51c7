//! The agent: collectors on a node, and the outbox that ships what they see.

pub mod beacon;
pub mod counters;
pub mod dead_letter;
pub mod envelope;
pub mod execution;
pub mod host;
pub mod logs;
pub mod outbox;
pub mod packets;
pub mod report;
pub mod ship;
pub mod store;

use std::sync::Arc;

use anyhow::Context;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::info;

use self::counters::Counters;
use self::envelope::Identity;
use self::outbox::{Outbox, Seal};
use self::report::Report;
use self::ship::Shipper;
use self::store::{Change, Limits, Store, StoreHandle};
use crate::config;
use crate::elastic::Client;
use crate::event::Document;
use crate::tasks::{self, Tasks};

/// Batches of log lines that wait for the shipper; files wait when it is full.
const FILE_BATCHES: usize = 16;

/// Everything that sends events.
enum Collector {
    Beacon(config::Beacon),
    Execution(config::Execution),
    Host(config::Host),
    Logs(logs::Tail),
    Packets(Box<config::Packets>, Vec<packets::Source>),
    Report(Report),
}

impl Collector {
    fn name(&self) -> &'static str {
        match self {
            Self::Beacon(_) => "beacon",
            Self::Execution(_) => "execution",
            Self::Host(_) => "host",
            Self::Logs(_) => "logs",
            Self::Packets(..) => "packets",
            Self::Report(_) => "report",
        }
    }

    async fn run(self, outbox: Outbox, stop: CancellationToken) -> anyhow::Result<()> {
        match self {
            Self::Beacon(config) => beacon::run(config, outbox, stop).await,
            Self::Execution(config) => execution::run(config, outbox, stop).await,
            Self::Host(config) => host::run(config, outbox, stop).await,
            Self::Logs(tail) => logs::run(tail, outbox, stop).await,
            Self::Packets(config, sources) => packets::run(*config, sources, outbox, stop).await,
            Self::Report(report) => report::run(report, outbox, stop).await,
        }
    }
}

/// Runs until `stop`, with what [`packets::open`] opened while there was one thread. Then the ends follow each other by what they hold: collectors drop their outboxes, the shipper
/// sees that no more comes and flushes, and with its handle goes the store.
pub async fn run(
    config: config::Agent,
    captures: Vec<packets::Source>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let client = Client::new(&config.elasticsearch)?;
    let limits = Limits {
        spool_bytes: config.spool_max_bytes,
        ..Limits::default()
    };
    let data_dir = config.data_dir.clone();
    let (store, agent_id, registry) = tasks::blocking(move || {
        let mut store = Store::open(&data_dir, limits)?;
        let agent_id = agent_id(&mut store)?;
        let registry = store.registry()?;
        anyhow::Ok((store, agent_id, registry))
    })
    .await?;
    let spool = store.totals().spool();
    info!(agent_id, waiting = spool.records, "agent starts");

    let hostfs = config.host.clone().unwrap_or_default().hostfs;
    let host = tasks::blocking(move || host::host_metadata(&hostfs)).await;
    let counters = Arc::new(Counters::default());
    let (handle, requests) = StoreHandle::new(&store);
    let seal = Seal::new(identity(&config, agent_id, host));
    let ended = CancellationToken::new();
    let outbox = Outbox::new(
        handle.clone(),
        seal.clone(),
        Arc::clone(&counters),
        ended.clone(),
    );
    let (files, inbox) = mpsc::channel(FILE_BATCHES);

    let mut collectors = collectors(&config, &handle, &counters);
    if let Some(packets) = config.packets.clone() {
        collectors.push(Collector::Packets(Box::new(packets), captures));
    }
    if config.logs.is_empty() {
        drop(files);
    } else {
        collectors.push(Collector::Logs(logs::Tail {
            sections: config.logs,
            registry,
            store: handle.clone(),
            batches: files,
            counters: Arc::clone(&counters),
        }));
    }
    let shipper = Shipper {
        store: handle,
        files: inbox,
        seal,
        client,
        counters: Arc::clone(&counters),
        limits: ship::LIMITS,
    };
    let mut tasks = Tasks::new(stop.clone());
    tasks.spawn("store", store::run(store, requests, counters));
    tasks.spawn("ship", ship::run(shipper, stop.clone(), ended));
    for collector in collectors {
        tasks.spawn(
            collector.name(),
            collector.run(outbox.clone(), stop.clone()),
        );
    }
    drop(outbox);
    tasks.join().await
}

/// One per section of the configuration that is there.
fn collectors(
    config: &config::Agent,
    store: &StoreHandle,
    counters: &Arc<Counters>,
) -> Vec<Collector> {
    let report = Collector::Report(Report {
        store: store.clone(),
        counters: Arc::clone(counters),
        spool_max_bytes: config.spool_max_bytes,
    });
    let mut collectors = vec![report];
    collectors.extend(config.beacon.clone().map(Collector::Beacon));
    collectors.extend(config.execution.clone().map(Collector::Execution));
    collectors.extend(config.host.clone().map(Collector::Host));
    collectors
}

fn identity(config: &config::Agent, agent_id: String, host: Document) -> Identity {
    let host_name = host.get_str("host.name").unwrap_or_default();
    let node_name = match config.node.name.as_str() {
        "" => host_name.to_owned(),
        name => name.to_owned(),
    };
    Identity {
        agent_id,
        ephemeral_id: uuid::Uuid::new_v4().to_string(),
        node_name,
        namespace: config.elasticsearch.namespace.clone(),
        labels: config.node.labels.clone(),
        host,
        client: None,
        network: None,
    }
}

/// Made once per data directory: ids of documents depend on it.
fn agent_id(store: &mut Store) -> anyhow::Result<String> {
    const NOTE: &str = "agent.id";
    if let Some(id) = store.note(NOTE)? {
        return String::from_utf8(id).context("cannot read the agent's id from its store");
    }
    let id = uuid::Uuid::new_v4().to_string();
    store.commit(&Change {
        notes: vec![(NOTE.into(), id.clone().into_bytes())],
        ..Change::default()
    })?;
    Ok(id)
}
