//! The agent: collectors on a node, and the outbox that ships what they see.

pub mod beacon;
mod columns;
pub mod counters;
pub mod dead_letter;
pub mod envelope;
pub mod execution;
pub mod histogram;
pub mod host;
pub mod logs;
mod once;
pub mod outbox;
pub mod packets;
pub mod process;
pub mod queue;
pub mod registry;
pub mod report;
mod run;
pub mod sheet;
pub mod ship;
pub mod status;
pub mod store;
pub mod usage;

use tokio_util::sync::CancellationToken;

use self::envelope::Identity;
pub use self::once::once;
use self::outbox::Outbox;
use self::report::Report;
pub use self::run::run;
use crate::config;
use crate::event::Document;

/// Everything that sends events.
enum Collector {
    Beacon(config::Beacon),
    Execution(config::Execution),
    Host(config::Host),
    Logs(logs::Tail),
    Packets(Box<config::Packets>, packets::Captures),
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
            Self::Packets(config, captures) => packets::run(*config, captures, outbox, stop).await,
            Self::Report(report) => report::run(report, outbox, stop).await,
        }
    }
}

pub(crate) fn identity(
    config: &config::Agent,
    agent_id: String,
    ephemeral_id: &str,
    host: Document,
) -> Identity {
    let host_name = host.get_str("host.name").unwrap_or_default();
    let node_name = match config.node.name.as_str() {
        "" => host_name.to_owned(),
        name => name.to_owned(),
    };
    Identity {
        agent_id,
        ephemeral_id: ephemeral_id.to_owned(),
        node_name,
        namespace: config.elasticsearch.namespace.clone(),
        labels: config.node.labels.clone(),
        host,
        client: None,
        network: None,
    }
}
