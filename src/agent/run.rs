//! The life of an agent: one store, and round after round of collecting with the configuration as it is then.
//!
//! A round ends at a stop, or at a SIGHUP with a configuration that can be used: then its collectors end, its shipper
//! flushes, and the next round begins over the same store, where everything waits that was not acknowledged.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::counters::Counters;
use super::outbox::{Outbox, Seal};
use super::packets::Captures;
use super::report::Report;
use super::ship::{self, Shipper};
use super::status::{self, Listener};
use super::store::{self, AgentId, Limits, Store, StoreHandle};
use super::{Collector, host, identity, logs};
use crate::config;
use crate::elastic::Client;
use crate::slot;
use crate::tasks::{self, Tasks};

/// Batches of log lines that wait for the shipper; files wait when it is full.
const FILE_BATCHES: usize = 4;
/// Between two attempts to open the store on a disk that is full.
const DISK_RETRY: Duration = Duration::from_secs(2);
/// A tool that looks into what a killed agent left has it open for a moment; another agent has it for good.
const IN_USE_LIMIT: Duration = Duration::from_secs(5);
const IN_USE_RETRY: Duration = Duration::from_millis(100);

/// Runs until `stop`. Then the ends follow each other by what they hold: collectors drop their outboxes, the shipper
/// sees that no more comes and flushes, and with its handle goes the store. `path` is read again at each hangup.
pub async fn run(
    path: PathBuf,
    config: config::Agent,
    captures: Captures,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut hangups = tasks::hangups()?;
    let mut plan = Plan::new(config, captures, None).await?;
    loop {
        let Some(life) = Life::begin(&plan.config, &stop).await? else {
            return Ok(());
        };
        let Life { tasks, rounds } = life;
        let data_dir = plan.config.data_dir.clone();
        let ended = loop {
            let ended = rounds.run(plan, &path, &mut hangups, &stop).await;
            match ended {
                Ok(Some(next)) if next.config.data_dir == data_dir => plan = next,
                ended => break ended,
            }
        };
        drop(rounds);
        // The store's own failure is why the others failed.
        tasks.join().await?;
        match ended? {
            Some(next) => plan = next,
            None => return Ok(()),
        }
    }
}

/// A configuration that can be used, with all that could have failed about it.
pub(super) struct Plan {
    pub(super) config: config::Agent,
    pub(super) client: Client,
    captures: Captures,
    listener: Option<Arc<Listener>>,
}

impl Plan {
    /// What listens already keeps listening.
    pub(super) async fn new(
        config: config::Agent,
        captures: Captures,
        listening: Option<&Arc<Listener>>,
    ) -> anyhow::Result<Self> {
        let section = config.elasticsearch.clone();
        let client = tasks::blocking(move || Client::new(&section)).await?;
        logs::check_sections(&config.logs)?;
        captures.check(config.packets.as_ref())?;
        let listener = match &config.status {
            None => None,
            Some(status) => match listening.filter(|listener| listener.is_on(&status.listen)) {
                Some(listener) => Some(Arc::clone(listener)),
                None => Some(Arc::new(Listener::bind(&status.listen).await?)),
            },
        };
        Ok(Self {
            config,
            client,
            captures,
            listener,
        })
    }

    async fn of_file(
        path: &Path,
        captures: Captures,
        listening: Option<&Arc<Listener>>,
    ) -> anyhow::Result<Self> {
        let path = path.to_owned();
        let config = tasks::blocking(move || config::load_agent(&path)).await?;
        Self::new(config, captures, listening).await
    }
}

/// What outlives a round.
pub(super) struct Life {
    pub(super) tasks: Tasks,
    pub(super) rounds: Rounds,
}

pub(super) struct Rounds {
    pub(super) store: StoreHandle,
    pub(super) counters: Arc<Counters>,
    agent_id: AgentId,
    ephemeral_id: String,
    started_at_s: i64,
}

impl Life {
    /// Opens the store and starts its task. `None`: a stop came while the disk was full, or a tool had the store.
    pub(super) async fn begin(
        config: &config::Agent,
        stop: &CancellationToken,
    ) -> anyhow::Result<Option<Self>> {
        let Some((store, agent_id)) = open_store(config, stop).await? else {
            return Ok(None);
        };
        let waiting = store.totals().spool().records;
        info!(agent_id = agent_id.id, waiting, "agent starts");
        let counters = Arc::new(Counters::default());
        let (handle, requests) = StoreHandle::new(&store);
        // It ends when its last handle is gone, whatever is stopped.
        let mut tasks = Tasks::new(CancellationToken::new());
        tasks.spawn("store", store::run(store, requests, Arc::clone(&counters)));
        Ok(Some(Self {
            tasks,
            rounds: Rounds {
                store: handle,
                counters,
                agent_id,
                ephemeral_id: uuid::Uuid::new_v4().to_string(),
                started_at_s: slot::now().timestamp(),
            },
        }))
    }
}

