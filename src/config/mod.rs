//! Configuration: one TOML file per process, one file here per section, defaults beside the fields.
//!
//! An absent section switches its part off. Unknown keys are errors. `${VAR}` in a string is replaced from the
//! environment; secrets come from there or from `*_file` keys, and can't be printed.

mod aggregator;
mod beacon;
pub mod duration;
mod elasticsearch;
mod execution;
mod file;
mod fingerprint;
mod host;
mod logs;
mod node;
mod packets;
mod processors;
mod secret;
mod status;

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::agent::process::Chain;
use crate::alert::email;
use crate::rules;

pub use self::aggregator::{Aggregator, Rules};
pub use self::beacon::{Beacon, Endpoint};
pub use self::elasticsearch::{Compression, Credentials, Elasticsearch};
pub use self::execution::Execution;
pub use self::file::{Environment, Problem, parse};
pub use self::fingerprint::Fingerprint;
pub use self::host::Host;
pub use self::logs::{Format, Journald, Logs, Multiline, Pattern, StartAt};
pub use self::node::Node;
pub use self::packets::{Http as PacketHttp, Packets, Ports as PacketPorts, Traffic};
pub use self::secret::Secret;
pub use self::status::{Listen, Status};

/// `agent.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Agent {
    /// Where spool, registry and dead letters are kept; one agent per directory.
    pub data_dir: PathBuf,
    /// Bytes of events that wait for Elasticsearch; beyond them the least important give way, oldest first.
    pub spool_max_bytes: u64,
    pub node: Node,
    /// Absent: no beacon node is watched.
    pub beacon: Option<Beacon>,
    pub elasticsearch: Elasticsearch,
    pub execution: Option<Execution>,
    pub host: Option<Host>,
    pub logs: Vec<Logs>,
    /// `[[processors]]`, in their order.
    #[serde(deserialize_with = "processors::skip")]
    pub processors: Chain,
    /// Absent: the agent does not listen.
    pub status: Option<Status>,
    /// Absent: nothing is captured.
    pub packets: Option<Packets>,
}

impl Default for Agent {
    fn default() -> Self {
        Self {
            data_dir: "/var/lib/ethmon".into(),
            spool_max_bytes: 1 << 30,
            node: Node::default(),
            beacon: None,
            elasticsearch: Elasticsearch::default(),
            execution: None,
            host: None,
            logs: Vec::new(),
            processors: Chain::default(),
            status: None,
            packets: None,
        }
    }
}

/// `aggregator.toml`.
#[derive(Debug, Clone, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct AggregatorFile {
    pub elasticsearch: Elasticsearch,
    pub aggregator: Aggregator,
    pub rules: Rules,
    pub mail: Option<email::Config>,
}

/// Reads and checks `agent.toml`.
pub fn load_agent(path: &Path) -> Result<Agent, Problem> {
    parse_agent(
        &path.display().to_string(),
        &file::read(path)?,
        &environment,
    )
}

/// The text of an `agent.toml`. `environment` gives the values of `${VAR}`.
pub fn parse_agent(file: &str, text: &str, environment: Environment<'_>) -> Result<Agent, Problem> {
    let mut agent: Agent = parse(file, text, environment)?;
    agent.processors = processors::read(file::Text { file, text }, environment)?;
    Ok(agent)
}

/// Reads and checks `aggregator.toml`.
pub fn load_aggregator(path: &Path) -> Result<AggregatorFile, Problem> {
    file::load(path)
}

/// The `[elasticsearch]` section of either file.
pub fn load_elasticsearch(path: &Path) -> Result<Elasticsearch, Problem> {
    Ok(match kind(path)? {
        Kind::Agent => load_agent(path)?.elasticsearch,
        Kind::Aggregator => load_aggregator(path)?.elasticsearch,
    })
}

/// Reads a file as the process it is for would, and says which that is.
pub fn check(path: &Path) -> Result<&'static str, Problem> {
    let whole = |error: anyhow::Error| Problem {
        file: path.display().to_string(),
        at: None,
        message: format!("{error:#}"),
    };
    match kind(path)? {
        Kind::Agent => {
            let config = load_agent(path)?;
            config.elasticsearch.check().map_err(whole)?;
            if let Some(packets) = &config.packets {
                packets.check().map_err(whole)?;
            }
            Ok("agent")
        }
        Kind::Aggregator => {
            let config = load_aggregator(path)?;
            config.elasticsearch.check().map_err(whole)?;
            if let Some(mail) = &config.mail {
                mail.check().map_err(whole)?;
            }
            rules::load(&config.rules.dirs, &config.rules.overrides).map_err(whole)?;
            Ok("aggregator")
        }
    }
}

enum Kind {
    Agent,
    Aggregator,
}

/// A file with a section that only the aggregator has is the aggregator's.
fn kind(path: &Path) -> Result<Kind, Problem> {
    let sections: toml::Table = file::load(path)?;
    let aggregators = ["aggregator", "rules", "mail"];
    Ok(
        match aggregators.iter().any(|name| sections.contains_key(*name)) {
            true => Kind::Aggregator,
            false => Kind::Agent,
        },
    )
}

/// The filter for log lines, `ETHMON_LOG` or `RUST_LOG` (`info`, `ethmon=debug,warn`, …).
pub fn log_filter() -> Option<String> {
    environment("ETHMON_LOG").or_else(|| environment("RUST_LOG"))
}

/// The one place that reads the environment.
#[allow(clippy::disallowed_methods)]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