async fn open_store(
    config: &config::Agent,
    stop: &CancellationToken,
) -> anyhow::Result<Option<(Store, AgentId)>> {
    let mut is_said = false;
    let began = Instant::now();
    loop {
        let (data_dir, limits) = (config.data_dir.clone(), limits(config));
        let opened = tasks::blocking(move || {
            let mut store = Store::open(&data_dir, limits)?;
            let agent_id = store::agent_id(&mut store)?;
            anyhow::Ok((store, agent_id))
        })
        .await;
        let pause = match opened {
            Err(error) if Store::is_in_use(&error) && began.elapsed() < IN_USE_LIMIT => {
                if !std::mem::replace(&mut is_said, true) {
                    info!(reason = format!("{error:#}"), "waiting for the store");
                }
                IN_USE_RETRY
            }
            Err(error) if store::is_full(&error) => {
                if !std::mem::replace(&mut is_said, true) {
                    error!(
                        error = format!("{error:#}"),
                        "cannot open the store; the agent starts when the disk has room"
                    );
                }
                DISK_RETRY
            }
            opened => return opened.map(Some),
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return Ok(None),
        }
    }
}

fn limits(config: &config::Agent) -> Limits {
    Limits {
        spool_bytes: config.spool_max_bytes,
        ..Limits::default()
    }
}

impl Rounds {
    /// One round. The plan of the next one, or `None` after a stop.
    async fn run(
        &self,
        plan: Plan,
        path: &Path,
        hangups: &mut Signal,
        stop: &CancellationToken,
    ) -> anyhow::Result<Option<Plan>> {
        let round = stop.child_token();
        let (listener, captures) = (plan.listener.clone(), plan.captures.clone());
        let tasks = self.start(plan, false, &round).await?;
        let ended = tasks.join();
        tokio::pin!(ended);
        let next = loop {
            tokio::select! {
                ended = &mut ended => return ended.map(|()| None),
                Some(()) = hangups.recv() => {}
            }
            match Plan::of_file(path, captures.clone(), listener.as_ref()).await {
                Ok(next) => break next,
                Err(error) => {
                    self.counters.reloads_failed.fetch_add(1, Relaxed);
                    error!(
                        error = format!("{error:#}"),
                        "cannot use the new configuration; the old one stays"
                    );
                }
            }
        };
        info!("taking over the new configuration");
        round.cancel();
        if let Err(error) = ended.await {
            warn!(error = format!("{error:#}"), "the last round ended badly");
        }
        self.counters.reloads.fetch_add(1, Relaxed);
        let is_stopped = stop.is_cancelled();
        Ok((!is_stopped).then_some(next))
    }

    /// Starts collectors and shipper. `once`: only files are read, and all ends when they and the spool are shipped.
    pub(super) async fn start(
        &self,
        plan: Plan,
        once: bool,
        stop: &CancellationToken,
    ) -> anyhow::Result<Tasks> {
        let Plan {
            config,
            client,
            captures,
            listener,
        } = plan;
        let (store, counters) = (&self.store, &self.counters);
        store.set_limits(limits(&config)).await?;
        let registry = store.registry().await?;
        let hostfs = config.host.clone().unwrap_or_default().hostfs;
        let host = tasks::blocking(move || host::host_metadata(&hostfs)).await;
        let identity = identity(&config, self.agent_id.id.clone(), &self.ephemeral_id, host);
        let seal =
            Seal::new(identity).with_processors(config.processors.clone(), Arc::clone(counters));
        let ended = CancellationToken::new();
        let outbox = Outbox::new(
            store.clone(),
            seal.clone(),
            Arc::clone(counters),
            ended.clone(),
        );
        let (files, inbox) = mpsc::channel(FILE_BATCHES);
        let mut collectors = match once {
            true => Vec::new(),
            false => collectors(&config, captures, store, counters),
        };
        if config.logs.is_empty() {
            drop(files);
        } else {
            collectors.push(Collector::Logs(logs::Tail {
                sections: config.logs,
                registry,
                store: store.clone(),
                seal: seal.clone(),
                batches: files,
                counters: Arc::clone(counters),
                is_first_life: self.agent_id.is_new,
                once,
            }));
        }
        let shipper = Shipper {
            store: store.clone(),
            files: inbox,
            client,
            counters: Arc::clone(counters),
            limits: ship::LIMITS,
        };
        let mut tasks = Tasks::new(stop.clone());
        tasks.spawn("ship", ship::run(shipper, stop.clone(), ended));
        if let Some(listener) = listener.filter(|_| !once) {
            let source = status::Source {
                store: store.clone(),
                counters: Arc::clone(counters),
                spool_max_bytes: config.spool_max_bytes,
                data_dir: config.data_dir.clone(),
                started_at_s: self.started_at_s,
            };
            tasks.spawn("status", status::serve(listener, source, stop.clone()));
        }
        for collector in collectors {
            tasks.spawn(
                collector.name(),
                collector.run(outbox.clone(), stop.clone()),
            );
        }
        Ok(tasks)
    }
}

/// One per section of the configuration that is there.
fn collectors(
    config: &config::Agent,
    captures: Captures,
    store: &StoreHandle,
    counters: &Arc<Counters>,
) -> Vec<Collector> {
    let report = Collector::Report(Report {
        store: store.clone(),
        counters: Arc::clone(counters),
        spool_max_bytes: config.spool_max_bytes,
        data_dir: config.data_dir.clone(),
    });
    let mut collectors = vec![report];
    collectors.extend(config.beacon.clone().map(Collector::Beacon));
    collectors.extend(config.execution.clone().map(Collector::Execution));
    collectors.extend(config.host.clone().map(Collector::Host));
    let packets = config.packets.clone().map(Box::new);
    collectors.extend(packets.map(|packets| Collector::Packets(packets, captures)));
    collectors
}
